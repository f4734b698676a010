"""Keep what the MP3 decoder inside libsndfile tells standard error from getting there.

mpg123 prints a line for each frame that it cannot decode, libsndfile has no setting against it, and whether a frame
decodes is only known by decoding it. `mp3` keeps from it what can be known before. For the rest, C's variable `stderr`
is pointed at the null device while libsndfile works on an MP3. The descriptor 2 stays as it is: what Python, C++, the
C library and other processes write gets there, from other threads also meanwhile. Lost would be only what another C
library prints through the same variable in those moments.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_SYMBOL = "__stderrp" if sys.platform == "darwin" else "stderr"

_lock = threading.Lock()
_users = 0
_kept: int | None = None


@contextmanager
def c_stderr() -> Iterator[None]:
    """Without what C code prints to `stderr`, in whatever thread; where there is no such variable, nothing changes."""
    global _users, _kept
    variable = _variable()
    if variable is None:
        yield
        return
    with _lock:
        if _users == 0:
            _kept, variable[0].value = variable[0].value, variable[1]
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                variable[0].value = _kept


@cache
def _variable() -> tuple[Any, int] | None:
    """C's variable, and an open null device to point it at."""
    try:
        library = ctypes.CDLL(None)
        variable = ctypes.c_void_p.in_dll(library, _SYMBOL)
        library.fopen.restype = ctypes.c_void_p
        null = library.fopen(os.devnull.encode(), b"we")
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return (variable, null) if null and variable.value else None


def _after_fork() -> None:
    """In a child, no thread is left that would put the variable back."""
    global _lock, _users
    _lock = threading.Lock()
    if _users and (variable := _variable()):
        variable[0].value = _kept
    _users = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
