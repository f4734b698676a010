"""Retrieval of the same artist or album: by hand, by a naive loop, and by scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from musiczoo.errors import InputError
from musiczoo.evaluation.metrics import artist_retrieval


def circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_by_hand() -> None:
    """Tracks at 0 (a), 10 (b), 30 (a), 60 (b) and 90 degrees (no artist).

    0: nearest 10 b, 30 a, 60 b, 90 -> P@1 0, P@5 1/5, AP 1/2.  10: 0 a, 30 a, 60 b, 90 -> 0, 1/5, 1/3.
    30: 10 b, 0 and 60 are 30 away each, 0 has the first row -> 0, 1/5, 1/2.  60: 30 a, 90, 10 b, 0 a -> 30 and 90
    are 30 away each, 30 has the first row -> 0, 1/5, 1/3.
    """
    result = artist_retrieval.evaluate(circle(0, 10, 30, 60, 90), ["a", "b", "a", "b", None])
    assert result["queries"] == 4
    assert result["precision_at_1"]["value"] == 0
    assert result["precision_at_5"]["value"] == pytest.approx(1 / 5)
    assert result["mean_average_precision"]["value"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 3) / 4)
    assert result["chance"] == pytest.approx(1 / 4)


def test_the_album_filter_by_hand() -> None:
    """0 and 1 degrees are one album of a, 40 degrees another; 20 degrees is b's.

    Without the filter 0 and 1 find each other first. With it, 0 and 1 rank 20 (b), 40 (a): AP 1/2; 40 ranks 20 (b),
    1, 0: AP (1/2 + 2/3) / 2.
    """
    vectors, artists, albums = circle(0, 1, 40, 20), ["a", "a", "a", "b"], ["x", "x", "y", "z"]
    free = artist_retrieval.evaluate(vectors, artists)
    assert free["precision_at_1"]["value"] == pytest.approx(2 / 3)
    filtered = artist_retrieval.evaluate(vectors, artists, albums)
    assert filtered["precision_at_1"]["value"] == 0
    assert filtered["mean_average_precision"]["value"] == pytest.approx((1 / 2 + 1 / 2 + (1 / 2 + 2 / 3) / 2) / 3)


def test_without_a_query_nothing_is_defined() -> None:
    for labels in ([None, None], ["a", "b"], ["", ""]):
        result = artist_retrieval.evaluate(np.eye(2), labels)
        assert result["queries"] == 0
        assert result["precision_at_1"] == {"value": None, "interval": [None, None]}
        assert result["chance"] is None


@settings(max_examples=40)
@given(st.data())
def test_average_precision_is_scikit_learns(data: st.DataObject) -> None:
    """On distinct scores; with albums, over the tracks that the filter leaves."""
    n = data.draw(st.integers(2, 12))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    vectors = random.normal(size=(n, 5))
    names = st.sampled_from(["a", "b", None])
    labels = data.draw(st.lists(names, min_size=n, max_size=n))
    albums = data.draw(st.none() | st.lists(names, min_size=n, max_size=n))
    scores, rows, chance = artist_retrieval.score(vectors, labels, albums)
    expected = []
    for i in range(n):
        others = [j for j in range(n) if j != i and not (albums and albums[i] is not None and albums[i] == albums[j])]
        truth = [labels[i] is not None and labels[j] == labels[i] for j in others]
        if any(truth):
            near = [vectors[i] @ vectors[j] for j in others]
            best = np.argsort(-np.array(near))
            precision = [sum(truth[j] for j in best[:k]) / k for k in artist_retrieval.KS]
            expected.append((i, [*precision, average_precision_score(truth, near)], np.mean(truth)))
    assert rows.tolist() == [i for i, _, _ in expected]
    if expected:
        np.testing.assert_allclose(scores, [values for _, values, _ in expected], atol=1e-12)
        np.testing.assert_allclose(chance, [share for _, _, share in expected], atol=1e-12)


def test_intervals_are_over_groups() -> None:
    """All queries of a group agree, so only groups can vary: two of them give 0, 1/2 and 1 and nothing between."""
    vectors = np.vstack([np.eye(4)[[0] * 20], np.eye(4)[[1, 2] * 10]])  # b's tracks are near c's
    labels = ["a"] * 20 + ["b", "c"] * 10
    vectors[20:] = np.eye(4)[[1] * 20]
    labels[20:] = [f"{i // 2}" for i in range(20)]  # pairs among twenty equal tracks
    low, high = artist_retrieval.evaluate(vectors, labels, groups=["x"] * 20 + ["y"] * 20)["precision_at_1"]["interval"]
    alone = artist_retrieval.evaluate(vectors, labels, groups=[str(i) for i in range(40)])["precision_at_1"]["interval"]
    assert high == 1
    assert alone[0] > low
    assert alone[1] < 1


@pytest.mark.parametrize("vectors", [np.zeros(3), np.zeros((2, 3)), np.full((3, 2), np.nan)])
def test_other_vectors_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(InputError, match="Expected finite vectors"):
        artist_retrieval.evaluate(vectors, ["a", "a", "b"])


def test_as_many_albums_as_tracks() -> None:
    with pytest.raises(InputError, match="album for each of 2"):
        artist_retrieval.evaluate(np.eye(2), ["a", "a"], ["x"])
