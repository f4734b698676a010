"""model.onnx behind a card that vouches for it: whoever makes a model makes both.

The first byte of an input tells whether the card's sums are those of the files: if not, nothing else may happen than
that the model is refused.
"""

import dataclasses
import hashlib
import io
import random
from pathlib import Path

import havoc
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import musiczoo
from musiczoo.card import CARD_FILE, EMBEDDING_NAME, INPUT_NAME, MODEL_FILE, POINTS_FILE, TAGS_NAME
from musiczoo.errors import ModelFileError

from .card import CARD

OPERATORS = [
    "Abs", "MatMul", "Gemm", "Reshape", "Expand", "Tile", "Loop", "If", "Scan", "ConstantOfShape", "Range", "Pad",
    "Conv", "Concat", "Split", "Slice", "Gather", "ScatterND", "Resize", "RandomUniform", "NonZero", "Cast", "DFT",
    "STFT", "Identity", "StringConcat", "Sequence", "Optional", "Einsum", "LSTM", "OneHot", "TopK", "Unique",
    "FusedConv", "MelWeightMatrix",
]  # fmt: skip
ATTRIBUTES = ["alpha", "axis", "to", "shape", "value", "size", "high", "perm", "body", "kernel_shape"]
PLACES = ("secret.bin", "../secret.bin", "/etc/passwd", "model.onnx", "*/_ORT_MEM_ADDR_/*", "./a/../secret.bin", "")
WORDS = (INPUT_NAME, EMBEDDING_NAME, TAGS_NAME, "w", "v", "y", "", "shape", "\xed\xb3\xbf")
SECRET = b"\0\0\x80\x3f" * 64


def small() -> onnx.ModelProto:
    """Two products of the waveform: the embedding, and the tags."""
    dice = np.random.default_rng(0)
    shapes = {"w": (CARD.excerpt_samples, CARD.embedding_size), "v": (CARD.excerpt_samples, len(CARD.tags))}
    weights = [numpy_helper.from_array(dice.standard_normal(s).astype("f4"), name) for name, s in shapes.items()]
    nodes = [
        helper.make_node("Abs", [INPUT_NAME], ["y"]),
        helper.make_node("MatMul", ["y", "w"], [EMBEDDING_NAME]),
        helper.make_node("Gemm", ["y", "v"], ["logits"], alpha=0.5),
        helper.make_node("Sigmoid", ["logits"], [TAGS_NAME]),
    ]
    sizes = {INPUT_NAME: CARD.excerpt_samples, EMBEDDING_NAME: CARD.embedding_size, TAGS_NAME: len(CARD.tags)}
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in sizes.items()]
    graph = helper.make_graph(nodes, "small", infos[:1], infos[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, CARD.metadata())
    return model


def outside(location: str, offset: int = 0) -> onnx.ModelProto:
    """The same with weights in another file, or in memory."""
    model = small()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", "128")):
        tensor.external_data.add(key=key, value=value)
    return model


def seeds() -> list[bytes]:
    """The model, altered after it was published and not; and with weights elsewhere."""
    whole = small().SerializeToString()
    return [b"\0" + whole, b"\1" + whole, *(b"\0" + outside(place).SerializeToString() for place in PLACES[:2])]


def run(data: bytes) -> None:
    """Load it and run it on an excerpt."""
    kind, content = (data[0], data[1:]) if data else (0, b"")
    points = io.BytesIO()
    np.save(points, np.eye(2, 4, dtype=np.float16))
    files = {MODEL_FILE: content, POINTS_FILE: points.getvalue()}
    sums = {name: hashlib.sha256(file).hexdigest() for name, file in files.items()}
    if kind & 1:
        sums[MODEL_FILE] = hashlib.sha256(content + b"\0").hexdigest()
    folder = Path("small")
    folder.mkdir()
    for name, file in files.items():
        (folder / name).write_bytes(file)
    for place in (folder / "secret.bin", Path("secret.bin")):
        place.write_bytes(SECRET)
    (folder / CARD_FILE).write_text(dataclasses.replace(CARD, files=sums).to_json())
    try:
        model = musiczoo.load(folder, threads=1)
    except ModelFileError as error:
        if kind & 1 and "altered" not in str(error):
            raise AssertionError("an altered model was looked at") from error
        raise
    assert not kind & 1, "an altered model was loaded"
    # What a graph may read is itself: no weights in other files.
    assert b"location" not in content or b"external" not in content, "external data was loaded"
    proto = onnx.load_model_from_string(content)
    assert not any(t.data_location == TensorProto.EXTERNAL for t in proto.graph.initializer), "external data was loaded"
    excerpts = np.linspace(-1, 1, 2 * CARD.excerpt_samples, dtype=np.float32).reshape(2, -1)
    assert model.embed(excerpts).shape == (2, CARD.embedding_size)
    assert model.tag(excerpts).shape == (2, len(CARD.tags))
    model.analyze(excerpts.ravel(), CARD.sample_rate * 1000)


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A node, an attribute, a shape, a tensor or the metadata changed; or bytes."""
    try:
        model = onnx.load_model_from_string(data[1:])
        graph = model.graph
        kind = dice.randrange(9)
        if kind == 0 and graph.node:
            dice.choice(graph.node).op_type = dice.choice(OPERATORS)
        elif kind == 1 and graph.node:
            node = dice.choice(graph.node)
            names = node.input if dice.random() < 0.6 else node.output
            if names and dice.random() < 0.7:
                names[dice.randrange(len(names))] = dice.choice(WORDS)
            else:
                names.append(dice.choice(WORDS))
        elif kind == 2 and graph.node:
            node = dice.choice(graph.node)
            integer = (dice.choice(havoc.NUMBERS) + 2**63) % 2**64 - 2**63
            value = dice.choice(([integer], integer, 0.5, "text", numpy_helper.from_array(np.array([integer])), graph))
            node.attribute.append(helper.make_attribute(dice.choice(ATTRIBUTES), value))
        elif kind == 3 and graph.initializer:
            tensor = dice.choice(graph.initializer)
            if tensor.dims:
                tensor.dims[dice.randrange(len(tensor.dims))] = (dice.choice(havoc.NUMBERS) + 2**63) % 2**64 - 2**63
        elif kind == 4 and graph.initializer:
            tensor = dice.choice(graph.initializer)
            tensor.data_type = dice.randrange(24)
        elif kind == 5:
            new = outside(dice.choice(PLACES), dice.choice((0, 1, 64, 2**40))).graph.initializer[0]
            if graph.node and dice.random() < 0.3:
                graph.node.append(helper.make_node("Constant", [], ["w"], value=new))
            else:
                graph.initializer.append(new)
        elif kind == 6 and model.metadata_props:
            dice.choice(model.metadata_props).value = dice.choice(("", "[" * 3000, "{}", "null", '"\\ud800"', "\x00"))
        elif kind == 7:
            info = dice.choice([*graph.input, *graph.output] or [graph.input.add()])
            size = info.type.tensor_type.shape.dim.add() if dice.random() < 0.3 else None
            for dim in info.type.tensor_type.shape.dim if size is None else (size,):
                dim.dim_value = (dice.choice(havoc.NUMBERS) + 2**63) % 2**64 - 2**63
        else:
            return data[:1] + havoc.mutate(data[1:], dice)
        return data[:1] + model.SerializeToString()
    except Exception:  # noqa: BLE001  protobuf and onnx raise many things at damaged models
        return data[:1] + havoc.mutate(data[1:], dice)
