"""Keras weights out of a published ONNX file."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from toy import CARD, music, write_model

from musiczoo.card import CARD_FILE, MODEL_FILE, ModelCard, read_card, sha256
from musiczoo.errors import InputError, ModelFileError, UnknownNameError
from musiczoo.export.onnx import export_onnx, fold_batch_normalization, round_weights
from musiczoo.export.parity import run_keras, run_onnx
from musiczoo.models.architectures import ARCHITECTURES, CALIBRATION_LAYER, LOGITS_LAYER, build, build_waveform
from musiczoo.models.rebuild import rebuild
from musiczoo.registry import find, list_models
from musiczoo.taxonomy import PLAIN_SPACE, Vocabulary

pytestmark = pytest.mark.train
ALL_BLOCKS = True

TOLERANCE = 1e-5
WIDTH = 16
TWO = Vocabulary(("slow", "fast", "red"), {"tempo": ("slow", "fast"), "colour": ("red",)})
"""Neither number nor names of the dimensions are the paper's."""


def excerpts() -> NDArray[np.float32]:
    """Made music, and silence."""
    parts = [music(CARD.excerpt_seconds, seed=seed) for seed in range(2)]
    return np.stack([*parts, np.zeros_like(parts[0])])


def trained(name: str, calibrated: bool) -> keras.Model:
    """A model as training could leave it: nothing is still as it was initialised, but maybe the calibration."""
    keras.utils.set_random_seed(1)
    model = build(name, WIDTH, TWO)
    random = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    if name.endswith(("triplet", "track")):
        model.get_layer(LOGITS_LAYER).set_points(random.normal(size=(256, len(TWO.tags))))
    if calibrated:
        model.get_layer(CALIBRATION_LAYER).set_weights([random.uniform(0.5, 2, 3), random.normal(size=3)])
    return model


def write(model: keras.Model, name: str, folder: Path) -> Path:
    """Export without the gate."""
    config = ARCHITECTURES[name]
    card = dataclasses.replace(
        CARD,
        name=name,
        spaces=config.spaces(TWO),
        tags=TWO.tags,
        dimensions=TWO.dimensions if config.disentangled else {PLAIN_SPACE: TWO.tags},
        thresholds=dict.fromkeys(TWO.tags, 0.5),
        normalized=config.normalized,
        recipe={"model": name},
    )
    folder.mkdir()
    export_onnx(model, card, folder / MODEL_FILE)
    card = dataclasses.replace(card, files={MODEL_FILE: sha256(folder / MODEL_FILE)})
    (folder / CARD_FILE).write_text(card.to_json())
    return folder


HEADS = [name for name in ARCHITECTURES if name not in ("disentangled-triplet", "disentangled-classification")]
"""One has the graph of disentangled-triplet-track; the next test is about the other."""


@pytest.mark.parametrize("name", HEADS)
def test_rebuilt_is_what_was_exported(name: str, tmp_path: Path) -> None:
    exported = build_waveform(trained(name, calibrated=name != "disentangled-proxy"))
    before = run_keras(exported, excerpts())
    fold_batch_normalization(exported)
    folder = write(exported, name, tmp_path / name)
    rebuilt, card = rebuild(folder)
    assert isinstance(card, ModelCard)
    after = run_keras(build_waveform(rebuilt), excerpts())
    in_onnx = run_onnx(folder / MODEL_FILE, excerpts())
    for output, values in before.items():
        scale = max(1, np.abs(values).max())  # an unnormalised embedding may be far from 1
        np.testing.assert_allclose(after[output] / scale, values / scale, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(after[output] / scale, in_onnx[output] / scale, rtol=0, atol=TOLERANCE)
    assert np.ptp(before["embedding"]) > 0.01


def test_rounded_weights_come_back_to_the_bit(tmp_path: Path) -> None:
    """What the exporter rounded and folded is folded and rounded again: nothing moves."""
    name = "disentangled-classification"
    model = trained(name, calibrated=True)
    exported = build_waveform(model)
    fold_batch_normalization(exported)
    round_weights(exported)
    rebuilt, _ = rebuild(write(exported, name, tmp_path / "once"))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            np.testing.assert_array_equal(rebuilt.get_layer(layer.name).kernel, layer.kernel)
    again = build_waveform(rebuilt)
    fold_batch_normalization(again)
    round_weights(again)
    twice = onnx.load(write(again, name, tmp_path / "twice") / MODEL_FILE)
    once = onnx.load(tmp_path / "once" / MODEL_FILE)
    large = [
        [numpy_helper.to_array(t) for t in file.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
        for file in (once, twice)
    ]
    assert len(large[0]) == len(large[1]) > 50
    assert all(any(np.array_equal(a, b) for b in large[1]) for a in large[0])


OURS = [name for name in list_models() if read_card(find(name)).recipe.get("model") in ARCHITECTURES]


@pytest.mark.parametrize("name", OURS)
def test_published_models_rebuilt(name: str) -> None:
    rebuilt, card = rebuild(name)
    got = run_keras(build_waveform(rebuilt), excerpts())
    expected = run_onnx(find(name) / MODEL_FILE, excerpts())
    for output, values in expected.items():
        scale = max(1, np.abs(values).max())
        np.testing.assert_allclose(got[output] / scale, values / scale, rtol=0, atol=TOLERANCE)
    assert got["tags"].shape == (3, len(card.tags))


def test_normalization_stays_in_inference_mode() -> None:
    """Statistics of a batch would change what the layer returns, since its own stand for 'change nothing'."""
    model, _ = rebuild("disentangled-classification")
    log_mel = np.random.default_rng(0).normal(size=(4, 129, 128)).astype(np.float32)
    inference, training = (np.asarray(model(log_mel, training=mode)["embedding"]) for mode in (False, True))
    np.testing.assert_array_equal(inference, training)
    assert model.get_layer("block6_reduced_5x5").trainable


def test_other_networks_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "musicnn-msd", dataclasses.replace(CARD, name="musicnn-msd"))
    with pytest.raises(InputError, match="Cannot rebuild 'musicnn-msd' in Keras"):
        rebuild(folder)


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'disentangled-classification'"):
        rebuild("disentangled-clasification")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A copy of a published model."""
    return Path(shutil.copytree(find("disentangled-classification"), tmp_path / "copy"))


def sign(folder: Path) -> None:
    """Make the card agree with the altered file."""
    card = json.loads((folder / CARD_FILE).read_text())
    card["files"] = {MODEL_FILE: sha256(folder / MODEL_FILE)}
    (folder / CARD_FILE).write_text(json.dumps(card))


def test_an_altered_file_is_refused(published: Path) -> None:
    with (published / MODEL_FILE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelFileError, match="was altered"):
        rebuild(published)


def test_what_is_no_onnx_is_refused(published: Path) -> None:
    (published / MODEL_FILE).write_bytes(b"not a graph")
    sign(published)
    with pytest.raises(ModelFileError):
        rebuild(published)


def test_a_graph_of_another_model_is_refused(published: Path) -> None:
    proto = onnx.load(published / MODEL_FILE)
    kernel = next(t for t in proto.graph.initializer if "block3_naive_3x3_1/conv" in t.name)
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel)[:, :-1], kernel.name))
    onnx.save(proto, published / MODEL_FILE)
    sign(published)
    with pytest.raises(ModelFileError, match="'block3_naive_3x3': expected weights of shapes"):
        rebuild(published)


def test_a_graph_without_the_layer_is_refused(published: Path) -> None:
    proto = onnx.load(published / MODEL_FILE)
    for node in proto.graph.node:
        node.input[:] = [name.replace("block2_naive_3x3", "other") for name in node.input]
        node.output[:] = [name.replace("block2_naive_3x3", "other") for name in node.output]
    for tensor in proto.graph.initializer:
        tensor.name = tensor.name.replace("block2_naive_3x3", "other")
    onnx.save(proto, published / MODEL_FILE)
    sign(published)
    with pytest.raises(ModelFileError, match="expected the layer 'block2_naive_3x3'"):
        rebuild(published)


def test_weights_in_other_files_are_refused(published: Path, tmp_path: Path) -> None:
    proto = onnx.load(published / MODEL_FILE)
    kernel = next(t for t in proto.graph.initializer if "block3_naive_3x3_1/conv" in t.name)
    (tmp_path / "secret").write_bytes(kernel.raw_data)
    kernel.ClearField("raw_data")
    kernel.data_location = onnx.TensorProto.EXTERNAL
    kernel.external_data.add(key="location", value="../secret")
    (published / MODEL_FILE).write_bytes(proto.SerializeToString())
    sign(published)
    with pytest.raises(ModelFileError, match="with data in other files"):
        rebuild(published)


def test_a_card_that_does_not_know_its_graph_is_refused(published: Path) -> None:
    card = json.loads((published / CARD_FILE).read_text())
    (published / CARD_FILE).write_text(json.dumps(card | {"files": {}}))
    with pytest.raises(ModelFileError, match=r"sha256 of model\.onnx in the card"):
        rebuild(published)
