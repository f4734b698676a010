"""Paths: home folders, absolute paths, temporary folders, and file names that are not valid text.

Conventions
-----------
- For the system, a name is bytes. In Python it is a `str` in which bytes that the locale's encoding cannot decode are
  lone surrogates (`os.fsdecode`), such as every accented letter under ``LC_ALL=C``.
- Nothing here depends on the locale: the same bytes give the same text everywhere.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError, WriteError

AnyPath = str | os.PathLike[str]

_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that do not encode a byte."""


def expanded(path: AnyPath) -> Path:
    """Return a path with ``~`` or ``~ann`` replaced by the home folder.

    Raises:
        InputError: If there is no such home folder, as in some containers.
    """
    found = os.path.expanduser(path)
    if found == "~" or (found.startswith("~") and Path(found).name != found):
        raise InputError(f"Cannot find the home folder in {found!r}. Write the path in full.")
    return Path(found)


def has_home() -> bool:
    """Return whether the user has a home folder: in some containers there is neither HOME nor an entry in passwd."""
    return os.path.expanduser("~") != "~"


def absolute(path: AnyPath) -> Path:
    """Return the absolute path of a file, without following links.

    Raises:
        InputError: If the path is relative and the working folder was removed.
    """
    try:
        return Path(os.path.abspath(path))
    except OSError as error:
        raise InputError(
            f"Cannot find {os.fspath(path)!r}: the working folder cannot be used ({error.strerror}). Change to another "
            "folder, or use an absolute path."
        ) from error


def resolved(path: AnyPath) -> Path:
    """Return the absolute path of a file, with all links followed. It need not exist.

    Raises:
        InputError: If the path is relative and the working folder was removed.
    """
    return Path(os.path.realpath(absolute(path)))


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Create a temporary folder that is removed when the block ends.

    Args:
        purpose: Word in its name.

    Raises:
        WriteError: If the system cannot create it.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=f"musiczoo-{purpose}-")
    except OSError as error:
        raise WriteError(
            f"Cannot create a temporary folder: {error.strerror}. Set TMPDIR to a folder with free space."
        ) from error
    with folder as name:
        yield Path(name)


def as_text(name: str) -> str:
    """Return a name as valid Unicode, with a replacement character for each byte that is not UTF-8."""
    return to_bytes(name).decode("utf-8", "replace")


def to_bytes(name: str) -> bytes:
    """Return the bytes of a name in UTF-8; bytes that are not UTF-8 are kept."""
    return _HALVES.sub("\ufffd", name).encode("utf-8", "surrogateescape")
