"""Read and write playlists in the format M3U8, which all players read.

Conventions
-----------
- The encoding is UTF-8; a name that is not UTF-8 keeps its bytes.
- Paths are written relative to the playlist, so that both can be moved together; on another drive they are absolute.
- Lines that begin with ``#`` are comments when a playlist is read. ``file:`` addresses become paths; other addresses,
  such as those of radio stations, are kept as they are.
"""

import os
import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from .._files import atomic_file
from .._paths import AnyPath, absolute
from ..errors import AudioNotFoundError, InputError

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_LOCAL = re.compile(r"file://(localhost)?(?=/)", re.IGNORECASE)


def read(file: AnyPath) -> list[str]:
    """Read the tracks of a playlist.

    Args:
        file: An M3U or M3U8 file, in UTF-8 with or without a byte order mark; bytes that are not UTF-8 are kept.

    Returns:
        The absolute paths, in order; those of the same track may repeat. The files need not exist.

    Raises:
        AudioNotFoundError: If the playlist does not exist.
        InputError: If it cannot be read, or is not text.

    Example:
        >>> import tempfile
        >>> from musiczoo.library import playlist
        >>> file = tempfile.mkdtemp() + "/mix.m3u8"
        >>> playlist.write(file, [("/music/a.mp3", "A"), ("/music/b.mp3", None)])
        []
        >>> playlist.read(file)
        ['/music/a.mp3', '/music/b.mp3']
    """
    source = absolute(file)
    try:
        data = source.read_bytes()
    except FileNotFoundError as error:
        raise AudioNotFoundError(f"No such playlist: {str(source)!r}.") from error
    except OSError as error:
        raise InputError(f"Cannot read the playlist {str(source)!r}: {error.strerror}.") from error
    if b"\0" in data:
        raise InputError(f"{str(source)!r} is not a playlist: it is not text. Expected an M3U8 file.")
    # As the system resolves "..": the folder may be a link. That is how `write` makes paths relative.
    folder = os.path.realpath(source.parent)
    lines = (line.rstrip(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    return [_path(line, folder) for line in lines if line.strip() and not line.startswith(b"#")]


def _path(line: bytes, folder: str) -> str:
    text = line.decode("utf-8", "surrogateescape")
    if local := _LOCAL.match(text):
        text = unquote_to_bytes(line[local.end() :]).decode("utf-8", "surrogateescape")
    elif _ADDRESS.match(text):
        return text
    return os.path.normpath(os.path.join(folder, text))


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
