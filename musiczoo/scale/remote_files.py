"""Files by path or by URL of an object store. Needs the extra [parquet].

Conventions
-----------
- The *full name* of a local file is its absolute path, however it was given (``~``, relative, ``file://``); of other
  files, it is the URL. fsspec opens URLs and finds their credentials.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from .. import _paths
from ..errors import AudioError, AudioNotFoundError, InputError, MissingDependencyError

try:
    import fsspec
    from fsspec.implementations.local import LocalFileSystem
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "Indexing into Parquet needs fsspec, which is not installed. Install it with: pip install 'musiczoo[parquet]'"
    ) from error


PARTIAL = ".partial"
"""Ending of the names of incomplete files."""


def system(place: str | os.PathLike[str]) -> tuple[Any, str]:
    """Return the fsspec file system of a path or URL, and the path in it.

    Raises:
        InputError: If fsspec does not know the protocol of the URL, or lacks a package for it.
    """
    text = os.fspath(place)
    if "://" not in text:
        return LocalFileSystem(), str(_paths.absolute(_paths.expanded(text)))
    try:
        fs, path = fsspec.core.url_to_fs(text)
    except (ValueError, ImportError) as error:
        raise InputError(f"Cannot open the URL {text!r}: {error}") from error
    return fs, path


def is_local(fs: Any) -> bool:
    """Return whether a file system is that of this machine."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def absolute(place: str | os.PathLike[str]) -> str:
    """Return the full name of a path or URL."""
    return full_name(*system(place))


def full_name(fs: Any, path: str) -> str:
    """Return the full name of a path in a file system."""
    return str(_paths.absolute(path)) if is_local(fs) else str(fs.unstrip_protocol(path))


def files(place: str | os.PathLike[str]) -> list[str]:
    """Return the full names of all files in a folder, or of the file itself, sorted.

    Raises:
        InputError: If there is no such file or folder.
    """
    fs, path = system(place)
    if fs.isfile(path):
        return [full_name(fs, path)]
    if not fs.isdir(path):
        raise InputError(f"No such file or folder: {os.fspath(place)}")
    return sorted(full_name(fs, found) for found in fs.find(path))


def write(fs: Any, path: str, content: bytes) -> None:
    """Write a file, which appears under its name when it is complete."""
    fs.makedirs(fs._parent(path), exist_ok=True)
    partial = f"{path}.{uuid.uuid4().hex}{PARTIAL}"
    with fs.open(partial, "wb") as file:
        file.write(content)
    fs.mv(partial, path)


@contextmanager
def on_disk(name: str) -> Iterator[tuple[str, int | None]]:
    """Provide a file on the local disk: the file itself, or a copy that is deleted afterwards.

    Yields:
        Local path, and for a copy the time of modification of the original in nanoseconds (0 if its store has none);
        None if it is the file itself.

    Raises:
        AudioNotFoundError: If the file does not exist.
        AudioError: If it cannot be fetched.
    """
    fs, path = system(name)
    if is_local(fs):
        yield path, None
        return
    with TemporaryDirectory(prefix="musiczoo-") as folder:
        copy = Path(folder) / f"audio{PurePosixPath(path).suffix}"
        try:
            fs.get_file(path, str(copy))
            mtime_ns = _modified_ns(fs, path)
        except FileNotFoundError as error:
            raise AudioNotFoundError(f"No such file: {name}") from error
        except OSError as error:
            raise AudioError(f"Cannot fetch {name}: {error}. Try again.") from error
        yield str(copy), mtime_ns


def _modified_ns(fs: Any, path: str) -> int:
    try:
        return int(fs.modified(path).timestamp() * 1e6) * 1000  # a float holds no nanoseconds
    except (NotImplementedError, KeyError):
        return 0
