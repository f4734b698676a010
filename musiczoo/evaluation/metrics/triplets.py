"""Triplet prediction: how often a track is nearer to one that shares a tag than to one that does not.

Conventions
-----------
- A triplet is three rows: anchor, positive, negative. Similarity is the inner product of their vectors, which is the
  cosine for unit vectors.
- *Triplets of a dimension*: rows are tracks; anchor and positive share a tag of the dimension that the negative lacks.
  The tag is drawn first, uniformly among the usable ones (two or more tracks have it, one or more does not), so that
  frequent tags do not count more than rare ones; then the tracks.
- *Track triplets*: rows are excerpts, those of the first track, then those of the second, and so on. Anchor and
  positive are excerpts of one track that overlap by at most half; the negative is an excerpt of another track.
- *Whole space* and *sub-space* are evaluated on the same triplets.

Metric
------
`accuracy`: the share of triplets with the anchor nearer to the positive than to the negative; ties count half.
Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.3. For intervals, the anchors' tracks are drawn with
replacement, each with all of its triplets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from ..bootstrap import ratio_metrics

PER_DIMENSION = 40_000
"""Number of triplets of a dimension, and of track triplets, as in the paper."""
OVERALL = "overall"

_BLOCK = 8192

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Triplets:
    """Index arrays ``[triplets]``: rows of the vectors that are compared.

    Example:
        >>> len(Triplets.of([[0, 1, 2], [1, 0, 3]]))
        2
    """

    anchor: Rows
    positive: Rows
    negative: Rows

    @classmethod
    def of(cls, rows: ArrayLike) -> "Triplets":
        """Return the triplets in the rows of ``[triplets, 3]``: anchor, positive, negative."""
        anchor, positive, negative = np.asarray(rows, np.int64).reshape(-1, 3).T
        return cls(anchor, positive, negative)

    def rows(self) -> Rows:
        """Return them as ``[triplets, 3]``."""
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
        count: Number of triplets of each dimension.
        seed: The same seed gives the same triplets, with any other dimensions.

    Returns:
        Dimension -> `count` triplets, or none where no tag is usable.

    Raises:
        InputError: If the arguments do not fit together.

    Example:
        >>> found = draw([[1], [1], [0]], ["rock"], {"genre": ["rock"]}, count=5)
        >>> set(found["genre"].negative.tolist())
        {2}
    """
    carries = np.asarray(positives)
    if carries.ndim != 2 or carries.shape[1] != len(tags) or not np.all((carries == 0) | (carries == 1)):
        raise InputError(
            f"Expected positives of 0 and 1 for tracks and {len(tags)} tags, got shape {carries.shape}, or other "
            "values. musiczoo.datasets.hard_tags converts soft labels."
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
    """Draw track triplets: the anchor's track uniformly among those that are long enough, then all else uniformly.

    Args:
        excerpts: Number of excerpts of each track.
        count: Number of triplets.
        seed: The same seed gives the same triplets.
        apart: Least distance of anchor and positive, in excerpts, so that they overlap by at most half: 1 for excerpts
            that do not overlap.

    Returns:
        Triplets of excerpts; none if there are fewer than two tracks, or none is long enough.

    Example:
        >>> found = draw_track([2, 1], count=4)
        >>> set(found.negative.tolist())
        {2}
    """
    sizes = np.asarray(excerpts, np.int64)
    pairs = sizes - apart + 1  # pairs i < j at least `apart` from each other correspond to pairs of this many
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
    """Return 1 where the anchor is nearer to the positive, 0 where to the negative, 1/2 for ties: ``[triplets]``.

    Args:
        vectors: ``[rows, columns]``, finite.
        triplets: Triplets of these rows.

    Raises:
        InputError: If `vectors` is not a finite matrix, or lacks a row.

    Example:
        >>> scores([[1, 0], [0.8, 0.6], [0, 1]], Triplets.of([[0, 1, 2], [0, 2, 1]]))
        array([1., 0.])
    """
    x = np.asarray(vectors)
    if x.ndim != 2 or not np.all(np.isfinite(x)):
        raise InputError(f"Expected finite vectors [rows, columns], got shape {x.shape}, or NaN or infinity.")
    if len(triplets) and not 0 <= triplets.rows().min() <= triplets.rows().max() < len(x):
        raise InputError(f"Expected triplets of {len(x)} rows, got other rows. Are the lists from another data set?")
    a, p, n = triplets.anchor, triplets.positive, triplets.negative
    difference = np.empty(len(triplets))
    if len(x) ** 2 <= len(triplets):  # compute each pair once; einsum, since BLAS may round equal vectors differently
        similarity = np.einsum("ad,bd->ab", x, x, dtype=np.float64)
        difference[:] = similarity[a, p] - similarity[a, n]
    else:
        for start in range(0, len(triplets), _BLOCK):
            part = slice(start, start + _BLOCK)
            anchor, positive, negative = (x[rows[part]].astype(np.float64) for rows in (a, p, n))
            difference[part] = np.einsum("td,td->t", anchor, positive) - np.einsum("td,td->t", anchor, negative)
    return np.asarray(0.5 + 0.5 * np.sign(difference))


def accuracy(vectors: ArrayLike, triplets: Triplets) -> float:
    """Return the share of triplets in the right order, in [0, 1]; NaN if there are none. See `scores`.

    Example:
        >>> accuracy([[1, 0], [0.8, 0.6], [0, 1]], Triplets.of([[0, 1, 2], [0, 2, 1]]))
        0.5
    """
    return float(np.mean(scores(vectors, triplets))) if len(triplets) else float("nan")


def evaluate(
    vectors: Mapping[str, ArrayLike],
    lists: Mapping[str, Triplets],
    track_of: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Compute the accuracy of lists of triplets, each in its own space, ready for JSON.

    Args:
        vectors: Name of a list -> ``[rows, columns]``, the space to compare in.
        lists: Name -> triplets.
        track_of: ``[rows]``: the number of the track of each row; by default each row is a track.
        groups: ``[tracks]``; see `musiczoo.evaluation.bootstrap.interval`.

    Returns:
        Name -> ``{"value", "interval", "count"}``, and ``"overall"``: all triplets together.

    Raises:
        InputError: See `scores`.

    Example:
        >>> lists = {"genre": Triplets.of([[0, 1, 2]])}
        >>> evaluate({"genre": [[1, 0], [0.8, 0.6], [0, 1]]}, lists)["genre"]
        {'value': 1.0, 'interval': [1.0, 1.0], 'count': 1}
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
    metrics = ratio_metrics(right, count, groups=groups)
    return {
        name: metric | {"count": int(total)}
        for name, metric, total in zip([*lists, OVERALL], metrics, count.sum(axis=0), strict=True)
    }


def _of_dimension(carries: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Triplets:
    """Draw triplets by ``[tracks, tags]``, the tags of one dimension."""
    n = carries.sum(axis=0)
    usable = np.flatnonzero((n >= 2) & (n < len(carries)))
    if not len(usable):
        return Triplets.of(np.zeros((0, 3)))
    tag = rng.choice(usable, count)
    # In each column: first the tracks that have the tag, then those that lack it, each in order.
    order = np.argsort(~carries, axis=0, kind="stable")
    a, p = _two_of(n[tag], rng)
    negative = rng.integers(n[tag], len(carries))
    return Triplets(order[a, tag], order[p, tag], order[negative, tag])


def _two_of(sizes: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Draw two different numbers below each size, in any order: ``[n] -> [n], [n]``."""
    first = rng.integers(0, sizes)
    second = rng.integers(0, sizes - 1)
    return first, second + (second >= first)
