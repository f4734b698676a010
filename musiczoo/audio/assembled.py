"""A file put together from bytes of our own and parts of another file, which libsndfile reads as one."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

Piece = bytes | tuple[int, int]
"""Bytes, or first byte and length of a part of the file."""


_BUFFER = 1 << 15
"""Bytes read at a time: decoders ask for a few at a time."""


def assembled(path: Path, pieces: Sequence[Piece]) -> io.BufferedReader:
    """A view of a file: the pieces, one after another.

    Raises:
        OSError: If the file cannot be opened.
    """
    return io.BufferedReader(Assembled(path, pieces), _BUFFER)


class Assembled(io.RawIOBase):
    """A view of a file: the pieces, one after another. Nothing is read before it is asked for."""

    def __init__(self, path: Path, pieces: Sequence[Piece]) -> None:
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._pieces = pieces
        lengths = (len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces)
        self._ends = list(accumulate(lengths))
        self._size = self._ends[-1] if self._ends else 0
        self._at = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the current position; less at the end, or where the file was cut meanwhile."""
        done = 0
        while done < len(buffer) and self._at < self._size:
            i = bisect_right(self._ends, self._at)
            piece, left = self._pieces[i], min(self._ends[i] - self._at, len(buffer) - done)
            if isinstance(piece, bytes):
                start = self._at - (self._ends[i] - len(piece))
                data = piece[start : start + left]
            else:
                self._file.seek(piece[0] + piece[1] - (self._ends[i] - self._at))
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
        """The current position."""
        return self._at

    def readable(self) -> bool:
        """That it can be read."""
        return True

    def seekable(self) -> bool:
        """That positions can be sought."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
