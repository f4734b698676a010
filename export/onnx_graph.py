"""Build an ONNX graph operation by operation, with the `onnx` package alone.

For networks that are not Keras models; `musiczoo.export.onnx` converts those.

Conventions
-----------
- Strings name the values inside the graph; `Graph.add` returns the name of an operation's output.
- Constants are float32; axes, sizes and shapes are int64.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME, ModelCard
from musiczoo.models.dft import STAGE, dft_matrices

OPSET = 17
"""Operator set of 2022, which every current runtime supports; tf2onnx refuses 19 and newer."""

IR_VERSION = 8
"""Version of the file format, from the same year."""

BATCH_AXIS = "N"
LOG_MEL = "log_mel"
"""Name of the front end's output inside the graph: ``[N, frames, n_mels]``."""

OUTPUTS = (EMBEDDING_NAME, TAGS_NAME)

_FORMAT_FIELDS = {"opset_imports": "opset_import", "ir_version": "ir_version", "functions": "functions"}


class Graph:
    """An ONNX graph under construction, from a waveform to `OUTPUTS`.

    Args:
        start: A graph to go on from, whose nodes, constants and opsets are taken over; by default an empty one.

    Example:
        >>> graph = Graph()
        >>> graph.add("Mul", "x", graph.constant("two", [2.0]))
        'Mul_1'
    """

    def __init__(self, start: onnx.ModelProto | None = None) -> None:
        self._nodes: list[onnx.NodeProto] = [] if start is None else list(start.graph.node)
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._format: dict[str, Any] = {"opset_imports": [helper.make_opsetid("", OPSET)], "ir_version": IR_VERSION}
        if start is not None:
            self._initializers = {tensor.name: tensor for tensor in start.graph.initializer}
            self._format = {name: getattr(start, field) for name, field in _FORMAT_FIELDS.items()}

    def constant(self, name: str, value: ArrayLike) -> str:
        """Store an array under a name: float32, or int64 if its values are integers."""
        array = np.asarray(value)
        array = np.ascontiguousarray(array, np.int64 if array.dtype.kind == "i" else np.float32)
        self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def add(self, operation: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add an operation with one output, named by `name` or by its kind and number."""
        output = name or f"{operation}_{len(self._nodes) + 1}"
        self._nodes.append(helper.make_node(operation, list(inputs), [output], output, **attributes))
        return output

    def reshape(self, value: str, *shape: int) -> str:
        """Reshape a value: 0 keeps a dimension, -1 is inferred."""
        return self.add("Reshape", value, self._integers(*shape))

    def slice(self, value: str, axis: int, start: int, stop: int) -> str:
        """``value[..., start:stop, ...]`` along an axis."""
        return self.add("Slice", value, self._integers(start), self._integers(stop), self._integers(axis))

    def pad_start(self, value: str, axis: int, count: int, rank: int) -> str:
        """Put `count` zeros before the first element along one of `rank` axes."""
        return self.add("Pad", value, self._integers(*(count * (i == axis) for i in range(rank)), *[0] * rank))

    def expand(self, value: str, axis: int) -> str:
        """Insert an axis of size 1."""
        return self.add("Unsqueeze", value, self._integers(axis))

    def log_mel(self, waveform: str, card: ModelCard) -> str:
        """Add the log-mel of a waveform ``[N, excerpt_samples]``, as in `musiczoo.models.frontend.LogMel`.

        Returns:
            The name `LOG_MEL`: ``[N, excerpt_samples // hop, n_mels]``.
        """
        settings, hop = card.front_end, card.front_end.n_fft // 2
        frames, second, half = card.excerpt_samples // hop, settings.n_fft // STAGE, STAGE // 2 + 1
        m = {
            name: self.constant(f"{LOG_MEL}/{name}", value)
            for name, value in dft_matrices(settings, card.sample_rate).items()
        }
        padded = self.pad_start(self.slice(waveform, 1, 0, frames * hop), 1, hop, 2)
        blocks = self.reshape(padded, -1, frames + 1, hop)
        neighbours = self.slice(blocks, 1, 0, frames), self.slice(blocks, 1, 1, frames + 1)
        framed = self.add("Mul", self.add("Concat", *neighbours, axis=2), m["window"])
        columns = self.add("MatMul", m["first_stage"], self.reshape(framed, -1, frames, STAGE, second))
        re, im = self.slice(columns, 2, 0, half), self.slice(columns, 2, half, 2 * half)
        turned_re = self.add("Add", self.add("Mul", re, m["cosine"]), self.add("Mul", im, m["sine"]))
        turned_im = self.add("Sub", self.add("Mul", im, m["cosine"]), self.add("Mul", re, m["sine"]))
        turned = self.reshape(self.add("Concat", turned_re, turned_im, axis=3), -1, 2 * second)
        spectrum = self.add("MatMul", turned, m["second_stage"])
        parts = self.slice(spectrum, 1, 0, second), self.slice(spectrum, 1, second, 2 * second)
        power = self.add("Add", *(self.add("Mul", part, part) for part in parts))
        mel = self.add("MatMul", self.reshape(power, -1, frames, half * second), m["mel"])
        scaled = self.add("Mul", mel, self.constant(f"{LOG_MEL}/gain", settings.gain))
        log = self.add("Log", self.add("Add", scaled, self.constant(f"{LOG_MEL}/one", 1.0)))
        scale = self.constant(f"{LOG_MEL}/scale", 1 / (np.log(10) * settings.std))
        if not settings.mean:
            return self.add("Mul", log, scale, name=LOG_MEL)
        offset = self.constant(f"{LOG_MEL}/offset", settings.mean / settings.std)
        return self.add("Sub", self.add("Mul", log, scale), offset, name=LOG_MEL)

    def save(self, card: ModelCard, path: Path) -> None:
        """Check the graph and write it with the card's metadata.

        Raises:
            onnx.checker.ValidationError: If the graph is not valid ONNX.
        """
        sizes = {EMBEDDING_NAME: card.embedding_size, TAGS_NAME: len(card.tags)}
        waveform = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [BATCH_AXIS, card.excerpt_samples])
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH_AXIS, sizes[name]]) for name in OUTPUTS
        ]
        graph = helper.make_graph(self._nodes, card.name, [waveform], outputs, list(self._initializers.values()))
        proto = helper.make_model(graph, producer_name="musiczoo", **self._format)
        helper.set_model_props(proto, card.metadata())
        onnx.checker.check_model(proto, full_check=True)
        onnx.save_model(proto, str(path))

    def _integers(self, *values: int) -> str:
        return self.constant("_".join(("int64", *map(str, values))), np.array(values, np.int64))
