"""Queries: tracks, tags, mixtures of both, and tracks to avoid; and the vectors that search for them.

Conventions
-----------
- A query has in each *space* (dimension) a unit vector u_s, or none. It is computed from the parts of the query:

  1. *Tracks* (`Query.songs` and `Query.like`, which are the same): the mean of their unit vectors, rescaled to length
     1. With ``combine="each"``, each track is a query of its own, and a hit has its best score among them.
  2. *Tags*: the mean of the tags' points (`Model.tag_points`) in their spaces, of length 1. With tracks: the sum of
     both, of length 1.
  3. *Of* (mix and match): in a space named there, that track's vector replaces those of the tracks.
  4. *Unlike*: with c_s the mean of those tracks' unit vectors, of length 1, u_s becomes u_s - `UNLIKE` c_s, of length 1
     (Rocchio's formula for rejected results). Where the query has nothing else, u_s is -c_s.

- Weights: by default, all spaces have the same weight if the query has tracks. Otherwise those of its tags and of `of`
  have; with `unlike` only, all. Given weights replace the default: a dimension that is left out has weight 0.
- The score is one inner product: score(x) = sum_s w_s <u_s, x_s / |x_s|> / sum_s w_s.
- A track of the library is not analyzed again: its record has all that is needed. Another is analyzed with the
  library's settings.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._paths import absolute
from ..errors import AudioNotFoundError, InputError, UnknownNameError
from ..track import Floats, Track, predicted_tags
from .engines import Rows
from .filters import Filters, match_name
from .records import Entry, LibraryConfig
from .vectors import Doubles, Snapshot, units
from .worker import content_hash

MEAN, EACH = "mean", "each"

UNLIKE = 0.5
"""Share of rejected tracks that is subtracted. A track that is in `songs` and in `unlike` keeps its direction."""

Song = str | os.PathLike[str] | Track
"""A track to search by: a path, or what `musiczoo.Model.analyze` returned."""


@dataclass(frozen=True)
class Query:
    """A query of several parts. To search by one track, pass its path to `Library.search`.

    Attributes:
        songs: Paths, or tracks that `musiczoo.Model.analyze` returned.
        like: More of them.
        tags: Names of tags of the model, in any case.
        of: Dimension -> the track to be similar to in that dimension.
        unlike: Tracks to avoid.
        combine: ``"mean"``: similar to what the tracks have in common; ``"each"``: similar to any one of them.

    Raises:
        InputError: If the query is empty, `combine` is unknown, or a field is one track instead of a list.

    Example:
        >>> from musiczoo.library import Query
        >>> query = Query(songs=["a.mp3", "b.mp3"], tags=["jazz"], of={"mood": "c.mp3"}, unlike=["d.mp3"])
        >>> query.combine
        'mean'
        >>> Query()
        Traceback (most recent call last):
            ...
        musiczoo.errors.InputError: The query is empty. Name tracks or tags.
    """

    songs: Sequence[Song] = ()
    like: Sequence[Song] = ()
    tags: Sequence[str] = ()
    of: Mapping[str, Song] = field(default_factory=dict)
    unlike: Sequence[Song] = ()
    combine: str = MEAN

    def __post_init__(self) -> None:
        for name in ("songs", "like", "tags", "unlike"):
            value = getattr(self, name)
            if isinstance(value, str | os.PathLike | Track):
                raise InputError(f"Expected a list of {name}, got {value!r}. Pass [{value!r}].")
        if self.combine not in (MEAN, EACH):
            raise InputError(f"Expected combine to be {MEAN!r} or {EACH!r}, got {self.combine!r}.")
        if not any((self.songs, self.like, self.tags, self.of, self.unlike)):
            raise InputError("The query is empty. Name tracks or tags.")

    @classmethod
    def of_value(cls, value: "Song | Iterable[Song] | Query") -> "Query":
        """Return the query for a track, several tracks, or a query.

        Raises:
            InputError: If it is none of these.

        Example:
            >>> from musiczoo.library import Query
            >>> Query.of_value("song.mp3").songs
            ('song.mp3',)
        """
        if isinstance(value, Query):
            return value
        songs = [value] if isinstance(value, str | os.PathLike | Track) else list(value)
        for song in songs:
            if not isinstance(song, str | os.PathLike | Track):
                raise InputError(f"Expected a path, a Track or a Query, got {type(song).__name__}.")
        return cls(songs=tuple(songs))


# === What is searched ===


class Analyzer(Protocol):
    """What a query needs of a `musiczoo.Model`."""

    def analyze(self, source: Any, *, excerpts: int | None = ..., hop: float | None = ...) -> Track:
        """Analyze a file."""

    def tag_points(self) -> NDArray[np.float32] | None:
        """Return the point of each tag, ``[T, E]``: a unit vector in its space, zeros elsewhere; None if unknown."""


class CandidateSource(Protocol):
    """What a search needs: a `musiczoo.Library` has it, and so have the candidates that Milvus returns."""

    @property
    def config(self) -> LibraryConfig:
        """The model and the settings of the embeddings."""

    def model(self) -> Analyzer:
        """Return the model of the embeddings."""

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        """Return the track of a file, or None."""

    def entries(self, ids: Sequence[int]) -> Iterator[Entry]:
        """Yield tracks by id."""

    def candidates(self, filters: Filters | None) -> tuple[Snapshot, Rows | None]:
        """Return embeddings, and the rows among them that pass the filters (ascending; None for all of them)."""


# === From a query to vectors ===


@dataclass(frozen=True, eq=False)
class TrackFeatures:
    """A track that a query names.

    Attributes:
        id: Its id in the library, if it is there.
        units: ``[E]``, a unit vector in each space (or zeros).
        tags: ``[T]`` probabilities.
        hash: Hash of its file's contents, if it has a file.
    """

    id: int | None
    units: Doubles
    tags: Floats
    hash: str | None = None


@dataclass(frozen=True, eq=False)
class QueryVector:
    """One vector to search for.

    Attributes:
        directions: Space -> unit vector, for the spaces in which the query has one.
        weights: Space -> weight; they sum to 1.
        tags: Tags of the query, which a hit may share.
    """

    directions: Mapping[str, Doubles]
    weights: Mapping[str, float]
    tags: frozenset[str]

    def vector(self, spaces: Mapping[str, tuple[int, int]]) -> Doubles:
        """Return ``[E]``: its inner product with an embedding is the score (see `engines`)."""
        vector = np.zeros(max(stop for _, stop in spaces.values()))
        for name, weight in self.weights.items():
            start, stop = spaces[name]
            vector[start:stop] = self.directions[name] * weight * len(spaces) ** 0.5
        return vector


@dataclass(frozen=True, eq=False)
class CompiledQuery:
    """A query as vectors.

    Attributes:
        vectors: One vector, or one for each track.
        tracks: All tracks that the query names: they are left out of the hits.
    """

    vectors: tuple[QueryVector, ...]
    tracks: tuple[TrackFeatures, ...]


def compile_query(query: Query, source: CandidateSource, weights: Mapping[str, float] | None = None) -> CompiledQuery:
    """Turn a query into vectors.

    Args:
        query: The query.
        source: Where it searches.
        weights: Dimension -> weight, 0 or more; see above for the default.

    Raises:
        InputError: If weights are negative, all zero, or of a dimension of which the query says nothing; if the model
            has no points for tags; or if the query is silent.
        UnknownNameError: If a dimension or tag does not exist.
        AudioNotFoundError: If a track is neither in the library nor a file.
        AudioError: If a track cannot be decoded.
        SpaceMismatchError: If a track was analyzed with another model.
    """
    config = source.config
    check_dimensions((*(weights or ()), *query.of), config.spaces)
    songs = [track_features(song, source) for song in (*query.songs, *query.like)]
    of = {name: track_features(song, source) for name, song in query.of.items()}
    unlike = [track_features(song, source) for song in query.unlike]
    points = _tag_points([match_name("tag", tag, config.tags) for tag in query.tags], source)
    groups = [[song] for song in songs] if query.combine == EACH and songs else [songs]
    vectors = tuple(_query_vector(config, group, of, unlike, points, weights) for group in groups)
    return CompiledQuery(vectors, (*songs, *of.values(), *unlike))


def check_dimensions(names: Iterable[str], spaces: Mapping[str, tuple[int, int]]) -> None:
    """Refuse dimensions that a library does not have.

    Raises:
        UnknownNameError: If there is one.
    """
    for name in names:
        if name not in spaces:
            raise UnknownNameError.of("dimension", name, spaces)


def weight_shares(weights: Mapping[str, float], directions: Mapping[str, Doubles]) -> dict[str, float]:
    """Return the weights that are not zero, divided by their sum.

    Raises:
        InputError: If a weight is negative, all are zero, or a dimension with a weight has no direction.
    """
    for name, weight in weights.items():
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"The weight of {name!r} must be 0 or more, got {weight!r}.")
        if weight and name not in directions:
            raise InputError(
                f"Cannot weight {name!r}: the tags of the query are of other dimensions ({', '.join(directions)}). "
                "Leave that weight out, or name a track."
            )
    total = float(sum(weights.values()))
    if not total:
        raise InputError("At least one weight must be above 0. Leave the weights out to weight all dimensions equally.")
    return {name: weight / total for name, weight in weights.items() if weight}


def track_features(song: Song, source: CandidateSource) -> TrackFeatures:
    """Return the features of a track: from the `Track`, its record in the library, or its file.

    Raises:
        AudioNotFoundError: If it is neither in the library nor a file.
        AudioError: If it cannot be decoded.
        InputError: If it is silent: it has no embedding.
        SpaceMismatchError: If it was analyzed with another model.
    """
    config = source.config
    if isinstance(song, Track):
        config.check(song.path or "The track", song.space_id)
        stored = source.find(song.path) if song.path else None
        number, digest = (stored.id, stored.hash) if stored else (None, _hash(song.path))
        return _features(config, song.path or "the track", number, song.embedding, song.tags.probabilities, digest)
    name = os.path.expanduser(song)
    if entry := source.find(name):  # as written: it may be the URL of an imported track
        return _features(config, entry.path, entry.id, entry.embedding, entry.tags, entry.hash)
    path = str(absolute(name))
    if not os.path.exists(path):
        raise AudioNotFoundError(f"No such file, and no such track in the library: {path}")
    track = source.model().analyze(path, excerpts=config.excerpts, hop=config.hop_s)
    config.check(path, track.space_id)
    return _features(config, path, None, track.embedding, track.tags.probabilities, _hash(path))


def song_path(song: Song, source: CandidateSource) -> str:
    """Return the path of a track as the library has it; of a track that is not there, its absolute path.

    Raises:
        InputError: If it is a `musiczoo.Track` without a path.
    """
    path = song.path if isinstance(song, Track) else os.path.expanduser(song)
    if path is None:
        raise InputError("A track of a path needs a file, got a Track without a path. Analyze a file instead.")
    entry = source.find(path)
    return entry.path if entry else str(absolute(path))


def tag_names(config: LibraryConfig, probabilities: NDArray[np.floating]) -> list[str]:
    """Return the names of the predicted tags, the most probable first."""
    return [tag.name for tag in predicted_tags(config.tags, probabilities, config.thresholds)]


def _features(
    config: LibraryConfig, name: str, number: int | None, embedding: Floats, tags: Floats, digest: str | None
) -> TrackFeatures:
    if not embedding.any():
        raise InputError(
            f"Cannot search by {name}: it is silent throughout, so it has no embedding. Choose another track."
        )
    parts = [units(embedding[start:stop]) for start, stop in sorted(config.spaces.values())]
    return TrackFeatures(number, np.concatenate(parts), tags, digest)


def _hash(path: str | None) -> str | None:
    """Return the hash of a file's contents; None if there is no file."""
    try:
        return content_hash(path) if path else None
    except (OSError, ValueError):
        return None


def _query_vector(
    config: LibraryConfig,
    songs: list[TrackFeatures],
    of: Mapping[str, TrackFeatures],
    unlike: list[TrackFeatures],
    points: Mapping[str, Doubles],
    weights: Mapping[str, float] | None,
) -> QueryVector:
    wanted: dict[str, Doubles] = {}
    directions: dict[str, Doubles] = {}
    named: list[str] = []
    for name, (start, stop) in config.spaces.items():
        examples = [of[name]] if name in of else songs
        parts = [_mean(song.units[start:stop] for song in examples)] if examples else []
        of_tags = [point[start:stop] for point in points.values() if point[start:stop].any()]
        parts += [_mean(of_tags)] if of_tags else []
        if name in of or of_tags:
            named.append(name)
        if parts:
            wanted[name] = directions[name] = _mean(parts)
        if unlike:
            away = _mean(song.units[start:stop] for song in unlike)
            directions[name] = units(wanted[name] - UNLIKE * away) if parts else -away
    default = list(config.spaces) if songs or not wanted else named
    shares = weight_shares(dict.fromkeys(default, 1.0) if weights is None else weights, directions)
    if not any(directions[name].any() for name in shares):
        raise InputError(
            f"The query has no embedding in {', '.join(shares)}: is it silence? Choose other tracks or other weights."
        )
    return QueryVector(directions, shares, _tags(config, songs, of) | frozenset(points))


def _tag_points(tags: list[str], source: CandidateSource) -> dict[str, Doubles]:
    """Return tag -> its point ``[E]``."""
    if not tags:
        return {}
    points = source.model().tag_points()
    if points is None:
        raise InputError(
            f"Cannot search by tags: the model {source.config.model} has no points for tags. Filter by the tag "
            f"instead: --having {tags[0]!r}, or Filters(having={{{tags[0]!r}: None}})."
        )
    found = {tag: points[source.config.tags.index(tag)].astype(np.float64) for tag in tags}
    for tag, point in found.items():
        if not point.any():
            raise InputError(f"Cannot search by the tag {tag!r}: the model has no point for it. Choose another tag.")
    return found


def _tags(config: LibraryConfig, songs: list[TrackFeatures], of: Mapping[str, TrackFeatures]) -> frozenset[str]:
    """Return the predicted tags of the tracks' mean; in the dimensions of `of`, those of its track."""
    found: set[str] = set()
    if songs:
        found = set(tag_names(config, np.mean([song.tags for song in songs], axis=0)))
    for space, song in of.items():
        tags = set(config.dimensions.get(space, config.tags))
        found = found - tags | tags.intersection(tag_names(config, song.tags))
    return frozenset(found)


def _mean(vectors: Iterable[Doubles]) -> Doubles:
    """Return the mean of unit vectors, at length 1."""
    return units(np.mean(list(vectors), axis=0))
