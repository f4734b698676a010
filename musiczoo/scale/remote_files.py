"""Local paths and URLs of object stores as one kind of name. Needs the extra [parquet].

Conventions
-----------
- A local file is named by its absolute path, whichever way it was given (``~``, relative, ``file://``); everything
  else by its URL. What a URL means and where its credentials come from is fsspec's matter.
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


def system(place: str | os.PathLike[str]) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path in it.

    Raises:
        InputError: If it is the URL of a protocol that fsspec does not know or lacks a package for.
    """
    text = os.fspath(place)
    if "://" not in text:
        return LocalFileSystem(), str(_paths.absolute(_paths.expanded(text)))
    try:
        fs, path = fsspec.core.url_to_fs(text)
    except (ValueError, ImportError) as error:
        raise InputError(f"Expected a path, or a URL that fsspec opens, received {text!r}: {error}") from error
    return fs, path


def is_local(fs: Any) -> bool:
    """Whether a file system is this machine's own."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def absolute(place: str | os.PathLike[str]) -> str:
    """The one name of a place: see Conventions."""
    return full_name(*system(place))


def full_name(fs: Any, path: str) -> str:
    """The one name of a path in a file system."""
    return str(_paths.absolute(path)) if is_local(fs) else str(fs.unstrip_protocol(path))


def files(place: str | os.PathLike[str]) -> list[str]:
    """Full names of all files in a folder, or of the file itself, sorted.

    Raises:
        InputError: If there is nothing.
    """
    fs, path = system(place)
    if fs.isfile(path):
        return [full_name(fs, path)]
    if not fs.isdir(path):
        raise InputError(f"Expected a file or a folder at {os.fspath(place)}, received a path with nothing there.")
    return sorted(full_name(fs, found) for found in fs.find(path))


def write(fs: Any, path: str, content: bytes) -> None:
    """Write a file that appears under its name when it is whole."""
    fs.makedirs(fs._parent(path), exist_ok=True)
    partial = f"{path}.{uuid.uuid4().hex}{PARTIAL}"
    with fs.open(partial, "wb") as file:
        file.write(content)
    fs.mv(partial, path)


PARTIAL = ".partial"
"""How the names of files end that are not whole yet."""


@contextmanager
def on_disk(name: str) -> Iterator[tuple[str, int | None]]:
    """A file as one on this machine's disk: itself, or a copy that is deleted afterwards.

    Yields:
        Its local path, and the time of modification of the original in nanoseconds (0 if its store does not tell);
        None if it is the original.

    Raises:
        AudioNotFoundError: If there is none.
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
            raise AudioNotFoundError(f"Expected an audio file at {name}, received nothing.") from error
        except OSError as error:
            raise AudioError(f"{name}: expected a file that can be fetched, received {error}. Try again.") from error
        yield str(copy), mtime_ns


def _modified_ns(fs: Any, path: str) -> int:
    try:
        return int(fs.modified(path).timestamp() * 1e6) * 1000  # a float holds no nanoseconds
    except (NotImplementedError, KeyError):
        return 0
