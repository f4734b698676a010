"""Run, be killed at a random moment, run again: does that leave what an undisturbed run leaves?

Conventions
-----------
- All runs are forks of this process, which has imported what they need and never computed anything, so that one starts
  in a millisecond and no thread is lost by forking. So call `rounds` in a separate process.
- Moments are of two kinds, in turn: some seconds after the start, and before the n-th *step*, which is a call that
  changes files (opening for writing, renaming, removing) or an SQL statement. Time is what really happens to users;
  steps find the moments that are too short to be met by chance.
- SIGKILL, which nobody can catch. The machine stays up: what the system holds in its caches is not lost.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from forking import fork

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
"""Audit events of calls that change files; besides, "open" for writing."""


class Subject(Protocol):
    """What is killed; it works in a folder that it has for itself, the place."""

    def prepare(self, place: Path) -> None:
        """Bring the place into the state before the run."""

    def run(self, place: Path) -> None:
        """Do the work, in a fork."""

    def content(self, place: Path) -> Any:
        """All that counts of what a run leaves, to compare."""

    def left(self, place: Path, undisturbed: Any) -> str:
        """What a killed run left, in a word; or "BROKEN: " and why, if that may not be."""


@dataclass(frozen=True)
class Round:
    """A run that was killed, and the one after it.

    Attributes:
        moment: Seconds after the start, or the step that did not happen any more.
        left: What was there between the two: see `Subject.left`.
        equal: Whether the end is that of an undisturbed run.
    """

    moment: str
    left: str
    equal: bool


def rounds(subject: Subject, kills: int, seed: int = 0, begin: int = 0) -> Iterator[dict[str, Any]]:
    """Run the rounds, each in a separate folder.

    Args:
        subject: What is killed.
        kills: How many.
        seed: Of the moments.
        begin: Rounds to pass over, which were done before with this seed.

    Yields:
        What an undisturbed run is like: ``{"seconds", "steps"}``; then `Round`s.
    """
    with tempfile.TemporaryDirectory(prefix="musiczoo-faults-") as name:
        folder = Path(name)
        undisturbed, seconds, steps = _undisturbed(subject, folder)
        yield {"seconds": round(seconds, 2), "steps": steps}
        for i in range(begin, begin + kills):
            moments = random.Random(f"{seed} {i}")
            place, killed = folder / f"{i}", False
            while not killed:  # it may end before it is killed
                shutil.rmtree(place, ignore_errors=True)
                subject.prepare(place)
                step = moments.randint(1, steps) if i % 2 else None
                after = None if step else moments.uniform(0, seconds)
                killed = _killed(subject, place, step, after)
            left = subject.left(place, undisturbed)
            finish(subject, place)
            equal = subject.content(place) == undisturbed
            yield asdict(Round(f"step {step}" if step else f"{after:.3f} s", left, equal))
            shutil.rmtree(place)


def finish(subject: Subject, place: Path) -> None:
    """Run to the end in a fork.

    Raises:
        RuntimeError: If that fails, with what it said.
    """
    ended = fork(lambda: subject.run(place), place.parent / "errors")
    if ended.code:
        raise RuntimeError(f"A run that nothing disturbed ended with {ended}.")


def _undisturbed(subject: Subject, folder: Path) -> tuple[Any, float, int]:
    """The content that two undisturbed runs leave, the seconds of the second and the steps of a third."""
    contents, begun = [], 0.0
    for i in range(2):  # the first run reads from the disk
        place = folder / f"undisturbed{i}"
        subject.prepare(place)
        begun = time.monotonic()
        finish(subject, place)
        contents.append(subject.content(place))
    seconds = time.monotonic() - begun
    assert contents[0] == contents[1], "two undisturbed runs differ"
    place, count = folder / "counted", folder / "steps"
    subject.prepare(place)

    def counted() -> None:
        with _steps(place, sys.maxsize) as done:
            subject.run(place)
        count.write_text(str(done[0]))

    assert fork(counted, folder / "errors").code == 0
    return contents[0], seconds, int(count.read_text())


def _killed(subject: Subject, place: Path, step: int | None, after: float | None) -> bool:
    """Run, to be killed before a step or after some seconds; False if it ended before."""

    def run() -> None:
        with _steps(place, step):
            subject.run(place)

    ended = fork(run, place.parent / "errors", after)
    return ended.code == -signal.SIGKILL


@contextmanager
def _steps(place: Path, last: int | None) -> Iterator[list[int]]:
    """Count the steps; die before the `last`."""
    done = [0]
    if last is None:
        yield done
        return
    home = str(place)

    def step(*_: Any) -> None:
        done[0] += 1
        if done[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            changes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        elif event in _CHANGES:
            path, changes = arguments[0], True
        else:
            return
        if changes and not isinstance(path, int) and home in os.fsdecode(path):
            step()

    sys.addaudithook(hook)
    with _statements(step):
        yield done


@contextmanager
def _statements(step: Callable[..., None]) -> Iterator[None]:
    """Call `step` before each statement that a library executes."""
    from musiczoo.library import sqlite

    def traced(uri: str) -> Any:
        opened = original(uri)
        opened.set_trace_callback(step)
        return opened

    original = sqlite._open
    sqlite._open = traced
    try:
        yield
    finally:
        sqlite._open = original
