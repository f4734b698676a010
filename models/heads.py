"""Heads: encoder features -> embedding -> tags.

Conventions
-----------
- ``spaces`` maps a space to its (start, stop) columns: the masks m_s of the papers. A plain head is the case
  of one space over all columns, so one class serves both.
- An embedding is one unit vector a space, each divided by the root of the number of spaces, so that the
  whole is a unit vector.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), sections 3.3 and 3.4.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

Spaces = Mapping[str, tuple[int, int]]

_EPSILON = 1e-6

RAREST = 1e-3
"""No tag starts as rarer, or as likelier than one less this: it could hardly be learnt then."""


@keras.saving.register_keras_serializable(package="musiczoo")
class NormalizeSpaces(keras.layers.Layer):  # type: ignore[misc]
    """``[N, E] -> [N, E]``: each space to unit length, then divided by the root of their number.

    A small constant is added first, because ReLU can leave a space all zero, which has no direction.
    """

    def __init__(self, spaces: Spaces, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.spaces = {name: (int(start), int(stop)) for name, (start, stop) in spaces.items()}

    def call(self, features: Any) -> Any:
        """Normalise each space."""
        parts = [features[:, start:stop] + _EPSILON for start, stop in self.spaces.values()]
        units = [part * ops.rsqrt(ops.sum(ops.square(part), axis=1, keepdims=True)) for part in parts]
        return ops.concatenate(units, axis=1) * float(len(parts) ** -0.5)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal layer."""
        return {**super().get_config(), "spaces": self.spaces}


class _TagPoints(keras.layers.Layer):  # type: ignore[misc]
    """A point of the embedding space for each tag: ``[N, E] -> [N, T]`` logits.

    Args:
        spaces: Space -> (start, stop).
        tag_spaces: For each tag, in the order of the output, the space it belongs to.
    """

    def __init__(self, spaces: Spaces, tag_spaces: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.spaces = {name: (int(start), int(stop)) for name, (start, stop) in spaces.items()}
        self.tag_spaces = tuple(tag_spaces)

    def columns(self, space: str, size: int) -> slice:
        """The columns of a space; of one that the embedding does not have, all `size`."""
        return slice(*self.spaces.get(space, (0, size)))

    def points(self) -> NDArray[np.float32]:
        """Where the tags lie among embeddings, ``[T, E]``: unit vectors, or zeros where a tag has no prototype."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal layer."""
        return {**super().get_config(), "spaces": self.spaces, "tag_spaces": self.tag_spaces}


@keras.saving.register_keras_serializable(package="musiczoo")
class Centroids(_TagPoints):
    """Classification, eqs. 8 and 11: the dot product of a tag's unit sub-vector with its centroid c_z.

    Centroids have free norm and no bias, and lie in their tag's own space; a plain head has one space, so that
    the whole vector counts. The embedding must come normalised; raw features give the vanilla classifier.
    """

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """One column a tag, masked to the rows of its space."""
        size, tags = input_shape[1], len(self.tag_spaces)
        mask, scale = np.zeros((size, tags), np.float32), np.zeros(tags, np.float32)
        for column, space in enumerate(self.tag_spaces):
            mask[self.columns(space, size), column] = 1.0
            # What makes unit vectors of the parts again, see `NormalizeSpaces`.
            scale[column] = len(self.spaces) ** 0.5 if space in self.spaces else 1.0
        self.centroids = self.add_weight(name="centroids", shape=(size, tags), initializer=self._start(size, tags))
        self.mask = self.add_weight(name="mask", shape=(size, tags), trainable=False)
        self.mask.assign(mask)
        self.scale = scale

    def call(self, embedding: Any) -> Any:
        """Dot products with unit sub-vectors."""
        return ops.matmul(embedding, self.centroids * self.mask) * self.scale

    def start_at(self, priors: ArrayLike, mean: ArrayLike) -> None:
        """Move each centroid along the mean embedding ``[E]``, for which it shall give its tag's prior ``[T]``."""
        mean = np.asarray(mean, np.float32)
        along = mean[:, np.newaxis] * np.asarray(self.mask)
        gain = self.scale * np.square(along).sum(axis=0)
        self.centroids.assign_add(along * _missing(priors, self(mean[np.newaxis])) / gain)

    def points(self) -> NDArray[np.float32]:
        """The directions of the centroids."""
        return _directions((np.asarray(self.centroids) * np.asarray(self.mask)).T)

    def _start(self, size: int, tags: int) -> keras.initializers.Initializer:
        # A ReLU's unit vectors point away from -1, ..., -1: all tags start near 4 %, their mean prior, not at 50 %.
        return keras.initializers.RandomNormal(-4 * (len(self.spaces) / size) ** 0.5, (2 / (size + tags)) ** 0.5)


@keras.saving.register_keras_serializable(package="musiczoo")
class Prototypes(Centroids):
    """Triplet models' tags: the cosine between a tag's unit sub-vector and its prototype.

    The prototype is the mean embedding of the tag's training tracks: nothing that training changes. All zeros
    until `set_points`.

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.3.
    """

    def __init__(self, spaces: Spaces, tag_spaces: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(spaces, tag_spaces, **{"trainable": False, **kwargs})

    def set_points(self, means: NDArray[Any]) -> None:
        """Take the direction of each tag's mean embedding in its space: ``[E, T]``."""
        self.centroids.assign(_directions((np.asarray(means, np.float32) * np.asarray(self.mask)).T).T)

    def _start(self, size: int, tags: int) -> keras.initializers.Initializer:
        return keras.initializers.Zeros()


@keras.saving.register_keras_serializable(package="musiczoo")
class Proxies(_TagPoints):
    """Proxies, eqs. 5 and 7: ``(f o m_s) / ||f o m_s|| . (p_z o m_s)``.

    A proxy p_z is a learnt embedding of its tag, with free norm and no bias. Masking f and the proxies gives what
    `Centroids` computes with sub-vectors: the paper's two forms of one metric.
    """

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """One row a tag, and the mask m_s of each space."""
        size = input_shape[1]
        masks = np.zeros((len(self.tag_spaces), size), np.float32)
        for row, space in enumerate(self.tag_spaces):
            masks[row, self.columns(space, size)] = 1.0
        # As for centroids: tags start near their mean prior.
        start = keras.initializers.RandomNormal(-4 * (len(self.spaces) / size) ** 0.5, (len(self.spaces) / size) ** 0.5)
        self.proxies = self.add_weight(name="proxies", shape=masks.shape, initializer=start)
        self.masks = self.add_weight(name="masks", shape=masks.shape, trainable=False)
        self.masks.assign(masks)

    def call(self, features: Any) -> Any:
        """Mask, normalise, compare."""
        products = ops.matmul(features, ops.transpose(self.proxies * self.masks))
        lengths = ops.matmul(ops.square(features), ops.transpose(self.masks))
        return products * ops.rsqrt(lengths + _EPSILON**2)

    def start_at(self, priors: ArrayLike, mean: ArrayLike) -> None:
        """Move each proxy along the mean embedding ``[E]``, for which it shall give its tag's prior ``[T]``."""
        mean = np.asarray(mean, np.float32)
        along = mean * np.asarray(self.masks)
        gain = np.linalg.norm(along, axis=1)
        self.proxies.assign_add(along * (_missing(priors, self(mean[np.newaxis])) / gain)[:, np.newaxis])

    def points(self) -> NDArray[np.float32]:
        """The directions of the proxies."""
        return _directions(np.asarray(self.proxies) * np.asarray(self.masks))


def _directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), np.float32)


def _missing(priors: ArrayLike, logits: Any) -> NDArray[np.float32]:
    """What must be added to logits ``[1, T]`` for the priors; tags that no track has, or all, are taken for rare."""
    priors = np.clip(np.asarray(priors, np.float64), RAREST, 1 - RAREST)
    return np.asarray(np.log(priors / (1 - priors)) - np.asarray(logits)[0], np.float32)


@keras.saving.register_keras_serializable(package="musiczoo")
class Calibration(keras.layers.Layer):  # type: ignore[misc]
    """Platt scaling, ``scale * logit + offset`` per tag: the identity until `set` after the training.

    Inside the graph, so that every format of the model gives calibrated probabilities.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trainable": False, "dtype": "float32", **kwargs})

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """One scale and one offset a tag."""
        shape = (input_shape[1],)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones", trainable=False)
        self.offset = self.add_weight(name="offset", shape=shape, initializer="zeros", trainable=False)

    def call(self, logits: Any) -> Any:
        """``[N, T] -> [N, T]``."""
        return logits * self.scale + self.offset
