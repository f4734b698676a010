"""Reading and writing files: atomic writes, and safe reading of .npy, .npz and JSON.

Conventions
-----------
- A file or folder appears under its name only when it is complete. A reader, or a process that starts after a crash,
  finds the old content or the new content, never half of it.
- Files that are read may come from anyone: nothing is unpickled (arrays of objects are refused), and an archive that
  would unpack to more than `LARGEST` bytes is refused before it is unpacked.
- Reading a damaged file raises one of `UNREADABLE`. Callers turn it into an error that names the file and the next
  step.
"""

import ctypes
import io
import json
import lzma
import os
import shutil
import stat
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .errors import MusicZooError, WriteError

LARGEST = 1 << 30
"""Most bytes of all arrays of an archive together."""

PARTIAL = ".partial"
"""Ending of a file that is still being written."""

UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, SyntaxError, MemoryError),
    *(RecursionError, NotImplementedError, RuntimeError, SystemError, struct.error, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What reading a damaged file raises. numpy raises SystemError for headers whose text is not valid Unicode."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy writes."""


# === Reading ===


def read_npy(content: bytes) -> NDArray[Any]:
    """Return the array of a .npy file, given its content.

    Raises:
        Exception: One of `UNREADABLE`, if the content is not a plain array.
    """
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array


def map_npy(path: Path) -> NDArray[Any]:
    """Return the array of a .npy file, memory-mapped.

    Raises:
        Exception: One of `UNREADABLE`, if the file is not a plain array.
    """
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    return array


@contextmanager
def open_npz(path: Path) -> Iterator[Any]:
    """Open an .npz file; the block gets its arrays by name, each read on access.

    Raises:
        Exception: One of `UNREADABLE`, if numpy did not write the file, or it unpacks to more than `LARGEST` bytes.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        if size > LARGEST:
            raise ValueError(f"an archive of {size} bytes, more than {LARGEST}")
        if not all(member.compress_type in _COMPRESSIONS and _is_npy(archive, member) for member in members):
            raise ValueError("an archive that numpy did not write")
    with np.load(path, allow_pickle=False) as arrays:
        yield arrays


def _is_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Return whether a member starts like a .npy file. For other members `np.load` would return raw bytes."""
    with archive.open(member) as file:
        return file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX


def read_json(path: Path) -> Any:
    """Return the value in a JSON file (UTF-8).

    Raises:
        Exception: One of `UNREADABLE`, if the file is missing or not JSON.
    """
    return json.loads(path.read_text(encoding="utf-8"))


# === Writing ===


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears at `path` when the block ends, and not at all if the block raises.

    Missing folders are created.

    Raises:
        WriteError: If the system refuses to write, also inside the block.
    """
    partial = path.with_name(path.name + PARTIAL)
    with _write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                yield file
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write a .npy file atomically.

    Raises:
        WriteError: If the system refuses to write.
    """
    with atomic_file(path) as file:
        np.save(file, array, allow_pickle=False)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically, in UTF-8.

    Raises:
        WriteError: If the system refuses to write.
    """
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Create a folder to fill, which replaces `target` when the block ends, and is removed if the block raises.

    The folder is filled under another name, ``.NAME.partial``, and exchanged with the existing one in one system call.
    One process at a time fills a folder: another one waits. The next call removes what a dead process left behind.
    Where the system or the file system cannot exchange two folders (Windows, some network disks), two renames do it; if
    the process dies between them, the next call restores the old folder from ``.NAME.partial``.

    Raises:
        WriteError: If the system refuses to write, also inside the block.
    """
    scratch = target.with_name(f".{target.name}{PARTIAL}")
    new, old = scratch / "new", scratch / "old"
    with _write_errors(target), _locked_folder(scratch):
        try:
            if old.exists() and not target.exists():
                os.replace(old, target)
            for leftover in (new, old):
                shutil.rmtree(leftover, ignore_errors=True)
            new.mkdir()
            yield new
            if target.exists():
                _exchange(new, target, old)
            else:
                os.replace(new, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Raise the system's errors as `WriteError`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, MusicZooError):
            raise
        raise WriteError(
            f"Cannot write {str(path)!r}: {error.strerror or error}. Make room or get write permission there, then run "
            "the same again, or choose another place."
        ) from error


def _exchange(new: Path, target: Path, old: Path) -> None:
    """Put `new` in the place of `target`, whose content moves to `new` or `old`."""
    names = os.fsencode(new), os.fsencode(target)
    if sys.platform == "linux":
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        rename = getattr(ctypes.CDLL(None), "renameat2", None)
        if rename and rename(here, names[0], here, names[1], exchange) == 0:
            return
    elif sys.platform == "darwin":
        swap = 2  # RENAME_SWAP
        if ctypes.CDLL(None).renamex_np(*names, swap) == 0:
            return
    os.replace(target, old)
    os.replace(new, target)


if sys.platform == "win32":

    @contextmanager
    def _locked_folder(folder: Path) -> Iterator[None]:
        """Create the folder. Windows cannot lock folders."""
        folder.mkdir(parents=True, exist_ok=True)
        yield

else:
    import fcntl

    @contextmanager
    def _locked_folder(folder: Path) -> Iterator[None]:
        """Create the folder and lock it. The system releases the lock when the process dies."""
        while (lock := _try_lock(folder)) is None:
            pass  # its holder has ended and removed the folder
        try:
            yield
        finally:
            os.close(lock)

    def _try_lock(folder: Path) -> int | None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except FileExistsError:  # also if the folder existed for mkdir, but no longer when mkdir checked its type
            with suppress(FileNotFoundError):
                if not stat.S_ISDIR(os.lstat(folder).st_mode):
                    raise
            return None
        try:
            with suppress(OSError):  # some network disks cannot lock folders
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists() and os.path.samestat(os.fstat(lock), folder.stat()):
                return lock
        except FileNotFoundError:
            pass
        except BaseException:  # Ctrl-C while waiting
            os.close(lock)
            raise
        os.close(lock)
        return None
