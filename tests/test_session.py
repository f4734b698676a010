"""ONNX files of unknown origin: they must be self-contained, and their failures have a clear message."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from toy import SIZE, write_model

import musiczoo
from musiczoo import session
from musiczoo.card import CARD_FILE, MODEL_FILE, POINTS_FILE, sha256
from musiczoo.errors import ModelFileError

SECRET = np.arange(256, dtype=np.float32)
"""The content of a file beside the model's folder."""


def vouched(folder: Path, content: bytes) -> Path:
    """A model folder with this as its graph, and a card that knows the sum of it."""
    (folder / MODEL_FILE).write_bytes(content)
    card = json.loads((folder / CARD_FILE).read_text())
    card["files"] = {MODEL_FILE: sha256(folder / MODEL_FILE)}
    (folder / CARD_FILE).write_text(json.dumps(card))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(SECRET.tobytes())
    return write_model(tmp_path / "toy")


def change(folder: Path, edit: Callable[[ModelProto], Any]) -> Path:
    model = onnx.load(folder / MODEL_FILE)
    edit(model)
    return vouched(folder, model.SerializeToString())


def outside(location: str, name: str = "b") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[256], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def as_initializer(model: ModelProto, tensor: TensorProto) -> None:
    next(old for old in model.graph.initializer if old.name == tensor.name).CopyFrom(tensor)


def as_constant(model: ModelProto, tensor: TensorProto) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["other"], value=tensor))


def in_a_branch(model: ModelProto, tensor: TensorProto) -> None:
    value = helper.make_tensor_value_info("b2", TensorProto.FLOAT, [256])
    branch = helper.make_graph([helper.make_node("Identity", [tensor.name], ["b2"])], "branch", [], [value], [tensor])
    truth = numpy_helper.from_array(np.array(True), "truth")
    model.graph.initializer.append(truth)
    model.graph.node.insert(0, helper.make_node("If", ["truth"], ["x"], then_branch=branch, else_branch=branch))


def in_a_function(model: ModelProto, tensor: TensorProto) -> None:
    nodes = [helper.make_node("Constant", [], ["y"], value=tensor)]
    model.functions.append(helper.make_function("own", "f", [], ["y"], nodes, [helper.make_opsetid("", 18)]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.insert(0, helper.make_node("f", [], ["other"], domain="own"))


@pytest.mark.parametrize("place", [as_initializer, as_constant, in_a_branch, in_a_function])
@pytest.mark.parametrize("location", ["../secret", "secret", "{tmp}/secret", MODEL_FILE, "*/_ORT_MEM_ADDR_/*"])
def test_weights_in_other_files_are_refused(
    folder: Path, tmp_path: Path, location: str, place: Callable[[ModelProto, TensorProto], None]
) -> None:
    (folder / "secret").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelFileError, match="with data in other files"):
        musiczoo.load(change(folder, lambda model: place(model, outside(location.replace("{tmp}", str(tmp_path))))))


def test_weights_in_other_files_are_refused_however_they_are_written(folder: Path) -> None:
    """Protobuf lets a tag and a length take more bytes than they need."""
    change(folder, lambda model: as_initializer(model, outside("../secret")))
    content = (folder / MODEL_FILE).read_bytes()
    for odd in (b"\x0a\x88\x00location", b"\x8a\x00\x08location", b"\x8a\x80\x00\x88\x80\x80\x00location"):
        with pytest.raises(ModelFileError, match="with data in other files"):
            session.check_whole(content.replace(b"\x0a\x08location", odd), folder / MODEL_FILE)


def test_a_graph_may_speak_of_locations(folder: Path) -> None:
    def name(model: ModelProto) -> None:
        model.doc_string = "location"
        model.graph.node[0].name = "the location"

    assert musiczoo.load(change(folder, name)).embed(np.zeros((1, SIZE), np.float32)).shape == (1, 256)


def test_the_format_of_onnxruntime_is_refused(folder: Path) -> None:
    with pytest.raises(ModelFileError, match="another format"):
        musiczoo.load(vouched(folder, b"\x18\0\0\0ORTM" + bytes(200)))


def test_what_was_verified_is_what_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files change between the verification and their use."""
    np.save(folder / POINTS_FILE, np.ones((50, 256), np.float16))
    card = json.loads((folder / CARD_FILE).read_text())
    card["files"][POINTS_FILE] = sha256(folder / POINTS_FILE)
    (folder / CARD_FILE).write_text(json.dumps(card))
    expected = musiczoo.load(folder).embed(np.ones((1, SIZE), np.float32))

    def changed(*args: Any) -> dict[str, bytes]:
        contents: dict[str, bytes] = verify(*args)
        for name in contents:
            (folder / name).write_bytes(b"something else")
        return contents

    verify = musiczoo.model.verify_files
    monkeypatch.setattr(musiczoo.model, "verify_files", changed)
    model = musiczoo.load(folder)
    np.testing.assert_array_equal(model.embed(np.ones((1, SIZE), np.float32)), expected)
    assert model.tag_points() is not None


def test_a_graph_that_fails_is_an_error(folder: Path) -> None:
    def fail(model: ModelProto) -> None:
        next(old for old in model.graph.initializer if old.name == "to_whole").CopyFrom(
            numpy_helper.from_array(np.array([-1, 255]), "to_whole")
        )
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "E"

    with pytest.raises(ModelFileError):
        musiczoo.load(change(folder, fail)).embed(np.ones((1, SIZE), np.float32))


def test_outputs_of_another_shape_are_an_error(folder: Path) -> None:
    """As many rows as it likes."""

    def none(model: ModelProto) -> None:
        next(node for node in model.graph.node if node.output[0] == "embedding").output[0] = "all"
        for name, value in (("from", [0]), ("to", [0]), ("step", [1])):
            model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
        model.graph.node.append(helper.make_node("Slice", ["all", "from", "to", "from", "step"], ["embedding"]))

    model = musiczoo.load(change(folder, none))
    with pytest.raises(ModelFileError, match=r"expected embedding \[1, 256\], got \[0, 256\]"):
        model.embed(np.ones((2, SIZE), np.float32))


@pytest.mark.parametrize("said", ["", "{", "[" * 5000, "null"])
def test_metadata_that_are_not_json_are_refused(folder: Path, said: str) -> None:
    def say(model: ModelProto) -> None:
        next(p for p in model.metadata_props if p.key == "musiczoo.tags").value = said

    with pytest.raises(ModelFileError, match=r"musiczoo\.tags"):
        musiczoo.load(change(folder, say))


def test_names_that_are_not_utf8_are_an_error(folder: Path) -> None:
    content = (folder / MODEL_FILE).read_bytes()
    with pytest.raises(ModelFileError):
        musiczoo.load(vouched(folder, content.replace(b"waveform", b"wave\xfform")))


def test_metadata_that_are_not_utf8_are_ignored(folder: Path) -> None:
    content = (folder / MODEL_FILE).read_bytes().replace(b"musiczoo.tags", b"musiczoo.\xfftag")
    try:
        model = musiczoo.load(vouched(folder, content))
    except ModelFileError:  # of the runtimes that refuse such a file
        return
    assert model.embed(np.zeros((1, SIZE), np.float32)).shape == (1, 256)
