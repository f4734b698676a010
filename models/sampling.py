"""Which excerpts make a batch: places in the tracks of a split, as a function of seed and step alone.

Conventions
-----------
- A place is a track and a position in units of excerpts: 2.5 starts in the middle of its third one.
- An epoch visits each excerpt of the grid once, in a new order, moved by up to half its length.
- Triplets of tags: anchor and positive share a tag of one dimension, which the negative lacks. Triplets of
  tracks: anchor and positive are of one track and overlap by half at most; the negative is of another.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), sections 3.1 and 4.2; ICASSP 2020 (arXiv:2008.03720).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from musiczoo.errors import DatasetError

LEAST_SHIFT = 0.5
"""Excerpts of a track this far apart, in units of excerpts, overlap by half."""


@dataclass(frozen=True)
class Places:
    """Where the excerpts of a batch are.

    Attributes:
        tracks: ``[N]`` indices.
        positions: ``[N]`` starts in units of excerpts.
    """

    tracks: NDArray[np.int64]
    positions: NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """The excerpts of a split, and what their tracks have in common.

    Attributes:
        rows: ``[tracks]``: whole excerpts of each track.
        tags: ``[tracks, T]`` bool: which tags each has.
        tag_dimensions: For each tag, in order, its dimension.
    """

    rows: NDArray[np.int64]
    tags: NDArray[np.bool_]
    tag_dimensions: Sequence[str]

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Whether each tag distinguishes two tracks: ``[T]``."""
        return np.asarray(self.tags.any(axis=0) & ~self.tags.all(axis=0))

    @cached_property
    def anchorable(self) -> NDArray[np.int64]:
        """The tracks that have such a tag."""
        return np.flatnonzero(self.tags[:, self.usable].any(axis=1))

    @cached_property
    def with_tag(self) -> list[NDArray[np.int64]]:
        """For each tag, the tracks that have it."""
        return [np.flatnonzero(column) for column in self.tags.T]

    @cached_property
    def without_tag(self) -> list[NDArray[np.int64]]:
        """For each tag, the tracks that lack it."""
        return [np.flatnonzero(~column) for column in self.tags.T]

    def steps(self, size: int) -> int:
        """Whole batches of `size` excerpts in an epoch.

        Raises:
            DatasetError: If there is not even one.
        """
        total = int(self.rows.sum())
        if total < size:
            raise DatasetError(f"Expected at least one batch of {size} excerpts, found {total}. Use a smaller batch.")
        return total // size


def excerpts(grid: Grid, step: int, size: int, seed: int) -> Places:
    """The excerpts of one step, `size` in all."""
    steps = grid.steps(size)
    order = _order(seed, step // steps, int(grid.rows.sum()))
    tracks, rows = _where(grid, order[step % steps * size :][:size])
    shifts = np.random.default_rng((seed, step, 1)).uniform(-0.5, 0.5, size)
    return Places(tracks, rows + shifts)


def pairs(grid: Grid, step: int, size: int, seed: int) -> Places:
    """`size` excerpts of which each even one is followed by another of the same track, half a length away or more.

    The even ones are those of `excerpts`, so it takes two epochs to visit each once. A track that is too short
    for two lends the same excerpt twice. The last of an odd `size` is alone.
    """
    first = excerpts(grid, step, (size + 1) // 2, seed)
    random = np.random.default_rng((seed, step, 2))
    second = [
        _elsewhere(random, position, grid.rows[t]) for t, position in zip(first.tracks, first.positions, strict=True)
    ]
    return Places(np.repeat(first.tracks, 2)[:size], np.stack([first.positions, second], axis=1).ravel()[:size])


def triplets(
    grid: Grid, step: int, size: int, seed: int, with_tracks: bool = False
) -> tuple[Places, NDArray[np.float32]]:
    """Explicit triplets for `size` anchors, those of `excerpts`.

    Args:
        grid: The split.
        step: Number of the step.
        size: Samples.
        seed: Of the run.
        with_tracks: Whether a triplet of tracks with the same anchor follows each one.

    Returns:
        ``3 * size`` places, or ``5 * size``: anchor, positive, negative (, positive and negative of the track), and
        ``[the same number, D]`` with a 1 for the sample's dimension.

    Raises:
        DatasetError: If no tag tells two tracks apart.
    """
    anchors = excerpts(grid, step, size, seed)
    random = np.random.default_rng((seed, step, 3))
    names = list(dict.fromkeys(grid.tag_dimensions))
    dimension_of = np.array([names.index(name) for name in grid.tag_dimensions])
    usable, anchorable = grid.usable, grid.anchorable
    if not len(anchorable):
        raise DatasetError("Expected a tag that some tracks have and others lack, found none. Are there labels?")
    tracks, positions, dimensions = [], [], []
    for anchor, position in zip(anchors.tracks, anchors.positions, strict=True):
        if not (grid.tags[anchor] & usable).any():  # it cannot be an anchor: another takes its place
            anchor = random.choice(anchorable)
            position = _anywhere(random, grid.rows[anchor])
        tags = np.flatnonzero(grid.tags[anchor] & usable)
        # First the dimension, so that the many genres do not drown the others.
        dimension = random.choice(np.unique(dimension_of[tags]))
        tag = random.choice(tags[dimension_of[tags] == dimension])
        alike = grid.with_tag[tag]
        place = int(np.searchsorted(alike, anchor))
        positive = alike[_other(random, len(alike), place)] if len(alike) > 1 else anchor
        sample = [anchor, positive, random.choice(grid.without_tag[tag])]
        starts = [position, *(_anywhere(random, grid.rows[t]) for t in sample[1:])]
        if with_tracks:
            stranger = _other(random, len(grid.rows), anchor)
            sample += [anchor, stranger]
            starts += [_elsewhere(random, position, grid.rows[anchor]), _anywhere(random, grid.rows[stranger])]
        tracks += sample
        positions += starts
        dimensions += [dimension] * len(sample)
    return Places(np.array(tracks), np.array(positions)), np.eye(len(names), dtype=np.float32)[dimensions]


@lru_cache(maxsize=4)  # training and validation, at the border of two epochs
def _order(seed: int, epoch: int, total: int) -> NDArray[np.int64]:
    """The excerpts of an epoch in a new order: millions, and the same for all its steps."""
    return np.random.default_rng((seed, epoch)).permutation(total)


def _other(random: np.random.Generator, count: int, left_out: int) -> int:
    """A number below `count` other than one."""
    number = int(random.integers(count - 1))
    return number + (number >= left_out)


def _where(grid: Grid, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Track and row of excerpts counted through all tracks."""
    ends = np.cumsum(grid.rows)
    tracks = np.searchsorted(ends, numbers, side="right")
    return tracks, numbers - (ends - grid.rows)[tracks]


def _anywhere(random: np.random.Generator, rows: int) -> float:
    return float(random.uniform(0, max(rows - 1, 0)))


def _elsewhere(random: np.random.Generator, position: float, rows: int) -> float:
    """A position in the same track that overlaps with an excerpt by half at most, where the track is long enough."""
    last = float(max(rows - 1, 0))
    position = min(max(position, 0.0), last)
    before, after = max(position - LEAST_SHIFT, 0.0), max(last - position - LEAST_SHIFT, 0.0)
    if before + after == 0:
        return last if position < last / 2 else 0.0
    draw = random.uniform(0, before + after)
    return float(draw if draw < before else position + LEAST_SHIFT + draw - before)
