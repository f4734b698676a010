"""Library files that were made or changed by other programs are refused with a clear error."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from musiczoo.errors import LibraryError
from musiczoo.library import Library
from musiczoo.library.database import Database

VIEW = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS"


def change(path: Path, *statements: str) -> Path:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TRIGGER t AFTER UPDATE ON tracks BEGIN DELETE FROM tracks; END"],
        ["DROP TABLE failures", f"CREATE VIEW failures AS {VIEW} path FROM c"],  # which never ends
        ["DROP TABLE library", "CREATE VIEW library AS SELECT path AS key, load_extension('x') AS value FROM tracks"],
        ["CREATE TABLE more(x)"],
        ["DROP INDEX tracks_hash"],
        ["PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = CAST(sql AS BLOB)"],
        [  # under a name that looks like one of SQLite's own
            "CREATE TRIGGER t AFTER UPDATE ON tracks BEGIN DELETE FROM tracks; END",
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET name = 'sqlite_stat9' WHERE name = 't'",
        ],
    ],
)
def test_other_tables_views_and_triggers_are_refused(library_path: Path, statements: list[str]) -> None:
    change(library_path, *statements)
    for write in (False, True):
        with (
            pytest.raises(LibraryError, match=r"its tables differ|malformed database schema"),
            Database.open(library_path, write=write),
        ):
            pass


def test_the_statistics_of_sqlite_are_not(library_path: Path) -> None:
    with Database.open(change(library_path, "ANALYZE")) as database:
        assert len(database) == 12


@pytest.mark.parametrize(
    "cell",
    [
        *("size = 'x'", "duration_s = 'x'", "duration_s = 1e999", "embedding = x''", "embedding = 'text'"),
        *("tags = x'00'", "title = x'00'", "year = 'MCM'", "embedding = zeroblob(4)"),
    ],
)
def test_values_of_another_type_are_reported(library_path: Path, cell: str) -> None:
    """SQLite allows any type in any column."""
    with (
        Library.open(change(library_path, f"UPDATE tracks SET {cell} WHERE id = 3")) as library,
        pytest.raises(LibraryError, match=r"Expected rows as musiczoo writes them|damaged"),
    ):
        list(library.database.entries())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("spaces", '{"a": [0, 1000000000000]}'), ("spaces", "[[0, 4]]"), ("tags", '"x"'), ("tags", '["\\ud800"]')),
        *(("thresholds", "{}"), ("excerpts", "-1"), ("hop_s", "1e400"), ("normalized", "1"), ("model", "[]")),
        *(("model", "x"), ("dimensions", "[" * 5000)),
    ],
)
def test_a_malformed_configuration_is_reported(library_path: Path, key: str, value: str) -> None:
    connection = sqlite3.connect(library_path, isolation_level=None)
    connection.execute("UPDATE library SET value = ? WHERE key = ?", (value, key))
    connection.close()
    with pytest.raises(LibraryError, match="configuration"):
        Library.open(library_path)


def test_the_path_of_a_model_is_not_followed(library_path: Path, toy_folder: Path) -> None:
    """A library has the name of its model, which is never taken for a path."""
    change(library_path, f"UPDATE library SET value = '\"{toy_folder}\"' WHERE key = 'model'")
    with Library.open(library_path) as library, pytest.raises(LookupError, match="Unknown model"):
        library.search(str(Path(__file__)))


def test_a_path_that_the_system_does_not_allow(library_path: Path) -> None:
    with Database.open(
        change(library_path, "UPDATE tracks SET path = '/a' || char(0) || 'b' WHERE id = 1")
    ) as database:
        (path, *_) = (name for name in database.known() if "\0" in name)
        assert database.find(path) is None
        assert np.isfinite(next(database.entries([1])).embedding).all()
