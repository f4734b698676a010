"""The heads, held against loops."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from numpy.typing import NDArray

from musiczoo.models.heads import Calibration, Centroids, NormalizeSpaces
from musiczoo.taxonomy import DIMENSION_TAGS, PLAIN_SPACES, SPACES, TAGS

pytestmark = pytest.mark.train

TAG_SPACES = {
    "disentangled": tuple(next(d for d, tags in DIMENSION_TAGS.items() if tag in tags) for tag in TAGS),
    "plain": ("all",) * 50,
}
HEADS = {"disentangled": SPACES, "plain": PLAIN_SPACES}
both = pytest.mark.parametrize("kind", HEADS)


def features(n: int = 4, seed: int = 0) -> NDArray[np.float32]:
    """As after a ReLU: half of them 0."""
    return np.random.default_rng(seed).normal(size=(n, 256)).clip(0).astype(np.float32)


@both
def test_each_space_becomes_a_unit_vector(kind: str) -> None:
    units = np.asarray(NormalizeSpaces(HEADS[kind])(features()))
    length = {"disentangled": 0.5, "plain": 1.0}[kind]
    for start, stop in HEADS[kind].values():
        np.testing.assert_allclose(np.linalg.norm(units[:, start:stop], axis=1), length, rtol=1e-6)
        directions = features()[:, start:stop]
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        np.testing.assert_allclose(units[:, start:stop], length * directions, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, rtol=1e-6)


@both
def test_zeros_get_a_direction(kind: str) -> None:
    """All the same number: 1/16 of a unit vector of 256."""
    zeros = tf.Variable(tf.zeros((2, 256)))
    with tf.GradientTape() as tape:
        units = NormalizeSpaces(HEADS[kind])(zeros)
        total = tf.reduce_sum(units[:, :3])
    np.testing.assert_allclose(np.asarray(units), 1 / 16, rtol=1e-5)
    assert np.all(np.isfinite(tape.gradient(total, zeros)))


def centroids(kind: str) -> tuple[Centroids, NDArray[np.float32]]:
    """A head, and its free parameters."""
    layer = Centroids(HEADS[kind], TAG_SPACES[kind])
    layer.build((None, 256))
    values = np.random.default_rng(1).normal(size=(256, 50)).astype(np.float32)
    layer.centroids.assign(values)
    return layer, values


def test_logits_are_dot_products_within_the_tags_own_slice() -> None:
    """Eq. 11: sub-vectors of unit length, although the embedding holds them halved."""
    slices = {"genre": slice(0, 64), "mood": slice(64, 128), "instrument": slice(128, 192), "era": slice(192, 256)}
    layer, values = centroids("disentangled")
    x = features()
    received = np.asarray(layer(NormalizeSpaces(SPACES)(x)))
    for n in range(len(x)):
        for z, tag in enumerate(TAGS):
            (own,) = (slices[name] for name, tags in DIMENSION_TAGS.items() if tag in tags)
            part = x[n, own].astype(float)
            assert received[n, z] == pytest.approx(part / np.sqrt(part @ part) @ values[own, z], abs=1e-4)


def test_plain_logits_are_dot_products() -> None:
    """Eq. 8."""
    layer, values = centroids("plain")
    x = features()
    received = np.asarray(layer(NormalizeSpaces(PLAIN_SPACES)(x)))
    for n in range(len(x)):
        for z in range(50):
            assert received[n, z] == pytest.approx(x[n] / np.linalg.norm(x[n]) @ values[:, z], abs=1e-4)


@both
def test_a_centroid_learns_in_its_own_space_only(kind: str) -> None:
    layer, _ = centroids(kind)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(layer(NormalizeSpaces(HEADS[kind])(features() + 0.1))))
    (gradient,) = tape.gradient(loss, layer.trainable_weights)
    for z, space in enumerate(TAG_SPACES[kind]):
        start, stop = HEADS[kind][space]
        inside = np.zeros(256, bool)
        inside[start:stop] = True
        assert np.all((np.asarray(gradient)[:, z] != 0) == inside)


def test_calibration_is_the_identity_until_it_is_set() -> None:
    layer = Calibration()
    logits = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    assert np.array_equal(layer(logits), logits)
    scale, offset = np.linspace(0.5, 2, 50, dtype=np.float32), np.linspace(-3, 3, 50, dtype=np.float32)
    layer.set_weights([scale, offset])
    np.testing.assert_allclose(np.asarray(layer(logits)), scale * logits + offset, rtol=1e-6, atol=1e-6)
    assert layer.trainable_weights == []


@both
def test_equal_layers_from_the_configs(kind: str) -> None:
    normalise, head = NormalizeSpaces(HEADS[kind]), Centroids(HEADS[kind], TAG_SPACES[kind])
    assert NormalizeSpaces.from_config(normalise.get_config()).spaces == normalise.spaces
    again = Centroids.from_config(head.get_config())
    assert (again.spaces, again.tag_spaces) == (head.spaces, head.tag_spaces)
