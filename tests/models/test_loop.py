"""The loop: Keras' own `fit` on one device, and one device on two."""

import json
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
import tensorflow as tf
from workers import alone, together

from musiczoo.models.distributed import choose
from musiczoo.models.loop import Loop, distribute

pytestmark = pytest.mark.train

STEPS, BATCH = 5, 8
SQUARED, ABSOLUTE = keras.losses.MeanSquaredError(), keras.losses.MeanAbsoluteError()
FAR = 1e36
"""So far off that the gradient, scaled by 2^15, is not finite."""


def batches(far: bool = False) -> tf.data.Dataset:
    """Noise; on demand, one target of the second half of the third batch is far off."""
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(STEPS, BATCH, 6)), random.normal(size=(STEPS, BATCH, 2))
    targets[2, BATCH - 1, 0] = FAR if far else targets[2, BATCH - 1, 0]
    return tf.data.Dataset.from_tensor_slices((inputs.astype(np.float32), targets.astype(np.float32)))


def optimizer(way: str, replicas: int) -> keras.optimizers.Optimizer:
    """Plain descent: Adam would hide a gradient of the wrong length."""
    if way == "clipped":
        return keras.optimizers.SGD(0.5, global_clipnorm=0.1 / replicas)
    plain = keras.optimizers.SGD(0.1, momentum=0.9)
    return keras.optimizers.LossScaleOptimizer(plain) if way == "scaled" else plain


def model(way: str, replicas: int = 1) -> keras.Model:
    """Batch normalisation between two layers."""
    keras.utils.set_random_seed(0)
    normalised = keras.layers.BatchNormalization(synchronized=True)
    network = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5), normalised, keras.layers.ReLU(), keras.layers.Dense(2)]
    )
    network.compile(optimizer(way, replicas), loss="mse")
    network.optimizer.build(network.trainable_variables)
    return network


def trained(way: str, strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """What an epoch of the loop leaves."""
    with strategy.scope():
        network = model(way, strategy.num_replicas_in_sync)
    loop = Loop(network, strategy, SQUARED)
    loss = loop.train(distribute(batches(far=way == "scaled"), strategy), STEPS)
    left = {"loss": loss, "val_loss": loop.evaluate(distribute(batches(), strategy))}
    values = [variable.numpy().tolist() for variable in (*network.variables, *network.optimizer.variables)]
    return {**left, "variables": values}


WAYS = ("plain", "clipped", "scaled")


@pytest.fixture(scope="module")
def one_device() -> dict[str, dict[str, Any]]:
    return {way: trained(way, tf.distribute.get_strategy()) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
def test_one_device_computes_what_fit_does(way: str, one_device: dict[str, dict[str, Any]]) -> None:
    network, expected = model(way), one_device[way]
    history = network.fit(batches(far=way == "scaled"), validation_data=batches(), verbose=0, shuffle=False).history
    values = [variable.numpy().tolist() for variable in (*network.variables, *network.optimizer.variables)]
    assert values == expected["variables"]
    assert history["val_loss"] == [expected["val_loss"]]
    if way != "scaled":
        assert history["loss"] == [expected["loss"]]


def test_gradients_were_clipped_and_left_out(one_device: dict[str, dict[str, Any]]) -> None:
    """No step is longer than 0.5 * 0.1; one of five was left out, and the scale halved from 2^15."""
    begin = [weight.numpy() for weight in model("clipped").trainable_variables]
    network = model("clipped")
    Loop(network, tf.distribute.get_strategy(), SQUARED).train(iter(batches()), 1)
    steps = [after.numpy() - before for after, before in zip(network.trainable_variables, begin, strict=True)]
    assert np.sqrt(sum(np.square(step).sum() for step in steps)) == pytest.approx(0.05, rel=1e-5)
    network = model("scaled")
    Loop(network, tf.distribute.get_strategy(), SQUARED).train(iter(batches(far=True)), STEPS)
    assert int(network.optimizer.iterations) == STEPS - 1
    assert float(network.optimizer.dynamic_scale) == 2**14


@pytest.mark.parametrize("processes", [1, 2])
def test_two_replicas_compute_what_one_device_does(processes: int, one_device: dict[str, dict[str, Any]]) -> None:
    """Two logical CPUs of one process, and two processes with one each."""
    outputs = [alone(__file__, "cpu:2")] if processes == 1 else together(__file__, ["multiworker"], ["multiworker"])
    for output in outputs:
        assert output.code == 0, output.errors
        got = json.loads(output.text.splitlines()[-1])
        for way, expected in one_device.items():
            for mine, reference in zip(got[way]["variables"], expected["variables"], strict=True):
                np.testing.assert_allclose(mine, reference, rtol=1e-4, atol=1e-6, err_msg=way)
            assert got[way]["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-5)
        for way in ("plain", "clipped"):
            assert got[way]["loss"] == pytest.approx(one_device[way]["loss"], rel=1e-5)


@pytest.mark.parametrize("last", [BATCH, 3])
def test_on_one_device_batches_stay_as_they_are(last: int) -> None:
    data = tf.data.Dataset.range(BATCH + last).batch(BATCH)
    got = [batch.numpy().tolist() for batch in distribute(data, tf.distribute.get_strategy())]
    assert got == [list(range(BATCH)), list(range(BATCH, BATCH + last))]


if __name__ == "__main__":
    chosen = choose(sys.argv[1])
    print(json.dumps({way: trained(way, chosen) for way in WAYS}))


def test_epochs_may_be_compared_by_another_loss() -> None:
    """The loss that is trained stays the same."""
    network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    network.compile(keras.optimizers.SGD(0.1))
    data = list(batches())
    errors = [np.asarray(y) - np.asarray(network(x)) for x, y in data]
    loops = [Loop(network, tf.distribute.get_strategy(), SQUARED, other) for other in (None, ABSOLUTE)]
    squared, absolute = (loop.evaluate(iter(data)) for loop in loops)
    assert squared == pytest.approx(np.mean(np.square(errors)), rel=1e-5)
    assert absolute == pytest.approx(np.mean(np.abs(errors)), rel=1e-5)
    assert loops[1].train(iter(data), 1) == pytest.approx(np.mean(np.square(errors[0])), rel=1e-5)
