"""Playlists: M3U8, which every player reads.

Conventions
-----------
- UTF-8; a name that is no UTF-8 keeps its bytes.
- Paths are relative to the playlist, so that both can move together; on another drive they are absolute.
"""

import os
from collections.abc import Iterable
from contextlib import suppress

from .._paths import absolute
from ..errors import InputError


def write(file: str | os.PathLike[str], songs: Iterable[tuple[str, str | None]]) -> list[str]:
    """Write a playlist, whole or not at all.

    Args:
        file: Where; what is there is replaced.
        songs: Absolute path and title of each (None: players show the name of the file).

    Returns:
        The paths that were left out: a name with a line break cannot be in a playlist.

    Raises:
        InputError: If nothing can be written there.
    """
    target = absolute(file)
    # Where "..", which the system resolves, leads to: the folder may be a link.
    folder = os.path.realpath(target.parent)
    lines, left_out = ["#EXTM3U"], []
    for path, title in songs:
        if {"\n", "\r"} & set(path):
            left_out.append(path)
            continue
        if title:
            lines.append(f"#EXTINF:-1,{' '.join(title.split())}")
        lines.append(_relative(path, folder))
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
        os.replace(partial, target)
    except OSError as error:
        raise InputError(f"Expected a playlist that can be written, received {target}: {error.strerror}.") from error
    finally:
        with suppress(OSError):  # there is none, unless the disk was full
            partial.unlink()
    return left_out


def _relative(path: str, folder: str) -> str:
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return path
    return os.path.join(os.curdir, relative) if relative.startswith("#") else relative
