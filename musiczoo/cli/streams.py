"""Standard streams that fail: a full disk, a closed pipe, an encoding without the characters.

Conventions
-----------
- Results that cannot be printed end the command, since nobody would miss them otherwise: with a `WriteError`, or
  quietly when the reader of a pipe has seen enough (``musiczoo tag *.mp3 | head -1``).
- Warnings and progress that cannot be printed are dropped: the work is worth more than what is said of it.
- A stream fails once. What is printed after that goes nowhere, so that the error's own way out is clear.
"""

import io
import os
import select
import sys
from typing import Any, TextIO

from ..errors import WriteError

CLOSED_PIPE = 128 + 13
"""Exit code when the reader of our results has gone: what a shell reports of a program that SIGPIPE ended."""


class _Stream(io.FileIO):
    """A file descriptor that fails as the conventions say."""

    def __init__(self, descriptor: int, results: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._results, self._failed = results, False

    def write(self, data: Any) -> int:
        """Write some of the bytes, and say how many."""
        size = memoryview(data).nbytes
        if self._failed:
            return size
        try:
            while (written := super().write(data)) is None:  # not ready: somebody made it non-blocking
                select.select([], [self], [])
        except OSError as error:
            self._failed = True
            if not self._results:
                return size
            if isinstance(error, BrokenPipeError):
                raise SystemExit(CLOSED_PIPE) from None
            raise WriteError(
                f"Cannot print the results: {error.strerror}. Make room, or send them to another place."
            ) from error
        return written


def prepare() -> None:
    """Make the standard streams of this process behave as the conventions say."""
    # A file that is opened later must not get the number of a closed stream: decoders print there.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = _prepared(sys.stdout, 1, results=True)
    sys.stderr = _prepared(sys.stderr, 2, results=False)


def finish() -> None:
    """Print what is still in memory.

    Raises:
        WriteError: If it cannot be printed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.flush()


def _prepared(stream: TextIO, descriptor: int, results: bool) -> TextIO:
    """The stream's replacement; what is closed (None), the console of Windows, or a test's, stays as it is."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")  # names of files are bytes, not always text
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
        return stream
    buffer = io.BufferedWriter(_Stream(descriptor, results))
    by_line = stream.line_buffering or stream.write_through  # the latter: PYTHONUNBUFFERED
    return io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=by_line)
