"""The triplet loss, held against loops over explicit samples and numbers derived by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
import tensorflow as tf
from naive_triplets import DIMENSIONS, naive_explicit, naive_in_batch
from numpy.typing import ArrayLike, NDArray

from musiczoo.models.losses import MARGIN, TRACK_WEIGHT, Spaces, TripletError, TripletLoss
from musiczoo.models.miners import MINERS, AllTriplets, ExplicitTriplets, HardTriplets, Miner

pytestmark = pytest.mark.train

IN_BATCH = ("all", "semihard", "hardest")
DISENTANGLED, PLAIN = {"genre": (0, 2), "mood": (2, 4)}, {"all": (0, 4)}
spaces_of_both = pytest.mark.parametrize("spaces", [DISENTANGLED, PLAIN], ids=["disentangled", "plain"])
minings = pytest.mark.parametrize("mining", IN_BATCH)
track_weights = pytest.mark.parametrize("track_weight", [0.0, 0.5])


def explicit_loss(
    spaces: Spaces, dimensions: Sequence[str], margin: float = MARGIN, track_weight: float = 0.0
) -> TripletLoss:
    """On samples of three rows, or of five with triplets of tracks."""
    if not track_weight:
        return TripletLoss(spaces, dimensions, ExplicitTriplets(), margin)
    tags, tracks = ExplicitTriplets(5), ExplicitTriplets(5, positive=3, negative=4)
    return TripletLoss(spaces, dimensions, tags, margin, track_weight, tracks)


# === By hand ===

EMBEDDING = [[1.0, 0.0, 0.6, 0.8], [0.6, 0.8, 0.8, 0.6], [0.8, 0.6, 0.0, 1.0], [0.0, 1.0, -1.0, 0.0]]
"""Cosines between rows: in the genre columns 01: .6, 02: .8, 03: 0, 12: .96, 13: .8, 23: .6; in the mood columns
01: .96, 02: .8, 03: -.6, 12: .6, 13: -.8, 23: 0; in the whole space the mean of the two, 01: .78, 02: .8, 03: -.3,
12: .78, 13: 0, 23: .3."""

HAND_DIMENSIONS = ("mood", "genre", "era")
TARGETS = {"tags": [[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]], "tracks": [7, 9, 7, 11]}
"""Mood: rows 0 and 2 share its tag; genre: 0 and 1; era: one row has its tag, so that it has no triplet."""


@pytest.mark.parametrize(
    ("mining", "genre", "mood", "tracks"),
    [
        # Genre .3 (0, 1, 2), 0 (0, 1, 3), .46 (1, 0, 2), .3 (1, 0, 3); mood .26 (0, 2, 1) and three times 0;
        # tracks .08 (0, 2, 1), .08 (2, 0, 1) and twice 0.
        ("all", 1.06 / 4, 0.26 / 4, 0.16 / 4),
        # The pair (0, 1) has row 3 behind the positive, at 0 - .6; (1, 0) nothing, and its least similar is row 3.
        # Mood: (0, 2) has row 3 behind, (2, 0) has row 1, at .6 - .8. Tracks: row 1 is behind for both.
        ("semihard", (0 + 0.3) / 2, 0, 0.08),
        ("hardest", (0.3 + 0.46) / 2, (0.26 + 0) / 2, 0.08),
    ],
)
def test_in_batch_by_hand(mining: str, genre: float, mood: float, tracks: float) -> None:
    """Era has no triplet and does not count."""
    expected = (genre + mood) / 2
    loss = TripletLoss(DISENTANGLED, HAND_DIMENSIONS, MINERS[mining]())
    assert float(loss(TARGETS, EMBEDDING)) == pytest.approx(expected, abs=1e-6)
    regularised = TripletLoss(DISENTANGLED, HAND_DIMENSIONS, MINERS[mining](), track_weight=0.5)
    assert float(regularised(TARGETS, EMBEDDING)) == pytest.approx(expected + 0.5 * tracks, abs=1e-6)


@pytest.mark.parametrize(("mining", "genre", "mood"), [("all", 0.22 / 4, 0.16 / 4), ("hardest", 0.22 / 2, 0.08)])
def test_plain_in_batch_by_hand(mining: str, genre: float, mood: float) -> None:
    """Genre .12 (0, 1, 2), .1 (1, 0, 2); mood .08 (0, 2, 1), .08 (2, 0, 1): in the whole space."""
    loss = TripletLoss(PLAIN, HAND_DIMENSIONS, MINERS[mining]())
    assert float(loss(TARGETS, EMBEDDING)) == pytest.approx((genre + mood) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("spaces", "genre", "mood"), [(DISENTANGLED, (0.3 + 0.46) / 2, 0.26), (PLAIN, (0.12 + 0.1) / 2, 0.08)]
)
def test_explicit_by_hand(spaces: Spaces, genre: float, mood: float) -> None:
    """Samples of genre (0, 1, 2) and (1, 0, 2), of mood (0, 2, 1); none of era."""
    rows, tags = [0, 1, 2, 1, 0, 2, 0, 2, 1], [[0, 1, 0]] * 6 + [[1, 0, 0]] * 3
    loss = TripletLoss(spaces, HAND_DIMENSIONS, ExplicitTriplets())
    assert float(loss(tags, np.array(EMBEDDING)[rows])) == pytest.approx((genre + mood) / 2, abs=1e-6)


@pytest.mark.parametrize(("spaces", "of_tags"), [(DISENTANGLED, (0.46 + 0.26) / 2), (PLAIN, (0.1 + 0.08) / 2)])
def test_explicit_with_tracks_by_hand(spaces: Spaces, of_tags: float) -> None:
    """After the genre sample (1, 0, 2) the tracks' (1; 0, 3), which costs 0; after mood (0, 2, 1), (0; 2, 1)."""
    rows, tags = [1, 0, 2, 0, 3, 0, 2, 1, 2, 1], [[0, 1, 0]] * 5 + [[1, 0, 0]] * 5
    loss = explicit_loss(spaces, HAND_DIMENSIONS, track_weight=0.5)
    expected = of_tags + 0.5 * (0 + 0.08) / 2
    assert float(loss({"tags": tags, "tracks": rows}, np.array(EMBEDDING)[rows])) == pytest.approx(expected, abs=1e-6)


def test_defaults_are_the_papers() -> None:
    assert (MARGIN, TRACK_WEIGHT) == (0.1, 0.5)
    loss = TripletLoss(PLAIN, ["genre"], ExplicitTriplets())
    assert float(loss(np.ones((3, 1)), [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])) == pytest.approx(0.8 - 0.6 + 0.1)


# === By loops ===


Targets = dict[str, NDArray[np.float64]]


def batch(seed: int, size: int = 7) -> tuple[NDArray[np.float64], Targets]:
    """Embeddings ``[size, 4]`` of any length, and random tags and tracks."""
    random = np.random.default_rng(seed)
    tags = (random.uniform(size=(size, len(DIMENSIONS))) < 0.4).astype(float)
    x = random.normal(size=(size, 4))
    return x, {"tags": tags, "tracks": random.integers(3, size=size).astype(float)}


def samples(seed: int, track_weight: float) -> tuple[NDArray[np.float64], Targets]:
    """Four explicit samples of random tags, one of each dimension."""
    random = np.random.default_rng(seed)
    rows, of_dimension = (5 if track_weight else 3), [DIMENSIONS.index(name) for name in dict.fromkeys(DIMENSIONS)]
    x = random.normal(size=(4 * rows, 4))
    chosen = np.array(of_dimension)[random.integers(3, size=4)]
    tags = np.repeat(np.eye(len(DIMENSIONS))[chosen], rows, axis=0)
    return x, {"tags": tags, "tracks": np.arange(len(x), dtype=float)}


def gradient(loss: TripletLoss, x: ArrayLike, y: Targets) -> NDArray[np.float32]:
    """Of the embedding."""
    variable = tf.Variable(np.asarray(x, np.float32))
    with tf.GradientTape() as tape:
        value = loss(y, variable)
    return np.asarray(tf.convert_to_tensor(tape.gradient(value, variable)))


def differences(function: object, x: NDArray[np.float64], step: float = 1e-6) -> NDArray[np.float64]:
    """Central finite differences, in float64."""
    result = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        result[i] = (function(up) - function(down)) / (2 * step)  # type: ignore[operator]
    return result


@track_weights
@spaces_of_both
@pytest.mark.parametrize("mining", [*IN_BATCH, "order"])
def test_in_batch_is_the_loop(mining: str, spaces: Spaces, track_weight: float) -> None:
    kind, miner = (TripletError, AllTriplets()) if mining == "order" else (TripletLoss, MINERS[mining]())
    loss = kind(spaces, DIMENSIONS, miner, margin=0.3, track_weight=track_weight)
    for seed in range(5):
        x, y = batch(seed)
        expected = naive_in_batch(x, y, spaces, mining, 0.3, track_weight)
        assert expected > 0.01
        assert float(loss(y, x)) == pytest.approx(expected, abs=1e-6)


@track_weights
@spaces_of_both
def test_explicit_is_the_loop(spaces: Spaces, track_weight: float) -> None:
    loss = explicit_loss(spaces, DIMENSIONS, 0.3, track_weight)
    for seed in range(5):
        x, y = samples(seed, track_weight)
        expected = naive_explicit(x, y, spaces, 0.3, track_weight)
        assert expected > 0.01
        assert float(loss(y, x)) == pytest.approx(expected, abs=1e-6)


@track_weights
@spaces_of_both
@minings
def test_gradient_of_in_batch(mining: str, spaces: Spaces, track_weight: float) -> None:
    """Against differences of the loop."""
    x, y = batch(1, size=6)
    loss = TripletLoss(spaces, DIMENSIONS, MINERS[mining](), margin=0.3, track_weight=track_weight)
    expected = differences(lambda v: naive_in_batch(v, y, spaces, mining, 0.3, track_weight), x)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(gradient(loss, x, y), expected, atol=2e-6)


@track_weights
@spaces_of_both
def test_gradient_of_explicit(spaces: Spaces, track_weight: float) -> None:
    x, y = samples(0, track_weight)
    loss = explicit_loss(spaces, DIMENSIONS, 0.3, track_weight)
    expected = differences(lambda v: naive_explicit(v, y, spaces, 0.3, track_weight), x)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(gradient(loss, x, y), expected, atol=2e-6)


@pytest.mark.parametrize("mining", ["explicit", *IN_BATCH])
def test_lengths_do_not_matter(mining: str) -> None:
    x, y = samples(2, 0) if mining == "explicit" else batch(2)
    stretched = x * np.random.default_rng(0).uniform(0.1, 10, (len(x), 1))
    loss = TripletLoss(PLAIN, DIMENSIONS, MINERS[mining]())
    assert float(loss(y, x)) == pytest.approx(float(loss(y, stretched)), abs=1e-6)


# === Nothing to learn from ===

NO_TRIPLETS = {
    "no tags": ([[0] * 6] * 4, [1, 2, 3, 4]),
    "all tags": ([[1] * 6] * 4, [1, 1, 1, 1]),
    "no two alike": (np.eye(6)[:4], [1, 2, 3, 4]),
    "one excerpt": ([[1] * 6], [1]),
}


@pytest.mark.parametrize("tags_and_tracks", NO_TRIPLETS.values(), ids=NO_TRIPLETS.keys())
@minings
def test_without_triplets_the_loss_is_zero(mining: str, tags_and_tracks: tuple[ArrayLike, Sequence[int]]) -> None:
    y = {name: np.array(values, float) for name, values in zip(("tags", "tracks"), tags_and_tracks, strict=True)}
    x = np.random.default_rng(0).normal(size=(len(y["tracks"]), 4))
    loss = TripletLoss(DISENTANGLED, DIMENSIONS, MINERS[mining](), track_weight=0.5)
    assert float(loss(y, x)) == 0
    assert np.array_equal(gradient(loss, x, y), np.zeros_like(x))


@minings
def test_one_dimension_with_triplets_is_not_diluted(mining: str) -> None:
    """The other two give nothing: the loss is that of a loss which knows but one."""
    x, y = batch(3)
    y["tags"][:, [z for z, name in enumerate(DIMENSIONS) if name != "genre"]] = 1
    columns = [z for z, name in enumerate(DIMENSIONS) if name == "genre"]
    alone = TripletLoss(DISENTANGLED, ["genre"] * len(columns), MINERS[mining]())
    expected = float(alone(y["tags"][:, columns], x))
    assert expected > 0.01
    assert float(TripletLoss(DISENTANGLED, DIMENSIONS, MINERS[mining]())(y, x)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("mining", ["explicit", *IN_BATCH])
def test_embeddings_of_zero_length_have_finite_gradients(mining: str) -> None:
    x, y = samples(4, 0.5) if mining == "explicit" else batch(4)
    x[:2] = 0
    loss = TripletLoss(DISENTANGLED, DIMENSIONS, MINERS[mining](), track_weight=0.5)
    if mining == "explicit":
        loss = explicit_loss(DISENTANGLED, DIMENSIONS, track_weight=0.5)
    assert np.isfinite(float(loss(y, x)))
    assert np.all(np.isfinite(gradient(loss, x, y)))


# === As part of Keras ===


def test_an_equal_loss_from_its_config() -> None:
    loss = TripletLoss(
        DISENTANGLED, DIMENSIONS, HardTriplets(), 0.2, track_weight=0.7, track_miner=ExplicitTriplets(7), name="mine"
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert isinstance(again, TripletLoss)
    assert again.get_config() == loss.get_config()
    assert (again.spaces, again.tag_dimensions, again.name) == (DISENTANGLED, DIMENSIONS, "mine")
    assert isinstance(again.miner, HardTriplets)
    assert vars(again.track_miner) == {"rows": 7, "positive": 1, "negative": 2}
    x, y = batch(5)
    assert np.array_equal(again(y, x), loss(y, x))


@pytest.mark.parametrize("mining", ["explicit", "all"])
def test_a_model_learns_by_it_and_is_saved_with_it(mining: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    y = (samples(6, 0)[1] if mining == "explicit" else batch(6, size=12)[1])["tags"]
    x = np.random.default_rng(6).normal(size=(12, 8)).astype(np.float32)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    loss = TripletLoss(DISENTANGLED, DIMENSIONS, MINERS[mining]())
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss=loss)
    before = model.evaluate(x, y, batch_size=12, verbose=0)
    assert before == pytest.approx(float(loss(y, model(x))), abs=1e-6)
    model.fit(x, y, batch_size=12, epochs=20, shuffle=False, verbose=0)
    after = model.evaluate(x, y, batch_size=12, verbose=0)
    assert after < 0.7 * before
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")  # noqa: TID251  (our own, in safe mode)
    assert again.evaluate(x, y, batch_size=12, verbose=0) == pytest.approx(after, abs=1e-6)


def test_a_miner_and_a_similarity_of_the_user() -> None:
    """By hand: each anchor's first positive and last negative, compared by the first column of the embedding."""

    class FirstAndLast(Miner):
        def select(self, similarity: Any, valid: Any) -> tuple[Any, Any]:
            positive = tf.argmax(tf.cast(tf.reduce_any(valid, axis=2), tf.int32), axis=1)
            negative = 3 - tf.argmax(tf.cast(tf.reduce_any(valid, axis=1), tf.int32)[:, ::-1], axis=1)
            pick = lambda columns: tf.gather(similarity, columns, batch_dims=1)  # noqa: E731
            return pick(negative) - pick(positive), tf.reduce_any(valid, axis=(1, 2))

    def first_column(x: Any) -> Any:
        return -tf.abs(x[:, None, 0] - x[None, :, 0])

    x, tags = [[0.0, 9.0], [0.5, -9.0], [0.1, 1.0], [0.3, 2.0]], [[1.0], [1.0], [0.0], [0.0]]
    loss = TripletLoss({}, ["genre"], FirstAndLast(), margin=0.1, similarity=first_column)
    # Anchor 0: -0.3 + 0.5 + 0.1; anchor 1: -0.2 + 0.5 + 0.1.
    assert float(loss(tags, x)) == pytest.approx((0.3 + 0.4) / 2, abs=1e-6)
