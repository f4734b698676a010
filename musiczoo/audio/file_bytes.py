"""A file's bytes by position, read a piece at a time."""

import io

_PIECE = 1 << 18
"""Bytes read at a time."""


class FileBytes:
    """A file's bytes by position, read a piece at a time.

    A mapping into memory would be simpler; but where the file is cut meanwhile, reading that kills the process.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        self._piece, self._start, self._stop = b"", 0, 0

    def __getitem__(self, part: slice) -> bytes:
        if part.start < self._start or part.stop > self._stop:
            self._read(part.start)
        return self._piece[part.start - self._start : part.stop - self._start]

    def word(self, at: int) -> int:
        """The four bytes from a position on as a number."""
        return int.from_bytes(self[at : at + 4], "big")

    def find(self, wanted: bytes, start: int) -> int:
        """The first position of some bytes from `start` on, or -1."""
        while start <= self.size - len(wanted):
            if not self._start <= start <= self._stop - len(wanted):
                self._read(start)
            at = self._piece.find(wanted, start - self._start)
            if at >= 0:
                return self._start + at
            start = self._stop - len(wanted) + 1
        return -1

    def _read(self, start: int) -> None:
        self._file.seek(start)
        self._piece = self._file.read(_PIECE)
        self._start, self._stop = start, start + len(self._piece)
        if len(self._piece) < _PIECE:
            self.size = min(self.size, self._stop)
