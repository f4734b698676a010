"""Similar artists and albums: each is the mean of its tracks.

Definition
----------
- The *tracks* of an artist are those that name the artist, alone or with others (see `metadata`). The tracks of an
  album are those of one `duplicates.album_key`: a title by an album artist or, without one, in a folder. Files with the
  same contents count once.
- The *mean* m_s of an artist or album in a space s is the mean of the unit vectors of its tracks, rescaled to length 1.
  Where all tracks are silent, it is zero.
- The *score* of two is the weighted mean of their cosines, sum_s w_s <m_s(a), m_s(b)> / sum_s w_s: -1 to 1, as in a
  search. Their *distance* is 1 - score, 0 to 2.
- Results have at least `min_tracks` tracks; the artist or album that you name may have fewer. They are ordered by
  score, equal ones by name. Silent ones, and the one that you name, are not results.
- A name is the most frequent spelling of it; case, Unicode composition and spaces do not matter.

The mean of many tracks lies nearer to the center of a library than a track does: scores are higher than those of a
search. A mean of few tracks says less, which is what `min_tracks` is for.
"""

import difflib
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, UnknownNameError
from .database import Database
from .duplicates import album_key, artist_key, unique_files
from .engines import EXACT, Rows, build
from .metadata import normalize_name, split_names
from .query import QueryVector, check_dimensions, weight_shares
from .records import Entry, checked_columns
from .vectors import Snapshot, Vectors, normalize_spaces, units

_DIGITS = 6
"""Digits after the point of numbers in JSON."""

_SUGGESTED = 3
"""Most names that an error suggests."""

_COMPARED = 100
"""Names with the most pairs of letters in common that are compared for a suggestion."""

_CLOSE = 0.5
"""Least similarity of a suggested name, 0 to 1 (see `difflib.get_close_matches`)."""

_COLUMNS = ("id", "path", "hash", "artist", "artists", "album", "album_artist")
"""Columns that tell artists and albums."""

_NOTHING = np.zeros(0, np.float32)


class _Scored:
    """What has a score."""

    score: float

    @property
    def distance(self) -> float:
        """1 - score: 0 to 2."""
        return 1 - self.score


@dataclass(frozen=True)
class SimilarArtist(_Scored):
    """An artist similar to another: see `Library.similar_artists`.

    Attributes:
        artist: Name of the artist.
        score: Weighted mean of the cosines, -1 to 1.
        dimensions: Dimension -> cosine, -1 to 1, also of those with weight 0.
        tracks: Number of tracks of the artist; files with the same contents count once.

    Example:
        >>> from musiczoo.library import SimilarArtist
        >>> artist = SimilarArtist("Nina Simone", 0.75, {"genre": 0.75}, 12)
        >>> artist.distance, artist.as_dict(rank=1)["tracks"]
        (0.25, 12)
    """

    artist: str
    score: float
    dimensions: Mapping[str, float]
    tracks: int

    def as_dict(self, rank: int) -> dict[str, Any]:
        """Return the artist as a JSON object.

        Args:
            rank: Its rank, from 1.

        Returns:
            ``rank``, ``artist``, ``score``, ``dimensions`` and ``tracks``.

        Example:
            >>> from musiczoo.library import SimilarArtist
            >>> SimilarArtist("Nina Simone", 0.75, {"genre": 0.75}, 12).as_dict(rank=1)
            {'rank': 1, 'artist': 'Nina Simone', 'score': 0.75, 'dimensions': {'genre': 0.75}, 'tracks': 12}
        """
        return {"rank": rank, "artist": self.artist, **_numbers(self)}


@dataclass(frozen=True)
class SimilarAlbum(_Scored):
    """An album similar to another: see `Library.similar_albums`.

    Attributes:
        album: Title of the album.
        artist: Its album artist; without one, the artist of all its tracks. None if they have several or none.
        score: Weighted mean of the cosines, -1 to 1.
        dimensions: Dimension -> cosine, -1 to 1, also of those with weight 0.
        tracks: Number of tracks of the album; files with the same contents count once.

    Example:
        >>> from musiczoo.library import SimilarAlbum
        >>> SimilarAlbum("Pastel Blues", "Nina Simone", 0.75, {"genre": 0.75}, 9).distance
        0.25
    """

    album: str
    artist: str | None
    score: float
    dimensions: Mapping[str, float]
    tracks: int

    def as_dict(self, rank: int) -> dict[str, Any]:
        """Return the album as a JSON object.

        Args:
            rank: Its rank, from 1.

        Returns:
            ``rank``, ``album``, ``artist``, ``score``, ``dimensions`` and ``tracks``.

        Example:
            >>> from musiczoo.library import SimilarAlbum
            >>> SimilarAlbum("Pastel Blues", None, 0.75, {"genre": 0.75}, 9).as_dict(rank=2)["artist"] is None
            True
        """
        return {"rank": rank, "album": self.album, "artist": self.artist, **_numbers(self)}


@dataclass(frozen=True, eq=False)
class Group:
    """An artist or an album.

    Attributes:
        key: What identifies it; its first part is its normalized name.
        name: The most frequent spelling of its name.
        artists: The artists of an album, normalized; empty for an artist.
        artist: The artist of an album to show; None for an artist, or if there is no single one.
        ids: Ids of its tracks.
    """

    key: tuple[str, ...]
    name: str
    artists: frozenset[str]
    artist: str | None
    ids: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Means:
    """The means of all artists, or of all albums, in one state of a library.

    Attributes:
        groups: The artists or albums, by key.
        counts: ``[G]``, their numbers of tracks.
        snapshot: Their means as if they were tracks; ids are the numbers of the groups.
    """

    groups: Sequence[Group]
    counts: Rows
    snapshot: Snapshot


GroupBy = Callable[[Iterable[Entry]], Iterable[Group]]
"""`artists_of` or `albums_of`."""


class Groups:
    """The artists and albums of an open library. Their means are computed at the first query, and after changes.

    Safe to use from several threads: two may compute the same means at the same time, with the same result.
    """

    def __init__(self, vectors: Vectors) -> None:
        """Keep the embeddings; nothing is read yet."""
        self._vectors = vectors
        self._config = vectors.database.config
        self._known: dict[GroupBy, Means] = {}

    def similar_artists(
        self, artist: str, k: int = 10, weights: Mapping[str, float] | None = None, min_tracks: int = 1
    ) -> list[SimilarArtist]:
        """Return the artists most similar to one: see `Library.similar_artists`, which has the arguments and errors."""
        means = self._means(artists_of)
        wanted = normalize_name(artist)
        number = next((i for i, group in enumerate(means.groups) if group.key[0] == wanted), None)
        if number is None:
            raise _unknown("artist", artist, means)
        found = nearest_groups(means, number, self._config.spaces, k, weights, min_tracks)
        return [SimilarArtist(group.name, score, cosines, count) for group, score, cosines, count in found]

    def similar_albums(
        self,
        album: str,
        artist: str | None = None,
        k: int = 10,
        weights: Mapping[str, float] | None = None,
        min_tracks: int = 1,
    ) -> list[SimilarAlbum]:
        """Return the albums most similar to one: see `Library.similar_albums`, which has the arguments and errors."""
        means = self._means(albums_of)
        number = _album(means, album, artist)
        found = nearest_groups(means, number, self._config.spaces, k, weights, min_tracks)
        return [SimilarAlbum(group.name, group.artist, score, cosines, count) for group, score, cosines, count in found]

    def _means(self, group_by: GroupBy) -> Means:
        tracks = self._vectors.current()
        known = self._known.get(group_by)
        if known is None or known.snapshot.revision != tracks.revision:
            groups = group_by(_names(self._vectors.database))
            known = self._known[group_by] = means_of(groups, tracks, self._config.spaces)
        return known


def means_of(groups: Iterable[Group], tracks: Snapshot, spaces: Mapping[str, tuple[int, int]]) -> Means:
    """Return the means of groups of tracks: see the definition."""
    found = sorted(groups, key=lambda group: group.key)
    members = [(group, tracks.rows(np.array(group.ids, np.int64))) for group in found]
    members = [(group, rows) for group, rows in members if len(rows)]  # others were removed meanwhile
    means = np.zeros((len(members), tracks.matrix.shape[1]), np.float32)
    for i, (_, rows) in enumerate(members):
        means[i] = tracks.matrix[rows].mean(axis=0, dtype=np.float64)
    means = normalize_spaces(means, spaces)
    numbers = np.arange(len(members), dtype=np.int64)
    counts = np.array([len(rows) for _, rows in members], np.int64)
    snapshot = Snapshot(tracks.revision, numbers, means, build(EXACT, means))
    return Means([group for group, _ in members], counts, snapshot)


def nearest_groups(
    means: Means,
    number: int,
    spaces: Mapping[str, tuple[int, int]],
    k: int,
    weights: Mapping[str, float] | None,
    min_tracks: int,
) -> Iterator[tuple[Group, float, dict[str, float], int]]:
    """Yield the k groups nearest to one, with score, cosines and number of tracks, nearest first.

    Args:
        means: All groups.
        number: Number of the one in `means`.
        spaces: Space -> (start, stop) columns.
        k: Number of results.
        weights: Dimension -> weight; None for equal ones.
        min_tracks: Least number of tracks of a result.
    """
    for name, value in (("k", k), ("min_tracks", min_tracks)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be a whole number from 1, got {value!r}.")
    check_dimensions(weights or (), spaces)
    matrix = means.snapshot.matrix
    if not matrix[number].any():
        raise InputError(f"Cannot search by {means.groups[number].name!r}: its tracks are silent. Choose another.")
    directions = {name: units(matrix[number, slice(*columns)]) for name, columns in spaces.items()}
    shares = weight_shares(dict.fromkeys(spaces, 1.0) if weights is None else weights, directions)
    vector = QueryVector(directions, shares, frozenset()).vector(spaces)
    allowed = np.flatnonzero((means.counts >= min_tracks) & matrix.any(axis=1))
    rows, scores = means.snapshot.nearest(vector, k, allowed, without=np.array([number]))
    for row, score in zip(rows[:k].tolist(), scores[:k].tolist(), strict=True):
        cosines = {
            name: float(directions[name] @ units(matrix[row, slice(*columns)])) for name, columns in spaces.items()
        }
        yield means.groups[row], score, cosines, int(means.counts[row])


def artists_of(entries: Iterable[Entry]) -> Iterator[Group]:
    """Yield the artists of tracks, each with the ids of its tracks."""
    members: dict[str, list[Entry]] = defaultdict(list)
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        # Where a file names each artist, its field "A feat. B" is not another one.
        names = split_names(None if entry.artists else entry.artist, entry.artists)
        for key, name in {normalize_name(name): name for name in names}.items():
            members[key].append(entry)
            spellings[key][name] += 1
    for key, tracks in members.items():
        yield Group((key,), _usual(spellings[key]), frozenset(), None, _ids(tracks))


def albums_of(entries: Iterable[Entry]) -> Iterator[Group]:
    """Yield the albums of tracks, each with the ids of its tracks."""
    members: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.album:
            members[album_key(entry)].append(entry)
    for key, tracks in members.items():
        titles = Counter(entry.album for entry in tracks if entry.album)
        by = Counter(entry.album_artist for entry in tracks if entry.album_artist)
        if not by and len({artist_key(entry) for entry in tracks}) == 1:
            by = Counter(entry.artist for entry in tracks if entry.artist)
        names = {name for entry in tracks for name in split_names(entry.artist, (*entry.artists, *by))}
        artists = frozenset(normalize_name(name) for name in names)
        yield Group(key, _usual(titles), artists, _usual(by) if by else None, _ids(tracks))


def close_names(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three names that are spelt like a name, the most similar first.

    Example:
        >>> from musiczoo.library.artists import close_names
        >>> close_names("Radiohed", ["Radiohead", "Portishead", "ABBA"])
        ['Radiohead']
    """
    wanted = normalize_name(name)
    spelt = {normalize_name(other): other for other in names}
    likely = heapq.nlargest(_COMPARED, spelt, key=lambda other: len(_pairs(wanted) & _pairs(other)))
    return [spelt[other] for other in difflib.get_close_matches(wanted, likely, _SUGGESTED, _CLOSE)]


def _pairs(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


def _unknown(kind: str, name: str, means: Means) -> UnknownNameError:
    if not means.groups:
        return UnknownNameError(
            f"Unknown {kind} {name!r}: no file of the library names {'an' if kind[0] == 'a' else 'a'} {kind}. Metadata "
            "need mutagen: pip install 'musiczoo[library]', then musiczoo index FOLDER --rescan."
        )
    close = close_names(name, [group.name for group in means.groups])
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "Names are those of the files' metadata."
    return UnknownNameError(f"Unknown {kind} {name!r}. {hint}")


def _album(means: Means, album: str, artist: str | None) -> int:
    """Return the number of an album."""
    wanted = normalize_name(album)
    named = [i for i, group in enumerate(means.groups) if wanted in (group.key[0], normalize_name(group.name))]
    if not named:
        raise _unknown("album", album, means)
    chosen = [i for i in named if artist is None or normalize_name(artist) in means.groups[i].artists]
    by = sorted({means.groups[i].artist or "several artists" for i in named})
    if not chosen:
        raise UnknownNameError(f"Unknown album {album!r} by {artist!r}. There is one by {', and one by '.join(by)}.")
    if artist is None and len(by) > 1:
        raise InputError(f"There are {len(by)} albums {album!r}: by {', by '.join(by)}. Name the artist, too.")
    return max(chosen, key=lambda i: (means.counts[i], -i))


def _names(database: Database) -> Iterator[Entry]:
    """Yield the tracks by path, with artists and album, but without the rest of their records."""
    for row in database.rows(f"SELECT {', '.join(_COLUMNS)} FROM tracks ORDER BY path"):
        fields = checked_columns(_COLUMNS, row)
        fields["artists"] = tuple((fields["artists"] or "").splitlines())
        yield Entry(size=0, mtime_ns=0, duration_s=0.0, excerpts=0, embedding=_NOTHING, tags=_NOTHING, **fields)


def _ids(tracks: Sequence[Entry]) -> tuple[int, ...]:
    """Return the ids of tracks; of files with the same contents, that of the first."""
    return tuple(entry.id for entry in unique_files(tracks))


def _usual(spellings: Counter[str]) -> str:
    """Return the most frequent spelling; of equally frequent ones, the first in order."""
    return min(spellings, key=lambda name: (-spellings[name], name))


def _numbers(found: SimilarArtist | SimilarAlbum) -> dict[str, Any]:
    return {
        "score": round(found.score, _DIGITS),
        "dimensions": {name: round(cosine, _DIGITS) for name, cosine in found.dimensions.items()},
        "tracks": found.tracks,
    }
