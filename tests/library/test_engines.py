"""The search engines, against a plain argsort; and which one is chosen."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searched import NAMES, SPACES, clustered, naive, query_vector

from musiczoo._neighbors import scan
from musiczoo.errors import MissingDependencyError, UnknownNameError
from musiczoo.library import engines
from musiczoo.library.engines import EXACT, EXACT_UP_TO, FLAT, FLAT_UP_TO, PQ, build, choose
from musiczoo.library.engines import NAMES as ENGINES
from musiczoo.library.engines.faiss import RECALL, FaissPq

WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 10), min_size=1)
MATRIX = clustered(300)
LARGE = clustered(4096)
DOUBLE = LARGE.astype(np.float64)


@pytest.fixture(scope="module")
def coded() -> FaissPq:
    pytest.importorskip("faiss")
    return FaissPq.build(LARGE)


@given(st.integers(0, 299), WEIGHTS, st.integers(1, 320))
@settings(max_examples=15)
def test_exact_candidates_include_those_of_a_loop(row: int, weights: dict[str, float], k: int) -> None:
    query = query_vector(MATRIX[row], weights)
    found = build(EXACT, MATRIX).candidates(query.astype(np.float32), k)
    expected = naive(MATRIX[row], MATRIX, weights, k)
    assert {i for i, _ in expected} <= set(found.tolist())
    assert len(found) < k + 10 or k >= 300
    assert np.all(np.diff(found) > 0)


@given(st.integers(0, 299), WEIGHTS, st.integers(1, 320))
@settings(max_examples=15)
def test_faiss_flat_finds_the_same_as_exact(row: int, weights: dict[str, float], k: int) -> None:
    pytest.importorskip("faiss")
    query = query_vector(MATRIX[row], weights).astype(np.float32)
    best = set(np.argsort(-(MATRIX.astype(np.float64) @ query), kind="stable")[:k].tolist())
    assert best <= set(build(FLAT, MATRIX).candidates(query, k).tolist())


@pytest.mark.parametrize("name", [EXACT, FLAT])
def test_equal_vectors_are_all_candidates(name: str) -> None:
    if name == FLAT:
        pytest.importorskip("faiss")
    matrix = np.repeat(MATRIX[:2], 100, axis=0)
    query = query_vector(MATRIX[1], dict.fromkeys(NAMES, 1.0)).astype(np.float32)
    assert sorted(build(name, matrix).candidates(query, 3)) == list(range(100, 200))


@given(WEIGHTS, st.integers(0, 1000))
@settings(max_examples=10)
def test_codes_reach_the_stated_recall_with_any_weights(coded: FaissPq, weights: dict[str, float], seed: int) -> None:
    shares = []
    for row in np.random.default_rng(seed).integers(len(LARGE), size=30):
        query = query_vector(LARGE[row], weights)
        near = DOUBLE @ query
        found = coded.candidates(query.astype(np.float32), 10)
        best = set(np.argsort(-near)[:10].tolist())
        shares.append(len(best & set(found[np.argsort(-near[found])[:10]].tolist())) / 10)
    assert np.mean(shares) >= RECALL


def test_changed_rows_are_scanned_exactly(coded: FaissPq) -> None:
    """The vectors of rows 10 and 20 are removed, two others swap places, and a new one comes first."""
    new = clustered(1, seed=9)
    kept = np.delete(np.arange(len(LARGE)), [10, 20])
    kept[[0, 1]] = kept[[1, 0]]
    matrix = np.concatenate([new, LARGE[kept]])
    now_at = np.full(len(LARGE), -1)
    now_at[kept] = 1 + np.arange(len(kept))
    followed = coded.updated(matrix, now_at)
    assert followed.uncoded.tolist() == [0]
    assert followed._index is coded._index
    for row in (0, 1, 2, 500):
        query = query_vector(matrix[row], dict.fromkeys(NAMES, 1.0)).astype(np.float32)
        candidates = followed.candidates(query, 5)
        assert row in candidates
        assert candidates.min() >= 0
        assert candidates.max() < len(matrix)


def test_codes_are_rebuilt_when_many_vectors_have_changed(coded: FaissPq) -> None:
    half = len(LARGE) // 2
    now_at = np.where(np.arange(len(LARGE)) < half, np.arange(len(LARGE)), -1)
    followed = coded.updated(LARGE[:half], now_at)
    assert followed._index is not coded._index
    assert followed.uncoded.tolist() == []


def test_too_few_vectors_for_codes_are_scanned_exactly() -> None:
    pytest.importorskip("faiss")
    query = query_vector(MATRIX[0], {"mood": 1.0}).astype(np.float32)
    few = FaissPq.build(MATRIX)
    assert few.uncoded.tolist() == list(range(300))
    assert few.candidates(query, 5).tolist() == scan(MATRIX, query, 5).tolist()


def test_odd_columns_have_codes_too() -> None:
    pytest.importorskip("faiss")
    matrix = np.random.default_rng(0).standard_normal((700, 5)).astype(np.float32)
    assert 3 in FaissPq.build(matrix).candidates(100 * matrix[3], 5)


def test_the_engine_is_chosen_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: object())
    sizes = (0, EXACT_UP_TO, EXACT_UP_TO + 1, FLAT_UP_TO, FLAT_UP_TO + 1, 10**7)
    assert [choose(size).name for size in sizes] == [EXACT, EXACT, FLAT, FLAT, PQ, PQ]
    assert [choose(size, once=True).name for size in sizes] == [EXACT, EXACT, FLAT, FLAT, FLAT, FLAT]


def test_without_faiss_numpy_scans_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    choice = choose(10**6)
    assert choice.name == EXACT
    assert "musiczoo[faiss]" in choice.why
    assert "faiss" not in choose(10).why


@pytest.mark.parametrize("name", [FLAT, PQ])
def test_a_missing_faiss_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependencyError, match=r"musiczoo\[faiss\]"):
        build(name, MATRIX)


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"'exakt'.*'exact'"):
        build("exakt", MATRIX)
    assert [build(name, MATRIX).name for name in ENGINES if name == EXACT] == [EXACT]


def test_the_synthetic_spaces_are_those_of_the_taxonomy() -> None:
    for start, stop in SPACES.values():
        assert np.linalg.norm(MATRIX[:, start:stop], axis=1) == pytest.approx(0.5, abs=1e-6)
