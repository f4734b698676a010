"""Published models in Keras: their weights out of the ONNX file, and a user's own training of them."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
import onnx
import preset_step
import tensorflow as tf
from numpy.typing import NDArray
from onnx import numpy_helper
from tiny_run import BLOCKS
from toy import CARD, music, write_model
from workers import alone

from musiczoo.card import CARD_FILE, MODEL_FILE, read_card, sha256
from musiczoo.errors import InputError, ModelFileError, UnknownNameError
from musiczoo.export.onnx import export_onnx, fold_batch_normalization, round_weights
from musiczoo.export.parity import run_keras, run_onnx
from musiczoo.models import encoder
from musiczoo.models.architectures import ARCHITECTURES, CALIBRATION_LAYER, LOGITS_LAYER, build, build_waveform
from musiczoo.models.presets import from_preset, list_presets
from musiczoo.registry import find, list_models
from musiczoo.taxonomy import PLAIN_SPACE, Vocabulary

pytestmark = pytest.mark.train
ALL_BLOCKS = True

NAME = "disentangled-classification"
"""For what holds of every model alike; all of them are compared with their ONNX files."""

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
def test_preset_is_what_was_exported(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few blocks of the encoder; the tests of published models have all six."""
    monkeypatch.setattr(encoder, "BLOCKS", BLOCKS)
    exported = build_waveform(trained(name, calibrated=name != "disentangled-proxy"))
    before = run_keras(exported, excerpts())
    fold_batch_normalization(exported)
    folder = write(exported, name, tmp_path / name)
    after = run_keras(from_preset(folder), excerpts())
    in_onnx = run_onnx(folder / MODEL_FILE, excerpts())
    for output, values in before.items():
        scale = max(1, np.abs(values).max())  # an unnormalised embedding may be far from 1
        np.testing.assert_allclose(after[output] / scale, values / scale, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(after[output] / scale, in_onnx[output] / scale, rtol=0, atol=TOLERANCE)
    assert np.ptp(before["embedding"]) > 0.01


def test_rounded_weights_come_back_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the exporter rounded and folded is folded and rounded again: nothing moves."""
    monkeypatch.setattr(encoder, "BLOCKS", BLOCKS)
    name = "disentangled-classification"
    model = trained(name, calibrated=True)
    exported = build_waveform(model)
    fold_batch_normalization(exported)
    round_weights(exported)
    preset = from_preset(write(exported, name, tmp_path / "once"), front_end=False)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            np.testing.assert_array_equal(preset.get_layer(layer.name).kernel, layer.kernel)
    again = build_waveform(preset)
    fold_batch_normalization(again)
    round_weights(again)
    twice = onnx.load(write(again, name, tmp_path / "twice") / MODEL_FILE)
    once = onnx.load(tmp_path / "once" / MODEL_FILE)
    large = [
        [numpy_helper.to_array(t) for t in file.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
        for file in (once, twice)
    ]
    kernels = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]
    assert len(large[0]) == len(large[1]) == len(kernels) > 10
    assert all(any(np.array_equal(a, b) for b in large[1]) for a in large[0])


def test_presets_are_the_models_that_musiczoo_built() -> None:
    ours = [name for name in list_models() if read_card(find(name)).recipe.get("model") in ARCHITECTURES]
    assert list_presets() == ours
    assert list_presets("*-proxy") == ["disentangled-proxy"]


@pytest.mark.parametrize("name", list_presets())
def test_published_models_equal_their_onnx_file(name: str) -> None:
    got = run_keras(from_preset(name), excerpts())
    expected = run_onnx(find(name) / MODEL_FILE, excerpts())
    for output, values in expected.items():
        scale = max(1, np.abs(values).max())
        np.testing.assert_allclose(got[output] / scale, values / scale, rtol=0, atol=TOLERANCE)
    assert got["tags"].shape == (3, len(read_card(find(name)).tags))


def test_normalization_stays_in_inference_mode() -> None:
    """Statistics of a batch would change what the layer returns, since its own stand for 'change nothing'."""
    model = from_preset(NAME, front_end=False)
    log_mel = np.random.default_rng(0).normal(size=(4, 129, 128)).astype(np.float32)
    inference, training = (np.asarray(model(log_mel, training=mode)["embedding"]) for mode in (False, True))
    np.testing.assert_array_equal(inference, training)
    assert model.get_layer("block6_reduced_5x5").trainable


def test_fit_trains_the_convolutions_on_waveforms_and_weights_are_saved(tmp_path: Path) -> None:
    """Stochastic gradient descent, so that the change of a weight is known: the learning rate times its gradient."""
    model = from_preset(NAME)
    waveforms, tags = excerpts(), np.eye(3, 50, dtype=np.float32)
    names = {weight.path for weight in model.trainable_variables}
    assert not any("norm" in name or "front_end" in name or "calibration" in name for name in names)
    before = {weight.path: np.array(weight) for weight in model.variables}
    with tf.GradientTape() as tape:
        predicted = model(waveforms, training=True)["tags"]
        loss = tf.reduce_mean(keras.losses.binary_crossentropy(tags, predicted))
    gradients = tape.gradient(loss, model.trainable_variables)
    model.compile(keras.optimizers.SGD(0.1), loss={"tags": "binary_crossentropy"})
    history = model.fit(waveforms, {"tags": tags}, batch_size=3, epochs=1, verbose=0)
    assert history.history["loss"][0] == pytest.approx(float(loss), rel=1e-5)
    for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
        expected = before[weight.path] - 0.1 * np.asarray(gradient)
        np.testing.assert_allclose(np.asarray(weight), expected, rtol=0, atol=1e-5, err_msg=weight.path)
    moved = {weight.path for weight in model.variables if not np.array_equal(before[weight.path], weight)}
    assert names >= moved
    assert len(names) == 58  # 55 convolutions, kernel and bias of the embedding, centroids
    assert len(moved) > 50

    model.save_weights(tmp_path / "mine.weights.h5")
    again = from_preset(NAME)
    again.load_weights(tmp_path / "mine.weights.h5")
    trained, loaded = (each.predict(waveforms, verbose=0) for each in (model, again))
    for output, values in trained.items():
        np.testing.assert_array_equal(loaded[output], values)


def test_not_trainable_is_a_fixed_encoder() -> None:
    model = from_preset(NAME, trainable=False)
    assert model.trainable_variables == []
    head = keras.Sequential([keras.layers.Dense(2)])
    outer = keras.Model(model.input, head(model.output["embedding"]))
    assert len(outer.trainable_variables) == 2


def test_mixed_precision_computes_in_bfloat16_and_answers_in_float32() -> None:
    """The log-mel and the head stay in float32; only the encoder is rounded."""
    exact = from_preset(NAME).predict(excerpts()[:2], verbose=0)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = from_preset(NAME)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert model.layers[-1].get_layer("stem").compute_dtype == "bfloat16"
    assert model.get_layer("front_end").compute_dtype == "float32"
    rounded = model.predict(excerpts()[:2], verbose=0)
    assert {values.dtype for values in rounded.values()} == {np.dtype(np.float32)}
    cosines = (exact["embedding"] * rounded["embedding"]).sum(axis=1)
    assert cosines.min() > 0.999
    assert not np.array_equal(exact["tags"], rounded["tags"])
    np.testing.assert_allclose(rounded["tags"], exact["tags"], atol=0.05)


def test_two_devices_compute_the_step_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit` under a MirroredStrategy of two logical CPUs, in processes because a process keeps its devices."""
    monkeypatch.setattr(encoder, "BLOCKS", BLOCKS)
    folder = write(build_waveform(trained(NAME, calibrated=True)), NAME, tmp_path / NAME)
    steps = {}
    for strategy in ("auto", "cpu:2"):
        path = tmp_path / f"{strategy[:3]}.npz"
        output = alone(preset_step.__file__, folder, strategy, path)
        assert output.code == 0, output.errors
        with np.load(path) as file:
            steps[strategy] = dict(file)
    one, two = steps["auto"], steps["cpu:2"]
    assert (int(one.pop("replicas")), int(two.pop("replicas"))) == (1, 2)
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=0, atol=1e-5, err_msg=name)


def test_other_networks_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "musicnn-msd", dataclasses.replace(CARD, name="musicnn-msd"))
    with pytest.raises(InputError, match="Cannot make 'musicnn-msd' in Keras"):
        from_preset(folder)


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'disentangled-classification'"):
        from_preset("disentangled-clasification")


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
        from_preset(published)


def test_what_is_no_onnx_is_refused(published: Path) -> None:
    (published / MODEL_FILE).write_bytes(b"not a graph")
    sign(published)
    with pytest.raises(ModelFileError):
        from_preset(published)


def test_a_graph_of_another_model_is_refused(published: Path) -> None:
    proto = onnx.load(published / MODEL_FILE)
    kernel = next(t for t in proto.graph.initializer if "block3_naive_3x3_1/conv" in t.name)
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel)[:, :-1], kernel.name))
    onnx.save(proto, published / MODEL_FILE)
    sign(published)
    with pytest.raises(ModelFileError, match="'block3_naive_3x3': expected weights of shapes"):
        from_preset(published)


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
        from_preset(published)


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
        from_preset(published)


def test_a_card_that_does_not_know_its_graph_is_refused(published: Path) -> None:
    card = json.loads((published / CARD_FILE).read_text())
    (published / CARD_FILE).write_text(json.dumps(card | {"files": {}}))
    with pytest.raises(ModelFileError, match=r"sha256 of model\.onnx in the card"):
        from_preset(published)
