import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.errors import InputError
from musiczoo.evaluation.metrics import triplets
from musiczoo.evaluation.metrics.triplets import Triplets

TAGS = ("rock", "pop", "sad", "60s", "70s")
DIMENSIONS = {"genre": ("rock", "pop"), "mood": ("sad",), "era": ("60s", "70s")}


def labels(seed, tracks=20):
    return np.random.default_rng(seed).random((tracks, len(TAGS))) < 0.4


def naive_accuracy(vectors, rows):
    """A triplet at a time."""
    points = []
    for a, p, n in rows:
        ap, an = (math.fsum(x * y for x, y in zip(vectors[a], vectors[b], strict=True)) for b in (p, n))
        points.append(1 if ap > an else 0.5 if ap == an else 0)
    return sum(points) / len(points)


def test_accuracy_by_hand():
    """From [1, 0]: [1, 0] is nearer than [0, 1], and not the other way round; [0, 1] and [0, 2] tie."""
    vectors = [[1, 0], [1, 0], [0, 1], [0, 2]]
    lists = Triplets.of([[0, 1, 2], [0, 2, 1], [0, 2, 3], [0, 1, 3]])
    np.testing.assert_array_equal(triplets.scores(vectors, lists), [1, 0, 0.5, 1])
    assert triplets.accuracy(vectors, lists) == 2.5 / 4
    assert math.isnan(triplets.accuracy(vectors, Triplets.of([])))


@pytest.mark.parametrize("count", [15, 200])  # each pair of 15 is computed once, those of 200 in blocks
@pytest.mark.parametrize("levels", [2, 1000])
def test_accuracy_equals_a_naive_loop(levels, count):
    rng = np.random.default_rng(levels)
    vectors = rng.integers(-levels, levels, size=(count, 4)).astype(float)
    rows = rng.integers(count, size=(20000, 3))  # more than a block
    assert triplets.accuracy(vectors, Triplets.of(rows)) == pytest.approx(
        naive_accuracy(vectors.tolist(), rows.tolist()), abs=1e-12
    )


@given(st.integers(0, 2**32 - 1))
def test_neither_scale_nor_order_matters_and_swapped_triplets_mirror(seed):
    rng = np.random.default_rng(seed)
    vectors, rows = rng.standard_normal((12, 3)), rng.integers(12, size=(50, 3))
    value = triplets.accuracy(vectors, Triplets.of(rows))
    order = rng.permutation(12)
    assert triplets.accuracy(vectors * 8, Triplets.of(rows)) == value
    assert triplets.accuracy(vectors[order], Triplets.of(np.argsort(order)[rows])) == value
    assert triplets.accuracy(vectors, Triplets.of(rows[:, [0, 2, 1]])) == pytest.approx(1 - value, abs=1e-12)


@pytest.mark.parametrize("count", [100, 1000])
def test_equal_vectors_tie(count):
    rng = np.random.default_rng(count)
    vectors = np.tile(rng.standard_normal((12, 256)), (2, 1))
    a, p = rng.integers(12, size=(2, count))
    assert (triplets.scores(vectors, Triplets(a, p, p + 12)) == 0.5).all()


@pytest.mark.parametrize("seed", range(4))
def test_drawn_triplets_share_a_tag_of_their_dimension_that_the_negative_lacks(seed):
    positives = labels(seed)
    for name, lists in triplets.draw(positives, TAGS, DIMENSIONS, 500, seed).items():
        assert len(lists) == 500
        columns = [TAGS.index(tag) for tag in DIMENSIONS[name]]
        for a, p, n in lists.rows():
            assert a != p
            assert (positives[a, columns] & positives[p, columns] & ~positives[n, columns]).any()


def test_tags_are_drawn_uniformly_however_many_tracks_carry_them():
    """Tracks 0 to 97 carry rock, 98 and 99 pop: half the anchors have pop, and each of the two tracks a quarter."""
    positives = np.zeros((100, 2), bool)
    positives[:98, 0] = positives[98:, 1] = True
    lists = triplets.draw(positives, ("rock", "pop"), {"genre": ("rock", "pop")}, 20000)["genre"]
    assert np.mean(lists.anchor >= 98) == pytest.approx(0.5, abs=0.02)
    assert np.mean(lists.anchor == 99) == pytest.approx(0.25, abs=0.02)
    assert set(lists.positive[lists.anchor == 99]) == {98}
    assert set(lists.negative[lists.anchor < 98]) == {98, 99}


def test_a_tag_that_one_track_or_all_carry_is_no_use():
    positives = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0]])
    tags = ("all", "one", "none")
    drawn = triplets.draw(positives, tags, {"a": tags, "b": ("one",)}, 10)
    assert [len(lists) for lists in drawn.values()] == [0, 0]


def test_same_seed_same_triplets_with_any_other_dimensions():
    positives = labels(0)
    whole = triplets.draw(positives, TAGS, DIMENSIONS, 50, seed=3)
    alone = triplets.draw(positives, TAGS, {"era": DIMENSIONS["era"]}, 50, seed=3)
    np.testing.assert_array_equal(whole["era"].rows(), alone["era"].rows())
    other = triplets.draw(positives, TAGS, DIMENSIONS, 50, seed=4)
    assert (whole["era"].rows() != other["era"].rows()).any()


@pytest.mark.parametrize("apart", [1, 2, 3])
def test_track_triplets_are_of_one_track_far_enough_apart_and_of_another(apart):
    sizes = [1, 5, 0, 3, 4, 1]
    track = np.repeat(np.arange(len(sizes)), sizes)
    lists = triplets.draw_track(sizes, 3000, apart=apart)
    np.testing.assert_array_equal(track[lists.anchor], track[lists.positive])
    assert (track[lists.anchor] != track[lists.negative]).all()
    assert np.abs(lists.anchor - lists.positive).min() == apart
    usable = {i for i, size in enumerate(sizes) if size > apart}
    assert set(track[lists.anchor]) == usable
    assert set(track[lists.negative]) == {0, 1, 3, 4, 5}
    # Every pair of one track that is far enough apart comes, and about equally often.
    pairs = [(i, j) for i in range(5) for j in range(5) if abs(i - j) >= apart]
    of_one = track[lists.anchor] == 1
    counts = [np.sum(of_one & (lists.anchor - 1 == i) & (lists.positive - 1 == j)) for i, j in pairs]
    assert np.min(counts) > np.sum(of_one) / len(pairs) * 0.6
    assert np.sum(counts) == np.sum(of_one)


@pytest.mark.parametrize("sizes", [[], [5], [1, 1, 1]])
def test_where_no_track_triplet_can_be_there_is_none(sizes):
    assert len(triplets.draw_track(sizes, 10)) == 0


def test_evaluate_judges_each_list_in_its_space():
    vectors = np.array([[1, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1.0]])
    lists = {"a": Triplets.of([[0, 1, 2]]), "b": Triplets.of([[0, 1, 2], [0, 2, 1], [1, 0, 2]]), "c": Triplets.of([])}
    result = triplets.evaluate({"a": vectors[:, :2], "b": vectors[:, 2:], "c": vectors}, lists)
    assert result["a"] == {"value": 1, "interval": [1, 1], "count": 1}
    assert result["b"]["value"] == pytest.approx((0 + 1 + 0.5) / 3)
    assert result["c"] == {"value": None, "interval": [None, None], "count": 0}
    assert result["overall"]["value"] == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert result["overall"]["count"] == 4


def test_intervals_count_tracks_and_not_triplets():
    """Ten tracks, half of them always right: that 10,000 triplets say so makes the interval no narrower."""
    vectors = np.zeros((12, 2))
    vectors[:5, 0], vectors[5:10, 0], vectors[10, 0] = 1, -1, 1
    few = np.array([[a, 10, 11] for a in range(10)])
    narrow, wide = (triplets.evaluate({"x": vectors}, {"x": Triplets.of(np.tile(few, (n, 1)))})["x"] for n in (1, 1000))
    assert narrow["value"] == wide["value"] == 0.5
    assert narrow["interval"] == wide["interval"]
    assert narrow["interval"][1] - narrow["interval"][0] > 0.4


def test_excerpts_of_one_track_are_drawn_together():
    vectors = np.array([[1.0], [1], [2], [-1], [-1]])
    lists = Triplets.of([[0, 2, 3], [1, 2, 3], [3, 2, 4]])
    result = triplets.evaluate({"t": vectors}, {"t": lists}, track_of=[0, 0, 1, 2, 2])["t"]
    assert result["value"] == pytest.approx(2 / 3)
    assert result["interval"] == [0, 1]


@pytest.mark.parametrize(
    ("vectors", "message"), [([1.0], r"shape \(1,\)"), ([[math.inf]] * 3, "infinity"), ([[1.0]], "of 1 rows")]
)
def test_scores_say_what_is_wrong(vectors, message):
    with pytest.raises(InputError, match=message):
        triplets.scores(vectors, Triplets.of([[0, 1, 2]]))


def test_draw_says_what_is_wrong():
    with pytest.raises(InputError, match="5 tags, got shape"):
        triplets.draw(np.zeros((3, 4)), TAGS, DIMENSIONS, 10)
    with pytest.raises(InputError, match="hard_tags"):
        triplets.draw(np.full((3, 5), 0.5), TAGS, DIMENSIONS, 10)
