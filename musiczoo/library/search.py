"""Search a library: from a query and filters to hits.

Conventions
-----------
- The score of a hit is the weighted mean of its cosines per dimension, weights divided by their sum: -1 to 1.
- Hits are ordered by score, equal scores by path.
- The tracks that a query names or excludes are not hits. Neither are files with the same contents, byte for byte,
  unless `fold_duplicates` is False. Any other file may be a hit.
- *Variety* v draws k hits from the first `POOL` k of the search, without replacement, with probabilities proportional
  to rank^(-(1 - v) / v): the hits with the highest v g - (1 - v) log(rank), where g are independent numbers of the
  Gumbel distribution (Kool et al., "Stochastic beams and where to find them", 2019). So v = 0 is the search itself;
  with v = 0.5, the second hit is drawn first half as often as the first; with v = 1, all are equally likely. Ranks and
  not scores decide, since the cosines of music are all high: the rule means the same in each model and dimension.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._paths import AnyPath, to_bytes
from ..errors import InputError
from .duplicates import Candidate, ResultFilter
from .engines import Floats, Rows
from .filters import Filters
from .history import History
from .metadata import split_names
from .query import CandidateSource, CompiledQuery, Query, QueryVector, Song, compile_query, tag_names
from .records import LibraryConfig
from .vectors import Doubles, Snapshot

SampleCosines = Mapping[str, Doubles]
"""Dimension -> cosines of the library's tracks, ascending."""

POOL = 5
"""Hits from which a search with variety draws, as a multiple of k."""

_ROUNDING = 1e-9
_DIGITS = 6
"""Digits after the point of numbers in JSON."""

_SPARE = 2
"""Candidates fetched at first, as a multiple of k, where some may be folded or over a limit."""


@dataclass(frozen=True)
class Hit:
    """A track that a search found: see `Library.search`.

    Attributes:
        path: Path of its file.
        score: Weighted mean of its cosines, -1 to 1.
        dimensions: Dimension -> cosine, -1 to 1, for each dimension of the query, also those with weight 0.
        shared_tags: Predicted tags of both the query and the track, the track's most probable first.
        title: Title in the file's metadata; None if it has none.
        artist: Artist in the file's metadata; None if it has none.
        album: Album in the file's metadata; None if it has none.
        duplicates: Paths of other files of the same recording: see `musiczoo.library.duplicates`.
        similarity_percentile: Dimension -> percentage of the library's tracks (of a sample of 1,000 of a larger
            library) that are less similar to the query, 0 to 100. A cosine of 0.9 is rare in one model, library or
            dimension and common in another; the percentile tells which. Empty for hits from Milvus.
        id: Id of the track in the library; 0 if it has none.

    Example:
        >>> from musiczoo.library import Hit
        >>> hit = Hit("a.mp3", 0.91, {"genre": 0.95, "mood": 0.87}, ("rock",), similarity_percentile={"genre": 99.5})
        >>> hit.score, hit.dimensions["genre"], hit.similarity_percentile["genre"]
        (0.91, 0.95, 99.5)
        >>> hit.as_dict(rank=1)["shared_tags"]
        ['rock']
    """

    path: str
    score: float
    dimensions: Mapping[str, float]
    shared_tags: tuple[str, ...]
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    duplicates: tuple[str, ...] = ()
    similarity_percentile: Mapping[str, float] = field(default_factory=dict, compare=False)
    id: int = field(default=0, compare=False)

    def as_dict(self, rank: int) -> dict[str, Any]:
        """Return the hit as a JSON object.

        Args:
            rank: Its rank, from 1.

        Returns:
            ``rank``, ``path``, ``score``, ``dimensions`` and ``shared_tags``; ``similarity_percentile`` and
            ``duplicates`` only if there are any.

        Example:
            >>> from musiczoo.library import Hit
            >>> Hit("a.mp3", 0.95, {"genre": 0.95}, ("rock",)).as_dict(rank=1)
            {'rank': 1, 'path': 'a.mp3', 'score': 0.95, 'dimensions': {'genre': 0.95}, 'shared_tags': ['rock']}
        """
        record: dict[str, Any] = {
            "rank": rank,
            "path": self.path,
            "score": round(self.score, _DIGITS),
            "dimensions": {name: round(cosine, _DIGITS) for name, cosine in self.dimensions.items()},
            "shared_tags": list(self.shared_tags),
        }
        if self.similarity_percentile:
            record["similarity_percentile"] = {
                name: round(value, _DIGITS) for name, value in self.similarity_percentile.items()
            }
        return record | ({"duplicates": list(self.duplicates)} if self.duplicates else {})


def search(
    source: CandidateSource,
    query: Song | Iterable[Song] | Query,
    k: int = 20,
    weights: Mapping[str, float] | None = None,
    filters: Filters | None = None,
    *,
    per_artist: int | None = None,
    per_album: int | None = None,
    fold_duplicates: bool = True,
    exclude: Iterable[AnyPath] = (),
    variety: float = 0,
    seed: int | None = None,
    history: History | None = None,
) -> list[Hit]:
    """Return the tracks most similar to a query: see `Library.search`, which has the arguments and errors.

    Args:
        source: Where to search.
        query: See `Library.search`, as all others.
        k: Number of hits.
        weights: Dimension -> weight.
        filters: Conditions on hits.
        per_artist: Most hits of one artist.
        per_album: Most hits of one album.
        fold_duplicates: Whether to fold files of one recording into one hit.
        exclude: Paths of tracks that are not hits.
        variety: How much the hits are drawn by chance, 0 to 1.
        seed: Seed of the draw.
        history: What was played.
    """
    for name, value in (("k", k), ("per_artist", per_artist), ("per_album", per_album)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{name} must be a whole number from 1, got {value!r}.")
    if isinstance(variety, bool) or not 0 <= variety <= 1:
        raise InputError(f"variety must be a number from 0 to 1, got {variety!r}.")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
        raise InputError(f"seed must be a whole number from 0, got {seed!r}.")
    wanted, k = k, POOL * k if variety else k
    compiled = compile_query(Query.of_value(query), source, weights)
    left_out = [entry for path in exclude if (entry := source.find(path)) is not None]
    named = [track.id for track in compiled.tracks if track.id is not None] + [entry.id for entry in left_out]
    hashes = {track.hash for track in compiled.tracks if track.hash} | {entry.hash for entry in left_out}
    result_filter = ResultFilter(source.config.spaces, per_artist, per_album, fold_duplicates)
    snapshot, allowed = source.candidates(filters)
    most = len(snapshot.ids) if allowed is None else len(allowed)
    spare = 1 if result_filter.keeps_all else _SPARE
    count, depth = k, spare * k
    while True:
        found = _candidates(source, snapshot, compiled, allowed, named, depth)
        kept = result_filter.apply(found, hashes, count)
        if len(kept) < count and depth < most:
            depth *= 4
            continue
        order, exact = _reordered(kept, k, history)
        if exact or len(kept) < count:
            break
        count *= 2
        depth = max(depth, spare * count)
    kept = [kept[order[i]] for i in _drawn(min(k, len(kept)), wanted, variety, seed)]
    samples = [_sample_cosines(vector, snapshot, source.config) for vector in compiled.vectors]
    return [_hit(source.config, compiled, samples, candidate, folded) for candidate, folded in kept]


def _reordered(
    kept: Sequence[tuple[Candidate, tuple[str, ...]]], k: int, history: History | None
) -> tuple[list[int], bool]:
    """Return the numbers of hits in the order of a history, and whether no further hit could be among the first k."""
    if history is None:
        return list(range(len(kept))), True
    plays = [
        history.plays_of(
            (candidate.entry.path, *duplicates),
            candidate.entry.title,
            (candidate.entry.artist or "", *split_names(candidate.entry.artist, candidate.entry.artists)),
        )
        for candidate, duplicates in kept
    ]
    ranks = [rank * (1 + recent) for rank, recent in enumerate(plays, 1)]
    order = sorted(range(len(kept)), key=ranks.__getitem__)
    return order, len(kept) >= k and ranks[order[k - 1]] <= len(kept) + 1


def _drawn(count: int, k: int, variety: float, seed: int | None) -> list[int]:
    """Return the numbers of up to k hits of `count`, ascending: see the conventions."""
    if not variety:
        return list(range(min(k, count)))
    noise = np.random.default_rng(seed).gumbel(size=count)
    order = np.argsort((1 - variety) * np.log(np.arange(1, count + 1)) - variety * noise, kind="stable")
    return sorted(order[:k].tolist())


def _candidates(
    source: CandidateSource,
    snapshot: Snapshot,
    compiled: CompiledQuery,
    allowed: Rows | None,
    left_out: Sequence[int],
    depth: int,
) -> list[Candidate]:
    """Return the best `depth` tracks or more, in order, without some ids."""
    without = snapshot.rows(np.array(left_out, np.int64))
    best: dict[int, tuple[float, int]] = {}  # row -> its best score, and the number of its vector
    for number, query_vector in enumerate(compiled.vectors):
        vector = query_vector.vector(source.config.spaces)
        rows, scores = snapshot.nearest(vector, depth, allowed, without=without)
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
            if row not in best or score > best[row][0]:
                best[row] = score, number
    row_of = {int(snapshot.ids[row]): row for row in best}
    candidates = [
        Candidate(entry, _units(snapshot.matrix[row_of[entry.id]], source.config), *best[row_of[entry.id]])
        for entry in source.entries(list(row_of))
    ]
    return sorted(candidates, key=lambda c: (-c.score, to_bytes(c.entry.path)))


def _units(vector: Floats, config: LibraryConfig) -> Doubles:
    """Return an embedding of a snapshot with its spaces at length 1."""
    scaled: Doubles = vector.astype(np.float64) * len(config.spaces) ** 0.5
    return scaled


def _sample_cosines(query_vector: QueryVector, snapshot: Snapshot, config: LibraryConfig) -> SampleCosines:
    length = len(config.spaces) ** 0.5
    return {
        name: np.sort(length * (snapshot.sample[:, slice(*config.spaces[name])] @ direction))
        for name, direction in query_vector.directions.items()
    }


def _hit(
    config: LibraryConfig,
    compiled: CompiledQuery,
    samples: list[SampleCosines],
    candidate: Candidate,
    duplicates: tuple[str, ...],
) -> Hit:
    entry, query_vector, sample = candidate.entry, compiled.vectors[candidate.vector], samples[candidate.vector]
    cosines = {
        name: float(query_vector.directions[name] @ candidate.units[start:stop])
        for name, (start, stop) in config.spaces.items()
        if name in query_vector.directions
    }
    return Hit(
        path=entry.path,
        score=sum(weight * cosines[name] for name, weight in query_vector.weights.items()),
        dimensions=cosines,
        shared_tags=tuple(tag for tag in tag_names(config, entry.tags) if tag in query_vector.tags),
        title=entry.title,
        artist=entry.artist,
        album=entry.album,
        duplicates=duplicates,
        similarity_percentile={name: _percentile(cosine, sample[name]) for name, cosine in cosines.items()},
        id=entry.id,
    )


def _percentile(cosine: float, ascending: Doubles) -> float:
    """Return the percentage of cosines that are lower, by more than rounding."""
    return 100 * float(np.searchsorted(ascending, cosine - _ROUNDING)) / max(len(ascending), 1)
