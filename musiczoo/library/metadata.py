"""What a file says of itself: title, artist, album, genre and year, through the package mutagen.

Conventions
-----------
- Several values of a field are joined by "; ". A year is four digits of its date (eight are year, month and day).
- A file whose metadata cannot be read has none: that is no failure, since it may be heard all the same.
- Without mutagen (the extra ``musiczoo[library]``) there are none.
"""

import re
import struct
from typing import Any, NamedTuple

_FIELDS = {
    "title": ("title", "TIT2"),
    "artist": ("artist", "TPE1", "Author"),
    "album": ("album", "TALB", "WM/AlbumTitle"),
    "genre": ("genre", "TCON", "WM/Genre"),
    "date": ("date", "TDRC", "TYER", "WM/Year", "year"),
}
"""Field -> its names: mutagen's easy ones (also Vorbis comments and APEv2), ID3 frames, ASF."""

_MALFORMED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError, OSError),
    *(RuntimeError, TypeError, ValueError, struct.error),
)
"""What mutagen raises at broken files beside its own errors."""


class Metadata(NamedTuple):
    """What a file says of itself; None where it says nothing."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    genre: str | None = None
    year: int | None = None


def available() -> bool:
    """Whether metadata can be read: whether mutagen is installed."""
    try:
        import mutagen  # noqa: F401
    except ImportError:
        return False
    return True


def read(path: str) -> Metadata:
    """The metadata of a file."""
    try:
        import mutagen
    except ImportError:
        return Metadata()
    try:
        tags = mutagen.File(path, easy=True)
        if not tags:
            return Metadata()
        title, artist, album, genre, date = (_first(tags, names) for names in _FIELDS.values())
    except (mutagen.MutagenError, *_MALFORMED):
        return Metadata()
    digits = re.search(r"(?<!\d)(\d{4})(\d{4})?(?!\d)", date or "", re.ASCII)
    return Metadata(title, artist, album, genre, int(digits[1]) if digits else None)


def _first(tags: Any, names: tuple[str, ...]) -> str | None:
    """The first of the fields that says something."""
    for name in names:
        try:
            value = tags[name]
        except (KeyError, ValueError):  # ValueError: a name that this kind of tags cannot have
            continue
        values = getattr(value, "genres", None) or getattr(value, "text", value)
        parts = [str(part).strip() for part in (values if isinstance(values, list | tuple) else [values])]
        if text := "; ".join(part for part in parts if part):
            return text
    return None
