"""The excerpts of a batch: positions in the tracks of a split, as a function of the seed and the step alone.

Conventions
-----------
- A position is a track and a start in units of excerpts: 2.5 is the middle of the third excerpt.
- An epoch visits each excerpt of the grid once, in a new order, moved by up to half its length.
- Triplets of tags: anchor and positive share a tag that the negative lacks. Triplets of tracks: anchor and positive are
  excerpts of one track that overlap by half at most; the negative is an excerpt of another track.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), sections 3.1 and 4.2; ICASSP 2020 (arXiv:2008.03720).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from musiczoo.errors import DatasetError

LEAST_SHIFT = 0.5
"""Smallest distance between two excerpts of a track, in units of excerpts: they overlap by half."""


@dataclass(frozen=True)
class Positions:
    """The positions of the excerpts of a batch.

    Attributes:
        tracks: ``[N]`` indices of tracks.
        starts: ``[N]`` starts in units of excerpts.
    """

    tracks: NDArray[np.int64]
    starts: NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """The excerpts of a split, and the tags of their tracks.

    Attributes:
        rows: Number of whole excerpts of each track, ``[tracks]``.
        tags: The tags of each track, ``[tracks, T]`` bool.
        tag_dimensions: The dimension of each tag.
    """

    rows: NDArray[np.int64]
    tags: NDArray[np.bool_]
    tag_dimensions: Sequence[str]

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Whether some tracks have and others lack each tag: ``[T]`` bool."""
        return np.asarray(self.tags.any(axis=0) & ~self.tags.all(axis=0))

    @cached_property
    def anchorable(self) -> NDArray[np.int64]:
        """The tracks that have a usable tag."""
        return np.flatnonzero(self.tags[:, self.usable].any(axis=1))

    @cached_property
    def with_tag(self) -> list[NDArray[np.int64]]:
        """The tracks with each tag."""
        return [np.flatnonzero(column) for column in self.tags.T]

    @cached_property
    def without_tag(self) -> list[NDArray[np.int64]]:
        """The tracks without each tag."""
        return [np.flatnonzero(~column) for column in self.tags.T]

    def steps(self, size: int) -> int:
        """Return the number of whole batches of `size` excerpts in an epoch.

        Raises:
            DatasetError: If there are fewer excerpts than `size`.
        """
        total = int(self.rows.sum())
        if total < size:
            raise DatasetError(f"Expected at least one batch of {size} excerpts, found {total}. Use a smaller batch.")
        return total // size


def excerpts(grid: Grid, step: int, size: int, seed: int) -> Positions:
    """Return the positions of the `size` excerpts of one step.

    Example:
        >>> grid = Grid(np.array([5, 3]), np.array([[True], [False]]), ["genre"])
        >>> sorted(excerpts(grid, step=0, size=8, seed=0).tracks.tolist())
        [0, 0, 0, 0, 0, 1, 1, 1]
    """
    steps = grid.steps(size)
    order = _order(seed, step // steps, int(grid.rows.sum()))
    tracks, rows = _where(grid, order[step % steps * size :][:size])
    shifts = np.random.default_rng((seed, step, 1)).uniform(-0.5, 0.5, size)
    return Positions(tracks, rows + shifts)


def pairs(grid: Grid, step: int, size: int, seed: int) -> Positions:
    """Return `size` positions in pairs: an excerpt, and another of the same track at least half a length away.

    The first of each pair are those of `excerpts`, so visiting each excerpt takes two epochs. A track that is too short
    for two excerpts gives the same one twice. The last excerpt of an odd `size` has no partner.
    """
    first = excerpts(grid, step, (size + 1) // 2, seed)
    random = np.random.default_rng((seed, step, 2))
    second = [
        _elsewhere(random, position, grid.rows[t]) for t, position in zip(first.tracks, first.starts, strict=True)
    ]
    return Positions(np.repeat(first.tracks, 2)[:size], np.stack([first.starts, second], axis=1).ravel()[:size])


def triplets(
    grid: Grid, step: int, size: int, seed: int, with_tracks: bool = False
) -> tuple[Positions, NDArray[np.float32]]:
    """Return explicit triplets whose anchors are those of `excerpts`.

    Args:
        grid: The split.
        step: Number of the step.
        size: Number of samples.
        seed: Seed of the run.
        with_tracks: Whether each sample also has a triplet of tracks with the same anchor.

    Returns:
        ``3 * size`` or ``5 * size`` positions: anchor, positive, negative; with tracks, then the positive and the
        negative of the anchor's track. And tags, ``[the same number, T]`` float32: 1 for the sample's tag, in all its
        rows.

    Raises:
        DatasetError: If there is no tag that some tracks have and others lack.
    """
    anchors = excerpts(grid, step, size, seed)
    random = np.random.default_rng((seed, step, 3))
    names = list(dict.fromkeys(grid.tag_dimensions))
    dimension_of = np.array([names.index(name) for name in grid.tag_dimensions])
    usable, anchorable = grid.usable, grid.anchorable
    if not len(anchorable):
        raise DatasetError("Expected a tag that some tracks have and others lack, found none. Are there labels?")
    tracks, positions, chosen = [], [], []
    for anchor, position in zip(anchors.tracks, anchors.starts, strict=True):
        if not (grid.tags[anchor] & usable).any():  # it cannot be an anchor: another track replaces it
            anchor = random.choice(anchorable)
            position = _anywhere(random, grid.rows[anchor])
        tags = np.flatnonzero(grid.tags[anchor] & usable)
        # First the dimension: most tags are genres.
        dimension = random.choice(np.unique(dimension_of[tags]))
        tag = random.choice(tags[dimension_of[tags] == dimension])
        alike = grid.with_tag[tag]
        place = int(np.searchsorted(alike, anchor))
        positive = alike[_other(random, len(alike), place)] if len(alike) > 1 else anchor
        sample = [anchor, positive, random.choice(grid.without_tag[tag])]
        starts = [position, *(_anywhere(random, grid.rows[t]) for t in sample[1:])]
        if with_tracks:
            other_track = _other(random, len(grid.rows), anchor)
            sample += [anchor, other_track]
            starts += [_elsewhere(random, position, grid.rows[anchor]), _anywhere(random, grid.rows[other_track])]
        tracks += sample
        positions += starts
        chosen += [tag] * len(sample)
    return Positions(np.array(tracks), np.array(positions)), np.eye(len(dimension_of), dtype=np.float32)[chosen]


@lru_cache(maxsize=4)  # training and validation, at the boundary of two epochs
def _order(seed: int, epoch: int, total: int) -> NDArray[np.int64]:
    """Return the order of the excerpts of an epoch, which all its steps share: there may be millions."""
    return np.random.default_rng((seed, epoch)).permutation(total)


def _other(random: np.random.Generator, count: int, left_out: int) -> int:
    """Return a random number below `count` other than `left_out`."""
    number = int(random.integers(count - 1))
    return number + (number >= left_out)


def _where(grid: Grid, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tracks and rows of excerpts that are numbered through all tracks."""
    ends = np.cumsum(grid.rows)
    tracks = np.searchsorted(ends, numbers, side="right")
    return tracks, numbers - (ends - grid.rows)[tracks]


def _anywhere(random: np.random.Generator, rows: int) -> float:
    return float(random.uniform(0, max(rows - 1, 0)))


def _elsewhere(random: np.random.Generator, position: float, rows: int) -> float:
    """Return a start in the same track whose excerpt overlaps by half at most, if the track is long enough."""
    last = float(max(rows - 1, 0))
    position = min(max(position, 0.0), last)
    before, after = max(position - LEAST_SHIFT, 0.0), max(last - position - LEAST_SHIFT, 0.0)
    if before + after == 0:
        return last if position < last / 2 else 0.0
    draw = random.uniform(0, before + after)
    return float(draw if draw < before else position + LEAST_SHIFT + draw - before)
