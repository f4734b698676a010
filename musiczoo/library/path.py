"""Paths: playlists that lead from one track to another in small steps.

Definition
----------
With w_s the weights (their sum is 1) and x_s the unit vectors of a track x, the *similarity* of two tracks is the score
of a search, s(x, y) = sum_s w_s <x_s, y_s>, and their squared distance is 2 - 2 s(x, y).

A path of k tracks from A to B, with n = k - 2 tracks between them:

- *Targets*: n points that divide the great circle from A to B evenly, in each space. The j-th track is one of the
  `NEAR` tracks that are most similar to the j-th target.
- *Progress*: t(x) = <x - A, B - A> / |B - A|^2, the position of x on the line from A (0) to B (1). It rises from each
  track to the next, by more than 1e-9. So no track repeats.
- *Steps*: of all such sequences, the path is one whose smallest similarity of neighbors is the highest, and among those
  one whose sum of similarities is the highest. In other words, no other choice has a smaller largest step.
- *Waypoints*: a path through C is a path from A to C and one from C to B. The number of tracks between is divided in
  proportion to the distances. The parts are found in order, and a later part uses no track of an earlier one.
- *Recordings*: of the files of one recording (`musiczoo.library.duplicates`), the first by path is used. The tracks
  that you name are kept as they are, and no other file of their recordings is used.
- If fewer than n of the nearest tracks are in order, `NEAR` is doubled until there is a path.

Similarities are rounded to nine digits, equal ones are decided by path, and nothing is random: the same library and the
same request give the same path.

Why not the nearest track to each target
----------------------------------------
That choice is close to the great circle, but nothing limits its steps: neighbors may lie on opposite sides of it. A
shortest path in a graph of nearest neighbors has small steps, but not the number of tracks that was asked for, and it
may lead away from B first. Here, dynamic programming over the targets (Viterbi's algorithm) finds the optimum exactly,
with k times `NEAR`^2 similarities, however large the library is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .._paths import AnyPath, to_bytes
from ..errors import InputError
from .duplicates import CLOSE, Candidate, ResultFilter
from .engines import Rows
from .filters import Filters
from .query import EACH, CandidateSource, Query, QueryVector, Song, compile_query, song_path
from .records import Entry
from .vectors import Doubles, Snapshot

NEAR = 50
"""Tracks near each target among which a path chooses: enough for small steps, few enough to stay near the line."""

_DIGITS = 9
"""Digits after the point of similarities and progress when they are compared: more would be rounding errors."""

_JSON_DIGITS = 6
_SMALL = 10.0**-_DIGITS
_PARALLEL = 1e-6
"""Angle below which two vectors count as parallel: the arc cosine is no more precise than 1e-8."""


@dataclass(frozen=True)
class Step:
    """A track of a path: see `Library.path_between`.

    Attributes:
        path: Path of its file.
        progress: Position from the first track (0) to the last (1).
        score: Similarity to the track before, -1 to 1: the weighted mean of the cosines; None for the first track.
        dimensions: Dimension -> cosine with the track before, -1 to 1; empty for the first track.
        named: Whether you named the track: start, end or waypoint.
        title: Title in the file's metadata; None if it has none.
        artist: Artist in the file's metadata; None if it has none.
        album: Album in the file's metadata; None if it has none.
        duplicates: Paths of other files of the same recording.

    Example:
        >>> from musiczoo.library import Step
        >>> Step("b.mp3", 0.5, 0.91, {"genre": 0.91}).as_dict(position=2)
        {'position': 2, 'path': 'b.mp3', 'progress': 0.5, 'score': 0.91, 'dimensions': {'genre': 0.91}, 'named': False}
    """

    path: str
    progress: float
    score: float | None
    dimensions: Mapping[str, float]
    named: bool = False
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    duplicates: tuple[str, ...] = ()

    def as_dict(self, position: int) -> dict[str, Any]:
        """Return the track as a JSON object.

        Args:
            position: Its position on the path, from 1.

        Returns:
            ``position``, ``path``, ``progress``, ``score``, ``dimensions`` and ``named``; ``duplicates`` only if there
            are any.

        Example:
            >>> from musiczoo.library import Step
            >>> Step("a.mp3", 0.0, None, {}, named=True).as_dict(position=1)["score"] is None
            True
        """
        record: dict[str, Any] = {
            "position": position,
            "path": self.path,
            "progress": round(self.progress, _JSON_DIGITS),
            "score": None if self.score is None else round(self.score, _JSON_DIGITS),
            "dimensions": {name: round(cosine, _JSON_DIGITS) for name, cosine in self.dimensions.items()},
            "named": self.named,
        }
        return record | ({"duplicates": list(self.duplicates)} if self.duplicates else {})


@dataclass(frozen=True, eq=False)
class _Point:
    """A track of a path before it becomes a `Step`: named or found."""

    path: str
    entry: Entry | None
    units: Doubles
    progress: float
    named: bool = True
    duplicates: tuple[str, ...] = ()


def path_between(
    source: CandidateSource,
    start: Song,
    end: Song,
    k: int = 10,
    through: Sequence[Song] = (),
    weights: Mapping[str, float] | None = None,
    filters: Filters | None = None,
    *,
    exclude: Iterable[AnyPath] = (),
) -> list[Step]:
    """Return a path between two tracks: see `Library.path_between`, which has the arguments and errors.

    Args:
        source: Where to search.
        start: See `Library.path_between`, as all others.
        end: The last track.
        k: Number of tracks.
        through: Waypoints.
        weights: Dimension -> weight.
        filters: Conditions on the tracks between.
        exclude: Paths of tracks that are not used.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import musiczoo, musiczoo.demo, soundfile
        >>> from musiczoo.library.path import path_between
        >>> music = Path(tempfile.mkdtemp())
        >>> samples, rate = soundfile.read(musiczoo.demo.PATH)
        >>> soundfile.write(music / "first.flac", samples[: 12 * rate], rate)
        >>> soundfile.write(music / "second.flac", samples[12 * rate :], rate)
        >>> with musiczoo.Library.build(
        ...     "disentangled-classification", music, path=music / "music.db", progress=False
        ... ) as library:
        ...     steps = path_between(library, music / "first.flac", music / "second.flac", k=2)
        >>> [(Path(step.path).name, step.progress) for step in steps]
        [('first.flac', 0.0), ('second.flac', 1.0)]
    """
    if isinstance(through, str | bytes) or not isinstance(through, Sequence):
        raise InputError(f"Expected a list of waypoints, got {through!r}. Pass [{through!r}].")
    songs = (start, *through, end)
    if isinstance(k, bool) or not isinstance(k, int) or k < len(songs):
        raise InputError(f"k must be a whole number from {len(songs)}, the number of tracks that you name, got {k!r}.")
    names = [song_path(song, source) for song in songs]
    compiled = compile_query(Query(songs=songs, combine=EACH), source, weights)
    named = compiled.tracks
    keys = [track.hash or name for name, track in zip(names, named, strict=True)]
    for i, key in enumerate(keys):
        if key in keys[:i]:
            raise InputError(f"A path names each track once, but {names[i]} is there twice. Leave one out.")
    shares = compiled.vectors[0].weights
    scale = _scale(source, shares)
    distances = [float(np.linalg.norm(scale * (b.units - a.units))) for a, b in pairwise(named)]
    for i, distance in enumerate(distances):
        if distance < _SMALL:
            raise InputError(
                f"There is no path from {names[i]} to {names[i + 1]}: their embeddings are the same in "
                f"{', '.join(shares)}. Choose another track or other weights."
            )
    snapshot, allowed = source.candidates(filters)
    entries = [source.find(name) for name in names]
    left_out = [entry for path in exclude if (entry := source.find(path)) is not None]
    ids = [number for number in (*(t.id for t in named), *(e.id for e in left_out)) if number is not None]
    search = _Search(
        source,
        shares,
        scale,
        snapshot,
        allowed,
        without=snapshot.rows(np.array(ids, np.int64)),
        hashes={track.hash for track in named if track.hash} | {entry.hash for entry in left_out},
        used=[Candidate(e, t.units, 0.0, 0) for e, t in zip(entries, named, strict=True) if e is not None],
    )
    ends = [
        _Point(name, entry, track.units, sum(distances[:i]) / sum(distances))
        for i, (name, entry, track) in enumerate(zip(names, entries, named, strict=True))
    ]
    points = ends[:1]
    for count, (a, b) in zip(divided(k - len(songs), distances), pairwise(ends), strict=True):
        points += [*search.between(a, b, count), b]
    return list(_steps(points, shares, source.config.spaces))


def divided(count: int, distances: Sequence[float]) -> list[int]:
    """Divide a number of tracks among the parts of a path, in proportion to their distances.

    Each part gets its share rounded down; the rest goes to the largest remainders, of equal ones to the first.

    Example:
        >>> from musiczoo.library.path import divided
        >>> divided(10, [1.0, 2.0, 1.0])
        [3, 5, 2]
    """
    shares = [count * distance / sum(distances) for distance in distances]
    found = [int(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: found[i] - shares[i])
    for i in by_remainder[: count - sum(found)]:
        found[i] += 1
    return found


def great_circle(a: Doubles, b: Doubles, t: float) -> Doubles:
    """Return the point at the share t of the way between two unit vectors, along the great circle.

    Between opposite vectors, between which there are many, it is the nearer of the two. Where one of the two is zero,
    it is the line between them.

    Example:
        >>> import numpy as np
        >>> from musiczoo.library.path import great_circle
        >>> great_circle(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.5).round(3).tolist()
        [0.707, 0.707]
    """
    angle = float(np.arccos(np.clip(a @ b, -1, 1)))
    if not (a.any() and b.any()) or angle < _PARALLEL:
        return (1 - t) * a + t * b
    if np.pi - angle < _PARALLEL:
        return a if t <= 0.5 else b
    point: Doubles = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return point


@dataclass(eq=False)
class _Search:
    """The tracks of a library that a path may use.

    Attributes:
        source: The library.
        shares: Space -> weight; they sum to 1.
        scale: ``[E]``, the square roots of the weights: scaled vectors have the similarities as inner products.
        snapshot: Its embeddings.
        allowed: Rows that pass the filters; None for all.
        without: Rows that are not used, or are used already.
        hashes: Hashes of files whose copies are not used.
        used: Tracks of the path, of whose recordings no other file is used.
    """

    source: CandidateSource
    shares: Mapping[str, float]
    scale: Doubles
    snapshot: Snapshot
    allowed: Rows | None
    without: Rows
    hashes: set[str]
    used: list[Candidate]

    def between(self, start: _Point, end: _Point, count: int) -> list[_Point]:
        """Return `count` tracks between two, which are left out, and note that they are used."""
        if not count:
            return []
        a, b = start.units, end.units
        most = len(self.snapshot.ids) if self.allowed is None else len(self.allowed)
        near = NEAR
        while True:
            rows = [self._near(a, b, j / (count + 1), near) for j in range(1, count + 1)]
            layers, tracks, duplicates, progress = self._candidates(a, b, rows)
            vectors = np.array([track.units for track in tracks]).reshape(-1, len(a)) * self.scale
            chosen = best_sequence(vectors, progress, layers, a * self.scale, b * self.scale)
            if chosen is not None:
                break
            if near >= most:
                raise InputError(
                    f"Too few tracks between {start.path} and {end.path}: {count} needed, {len(np.unique(progress))} "
                    "in the library. Use a smaller k, fewer filters, or a larger library."
                )
            near *= 2
        self.used += [tracks[i] for i in chosen]
        ids = [tracks[i].entry.id for i in chosen]
        self.without = np.union1d(self.without, self.snapshot.rows(np.array(ids, np.int64)))
        length = end.progress - start.progress
        return [
            _Point(
                tracks[i].entry.path,
                tracks[i].entry,
                tracks[i].units,
                start.progress + length * float(progress[i]),
                named=False,
                duplicates=tuple(duplicates[i]),
            )
            for i in chosen
        ]

    def _near(self, a: Doubles, b: Doubles, t: float, count: int) -> Rows:
        """Return the rows of the tracks that are most similar to a target."""
        spaces = self.source.config.spaces
        target = {name: great_circle(a[slice(*spaces[name])], b[slice(*spaces[name])], t) for name in self.shares}
        vector = QueryVector(target, self.shares, frozenset()).vector(spaces)
        return self.snapshot.nearest(vector, count, self.allowed, self.without)[0]

    def _candidates(
        self, a: Doubles, b: Doubles, rows: Sequence[Rows]
    ) -> tuple[list[Rows], list[Candidate], list[list[str]], Doubles]:
        """Return numbers of candidates near each target; and the candidates by path, their copies and progress."""
        spaces = self.source.config.spaces
        union = np.unique(np.concatenate(rows))
        units = self.snapshot.matrix[union].astype(np.float64) * len(spaces) ** 0.5
        line = self.scale**2 * (b - a)
        progress = np.round((units - a) @ line / ((b - a) @ line), _DIGITS)
        between = (progress > 0) & (progress < 1) & units.any(axis=1)
        row_of = {int(self.snapshot.ids[union[i]]): int(i) for i in np.flatnonzero(between)}
        found = [Candidate(entry, units[row_of[entry.id]], 0.0, 0) for entry in self.source.entries(list(row_of))]
        found = [candidate for candidate in found if candidate.entry.hash not in self.hashes]
        found.sort(key=lambda candidate: to_bytes(candidate.entry.path))
        kept, duplicates = _folded(found, self.used, ResultFilter(spaces))
        order = np.array([row_of[candidate.entry.id] for candidate in kept], np.int64)
        layers = [np.flatnonzero(np.isin(union[order], layer)) for layer in rows]
        return layers, kept, duplicates, progress[order]


def best_sequence(
    vectors: Doubles, progress: Doubles, layers: Sequence[Rows], start: Doubles, end: Doubles
) -> list[int] | None:
    """Return the candidates with the smallest largest step: see the definition above.

    Args:
        vectors: ``[C, E]``, the candidates' vectors, whose inner products are similarities.
        progress: ``[C]``, their positions between start (0) and end (1).
        layers: For each target, the numbers of the candidates near it, ascending.
        start: ``[E]``, the vector of the first track.
        end: ``[E]``, the vector of the last track.

    Returns:
        A candidate for each target; None if no sequence has rising progress.

    Example:
        >>> import numpy as np
        >>> from musiczoo.library.path import best_sequence
        >>> angles = np.radians([10, 30, 50, 60])
        >>> vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        >>> progress = angles / np.radians(90)
        >>> layers = [np.array([0, 1, 2]), np.array([1, 2, 3])]
        >>> best_sequence(vectors, progress, layers, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
        [1, 3]
    """
    steps: list[Doubles] = []  # [from, to]: similarities; -inf where progress does not rise
    before, position = start[np.newaxis], np.zeros(1)
    for layer in (*layers, None):
        after = end[np.newaxis] if layer is None else vectors[layer]
        ahead = np.ones(1) if layer is None else progress[layer]
        step = np.round(np.einsum("be,ae->ba", before, after), _DIGITS)
        steps.append(np.where(ahead > position[:, np.newaxis] + _SMALL / 2, step, -np.inf))
        before, position = after, ahead
    if any(step.size == 0 for step in steps):
        return None
    smallest = np.full(1, np.inf)
    for step in steps:
        smallest = np.minimum(smallest[:, np.newaxis], step).max(axis=0)
    if not np.isfinite(smallest[0]):
        return None
    total, origins = np.zeros(1), []
    for step in steps:
        sums = total[:, np.newaxis] + np.where(step >= smallest[0], step, -np.inf)
        origins.append(sums.argmax(axis=0))
        total = sums.max(axis=0)
    chosen, at = [], 0
    for layer, origin in zip(reversed(layers), reversed(origins), strict=False):
        at = int(origin[at])
        chosen.append(int(layer[at]))
    return chosen[::-1]


def _folded(
    candidates: Sequence[Candidate], used: Sequence[Candidate], rule: ResultFilter
) -> tuple[list[Candidate], list[list[str]]]:
    """Return the first file of each recording that is not used yet, and the paths of its other files."""
    files = [*used, *candidates]
    units = np.array([candidate.units for candidate in files])
    likely = len(rule.spaces) * (CLOSE - _SMALL)  # files of one recording have a cosine of CLOSE in each space
    recordings: dict[int, list[str]] = {}  # number of its first file -> paths of the others
    for i, candidate in enumerate(files):
        near = [
            j for j in np.flatnonzero(np.einsum("ue,e->u", units[:i], units[i]) >= likely).tolist() if j in recordings
        ]
        first = next((j for j in near if i >= len(used) and rule.one_recording(files[j], candidate)), i)
        if first == i:
            recordings[i] = []
        else:
            recordings[first].append(candidate.entry.path)
    new = [i for i in recordings if i >= len(used)]
    return [files[i] for i in new], [recordings[i] for i in new]


def _scale(source: CandidateSource, shares: Mapping[str, float]) -> Doubles:
    scale = np.zeros(source.config.embedding_size)
    for name, weight in shares.items():
        scale[slice(*source.config.spaces[name])] = weight**0.5
    return scale


def _steps(
    points: Sequence[_Point], shares: Mapping[str, float], spaces: Mapping[str, tuple[int, int]]
) -> Iterator[Step]:
    before: _Point | None = None
    for point in points:
        cosines = {
            name: float(before.units[start:stop] @ point.units[start:stop])
            for name, (start, stop) in spaces.items()
            if before is not None
        }
        yield Step(
            path=point.path,
            progress=point.progress,
            score=sum(weight * cosines[name] for name, weight in shares.items()) if cosines else None,
            dimensions=cosines,
            named=point.named,
            title=point.entry.title if point.entry else None,
            artist=point.entry.artist if point.entry else None,
            album=point.entry.album if point.entry else None,
            duplicates=point.duplicates,
        )
        before = point
