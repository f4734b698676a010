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
"""Smallest probability at which a tag starts, and one minus the largest: a tag outside could hardly be learnt."""


@keras.saving.register_keras_serializable(package="musiczoo")
class Standardize(keras.layers.Layer):  # type: ignore[misc]
    """``[N, F] -> [N, F]``: features of an encoder of any scale, to mean 0 and standard deviation 1.

    ``(f - mean) / std`` of each feature. The identity until `set_statistics`; nothing that training changes.

    Example:
        >>> layer = Standardize()
        >>> layer.build((None, 1))
        >>> layer.set_statistics(np.array([[0.0], [4.0]]))
        >>> np.asarray(layer(np.array([[6.0]])))
        array([[2.]], dtype=float32)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trainable": False, "dtype": "float32", **kwargs})

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """A mean and a scale for each feature."""
        self.mean = self.add_weight(name="mean", shape=(input_shape[1],), initializer="zeros", trainable=False)
        self.scale = self.add_weight(name="scale", shape=(input_shape[1],), initializer="ones", trainable=False)

    def set_statistics(self, features: NDArray[Any]) -> None:
        """Take the mean and deviation of ``[N, F]``; a feature that never varies is 0 from then on."""
        std = features.std(axis=0, dtype=np.float64)
        varies = std > 1e-6 * np.abs(features).max()
        self.mean.assign(features.mean(axis=0, dtype=np.float64))
        self.scale.assign(np.where(varies, 1 / np.where(varies, std, 1), 0))

    def call(self, features: Any) -> Any:
        """Subtract and multiply."""
        return (features - self.mean) * self.scale


@keras.saving.register_keras_serializable(package="musiczoo")
class NormalizeSpaces(keras.layers.Layer):  # type: ignore[misc]
    """``[N, E] -> [N, E]``: scale each space to unit length, then divide by the root of the number of spaces.

    The whole is a unit vector: ``e_s = (f o m_s) / (||f o m_s|| sqrt(S))``. A small constant is added first, because
    ReLU can leave a space all zero, which has no direction.

    Args:
        spaces: Space -> (start, stop) columns.

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), eqs. 8 and 11.

    Example:
        >>> embedding = NormalizeSpaces({"genre": (0, 2), "mood": (2, 4)})(np.array([[3.0, 4.0, 0.0, 9.0]]))
        >>> np.asarray(embedding).round(3)
        array([[0.424, 0.566, 0.   , 0.707]], dtype=float32)
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
    """Heads that hold a point of the embedding space for each tag: ``[N, E] -> [N, T]`` logits.

    Args:
        spaces: Space -> (start, stop).
        tag_spaces: For each tag, in the order of the output, the space it belongs to.
    """

    def __init__(self, spaces: Spaces, tag_spaces: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.spaces = {name: (int(start), int(stop)) for name, (start, stop) in spaces.items()}
        self.tag_spaces = tuple(tag_spaces)

    def columns(self, space: str, size: int) -> slice:
        """Return the columns of a space; all `size` columns if the embedding has no such space."""
        return slice(*self.spaces.get(space, (0, size)))

    def points(self) -> NDArray[np.float32]:
        """Return the direction of each tag among embeddings, ``[T, E]``: zeros where a tag has no prototype."""
        raise NotImplementedError

    def matrix(self) -> NDArray[np.float32]:
        """What a normalised embedding is multiplied by to give the logits, ``[E, T]``."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal layer."""
        return {**super().get_config(), "spaces": self.spaces, "tag_spaces": self.tag_spaces}


@keras.saving.register_keras_serializable(package="musiczoo")
class Centroids(_TagPoints):
    """Classification, eqs. 8 and 11: ``logit_z = (f o m_s) / ||f o m_s|| . c_z``.

    A centroid c_z is a learnt vector of free norm in the space s of its tag z; there is no bias. A plain head has one
    space, the whole embedding.

    Call with ``[N, E]``, normalised by `NormalizeSpaces` (raw features give the unnormalised classifier); returns
    logits ``[N, T]``.

    Args:
        spaces: Space -> (start, stop) columns.
        tag_spaces: The space of each tag, in the order of the output.

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 3.4.

    Example:
        >>> head = Centroids({"genre": (0, 2), "mood": (2, 4)}, ("genre", "mood", "mood"))
        >>> head(np.full((5, 4), 0.5, np.float32)).shape
        TensorShape([5, 3])
    """

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Create a column for each tag, masked to the rows of its space."""
        size, tags = input_shape[1], len(self.tag_spaces)
        mask, scale = np.zeros((size, tags), np.float32), np.zeros(tags, np.float32)
        for column, space in enumerate(self.tag_spaces):
            mask[self.columns(space, size), column] = 1.0
            # Undoes the division in `NormalizeSpaces`, so that sub-vectors are unit vectors.
            scale[column] = len(self.spaces) ** 0.5 if space in self.spaces else 1.0
        self.centroids = self.add_weight(name="centroids", shape=(size, tags), initializer=self._start(size, tags))
        self.mask = self.add_weight(name="mask", shape=(size, tags), trainable=False)
        self.mask.assign(mask)
        self.scale = scale

    def call(self, embedding: Any) -> Any:
        """Return the dot products of the unit sub-vectors and the centroids."""
        return ops.matmul(embedding, self.centroids * self.mask) * self.scale

    def start_at(self, priors: ArrayLike, mean: ArrayLike) -> None:
        """Move each centroid so that the mean embedding ``[E]`` gets the prior of each tag ``[T]``."""
        mean = np.asarray(mean, np.float32)
        along = mean[:, np.newaxis] * np.asarray(self.mask)
        gain = self.scale * np.square(along).sum(axis=0)
        self.centroids.assign_add(along * _missing(priors, self(mean[np.newaxis])) / gain)

    def rescale(self, factors: ArrayLike) -> None:
        """Multiply the logits of each tag by a factor ``[T]``."""
        self.centroids.assign(np.asarray(self.centroids) * np.asarray(factors, np.float32))

    def points(self) -> NDArray[np.float32]:
        """Return the directions of the centroids."""
        return _directions((np.asarray(self.centroids) * np.asarray(self.mask)).T)

    def matrix(self) -> NDArray[np.float32]:
        """The masked and scaled centroids."""
        return np.asarray(np.asarray(self.centroids) * np.asarray(self.mask) * self.scale, np.float32)

    def _start(self, size: int, tags: int) -> keras.initializers.Initializer:
        # Unit vectors after a ReLU point away from -1, ..., -1: tags start near their mean prior, 4 %, not at 50 %.
        return keras.initializers.RandomNormal(-4 * (len(self.spaces) / size) ** 0.5, (2 / (size + tags)) ** 0.5)


@keras.saving.register_keras_serializable(package="musiczoo")
class Prototypes(Centroids):
    """Tags of triplet models: the cosine between the unit sub-vector of the tag's space and the tag's prototype.

    The prototype is the mean embedding of the training tracks with the tag. Prototypes are not trained: they are zeros
    until `set_points` is called after the training: ``logit_z = (f o m_s) / ||f o m_s|| . p_z / ||p_z||``.

    Example:
        >>> head = Prototypes({"all": (0, 2)}, ("all",))
        >>> head.build((None, 2))
        >>> head.set_points(np.array([[3.0], [4.0]]))
        >>> np.asarray(head(np.array([[0.6, 0.8]]))).round(3)
        array([[1.]], dtype=float32)

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.3.
    """

    def __init__(self, spaces: Spaces, tag_spaces: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(spaces, tag_spaces, **{"trainable": False, **kwargs})

    def set_points(self, means: NDArray[Any]) -> None:
        """Set the prototypes to the directions of the mean embeddings of the tags, ``[E, T]``."""
        self.centroids.assign(_directions((np.asarray(means, np.float32) * np.asarray(self.mask)).T).T)

    def _start(self, size: int, tags: int) -> keras.initializers.Initializer:
        return keras.initializers.Zeros()


@keras.saving.register_keras_serializable(package="musiczoo")
class Proxies(_TagPoints):
    """Proxies, eqs. 5 and 7: ``logit_z = (f o m_s) / ||f o m_s|| . (p_z o m_s)``.

    A proxy p_z is a learnt embedding of its tag z, of free norm; there is no bias. The masks m_s give the same numbers
    as the sub-vectors of `Centroids`: the paper's two forms of one metric.

    Call with ``[N, E]``; returns logits ``[N, T]``.

    Args:
        spaces: Space -> (start, stop) columns.
        tag_spaces: The space of each tag, in the order of the output.

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 3.3.

    Example:
        >>> head = Proxies({"all": (0, 4)}, ("all", "all"))
        >>> head(np.full((5, 4), 0.5, np.float32)).shape
        TensorShape([5, 2])
    """

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Create a row for each tag, and the mask m_s of its space."""
        size = input_shape[1]
        masks = np.zeros((len(self.tag_spaces), size), np.float32)
        for row, space in enumerate(self.tag_spaces):
            masks[row, self.columns(space, size)] = 1.0
        # As in `Centroids`: tags start near their mean prior.
        start = keras.initializers.RandomNormal(-4 * (len(self.spaces) / size) ** 0.5, (len(self.spaces) / size) ** 0.5)
        self.proxies = self.add_weight(name="proxies", shape=masks.shape, initializer=start)
        self.masks = self.add_weight(name="masks", shape=masks.shape, trainable=False)
        self.masks.assign(masks)

    def call(self, features: Any) -> Any:
        """Return the dot products of the masked, normalised features and the proxies."""
        products = ops.matmul(features, ops.transpose(self.proxies * self.masks))
        lengths = ops.matmul(ops.square(features), ops.transpose(self.masks))
        return products * ops.rsqrt(lengths + _EPSILON**2)

    def start_at(self, priors: ArrayLike, mean: ArrayLike) -> None:
        """Move each proxy so that the mean embedding ``[E]`` gets the prior of each tag ``[T]``."""
        mean = np.asarray(mean, np.float32)
        along = mean * np.asarray(self.masks)
        gain = np.linalg.norm(along, axis=1)
        self.proxies.assign_add(along * (_missing(priors, self(mean[np.newaxis])) / gain)[:, np.newaxis])

    def rescale(self, factors: ArrayLike) -> None:
        """Multiply the logits of each tag by a factor ``[T]``."""
        self.proxies.assign(np.asarray(self.proxies) * np.asarray(factors, np.float32)[:, np.newaxis])

    def points(self) -> NDArray[np.float32]:
        """Return the directions of the proxies."""
        return _directions(np.asarray(self.proxies) * np.asarray(self.masks))

    def matrix(self) -> NDArray[np.float32]:
        """The masked proxies, divided by the length that their space has in a normalised embedding."""
        lengths = [len(self.spaces) ** -0.5 if space in self.spaces else 1.0 for space in self.tag_spaces]
        rows = np.asarray(self.proxies) * np.asarray(self.masks) / np.array(lengths)[:, np.newaxis]
        return np.asarray(rows.T, np.float32)


def _directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), np.float32)


def _missing(priors: ArrayLike, logits: Any) -> NDArray[np.float32]:
    """Return the difference between the logits of the priors, limited to `RAREST`, and logits ``[1, T]``."""
    priors = np.clip(np.asarray(priors, np.float64), RAREST, 1 - RAREST)
    return np.asarray(np.log(priors / (1 - priors)) - np.asarray(logits)[0], np.float32)


@keras.saving.register_keras_serializable(package="musiczoo")
class Calibration(keras.layers.Layer):  # type: ignore[misc]
    """Platt scaling of each tag: ``scale * logit + offset``, ``[N, T] -> [N, T]``.

    The identity until its weights are set after the training (`musiczoo.models.calibration`). It is a layer of the
    graph, so that every exported format gives calibrated probabilities.

    Source: Platt, Advances in Large Margin Classifiers, 1999.

    Example:
        >>> layer = Calibration()
        >>> layer.build((None, 2))
        >>> layer.set_weights([np.array([2.0, 1.0]), np.array([0.0, -1.0])])
        >>> np.asarray(layer(np.array([[1.0, 1.0]])))
        array([[2., 0.]], dtype=float32)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"trainable": False, "dtype": "float32", **kwargs})

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create a scale and an offset for each tag."""
        shape = (input_shape[1],)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones", trainable=False)
        self.offset = self.add_weight(name="offset", shape=shape, initializer="zeros", trainable=False)

    def call(self, logits: Any) -> Any:
        """``[N, T] -> [N, T]``."""
        return logits * self.scale + self.offset
