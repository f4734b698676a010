"""How a library's file is reached through SQLite: opening, errors, and names that are no text."""

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .._paths import to_bytes
from ..errors import LibraryError
from . import forks, schema
from .names import is_named

LARGEST = 1 << 24
"""Bytes that one value of a library may have: far more than a path or an embedding."""

BUSY_S = 30.0
"""Seconds to wait for another connection's transaction."""


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
            schema.migrate(connection)
        else:
            schema.read_as_newest(connection)
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def make(path: Path) -> sqlite3.Connection:
    """A new file with empty tables. It is not in WAL mode yet: close it before it is renamed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")  # what a power cut may cost is empty
    connection.executescript(schema.script())
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
    connection.create_function("is_named", 3, _is_named, deterministic=True)
    return connection


def _size(path: str) -> int:
    return os.stat(path).st_size if os.path.exists(path) else 0


def _check(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")  # one state of the file, should another process migrate it now
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = schema.version_of(connection)
    if application != schema.APPLICATION_ID or version < 1:
        raise LibraryError(f"{path}: expected a library of musiczoo, received another database. Name another file.")
    if version > schema.FORMAT:
        raise LibraryError(
            f"{path}: library format {version} is newer than {schema.FORMAT}, the newest that this musiczoo reads. "
            "Update musiczoo: pip install -U musiczoo"
        )
    # A view or a trigger of somebody else's would be asked, or run, where a table of ours is meant.
    odd = sorted(map(str, schema.objects(connection) ^ schema.expected(version)))
    if odd:
        raise LibraryError(
            f"{path}: expected the tables of a library and nothing else, received a difference in {odd[0][:200]}. "
            "Do not use it if it is not yours; else restore it from a copy, or index again."
        )
    connection.execute("COMMIT")


def _float_at(numbers: bytes, index: int) -> float:
    value: float = struct.unpack_from("<f", numbers, 4 * index)[0]
    return value


def _is_named(text: object, lines: object, name: object) -> bool:
    """See `is_named`; of anything but text, nothing is."""
    texts = [value if isinstance(value, str) else "" for value in (text, lines, name)]
    return is_named(*texts)


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
