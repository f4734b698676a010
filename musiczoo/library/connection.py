"""How a library's file is reached through SQLite: schema, opening, errors, and names that are no text."""

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from ..errors import LibraryError
from ..paths import to_bytes
from . import forks

APPLICATION_ID = 0x6D7A6F6F
"""SQLite's mark of whose file it is: "mzoo"."""

FORMAT = 1
"""Newest format that this version reads and the one that it writes: SQLite's user_version."""

LARGEST = 1 << 24
"""Bytes that one value of a library may have: far more than a path or an embedding."""

BUSY_S = 30.0
"""Seconds to wait for another connection's transaction."""

SCHEMA = f"""
BEGIN;
CREATE TABLE library(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tracks(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    hash TEXT NOT NULL, duration_s REAL NOT NULL, heard INTEGER NOT NULL, embedding BLOB NOT NULL, tags BLOB NOT NULL,
    title TEXT, artist TEXT, album TEXT, genre TEXT, year INTEGER, revision INTEGER NOT NULL);
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
PRAGMA user_version = {FORMAT};
COMMIT;
"""


def connect(path: Path, write: bool) -> sqlite3.Connection:
    """A connection to a library's file, checked.

    Raises:
        LibraryError: If it is no library, or one of a newer format.
        sqlite3.Error: For other reasons: see `explained`.
    """
    with forks.opening():
        return _checked(path, path.as_uri(), write)


def _checked(path: Path, uri: str, write: bool) -> sqlite3.Connection:
    # Readers open for writing, too, and promise not to: the last to close tidies SQLite's files away, whoever it is.
    connection = _connection(f"{uri}?mode=rw")
    try:
        try:
            _check(path, connection)
        except sqlite3.OperationalError:
            # Readers of a WAL file write beside it, which a read-only disk forbids; nobody writes there either.
            if write or _size(f"{path}-wal"):
                raise
            connection.close()
            connection = _connection(f"{uri}?immutable=1")
            _check(path, connection)
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last tracks, nothing else
        else:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def make(path: Path) -> sqlite3.Connection:
    """A new file with empty tables. It is not in WAL mode yet: close it before it is renamed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")  # what a power cut may cost is empty
    connection.executescript(SCHEMA)
    return connection


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What SQLite or the system raise inside, as a `LibraryError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "Look at the file and its folder.")
        raise LibraryError(f"{path}: expected a library that can be used, received: {error}. {advice}") from error
    except (UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise LibraryError(
            f"{path}: expected a library that can be used, received {error!r}. {_ADVICE[sqlite3.SQLITE_CORRUPT]}"
        ) from error
    except LibraryError:
        raise
    except OSError as error:
        raise LibraryError(
            f"{path}: expected a place that can be written to, received {error.strerror}. Name another, or make room."
        ) from error


def stored(path: str) -> str | bytes:
    """A path as the file holds it: TEXT, or a BLOB of its bytes if these are not UTF-8, whatever the locale."""
    name = to_bytes(path)
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name


def restored(path: str | bytes) -> str:
    """The inverse of `stored`."""
    return os.fsdecode(path if isinstance(path, bytes) else to_bytes(path))


def _connection(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.create_function("float_at", 2, _float_at, deterministic=True)
    return connection


def _size(path: str) -> int:
    return os.stat(path).st_size if os.path.exists(path) else 0


def _check(path: Path, connection: sqlite3.Connection) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise LibraryError(f"{path}: expected a library of musiczoo, received another database. Name another file.")
    if version > FORMAT:
        raise LibraryError(
            f"{path}: library format {version} is newer than {FORMAT}, the newest that this musiczoo reads. "
            "Update musiczoo: pip install -U musiczoo"
        )
    # A view or a trigger of somebody else's would be asked, or run, where a table of ours is meant.
    odd = sorted(map(str, _schema(connection) ^ _ours()))
    if odd:
        raise LibraryError(
            f"{path}: expected the tables of a library and nothing else, received a difference in {odd[0][:200]}. "
            "Do not use it if it is not yours; else restore it from a copy, or index again."
        )


def _schema(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str]]:
    """Kind, name and definition of all that a database holds, but the statistics of ANALYZE."""
    statistics = "type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4')"
    sql = f"SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE NOT ({statistics})"
    return frozenset(
        (str(kind), str(name), " ".join(str(said).split())) for kind, name, said in connection.execute(sql)
    )


@cache
def _ours() -> frozenset[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        return _schema(connection)


def _float_at(numbers: bytes, index: int) -> float:
    value: float = struct.unpack_from("<f", numbers, 4 * index)[0]
    return value


_ADVICE = {
    sqlite3.SQLITE_BUSY: "Another program holds it: try again.",
    sqlite3.SQLITE_LOCKED: "Another program holds it: try again.",
    sqlite3.SQLITE_FULL: "Make room on its disk and run the same again: what was written is kept.",
    sqlite3.SQLITE_READONLY: "Make it and its folder writable, or name another.",
    sqlite3.SQLITE_PERM: "Make it and its folder writable, or name another.",
    sqlite3.SQLITE_CANTOPEN: "Make it and its folder readable and writable, or name another.",
    sqlite3.SQLITE_IOERR: "Its disk fails, is full or was removed: look there, then run the same again.",
    sqlite3.SQLITE_CORRUPT: "It is damaged: restore it from a copy, or delete it and index again.",
    sqlite3.SQLITE_NOTADB: "It is no library: name another file.",
    sqlite3.SQLITE_ERROR: "The question is malformed, or the file damaged: run musiczoo library verify.",
}
"""SQLite's primary result code -> what to do."""
