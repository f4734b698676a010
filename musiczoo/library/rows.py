"""What a library's file holds, as Python sees it; `database` reads and writes it."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..card import ModelCard
from ..errors import LibraryError, SpaceMismatchError
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
            LibraryError: If a field is missing or of another type.
        """
        try:
            fields = {f.name: values[f.name] for f in dataclasses.fields(cls)}
            fields["spaces"] = {name: (int(a), int(b)) for name, (a, b) in fields["spaces"].items()}
            fields["tags"] = tuple(fields["tags"])
            fields["dimensions"] = {name: tuple(tags) for name, tags in fields["dimensions"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LibraryError(f"Expected the facts of a library, received some without {error}.") from error
        return cls(**fields)

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
        artist: Of the track.
        album: Its title.
        genre: As its owner calls it.
        year: Of the release, 4 digits.
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


def entry_of(row: Sequence[Any]) -> Entry:
    """A row of ``tracks`` with the columns `ENTRY_FIELDS`."""
    values = dict(zip(ENTRY_FIELDS, row, strict=True))
    values["path"] = restored(values["path"])
    for name in _BLOBS:
        values[name] = np.frombuffer(values[name], "<f4")
    return Entry(**values)


def column(row: Entry | Failure, name: str) -> Any:
    """One field as the file holds it."""
    value = getattr(row, name)
    if name == "path":
        return stored(value)
    if name in _BLOBS:
        return np.ascontiguousarray(value, "<f4").tobytes()
    if isinstance(value, str):  # SQLite takes no surrogates, and C ends at zeros
        return os.fsencode(value).decode("utf-8", "replace").replace("\0", " ")
    return value
