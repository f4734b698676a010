"""Search a library: a query and filters in, hits out.

Conventions
-----------
- A hit's score is the weighted mean of its cosines per dimension, weights divided by their sum: -1 to 1.
- Hits come by score; equals by path.
- The songs that a query names are no hits of it. Neither are files with the same contents, byte for byte, unless
  `fold_duplicates` is off; any other file may be one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._paths import to_bytes
from ..errors import InputError
from .duplicates import Candidate, Hygiene
from .engines.engine import Floats, Rows
from .filters import Filters
from .query import Query, Question, Questions, ask
from .records import Facts
from .songs import Searched, Song, applying
from .vectors import Doubles, Snapshot

Ladders = Mapping[str, Doubles]

_ROUNDING = 1e-9
_DIGITS = 6
"""Of numbers in JSON."""

SAMPLE = 1000
"""Songs of a larger library, evenly taken, that `Hit.farther` counts."""

_SPARE = 2
"""How many times k candidates are looked at first, where some may be folded or over a limit."""


@dataclass(frozen=True)
class Hit:
    """A song that was found.

    Attributes:
        path: Its file.
        score: -1 to 1.
        dimensions: Dimension -> cosine, for each that the query says something in, weighted or not.
        shared_tags: What applies to the query and to it; its likeliest first.
        title: From the file's metadata, as the next two.
        artist: Of the track.
        album: Its title.
        duplicates: Files of the same recording that were folded into it: see `musiczoo.library.duplicates`.
        farther: Dimension -> share of the library (see `SAMPLE`) that is less near: cosines of 0.9 are rare in one
            model, library or dimension and common in another. Empty if nobody counted.
    """

    path: str
    score: float
    dimensions: Mapping[str, float]
    shared_tags: tuple[str, ...]
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    duplicates: tuple[str, ...] = ()
    farther: Mapping[str, float] = field(default_factory=dict, compare=False)

    def as_dict(self, rank: int) -> dict[str, Any]:
        """The JSON object of the hit, ``rank`` counting from 1; ``duplicates`` only if there are some."""
        record: dict[str, Any] = {
            "rank": rank,
            "path": self.path,
            "score": round(self.score, _DIGITS),
            "dimensions": {name: round(cosine, _DIGITS) for name, cosine in self.dimensions.items()},
            "shared_tags": list(self.shared_tags),
        }
        return record | ({"duplicates": list(self.duplicates)} if self.duplicates else {})


def search(
    library: Searched,
    query: Song | Iterable[Song] | Query,
    k: int = 20,
    weights: Mapping[str, float] | None = None,
    filters: Filters | None = None,
    *,
    per_artist: int | None = None,
    per_album: int | None = None,
    fold_duplicates: bool = True,
) -> list[Hit]:
    """Find the songs of a library that answer a query best.

    Args:
        library: Where to search.
        query: A path, a track, several of them, or a `Query`.
        k: How many at most.
        weights: Dimension -> how much it counts; those left out do not. None: see `query`.
        filters: Which songs may be found.
        per_artist: At most so many of an artist. Songs without one are not limited.
        per_album: At most so many of an album, likewise.
        fold_duplicates: Show a recording once, and list its other files in the hit: see `duplicates`.

    Returns:
        Hits, best first; fewer than k if no more answer.

    Raises:
        InputError: If k, a limit, a weight or the query is malformed.
        UnknownNameError: If there is no such dimension or tag.
        AudioNotFoundError: If a song is neither in the library nor a file.
        AudioError: If a song cannot be decoded.
        SpaceMismatchError: If a track is of another model.
    """
    for name, value in (("k", k), ("per_artist", per_artist), ("per_album", per_album)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"Expected {name} to be a whole number from 1, received {value!r}.")
    questions = ask(Query.of_value(query), library, weights)
    hygiene = Hygiene(library.facts.spaces, per_artist, per_album, fold_duplicates)
    snapshot = library.vectors.current()
    allowed = _allowed(library, snapshot, filters)
    most = len(snapshot.ids) if allowed is None else len(allowed)
    depth = k if hygiene.idle else _SPARE * k
    while True:
        found = _candidates(library, snapshot, questions, allowed, depth)
        kept = hygiene.apply(found, {song.hash for song in questions.heard if song.hash}, k)
        if len(kept) == k or depth >= most:
            ladders = [_ladders(question, snapshot, library.facts) for question in questions.asked]
            return [_hit(library.facts, questions, ladders, candidate, folded) for candidate, folded in kept]
        depth *= 4


def _allowed(library: Searched, snapshot: Snapshot, filters: Filters | None) -> Rows | None:
    """The rows that pass the filters; None if there are none."""
    if not filters:
        return None
    return snapshot.rows(library.database.select_ids(*filters.where(library.facts)))


def _candidates(
    library: Searched, snapshot: Snapshot, questions: Questions, allowed: Rows | None, depth: int
) -> list[Candidate]:
    """The best `depth` tracks or more, in order."""
    named = snapshot.rows(np.array([song.id for song in questions.heard if song.id is not None], np.int64))
    best: dict[int, tuple[float, int]] = {}  # row -> its best score, and by which question
    for number, question in enumerate(questions.asked):
        vector = question.vector(library.facts.spaces)
        rows, scores = snapshot.nearest(vector, depth, allowed, without=named)
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
            if row not in best or score > best[row][0]:
                best[row] = score, number
    row_of = {int(snapshot.ids[row]): row for row in best}
    candidates = [
        Candidate(entry, _units(snapshot.matrix[row_of[entry.id]], library.facts), *best[row_of[entry.id]])
        for entry in library.database.entries(list(row_of))
    ]
    return sorted(candidates, key=lambda c: (-c.score, to_bytes(c.entry.path)))


def _units(vector: Floats, facts: Facts) -> Doubles:
    """A library's vector with its spaces at length 1."""
    scaled: Doubles = vector.astype(np.float64) * len(facts.spaces) ** 0.5
    return scaled


def _ladders(question: Question, snapshot: Snapshot, facts: Facts) -> Ladders:
    """Dimension -> cosines of the library's songs, ascending."""
    count = len(snapshot.ids)
    sample = snapshot.matrix[np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(int))] if count else []
    whole = _units(np.asarray(sample).reshape(-1, snapshot.matrix.shape[1]), facts)
    whole = whole[whole.any(axis=1)]  # silent tracks are near to nothing
    return {
        name: np.sort(whole[:, slice(*facts.spaces[name])] @ direction)
        for name, direction in question.directions.items()
    }


def _hit(
    facts: Facts, questions: Questions, ladders: list[Ladders], candidate: Candidate, duplicates: tuple[str, ...]
) -> Hit:
    entry, question, ladder = candidate.entry, questions.asked[candidate.question], ladders[candidate.question]
    cosines = {
        name: float(question.directions[name] @ candidate.units[start:stop])
        for name, (start, stop) in facts.spaces.items()
        if name in question.directions
    }
    return Hit(
        path=entry.path,
        score=sum(weight * cosines[name] for name, weight in question.weights.items()),
        dimensions=cosines,
        shared_tags=tuple(tag for tag in applying(facts, entry.tags) if tag in question.tags),
        title=entry.title,
        artist=entry.artist,
        album=entry.album,
        duplicates=duplicates,
        farther={name: _below(cosine, ladder[name]) for name, cosine in cosines.items()},
    )


def _below(cosine: float, ascending: Doubles) -> float:
    """The share that is lower, by more than rounding."""
    return float(np.searchsorted(ascending, cosine - _ROUNDING)) / max(len(ascending), 1)
