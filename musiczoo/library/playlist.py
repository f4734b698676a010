"""Write playlists in the format M3U8, which all players read.

Conventions
-----------
- The encoding is UTF-8; a name that is not UTF-8 keeps its bytes.
- Paths are relative to the playlist, so that both can be moved together; on another drive they are absolute.
"""

import os
from collections.abc import Iterable

from .._files import atomic_file
from .._paths import absolute
from ..errors import InputError


def write(file: str | os.PathLike[str], songs: Iterable[tuple[str, str | None]]) -> list[str]:
    """Write a playlist, wholly or not at all.

    Args:
        file: The playlist's file, which is replaced if it exists.
        songs: Absolute path and title of each track (None: players show the file's name).

    Returns:
        The paths left out: a name with a line break cannot be in a playlist.

    Raises:
        InputError: If the playlist's folder does not exist.
        WriteError: If the playlist cannot be written.
    """
    target = absolute(file)
    if not target.parent.is_dir():
        raise InputError(f"No such folder: {str(target.parent)!r}. Create it, or choose another.")
    # As the system resolves "..": the folder may be a link.
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
