import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.errors import InputError
from musiczoo.evaluation.metrics import retrieval

# Unit vectors at 0, 10, 30, 70 and 150 degrees.
DEGREES = np.radians([0, 10, 30, 70, 150])
VECTORS = np.stack([np.cos(DEGREES), np.sin(DEGREES)], axis=1)
#                      a  b  c  d
POSITIVES = np.array([[1, 1, 0, 0],
                      [1, 0, 0, 0],
                      [0, 1, 1, 0],
                      [0, 0, 0, 0],
                      [1, 0, 1, 1]])  # fmt: skip


def naive_neighbours(vectors, k):
    """All other rows, by falling inner product, then by row."""
    result = []
    for i, query in enumerate(vectors):
        others = [j for j in range(len(vectors)) if j != i]
        others.sort(key=lambda j: (-math.fsum(a * b for a, b in zip(query, vectors[j], strict=True)), j))
        result.append(others[:k])
    return result


def naive_recall(neighbours, positives, k):
    """Eq. 12 as it stands: mean over queries of |own tags that any of the k nearest has| / |own tags|."""
    values, hits = [], []
    for own, near in zip(positives, neighbours, strict=True):
        tags = set(np.flatnonzero(own))
        if not tags:
            continue
        union = set().union(*(np.flatnonzero(positives[j]) for j in near[:k]))
        values.append(len(tags & union) / len(tags))
        hits.append(bool(tags & union))
    return np.mean(values), np.mean(hits)


def test_nearest_by_hand():
    np.testing.assert_array_equal(
        retrieval.nearest(VECTORS, 4), [[1, 2, 3, 4], [0, 2, 3, 4], [1, 0, 3, 4], [2, 1, 0, 4], [3, 2, 1, 0]]
    )


def test_recall_by_hand():
    """K = 1: track 0 has a, b and meets a: 1/2. Track 1 has a: 1. Track 2 has b, c and meets a: 0. Track 3 has no tag.
    Track 4 has a, c, d and meets nothing: 0. K = 2: track 0 meets a, b, c: 1; track 2 a, b: 1/2; track 4 b, c: 1/3."""
    near = retrieval.nearest(VECTORS, 2)
    expected = [[1 / 2, 1], [1, 1], [0, 1 / 2], [np.nan, np.nan], [0, 1 / 3]]
    np.testing.assert_allclose(retrieval.recall_at_k(near, POSITIVES), expected)
    np.testing.assert_array_equal(
        retrieval.hit_rate(near, POSITIVES), [[1, 1], [1, 1], [0, 1], [np.nan, np.nan], [0, 1]]
    )
    result = retrieval.evaluate(near, POSITIVES, ks=(1, 2, 8))
    assert result["queries"] == 4
    assert result["recall"]["1"]["value"] == pytest.approx((1 / 2 + 1 + 0 + 0) / 4)
    assert result["recall"]["2"]["value"] == pytest.approx((1 + 1 + 1 / 2 + 1 / 3) / 4)
    assert result["hit_rate"]["1"]["value"] == pytest.approx(2 / 4)
    assert result["recall"]["8"] == {"value": None, "interval": [None, None]}
    low, high = result["recall"]["1"]["interval"]
    assert 0 <= low <= 3 / 8 <= high <= 1


@pytest.mark.parametrize("tracks", [2, 9, 40, 300])  # less and more than a group, a margin, a block
def test_search_and_figures_equal_naive_loops(tracks):
    rng = np.random.default_rng(tracks)
    vectors = rng.standard_normal((tracks, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    k = min(8, tracks - 1)
    near, expected = retrieval.nearest(vectors, k), naive_neighbours(vectors.astype(float).tolist(), k)
    np.testing.assert_array_equal(near, expected)
    positives = rng.random((tracks, 12)) < 0.15
    positives[0, 0] = True
    result = retrieval.evaluate(near, positives, ks=range(1, k + 1))
    for i in range(1, k + 1):
        recall, hits = naive_recall(expected, positives, i)
        assert result["recall"][str(i)]["value"] == pytest.approx(recall, abs=1e-12)
        assert result["hit_rate"][str(i)]["value"] == pytest.approx(hits, abs=1e-12)


def test_equally_near_tracks_come_in_the_order_of_their_rows():
    """All 600 tracks are equal: the nearest are the first others, in every block."""
    vectors = np.tile(np.float32([0.1, 0.7, -0.3]), (600, 1))
    near = retrieval.nearest(vectors, 3)
    np.testing.assert_array_equal(near[0], [1, 2, 3])
    np.testing.assert_array_equal(near[1], [0, 2, 3])
    np.testing.assert_array_equal(near[2:4], [[0, 1, 3], [0, 1, 2]])
    np.testing.assert_array_equal(near[4:], np.tile([0, 1, 2], (596, 1)))


def test_vectors_of_free_length_are_compared_by_inner_product():
    """From [1, 0], the far [9, 9] is nearer than [1, 0.1]: 9 against 1."""
    assert retrieval.nearest([[1, 0], [1, 0.1], [9, 9]], 1)[0] == 2


@given(st.integers(0, 2**32 - 1))
def test_neither_the_order_of_the_tracks_nor_their_scale_matters(seed):
    rng = np.random.default_rng(seed)
    vectors, positives = rng.standard_normal((50, 8)), rng.random((50, 5)) < 0.3
    order = rng.permutation(50)
    near, moved = retrieval.nearest(vectors, 4), retrieval.nearest(vectors[order] * 4, 4)
    np.testing.assert_array_equal(order[moved], near[order])
    np.testing.assert_allclose(
        retrieval.recall_at_k(moved, positives[order]), retrieval.recall_at_k(near, positives)[order]
    )


@given(st.integers(0, 2**32 - 1))
def test_recall_never_falls_with_k_nor_exceeds_the_hit_rate(seed):
    rng = np.random.default_rng(seed)
    positives = rng.random((30, 5)) < 0.3
    positives[:, 0] |= ~positives.any(axis=1)
    near = retrieval.nearest(rng.standard_normal((30, 4)), 6)
    recall, hits = retrieval.recall_at_k(near, positives), retrieval.hit_rate(near, positives)
    assert np.all(np.diff(recall, axis=1) >= 0)
    assert np.all(recall <= hits)


def test_without_a_query_nothing_is_defined_but_json():
    result = retrieval.evaluate(retrieval.nearest(VECTORS, 2), np.zeros((5, 3)), ks=(1,))
    assert json.loads(json.dumps(result, allow_nan=False)) == {
        "recall": {"1": {"value": None, "interval": [None, None]}},
        "hit_rate": {"1": {"value": None, "interval": [None, None]}},
        "queries": 0,
    }


@pytest.mark.parametrize(
    ("vectors", "k", "message"),
    [
        ([1.0, 2.0], 1, r"shape \(2,\)"),
        ([[1.0], [math.nan]], 1, "NaN"),
        ([[1.0], [2.0]], 2, "between 1 and 1"),
        ([[1.0], [2.0]], 0, "got 0"),
    ],
)
def test_search_says_what_is_wrong(vectors, k, message):
    with pytest.raises(InputError, match=message):
        retrieval.nearest(vectors, k)


@pytest.mark.parametrize(
    ("neighbours", "positives", "message"),
    [
        ([[1], [0]], [[1]], r"\(2, 1\) and \(1, 1\)"),
        ([[2], [0]], [[1], [0]], "rows of 2 tracks"),
        ([[1], [0]], [[0.5], [0]], "hard_tags"),
        (np.zeros((2, 0), int), [[1], [0]], r"\(2, 0\)"),
    ],
)
def test_figures_say_what_is_wrong(neighbours, positives, message):
    for function in (retrieval.recall_at_k, retrieval.hit_rate, retrieval.evaluate):
        with pytest.raises(InputError, match=message):
            function(neighbours, positives)
