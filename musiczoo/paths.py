"""Paths as people write them and as systems hold them.

Conventions
-----------
- To the system, a name is bytes. In Python it is a `str`: what the locale's encoding cannot decode are lone
  surrogates (`os.fsdecode`), as all of a name with accents is under ``LC_ALL=C``.
- Nothing here depends on the locale: the same bytes are the same text everywhere.
"""

import os
import re
from pathlib import Path

from .errors import InputError

AnyPath = str | os.PathLike[str]

_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that stand for no byte."""


def expanded(path: AnyPath) -> Path:
    """A path with the user's home in the place of ``~``; unchanged if the user has no home, as in some containers."""
    return Path(os.path.expanduser(path))


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


def as_text(name: str) -> str:
    """A name as text that any encoding of Unicode can hold: a replacement character for each byte that is not UTF-8."""
    return to_bytes(name).decode("utf-8", "replace")


def to_bytes(name: str) -> bytes:
    """The bytes of a name in UTF-8; those that are not UTF-8 are kept."""
    return _HALVES.sub("\ufffd", name).encode("utf-8", "surrogateescape")
