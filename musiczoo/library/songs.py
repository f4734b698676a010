"""The songs that a query names.

Conventions
-----------
- A song of the library is not heard again: its row says all. Another is heard as the library's songs were.
"""

import os
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._paths import absolute
from ..errors import AudioNotFoundError, InputError
from ..track import Floats, Track, predicted_tags
from .database import Database
from .hearing import content_hash
from .records import Facts
from .vectors import Doubles, Vectors, units

Song = str | os.PathLike[str] | Track


class Listener(Protocol):
    """What a query needs of a `musiczoo.Model`."""

    def analyze(self, source: Any, *, excerpts: int | None = ..., hop: float | None = ...) -> Track:
        """Listen to a song."""

    def tag_points(self) -> NDArray[np.float32] | None:
        """``[T, E]``: where each tag lies: a unit vector in its space, zeros elsewhere; None if unknown."""


class Searched(Protocol):
    """What a search needs of a `musiczoo.Library`."""

    @property
    def facts(self) -> Facts:
        """What its numbers mean."""

    @property
    def database(self) -> Database:
        """Its file."""

    @property
    def vectors(self) -> Vectors:
        """Its vectors in memory."""

    def model(self) -> Listener:
        """The model that made it."""


@dataclass(frozen=True, eq=False)
class Heard:
    """A song that a query names.

    Attributes:
        id: Its track in the library, if it is there.
        units: ``[E]``, a unit vector in each space (or zeros).
        tags: ``[T]`` probabilities.
        hash: Of its file's contents, if it has a file.
    """

    id: int | None
    units: Doubles
    tags: Floats
    hash: str | None = None


def hear(song: Song, library: Searched) -> Heard:
    """What is known of a song: from its track, its row in the library, or its file.

    Raises:
        AudioNotFoundError: If it is neither in the library nor a file.
        AudioError: If it cannot be decoded.
        InputError: If it is silent: nothing is near to it.
        SpaceMismatchError: If it is a track of another model.
    """
    facts = library.facts
    if isinstance(song, Track):
        facts.check(song.path or "The track", song.space_id)
        stored = library.database.one(song.path) if song.path else None
        number, digest = (stored.id, stored.hash) if stored else (None, _hash(song.path))
        return _heard(facts, song.path or "The track", number, song.embedding, song.tags.probabilities, digest)
    name = os.path.expanduser(song)
    if entry := library.database.one(name):  # as it is written: it may be a URL, from another machine's part
        return _heard(facts, entry.path, entry.id, entry.embedding, entry.tags, entry.hash)
    path = str(absolute(name))
    if not os.path.exists(path):
        raise AudioNotFoundError(f"Expected a song of the library, or an audio file, found neither at {path}.")
    track = library.model().analyze(path, excerpts=facts.excerpts, hop=facts.hop_s)
    facts.check(path, track.space_id)
    return _heard(facts, path, None, track.embedding, track.tags.probabilities, _hash(path))


def _heard(facts: Facts, name: str, number: int | None, embedding: Floats, tags: Floats, digest: str | None) -> Heard:
    if not embedding.any():
        raise InputError(
            f"Cannot search by {name}: the model has no embedding of it, as of files that are silent from beginning to "
            "end. Name another song."
        )
    parts = [units(embedding[start:stop]) for start, stop in sorted(facts.spaces.values())]
    return Heard(number, np.concatenate(parts), tags, digest)


def _hash(path: str | None) -> str | None:
    """The hash of a file's contents; None if there is no file."""
    try:
        return content_hash(path) if path else None
    except (OSError, ValueError):
        return None


def applying(facts: Facts, probabilities: NDArray[np.floating]) -> list[str]:
    """The tags whose probability reaches their threshold, highest first."""
    return [tag.name for tag in predicted_tags(facts.tags, probabilities, facts.thresholds)]
