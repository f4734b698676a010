"""The heads, held against loops."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from numpy.typing import NDArray

from musiczoo.models.heads import Calibration, Centroids, NormalizeSpaces, Prototypes, Proxies, Spaces
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
    got = np.asarray(layer(NormalizeSpaces(SPACES)(x)))
    for n in range(len(x)):
        for z, tag in enumerate(TAGS):
            (own,) = (slices[name] for name, tags in DIMENSION_TAGS.items() if tag in tags)
            part = x[n, own].astype(float)
            assert got[n, z] == pytest.approx(part / np.sqrt(part @ part) @ values[own, z], abs=1e-4)


def test_plain_logits_are_dot_products() -> None:
    """Eq. 8."""
    layer, values = centroids("plain")
    x = features()
    got = np.asarray(layer(NormalizeSpaces(PLAIN_SPACES)(x)))
    for n in range(len(x)):
        for z in range(50):
            assert got[n, z] == pytest.approx(x[n] / np.linalg.norm(x[n]) @ values[:, z], abs=1e-4)


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


# === Proxies ===


def proxies(spaces: Spaces, tag_spaces: tuple[str, ...], size: int = 256) -> tuple[Proxies, NDArray[np.float32]]:
    """A head, and its free parameters: short, so that logits are near 1."""
    layer = Proxies(spaces, tag_spaces)
    layer.build((None, size))
    values = np.random.default_rng(2).normal(0, 1 / 8, (len(tag_spaces), size)).astype(np.float32)
    layer.proxies.assign(values)
    return layer, values


def test_proxies_are_compared_in_their_own_slice() -> None:
    """Eq. 7, on features of any length."""
    layer, values = proxies(SPACES, TAG_SPACES["disentangled"])
    x = features()
    got = np.asarray(layer(x))
    for n in range(len(x)):
        for z, space in enumerate(TAG_SPACES["disentangled"]):
            mask = np.zeros(256)
            mask[slice(*SPACES[space])] = 1
            masked = x[n] * mask
            assert got[n, z] == pytest.approx(masked / np.linalg.norm(masked) @ (values[z] * mask), abs=1e-6)


def test_plain_proxies_are_dot_products() -> None:
    """Eq. 5."""
    layer, values = proxies(PLAIN_SPACES, TAG_SPACES["plain"])
    x = features()
    got = np.asarray(layer(x))
    for n in range(len(x)):
        for z in range(50):
            assert got[n, z] == pytest.approx(x[n] / np.linalg.norm(x[n]) @ values[z], abs=1e-6)


UNEVEN = {"a": (0, 3), "b": (3, 10), "c": (10, 12)}


@pytest.mark.parametrize(
    ("spaces", "tag_spaces", "size"),
    [
        (SPACES, TAG_SPACES["disentangled"], 256),
        (PLAIN_SPACES, TAG_SPACES["plain"], 256),
        (UNEVEN, ("b", "a", "c", "b", "everything"), 12),
    ],
    ids=["disentangled", "plain", "uneven"],
)
def test_both_forms_of_the_metric(spaces: Spaces, tag_spaces: tuple[str, ...], size: int) -> None:
    """Eq. 7 on the masked features is eq. 11 on their normalised sub-vectors, eq. 5 is eq. 8."""
    of_proxies, values = proxies(spaces, tag_spaces, size)
    of_centroids = Centroids(spaces, tag_spaces)
    of_centroids.build((None, size))
    of_centroids.centroids.assign(values.T)
    x = np.random.default_rng(3).uniform(0.1, 3, (5, size)).astype(np.float32)
    units = NormalizeSpaces(spaces)(x)
    in_space = [space in spaces for space in tag_spaces]  # what lies in none is normalised after its parts
    got = {"features": np.asarray(of_proxies(x))[:, in_space], "units": np.asarray(of_proxies(units))}
    expected = np.asarray(of_centroids(units))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(got["features"], expected[:, in_space], atol=1e-6)
    np.testing.assert_allclose(got["units"], expected, atol=1e-6)


def test_a_proxy_learns_in_its_own_space_only() -> None:
    layer, _ = proxies(SPACES, TAG_SPACES["disentangled"])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(layer(features() + 0.1)))
    (gradient,) = tape.gradient(loss, layer.trainable_weights)
    for z, space in enumerate(TAG_SPACES["disentangled"]):
        inside = np.zeros(256, bool)
        inside[slice(*SPACES[space])] = True
        assert np.all((np.asarray(gradient)[z] != 0) == inside)


def test_zero_features_give_finite_proxy_logits_and_gradients() -> None:
    layer, _ = proxies(SPACES, TAG_SPACES["disentangled"])
    zeros = tf.Variable(tf.zeros((2, 256)))
    with tf.GradientTape() as tape:
        logits = layer(zeros)
        total = tf.reduce_sum(logits)
    assert not np.asarray(logits).any()
    assert np.all(np.isfinite(tape.gradient(total, zeros)))


@both
@pytest.mark.parametrize("head", [Centroids, Proxies])
def test_all_tags_start_rare(head: type[Centroids | Proxies], kind: str) -> None:
    """Near their mean prior, 4 %, for embeddings as after a ReLU; not at 50 %."""
    tf.keras.utils.set_random_seed(0)
    layer = head(HEADS[kind], TAG_SPACES[kind])
    logits = np.asarray(layer(NormalizeSpaces(HEADS[kind])(features(100))), float)
    assert 0.01 < np.mean(1 / (1 + np.exp(-logits))) < 0.2


@both
@pytest.mark.parametrize("head", [Centroids, Proxies])
def test_tags_can_start_at_their_priors(head: type[Centroids | Proxies], kind: str) -> None:
    """Exactly, for the mean embedding; points move along it alone, and not outside their space."""
    tf.keras.utils.set_random_seed(0)
    layer = head(HEADS[kind], TAG_SPACES[kind])
    mean = np.asarray(NormalizeSpaces(HEADS[kind])(features(100))).mean(axis=0)
    layer(mean[None])
    before = np.array(layer.weights[0])
    priors = np.linspace(0, 1, 50)  # the first and the last as good as never and always
    layer.start_at(priors, mean)
    logits = np.asarray(layer(mean[None]), float)[0]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), np.clip(priors, 0.001, 0.999), rtol=1e-3)
    moved = np.array(layer.weights[0]) - before
    for z, space in enumerate(TAG_SPACES[kind]):
        own = np.zeros(256, bool)
        own[slice(*HEADS[kind][space])] = True
        step = moved[z] if head is Proxies else moved[:, z]
        assert not step[~own].any()
        ratio = step[own] / mean[own]
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-2)


# === Prototypes ===


def test_prototypes_give_cosines_with_the_means() -> None:
    """In the tag's own space, for any length of the mean there and any values elsewhere."""
    layer = Prototypes(SPACES, TAG_SPACES["disentangled"])
    units = NormalizeSpaces(SPACES)(features())
    assert not np.asarray(layer(units)).any()
    means = np.random.default_rng(4).uniform(0, 5, (256, 50))
    means[:, 7] = 0  # no track has this tag
    layer.set_points(means)
    got = np.asarray(layer(units))
    for n, x in enumerate(features()):
        for z, space in enumerate(TAG_SPACES["disentangled"]):
            own = slice(*SPACES[space])
            cosine = x[own] @ means[own, z] / (np.linalg.norm(x[own]) * np.linalg.norm(means[own, z])) if z != 7 else 0
            assert got[n, z] == pytest.approx(cosine, abs=1e-5)


def test_points_are_unit_vectors_in_their_space() -> None:
    layer = Prototypes(SPACES, TAG_SPACES["disentangled"])
    layer.build((None, 256))
    means = np.random.default_rng(4).normal(size=(256, 50))
    means[64:128, 10] = 0  # a mood, of which nothing is left in its space
    assert TAG_SPACES["disentangled"][10] == "mood"
    layer.set_points(means)
    points = np.asarray(layer.centroids)
    lengths = np.linalg.norm(points, axis=0)
    np.testing.assert_allclose(np.delete(lengths, 10), 1, rtol=1e-6)
    assert not points[:, 10].any()
    assert all(not np.delete(points[:, z], np.r_[slice(*SPACES[s])]).any() for z, s in enumerate(layer.tag_spaces))


def test_prototypes_are_not_trained() -> None:
    layer = Prototypes(SPACES, TAG_SPACES["disentangled"])
    layer.build((None, 256))
    assert layer.trainable_weights == []
    again = Prototypes.from_config(layer.get_config())
    again.build((None, 256))
    assert again.trainable_weights == []


@pytest.mark.parametrize("head", [Centroids, Proxies, Prototypes])
def test_a_tag_of_another_dimension_counts_the_whole_vector(head: type[Centroids | Proxies | Prototypes]) -> None:
    """The embedding has no space for it."""
    layer = head(SPACES, ("language", "era"))
    layer.build((None, 256))
    points = np.random.default_rng(5).normal(size=(256, 2)).astype(np.float32)
    if head is Prototypes:
        layer.set_points(points)
        points = points / np.array([np.linalg.norm(points[:, 0]), np.linalg.norm(points[192:, 1])])
    else:
        layer.weights[0].assign(points.T if head is Proxies else points)
    x = np.asarray(NormalizeSpaces(SPACES)(features()))
    np.testing.assert_allclose(layer(x)[:, 0], x @ points[:, 0], atol=1e-5)
    np.testing.assert_allclose(layer(x)[:, 1], 2 * x[:, 192:] @ points[192:, 1], atol=1e-5)


@both
@pytest.mark.parametrize("head", [Centroids, Proxies, Prototypes])
def test_equal_layers_from_the_configs(head: type[Centroids | Proxies | Prototypes], kind: str) -> None:
    normalise, layer = NormalizeSpaces(HEADS[kind]), head(HEADS[kind], TAG_SPACES[kind])
    assert NormalizeSpaces.from_config(normalise.get_config()).spaces == normalise.spaces
    again = head.from_config(layer.get_config())
    assert type(again) is head
    assert (again.spaces, again.tag_spaces) == (layer.spaces, layer.tag_spaces)
