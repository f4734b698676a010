"""All that a target must not do, one input each: what finds none of these finds nothing. See test_fuzz.py."""

import ctypes
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from musiczoo.errors import MusicZooError


def _raise(error: Exception) -> None:
    raise error


def _write_and_say_nothing() -> None:
    with suppress(OSError):
        Path("../outside").write_text("x")


def _through_a_link() -> None:
    Path("link").symlink_to("..")
    with suppress(OSError):
        Path("link/outside").write_text("x")


def _listen() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))


GOOD: dict[bytes, Callable[[], object]] = {
    b"nothing": lambda: None,
    b"refuse": lambda: _raise(MusicZooError("Expected this, received that: do something else.")),
    b"write inside": lambda: Path("inside").write_text("x"),
}
BAD: dict[bytes, Callable[[], object]] = {
    b"crash": lambda: ctypes.string_at(0),
    b"leave": lambda: os._exit(3),
    b"hang": lambda: time.sleep(3600),
    b"grow": lambda: bytes(2 << 30),
    b"another error": lambda: _raise(KeyError("x")),
    b"no sentence": lambda: _raise(MusicZooError("x")),
    b"write outside": _write_and_say_nothing,
    b"write outside through a link": _through_a_link,
    b"move outside": lambda: (Path("a").touch(), os.replace("a", "../outside")),
    b"delete outside": lambda: os.remove("../log"),
    b"start a program": lambda: subprocess.run(["true"], check=False),
    b"listen": _listen,
}


def seeds() -> list[bytes]:
    """All of them."""
    return [*GOOD, *BAD]


def run(data: bytes) -> None:
    """Do it."""
    (GOOD | BAD).get(data, lambda: None)()


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Another of them."""
    return dice.choice(seeds())
