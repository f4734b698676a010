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

Spaces = Mapping[str, tuple[int, int]]

_EPSILON = 1e-6


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


@keras.saving.register_keras_serializable(package="musiczoo")
class Centroids(keras.layers.Layer):  # type: ignore[misc]
    """Similarity of an embedding to each tag's centroid, within the tag's own space: eqs. 8 and 11.

    ``[N, E] -> [N, T]``: the dot product of the tag's unit sub-vector with its centroid c_z, which has free
    norm and no bias. The whole vector counts for a plain head.

    Args:
        spaces: Space -> (start, stop).
        tag_spaces: For each tag, in the order of the output, the space it belongs to.
    """

    def __init__(self, spaces: Spaces, tag_spaces: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.spaces = {name: (int(start), int(stop)) for name, (start, stop) in spaces.items()}
        self.tag_spaces = tuple(tag_spaces)

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """One column a tag, masked to the rows of its space."""
        size, tags = input_shape[1], len(self.tag_spaces)
        mask = np.zeros((size, tags), np.float32)
        for column, space in enumerate(self.tag_spaces):
            mask[slice(*self.spaces[space]), column] = 1.0
        self.centroids = self.add_weight(name="centroids", shape=(size, tags), initializer="glorot_uniform")
        self.mask = self.add_weight(name="mask", shape=(size, tags), trainable=False)
        self.mask.assign(mask)

    def call(self, embedding: Any) -> Any:
        """Dot products with unit sub-vectors."""
        return ops.matmul(embedding, self.centroids * self.mask) * float(len(self.spaces) ** 0.5)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal layer."""
        return {**super().get_config(), "spaces": self.spaces, "tag_spaces": self.tag_spaces}


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
