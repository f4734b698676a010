"""The tables of a library's file, and how a file of an older format becomes one of today's.

Formats
-------
1. The first.
2. Tracks have `ADDED` columns too, which are NULL in rows that format 1 wrote.

A file of an older format is read as it is, so that a read-only disk is no obstacle: a temporary view, which lives in
the reader's memory, adds what its tables lack. Opened for writing, it is migrated in one transaction: whenever the
process dies, the file is of the old format or of the new one. Older versions of musiczoo refuse a migrated file.
"""

import sqlite3
from contextlib import closing, suppress
from functools import cache

APPLICATION_ID = 0x6D7A6F6F
"""SQLite's mark of whose file it is: "mzoo"."""

FORMAT = 2
"""Newest format that this version reads and the one that it writes: SQLite's user_version."""

ADDED = {"album_artist": "TEXT", "artists": "TEXT", "warnings": "TEXT", "fingerprint": "BLOB"}
"""Columns of ``tracks`` that format 1 does not have, and their types."""

_TRACKS = (
    "id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, "
    "hash TEXT NOT NULL, duration_s REAL NOT NULL, heard INTEGER NOT NULL, embedding BLOB NOT NULL, "
    "tags BLOB NOT NULL, title TEXT, artist TEXT, album TEXT, genre TEXT, year INTEGER, revision INTEGER NOT NULL"
)
"""Columns of format 1."""

Objects = frozenset[tuple[str, str, str]]


def script(version: int = FORMAT) -> str:
    """The SQL that makes an empty file of a format."""
    added = "".join(f", {name} {kind}" for name, kind in ADDED.items()) if version > 1 else ""
    return f"""
BEGIN;
CREATE TABLE library(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tracks(
    {_TRACKS}{added});
CREATE INDEX tracks_revision ON tracks(revision);
CREATE INDEX tracks_hash ON tracks(hash);
CREATE TABLE failures(
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL,
    failed_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE underway(
    path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, begun INTEGER NOT NULL,
    PRIMARY KEY (path, size, mtime_ns)) WITHOUT ROWID;
CREATE TRIGGER heard AFTER INSERT ON tracks BEGIN DELETE FROM underway WHERE path = NEW.path; END;
CREATE TRIGGER heard_again AFTER UPDATE ON tracks BEGIN DELETE FROM underway WHERE path = NEW.path; END;
CREATE TRIGGER failed AFTER INSERT ON failures BEGIN DELETE FROM underway WHERE path = NEW.path; END;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {version};
COMMIT;
"""


def version_of(connection: sqlite3.Connection) -> int:
    """The format of a file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Make a file one of today's format, wholly or not at all; nothing is done to one that is.

    Raises:
        sqlite3.Error: If it cannot be written; then it is as it was.
    """
    if version_of(connection) == FORMAT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version_of(connection) == 1:
            for name, kind in ADDED.items():
                connection.execute(f"ALTER TABLE tracks ADD COLUMN {name} {kind}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise


def read_as_newest(connection: sqlite3.Connection) -> None:
    """Let ``tracks`` have all columns for this connection, whatever the file's format; the file is not written."""
    if version_of(connection) == FORMAT:
        return
    # By their names: if another process migrates the file meanwhile, this still is what it was.
    columns = [column.split()[0] for column in _TRACKS.split(", ")]
    added = [f"NULL AS {name}" for name in ADDED]
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"CREATE TEMP VIEW tracks AS SELECT {', '.join([*columns, *added])} FROM main.tracks")


def objects(connection: sqlite3.Connection) -> Objects:
    """Kind, name and definition of all that a file holds, but the statistics of ANALYZE."""
    statistics = "type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4')"
    sql = f"SELECT type, name, coalesce(sql, '') FROM main.sqlite_master WHERE NOT ({statistics})"
    return frozenset(
        (str(kind), str(name), " ".join(str(said).split())) for kind, name, said in connection.execute(sql)
    )


@cache
def expected(version: int) -> Objects:
    """The `objects` of a file of a format."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(script(version))
        return objects(connection)
