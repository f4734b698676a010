"""The weights of a trained head, and the graph that they are in ONNX: features -> embedding, tags.

Each of the eight heads is, once it is trained, the same few operations: a dense layer, ReLU, unit length of each space,
one matrix to the tags. Proxies, centroids and prototypes are rows of that matrix, zero outside their tag's space, and
the calibration is folded in. So there is one form for all, which takes no TensorFlow to write or to read.

Conventions
-----------
- ``units = relu(features @ kernel + bias) + EPSILON``; the embedding is each space of it scaled to length
  ``1 / sqrt(number of spaces)``, or the units as they are (`Head.normalized` false).
- ``tags = sigmoid(embedding @ tag_kernel + tag_bias)``.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), eqs. 7, 8 and 11.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musiczoo._files import UNREADABLE, open_npz
from musiczoo.card import EMBEDDING_NAME, TAGS_NAME
from musiczoo.errors import ModelFileError
from musiczoo.export.onnx_graph import Graph

EPSILON = 1e-6
"""As `musiczoo.models.heads.NormalizeSpaces` adds it: a space of zeros has no direction."""

_SPACES = "spaces"
_ARRAYS = ("kernel", "bias", "tag_kernel", "tag_bias", "points")

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Head:
    """Weights of a head.

    Attributes:
        kernel: ``[F, E]``: features -> units.
        bias: ``[E]``.
        tag_kernel: ``[E, T]``: embedding -> calibrated logits.
        tag_bias: ``[T]``.
        points: ``[T, E]``: where the tags lie among embeddings (see `musiczoo.Model.tag_points`).
        spaces: Space -> (start, stop) columns of the embedding; in order, without gaps.
        normalized: Whether each space is scaled to one length.
    """

    kernel: Array
    bias: Array
    tag_kernel: Array
    tag_bias: Array
    points: Array
    spaces: Mapping[str, tuple[int, int]]
    normalized: bool = True

    def __post_init__(self) -> None:
        """Refuse weights that do not fit together.

        Raises:
            ModelFileError: Naming the array.
        """
        (features, size), tags = self.kernel.shape, len(self.tag_bias)
        shapes = {"kernel": (features, size), "bias": (size,), "tag_kernel": (size, tags), "tag_bias": (tags,)}
        for name, shape in (shapes | {"points": (tags, size)}).items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ModelFileError(
                    f"Head: {name} is not finite float32 {list(shape)}, got {array.dtype} {array.shape}."
                )
        edges = [edge for space in self.spaces.values() for edge in space]
        if edges != sorted(edges) or edges[::2] != [0, *edges[1:-1:2]] or edges[-1] != size:
            raise ModelFileError(f"Head: the spaces {dict(self.spaces)} do not tile the columns 0 to {size}.")

    @classmethod
    def of(cls, model: Any) -> "Head":
        """The weights of a Keras model that `musiczoo.models.architectures.build_head` made."""
        # Imported here: reading and writing heads takes no Keras.
        from musiczoo.models.architectures import CALIBRATION_LAYER, LOGITS_LAYER, STANDARDIZE_LAYER, UNITS_LAYER

        standard, units = model.get_layer(STANDARDIZE_LAYER), model.get_layer(UNITS_LAYER)
        points, embedding = model.get_layer(LOGITS_LAYER), model.get_layer(EMBEDDING_NAME)
        calibration = model.get_layer(CALIBRATION_LAYER)
        mean, scale = (np.asarray(weight, np.float64) for weight in (standard.mean, standard.scale))
        kernel, bias = (np.asarray(weight, np.float64) for weight in (units.kernel, units.bias))
        matrix = points.matrix() * np.asarray(calibration.scale)
        arrays = {
            "kernel": scale[:, np.newaxis] * kernel,
            "bias": bias - (mean * scale) @ kernel,
            "tag_kernel": matrix,
            "tag_bias": calibration.offset,
            "points": points.points(),
        }
        return cls(
            **{name: np.asarray(array, np.float32) for name, array in arrays.items()},
            spaces=getattr(embedding, "spaces", points.spaces),
            normalized=hasattr(embedding, "spaces"),
        )

    @property
    def parameters(self) -> int:
        """Count of trained numbers; a tag counts with the columns of its space."""
        return self.kernel.size + self.bias.size + int(np.count_nonzero(self.tag_kernel))

    @property
    def space_mask(self) -> Array:
        """``[E, S]``: 1 where a column is of a space."""
        mask = np.zeros((self.kernel.shape[1], len(self.spaces)), np.float32)
        for column, (start, stop) in enumerate(self.spaces.values()):
            mask[start:stop, column] = 1
        return mask

    def __call__(self, features: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """What the graph computes, in float64: ``[N, F]`` -> ``{"embedding": [N, E], "tags": [N, T]}``.

        >>> head = Head(*(np.ones(s, np.float32) for s in ((1, 2), 2, (2, 1), 1, (1, 2))), {"all": (0, 2)})
        >>> head(np.ones((1, 1)))["embedding"].round(3)
        array([[0.707, 0.707]])
        """
        embedding = np.maximum(np.asarray(features, np.float64) @ self.kernel + self.bias, 0)
        if self.normalized:
            embedding = embedding + EPSILON
            lengths = np.sqrt(np.square(embedding) @ self.space_mask @ self.space_mask.T)
            embedding = embedding / lengths / len(self.spaces) ** 0.5
        logits = embedding @ self.tag_kernel.astype(np.float64) + self.tag_bias
        return {EMBEDDING_NAME: embedding, TAGS_NAME: 1 / (1 + np.exp(-logits))}

    def write(self, graph: Graph, features: str) -> None:
        """Add the head to a graph that computes the features; only operations that no ONNX opset has changed."""
        parts = {"kernel": self.kernel, "bias": self.bias, "tag_kernel": self.tag_kernel, "tag_bias": self.tag_bias}
        c = {name: graph.constant(f"head/{name}", value) for name, value in parts.items()}
        units = graph.add(
            "Relu", graph.add("Gemm", features, c["kernel"], c["bias"], name="head/dense"), name="head/units"
        )
        if self.normalized:
            units = graph.add("Add", units, graph.constant("head/epsilon", EPSILON), name="head/shifted")
            squares = graph.add("Mul", units, units, name="head/squares")
            mask = self.space_mask
            sums = graph.add("MatMul", squares, graph.constant("head/mask", mask), name="head/sums")
            each = graph.constant("head/mask_back", mask.T * len(self.spaces))
            lengths = graph.add("Sqrt", graph.add("MatMul", sums, each, name="head/spread"), name="head/lengths")
            graph.add("Div", units, lengths, name=EMBEDDING_NAME)
        else:
            graph.add("Identity", units, name=EMBEDDING_NAME)
        logits = graph.add("Gemm", EMBEDDING_NAME, c["tag_kernel"], c["tag_bias"], name="head/logits")
        graph.add("Sigmoid", logits, name=TAGS_NAME)

    def save(self, path: Path) -> None:
        """Write the weights as .npz in float16: round them first (see `rounded`)."""
        arrays: dict[str, Any] = {name: getattr(self, name).astype(np.float16) for name in _ARRAYS}
        arrays[_SPACES] = np.array(json.dumps({"spaces": self.spaces, "normalized": self.normalized}))
        np.savez_compressed(path, **arrays)

    @classmethod
    def read(cls, path: Path) -> "Head":
        """Read what `save` wrote.

        Raises:
            ModelFileError: If it cannot be read, or the weights do not fit together.
        """
        try:
            with open_npz(path) as file:
                arrays = {name: file[name].astype(np.float32) for name in _ARRAYS}
                said = json.loads(str(file[_SPACES]))
            spaces = {name: (int(start), int(stop)) for name, (start, stop) in said["spaces"].items()}
            return cls(**arrays, spaces=spaces, normalized=bool(said["normalized"]))
        except (*UNREADABLE, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(f"{path} does not hold the weights of a head: {error!r}. Export it again.") from error

    def rounded(self) -> "Head":
        """The same with weights that float16 holds exactly."""
        arrays = {name: getattr(self, name).astype(np.float16).astype(np.float32) for name in _ARRAYS}
        return Head(**arrays, spaces=self.spaces, normalized=self.normalized)
