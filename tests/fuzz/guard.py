"""What an input may not do, and how it is noticed.

- Write, rename, remove or link anything outside the working folder, start programs or talk to a network: an audit hook
  sees what Python is about to do, refuses it, and remembers (`violations`).
- Take more than `MEMORY` beyond what the process had before: its address space is limited.
- Take longer than `SECONDS`: whoever started the process ends it (see `run`).
"""

import os
import resource
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

MEMORY = 1 << 30
"""Bytes that the process may grow by."""

SECONDS = 30
"""Most that one input may take, on a machine that may be busy."""

violations: list[str] = []

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ONE_PATH = {"os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr"}
_TWO_PATHS = {"os.rename", "os.link", "os.symlink"}
_NEVER = {"socket.connect", "socket.bind", "os.system", "os.exec", "os.posix_spawn", "os.fork"}
_DEVICES = {"/dev/null", "/dev/tty"}


def limit_memory() -> None:
    """Let this process grow by `MEMORY` from now on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def watch(folder: Path) -> None:
    """From now on, remember and refuse what touches anything outside `folder`. There is no way back."""
    root = os.path.realpath(folder)

    def inside(path: Any) -> bool:
        if isinstance(path, int):
            return True  # a descriptor: it was opened before
        name = os.fsdecode(path)
        if name.startswith("file:"):  # SQLite's way of naming a file
            name = unquote(urlsplit(name).path)
        elif name in (":memory:", "") or name in _DEVICES:
            return True
        parent, last = os.path.split(os.path.abspath(name))
        real = os.path.join(os.path.realpath(parent), last)
        return real == root or real.startswith(root + os.sep)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            bad = bool(flags & _WRITING) and not inside(path)
        elif event in _ONE_PATH or event == "sqlite3.connect":
            bad = not inside(args[0])
        elif event in _TWO_PATHS:
            # A link may point anywhere, it is what lies behind it that may not change.
            bad = not inside(args[1]) or (event == "os.rename" and not inside(args[0]))
        elif event == "subprocess.Popen":
            bad = args[0] != sys.executable  # the library analyzes files that may crash a decoder in a separate process
        else:
            bad = event in _NEVER
        if bad:
            violations.append(f"{event} {args!r}"[:300])
            raise PermissionError(f"outside of the working folder: {event}")

    sys.addaudithook(hook)
