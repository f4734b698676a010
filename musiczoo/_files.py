"""Reading numpy's files, .npy and .npz, which somebody else may have made.

Conventions
-----------
- Nothing is ever unpickled: arrays of objects are refused.
- An archive that would unpack to more than `LARGEST` bytes is refused before it is unpacked.
- Whatever numpy raises at a damaged file is among `UNREADABLE`: callers turn it into an error of their own.
"""

import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 1 << 30
"""Bytes of all arrays of an archive."""

UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, SyntaxError, MemoryError),
    *(RecursionError, NotImplementedError, RuntimeError, SystemError, struct.error, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What reading a damaged file raises; SystemError: at texts of numbers that are no characters."""

_KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npy(content: bytes) -> NDArray[Any]:
    """The array of a .npy file's contents.

    Raises:
        Exception: One of `UNREADABLE`, if it holds none.
    """
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array


def map_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file, memory-mapped.

    Raises:
        Exception: One of `UNREADABLE`, if it holds none.
    """
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    return array


@contextmanager
def open_npz(path: Path) -> Iterator[Any]:
    """The arrays of an .npz file by name, each read when it is asked for.

    Raises:
        Exception: One of `UNREADABLE`, if it is none, or too large.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        if size > LARGEST:
            raise ValueError(f"an archive of {size} bytes, more than {LARGEST}")
        if not all(member.compress_type in _KNOWN and _is_npy(archive, member) for member in members):
            raise ValueError("an archive that numpy did not write")
    with np.load(path, allow_pickle=False) as arrays:
        yield arrays


def _is_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Of anything else, numpy gives the bytes."""
    with archive.open(member) as file:
        return file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX
