"""Forks: what is open in a process is not open in its children.

A child that was forked finds everything as it was in its parent, but for the threads. A lock that one of those held is
held for ever, and a connection to SQLite must not be used, nor closed, on the other side of a fork. So the objects that
hold such things are told there, before anything else happens, that they were forked.
"""

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that must know when it finds itself in a child."""

    def forked(self) -> None:
        """We are in a child now, which has one thread: this one."""


_watched: WeakSet[Forkable] = WeakSet()


def watch(one: Forkable) -> None:
    """Tell an object in each child of this process, as long as it exists."""
    _watched.add(one)


def _tell() -> None:
    for one in list(_watched):
        one.forked()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_tell)
