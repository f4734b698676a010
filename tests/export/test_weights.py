"""Batch normalisation goes into the convolutions, and what is large becomes exact in float16."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from tiny import excerpts, tiny_model

from musiczoo.export.onnx import LARGE, fold_batch_normalization, round_weights

pytestmark = pytest.mark.train


def one_by_one(**settings: object) -> tuple[keras.Model, keras.layers.Layer, keras.layers.Layer]:
    """A model of one 1x1 convolution with kernel 2 and a normalisation by mean 4 and variance 15."""
    image = keras.Input((1, 1, 1))
    convolution = keras.layers.Conv2D(1, 1, **{"use_bias": False, **settings})
    norm = keras.layers.BatchNormalization(epsilon=1.0)
    model = keras.Model(image, norm(convolution(image)))
    convolution.kernel.assign(np.full((1, 1, 1, 1), 2.0))
    norm.set_weights([np.array([value]) for value in (3.0, 1.0, 4.0, 15.0)])  # gamma, beta, mean, variance
    return model, convolution, norm


def test_fold_by_hand() -> None:
    """3 * (2x - 4) / sqrt(15 + 1) + 1 = 1.5x - 2, so the kernel is 1.5, beta -2, and 5 gives 5.5."""
    model, convolution, norm = one_by_one()
    fold_batch_normalization(model)
    assert float(convolution.kernel[0, 0, 0, 0]) == 1.5
    assert float(norm.beta[0]) == -2.0
    assert float(model(np.full((1, 1, 1, 1), 5.0))[0, 0, 0, 0]) == 5.5


@pytest.mark.parametrize("settings", [{"use_bias": True}, {"activation": "relu"}])
def test_fold_leaves_what_it_cannot_fold(settings: dict[str, object]) -> None:
    model, *_ = one_by_one(**settings)
    before = [np.array(weight.numpy()) for weight in model.weights]
    fold_batch_normalization(model)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.weights, strict=True))


def test_fold_leaves_a_convolution_that_feeds_two_layers() -> None:
    image = keras.Input((1, 1, 1))
    shared = keras.layers.Conv2D(1, 1, use_bias=False)(image)
    norm = keras.layers.BatchNormalization()
    model = keras.Model(image, norm(shared) + shared)
    norm.gamma.assign([3.0])
    before = float(model(np.ones((1, 1, 1, 1)))[0, 0, 0, 0])
    fold_batch_normalization(model)
    assert float(model(np.ones((1, 1, 1, 1)))[0, 0, 0, 0]) == before


def test_fold_changes_no_output() -> None:
    model, audio = tiny_model(), excerpts()
    before = model(audio, training=False)
    fold_batch_normalization(model)
    after = model(audio, training=False)
    for name in before:
        np.testing.assert_allclose(after[name], before[name], atol=2e-6)
    kernels = [layer.kernel for layer in model.layers[-1].layers if isinstance(layer, keras.layers.Conv2D)]
    fresh = [layer.kernel for layer in tiny_model().layers[-1].layers if isinstance(layer, keras.layers.Conv2D)]
    assert not any(np.allclose(a, b) for a, b in zip(kernels, fresh, strict=True))


def test_round_to_the_nearest_float16_but_not_the_front_end() -> None:
    model = tiny_model()
    before = {weight.path: np.array(weight.numpy()) for weight in model.weights}
    round_weights(model)
    changed = 0
    for weight in model.weights:
        old, new = before[weight.path], np.array(weight.numpy())
        if old.size > LARGE and "front_end" not in weight.path:
            np.testing.assert_array_equal(new, old.astype(np.float16).astype(np.float32))
            changed += not np.array_equal(new, old)
        else:
            np.testing.assert_array_equal(new, old)
    assert changed == 3  # the second convolution, the dense layer and the centroids; the first has 200 weights
