"""Embeddings in memory: read when needed, and after any change the same as if read anew."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import searched
import shelf
from hypothesis import given, settings
from hypothesis import strategies as st
from searched import NAMES, SPACES, clustered, naive, query_vector

from musiczoo.errors import UnknownNameError
from musiczoo.library import engines
from musiczoo.library.database import Database
from musiczoo.library.engines import EXACT, FLAT, PQ
from musiczoo.library.vectors import Vectors, normalize_spaces, units

VECTORS = clustered(40)


def test_nothing_is_read_before_the_first_query(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Database, "vectors_since", lambda *_: pytest.fail("read"))
    vectors = Vectors(database)
    assert vectors.describe() == {
        "vectors": 12,
        "bytes": 12 * 256 * 4,
        "engine": EXACT,
        "engine_because": "up to 200,000 tracks",
        "loaded": False,
    }


def test_a_row_is_a_track(database: Database) -> None:
    vectors = Vectors(database)
    snapshot = vectors.current()
    assert snapshot.ids.tolist() == list(range(1, 13))
    assert snapshot.matrix.dtype == np.float32
    assert np.array_equal(snapshot.matrix, shelf.vectors())
    assert vectors.current() is snapshot
    assert vectors.describe()["loaded"]


CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "replace", "remove", "move", "query"]), st.integers(0, 11)), max_size=12
)


@given(CHANGES)
@settings(max_examples=15)
def test_updates_equal_a_fresh_load(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int]]) -> None:
    path = tmp_path_factory.mktemp("changes") / "library.db"
    entries = searched.rows(VECTORS)
    with searched.filled(path, entries[:12]) as database:
        vectors = Vectors(database)
        for i, (what, number) in enumerate(changes):
            if what == "add":
                database.add(entries[12 + i])
            elif what == "replace":
                database.add(dataclasses.replace(entries[number], embedding=VECTORS[39 - i]))
            elif what == "remove":
                database.remove(number + 1)
            elif what == "move":
                database.move(number + 1, f"/elsewhere/{i}.wav")
            else:
                vectors.current()
        updated, fresh = vectors.current(), Vectors(database).current()
        assert updated.revision == fresh.revision == database.revision()
        assert np.array_equal(updated.ids, fresh.ids)
        assert np.array_equal(updated.matrix, fresh.matrix)


def test_only_what_changed_is_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = Vectors(database)
    vectors.current()
    asked: list[int] = []
    read = Database.vectors_since
    monkeypatch.setattr(Database, "vectors_since", lambda db, since: asked.append(since) or read(db, since))
    before = database.revision()
    database.remove(3)
    assert len(vectors.current().ids) == 11
    assert asked == [before]


def test_a_search_keeps_its_snapshot(database: Database) -> None:
    vectors = Vectors(database)
    before = vectors.current()
    database.remove(3)
    assert len(vectors.current().ids) == 11
    assert len(before.ids) == len(before.matrix) == 12


def test_the_engine_keeps_up_with_the_vectors(tmp_path: Path) -> None:
    """A vector replaced after the codes were made is found by its new values, not by its old ones."""
    pytest.importorskip("faiss")
    entries = searched.rows(clustered(640, seed=2))
    with searched.filled(tmp_path / "library.db", entries) as database:
        vectors = Vectors(database, PQ)
        first = vectors.current()
        far = -entries[5].embedding
        database.add(dataclasses.replace(entries[5], embedding=far))
        database.remove(11)
        snapshot = vectors.current()
        assert snapshot.engine.uncoded.tolist() == [5]
        assert snapshot.engine._index is first.engine._index
        found, near = snapshot.nearest(query_vector(far, {"mood": 1.0}), 1)
        assert (found.tolist(), near.tolist()) == ([5], pytest.approx([1]))
        (row,), _ = snapshot.nearest(query_vector(entries[20].embedding, dict.fromkeys(NAMES, 1.0)), 1)
        assert snapshot.ids[row] == 21


def test_an_engine_is_taken_when_the_size_asks_for_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    vectors = Vectors(database)
    assert vectors.current().engine.name == EXACT
    monkeypatch.setattr(engines, "EXACT_UP_TO", 11)
    assert vectors.current().engine.name == vectors.describe()["engine"] == FLAT
    database.remove(1)
    assert vectors.current().engine.name == EXACT


def test_no_index_is_built_for_a_single_query(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(engines, "EXACT_UP_TO", 2)
    monkeypatch.setattr(engines, "FLAT_UP_TO", 5)
    assert Vectors(database, once=True).current().engine.name == FLAT
    assert Vectors(database).current().engine.name == PQ


def test_an_engine_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(UnknownNameError, match="fais"):
        Vectors(database, "fais").current()


@pytest.mark.parametrize("engine", [EXACT, FLAT, PQ])
def test_only_the_given_rows_are_searched(tmp_path: Path, engine: str) -> None:
    if engine != EXACT:
        pytest.importorskip("faiss")
    matrix = clustered(640, seed=1)
    weights = {"genre": 1.0, "era": 3.0}
    with searched.filled(tmp_path / "library.db", searched.rows(matrix)) as database:
        snapshot = Vectors(database, engine).current()
    for kept in (1.0, 0.5, 0.02):
        rows = np.flatnonzero(np.random.default_rng(5).random(640) < kept)
        for row in rows[:5].tolist():
            found, near = snapshot.nearest(query_vector(matrix[row], weights), 5, rows, without=np.array([row]))
            expected = naive(matrix[row], matrix, weights, 5, sorted({*range(640), row} - set(rows.tolist()) | {row}))
            assert found.tolist() == [i for i, _ in expected]
            assert near == pytest.approx([score for _, score in expected], abs=1e-6)


def test_a_filter_that_keeps_the_far_ones_is_answered_exactly(tmp_path: Path) -> None:
    """None of the engine's candidates pass: the rows that do are scanned."""
    pytest.importorskip("faiss")
    matrix = clustered(200, seed=1)
    query = query_vector(matrix[0], {"mood": 1.0})
    far_first = np.argsort(matrix.astype(np.float64) @ query)
    with searched.filled(tmp_path / "library.db", searched.rows(matrix)) as database:
        snapshot = Vectors(database, FLAT).current()
    found, _ = snapshot.nearest(query, 3, np.sort(far_first[:50]))
    assert found.tolist() == far_first[49:46:-1].tolist()


def test_equals_come_with_the_kth(tmp_path: Path) -> None:
    """Four vectors are the same, two are requested: all four are returned, for the caller to choose by path."""
    matrix = np.concatenate([np.repeat(VECTORS[:1], 4, axis=0), VECTORS[1:9]])
    with searched.filled(tmp_path / "library.db", searched.rows(matrix)) as database:
        snapshot = Vectors(database).current()
    found, near = snapshot.nearest(query_vector(VECTORS[0], {"mood": 1.0}), 2)
    assert found.tolist() == [0, 1, 2, 3]
    assert len(set(near.tolist())) == 1


def test_an_empty_library_has_no_neighbours(tmp_path: Path) -> None:
    with searched.filled(tmp_path / "library.db", []) as database:
        snapshot = Vectors(database).current()
    found, near = snapshot.nearest(query_vector(VECTORS[0], {"mood": 1.0}), 2)
    assert len(found) == len(near) == 0


def test_unnormalized_embeddings_are_rescaled(tmp_path: Path) -> None:
    config = dataclasses.replace(shelf.CONFIG, normalized=False)
    raw = np.random.default_rng(0).normal(size=(5, 256)).astype(np.float32) * 7
    raw[2, :64] = 0
    with searched.filled(tmp_path / "library.db", searched.rows(raw), config) as database:
        vectors = Vectors(database)
        vectors.current()
        database.add(searched.rows(raw, "/other")[0])
        matrix = vectors.current().matrix
    for row, vector in zip(matrix, [*raw, raw[0]], strict=True):
        for start, stop in SPACES.values():
            length = np.linalg.norm(vector[start:stop])
            assert row[start:stop] == pytest.approx(vector[start:stop] / length / 2 if length else 0, abs=1e-6)


def test_zeros_stay_zeros() -> None:
    assert units(np.zeros((2, 3))).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert units(np.array([3.0, 4.0])) == pytest.approx([0.6, 0.8])
    assert normalize_spaces(np.zeros((0, 256), np.float32), SPACES).shape == (0, 256)
