"""What a file says of itself: title, artists, album, genre and year.

Conventions
-----------
- The package mutagen reads it (the extra ``musiczoo[library]``). Where it finds nothing, FFmpeg is asked (the extra
  ``musiczoo[av]``), which knows the metadata of WAV (LIST INFO), mka, webm, flv, caf and au. Without both, there is
  none.
- Several values of a field are joined by "; ". Artists are kept by themselves, too, if a file names several: in a field
  of several values, or in the field ``ARTISTS`` that taggers write beside ``A feat. B``.
- A year is one from 1000 to the next, in the usual spellings of a date: 2001, 2001-05-03, 2001/05, 03.05.2001,
  May 2001, 20010503 or 03052001. Others are none.
- A file whose metadata cannot be read has none: that is no failure, since it may be decoded all the same.
"""

import re
import struct
from collections.abc import Mapping
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ..audio import ffmpeg
from .names import names_of

_FIELDS = {
    "title": ("title", "TIT2", "\xa9nam"),
    "artist": ("artist", "TPE1", "\xa9ART", "Author"),
    "album": ("album", "TALB", "\xa9alb", "WM/AlbumTitle"),
    "genre": ("genre", "TCON", "\xa9gen", "WM/Genre"),
    "date": ("date", "TDRC", "TYER", "\xa9day", "WM/Year", "year", "date_released", "date_recorded"),
    "album_artist": ("albumartist", "album artist", "album_artist", "TPE2", "aART", "WM/AlbumArtist"),
    "artists": (
        *("artists", "TXXX:ARTISTS", "TXXX:Artists", "TXXX:artists", "----:com.apple.iTunes:ARTISTS", "WM/ARTISTS"),
    ),
}
"""Field -> its names: Vorbis comments, APEv2 and FFmpeg (in any case), ID3 frames, MP4 atoms, ASF."""

_MALFORMED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError, OSError),
    *(RuntimeError, TypeError, ValueError, struct.error),
)
"""What mutagen raises at broken files beside its own errors."""

_FIRST_YEAR = 1000
_LONGEST = 100
"""Characters of a date that are looked at."""
_DATE = re.compile(r"(?<!\d)(?:\d{14}|\d{8}|\d{4})(?!\d)", re.ASCII)


class Metadata(NamedTuple):
    """What a file says of itself; None, or nothing, where it says nothing."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    genre: str | None = None
    year: int | None = None
    album_artist: str | None = None
    artists: tuple[str, ...] = ()


def available() -> bool:
    """Whether metadata of most formats can be read: whether mutagen is installed."""
    try:
        return find_spec("mutagen") is not None
    except ValueError:  # it is None in sys.modules
        return False


def read(path: str) -> Metadata:
    """The metadata of a file."""
    return _with_mutagen(path) or _with_ffmpeg(path) or Metadata()


def year_of(text: str) -> int | None:
    """The year of a date, as people write dates; None if there is none from 1000 to the next year."""
    for digits in _DATE.findall(text[:_LONGEST]):
        for year, month, day in _readings(digits):
            if _FIRST_YEAR <= year <= date.today().year + 1 and 1 <= month <= 12 and 1 <= day <= 31:
                return year
    return None


def _readings(digits: str) -> list[tuple[int, int, int]]:
    """Years, months and days that 4, 8 or 14 digits may mean."""
    if len(digits) == 4:
        return [(int(digits), 1, 1)]
    year_first = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    year_last = int(digits[4:8]), int(digits[2:4]), int(digits[:2])
    return [year_first, year_last] if len(digits) == 8 else [year_first]


def _with_mutagen(path: str) -> Metadata | None:
    try:
        import mutagen
    except ImportError:
        return None
    try:
        tags = mutagen.File(path)
        return _metadata(tags) if tags else None
    except (mutagen.MutagenError, *_MALFORMED):
        return None


def _with_ffmpeg(path: str) -> Metadata | None:
    try:
        return _metadata(ffmpeg.read_tags(Path(path)))
    except ImportError:
        return None


def _metadata(tags: Mapping[str, Any]) -> Metadata | None:
    """The metadata among some tags, or None if there is none."""
    values = {field: _first(tags, names) for field, names in _FIELDS.items()}
    artist = "; ".join(values["artist"] or values["artists"])
    artists = values["artists"] or names_of(artist)
    found = Metadata(
        title=_joined(values["title"]),
        artist=artist or None,
        album=_joined(values["album"]),
        genre=_joined(values["genre"]),
        year=year_of(" ".join(values["date"])),
        album_artist=_joined(values["album_artist"]),
        artists=tuple(artists) if artists != [artist] else (),
    )
    return found if any(found) else None


def _joined(values: list[str]) -> str | None:
    return "; ".join(values) or None


def _first(tags: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """The values of the first of the fields that says something."""
    for name in names:
        try:
            value = tags[name]
        except (KeyError, ValueError):  # ValueError: a name that this kind of tags cannot have
            continue
        values = getattr(value, "genres", None) or getattr(value, "text", value)
        texts = [_text(part) for part in (values if isinstance(values, list | tuple) else [values])]
        if found := [part.strip() for text in texts for part in text.split("\0") if part.strip()]:
            return found
    return []


def _text(value: Any) -> str:
    """A value as text; MP4's free-form atoms are bytes, and APEv2 has zeros between several."""
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
