"""Forks: what is open in a process is not open in its children.

A child that was forked finds everything as it was in its parent, but for the threads. A lock that one of those held is
held for ever, those inside SQLite too; and a connection to SQLite must not be used, nor closed, on the other side of a
fork. So a fork waits until nobody is inside SQLite, and the objects that hold such things are told in the child, before
anything else happens, that they were forked.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol
from weakref import WeakKeyDictionary

PATIENCE_S = 10.0
"""So long a fork waits for what other threads do; then it goes on: they may wait for the one that forks."""


class Forkable(Protocol):
    """Something that must know when it finds itself in a child."""

    def forked(self) -> None:
        """We are in a child now, which has one thread: this one."""


class _State(threading.local):
    """Of a thread: the locks that it took to fork."""

    def __init__(self) -> None:
        self.taken: list[threading.RLock] = []


_watched: "WeakKeyDictionary[Forkable, threading.RLock | None]" = WeakKeyDictionary()
_opening = threading.RLock()
_state = _State()


@contextmanager
def opening() -> Iterator[None]:
    """Around the opening and closing of connections, which nobody shall be in when the process forks."""
    with _opening:
        yield


def watch(one: Forkable, lock: "threading.RLock | None" = None) -> None:
    """Tell an object in each child of this process, as long as it exists.

    Args:
        one: The object.
        lock: What its threads hold while they are inside SQLite, if they ever are. Whoever holds it waits for no other.
    """
    with _opening:
        _watched[one] = lock


def _take() -> None:
    """Before a fork."""
    until = monotonic() + PATIENCE_S
    if _opening.acquire(timeout=PATIENCE_S):
        _state.taken.append(_opening)
        for lock in list(_watched.values()):
            if lock is not None and lock.acquire(timeout=max(0.0, until - monotonic())):
                _state.taken.append(lock)


def _release() -> None:
    """After it, in the parent."""
    while _state.taken:
        _state.taken.pop().release()


def _tell() -> None:
    """After it, in the child."""
    global _opening
    _state.taken.clear()
    _opening = threading.RLock()
    for one in list(_watched):
        one.forked()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_take, after_in_parent=_release, after_in_child=_tell)
