"""The database returns what was written to it."""

import dataclasses
import os
import sqlite3
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shelf
from hypothesis import given
from hypothesis import strategies as st
from toy import CARD

from musiczoo.errors import LibraryError, SpaceMismatchError
from musiczoo.library.database import Database, Entry, Failure, LibraryConfig


def same(a: Entry, b: Entry) -> bool:
    """Equal but for id and revision."""
    names = {f.name for f in dataclasses.fields(Entry)} - {"id", "revision", "embedding", "tags"}
    return all(getattr(a, name) == getattr(b, name) for name in names) and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("embedding", "tags")
    )


def test_entries_are_read_as_written(database: Database, tmp_path: Path) -> None:
    written = shelf.entries(tmp_path / "music")
    assert len(database) == len(written) == 12
    read = list(database.entries())
    assert [entry.id for entry in read] == list(range(1, 13)) == database.ids().tolist()
    assert [entry.revision for entry in read] == list(range(1, 13))
    assert database.revision() == 12
    assert all(same(a, b) for a, b in zip(read, written, strict=True))
    assert read[0].embedding.dtype == read[0].tags.dtype == np.float32
    assert [entry.id for entry in database.entries([7, 99, 2])] == [7, 2]
    found = database.find(written[4].path)
    assert found is not None
    assert found.id == 5
    assert database.find(tmp_path / "nothing.wav") is None
    assert database.failures()[0].reason == "It is text."


def test_config_survives(library_path: Path) -> None:
    with Database.open(library_path) as database:
        assert database.config == shelf.CONFIG == LibraryConfig.from_dict(shelf.CONFIG.to_dict())
    assert shelf.CONFIG.spaces["mood"] == CARD.spaces["mood"]
    assert shelf.CONFIG.embedding_size == CARD.embedding_size


def test_format_is_sqlite_with_our_mark(library_path: Path) -> None:
    """Read with only sqlite3, as another program would."""
    connection = sqlite3.connect(library_path)
    assert connection.execute("PRAGMA application_id").fetchone()[0] == int.from_bytes(b"mzoo")
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 3
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("SELECT value FROM library WHERE key = 'space_id'").fetchone()[0] == '"toy-1"'
    blob = connection.execute("SELECT embedding FROM tracks WHERE id = 3").fetchone()[0]
    assert struct.unpack("<256f", blob) == pytest.approx(shelf.vectors()[2].tolist(), abs=0)
    connection.close()


def test_vectors_since_a_revision(database: Database) -> None:
    ids, vectors = database.vectors_since()
    assert ids.tolist() == list(range(1, 13))
    np.testing.assert_array_equal(vectors, shelf.vectors())
    ids, vectors = database.vectors_since(10)
    assert ids.tolist() == [11, 12]
    assert vectors.shape == (2, CARD.embedding_size)
    assert database.vectors_since(12)[1].shape == (0, CARD.embedding_size)
    database.add(dataclasses.replace(next(database.entries([2])), embedding=-shelf.vectors()[1]))
    ids, vectors = database.vectors_since(12)
    assert ids.tolist() == [2]
    np.testing.assert_array_equal(vectors[0], -shelf.vectors()[1])


def test_many_entries_are_read_in_pages(tmp_path: Path) -> None:
    template = shelf.entries(tmp_path)[0]
    vectors = shelf.vectors(1100)
    with Database.create(tmp_path / "many.db", shelf.CONFIG) as database:
        with database.transaction():
            for i, vector in enumerate(vectors):
                database.add(dataclasses.replace(template, path=f"/m/{i}.wav", embedding=vector))
        np.testing.assert_array_equal(database.vectors_since()[1], vectors)
        assert [entry.path for entry in database.entries(np.array([1100, 1, 600]))] == [
            f"/m/{i}.wav" for i in (1099, 0, 599)
        ]
        assert sum(1 for _ in database.entries()) == 1100


def test_select_ids_takes_sql_and_numbers_inside_blobs(database: Database) -> None:
    assert database.select_ids("artist = ? AND year > ?", ("Böhm", 1985)).tolist() == [7, 8]
    expected = np.flatnonzero(shelf.probabilities()[:, 9] > 0.5) + 1
    assert database.select_ids("float_at(tags, 9) > ?", (0.5,)).tolist() == expected.tolist()
    with pytest.raises(LibraryError, match="nonsense"):
        database.select_ids("nonsense = 1")


def test_move_remove_and_add_failure(database: Database, tmp_path: Path) -> None:
    first, second, third = (entry.path for entry in database.entries([1, 2, 3]))
    database.move(1, "/elsewhere/a.wav", mtime_ns=5)
    moved = next(database.entries([1]))
    assert (moved.path, moved.mtime_ns, moved.revision) == ("/elsewhere/a.wav", 5, 13)
    assert database.find(first) is None
    database.remove(2)
    assert database.find(second) is None
    assert database.revision() == 14
    database.add_failure(Failure(third, 1, 2, "AudioError", "It was cut.", "2024-01-01T00:00:00+00:00"))
    assert database.find(third) is None
    assert database.revision() == 15
    assert [failure.kind for failure in database.failures()] == ["AudioError"] * 2
    database.add(shelf.entries(tmp_path / "music")[2])  # analyzed after all
    assert [Path(failure.path).name for failure in database.failures()] == [shelf.BAD]
    database.move(4, third)  # over what lay there
    assert database.ids().tolist() == [1, *range(4, 13)]
    assert [known.id for path, known in database.known().items() if path == third] == [4]
    database.remove_failure(str(tmp_path / "music" / shelf.BAD))
    assert database.failures() == []


def test_a_transaction_is_atomic(database: Database) -> None:
    def interrupted() -> None:
        with database.transaction():
            database.remove(1)
            database.remove(2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(database) == 12
    assert database.revision() == 12
    database.remove(1)
    assert len(database) == 11


@pytest.mark.parametrize(("statement", "left"), [("BEGIN IMMEDIATE", 12), ("DELETE", 12), ("COMMIT", 11)])
def test_ctrl_c_behind_any_statement_of_a_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch, statement: str, left: int
) -> None:
    """Python raises KeyboardInterrupt when the call in which the signal arrived has returned."""

    class Interrupted:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self.connection = connection

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            result = self.connection.execute(sql, *parameters)
            if sql.startswith(statement):
                raise KeyboardInterrupt
            return result

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_connection", Interrupted(database._connection))
        with pytest.raises(KeyboardInterrupt):
            database.remove(1)
    assert len(database) == left
    database.remove(2)
    assert len(database) == left - 1


@pytest.fixture(scope="module")
def names_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database.create(tmp_path_factory.mktemp("names") / "library.db", shelf.CONFIG) as database:
        yield database


@given(st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name and b"/" not in name))
def test_any_file_name_survives(names_library: Database, name: bytes) -> None:
    path = os.path.join("/music", os.fsdecode(name))
    bad = f"{path}.bad"
    names_library.add(dataclasses.replace(shelf.entries(Path("/nowhere"))[0], path=path, title=path))
    names_library.add_failure(Failure(bad, 1, 2, "AudioError", f"{bad}: not audio", "2024"))
    found = names_library.find(path)
    assert found is not None
    assert found.path == path
    assert path in names_library.known()
    assert bad in [failure.path for failure in names_library.failures()]
    names_library.remove(found.id)
    names_library.remove_failure(bad)
    assert names_library.known() == {}
    assert names_library.failures() == []


def test_vacuum_shrinks_the_file(database: Database, library_path: Path) -> None:
    template = next(database.entries([1]))
    with database.transaction():
        for i in range(300):
            database.add(dataclasses.replace(template, path=f"/m/{i}.wav"))
    with database.transaction():
        for number in database.select_ids("path GLOB '/m/*'").tolist():
            database.remove(number)
    database.vacuum()
    assert library_path.stat().st_size < 100_000
    assert len(database) == 12


def test_threads_may_read_at_once(database: Database) -> None:
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(20):
                assert len(list(database.entries())) == 12
                assert len(database.vectors_since()[0]) == 12
        except BaseException as error:  # noqa: BLE001 - a thread's error is the test's
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_another_space_is_refused() -> None:
    shelf.CONFIG.check("library.db", CARD.space_id)
    with pytest.raises(SpaceMismatchError, match=r"'toy-1'.*'toy-2'"):
        shelf.CONFIG.check("library.db", "toy-2")
