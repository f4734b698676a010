"""Exact nearest neighbors, against loops over Python's numbers."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from musiczoo import _neighbors
from musiczoo._neighbors import nearest, scan, scan_all, tolerance

SEEDS = st.integers(0, 2**32 - 1)


def units(count: int, columns: int = 16, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, columns))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def naive(vectors: NDArray[np.float32], k: int) -> tuple[list[list[int]], list[list[float]]]:
    """For each vector all others, by their exactly rounded inner product, then by row; the first k."""
    numbers = vectors.tolist()
    rows, scores = [], []
    for i, query in enumerate(numbers):
        found = [(math.fsum(a * b for a, b in zip(query, other, strict=True)), j) for j, other in enumerate(numbers)]
        best = sorted((-score, j) for score, j in found if j != i)[:k]
        rows.append([j for _, j in best])
        scores.append([-score for score, _ in best])
    return rows, scores


@pytest.mark.parametrize(("count", "k"), [(2, 1), (5, 3), (9, 8), (33, 8), (40, 39), (200, 40), (600, 3)])
def test_nearest_equals_a_loop(count: int, k: int) -> None:
    vectors = units(count)
    rows, scores = nearest(vectors, k)
    expected = naive(vectors, k)
    assert rows.tolist() == expected[0]
    np.testing.assert_allclose(scores, expected[1], rtol=0, atol=1e-12)


@given(SEEDS, st.integers(2, 80), st.integers(1, 90))
@settings(max_examples=20)
def test_many_ties_come_in_the_order_of_the_rows(seed: int, count: int, k: int) -> None:
    """Small whole numbers: all products are exact, and most are equal to others."""
    vectors = np.random.default_rng(seed).integers(-1, 2, (count, 3)).astype(np.float32)
    rows, scores = nearest(vectors, k)
    expected = naive(vectors, min(k, count - 1))
    assert (rows.tolist(), scores.tolist()) == expected


def test_equal_vectors_come_in_the_order_of_the_rows_in_every_block() -> None:
    rows, _ = nearest(np.tile(np.float32([0.1, 0.7, -0.3]), (600, 1)), 3)
    assert rows[:4].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert (rows[4:] == [0, 1, 2]).all()


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_more_neighbors_than_there_are(count: int) -> None:
    rows, scores = nearest(units(count), 8)
    assert rows.shape == scores.shape == (count, max(count - 1, 0))
    assert [sorted(row) for row in rows.tolist()] == [[j for j in range(count) if j != i] for i in range(count)]


@given(SEEDS)
@settings(max_examples=10)
def test_vectors_of_any_length(seed: int) -> None:
    """Lengths from 1e-18 to 1e18, whose products single precision cannot hold."""
    rng = np.random.default_rng(seed)
    vectors = units(60, seed=seed) * np.float32(10.0) ** rng.integers(-18, 19, (60, 1))
    vectors[rng.integers(60)] = 0
    assert nearest(vectors.astype(np.float32), 5)[0].tolist() == naive(vectors.astype(np.float32), 5)[0]


def test_neighbors_closer_than_single_precision_tells() -> None:
    """Cosines to the first row that differ by 1e-9, in random order: double precision sorts them."""
    angles = np.random.default_rng(0).permutation(100) * 1e-4 + 1e-2
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert nearest(vectors, 20)[0].tolist() == naive(vectors, 20)[0]


def test_blocks_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.concatenate([units(300), units(30), units(300)])  # with equals
    rows, scores = nearest(vectors, 12)
    chosen = np.arange(0, 630, 3)
    found, among = scan(vectors, vectors[7], 12), scan(vectors, vectors[7], 12, chosen)
    for name, size in (("_QUERY_BLOCK", 7), ("_ORDER_BLOCK", 5), ("_GROUP", 3), ("_SCAN_BLOCK", 11)):
        monkeypatch.setattr(_neighbors, name, size)
        again = nearest(vectors, 12)
        assert (again[0].tobytes(), again[1].tobytes()) == (rows.tobytes(), scores.tobytes())
        assert scan(vectors, vectors[7], 12).tolist() == found.tolist()
        assert scan(vectors, vectors[7], 12, chosen).tolist() == among.tolist()


def test_memory_is_bounded_by_blocks() -> None:
    """All pairs of 12,000 vectors would take 576 MB; a block takes 256 * 12,000 * 4 bytes = 12.3 MB."""
    vectors = units(12_000, 8)
    tracemalloc.start()
    try:
        nearest(vectors, 4)
        scan(vectors, vectors[0], 4)
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


@given(SEEDS, st.integers(1, 320))
@settings(max_examples=20)
def test_a_scan_holds_the_nearest(seed: int, k: int) -> None:
    matrix = units(300, seed=seed)
    found = scan(matrix, matrix[3], k)
    exact = matrix.astype(np.float64) @ matrix[3].astype(np.float64)
    assert set(np.argsort(-exact, kind="stable")[:k].tolist()) <= set(found.tolist())
    assert len(found) < k + 10 or k >= 290
    assert np.all(np.diff(found) > 0)


@given(SEEDS, st.lists(st.integers(1, 320), min_size=1, max_size=5), st.booleans())
@settings(max_examples=20)
def test_queries_that_share_a_scan_get_what_they_would_alone(seed: int, ks: list[int], chosen: bool) -> None:
    matrix = units(300, seed=seed)
    rows = np.arange(0, 300, 3) if chosen else None
    queries = matrix[: len(ks)]
    together = scan_all(matrix, queries, ks, rows)
    for query, k, found in zip(queries, ks, together, strict=True):
        exact = matrix.astype(np.float64) @ query.astype(np.float64)
        allowed = np.arange(300) if rows is None else rows
        best = allowed[np.argsort(-exact[allowed], kind="stable")[:k]]
        assert set(best.tolist()) <= set(found.tolist()) <= set(allowed.tolist())
        limit = exact[best].min() - 2 * tolerance(len(query))
        assert np.all(exact[found] >= limit)


def test_a_scan_holds_all_equals() -> None:
    matrix = np.repeat(units(2), 100, axis=0)
    assert scan(matrix, matrix[150], 3).tolist() == list(range(100, 200))


def test_only_the_chosen_rows_are_scanned() -> None:
    matrix = units(300)
    rows = np.array([7, 50, 51, 52, 200])
    expected = sorted(rows.tolist(), key=lambda row: -float(matrix[row] @ matrix[0]))[:2]
    assert scan(matrix, matrix[0], 2, rows).tolist() == sorted(expected)
    assert scan(matrix, matrix[0], 9, rows).tolist() == rows.tolist()
    assert scan(matrix, matrix[0], 9, rows[:0]).tolist() == []


@given(SEEDS, st.sampled_from([4, 64, 256]))
@settings(max_examples=15)
def test_single_precision_stays_within_the_tolerance(seed: int, columns: int) -> None:
    matrix = units(64, columns, seed)
    exact = matrix.astype(np.float64) @ matrix[0].astype(np.float64)
    assert np.abs(matrix @ matrix[0] - exact).max() <= tolerance(columns) / 2
