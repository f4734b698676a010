"""What all commands share: text for terminals, warnings, missing extras, standard streams and limits of the system.

Conventions
-----------
- Results that cannot be printed end the command: with a `WriteError`, or quietly when the reader of a pipe has closed
  it (``musiczoo tag *.mp3 | head -1``).
- Warnings and progress that cannot be printed are dropped; the work goes on.
- After its first error a stream discards what is written to it, so that the error message itself causes no second one.
"""

import errno
import io
import os
import re
import select
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from .._paths import as_text, has_home
from ..errors import MissingDependencyError, WriteError
from ..zoo import DEFAULT_MODEL as DEFAULT_MODEL  # the commands' default

CLOSED_PIPE = 128 + 13
"""Exit code when the reader of the results has closed the pipe: what a shell reports after SIGPIPE."""

LOG_LEVEL, LOG_ALL = "TF_CPP_MIN_LOG_LEVEL", "0"
"""Environment variable with the level below which TensorFlow prints no messages, and the level that prints all."""

MOST_LISTED = 5
"""Number of omitted tracks that a warning lists by name."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that move the cursor, rename the window or worse; line breaks and tabs are not among them."""

_ADVICE = {
    errno.EAGAIN: "Raise the limit of processes and threads: ulimit -u, or --pids-limit of a container.",
    errno.EDQUOT: "Free disk space, then run the command again.",
    errno.EFBIG: "Raise the limit of file sizes: ulimit -f.",
    errno.EIO: "A disk or its connection fails. Check it, then run the command again.",
    errno.EMFILE: "Raise the limit of open files: ulimit -n 1024.",
    errno.ENFILE: "Close other programs, then run the command again.",
    errno.ENOMEM: "Close other programs, or raise the memory limit.",
    errno.ENOSPC: "Free disk space, then run the command again.",
    errno.ESTALE: "A network disk was replaced. Mount it again, then run the command again.",
}
"""Error number of the system -> what to do."""


class _NoTypesOfFlags:
    """Help without types of flags and arguments: typer 0.29 prints ``<bool>`` and ``<list[str]>`` there."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False) and param.metavar is None:
                param.metavar = ""
            elif param.param_type_name == "argument" and hasattr(param, "display_type_rich"):
                param.display_type_rich = lambda ctx: ""
        return params


class Command(_NoTypesOfFlags, TyperCommand):
    """A command: ``app.command(cls=Command)``."""


class Group(_NoTypesOfFlags, TyperGroup):
    """A group of commands: ``typer.Typer(cls=Group)``."""


def printable(text: str) -> str:
    """Return text that is safe to print: a replacement character for each control character and undecodable byte."""
    return _CONTROLS.sub("\ufffd", as_text(text))


def names(text: str) -> list[str]:
    """Split a list of names at its commas: ``"jazz, mellow"`` -> ``["jazz", "mellow"]``."""
    return [part.strip() for part in text.split(",") if part.strip()]


def plural(noun: str, count: int) -> str:
    """Return the noun in the number that fits the count."""
    return noun if count == 1 else f"{noun}s"


def left_out(tracks: Sequence[str], where: str) -> list[str]:
    """Return warnings about tracks that were left out: the first few, and the number of the others.

    Args:
        tracks: One text each, with the track and the reason.
        where: What shows all of them, such as ``--json``.
    """
    lines = [f"left out {track}" for track in tracks[:MOST_LISTED]]
    if len(tracks) > MOST_LISTED:
        lines.append(f"left out {len(tracks) - MOST_LISTED:,} more tracks: see {where}")
    return lines


def warn(message: object) -> None:
    """Print a warning to stderr, on a line of its own."""
    typer.echo(printable(f"warning: {message}"), err=True)


@contextmanager
def show_warnings() -> Iterator[None]:
    """Collect Python warnings inside the block and print them to stderr at its end, one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        finally:
            for warning in caught:
                warn(warning.message)


@contextmanager
def training_stack(command: str) -> Iterator[None]:
    """Wrap the imports of a command that trains or exports models.

    Args:
        command: The command as the user calls it, for the error message.

    Raises:
        MissingDependencyError: If a package of the extra [train] is not installed.
    """
    if not has_home():
        os.environ.setdefault("KERAS_HOME", os.devnull)  # else Keras makes a folder named ~ in the working folder
    with extra(command, "train", " (or 'musiczoo[train-cpu]' without a GPU)"), _quiet_tensorflow():
        yield


@contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Wrap the import of TensorFlow, which logs errors only then, unless the user wants all messages.

    Some messages ignore the level (oneDNN's, which absl prints before it is initialised): the file descriptor of stderr
    is redirected during the import.
    """
    if os.environ.setdefault(LOG_LEVEL, "2") == LOG_ALL:
        yield
        return
    try:
        stderr = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@contextmanager
def extra(command: str, name: str, hint: str = "") -> Iterator[None]:
    """Wrap the imports of a command that needs an extra.

    Args:
        command: The command as the user calls it, for the error message.
        name: Name of the extra.
        hint: Text to append to the message.

    Raises:
        MissingDependencyError: If a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("musiczoo"):
            raise
        raise MissingDependencyError(
            f"{command} needs the package {error.name!r}, which is not installed. Install the extra with: "
            f"pip install 'musiczoo[{name}]'{hint}"
        ) from error


def exhausted(error: BaseException) -> str | None:
    """Return which resource of the system is exhausted and what to do; None for any other exception.

    Any call of any package may raise these errors: no space on the disk, no memory, too many open files or threads.
    Calls that know the path and the remedy raise a `MusicZooError` instead.
    """
    if isinstance(error, MemoryError):
        number = errno.ENOMEM
    elif isinstance(error, RuntimeError) and "start new thread" in str(error):  # Python gives no error number
        number = errno.EAGAIN
    elif isinstance(error, OSError) and error.errno in _ADVICE:
        number = error.errno
    else:
        return None
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    return f"{where}{os.strerror(number)}. {_ADVICE[number]}"


def limit_threads() -> None:
    """Disable numpy's threads where the system allows no new ones; otherwise its import raises KeyboardInterrupt."""
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    else:
        thread.join()


class _Stream(io.FileIO):
    """A file descriptor that handles errors as the conventions say."""

    def __init__(self, descriptor: int, results: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._results, self._failed = results, False

    def write(self, data: Any) -> int:
        """Write some of the bytes; return their number."""
        size = memoryview(data).nbytes
        if self._failed:
            return size
        try:
            while (written := super().write(data)) is None:  # the descriptor is non-blocking and not ready
                select.select([], [self], [])
        except OSError as error:
            self._failed = True
            if not self._results:
                return size
            if isinstance(error, BrokenPipeError):
                raise SystemExit(CLOSED_PIPE) from None
            raise WriteError(
                f"Cannot print the results: {error.strerror}. Free disk space, or redirect them elsewhere."
            ) from error
        return written


def prepare_streams() -> None:
    """Replace the standard streams of this process by streams that follow the conventions."""
    # A file that is opened later must not get the number of a closed stream: decoders print there.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = _prepared(sys.stdout, 1, results=True)
    sys.stderr = _prepared(sys.stderr, 2, results=False)


def flush_streams() -> None:
    """Write what the standard streams still buffer.

    Raises:
        WriteError: If the results cannot be written.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.flush()


def _prepared(stream: TextIO, descriptor: int, results: bool) -> TextIO:
    """Return the replacement of a stream; a closed stream (None), Windows' console and test streams stay."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")  # file names are bytes, not always text
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
        return stream
    buffer = io.BufferedWriter(_Stream(descriptor, results))
    by_line = stream.line_buffering or stream.write_through  # the latter: PYTHONUNBUFFERED
    return io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=by_line)
