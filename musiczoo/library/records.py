"""What a library's file holds, as Python sees it; `database` reads and writes it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._paths import as_text
from ..card import LIMITS, ModelCard, check_spaces, check_tags, check_types
from ..errors import CardError, LibraryError, SpaceMismatchError
from .connection import restored, stored


@dataclass(frozen=True, slots=True)
class Facts:
    """What the numbers of a library mean.

    Attributes:
        model: Name of the model, as `musiczoo.load` takes it.
        version: Version of its weights.
        space_id: Id of its embedding space: only embeddings of the same may be compared.
        spaces: Space -> (start, stop) columns of the embedding.
        tags: What the columns of the tags stand for.
        dimensions: Dimension -> its tags.
        thresholds: Tag -> probability from which on it is said to apply.
        normalized: Whether each space is a vector of length 1 / sqrt(number of spaces).
        excerpts: How many excerpts of each song were heard; None for all of it.
        hop_s: Seconds from one excerpt to the next where all of it was heard; None for back to back.
    """

    model: str
    version: str
    space_id: str
    spaces: Mapping[str, tuple[int, int]]
    tags: tuple[str, ...]
    dimensions: Mapping[str, tuple[str, ...]]
    thresholds: Mapping[str, float]
    normalized: bool
    excerpts: int | None = None
    hop_s: float | None = None

    @property
    def embedding_size(self) -> int:
        """Columns of the embedding."""
        return max(stop for _, stop in self.spaces.values())

    @classmethod
    def of(cls, card: ModelCard, excerpts: int | None = None, hop_s: float | None = None) -> "Facts":
        """The facts of a library that the model of this card fills."""
        shared = {f.name for f in dataclasses.fields(cls)} - {"model", "excerpts", "hop_s"}
        return cls(model=card.name, excerpts=excerpts, hop_s=hop_s, **{name: getattr(card, name) for name in shared})

    def plain(self) -> dict[str, Any]:
        """As JSON's types."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Facts":
        """The inverse of `plain`; keys that are not fields are left out.

        Raises:
            LibraryError: If a field is missing, of another type, or contradicts another.
        """
        try:
            fields = {f.name: values[f.name] for f in dataclasses.fields(cls)}
            json.dumps(fields, ensure_ascii=False).encode()  # halves of characters are no text
            check_types(fields)
            fields["spaces"] = {name: (a, b) for name, (a, b) in fields["spaces"].items()}
            fields["tags"] = tuple(fields["tags"])
            fields["dimensions"] = {name: tuple(tags) for name, tags in fields["dimensions"].items()}
            facts = cls(**fields)
            check_tags(facts.tags, facts.dimensions, facts.thresholds)
            check_spaces(facts.spaces, min(facts.embedding_size, LIMITS["embedding_size"]))
            number = facts.excerpts, facts.hop_s
            if not all(value is None or (type(value) in (int, float) and 0 < value < 1e9) for value in number):
                raise CardError(f"expected numbers of excerpts and seconds, received {number}.")
        except (KeyError, TypeError, ValueError) as error:  # ValueError: also a CardError
            raise LibraryError(
                f"Expected the facts of a library, received others: {error} Restore it from a copy, or index again."
            ) from error
        return facts

    def check(self, what: str, space_id: str) -> None:
        """Refuse embeddings of another space.

        Raises:
            SpaceMismatchError: If `space_id` is another; `what` begins the message.
        """
        if space_id != self.space_id:
            raise SpaceMismatchError.of(what, self.space_id, space_id)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One song of a library: a row of ``tracks``.

    Attributes:
        path: Absolute path of the file.
        size: Its bytes, when it was heard.
        mtime_ns: Its time of modification then, in nanoseconds.
        hash: Hex blake2b (16 bytes) of all its bytes.
        duration_s: Length of the audio in seconds.
        heard: Excerpts heard.
        embedding: ``[E]`` float32.
        tags: ``[T]`` float32 probabilities.
        title: From the file's metadata, as the next four; None if it has none.
        artist: Of the track; several are joined by "; ".
        album: Its title.
        genre: As its owner calls it.
        year: Of the release, 4 digits.
        album_artist: Of the album, if the file names one.
        artists: Every artist of the track, if the file names several.
        warnings: What was noticed about the audio, such as that it ends early; a sentence each.
        fingerprint: How the music changes over time, see `fingerprint`; empty if the track is too short for one, or
            was written by musiczoo 0.1 (format 1).
        id: Number of the row; 0 before it is one.
        revision: Of the library when the row was last changed.
    """

    path: str
    size: int
    mtime_ns: int
    hash: str
    duration_s: float
    heard: int
    embedding: NDArray[np.float32]
    tags: NDArray[np.float32]
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    genre: str | None = None
    year: int | None = None
    album_artist: str | None = None
    artists: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    fingerprint: bytes = b""
    id: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """One file that could not be heard: a row of ``failures``.

    Attributes:
        path: Absolute path of the file.
        size: Its bytes then: it is tried again when they or the time of modification have changed.
        mtime_ns: Its time of modification then, in nanoseconds.
        kind: Class of the error.
        reason: A sentence.
        failed_at: When, in UTC, as ISO 8601.
    """

    path: str
    size: int
    mtime_ns: int
    kind: str
    reason: str
    failed_at: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a scan must know of a track: the fields of `Entry` by these names."""

    id: int
    size: int
    mtime_ns: int
    hash: str


ENTRY_FIELDS = tuple(f.name for f in dataclasses.fields(Entry))
"""Columns of ``tracks``."""

_BLOBS = ("embedding", "tags")
_LINES = ("artists", "warnings")
"""Fields of several texts: in the file, a line each."""

_KINDS: dict[str, Any] = {
    **{"path": str | bytes, "duration_s": float | int, "year": int | None},
    **dict.fromkeys(("size", "mtime_ns", "heard", "id", "revision"), int),
    **dict.fromkeys(("hash", "kind", "reason", "failed_at"), str),
    **dict.fromkeys(_BLOBS, bytes),
    **dict.fromkeys(("title", "artist", "album", "genre", "album_artist", *_LINES), str | None),
    "fingerprint": bytes | None,
}
"""What SQLite gives for a column. It takes any type in any column, so what somebody else has written is looked at."""


def typed(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """The columns of a row by name, the path `restored`.

    Raises:
        LibraryError: If one is of another type than we write.
    """
    values = dict(zip(names, row, strict=True))
    for name, value in values.items():
        if not isinstance(value, _KINDS[name]):
            raise LibraryError(_damaged(f"{name} of another type ({type(value).__name__})"))
    return values | {"path": restored(values["path"])}


def entry_of(row: Sequence[Any]) -> Entry:
    """A row of ``tracks`` with the columns `ENTRY_FIELDS`.

    Raises:
        LibraryError: If one is of another type than we write.
    """
    values = typed(ENTRY_FIELDS, row)
    if not 0 <= values["duration_s"] < 1e9 or any(len(values[name]) % 4 for name in _BLOBS):
        raise LibraryError(_damaged(f"a length or numbers that cannot be, of {values['path']!r}"))
    return Entry(**several(values) | {name: np.frombuffer(values[name], "<f4") for name in _BLOBS})


def several(values: dict[str, Any]) -> dict[str, Any]:
    """The columns that may be NULL in the file, and are not in an `Entry`, as it has them; others are left alone."""
    lines = {name: tuple((values[name] or "").splitlines()) for name in _LINES}
    return values | lines | {"fingerprint": values["fingerprint"] or b""}


def usable(entry: Entry, facts: Facts) -> Entry:
    """The entry, if its numbers are as many as the model's, and finite.

    Raises:
        LibraryError: If not.
    """
    sizes = (facts.embedding_size, len(facts.tags))
    if (len(entry.embedding), len(entry.tags)) != sizes or not (
        np.isfinite(entry.embedding).all() and np.isfinite(entry.tags).all()
    ):
        raise LibraryError(_damaged(f"other numbers for {entry.path!r}"))
    return entry


def vectors_of(blobs: Sequence[Any], facts: Facts) -> NDArray[np.float32]:
    """``[N, E]``: the embeddings of N rows.

    Raises:
        LibraryError: If one is none, or has other or not finite numbers.
    """
    size = 4 * facts.embedding_size
    if not all(isinstance(blob, bytes) and len(blob) == size for blob in blobs):
        raise LibraryError(_damaged("an embedding of another size"))
    vectors = np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), -1)
    if not np.isfinite(vectors).all():
        raise LibraryError(_damaged("an embedding that is not finite"))
    return vectors


def facts_of(rows: Sequence[Any]) -> Facts:
    """The facts that the rows of the table ``library``, key and JSON, hold.

    Raises:
        LibraryError: If they do not.
    """
    try:
        values = {key: json.loads(value) for key, value in rows}
    except (ValueError, TypeError, RecursionError) as error:
        raise LibraryError(_damaged(f"facts that are no JSON ({error})")) from error
    return Facts.from_plain(values)


def _damaged(received: str) -> str:
    return f"Expected rows as musiczoo writes them, received {received}. It is damaged: run musiczoo library verify."


def column(row: Entry | Failure, name: str) -> Any:
    """One field as the file holds it."""
    value = getattr(row, name)
    if name == "path":
        return stored(value)
    if name in _BLOBS:
        return np.ascontiguousarray(value, "<f4").tobytes()
    if name in _LINES:
        return "\n".join(" ".join(_text(line).splitlines()) for line in value) or None
    if name == "fingerprint":
        return value or None
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """Text as SQLite takes it: no surrogates, and no zeros, at which C ends."""
    return as_text(value).replace("\0", " ")
