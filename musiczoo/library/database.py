"""The database of a library: one SQLite file in WAL mode.

Tables
------
::

    library(key, value)                         the fields of `LibraryConfig`, and the revision, as JSON
    tracks(id, path, size, mtime_ns, hash, ...) the fields of `Entry`; embedding and tags as float32, little-endian
    failures(path, size, mtime_ns, kind, ...)   the fields of `Failure`: files that could not be analyzed
    underway(path, size, mtime_ns, begun)       files in progress, or left in progress by a crash: see `indexing`

Conventions
-----------
- Each change is a transaction, unless `Database.transaction` groups several. A change of tracks raises the revision of
  the library, and the changed tracks get that revision. No committed transaction is lost when the process is killed.
- Any number of processes may read, and one may write: see `locks`. A `Database` may be read from several threads, and
  in forked children of its process, which open connections of their own. Only the process that opened it may write.
- In SQL, ``float_at(tags, i)`` is the i-th number, from 0, of a BLOB of float32, and ``is_named(artist, artists,
  name)`` tells whether a field holds a name: see `metadata.is_named`.
"""

import dataclasses
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._paths import absolute, resolved
from ..errors import LibraryError
from . import locks
from .locks import WriterLock
from .records import (
    ENTRY_COLUMNS,
    Entry,
    Failure,
    KnownTrack,
    LibraryConfig,
    check_vectors,
    checked_columns,
    column_value,
    encode_path,
    read_config,
    read_embeddings,
    read_entry,
)
from .sqlite import connect, make, wrap_errors

_PAGE = 512
"""Rows fetched at a time."""

_SELECT = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM tracks"
_FAILURE = tuple(f.name for f in dataclasses.fields(Failure))
_WRITTEN = tuple(name for name in ENTRY_COLUMNS if name != "id")
_UPSERT = (
    f"INSERT INTO tracks({', '.join(_WRITTEN)}) VALUES ({', '.join('?' * len(_WRITTEN))}) "
    f"ON CONFLICT(path) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _WRITTEN[1:])}"
)

_of_parents: list[sqlite3.Connection | None] = []
"""Connections of forked parents. They are kept, since Python would close them when they are deleted."""


class Database:
    """An open library file: see `open` and `create`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: WriterLock | None) -> None:
        """Use `open` or `create`."""
        self.path = path
        self._opened: sqlite3.Connection | None = connection
        self._lock = lock
        self._turn = threading.RLock()
        self._depth = 0
        locks.watch(self, self._turn)  # before the first query
        self.config = read_config(self.rows("SELECT key, value FROM library"))

    @classmethod
    def open(cls, path: str | os.PathLike[str], write: bool = False, wait: bool = False) -> "Database":
        """Open a library.

        Args:
            path: Its file.
            write: Become its only writer.
            wait: Wait for another writer to finish, instead of raising.

        Raises:
            LibraryError: If there is no such file, it is not a library, has a newer format, is damaged, cannot be read
                or written, or another process writes to it.
        """
        path = absolute(path)
        if not os.path.isfile(path):
            if os.path.isdir(path):
                raise LibraryError(
                    f"{path} is a folder, not a library. Pass the library's file, such as {path}/music.db."
                )
            raise LibraryError(f"No such library: {path}. Make one: musiczoo index FOLDER --library {path}")
        lock = WriterLock(path, wait) if write else None
        try:
            with wrap_errors(path):
                return cls(path, connect(path, write), lock)
        except BaseException:
            if lock:
                lock.release()
            raise

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: LibraryConfig, wait: bool = False) -> "Database":
        """Make an empty library and open it for writing. The file appears when it is complete.

        Args:
            path: Its file, which must not exist.
            config: The model and the settings of the library.
            wait: Wait for another writer to finish, instead of raising.

        Raises:
            LibraryError: If the file exists, or cannot be written.
        """
        path = absolute(path)
        lock = WriterLock(path, wait)
        try:
            if os.path.exists(path):
                raise LibraryError(f"{path} exists already. Open it, or choose another file.")
            partial = path.with_name(f"{path.name}.partial")
            for leftover in (partial, partial.with_name(f"{partial.name}-journal")):
                leftover.unlink(missing_ok=True)
            with wrap_errors(path), locks.opening():
                connection = make(partial)
                try:
                    values = {**config.to_dict(), "revision": 0}
                    rows = [(key, json.dumps(value, ensure_ascii=False)) for key, value in values.items()]
                    connection.executemany("INSERT INTO library VALUES (?, ?)", rows)
                finally:
                    connection.close()
                os.replace(partial, path)
                return cls(path, connect(path, write=True), lock)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Close the file, and release the writer lock."""
        if self._opened:
            with locks.opening():
                self._opened.close()
        if self._lock:
            self._lock.release()
            self._lock = None

    def reopen(self) -> None:
        """Replace a reader's connection by a new one, since a writer may have migrated the file."""
        with self._turn, locks.opening():
            if self._opened and self._lock is None:
                self._opened.close()
                self._opened = None

    def forked(self) -> None:
        """Leave the connection and the lock to the parent: see `locks`."""
        _of_parents.append(self._opened)
        self._opened, self._turn, self._depth = None, threading.RLock(), 0
        locks.watch(self, self._turn)
        if self._lock:
            self._lock.leave()
            self._lock = None

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = connect(self.path, write=False)
        return self._opened

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # === Reading ===

    def __len__(self) -> int:
        return int(self.rows("SELECT count(*) FROM tracks")[0][0])

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a SELECT. Paths are as stored: see `records.decode_path`.

        Raises:
            LibraryError: If the file cannot be read, or the SQL is malformed.
        """
        with self._turn, wrap_errors(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def revision(self) -> int:
        """Return the revision, which each change of the tracks raises."""
        return int(self.rows("SELECT max(CAST(value AS INTEGER)) FROM library WHERE key = 'revision'")[0][0] or 0)

    def ids(self) -> NDArray[np.int64]:
        """Return the ids of all tracks, ``[N]``, ascending."""
        return self.select_ids("1")

    def select_ids(self, where: str, parameters: Sequence[Any] = ()) -> NDArray[np.int64]:
        """Return the ids, ``[n]``, ascending, of the tracks for which an SQL expression over ``tracks`` is true.

        Raises:
            LibraryError: If the expression is malformed.
        """
        rows = self.rows(f"SELECT id FROM tracks WHERE {where} ORDER BY id", parameters)
        return np.array([row[0] for row in rows], np.int64)

    def entries(self, ids: Sequence[int] | NDArray[np.int64] | None = None, damaged: bool = False) -> Iterator[Entry]:
        """Yield tracks.

        Args:
            ids: Their ids, in the wanted order; ids that do not exist are skipped. By default all, ascending.
            damaged: Yield also tracks whose vectors have the wrong size or are not finite.

        Raises:
            LibraryError: If a track is damaged, unless `damaged`.
        """
        wanted = self.ids() if ids is None else np.asarray(ids, np.int64)
        for i in range(0, len(wanted), _PAGE):
            page = wanted[i : i + _PAGE].tolist()
            rows = self.rows(f"{_SELECT} WHERE id IN ({', '.join('?' * len(page))})", page)
            found = {entry.id: entry for entry in map(read_entry, rows)}
            present = (found[number] for number in page if number in found)
            yield from present if damaged else (check_vectors(entry, self.config) for entry in present)

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the track of a file, or None.

        Args:
            path: The file's path as stored, relative to the current folder, or through links.
        """
        name = os.fspath(path)
        if "\0" in name:  # not a path for the system, but a library of another origin may hold one
            return None
        for form in (os.fspath, absolute, resolved):
            if rows := self.rows(f"{_SELECT} WHERE path = ?", (encode_path(str(form(name))),)):
                return check_vectors(read_entry(rows[0]), self.config)
        return None

    def vectors_since(self, revision: int = -1) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids ``[N]``, ascending, and embeddings ``[N, E]`` of the tracks changed after a revision.

        A track may be among them even if its embedding is the same. Removed tracks are those missing from `ids`.
        """
        with self._turn, wrap_errors(self.path):
            ids = self.select_ids("revision > ?", (revision,))
            vectors = np.empty((len(ids), self.config.embedding_size), np.float32)
            found: list[int] = []  # another process may remove some meanwhile
            for i in range(0, len(ids), _PAGE):
                page = ids[i : i + _PAGE].tolist()
                sql = f"SELECT id, embedding FROM tracks WHERE id IN ({', '.join('?' * len(page))}) ORDER BY id"
                rows = self.rows(sql, page)
                vectors[len(found) : len(found) + len(rows)] = read_embeddings([row[1] for row in rows], self.config)
                found += [row[0] for row in rows]
        return np.array(found, np.int64), vectors[: len(found)]

    def known(self) -> dict[str, KnownTrack]:
        """Return path -> what a scan compares with the file."""
        names = ("path", "id", "size", "mtime_ns", "hash")
        found = (checked_columns(names, row) for row in self.rows(f"SELECT {', '.join(names)} FROM tracks"))
        return {values.pop("path"): KnownTrack(**values) for values in found}

    def failures(self) -> list[Failure]:
        """Return the files that could not be analyzed, by path."""
        rows = self.rows(f"SELECT {', '.join(_FAILURE)} FROM failures ORDER BY path")
        return [Failure(**checked_columns(_FAILURE, row)) for row in rows]

    # === Writing ===

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make several changes together or not at all; this is also faster.

        Raises:
            LibraryError: If the library is not open for writing, or the disk is full.
        """
        if self._lock is None:
            raise LibraryError(f"Cannot write to {self.path}: it was opened for reading. Open it with write=True.")
        with self._turn, wrap_errors(self.path):
            outermost = not self._depth
            self._depth += 1
            try:
                # Inside, since Ctrl-C that arrives while SQLite begins is raised right behind this line.
                if outermost:
                    self._connection.execute("BEGIN IMMEDIATE")
                yield
                if outermost:
                    self._connection.execute("COMMIT")
            except BaseException:
                if outermost:
                    with suppress(sqlite3.Error):  # it did not begin, or a full disk has rolled back already
                        self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def add(self, entry: Entry) -> None:
        """Write a track in place of any track or failure of its path. Its id and revision are set here."""
        with self.transaction():
            row = dataclasses.replace(entry, revision=self._next())
            self._connection.execute(_UPSERT, [column_value(row, name) for name in _WRITTEN])
            self._connection.execute("DELETE FROM failures WHERE path = ?", (encode_path(entry.path),))

    def move(self, number: int, path: str, mtime_ns: int | None = None) -> None:
        """Change the path of a track, replacing any track of that path, and its time of modification if given."""
        sql = "UPDATE tracks SET path = ?, mtime_ns = coalesce(?, mtime_ns), revision = ? WHERE id = ?"
        with self.transaction():
            self._connection.execute("DELETE FROM failures WHERE path = ?", (encode_path(path),))
            self._connection.execute("DELETE FROM tracks WHERE path = ? AND id <> ?", (encode_path(path), number))
            self._connection.execute(sql, (encode_path(path), mtime_ns, self._next(), number))

    def remove(self, number: int) -> None:
        """Remove a track."""
        with self.transaction():
            self._next()
            self._connection.execute("DELETE FROM tracks WHERE id = ?", (number,))

    def add_failure(self, failure: Failure) -> None:
        """Write a failure in place of any track or failure of its path."""
        row = [column_value(failure, name) for name in _FAILURE]
        with self.transaction():
            if self._connection.execute("DELETE FROM tracks WHERE path = ?", row[:1]).rowcount:
                self._next()
            self._connection.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)", row)

    def remove_failure(self, path: str) -> None:
        """Remove the failure of a file: the file is gone, or is to be tried again."""
        self.write("DELETE FROM failures WHERE path = ?", (encode_path(path),))

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run SQL that changes anything but the tracks. Arguments and errors are those of `rows`."""
        with self.transaction():
            self._connection.execute(sql, parameters)

    def vacuum(self) -> None:
        """Return the disk space of removed tracks to the system."""
        with self.transaction():
            pass  # raises if we may not write
        with self._turn, wrap_errors(self.path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _next(self) -> int:
        """Raise the revision, and return it."""
        self._connection.execute("UPDATE library SET value = value + 1 WHERE key = 'revision'")
        return self.revision()
