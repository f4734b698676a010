"""Our in-batch triplet losses against those of tensorflow-addons, where each tag is a separate class.

Every class has two excerpts or more and every anchor a negative: where that fails, tensorflow-addons counts
anchors and pairs that have no triplet, and we do not.
"""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_addons as tfa

from musiczoo.models.losses import MARGIN, TripletLoss
from musiczoo.models.miners import MINERS

CLASSES = 7
THEIRS = {"semihard": tfa.losses.triplet_semihard_loss, "hardest": tfa.losses.triplet_hard_loss}
Loss = Callable[[tf.Tensor], tf.Tensor]


def batch(seed: int, size: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Classes ``[size]``, two excerpts each at least, and embeddings ``[size, 64]`` around their centres."""
    random = np.random.default_rng(seed)
    classes = np.concatenate([np.repeat(np.arange(CLASSES), 2), random.integers(CLASSES, size=size - 2 * CLASSES)])
    centres = random.standard_normal((CLASSES, 64))
    embedding = centres[classes] + spread * random.standard_normal((size, 64))
    return classes, embedding.astype(np.float32)


def value_and_gradient(loss: Loss, embedding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A loss and its gradient ``[N, E]``."""
    variable = tf.Variable(embedding)
    with tf.GradientTape() as tape:
        value = loss(variable)
    return value.numpy(), tf.convert_to_tensor(tape.gradient(value, variable)).numpy()


@pytest.mark.parametrize("mining", THEIRS)
@pytest.mark.parametrize(("seed", "size", "spread"), [(0, 16, 2.0), (1, 32, 1.0), (2, 64, 1.0), (3, 64, 3.0)])
def test_equal_loss_and_gradient(mining: str, seed: int, size: int, spread: float) -> None:
    classes, embedding = batch(seed, size, spread)
    loss = TripletLoss({}, ["genre"] * CLASSES, MINERS[mining]())
    ours = value_and_gradient(lambda x: loss(tf.one_hot(classes, CLASSES), x), embedding)
    theirs = value_and_gradient(
        lambda x: THEIRS[mining](classes, x, margin=MARGIN, distance_metric="angular"), embedding
    )
    assert theirs[0] > 1e-3
    assert np.abs(theirs[1]).max() > 1e-4
    np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("mining", THEIRS)
def test_the_loss_of_a_dimension_is_theirs_in_its_space(mining: str) -> None:
    classes, embedding = batch(4, 48, 1.0)
    loss = TripletLoss({"genre": (16, 48)}, ["genre"] * CLASSES, MINERS[mining]())
    theirs = THEIRS[mining](classes, embedding[:, 16:48], margin=MARGIN, distance_metric="angular")
    np.testing.assert_allclose(loss(np.eye(CLASSES)[classes], embedding), theirs, rtol=0, atol=1e-6)
