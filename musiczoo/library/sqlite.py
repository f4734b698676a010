"""The SQLite file of a library: its schema, opening it, and errors of SQLite.

Formats
-------
1. The first.
2. Tracks also have album artists, several artists, warnings and fingerprints.
3. Tracks also have track numbers, MusicBrainz ids and ISRCs.

The columns that a format adds are in `ADDED`. They are NULL in rows of older formats.

A file of an older format is not changed for reading, so it may be on a read-only disk: a temporary view in the reader's
memory adds the missing columns. Opening it for writing migrates it, in one transaction: if the process dies, the file
has the old format or the new one. Older versions of musiczoo refuse a migrated file.
"""

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from ..errors import LibraryError
from . import locks
from .metadata import is_named

# === Schema ===

APPLICATION_ID = 0x6D7A6F6F
"""SQLite's application_id of a library: "mzoo"."""

FORMAT = 3
"""The format that this version writes, and the newest that it reads: SQLite's user_version."""

ADDED = {
    2: {"album_artist": "TEXT", "artists": "TEXT", "warnings": "TEXT", "fingerprint": "BLOB"},
    3: {
        **{"track_number": "INTEGER", "recording_mbid": "TEXT", "release_mbid": "TEXT"},
        **{"artist_mbids": "TEXT", "album_artist_mbids": "TEXT", "isrcs": "TEXT"},
    },
}
"""Format -> the columns of ``tracks`` that it added, and their types."""

_TRACKS = (
    "id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, "
    "hash TEXT NOT NULL, duration_s REAL NOT NULL, heard INTEGER NOT NULL, embedding BLOB NOT NULL, "
    "tags BLOB NOT NULL, title TEXT, artist TEXT, album TEXT, genre TEXT, year INTEGER, revision INTEGER NOT NULL"
)
"""Columns of format 1. ``heard`` is the number of excerpts, see `records.COLUMNS`."""

Objects = frozenset[tuple[str, str, str]]


def script(version: int = FORMAT) -> str:
    """Return the SQL that makes an empty file of a format.

    ``underway`` holds the files in progress. Its name, and those of the triggers, are part of the format.
    """
    added = "".join(f", {name} {kind}" for name, kind in columns_added(1, version).items())
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


def columns_added(after: int, until: int = FORMAT) -> dict[str, str]:
    """Return name and type of the columns that the formats after one have, in order, until another."""
    return {name: kind for number, new in ADDED.items() if after < number <= until for name, kind in new.items()}


def format_of(connection: sqlite3.Connection) -> int:
    """Return the format of a file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to the newest format, wholly or not at all.

    Raises:
        sqlite3.Error: If the file cannot be written; it is then unchanged.
    """
    if format_of(connection) == FORMAT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for name, kind in columns_added(format_of(connection)).items():
            connection.execute(f"ALTER TABLE tracks ADD COLUMN {name} {kind}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise


def read_as_newest(connection: sqlite3.Connection) -> None:
    """Give ``tracks`` all columns in this connection, whatever the format of the file, which is not written."""
    version = format_of(connection)
    if version == FORMAT:
        return
    # By name, so that the view stays valid if another process migrates the file meanwhile.
    columns = [column.split()[0] for column in _TRACKS.split(", ")] + list(columns_added(1, version))
    added = [f"NULL AS {name}" for name in columns_added(version)]
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"CREATE TEMP VIEW tracks AS SELECT {', '.join([*columns, *added])} FROM main.tracks")


def objects(connection: sqlite3.Connection) -> Objects:
    """Return kind, name and definition of everything in a file, except the statistics of ANALYZE."""
    statistics = "type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4')"
    sql = f"SELECT type, name, coalesce(sql, '') FROM main.sqlite_master WHERE NOT ({statistics})"
    return frozenset(
        (str(kind), str(name), " ".join(str(definition).split())) for kind, name, definition in connection.execute(sql)
    )


@cache
def expected_objects(version: int) -> Objects:
    """Return the `objects` of a file of a format."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(script(version))
        return objects(connection)


# === Opening ===

MAX_VALUE_BYTES = 1 << 24
"""Bytes that one value of a library may have: far more than a path or an embedding."""

BUSY_S = 30.0
"""Seconds to wait for the transaction of another connection."""


def connect(path: Path, write: bool) -> sqlite3.Connection:
    """Open a library's file, and check it.

    Raises:
        LibraryError: If it is not a library, or has a newer format.
        sqlite3.Error: For other reasons: see `wrap_errors`.
    """
    with locks.opening():
        return _open_checked(path, path.as_uri(), write)


def make(path: Path) -> sqlite3.Connection:
    """Make a file with empty tables. It is not in WAL mode yet: close it before it is renamed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")  # a power cut can only lose empty tables
    connection.executescript(script())
    return connection


@contextmanager
def wrap_errors(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the system as a `LibraryError` with the next step."""
    try:
        yield
    except sqlite3.Error as error:
        advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "Check the file and its folder.")
        raise LibraryError(f"Cannot use the library {path}: {error}. {advice}") from error
    except (UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise LibraryError(f"Cannot use the library {path}: {error!r}. {_ADVICE[sqlite3.SQLITE_CORRUPT]}") from error
    except LibraryError:
        raise
    except OSError as error:
        raise LibraryError(
            f"Cannot write {path}: {error.strerror}. Choose another place, or free disk space."
        ) from error


def _open_checked(path: Path, uri: str, write: bool) -> sqlite3.Connection:
    # Readers open the file for writing, too, but never write: the last to close it removes SQLite's temporary files.
    connection = _open(f"{uri}?mode=rw")
    try:
        try:
            _check(path, connection)
        except sqlite3.OperationalError:
            # Readers of a WAL file write beside it, which a read-only disk refuses. Nobody else writes there either.
            if write or _size(f"{path}-wal"):
                raise
            connection.close()
            connection = _open(f"{uri}?immutable=1")
            _check(path, connection)
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last tracks, nothing else
            migrate(connection)
        else:
            read_as_newest(connection)
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.create_function("float_at", 2, _float_at, deterministic=True)
    connection.create_function("is_named", 3, _is_named, deterministic=True)
    return connection


def _size(path: str) -> int:
    return os.stat(path).st_size if os.path.exists(path) else 0


def _check(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")  # one state of the file, in case another process migrates it now
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = format_of(connection)
    if application != APPLICATION_ID or version < 1:
        raise LibraryError(f"{path} is another database, not a library of musiczoo. Choose another file.")
    if version > FORMAT:
        raise LibraryError(
            f"Cannot read {path}: its format {version} is newer than {FORMAT}, the newest that this musiczoo reads. "
            "Update musiczoo: pip install -U musiczoo"
        )
    # A view or trigger of another origin would be read, or run, in place of our table.
    odd = sorted(map(str, objects(connection) ^ expected_objects(version)))
    if odd:
        raise LibraryError(
            f"Cannot use the library {path}: its tables differ from those of musiczoo in {odd[0][:200]}. Do not use it "
            "if it is from somebody else; otherwise restore it from a copy, or index again."
        )
    connection.execute("COMMIT")


def _float_at(numbers: bytes, index: int) -> float:
    value: float = struct.unpack_from("<f", numbers, 4 * index)[0]
    return value


def _is_named(text: object, lines: object, name: object) -> bool:
    """Call `is_named`; values that are not text count as empty."""
    texts = [value if isinstance(value, str) else "" for value in (text, lines, name)]
    return is_named(*texts)


_ADVICE = {
    sqlite3.SQLITE_BUSY: "Another program uses it: try again.",
    sqlite3.SQLITE_LOCKED: "Another program uses it: try again.",
    sqlite3.SQLITE_FULL: "Free disk space, then run the same command again: tracks already written are kept.",
    sqlite3.SQLITE_READONLY: "Make it and its folder writable, or choose another place.",
    sqlite3.SQLITE_PERM: "Make it and its folder writable, or choose another place.",
    sqlite3.SQLITE_CANTOPEN: "Make it and its folder readable and writable, or choose another place.",
    sqlite3.SQLITE_IOERR: "Its disk fails, is full or was removed: check it, then run the same command again.",
    sqlite3.SQLITE_CORRUPT: "It is damaged: restore it from a copy, or delete it and index again.",
    sqlite3.SQLITE_NOTADB: "It is not a library: choose another file.",
    sqlite3.SQLITE_ERROR: "The query is malformed, or the file is damaged: run musiczoo library verify.",
}
"""SQLite's primary result code -> the next step."""
