"""int8 versions: a small convolutional model, quantised, evaluated and loaded. No TensorFlow here."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from toy import CARD, RATE, SIZE, music, write_audio

import musiczoo
from musiczoo._files import write_npy
from musiczoo.card import (
    CARD_FILE,
    EMBEDDING_NAME,
    INPUT_NAME,
    MODEL_FILE,
    README_FILE,
    TAGS_NAME,
    read_card,
    sha256,
    verify_files,
)
from musiczoo.datasets.prepared import Store, TrackEntry
from musiczoo.errors import DatasetError, InputError, ModelFileError, ParityError, UnknownNameError
from musiczoo.export import quantize as int8
from musiczoo.model import PRECISIONS
from musiczoo.session import open_session

INT8_FILE = PRECISIONS["int8"]
CONVOLUTIONAL = dataclasses.replace(CARD, name="small", metrics={"test": {"roc_auc": 0.5}})


def write_small(folder: Path) -> Path:
    """|waveform| pooled by 21 as a picture [1, 63, 50], two convolutions side by side, one after them, and the head."""
    random = np.random.default_rng(5)

    def weights(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    kernels = {"k1": weights(8, 1, 3, 3), "k2": weights(8, 1, 1, 1), "k3": weights(16, 16, 3, 3)}
    constants = {
        "to_pools": np.array([-1, 1, 63, 50, 21]), "last": np.array([4]), "to_slices": np.array([-1, 4, 64]),
        "to_whole": np.array([-1, 256]), "to_rows": np.array([-1, 16]), "b": np.full(16, 0.1, np.float32),
        "half": np.float32(0.5), "w": weights(16, 256), "v": 3 * weights(16, 50),
    }  # fmt: skip
    node = helper.make_node
    same = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
    nodes = [
        *(node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT) for name in kernels),
        node("Abs", [INPUT_NAME], ["abs"]),
        node("Reshape", ["abs", "to_pools"], ["pools"]),
        node("ReduceMean", ["pools"], ["picture"], axes=[4], keepdims=0),
        node("Conv", ["picture", "k1"], ["c1"], **same),
        node("Conv", ["picture", "k2"], ["c2"], strides=[2, 2]),
        node("Concat", ["c1", "c2"], ["both"], axis=1),
        node("Relu", ["both"], ["r1"]),
        node("Conv", ["r1", "k3", "b"], ["c3"], **same),
        node("Relu", ["c3"], ["r3"]),
        node("GlobalAveragePool", ["r3"], ["mean"]),
        node("Reshape", ["mean", "to_rows"], ["features"]),
        node("MatMul", ["features", "w"], ["encoded"]),
        node("Reshape", ["encoded", "to_slices"], ["slices"]),
        node("LpNormalization", ["slices"], ["unit"], axis=2, p=2),
        node("Mul", ["unit", "half"], ["halved"]),
        node("Reshape", ["halved", "to_whole"], [EMBEDDING_NAME]),
        node("MatMul", ["features", "v"], ["logits"]),
        node("Sigmoid", ["logits"], [TAGS_NAME]),
    ]
    values = {INPUT_NAME: SIZE, EMBEDDING_NAME: 256, TAGS_NAME: 50}
    infos = [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["N", n]) for k, n in values.items()]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    stored += [numpy_helper.from_array(kernel.astype(np.float16), f"{name}_half") for name, kernel in kernels.items()]
    graph = helper.make_graph(nodes, "small", infos[:1], infos[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, CONVOLUTIONAL.metadata())
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir(parents=True)
    onnx.save(model, str(folder / MODEL_FILE))
    card = dataclasses.replace(CONVOLUTIONAL, files={MODEL_FILE: sha256(folder / MODEL_FILE)})
    (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The folder of the small model."""
    return write_small(tmp_path / "zoo" / "small")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Eight training and eight validation tracks of two excerpts, each of another loudness."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    tracks = [
        TrackEntry(f"{split}{i}", split, f"{split}{i}.wav", 6.5, 0, "", "", "", "CC0", "")
        for split in ("train", "validation")
        for i in range(8)
    ]
    (root / "audio").mkdir()
    for i, track in enumerate(tracks):
        write_audio(root / "audio" / track.audio, music(6.5, seed=i) * (0.2 + i / 20), RATE, "FLOAT")
        write_npy(root / "labels" / "noise" / f"{track.id}.npy", random.random((2, 50), np.float32) ** 4)
    result = Store(root, "open_music", {}, tuple(tracks))
    result.save()
    return result


def test_quantised_model_is_published_and_loads(small: Path, store: Store) -> None:
    metrics = int8.quantize(small, store, ["noise"])
    assert sorted(path.name for path in small.iterdir()) == [README_FILE, CARD_FILE, INT8_FILE, MODEL_FILE]
    card = read_card(small)
    verify_files(card, small)
    assert set(card.files) == {README_FILE, INT8_FILE, MODEL_FILE}
    assert card.metrics["int8"] == metrics
    assert card.metrics["test"] == CONVOLUTIONAL.metrics["test"]
    assert metrics["tracks"] == 8
    assert metrics["calibration_excerpts"] == 8
    assert metrics["cosine"] > int8.MIN_COSINE
    assert set(metrics["recall"]) == {"1", "2", "4"}
    float32, quantised = musiczoo.load(small), musiczoo.load(small, precision="int8")
    audio = np.stack([music(3, seed=seed) * 0.7 for seed in range(20, 24)])
    assert float32.card.space_id == card.space_id
    assert quantised.card.space_id == metrics["space_id"]
    difference = np.abs(float32.tag(audio) - quantised.tag(audio))
    assert 0 < difference.max() < 0.05
    assert int8.cosines(float32.embed(audio), quantised.embed(audio)).min() > 0.995


def test_what_is_quantised(small: Path, store: Store, tmp_path: Path) -> None:
    excerpts = int8.training_excerpts(store, CONVOLUTIONAL)
    assert excerpts.shape == (8, SIZE)
    proto = int8.unfold(onnx.load_model(str(small / MODEL_FILE)))
    assert "Cast" not in {node.op_type for node in proto.graph.node}
    for layers, inner in ((0, 3), (1, 1)):
        path = tmp_path / f"{layers}.onnx"
        int8.write_int8(proto, path, excerpts, layers)
        written = onnx.load_model(str(path))
        producers = {name: node for node in written.graph.node for name in node.output}
        dequantised = [
            node for node in written.graph.node
            if node.op_type == "Conv" and all(producers[name].op_type == "DequantizeLinear" for name in node.input[:2])
        ]  # fmt: skip
        assert len(dequantised) == inner
        weights = {i.name: i for i in written.graph.initializer}
        for node in dequantised:
            kernel = weights[producers[node.input[1]].input[0]]
            scale = weights[producers[node.input[1]].input[1]]
            assert kernel.data_type == TensorProto.INT8
            assert np.abs(numpy_helper.to_array(kernel)).max() <= 64  # 7 bits
            assert list(scale.dims) == [kernel.dims[0]]  # per channel
        for node in written.graph.node:
            if node.op_type == "MatMul":
                assert not any(producers[n].op_type == "DequantizeLinear" for n in node.input if n in producers)
        metadata = {prop.key: json.loads(prop.value) for prop in written.metadata_props}
        assert metadata["musiczoo.precision"] == "int8"
        assert metadata["musiczoo.tags"] == list(CARD.tags)


def test_depths() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    ops = [("Abs", ["x"]), ("Conv", ["a"]), ("Conv", ["a"]), ("Conv", ["c"]), ("Concat", ["b", "d"]), ("Relu", ["e"])]
    nodes = [helper.make_node(op, inputs, [name], name=name) for name, (op, inputs) in zip(names, ops, strict=True)]
    proto = helper.make_model(helper.make_graph(nodes, "g", [], []))
    assert int8.depths(proto) == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 2, "f": 2}


def write_pooled(path: Path) -> onnx.ModelProto:
    """|waveform| as a picture; a wide and a tall filter, each with a pool and the limits of a ReLU or its negative."""
    random = np.random.default_rng(6)
    same = np.float32(np.finfo(np.float32).max)
    constants = {
        "to_pools": np.array([-1, 1, 63, 50, 21]), "to_rows": np.array([-1, 16]), "last": np.array([4]),
        "wide": random.normal(size=(8, 1, 3, 9)), "tall": random.normal(size=(8, 1, 17, 1)),
        "least": np.repeat([0, -same], 4).reshape(1, 8, 1, 1), "most": np.repeat([same, 0], 4).reshape(1, 8, 1, 1),
        "second": random.normal(size=(16, 16, 1, 1)) * np.geomspace(0.01, 1, 16).reshape(1, 16, 1, 1),
        "loud": np.geomspace(100, 1, 16).reshape(1, 16, 1, 1), "w": random.normal(size=(16, 8)),
        "v": random.normal(size=(8, 50)),
    }  # fmt: skip
    node, nodes = helper.make_node, []
    nodes += [node("Abs", [INPUT_NAME], ["abs"]), node("Reshape", ["abs", "to_pools"], ["pools"])]
    nodes += [node("ReduceMean", ["pools"], ["picture"], axes=[4], keepdims=0)]
    for name, width in (("wide", 42), ("tall", 50)):
        pads = [1, 0, 1, 0] if name == "wide" else [8, 0, 8, 0]
        nodes += [
            node("Conv", ["picture", name], [f"{name}_c"], pads=pads),
            node("MaxPool", [f"{name}_c"], [f"{name}_p"], kernel_shape=[1, width]),
            node("Max", [f"{name}_p", "least"], [f"{name}_max"]),
            node("Min", [f"{name}_max", "most"], [f"{name}_limited"]),
        ]
    nodes += [
        node("Concat", ["wide_limited", "tall_limited"], ["both"], axis=1), node("Mul", ["both", "loud"], ["x"]),
        node("Conv", ["x", "second"], ["c2"]), node("Relu", ["c2"], ["r2"]),
        node("GlobalAveragePool", ["r2"], ["mean"]), node("Reshape", ["mean", "to_rows"], ["row"]),
        node("MatMul", ["row", "w"], ["hidden"]), node("Relu", ["hidden"], [EMBEDDING_NAME]),
        node("MatMul", [EMBEDDING_NAME, "v"], [TAGS_NAME]),
    ]  # fmt: skip
    values = {INPUT_NAME: SIZE, EMBEDDING_NAME: 8, TAGS_NAME: 50}
    infos = [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["N", n]) for k, n in values.items()]
    stored = [
        numpy_helper.from_array(
            np.asarray(value, np.int64 if np.asarray(value).dtype.kind == "i" else np.float32), name
        )
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "pooled", infos[:1], infos[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return int8.unfold(model)


def test_tall_filters_and_what_follows_a_dense_layer_stay_float(tmp_path: Path) -> None:
    proto = write_pooled(tmp_path / "float.onnx")
    assert int8.quantized_nodes(proto) == ["wide_c", "wide_p", "c2", "r2"]
    assert int8.quantized_nodes(proto, 0, 1) == ["wide_c", "wide_p"]
    assert int8.quantized_nodes(proto, 1) == ["c2", "r2"]
    # 63 x 42 places of 8 filters of 27 weights, against 63 places of 16 filters of 16 weights and the tall one's.
    assert int8.candidates(proto, music(3, seed=0)) == [(0, 2), (0, 1)]


def test_ranges_end_at_the_limits_that_follow(tmp_path: Path) -> None:
    """Half of the filters only count above 0, half below: what is beyond is not represented, and changes nothing."""
    proto = write_pooled(tmp_path / "float.onnx")
    excerpts = np.stack([music(3, seed=seed) * 0.5 for seed in range(8)])
    assert int8.limited(proto) == {
        "wide_c": "wide_limited", "wide_p": "wide_limited", "tall_c": "tall_limited", "tall_p": "tall_limited",
    }  # fmt: skip
    path = tmp_path / "int8.onnx"
    int8.write_int8(proto, path, excerpts)
    written = onnx.load_model(str(path))
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in written.graph.initializer}
    inner = onnx.load_model(str(tmp_path / "float.onnx"))
    inner.graph.output.append(helper.make_tensor_value_info("wide_limited", TensorProto.FLOAT, None))
    session = open_session(inner.SerializeToString(), path, None)
    found = np.concatenate([session.run(["wide_limited"], {INPUT_NAME: x[None]})[0] for x in excerpts])
    (quantize,) = (
        node for node in written.graph.node if node.input[0] == "wide_c" and node.op_type == "QuantizeLinear"
    )
    assert weights[quantize.input[1]] == pytest.approx((found.max() - found.min()) / 255, rel=1e-5)
    quantised = open_session(path.read_bytes(), path, None)
    for x in excerpts:
        before, after = (s.run([EMBEDDING_NAME], {INPUT_NAME: x[None]})[0] for s in (session, quantised))
        np.testing.assert_allclose(after, before, atol=0.02 * np.abs(before).max())


@pytest.mark.parametrize(("name", "value", "message"), [
    ("MIN_COSINE", 1.0, "mean cosine"), ("MAX_AUC_FALL", -1.0, "a ROC-AUC of 0"),
])  # fmt: skip
def test_nothing_is_published_that_fails_the_gate(
    small: Path, store: Store, monkeypatch: pytest.MonkeyPatch, name: str, value: float, message: str
) -> None:
    before = {path.name: sha256(path) for path in small.iterdir()}
    monkeypatch.setattr(int8, name, value)
    with pytest.raises(ParityError, match=message):
        int8.quantize(small, store, ["noise"])
    assert {path.name: sha256(path) for path in small.iterdir()} == before
    assert [path.name for path in small.parent.iterdir()] == ["small"]


@pytest.mark.parametrize(("fall", "ending"), [(1.0, ""), (-1.0, "-int8")])
def test_space_id_says_whether_embeddings_mix(
    small: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fall: float, ending: str
) -> None:
    monkeypatch.setattr(int8, "MAX_RECALL_FALL", fall)
    out = tmp_path / "out"
    metrics = int8.quantize(small, store, ["noise"], out)
    assert metrics["space_id"] == CARD.space_id + ending
    assert musiczoo.load(out, precision="int8").card.space_id == CARD.space_id + ending
    assert musiczoo.load(out).card.space_id == CARD.space_id
    assert not (small / INT8_FILE).exists()


def test_mixed_recall_by_hand() -> None:
    index = np.eye(3)
    queries = np.array([[0, 1.0, 0], [0, 0, 1.0], [0, 1.0, 0.5]])  # nearest other: 1, 2, 1; then 2, 0, 0
    positives = np.array([[1, 1], [1, 0], [0, 1]])
    # Query 0 has both tags: row 1 shares one of them, with row 2 both. 1 shares none with 2, then its own with 0.
    # 2 shares none with 1, then its own with 0.
    assert int8.mixed_recall(queries, index, positives) == pytest.approx([0.5 / 3, 1.0])


def test_cosines_by_hand() -> None:
    first = np.array([[1, 0], [1, 1], [0, 0], [0, 0]], np.float32)
    second = np.array([[2, 0], [1, -1], [0, 0], [1, 0]], np.float32)
    np.testing.assert_allclose(int8.cosines(first, second), [1, 0, 1, 0], atol=1e-12)


def test_models_and_data_that_cannot_be_quantised(small: Path, store: Store, toy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="convolutions"):
        int8.quantize(toy_folder, store, ["noise"])
    with pytest.raises(DatasetError, match="training"):
        int8.quantize(small, dataclasses.replace(store, tracks=store.split("validation")), ["noise"])
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="not a model's folder"):
        int8.quantize(small, store, ["noise"], tmp_path / "other")


def test_load_precision(toy_folder: Path) -> None:
    assert musiczoo.load(toy_folder, precision="float32").name == "toy"
    with pytest.raises(ModelFileError, match=r"no int8 version.*musiczoo quantize"):
        musiczoo.load(toy_folder, precision="int8")
    wrong: Any = "int4"
    with pytest.raises(UnknownNameError, match=r"Unknown precision 'int4'\. Did you mean 'int8'"):
        musiczoo.load(toy_folder, precision=wrong)
