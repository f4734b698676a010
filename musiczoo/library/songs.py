"""The songs that a query names.

Conventions
-----------
- A song of the library is not heard again: its row says all. Another is heard as the library's songs were.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioNotFoundError
from ..paths import absolute
from ..track import Floats, Track
from .database import Database
from .rows import Facts
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
        duration_s: Its length in seconds.
    """

    id: int | None
    units: Doubles
    tags: Floats
    duration_s: float


def hear(song: Song, library: Searched) -> Heard:
    """What is known of a song: from its track, its row in the library, or its file.

    Raises:
        AudioNotFoundError: If it is neither in the library nor a file.
        AudioError: If it cannot be decoded.
        SpaceMismatchError: If it is a track of another model.
    """
    facts = library.facts
    if isinstance(song, Track):
        facts.check(song.path or "The track", song.space_id)
        stored = library.database.one(song.path) if song.path else None
        return _heard(facts, stored.id if stored else None, song.embedding, song.tags.probabilities, song.duration_s)
    name = os.path.expanduser(song)
    if entry := library.database.one(name):  # as it is written: it may be a URL, from another machine's part
        return _heard(facts, entry.id, entry.embedding, entry.tags, entry.duration_s)
    path = str(absolute(name))
    if not os.path.exists(path):
        raise AudioNotFoundError(f"Expected a song of the library, or an audio file, found neither at {path}.")
    track = library.model().analyze(path, excerpts=facts.excerpts, hop=facts.hop_s)
    facts.check(path, track.space_id)
    return _heard(facts, None, track.embedding, track.tags.probabilities, track.duration_s)


def _heard(facts: Facts, number: int | None, embedding: Floats, tags: Floats, duration_s: float) -> Heard:
    parts = [units(embedding[start:stop]) for start, stop in sorted(facts.spaces.values())]
    return Heard(number, np.concatenate(parts), tags, duration_s)


def applying(facts: Facts, probabilities: NDArray[np.floating]) -> Iterator[str]:
    """The tags whose probability reaches their threshold, highest first."""
    order = np.argsort(-probabilities, kind="stable")
    named = ((facts.tags[i], float(probabilities[i])) for i in order)
    return (tag for tag, probability in named if probability >= facts.thresholds[tag])
