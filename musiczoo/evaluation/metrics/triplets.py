"""How often a track is nearer to one that shares a tag than to one that does not.

Conventions
-----------
- A triplet is three rows: anchor, positive, negative. Nearness is the inner product of their vectors, which for unit
  vectors is the cosine.
- *Of a dimension*: rows are tracks; anchor and positive share a tag of the dimension that the negative lacks. The tag
  is drawn first, uniformly among the usable ones (two tracks or more carry it, one or more lacks it), so that frequent
  tags count no more than rare ones; then the tracks.
- *Track triplets*: rows are excerpts, those of the first track, then those of the second, and so on; anchor and
  positive are excerpts of one track that overlap by at most half, the negative is one of another track.
- *Whole space* and *sub-space* judge the same triplets.

Metric
------
`accuracy`: the share of triplets with the anchor nearer to the positive than to the negative; ties count half.
Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.3. Its intervals come from drawing the anchors' tracks
with replacement, each with all of its triplets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from ..bootstrap import ratio_figures

PER_DIMENSION = 40_000
"""Triplets of a dimension, and track triplets, as in the paper."""
OVERALL = "overall"

_BLOCK = 8192

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Triplets:
    """Index arrays ``[triplets]``: rows of whatever is compared."""

    anchor: Rows
    positive: Rows
    negative: Rows

    @classmethod
    def of(cls, rows: ArrayLike) -> "Triplets":
        """From ``[triplets, 3]``: anchor, positive, negative."""
        anchor, positive, negative = np.asarray(rows, np.int64).reshape(-1, 3).T
        return cls(anchor, positive, negative)

    def rows(self) -> Rows:
        """As ``[triplets, 3]``."""
        return np.stack([self.anchor, self.positive, self.negative], axis=1)

    def __len__(self) -> int:
        return len(self.anchor)


def draw(
    positives: ArrayLike, tags: Sequence[str], dimensions: Mapping[str, Sequence[str]], count: int, seed: int = 0
) -> dict[str, Triplets]:
    """Draw triplets of each dimension.

    Args:
        positives: ``[tracks, tags]``, 0 or 1.
        tags: Names of the columns.
        dimensions: Dimension -> its tags.
        count: Triplets of a dimension.
        seed: Same seed, same triplets, whatever the other dimensions are.

    Returns:
        Dimension -> `count` triplets, or none where no tag is usable.

    Raises:
        InputError: If the arguments do not fit together.
    """
    carries = np.asarray(positives)
    if carries.ndim != 2 or carries.shape[1] != len(tags) or not np.all((carries == 0) | (carries == 1)):
        raise InputError(
            f"Expected positives of 0 and 1 for tracks and {len(tags)} tags, received shape {carries.shape}, or other "
            "values. musiczoo.datasets.hard_tags makes 0 and 1 of soft labels."
        )
    column = {tag: i for i, tag in enumerate(tags)}
    return {
        name: _of_dimension(
            carries[:, [column[tag] for tag in members]].astype(bool),
            count,
            np.random.default_rng([seed, *name.encode()]),
        )
        for name, members in dimensions.items()
    }


def draw_track(excerpts: Sequence[int], count: int, seed: int = 0, apart: int = 1) -> Triplets:
    """Draw track triplets: the anchor's track uniformly among those long enough, then all else uniformly.

    Args:
        excerpts: How many excerpts each track has.
        count: How many triplets.
        seed: Same seed, same triplets.
        apart: How many excerpts the positive is from the anchor at least: as many as it takes to overlap by at most
            half. Of excerpts that do not overlap, 1.

    Returns:
        Triplets of excerpts; none if there are fewer than two tracks, or none is long enough.
    """
    sizes = np.asarray(excerpts, np.int64)
    pairs = sizes - apart + 1  # i < j at least `apart` from each other are two different of so many
    usable = np.flatnonzero(pairs >= 2)
    if len(sizes) < 2 or not len(usable):
        return Triplets.of(np.zeros((0, 3)))
    rng = np.random.default_rng([seed, *b"track"])
    start = np.cumsum(sizes) - sizes
    track = rng.choice(usable, count)
    a, p = _two_of(pairs[track], rng)
    later = a > p
    a, p = a + (apart - 1) * later, p + (apart - 1) * ~later
    filled = np.flatnonzero(sizes)
    place = np.searchsorted(filled, track)
    other = rng.integers(0, len(filled) - 1, count)
    other = filled[other + (other >= place)]
    return Triplets(start[track] + a, start[track] + p, start[other] + rng.integers(0, sizes[other]))


def scores(vectors: ArrayLike, triplets: Triplets) -> NDArray[np.float64]:
    """1 where the anchor is nearer to the positive, 0 where to the negative, 1/2 for ties: ``[triplets]``.

    Args:
        vectors: ``[rows, columns]``, finite.
        triplets: Of these rows.

    Raises:
        InputError: If `vectors` is not a finite matrix, or lacks a row.
    """
    x = np.asarray(vectors)
    if x.ndim != 2 or not np.all(np.isfinite(x)):
        raise InputError(f"Expected finite vectors [rows, columns], received shape {x.shape}, or NaN or infinity.")
    if len(triplets) and not 0 <= triplets.rows().min() <= triplets.rows().max() < len(x):
        raise InputError(f"Expected triplets of {len(x)} rows, received other rows. Are the lists of another data set?")
    result = np.empty(len(triplets))
    for start in range(0, len(triplets), _BLOCK):
        part = slice(start, start + _BLOCK)
        a, p, n = (x[rows[part]].astype(np.float64) for rows in (triplets.anchor, triplets.positive, triplets.negative))
        result[part] = 0.5 + 0.5 * np.sign(np.einsum("td,td->t", a, p) - np.einsum("td,td->t", a, n))
    return result


def accuracy(vectors: ArrayLike, triplets: Triplets) -> float:
    """The share of triplets in the right order, in [0, 1]; NaN if there are none. See `scores`."""
    return float(np.mean(scores(vectors, triplets))) if len(triplets) else float("nan")


def evaluate(
    vectors: Mapping[str, ArrayLike], lists: Mapping[str, Triplets], track_of: ArrayLike | None = None
) -> dict[str, Any]:
    """The accuracy of lists of triplets, each judged in its own space, ready for JSON.

    Args:
        vectors: List -> ``[rows, columns]`` to compare in it.
        lists: List -> its triplets.
        track_of: ``[rows]``: the number of the track that each row is of; by default each row is a track.

    Returns:
        List -> ``{"value", "interval", "count"}``, and ``"overall"``: the same of all triplets together.

    Raises:
        InputError: See `scores`.
    """
    rows = max((len(np.asarray(v)) for v in vectors.values()), default=0)
    track = np.arange(rows) if track_of is None else np.asarray(track_of)
    tracks = int(track.max()) + 1 if len(track) else 1
    right, count = np.zeros((2, tracks, len(lists) + 1))
    for i, (name, triplets) in enumerate(lists.items()):
        anchor = track[triplets.anchor]
        right[:, i] = np.bincount(anchor, scores(vectors[name], triplets), tracks)
        count[:, i] = np.bincount(anchor, minlength=tracks)
    right[:, -1], count[:, -1] = right.sum(axis=1), count.sum(axis=1)
    figures = ratio_figures(right, count)
    return {
        name: figure | {"count": int(total)}
        for name, figure, total in zip([*lists, OVERALL], figures, count.sum(axis=0), strict=True)
    }


def _of_dimension(carries: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Triplets:
    """Triplets of ``[tracks, tags]`` that are those of one dimension."""
    n = carries.sum(axis=0)
    usable = np.flatnonzero((n >= 2) & (n < len(carries)))
    if not len(usable):
        return Triplets.of(np.zeros((0, 3)))
    tag = rng.choice(usable, count)
    # Tag after tag: first the tracks that carry it, then those that lack it, each in order.
    order = np.argsort(~carries, axis=0, kind="stable")
    a, p = _two_of(n[tag], rng)
    negative = rng.integers(n[tag], len(carries))
    return Triplets(order[a, tag], order[p, tag], order[negative, tag])


def _two_of(sizes: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Two different numbers below each size, in any order: ``[n] -> [n], [n]``."""
    first = rng.integers(0, sizes)
    second = rng.integers(0, sizes - 1)
    return first, second + (second >= first)
