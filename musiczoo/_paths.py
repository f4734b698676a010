"""Paths as people write them and as systems hold them.

Conventions
-----------
- To the system, a name is bytes. In Python it is a `str`: what the locale's encoding cannot decode are lone
  surrogates (`os.fsdecode`), as all of a name with accents is under ``LC_ALL=C``.
- Nothing here depends on the locale: the same bytes are the same text everywhere.
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
"""Surrogates that stand for no byte."""


def expanded(path: AnyPath) -> Path:
    """A path with the user's home in the place of ``~``, or Ann's of ``~ann``.

    Raises:
        InputError: If there is no such home, as in some containers. Else a folder named ``~`` would be meant.
    """
    found = os.path.expanduser(path)
    if found == "~" or (found.startswith("~") and Path(found).name != found):
        raise InputError(f"Cannot find the home folder in {found!r}: there is none. Write the path in full.")
    return Path(found)


def has_home() -> bool:
    """Whether the user has a home folder: in some containers users have neither HOME nor an entry in passwd."""
    return os.path.expanduser("~") != "~"


def absolute(path: AnyPath) -> Path:
    """The absolute path of a file; links are not followed.

    Raises:
        InputError: If the path is relative and the working folder was removed.
    """
    try:
        return Path(os.path.abspath(path))
    except OSError as error:
        raise InputError(
            f"Cannot find {os.fspath(path)!r}: the working folder cannot be used ({error.strerror}). Change to another "
            "folder, or use absolute paths."
        ) from error


def resolved(path: AnyPath) -> Path:
    """The absolute path of a file, all links followed; it need not exist.

    Raises:
        InputError: If the path is relative and the working folder was removed.
    """
    return Path(os.path.realpath(absolute(path)))


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A temporary folder, which is removed when the block ends.

    Args:
        purpose: A word for its name.

    Raises:
        WriteError: If the system has no place for it.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=f"musiczoo-{purpose}-")
    except OSError as error:
        raise WriteError(
            f"Cannot make a temporary folder: {error.strerror}. Set TMPDIR to a folder with room."
        ) from error
    with folder as name:
        yield Path(name)


def as_text(name: str) -> str:
    """A name as text that any encoding of Unicode can hold: a replacement character for each byte that is not UTF-8."""
    return to_bytes(name).decode("utf-8", "replace")


def to_bytes(name: str) -> bytes:
    """The bytes of a name in UTF-8; those that are not UTF-8 are kept."""
    return _HALVES.sub("\ufffd", name).encode("utf-8", "surrogateescape")
