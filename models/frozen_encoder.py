"""A frozen encoder: the part of an ONNX graph from the waveform to the features that a head is trained on.

An encoder is a model of a zoo, or an ONNX file that `musiczoo.export.foreign` imported. Its weights stay as they are,
so its graph is cut off behind one tensor and run as it is: no Keras model of it is needed.

Conventions
-----------
- The features are a tensor ``[N, F]`` of the graph, called its *layer*: `FEATURES_NAME` where the graph has a tensor of
  that name, else the embedding, unless another is named. A unit embedding has lost the length of the layer before it,
  so a hidden layer is the better choice where there is one.
- A cut graph has the input `INPUT_NAME` and the output `FEATURES_NAME`.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper

from musiczoo._files import atomic_file
from musiczoo.card import (
    CARD_FILE,
    EMBEDDING_NAME,
    INPUT_NAME,
    LIMITS,
    MODEL_FILE,
    FrontEnd,
    check,
    read_card,
    verify_files,
)
from musiczoo.errors import InputError, ModelFileError, UnknownNameError
from musiczoo.hub import is_address
from musiczoo.registry import find, list_models, user_encoders
from musiczoo.session import check_whole, open_session

FEATURES_NAME = "features"
"""The tensor that heads are trained on, in graphs that have one of this name."""

ENCODER_FILE = "encoder.json"
"""What an imported encoder has in the place of a card: it has no tags."""

BATCH_AXIS = "N"
_BATCH = 8
"""Excerpts in one run: more take no less time each."""

NO_FRONT_END = FrontEnd(0, 0, 0.0)
"""Of a graph that computes something else than a log-mel as `FrontEnd` describes them."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class EncoderCard:
    """What must be known about an encoder; that of an imported one is its encoder.json.

    Attributes:
        name: In the zoo or among the imported encoders.
        sample_rate: Hz of the mono waveform that it takes.
        excerpt_samples: Samples in one excerpt.
        sha256: Of the ONNX file.
        licence: Of its weights.
        front_end: The log-mel inside the graph; zeros where the graph does something else.
        parameters: Trained parameters.
        data: What it was trained on.
        sources: What to cite.
    """

    name: str
    sample_rate: int
    excerpt_samples: int
    sha256: str
    licence: str = "unspecified"
    front_end: FrontEnd = NO_FRONT_END
    parameters: int = 0
    data: str = ""
    sources: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The text of encoder.json."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> "EncoderCard":
        """Read the encoder.json of a folder.

        Raises:
            ModelFileError: If it cannot be read, or a field is missing, unknown or of the wrong type.
        """
        path = folder / ENCODER_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            json.dumps(values, ensure_ascii=False).encode()  # JSON may hold halves of characters, which are no text
            values["front_end"] = FrontEnd(**values["front_end"])
            values["sources"] = tuple(values["sources"])
            card = cls(**values)
            for field in dataclasses.fields(cls):
                if not isinstance(value := getattr(card, field.name), type(_EXAMPLE[field.name])):
                    raise TypeError(f"{field.name} is {value!r}")
            for name in ("sample_rate", "excerpt_samples"):
                check(0 < getattr(card, name) <= LIMITS[name], name, f"1 to {LIMITS[name]}", getattr(card, name))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # CardError too
            raise ModelFileError(
                f"{path}: not the description of an imported encoder ({error!r}). Import it again: musiczoo import onnx"
            ) from error
        return card


_EXAMPLE = dataclasses.asdict(EncoderCard("", 1, 1, "")) | {"front_end": NO_FRONT_END}


@dataclass(frozen=True, eq=False)
class Encoder:
    """A frozen encoder, ready to run; see `open_encoder`.

    Attributes:
        card: What must be known about it.
        layer: Tensor of its graph that the features are.
        size: Columns of the features.
        graph: ``waveform [N, excerpt_samples]`` -> ``features [N, size]``.
    """

    card: EncoderCard
    layer: str
    size: int
    graph: onnx.ModelProto

    @property
    def id(self) -> str:
        """Name and a hash of file and layer: equal ids mean equal features."""
        name = re.sub(r"[^\w.-]", "_", self.card.name)
        return f"{name}-{hashlib.sha256(f'{self.card.sha256} {self.layer}'.encode()).hexdigest()[:12]}"

    def features(self, excerpts: Array) -> Array:
        """Features of excerpts: ``[N, excerpt_samples] -> [N, size]``.

        Raises:
            ModelFileError: If the graph cannot be run, or returns values that are not finite or of another shape.
        """
        parts = [np.zeros((0, self.size), np.float32)]
        for i in range(0, len(excerpts), _BATCH):
            parts.append(_run(self._session, excerpts[i : i + _BATCH], self.card.name, self.layer, self.size))
        return np.concatenate(parts)

    @cached_property
    def _session(self) -> Any:
        return open_session(self.graph.SerializeToString(), Path(self.card.name), None)


def open_encoder(name_or_folder: str | os.PathLike[str], layer: str | None = None) -> Encoder:
    """Open an encoder.

    Args:
        name_or_folder: A model's name, folder or address on the Hub, or the name or folder of an imported encoder.
        layer: Tensor ``[N, F]`` to take as features; by default `FEATURES_NAME` where the graph has it, else the
            embedding.

    Raises:
        UnknownNameError: If there is no such model, encoder or tensor, with the nearest name.
        ModelFileError: If its file is missing, altered, no ONNX, or cannot be run.
        InputError: If the tensor is not of shape ``[N, F]``.
    """
    folder = _folder(name_or_folder)
    card, content = _verified(folder)
    return encoder_of(content, card, folder / MODEL_FILE, layer)


def keep(name_or_folder: str | os.PathLike[str], folder: Path) -> None:
    """Copy an encoder into a folder, for a run to be whole; nothing happens if that holds one already.

    Raises:
        UnknownNameError: If there is no such model or encoder.
        ModelFileError: If its file is missing or altered.
        WriteError: If the folder cannot be written.
    """
    if (folder / ENCODER_FILE).is_file():
        return
    card, content = _verified(_folder(name_or_folder))
    for name, data in ((MODEL_FILE, content), (ENCODER_FILE, card.to_json().encode())):
        with atomic_file(folder / name) as file:
            file.write(data)


def encoder_of(content: bytes, card: EncoderCard, path: Path, layer: str | None = None) -> Encoder:
    """The same from the content of an ONNX file; `path` is what messages call it."""
    check_whole(content, path)
    try:
        proto = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelFileError(f"{path} is not an ONNX file: {error}.") from error
    tensors = [name for node in proto.graph.node for name in node.output if name]
    chosen = layer or (FEATURES_NAME if FEATURES_NAME in tensors else EMBEDDING_NAME)
    if chosen not in tensors:
        raise UnknownNameError.of(f"tensor in {path}", chosen, tensors[::-1])
    graph = cut(proto, chosen, card.excerpt_samples)
    session = open_session(graph.SerializeToString(), path, None)
    features = _run(session, np.zeros((2, card.excerpt_samples), np.float32), str(path), chosen)
    return Encoder(card, chosen, features.shape[1], graph)


def encoder_fields(encoder: Encoder) -> dict[str, str]:
    """What the card of a model with a frozen encoder says of that in its recipe."""
    return {
        "encoder": encoder.card.name,
        "encoder_layer": encoder.layer,
        "encoder_sha256": encoder.card.sha256,
    }


def cut(proto: onnx.ModelProto, layer: str, excerpt_samples: int) -> onnx.ModelProto:
    """The part of a graph that computes one of its tensors.

    Args:
        proto: A graph with one input, of waveforms.
        layer: Which tensor.
        excerpt_samples: Samples of an excerpt.

    Returns:
        A graph ``waveform [N, excerpt_samples] -> features``. Tensors keep their names, but for the input, the layer,
        and those that bear these names or those of a model's outputs.
    """
    graph = proto.graph
    nodes: list[onnx.NodeProto] = []
    wanted = {layer}
    for node in reversed(graph.node):
        if wanted & set(node.output):
            nodes.insert(0, node)
            wanted |= set(_inputs(node))
    constants = {tensor.name for tensor in graph.initializer}
    source = next(value.name for value in graph.input if value.name not in constants)
    taken = {name: f"encoder/{name}" for name in (INPUT_NAME, FEATURES_NAME, EMBEDDING_NAME, "tags")}
    new = taken | {source: INPUT_NAME, layer: FEATURES_NAME}
    shapes = [BATCH_AXIS, excerpt_samples], [BATCH_AXIS, "F"]
    names = (INPUT_NAME, FEATURES_NAME)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, shapes, strict=True)]
    kept = [_renamed_tensor(tensor, new) for tensor in graph.initializer if tensor.name in wanted]
    part = helper.make_graph([_renamed(node, new) for node in nodes], "encoder", values[:1], values[1:], kept)
    return helper.make_model(
        part, producer_name="musiczoo", opset_imports=proto.opset_import, ir_version=proto.ir_version,
        functions=proto.functions,
    )  # fmt: skip


def _folder(name_or_folder: str | os.PathLike[str]) -> Path:
    encoders = {path.parent.name: path.parent for path in user_encoders().glob(f"*/{ENCODER_FILE}")}
    if isinstance(name_or_folder, str) and name_or_folder in encoders and name_or_folder not in list_models():
        return encoders[name_or_folder]
    if is_address(name_or_folder):
        return find(name_or_folder)
    try:
        return find(name_or_folder)
    except UnknownNameError as error:
        raise UnknownNameError.of("encoder", os.fspath(name_or_folder), [*list_models(), *encoders]) from error


def _verified(folder: Path) -> tuple[EncoderCard, bytes]:
    """The description of an encoder, and its ONNX file, which is the one that this describes."""
    if (folder / ENCODER_FILE).is_file() and not (folder / CARD_FILE).is_file():
        card = EncoderCard.read(folder)
        try:
            content = (folder / MODEL_FILE).read_bytes()
        except OSError as error:
            raise ModelFileError(f"Cannot read {folder / MODEL_FILE}: {error.strerror}. Import it again.") from error
        if hashlib.sha256(content).hexdigest() != card.sha256:
            raise ModelFileError(f"{folder / MODEL_FILE} was altered since it was imported. Import it again.")
        return card, content
    model = read_card(folder)
    contents = verify_files(model, folder, (MODEL_FILE,))
    if MODEL_FILE not in contents:
        raise ModelFileError(f"{folder}: no sha256 of {MODEL_FILE} in the card. Publish the model again.")
    card = EncoderCard(
        name=model.name,
        sample_rate=model.sample_rate,
        excerpt_samples=model.excerpt_samples,
        sha256=model.files[MODEL_FILE],
        licence=model.licence,
        front_end=model.front_end,
        parameters=model.parameters,
        data=model.data,
        sources=model.sources,
    )
    return card, contents[MODEL_FILE]


def _run(session: Any, batch: Array, name: str, layer: str, size: int | None = None) -> Array:
    try:
        features = np.asarray(session.run([FEATURES_NAME], {INPUT_NAME: batch})[0])
    except Exception as error:  # onnxruntime's own classes share no base
        raise ModelFileError(f"The graph of {name} cannot be run: {error}") from error
    if features.ndim != 2 or len(features) != len(batch) or features.shape[1] != (size or features.shape[1]):
        raise InputError(
            f"The tensor {layer!r} of {name} has shape {list(features.shape)} for {len(batch)} excerpts, and a head "
            "takes [N, F]. Name another layer."
        )
    if features.dtype != np.float32 or not np.isfinite(features).all():
        raise ModelFileError(f"The tensor {layer!r} of {name} is not finite float32. Name another layer.")
    return features


def _inputs(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, and what the graphs inside it read."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
            for inner in graph.node:
                yield from _inputs(inner)


def _renamed(node: onnx.NodeProto, new: dict[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [new.get(name, name) for name in node.input]
    copy.output[:] = [new.get(name, name) for name in node.output]
    for attribute in copy.attribute:
        for graph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
            inner = [_renamed(part, new) for part in graph.node]
            del graph.node[:]
            graph.node.extend(inner)
    return copy


def _renamed_tensor(tensor: onnx.TensorProto, new: dict[str, str]) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = new.get(tensor.name, tensor.name)
    return copy
