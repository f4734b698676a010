"""A user's ONNX as an encoder: what is taken, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from toy import music

from musiczoo.card import CARD_FILE, MODEL_FILE
from musiczoo.errors import InputError, ModelFileError, MusicZooError, UnknownNameError
from musiczoo.export.foreign import import_onnx, probes
from musiczoo.models.frozen_encoder import ENCODER_FILE, open_encoder
from musiczoo.registry import HOME_VARIABLE, list_models

RATE, SIZE, BLOCK = 8000, 16000, 400
MATRIX = np.random.default_rng(0).normal(size=(SIZE // BLOCK, 6)).astype(np.float32)


def write(
    path: Path,
    nodes: list[onnx.NodeProto] | None = None,
    shape: tuple[Any, ...] = ("batch", SIZE),
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
    constants: dict[str, Any] | None = None,
    inputs: tuple[str, ...] = ("audio",),
) -> Path:
    """Mean magnitudes of blocks and a matrix: ``audio [N, SIZE] -> vector [N, 6] -> probabilities``."""
    values = {"matrix": MATRIX, "blocks": np.array([0, -1, BLOCK]), "two": np.array([2])} | (constants or {})
    if nodes is None:
        nodes = [
            helper.make_node("Reshape", ["audio", "blocks"], ["cut"]),
            helper.make_node("Abs", ["cut"], ["size"]),
            helper.make_node("ReduceMean", ["size"], ["pooled"], axes=[2], keepdims=0),
            helper.make_node("MatMul", ["pooled", "matrix"], ["embedding"]),
        ]
    graph = helper.make_graph(
        [*nodes, helper.make_node("Sigmoid", ["embedding"], ["probabilities"])],
        "somebody's",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(path))
    return path


def take(file: Path, encoders: Path, **changes: Any) -> Path:
    options = {"sample_rate": RATE, "excerpt_s": 2, "embedding": "embedding", "encoders": encoders}
    return import_onnx(file, **(options | changes))


def test_imported_encoder_gives_the_files_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    folder = take(write(tmp_path / "mine.onnx"), tmp_path / "home" / "encoders", licence="CC0")
    assert sorted(path.name for path in folder.iterdir()) == [ENCODER_FILE, MODEL_FILE]
    assert "mine" not in list_models()  # it has no tags
    encoder = open_encoder("mine")
    audio = np.stack([music(2, RATE, seed=seed) for seed in range(3)])
    expected = np.abs(audio.astype(float)).reshape(3, -1, BLOCK).mean(axis=2) @ MATRIX
    np.testing.assert_allclose(encoder.features(audio), expected, atol=1e-5)
    card = encoder.card
    assert (card.sample_rate, card.excerpt_samples, card.licence, card.parameters) == (RATE, SIZE, "CC0", MATRIX.size)
    # What comes after the embedding is not kept.
    assert "Sigmoid" not in {node.op_type for node in encoder.graph.graph.node}


def test_names_inside_may_be_those_of_a_model(tmp_path: Path) -> None:
    """Tensors called features, waveform and tags on the way to the embedding."""
    nodes = [
        helper.make_node("Reshape", ["audio", "blocks"], ["tags"]),
        helper.make_node("Abs", ["tags"], ["waveform"]),
        helper.make_node("ReduceMean", ["waveform"], ["features"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["features", "matrix"], ["embedding"]),
    ]
    folder = take(write(tmp_path / "mine.onnx", nodes), tmp_path)
    audio = music(2, RATE)[np.newaxis]
    expected = np.abs(audio).reshape(1, -1, BLOCK).mean(axis=2) @ MATRIX
    np.testing.assert_allclose(open_encoder(folder).features(audio), expected, atol=1e-5)
    np.testing.assert_allclose(
        open_encoder(folder, "encoder/features").features(audio),
        np.abs(audio).reshape(1, -1, BLOCK).mean(axis=2),
        atol=1e-6,
    )


def _with(*middle: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Nodes from the blocks, ``[N, blocks, BLOCK]`` magnitudes, to the embedding."""
    start = [
        helper.make_node("Reshape", ["audio", "blocks"], ["cut"]),
        helper.make_node("Abs", ["cut"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["pooled"], axes=[2], keepdims=0),
    ]
    return [*start, *middle]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another length": ({"shape": ("batch", SIZE + 1)}, "correct --sample-rate and --excerpt"),
    "a batch of one": ({"shape": (1, SIZE)}, "dynamic first axis"),
    "three axes": ({"shape": ("batch", 1, SIZE)}, "preprocessing inside"),
    "another type": ({"kind": TensorProto.DOUBLE}, "DOUBLE|not a valid|cannot be run|expected an ONNX"),
    "two inputs": ({"inputs": ("audio", "sample_rate")}, "its inputs are: audio, sample_rate"),
    "an old opset": ({"opset": 11}, "opset 11"),
    "one number for all music": (
        {
            "nodes": _with(
                helper.make_node("MatMul", ["pooled", "matrix"], ["x"]),
                helper.make_node("Sub", ["x", "x"], ["embedding"]),
            )
        },
        "same features for different music",
    ),
    "numbers that are not finite": (
        {"nodes": _with(helper.make_node("Log", ["pooled"], ["embedding"]))},
        "not finite float32",
    ),
    "features of the whole batch": (
        {"nodes": _with(
            helper.make_node("MatMul", ["pooled", "matrix"], ["x"]),
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0]),
            helper.make_node("Sub", ["x", "mean"], ["embedding"]),
        )},
        "one excerpt at a time",
    ),
    "features that change": (
        {"nodes": _with(
            helper.make_node("MatMul", ["pooled", "matrix"], ["x"]),
            helper.make_node("RandomNormalLike", ["x"], ["noise"]),
            helper.make_node("Add", ["x", "noise"], ["embedding"]),
        )},
        "in a second run",
    ),
    "features with a third axis": (
        {"nodes": _with(helper.make_node("MatMul", ["size", "square"], ["embedding"])),
         "constants": {"square": np.eye(BLOCK, dtype=np.float32)}},
        r"a head takes \[N, F\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_graphs_are_refused(tmp_path: Path, what: str) -> None:
    changes, message = BAD[what]
    with pytest.raises(MusicZooError, match=message):
        take(write(tmp_path / "bad.onnx", **changes), tmp_path / "encoders")
    assert not list((tmp_path / "encoders").glob("[!.]*"))


@pytest.mark.parametrize("content", [b"", b"no ONNX", b"\x08\x08" * 50])
def test_bad_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(ModelFileError):
        take(tmp_path / "bad.onnx", tmp_path / "encoders")


def test_data_in_other_files_are_refused(tmp_path: Path) -> None:
    proto = onnx.load(str(write(tmp_path / "mine.onnx")))
    onnx.save_model(
        proto, str(tmp_path / "mine.onnx"), save_as_external_data=True, location="weights", size_threshold=0
    )
    with pytest.raises(ModelFileError, match="data in other files"):
        take(tmp_path / "mine.onnx", tmp_path / "encoders")


def test_bad_arguments(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.onnx")
    with pytest.raises(UnknownNameError, match="Did you mean 'embedding'"):
        take(file, tmp_path, embedding="embeding")
    for changes in ({"sample_rate": 0}, {"excerpt_s": -1}, {"name": "../x"}, {"name": ""}, {"name": "proxy"}):
        with pytest.raises(InputError):
            take(file, tmp_path, **changes)
    with pytest.raises(ModelFileError, match="Cannot read"):
        take(tmp_path / "none.onnx", tmp_path)


def test_damaged_encoders_are_refused(tmp_path: Path) -> None:
    folder = take(write(tmp_path / "mine.onnx"), tmp_path / "encoders")
    good = (folder / ENCODER_FILE).read_text()
    for text in (
        "",
        "[]",
        "{}",
        good.replace('"sample_rate": 8000', '"sample_rate": "8000"'),
        good.replace("mine", "\\ud800"),
        good.replace('"sample_rate": 8000', '"sample_rate": -8000'),
    ):
        (folder / ENCODER_FILE).write_text(text)
        with pytest.raises(MusicZooError):
            open_encoder(folder)
    (folder / ENCODER_FILE).write_text(good)
    (folder / MODEL_FILE).write_bytes(b"other")
    with pytest.raises(ModelFileError, match="altered"):
        open_encoder(folder)
    (folder / MODEL_FILE).unlink()
    with pytest.raises(ModelFileError, match="Cannot read"):
        open_encoder(folder)
    assert not (folder / CARD_FILE).exists()


def test_probes_are_music_noise_and_silence() -> None:
    rows = probes(RATE, SIZE)
    assert rows.shape == (4, SIZE)
    assert rows.dtype == np.float32
    assert np.abs(rows).max(axis=1)[:3].min() > 0.05
    assert not rows[3].any()
    assert probes(RATE, 60 * RATE).shape == (4, 60 * RATE)  # longer than the demo
