"""Metadata of audio files: titles, names, genre, year and MusicBrainz ids, and how names are compared.

Conventions
-----------
- The package mutagen reads them (the extra ``musiczoo[library]``). Where it finds nothing, FFmpeg is tried (the extra
  ``musiczoo[av]``), which reads the metadata of WAV (LIST INFO), mka, webm, flv, caf and au. Without both packages,
  there are none.
- Several values of a field are joined by "; ". If a file names several artists, they are kept as a list, too: from a
  field of several values, or from the field ``ARTISTS`` that taggers write beside ``A feat. B``.
- MusicBrainz ids (MBIDs) and ISRCs are read from the fields that MusicBrainz Picard writes. An MBID is kept in lower
  case, an ISRC in upper case without hyphens. Values that are neither are ignored.
- A year is from 1000 to the next year, in the usual spellings of a date: 2001, 2001-05-03, 2001/05, 03.05.2001,
  May 2001, 20010503 or 03052001. Other dates are ignored.
- A file whose metadata cannot be read has none. That is not a failure: it may be decoded all the same.
- Names are compared in Unicode's NFC, case folded, with single spaces: macOS writes ``ö`` as ``o`` and two dots, and
  taggers disagree about ``Of`` and ``of``.
- Artists in one field are separated by ``;``, as written here and by taggers. A comma, a slash or an ampersand is part
  of a name: ``Crosby, Stills & Nash`` and ``AC/DC`` are one artist each.
"""

import re
import struct
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ..audio import ffmpeg

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
    "track_number": ("tracknumber", "TRCK", "trkn", "WM/TrackNumber", "track"),
    "recording_mbid": (
        *("musicbrainz_trackid", "UFID:http://musicbrainz.org", "----:com.apple.iTunes:MusicBrainz Track Id"),
        "MusicBrainz/Track Id",
    ),
    **{
        name: (f"musicbrainz_{short}", *(f"{kind}{long}" for kind in ("TXXX:", "----:com.apple.iTunes:")), asf)
        for name, short, long, asf in (
            ("release_mbid", "albumid", "MusicBrainz Album Id", "MusicBrainz/Album Id"),
            ("artist_mbids", "artistid", "MusicBrainz Artist Id", "MusicBrainz/Artist Id"),
            ("album_artist_mbids", "albumartistid", "MusicBrainz Album Artist Id", "MusicBrainz/Album Artist Id"),
        )
    },
    "isrcs": ("isrc", "TSRC", "----:com.apple.iTunes:ISRC", "WM/ISRC"),
}
"""Field -> its names in Vorbis comments, APEv2 and FFmpeg (in any case), ID3 frames, MP4 atoms and ASF."""

_MALFORMED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError, OSError),
    *(RuntimeError, TypeError, ValueError, struct.error),
)
"""Exceptions that mutagen raises for broken files, besides its own."""

_FIRST_YEAR = 1000
_MAX_DATE = 100
"""Characters of a date that are searched for a year."""
_DATE = re.compile(r"(?<!\d)(?:\d{14}|\d{8}|\d{4})(?!\d)", re.ASCII)


_NUMBER = re.compile(r"\(?\s*(\d{1,5})(?!\d)", re.ASCII)
"""The track number in ``3``, ``03/12`` and MP4's ``(3, 12)``."""
_MBID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}", re.ASCII)


class Metadata(NamedTuple):
    """The metadata of a file; None, or empty, where it has none. `records.Entry` documents the fields."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    genre: str | None = None
    year: int | None = None
    album_artist: str | None = None
    artists: tuple[str, ...] = ()
    track_number: int | None = None
    recording_mbid: str | None = None
    release_mbid: str | None = None
    artist_mbids: tuple[str, ...] = ()
    album_artist_mbids: tuple[str, ...] = ()
    isrcs: tuple[str, ...] = ()


def normalize_name(name: str) -> str:
    """Return a name in the form in which names are compared."""
    normal = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return " ".join(normal.split())


def split_names(text: str | None, several: Iterable[str] = ()) -> list[str]:
    """Return each name in a field, without repetition: those of `several`, and the parts of `text`."""
    parts = [*several, *(part.strip() for part in (text or "").split(";"))]
    return list(dict.fromkeys(part for part in parts if part))


def is_named(text: str | None, lines: str | None, name: str) -> bool:
    """Return whether a field, one of its parts, or one of its lines is a name."""
    wanted = normalize_name(name)
    if not wanted:
        return False
    return any(normalize_name(known) == wanted for known in (text or "", *split_names(text, (lines or "").split("\n"))))


def available() -> bool:
    """Return whether mutagen is installed, so that metadata of most formats can be read."""
    try:
        return find_spec("mutagen") is not None
    except ValueError:  # sys.modules has None for it
        return False


def read(path: str) -> Metadata:
    """Return the metadata of a file."""
    return _with_mutagen(path) or _with_ffmpeg(path) or Metadata()


def year_of(text: str) -> int | None:
    """Return the year of a date in any usual spelling; None if there is none from 1000 to the next year."""
    for digits in _DATE.findall(text[:_MAX_DATE]):
        for year, month, day in _readings(digits):
            if _FIRST_YEAR <= year <= date.today().year + 1 and 1 <= month <= 12 and 1 <= day <= 31:
                return year
    return None


def mbids_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the MusicBrainz ids in texts, in lower case and without repetition; a text may hold several."""
    parts = (part for text in texts for part in re.split(r"[;,/\s]+", text.lower()))
    return tuple(dict.fromkeys(part for part in parts if _MBID.fullmatch(part)))


def isrcs_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the ISRCs in texts, as 12 characters and without repetition; a text may hold several."""
    parts = (part.replace("-", "").strip() for text in texts for part in re.split(r"[;,/]", text.upper()))
    return tuple(dict.fromkeys(part for part in parts if _ISRC.fullmatch(part)))


def _readings(digits: str) -> list[tuple[int, int, int]]:
    """Return the (year, month, day) that 4, 8 or 14 digits may mean."""
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
    """Return the metadata in the fields of a file, or None if there are none."""
    values = {field: _first(tags, names) for field, names in _FIELDS.items()}
    artist = "; ".join(values["artist"] or values["artists"])
    artists = values["artists"] or split_names(artist)
    found = Metadata(
        title=_joined(values["title"]),
        artist=artist or None,
        album=_joined(values["album"]),
        genre=_joined(values["genre"]),
        year=year_of(" ".join(values["date"])),
        album_artist=_joined(values["album_artist"]),
        artists=tuple(artists) if artists != [artist] else (),
        track_number=_number(values["track_number"]),
        recording_mbid=next(iter(mbids_of(values["recording_mbid"])), None),
        release_mbid=next(iter(mbids_of(values["release_mbid"])), None),
        artist_mbids=mbids_of(values["artist_mbids"]),
        album_artist_mbids=mbids_of(values["album_artist_mbids"]),
        isrcs=isrcs_of(values["isrcs"]),
    )
    return found if any(found) else None


def _joined(values: list[str]) -> str | None:
    return "; ".join(values) or None


def _number(values: list[str]) -> int | None:
    """Return the positive number that the first value begins with."""
    found = _NUMBER.match(values[0]) if values else None
    return int(found[1]) or None if found else None


def _first(tags: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Return the values of the first field that has any."""
    for name in names:
        try:
            value = tags[name]
        except (KeyError, ValueError):  # ValueError: a name that this format does not allow
            continue
        value = getattr(value, "data", value)  # ID3's UFID
        values = getattr(value, "genres", None) or getattr(value, "text", value)
        texts = [_text(part) for part in (values if isinstance(values, list | tuple) else [values])]
        if found := [part.strip() for text in texts for part in text.split("\0") if part.strip()]:
            return found
    return []


def _text(value: Any) -> str:
    """Return a value as text; MP4's free-form atoms are bytes, and APEv2 separates values by zeros."""
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
