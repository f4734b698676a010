"""The file of a library: an SQLite database in WAL mode.

Tables
------
::

    library(key, value)                         what the numbers mean: the fields of `Facts`, and revision, as JSON
    tracks(id, path, size, mtime_ns, hash, ...) the fields of `Entry`; embedding and tags as float32, little-endian
    failures(path, size, mtime_ns, kind, ...)   the fields of `Failure`: files that could not be heard
    underway(path, size, mtime_ns, begun)       files being heard, or left behind by a process that died: see `underway`

Conventions
-----------
- Paths are absolute. A name that is no UTF-8 is a `str` with surrogates in Python, as the os module makes it
  (`os.fsdecode`), and a BLOB of the name's bytes in the file; all others are TEXT.
- Each change is a transaction, unless several are put into one (`Database.transaction`); one that changes tracks
  raises the revision, and the tracks that it changed bear it. SIGKILL loses no transaction that has ended.
- Any number of readers and one writer at a time (see `lock`). A `Database` may be read from several threads, and from
  forks of its process, which read through connections of their own; the writer stays the one that opened it.
- In SQL, ``float_at(tags, i)`` is the i-th number of a BLOB of float32, from 0, and ``is_named(artist, artists, name)``
  says whether a field of names holds this one: see `names`.
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
from . import forks
from .connection import connect, explained, make, stored
from .lock import WriterLock
from .records import ENTRY_FIELDS, Entry, Facts, Failure, Known, column, entry_of, facts_of, typed, usable, vectors_of

__all__ = ["Database", "Entry", "Facts", "Failure", "Known"]

_PAGE = 512
"""Rows fetched at a time."""

_SELECT = f"SELECT {', '.join(ENTRY_FIELDS)} FROM tracks"
_FAILURE = tuple(f.name for f in dataclasses.fields(Failure))
_WRITTEN = tuple(name for name in ENTRY_FIELDS if name != "id")
_UPSERT = (
    f"INSERT INTO tracks({', '.join(_WRITTEN)}) VALUES ({', '.join('?' * len(_WRITTEN))}) "
    f"ON CONFLICT(path) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _WRITTEN[1:])}"
)

_of_parents: list[sqlite3.Connection | None] = []
"""Connections that were forked: kept, since SQLite closes those that nobody holds."""


class Database:
    """An open library file: see `open` and `create`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: WriterLock | None) -> None:
        """Use `open` or `create`."""
        self.path = path
        self._opened: sqlite3.Connection | None = connection
        self._lock = lock
        self._turn = threading.RLock()
        self._depth = 0
        forks.watch(self, self._turn)  # before the first question
        self.facts = self._facts()

    @classmethod
    def open(cls, path: str | os.PathLike[str], write: bool = False, wait: bool = False) -> "Database":
        """Open a library.

        Args:
            path: Its file.
            write: Become its only writer.
            wait: Wait for another writer to end, instead of raising.

        Raises:
            LibraryError: If there is none, it is something else, of a newer format, damaged, cannot be read or
                written, or is written by another process.
        """
        path = absolute(path)
        if not os.path.isfile(path):
            received = "a folder" if os.path.isdir(path) else "a path with nothing there"
            raise LibraryError(
                f"{path}: expected a library, received {received}. Make one: musiczoo index FOLDER --library {path}"
            )
        lock = WriterLock(path, wait) if write else None
        try:
            with explained(path):
                return cls(path, connect(path, write), lock)
        except BaseException:
            if lock:
                lock.release()
            raise

    @classmethod
    def create(cls, path: str | os.PathLike[str], facts: Facts, wait: bool = False) -> "Database":
        """Make a library and open it for writing. It appears under its name when it is whole.

        Args:
            path: Its file, which must not exist.
            facts: What its numbers will mean.
            wait: Wait for another writer to end, instead of raising.

        Raises:
            LibraryError: If something is there already, or nothing can be written there.
        """
        path = absolute(path)
        lock = WriterLock(path, wait)
        try:
            if os.path.exists(path):
                raise LibraryError(f"{path}: expected nothing there yet, received a file. Open it, or name another.")
            partial = path.with_name(f"{path.name}.partial")
            for leftover in (partial, partial.with_name(f"{partial.name}-journal")):
                leftover.unlink(missing_ok=True)
            with explained(path), forks.opening():
                connection = make(partial)
                try:
                    values = {**facts.plain(), "revision": 0}
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
        """Close the file, and let others write."""
        if self._opened:
            with forks.opening():
                self._opened.close()
        if self._lock:
            self._lock.release()
            self._lock = None

    def reopen(self) -> None:
        """Read through a new connection from now on, since another may have migrated the file; not of a writer."""
        with self._turn, forks.opening():
            if self._opened and self._lock is None:
                self._opened.close()
                self._opened = None

    def forked(self) -> None:
        """Leave the parent what is the parent's; see `forks`."""
        _of_parents.append(self._opened)
        self._opened, self._turn, self._depth = None, threading.RLock(), 0
        forks.watch(self, self._turn)
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
        """What any SELECT gives. Paths come as they are stored: see `connection.restored`.

        Raises:
            LibraryError: If the file cannot be read, or the question is malformed.
        """
        with self._turn, explained(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def revision(self) -> int:
        """Raised by each change of the tracks."""
        return int(self.rows("SELECT max(CAST(value AS INTEGER)) FROM library WHERE key = 'revision'")[0][0] or 0)

    def ids(self) -> NDArray[np.int64]:
        """``[N]``, all tracks' ids, ascending."""
        return self.select_ids("1")

    def select_ids(self, where: str, parameters: Sequence[Any] = ()) -> NDArray[np.int64]:
        """``[n]``, ascending: ids of the tracks for which an SQL expression over ``tracks`` holds.

        Raises:
            LibraryError: If it is no such expression.
        """
        rows = self.rows(f"SELECT id FROM tracks WHERE {where} ORDER BY id", parameters)
        return np.array([row[0] for row in rows], np.int64)

    def entries(self, ids: Sequence[int] | NDArray[np.int64] | None = None, damaged: bool = False) -> Iterator[Entry]:
        """Tracks by id, in the order asked for; ids that do not exist are left out. By default all, ascending.

        Raises:
            LibraryError: If one is `damaged`, unless those are wanted, too.
        """
        wanted = self.ids() if ids is None else np.asarray(ids, np.int64)
        for i in range(0, len(wanted), _PAGE):
            page = wanted[i : i + _PAGE].tolist()
            rows = self.rows(f"{_SELECT} WHERE id IN ({', '.join('?' * len(page))})", page)
            found = {entry.id: entry for entry in map(entry_of, rows)}
            present = (found[number] for number in page if number in found)
            yield from present if damaged else (usable(entry, self.facts) for entry in present)

    def one(self, path: str | os.PathLike[str]) -> Entry | None:
        """The track of a file, named as it is stored, relative to the current folder, or through links; or None."""
        name = os.fspath(path)
        if "\0" in name:  # which the system takes for no path, and another's library may hold
            return None
        for form in (os.fspath, absolute, resolved):
            if rows := self.rows(f"{_SELECT} WHERE path = ?", (stored(str(form(name))),)):
                return usable(entry_of(rows[0]), self.facts)
        return None

    def vectors_since(self, revision: int = -1) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids ``[N]``, ascending, and embeddings ``[N, E]`` of the tracks changed after a revision.

        A track may be among them though its embedding is the same. Removed ones are those missing in `ids`.
        """
        with self._turn, explained(self.path):
            ids = self.select_ids("revision > ?", (revision,))
            vectors = np.empty((len(ids), self.facts.embedding_size), np.float32)
            found: list[int] = []  # another process may remove some in between
            for i in range(0, len(ids), _PAGE):
                page = ids[i : i + _PAGE].tolist()
                sql = f"SELECT id, embedding FROM tracks WHERE id IN ({', '.join('?' * len(page))}) ORDER BY id"
                rows = self.rows(sql, page)
                vectors[len(found) : len(found) + len(rows)] = vectors_of([row[1] for row in rows], self.facts)
                found += [row[0] for row in rows]
        return np.array(found, np.int64), vectors[: len(found)]

    def known(self) -> dict[str, Known]:
        """Path -> what a scan must know of its track."""
        names = ("path", "id", "size", "mtime_ns", "hash")
        found = (typed(names, row) for row in self.rows(f"SELECT {', '.join(names)} FROM tracks"))
        return {values.pop("path"): Known(**values) for values in found}

    def failures(self) -> list[Failure]:
        """Files that could not be heard, by path."""
        rows = self.rows(f"SELECT {', '.join(_FAILURE)} FROM failures ORDER BY path")
        return [Failure(**typed(_FAILURE, row)) for row in rows]

    # === Writing ===

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several changes that happen together or not at all; faster than one by one.

        Raises:
            LibraryError: If the library is not open for writing, or the disk is full.
        """
        if self._lock is None:
            raise LibraryError(f"{self.path}: expected a library opened for writing, received one opened for reading.")
        with self._turn, explained(self.path):
            outermost = not self._depth
            if outermost:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                if outermost:
                    self._connection.execute("COMMIT")
            except BaseException:
                if outermost:
                    with suppress(sqlite3.Error):  # a full disk has rolled back already
                        self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def add(self, entry: Entry) -> None:
        """Write a track, instead of the one or the failure that its path has so far. Its id and revision are ours."""
        with self.transaction():
            row = dataclasses.replace(entry, revision=self._next())
            self._connection.execute(_UPSERT, [column(row, name) for name in _WRITTEN])
            self._connection.execute("DELETE FROM failures WHERE path = ?", (stored(entry.path),))

    def move(self, number: int, path: str, mtime_ns: int | None = None) -> None:
        """Say that a track's file lies elsewhere now, in place of what lay there, or that it was touched."""
        sql = "UPDATE tracks SET path = ?, mtime_ns = coalesce(?, mtime_ns), revision = ? WHERE id = ?"
        with self.transaction():
            self._connection.execute("DELETE FROM failures WHERE path = ?", (stored(path),))
            self._connection.execute("DELETE FROM tracks WHERE path = ? AND id <> ?", (stored(path), number))
            self._connection.execute(sql, (stored(path), mtime_ns, self._next(), number))

    def remove(self, number: int) -> None:
        """Forget a track."""
        with self.transaction():
            self._next()
            self._connection.execute("DELETE FROM tracks WHERE id = ?", (number,))

    def fail(self, failure: Failure) -> None:
        """Write that a file could not be heard, instead of the track or the failure that it has so far."""
        row = [column(failure, name) for name in _FAILURE]
        with self.transaction():
            if self._connection.execute("DELETE FROM tracks WHERE path = ?", row[:1]).rowcount:
                self._next()
            self._connection.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)", row)

    def forget_failure(self, path: str) -> None:
        """Forget that a file could not be heard: it is gone, or is to be tried again."""
        self.write("DELETE FROM failures WHERE path = ?", (stored(path),))

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Change what is not the tracks: see `rows` for what it takes and raises."""
        with self.transaction():
            self._connection.execute(sql, parameters)

    def vacuum(self) -> None:
        """Give the room of removed tracks back to the disk."""
        with self.transaction():
            pass  # that we may write
        with self._turn, explained(self.path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _next(self) -> int:
        """Raise the revision."""
        self._connection.execute("UPDATE library SET value = value + 1 WHERE key = 'revision'")
        return self.revision()

    def _facts(self) -> Facts:
        return facts_of(self.rows("SELECT key, value FROM library"))
