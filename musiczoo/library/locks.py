"""Locks across processes: one writer of a library, and forks while threads use SQLite.

The writer lock
---------------
- The lock is on the file ``<library>.lock``, which holds the writer's process id and remains when nobody writes.
- It is the lock of the system (flock), not the existence of the file: it ends with its holder, even after a crash, and
  nothing has to be cleaned up.

Forks
-----
A forked child has a copy of its parent's memory, but only one of its threads. A lock that another thread held is never
released in the child, including those inside SQLite, and a connection to SQLite must be neither used nor closed after a
fork. So a fork waits until no thread is inside SQLite, and objects that hold locks or connections are notified in the
child before anything else happens: see `watch`.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Protocol
from weakref import WeakKeyDictionary

from ..errors import LibraryError

# === The writer lock ===

_BUSY_BYTE = 1 << 20
"""Where Windows locks: beyond the process id, which other processes read."""


class WriterLock:
    """The right to write to a library, from its construction until `release`."""

    def __init__(self, library: Path, wait: bool = False) -> None:
        """Take the lock.

        Args:
            library: The library's file; it need not exist.
            wait: Wait for another writer to finish, instead of raising.

        Raises:
            LibraryError: If another process writes to the library, with its process id; or if the folder cannot be
                written to.
        """
        path = library.with_name(f"{library.name}.lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise LibraryError(
                f"Cannot write to {library}: {error.strerror} ({path}). Choose a folder that you can write to."
            ) from error
        try:
            _lock(self._file, wait)
        except OSError as error:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
            os.close(self._file)
            who = f"process {holder}" if holder else "another process"
            raise LibraryError(
                f"Cannot write to {library}: {who} is writing to it. Wait until it has finished, or pass wait=True "
                "(--wait)."
            ) from error
        except BaseException:  # Ctrl-C while waiting
            os.close(self._file)
            raise
        os.ftruncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def leave(self) -> None:
        """Let go of the lock in a forked child; the parent keeps it."""
        os.close(self._file)

    def release(self) -> None:
        """Release the lock."""
        os.ftruncate(self._file, 0)
        os.close(self._file)


if sys.platform == "win32":
    import msvcrt
    import time

    def _lock(file: int, wait: bool) -> None:
        os.lseek(file, _BUSY_BYTE, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
                break
            except OSError:
                if not wait:
                    raise
                time.sleep(0.5)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


# === Forks ===

PATIENCE_S = 10.0
"""Seconds that a fork waits for other threads. Then it proceeds: they may be waiting for the thread that forks."""


class Forkable(Protocol):
    """An object that must know when its process was forked."""

    def forked(self) -> None:
        """Handle the fork, in the child, while it has only the current thread."""


class _State(threading.local):
    """The locks that a thread took before a fork."""

    def __init__(self) -> None:
        self.taken: list[threading.RLock] = []


_watched: "WeakKeyDictionary[Forkable, threading.RLock | None]" = WeakKeyDictionary()
_opening = threading.RLock()
_state = _State()


@contextmanager
def opening() -> Iterator[None]:
    """Hold off forks while a connection is opened or closed."""
    with _opening:
        yield


def watch(one: Forkable, lock: "threading.RLock | None" = None) -> None:
    """Notify an object in each forked child of this process, as long as the object exists.

    Args:
        one: The object.
        lock: The lock that threads hold while they use SQLite through the object. A thread that holds it waits for no
            other lock.
    """
    with _opening:
        _watched[one] = lock


def _before_fork() -> None:
    until = monotonic() + PATIENCE_S
    if _opening.acquire(timeout=PATIENCE_S):
        _state.taken.append(_opening)
        for lock in list(_watched.values()):
            if lock is not None and lock.acquire(timeout=max(0.0, until - monotonic())):
                _state.taken.append(lock)


def _after_fork_in_parent() -> None:
    while _state.taken:
        _state.taken.pop().release()


def _after_fork_in_child() -> None:
    global _opening
    _state.taken.clear()
    _opening = threading.RLock()
    for one in list(_watched):
        one.forked()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
