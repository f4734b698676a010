"""Playlists: M3U8, which every player reads.

Conventions
-----------
- UTF-8; a name that is no UTF-8 keeps its bytes.
- Paths are relative to the playlist, so that both can move together; on another drive they are absolute.
"""

import os
from collections.abc import Iterable

from .._files import atomic_file
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
        InputError: If the playlist's folder does not exist.
        WriteError: If the playlist cannot be written.
    """
    target = absolute(file)
    if not target.parent.is_dir():
        raise InputError(f"No such folder: {str(target.parent)!r}. Create it, or choose another.")
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
    with atomic_file(target) as out:
        out.write(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    return left_out


def _relative(path: str, folder: str) -> str:
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return path
    return os.path.join(os.curdir, relative) if relative.startswith("#") else relative
