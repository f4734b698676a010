"""Analysis of one file, in this process or in an isolated one that survives decoders that crash.

Conventions
-----------
- The record of a file depends only on its bytes, its metadata and the model, wherever the file is analyzed.
- A worker process exchanges pickles with its parent over two pipes: paths in, records out. It is started, not forked,
  so it works for parents that are daemons or have threads.
- A file whose worker dies is tried once more in a new worker: the first death may have had another cause, such as a
  process that took all memory. If the second worker dies, too, the file becomes a `Failure`.
- Errors of musiczoo and of the system become failures. Any other exception ends the worker with a traceback on standard
  error, which counts as a death.
"""

import dataclasses
import hashlib
import os
import pickle
import platform
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from .._paths import absolute
from ..errors import AudioError, LibraryError, ModelFileError, MusicZooError
from ..model import Model, load
from ..registry import find
from . import metadata
from .fingerprint import fingerprint
from .records import Entry, Failure, LibraryConfig
from .scan import FoundFile

HASH_BYTES = 16
"""Bytes of the blake2b hash of a file's contents."""

TRIES = 2
"""Worker processes that one file may crash."""

TIMEOUT_S = 900.0
"""Seconds after which a file is given up: its decoder hangs."""

AnalyzeFile = Callable[[Model, LibraryConfig, str], Entry | Failure]
"""Analyzes the file of a path: see `analyze_path`."""

FILE_ERRORS = (MusicZooError, OSError, MemoryError)
"""Exceptions that mean that a file cannot be analyzed."""


class DecoderDied(AudioError):
    """A file that crashed the processes that decoded it."""


class DecoderHung(AudioError):
    """A file that was not decoded within `TIMEOUT_S`."""


# === One file ===


def content_hash(path: str | os.PathLike[str]) -> str:
    """Return the hex digest of all bytes of a file.

    Raises:
        OSError: If it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=HASH_BYTES)).hexdigest()


def analyze_file(model: Model, config: LibraryConfig, file: FoundFile, digest: str) -> Entry:
    """Analyze a file.

    Args:
        model: The model.
        config: The library's configuration: how many excerpts to analyze.
        file: The file.
        digest: Its `content_hash`.

    Raises:
        AudioError: If it cannot be decoded.
        AudioNotFoundError: If it is gone.
        MissingDependencyError: If decoding it needs ``musiczoo[av]``.
        OSError: If it cannot be read.
    """
    track = model.analyze(file.path, excerpts=config.excerpts, hop=config.hop_s)
    tags = metadata.read(file.path)
    return Entry(
        path=file.path,
        size=file.size,
        mtime_ns=file.mtime_ns,
        hash=digest,
        duration_s=track.duration_s,
        excerpts=len(track.times),
        embedding=track.embedding,
        tags=track.tags.probabilities,
        warnings=tuple(_without(file.path, warning) for warning in track.warnings),
        fingerprint=fingerprint(track.times, track.embeddings),
        **tags._asdict(),
    )


def analyze_path(model: Model, config: LibraryConfig, path: str) -> Entry | Failure:
    """Analyze the file of a path as it is now, and return its record."""
    try:
        file = stat_file(path)
        entry = analyze_file(model, config, file, content_hash(path))
        check_unchanged(file)
    except FILE_ERRORS as error:
        return failure_at(path, error)
    return entry


def stat_file(path: str) -> FoundFile:
    """Return a file as it is now.

    Raises:
        OSError: If it is gone or cannot be reached.
    """
    return FoundFile.of(path, os.stat(path))


def check_unchanged(file: FoundFile) -> None:
    """Refuse a file that was written to while it was read.

    Raises:
        AudioError: If its size or its time of modification has changed.
        OSError: If it is gone.
    """
    if stat_file(file.path) != file:
        raise AudioError(f"{file.path} changed while it was read. Index again when it is complete.")


def failure_of(file: FoundFile, error: BaseException) -> Failure:
    """Return the failure of a file."""
    reason = str(error)
    if not isinstance(error, MusicZooError):
        cause = getattr(error, "strerror", None) or reason or type(error).__name__
        reason = f"Cannot read {file.path}: {cause}."
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Failure(file.path, file.size, file.mtime_ns, type(error).__name__, reason, now)


def failure_at(path: str, error: BaseException) -> Failure:
    """Return the failure of a file as it is now; of 0 bytes if it is gone, or in an object store."""
    try:
        file = stat_file(path)
    except (OSError, ValueError):
        file = FoundFile(path, 0, 0)
    return failure_of(file, error)


def _without(path: str, message: str) -> str:
    """Return a message without the path, which the record has: the file may be moved, or be a temporary copy."""
    return message.removeprefix(f"{path}: ").replace(repr(path), "the file").replace(path, "the file")


# === Worker processes ===


@dataclass(frozen=True)
class Job:
    """What a worker process does.

    Attributes:
        model: Name or folder of the model, on the machine that runs the worker.
        config: The configuration of the library: the model must have this version and space.
        analyze: Analyzes one file. It is pickled by name, so it must be a function of a module.
        timeout_s: Seconds after which a file is given up.
    """

    model: str
    config: LibraryConfig
    analyze: AnalyzeFile = analyze_path
    timeout_s: float = TIMEOUT_S

    @classmethod
    def of(cls, model: object, config: LibraryConfig, version: str) -> "Job | None":
        """Return the job of a library on this machine.

        Args:
            model: Name or folder of the model. A loaded model cannot be passed to another process: None is returned.
            config: The configuration of the library.
            version: Version of the model, which may be newer than the library's, as long as the space is the same.
        """
        if not isinstance(model, str | os.PathLike):
            return None
        return cls(str(absolute(find(model))), dataclasses.replace(config, version=version))


class Worker:
    """A process that analyzes files, restarted when it dies. Use it in a ``with`` statement."""

    def __init__(self, job: Job) -> None:
        """Start the process.

        Raises:
            MusicZooError: If the process cannot load the model.
            LibraryError: If it dies while it starts.
        """
        self._job = job
        self._process = _start(job)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        _stop(self._process)

    def analyze(self, path: str) -> Entry | Failure:
        """Analyze a file, and return its record."""
        for _ in range(TRIES):
            if self._process.poll() is not None:
                self._process = _start(self._job)
            record = self._try(path)
            if record is not None:
                return record
        death = _death(self._process)
        error = DecoderDied(f"Cannot decode {path}: the decoder crashed {TRIES} times, last {death}. Remove the file.")
        return failure_at(path, error)

    def _try(self, path: str) -> Entry | Failure | None:
        """Return the worker's record of a file, or None if the worker died."""
        process, late = self._process, threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._job.timeout_s, give_up)
        timer.start()
        try:
            _send(process.stdin, path)
            record: Entry | Failure = pickle.load(_pipe(process.stdout))
            return record
        except (OSError, EOFError, pickle.UnpicklingError):
            _stop(process)
        finally:
            timer.cancel()
        if late.is_set():
            error = DecoderHung(
                f"Cannot decode {path}: the decoder did not finish within {self._job.timeout_s:g} s. Remove the file."
            )
            return failure_at(path, error)
        return None


def serve() -> None:
    """Run the worker process: load the model, send None or the error, then answer each path with its record."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # decoders print: keep that out of the answers
    warnings.simplefilter("ignore", UserWarning)
    # When memory runs short, Linux shall end this process, not its parent.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    job: Job = pickle.load(requests)
    try:
        model = _load(job)
    except MusicZooError as error:
        _send(answers, error)
        return
    _send(answers, None)
    # The parent closes the pipe when it is done, or when it dies.
    with suppress(EOFError, BrokenPipeError):
        while True:
            _send(answers, job.analyze(model, job.config, pickle.load(requests)))


def _load(job: Job) -> Model:
    model = load(job.model, threads=1)  # one worker a core
    job.config.check(f"Model {job.model!r} on {platform.node()}", model.card.space_id)
    if model.card.version != job.config.version:
        raise ModelFileError(
            f"Expected version {job.config.version} of the model {job.model!r}, as on the client, got "
            f"{model.card.version} on {platform.node()}. Install the same musiczoo and models on all machines."
        )
    return model


def _start(job: Job) -> subprocess.Popen[bytes]:
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
    # In a session of its own: Ctrl-C in the parent's terminal is for the parent to handle.
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        _send(process.stdin, job)
        error = pickle.load(_pipe(process.stdout))
    except (OSError, EOFError, pickle.UnpicklingError) as problem:
        _stop(process)
        raise LibraryError(
            f"The worker process for the model {job.model!r} died {_death(process)} when it started. See its standard "
            "error."
        ) from problem
    if error is not None:
        _stop(process)
        raise error
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # data not sent yet
            _pipe(pipe).close()
    process.wait()


def _send(pipe: IO[bytes] | None, value: object) -> None:
    pickle.dump(value, _pipe(pipe))
    _pipe(pipe).flush()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # for the type checker: both are pipes
    return pipe


def _death(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code is not None and code < 0:
        return f"of {signal.Signals(-code).name}"
    return f"with exit code {code}"
