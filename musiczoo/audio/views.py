"""Reading a file by position, and views that present parts of a file as another file."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

Span = bytes | tuple[int, int]
"""Bytes of our own, or (first byte, length) of a part of the file."""

_BUFFER = 1 << 15
"""Bytes that a view reads at a time: decoders ask for a few at a time."""

_READ = 1 << 18
"""Bytes that `FileBytes` reads at a time."""


class FileBytes:
    """The bytes of an open file by position: ``data[start:stop]``.

    Memory mapping would be simpler, but reading a mapping of a file that was truncated meanwhile kills the process.

    Attributes:
        size: Length of the file in bytes; smaller, once a read has shown that the file was truncated.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        self._content, self._start, self._stop = b"", 0, 0

    def __getitem__(self, part: slice) -> bytes:
        if part.start < self._start or part.stop > self._stop:
            self._read(part.start)
        return self._content[part.start - self._start : part.stop - self._start]

    def word(self, at: int) -> int:
        """Return the four bytes from a position as a big-endian number."""
        return int.from_bytes(self[at : at + 4], "big")

    def find(self, wanted: bytes, start: int) -> int:
        """Return the first position of some bytes from `start`, or -1."""
        while start <= self.size - len(wanted):
            if not self._start <= start <= self._stop - len(wanted):
                self._read(start)
            at = self._content.find(wanted, start - self._start)
            if at >= 0:
                return self._start + at
            start = self._stop - len(wanted) + 1
        return -1

    def _read(self, start: int) -> None:
        self._file.seek(start)
        self._content = self._file.read(_READ)
        self._start, self._stop = start, start + len(self._content)
        if len(self._content) < _READ:
            self.size = min(self.size, self._stop)


class FileView(io.RawIOBase):
    """A read-only file made of spans, one after another. Content is read on demand."""

    def __init__(self, path: Path, spans: Sequence[Span]) -> None:
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._spans = spans
        self._ends = list(accumulate(map(span_length, spans)))
        self._size = self._ends[-1] if self._ends else 0
        self._at = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the current position; less at the end, or if the file was truncated meanwhile."""
        done = 0
        while done < len(buffer) and self._at < self._size:
            i = bisect_right(self._ends, self._at)
            span, left = self._spans[i], min(self._ends[i] - self._at, len(buffer) - done)
            if isinstance(span, bytes):
                start = self._at - (self._ends[i] - len(span))
                data = span[start : start + left]
            else:
                self._file.seek(span[0] + span[1] - (self._ends[i] - self._at))
                data = self._file.read(left)
            if not data:
                break
            buffer[done : done + len(data)] = data
            done, self._at = done + len(data), self._at + len(data)
        return done

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position in the view."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def open_view(path: Path, spans: Sequence[Span]) -> io.BufferedReader:
    """Open a buffered view of a file.

    Raises:
        OSError: If the file cannot be opened.
    """
    return io.BufferedReader(FileView(path, spans), _BUFFER)


def span_length(span: Span) -> int:
    """Return the length of a span in bytes."""
    return len(span) if isinstance(span, bytes) else span[1]
