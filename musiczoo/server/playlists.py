"""Playlists in one folder: list, read and save them, by name.

Conventions
-----------
- The playlist NAME is the file ``NAME.m3u8`` in the folder; a name can lead to no other folder. Links, other files and
  files of more than `LARGEST` bytes do not count as playlists.
- A playlist that is saved has paths relative to the folder; one that is sent to a client has absolute paths.
"""

import os
import re
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .._paths import to_bytes
from ..errors import InputError
from ..library import Library, playlist
from ..library.records import Entry
from .errors import RequestError

ENDING = ".m3u8"

MEDIA_TYPE = "application/vnd.apple.mpegurl"

LARGEST = 1 << 23
"""Bytes of a playlist that is read."""

_LONGEST = 200
"""Bytes of a name: most file systems take 255 with the endings."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029\ud800-\udfff]|^[. ]|[. ]$')
"""What a name cannot hold: separators of folders, what Windows refuses, and hidden files."""

_saving = threading.Lock()


def listed(folder: Path | None) -> list[dict[str, Any]]:
    """Return name and number of tracks of each playlist, by name."""
    found = []
    for file in sorted(folder.glob(f"*{ENDING}") if folder else ()):
        name = file.name.removesuffix(ENDING)
        if _is_name(name) and _is_playlist(file):
            with suppress(InputError):  # another kind of file with that ending
                found.append({"name": name, "tracks": len(playlist.read(file))})
    return found


def read(folder: Path | None, name: str, library: Library) -> tuple[list[Entry], int]:
    """Return the tracks of a playlist, and how many others of it are not in the library.

    Raises:
        RequestError: If there is no such playlist (404).
    """
    file = folder / f"{name}{ENDING}" if folder and _is_name(name) else None
    unknown = RequestError(404, "UnknownPlaylist", "There is no playlist of that name.")
    if file is None or not _is_playlist(file):
        raise unknown
    try:
        paths = playlist.read(file)
    except InputError as error:  # whose message names the file
        raise unknown from error
    found = [library.find(path) for path in paths]
    tracks = [entry for entry in found if entry is not None]
    return tracks, len(found) - len(tracks)


def save(folder: Path | None, name: str, tracks: Sequence[Entry], replace: bool) -> int:
    """Save a playlist; return the number of its tracks, without those whose names a playlist cannot hold.

    Raises:
        RequestError: If the server has no folder of playlists (403), the name cannot be that of a file (422), or there
            is such a playlist already (409); or the folder is gone (503).
        WriteError: If it cannot be written.
    """
    if folder is None:
        raise RequestError(403, "NoPlaylists", "This server saves no playlists. Start it with --playlists DIR.")
    if not folder.is_dir():
        raise RequestError(503, "NoPlaylists", "The server's folder of playlists is gone.")
    if not _is_name(name):
        raise RequestError(422, "InvalidName", f"Not a name for a file: {name!r}. Use letters, digits and spaces.")
    file = folder / f"{name}{ENDING}"
    with _saving:
        if os.path.lexists(file) and not replace:
            message = f"There is a playlist {name!r} already. Choose another name, or set replace."
            raise RequestError(409, "PlaylistExists", message)
        left_out = playlist.write(file, [(entry.path, label(entry)) for entry in tracks])
    return len(tracks) - len(left_out)


def text(tracks: Sequence[Entry]) -> bytes:
    """Return a playlist with absolute paths."""
    lines = [b"#EXTM3U"]
    for entry in tracks:
        if not {"\n", "\r"} & set(entry.path):
            lines += [
                to_bytes(f"#EXTINF:{round(entry.duration_s)},{label(entry) or Path(entry.path).stem}"),
                to_bytes(entry.path),
            ]
    return b"\n".join(lines) + b"\n"


def label(entry: Entry) -> str | None:
    """Return how a player shows a track: artist and title; None if it has no title."""
    if not entry.title:
        return None
    return " ".join(f"{entry.artist} - {entry.title}".split()) if entry.artist else " ".join(entry.title.split())


def _is_name(name: str) -> bool:
    return 0 < len(to_bytes(name)) <= _LONGEST and not _FORBIDDEN.search(name)


def _is_playlist(file: Path) -> bool:
    try:
        status = file.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST and os.access(file, os.R_OK)
