"""A process that listens to songs for another: a file that kills it costs itself alone.

Conventions
-----------
- Parent and child exchange pickles over two pipes: paths one way, rows the other. The child starts with nothing of
  its parent's state (no fork), so it works inside workers that are daemons or have threads.
- A song whose child dies is tried once more in a new one: the first death may have been somebody else's doing, such
  as a neighbour that took all memory. If that one dies too, the song becomes a `Failure`.
- Errors made on purpose become failures. Any other exception ends the child with a traceback on stderr, and so
  counts as a death.
"""

import dataclasses
import os
import pickle
import platform
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from .._paths import absolute
from ..errors import AudioError, LibraryError, ModelFileError, MusicZooError
from ..registry import find
from .hearing import Hear, failure_at, hear_path
from .records import Entry, Facts, Failure

TRIES = 2
"""Processes that a song may cost."""

SECONDS_A_SONG = 900.0
"""After so long a song is given up: its decoder hangs."""


class DecoderDied(AudioError):
    """A file that killed the processes that decoded it."""


class DecoderHung(AudioError):
    """A file that was still not decoded after `SECONDS_A_SONG`."""


@dataclass(frozen=True)
class Job:
    """How to listen.

    Attributes:
        model: Name or folder of the model, as the machine that runs the child knows it.
        facts: What the numbers will mean: the model must be of this version and space.
        hear: Listens to one file. It is pickled by its name, so it is a function of a module.
        seconds: After so long a song is given up.
    """

    model: str
    facts: Facts
    hear: Hear = hear_path
    seconds: float = SECONDS_A_SONG

    @classmethod
    def of(cls, model: object, facts: Facts, version: str) -> "Job | None":
        """How to listen on this machine as a library does that goes on with this version of its model.

        Args:
            model: Name or folder of the model. One that is loaded already has neither, and cannot go elsewhere: None.
            facts: Of the library.
            version: Of the model; it may have changed, as long as its space has not.
        """
        if not isinstance(model, str | os.PathLike):
            return None
        return cls(str(absolute(find(model))), dataclasses.replace(facts, version=version))


class Child:
    """A listening process; a new one when the last has died. Use it in a ``with`` statement."""

    def __init__(self, job: Job) -> None:
        """Start the first process.

        Raises:
            MusicZooError: What the child met when it loaded the model.
            LibraryError: If it died of that.
        """
        self._job = job
        self._process = _start(job)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *error: object) -> None:
        _stop(self._process)

    def hear(self, path: str) -> Entry | Failure:
        """Listen to a file: its row, or why there is none."""
        for _ in range(TRIES):
            if self._process.poll() is not None:
                self._process = _start(self._job)
            row = self._ask(path)
            if row is not None:
                return row
        death = _death(self._process)
        return failure_at(path, DecoderDied(f"{path}: its decoder died {TRIES} times, last {death}. Leave it out."))

    def _ask(self, path: str) -> Entry | Failure | None:
        """The answer, or None if the child died of the question."""
        process, late = self._process, threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._job.seconds, give_up)
        timer.start()
        try:
            _send(process.stdin, path)
            answer: Entry | Failure = pickle.load(_pipe(process.stdout))
            return answer
        except (OSError, EOFError, pickle.UnpicklingError):
            _stop(process)
        finally:
            timer.cancel()
        if late.is_set():
            return failure_at(path, DecoderHung(f"{path}: not decoded after {self._job.seconds:g} s. Leave it out."))
        return None


def serve() -> None:
    """What the child does: load the model, say so (None, or the error), then answer each path with its row."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # decoders print: not into the answers
    warnings.simplefilter("ignore", UserWarning)
    # Where Linux runs short of memory, it is to take this process, not its parent.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    job: Job = pickle.load(requests)
    try:
        model = _load(job)
    except MusicZooError as error:
        _send(answers, error)
        return
    _send(answers, None)
    # The parent hangs up when it is done, or dead.
    with suppress(EOFError, BrokenPipeError):
        while True:
            _send(answers, job.hear(model, job.facts, pickle.load(requests)))


def _load(job: Job) -> Any:
    from ..model import load

    model = load(job.model, threads=1)  # one child a core
    job.facts.check(f"Model {job.model!r} on {platform.node()}", model.card.space_id)
    if model.card.version != job.facts.version:
        raise ModelFileError(
            f"Model {job.model!r} on this worker: expected version {job.facts.version}, as the client has it, received "
            f"{model.card.version}. Install the same musiczoo and models everywhere."
        )
    return model


def _start(job: Job) -> subprocess.Popen[bytes]:
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
    # In a session of its own: Ctrl-C in the parent's terminal is the parent's to handle.
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        _send(process.stdin, job)
        error = pickle.load(_pipe(process.stdout))
    except (OSError, EOFError, pickle.UnpicklingError) as problem:
        _stop(process)
        raise LibraryError(
            f"Expected a process that listens with the model {job.model!r}, received one that died "
            f"{_death(process)} when it started. Look at the standard error of the worker."
        ) from problem
    if error is not None:
        _stop(process)
        raise error
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what was not sent yet
            _pipe(pipe).close()
    process.wait()


def _send(pipe: IO[bytes] | None, value: object) -> None:
    pickle.dump(value, _pipe(pipe))
    _pipe(pipe).flush()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # for the type checker: we asked for pipes
    return pipe


def _death(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code is not None and code < 0:
        return f"of {signal.Signals(-code).name}"
    return f"with exit code {code}"
