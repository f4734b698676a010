"""Run on a disk that is full, read-only or somebody else's, then on one that is not: as if nothing had been?

Conventions
-----------
- The disk is a tmpfs, mounted and unmounted here. That needs a separate mount namespace: see `namespace`.
- A run that cannot do its work ends with a `musiczoo.MusicZooError`; any other exception is a fault.
- For subjects and what they leave see `killing`; forks as there.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forking import REFUSED, Ended, fork
from killing import Subject, finish
from subjects import SUBJECTS

ENOUGH = 1 << 29
"""Bytes of a disk that is large enough."""

PAGE = 4096
"""Bytes that a tmpfs gives at a time."""

DONE = "all done"
FAULT = "FAULT: "
"""Begins what is said of a run that ended with an exception that was not made on purpose."""
NOBODY = 65534


def namespace() -> list[str]:
    """What to put before a command that mounts; empty where the system does not let us."""
    command = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    try:
        subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return command


def call(function: str, *arguments: object) -> Any:
    """Call a function of this module in a separate process and mount namespace.

    Args:
        function: Its name; it returns what JSON can hold.
        arguments: Likewise.
    """
    code = (
        f"import sys, json; sys.path[:] = {sys.path!r}; import {__name__} as module; "
        f"print(json.dumps(getattr(module, {function!r})(*json.loads({json.dumps(arguments)!r}))))"
    )
    done = subprocess.run([*namespace(), sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def disk(folder: Path, size: int = ENOUGH) -> Iterator[Path]:
    """An empty disk of this size in bytes, mounted at ``folder/disk``."""
    path = folder / "disk"
    path.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def remount(path: Path, options: str) -> None:
    """Change a mounted disk, such as with ``ro`` or ``size=4096``."""
    _mount("-o", f"remount,{options}", path)


def full(subject: Subject, folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """Run with several amounts of free space, from none to nearly enough, and again with enough.

    Yields:
        For each ``{"room": bytes, "ended": how, "left": what, "equal": whether the next run ended as it should}``.
    """
    with disk(folder) as path:
        before, expected = _undisturbed(subject, path)
        enough = max(PAGE, shutil.disk_usage(path).used - before)
    while _cramped(subject, folder, enough, expected)["ended"] != DONE:
        enough *= 2
    for i in range(count):
        yield _cramped(subject, folder, enough * i // count // PAGE * PAGE, expected)


def _cramped(subject: Subject, folder: Path, room: int, expected: Any) -> dict[str, Any]:
    """Run with so much room, and again with enough."""
    with disk(folder) as path:
        place = path / "place"
        subject.prepare(place)
        remount(path, f"size={max(PAGE, shutil.disk_usage(path).used + room)}")  # 0 would be no limit
        ended = fork(lambda: subject.run(place), folder / "errors")
        left = subject.left(place, expected)
        remount(path, f"size={ENOUGH}")
        return {"room": room, "ended": _said(ended), "left": left, "equal": _again(subject, place, expected)}


def refused(subject: Subject, folder: Path) -> Iterator[dict[str, Any]]:
    """Run on a disk that is read-only, and as a user who may not write there; and again as one who may.

    Yields:
        The same as `full`, with ``"way"`` instead of ``"room"``.
    """
    folder.chmod(0o755)  # what the run reads is for everybody
    with disk(folder) as path:
        _, expected = _undisturbed(subject, path)
    for way in ("read-only", "denied") if _has_nobody() else ("read-only",):
        with disk(folder) as path:
            place = path / "place"
            subject.prepare(place)
            if way == "read-only":
                remount(path, "ro")

            def run(way: str = way, place: Path = place) -> None:
                if way == "denied":
                    _become_nobody()
                subject.run(place)

            ended = fork(run, folder / "errors")
            left = subject.left(place, expected)
            remount(path, "rw")
            yield {"way": way, "ended": _said(ended), "left": left, "equal": _again(subject, place, expected)}


def report(name: str, count: int) -> list[dict[str, Any]]:
    """All of this for one of `subjects.SUBJECTS`, with several amounts of free space."""
    with tempfile.TemporaryDirectory(prefix="musiczoo-faults-") as folder:
        subject = SUBJECTS[name](Path(folder))
        return [*full(subject, Path(folder), count), *refused(subject, Path(folder))]


def _undisturbed(subject: Subject, path: Path) -> tuple[int, Any]:
    """The bytes used before, and the content after."""
    place = path / "place"
    subject.prepare(place)
    before = shutil.disk_usage(path).used
    finish(subject, place)
    return before, subject.content(place)


def _has_nobody() -> bool:
    """Whether there is another user in this namespace."""
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(int(first) <= NOBODY < int(first) + int(count) for first, _, count in ranges)


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _again(subject: Subject, place: Path, expected: Any) -> bool:
    finish(subject, place)
    return bool(subject.content(place) == expected)


def _said(ended: Ended) -> str:
    if ended.code == 0:
        return DONE
    return ("" if ended.code == REFUSED else f"{FAULT}exit code {ended.code}: ") + ended.said


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)
