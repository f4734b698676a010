"""The models, from encoder to tags."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from numpy.typing import NDArray

from musiczoo.errors import InputError, UnknownNameError
from musiczoo.models.frontend import LogMel
from musiczoo.models.variants import CALIBRATION_LAYER, MIN_WIDTH, VARIANTS, build, build_waveform, variant

pytestmark = pytest.mark.train


def log_mels(n: int = 3, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, 129, 128)).astype(np.float32)


@pytest.fixture(scope="module", params=VARIANTS)
def model(request: pytest.FixtureRequest) -> keras.Model:
    """Each model, narrow, with a calibration that does something."""
    keras.utils.set_random_seed(0)
    model = build(request.param, MIN_WIDTH)
    model.get_layer(CALIBRATION_LAYER).set_weights([np.linspace(0.5, 2, 50), np.linspace(-1, 1, 50)])
    return model


def by_hand(width: int) -> int:
    """Trained parameters: each convolution k x k x in x out with the scale and shift of its normalisation."""

    def convolution(k: int, inputs: int) -> int:
        return k * k * inputs * width + 2 * width

    total, inputs = convolution(5, 1), width
    for _ in range(6):
        total += convolution(1, inputs) + convolution(3, inputs) + convolution(5, inputs)
        inputs += 3 * width
        total += 4 * convolution(1, inputs) + convolution(3, width) + convolution(5, width)
        inputs = 4 * width
    return total + (inputs * 256 + 256) + 256 * 50


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("width", "millions"), [(32, 1.17), (64, 4.57)])
def test_parameters(name: str, width: int, millions: float) -> None:
    trained = sum(int(np.prod(weight.shape)) for weight in build(name, width).trainable_weights)
    assert trained == by_hand(width)
    assert trained / 1e6 == pytest.approx(millions, abs=0.005)


def test_outputs(model: keras.Model) -> None:
    outputs = model(log_mels())
    assert {name: (tuple(value.shape), value.dtype.name) for name, value in outputs.items()} == {
        "embedding": ((3, 256), "float32"),
        "tags": ((3, 50), "float32"),
    }
    assert model.input_shape == (None, 129, 128)
    np.testing.assert_allclose(np.linalg.norm(outputs["embedding"], axis=1), 1, rtol=1e-5)
    assert np.all((np.asarray(outputs["tags"]) > 0) & (np.asarray(outputs["tags"]) < 1))


def test_six_blocks_halve_the_map(model: keras.Model) -> None:
    """The naive module adds 3 branches to what comes in; the reduced one always gives 4."""
    w = MIN_WIDTH
    for block, size in enumerate((32, 16, 8, 4, 2, 1), start=1):
        incoming = w if block == 1 else 4 * w
        assert model.get_layer(f"block{block}_naive").output.shape == (None, size, size, 3 * w + incoming)
        assert model.get_layer(f"block{block}_reduced").output.shape == (None, size, size, 4 * w)
    assert model.get_layer("features").output.shape == (None, 4 * w)


def test_same_bytes_again_and_whatever_the_batch(model: keras.Model) -> None:
    x = log_mels()
    first, again = model(x, training=False), model(x, training=False)
    for name in first:
        assert np.array_equal(first[name], again[name])
        alone = np.concatenate([model(x[i : i + 1], training=False)[name] for i in range(len(x))])
        np.testing.assert_allclose(alone, first[name], atol=1e-5)


def test_loss_is_the_mean_cross_entropy(model: keras.Model) -> None:
    x, t = log_mels(), np.random.default_rng(1).uniform(size=(3, 50)).astype(np.float32)
    p = np.asarray(model(x, training=False)["tags"], float)
    total = 0.0
    for n in range(3):
        for z in range(50):
            total -= t[n, z] * np.log(p[n, z]) + (1 - t[n, z]) * np.log(1 - p[n, z])
    twin = keras.Model(model.input, model.output)  # so that the shared one stays uncompiled
    twin.compile(loss={"embedding": None, "tags": keras.losses.BinaryCrossentropy()}, run_eagerly=True)
    assert twin.test_on_batch(x, {"tags": t}) == pytest.approx(total / 150, rel=1e-5)


def test_waveform_model_is_front_end_and_model(model: keras.Model) -> None:
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 66150)).astype(np.float32)
    whole = build_waveform(model)
    assert whole.input_shape == (None, 66150)
    assert [tensor.name for tensor in whole.inputs] == ["waveform"]
    received, expected = whole(audio), model(LogMel()(audio))
    assert set(received) == {"embedding", "tags"}
    for name in expected:
        np.testing.assert_allclose(received[name], expected[name], atol=1e-6)


def test_a_saved_model_says_the_same(model: keras.Model, tmp_path: Path) -> None:
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 66150)).astype(np.float32)
    whole = build_waveform(model)
    whole.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    for name, expected in whole(audio).items():
        assert np.array_equal(again(audio)[name], expected)


def test_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'disentangled-classification'"):
        build("disentangled-clasification")
    assert variant("classification").name == "classification"


@pytest.mark.parametrize("width", [15, 8, 0, -1, 32.0, "32"])
def test_widths_that_cannot_be_trained_are_refused(width: int) -> None:
    with pytest.raises(InputError, match=f"whole number of 16 or more as width, received {width!r}"):
        build("classification", width)
