"""Whether the nearest tracks are by the same artist, or of the same album: facts, where tags are opinions.

Conventions
-----------
- *Vectors* are ``[tracks, columns]``, finite; nearness is the inner product, which for unit vectors is the cosine.
- A track's *relevant* tracks are the others with its label. With the album filter, tracks of its own album are neither
  relevant nor ranked: songs of one album share a studio, an engineer and a master, and finding these says nothing about
  the artist (Pampalk, Flexer, Widmer, "Improvements of audio-based music similarity and genre classification", ISMIR
  2005; Flexer, Schnitzer, "Effects of album and artist filters in audio similarity computed for very large music
  databases", Computer Music Journal 34(3), 2010).
- Each track with a label and one or more relevant tracks is a query. All other tracks are ranked for it, also those
  without a label: in a library they are what the user sees.
- Equally near tracks come in the order of their rows.

Metrics
-------
- *Precision at k*: the share of the k nearest that are relevant, mean over queries.
- *Mean average precision*: of each query, the mean over its relevant tracks of the precision at their rank; mean over
  queries (Manning, Raghavan, Schütze, "Introduction to Information Retrieval", 2008, section 8.4).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from ..bootstrap import ratio_figures

KS = (1, 5)
"""Ranks up to which precision is given."""

_BLOCK = 256
"""Queries in one matrix product."""


def evaluate(
    vectors: ArrayLike,
    labels: Sequence[str | None],
    albums: Sequence[str | None] | None = None,
    groups: Sequence[str | None] | None = None,
) -> dict[str, Any]:
    """Find tracks of the same label by nearness.

    Args:
        vectors: ``[tracks, columns]``.
        labels: Each track's artist or album; None where it is not known.
        albums: Each track's album, for the album filter; None for no filter. A track without one is filtered from no
            query.
        groups: What is drawn with replacement for the intervals, such as albums, since tracks of one are not
            independent; a track without one is a group of its own. By default the albums, else the labels.

    Returns:
        ``"precision_at_1"``, ``"precision_at_5"`` and ``"mean_average_precision"``, each ``{"value", "interval"}``
        with a 95 % bootstrap interval over groups; ``"chance"``: what precision a random order has; ``"queries"``.
        Values are None if there is no query.

    Raises:
        InputError: If the vectors are not a finite matrix with a row for each label.

    Example:
        Two artists with two tracks each, in pairs of equal direction:

        >>> import numpy as np
        >>> result = evaluate(np.eye(2)[[0, 0, 1, 1]], ["a", "a", "b", "b"])
        >>> result["precision_at_1"]["value"], result["mean_average_precision"]["value"], result["queries"]
        (1.0, 1.0, 4)
    """
    scores, queries, chance = score(vectors, labels, albums)
    names = (*(f"precision_at_{k}" for k in KS), "mean_average_precision")
    if not len(queries):
        undefined = {"value": None, "interval": [None, None]}
        return {**dict.fromkeys(names, undefined), "chance": None, "queries": 0}
    by = groups if groups is not None else albums if albums is not None else labels
    numbers = _numbers(by)
    alone = np.arange(len(by), 2 * len(by))  # a group for each track that has none
    _, group = np.unique(np.where(numbers < 0, alone, numbers)[queries], return_inverse=True)
    sums = np.zeros((group.max() + 1, scores.shape[1]))
    np.add.at(sums, group, scores)
    counts = np.bincount(group)[:, np.newaxis]
    metrics = ratio_figures(sums, np.broadcast_to(counts, sums.shape))
    return {**dict(zip(names, metrics, strict=True)), "chance": float(chance.mean()), "queries": len(queries)}


def score(
    vectors: ArrayLike, labels: Sequence[str | None], albums: Sequence[str | None] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """The metrics of each query; see `evaluate`.

    Returns:
        ``[queries, len(KS) + 1]``, precision at each of `KS` and average precision; the queries' rows; and what
        precision a random order has for each.
    """
    x = np.asarray(vectors, np.float64)
    if x.ndim != 2 or len(x) != len(labels) or not np.all(np.isfinite(x)):
        raise InputError(
            f"Expected finite vectors [{len(labels)}, columns], one for each label, got shape {list(x.shape)}, or NaN "
            "or infinity."
        )
    label, album = _numbers(labels), _numbers(albums if albums is not None else [None] * len(labels))
    if len(album) != len(label):
        raise InputError(f"Expected an album for each of {len(label)} tracks, got {len(album)}.")
    rows: list[int] = []
    scores: list[NDArray[np.float64]] = []
    chances: list[float] = []
    for start in range(0, len(x), _BLOCK):
        near = x[start : start + _BLOCK] @ x.T
        for i, values in enumerate(near, start):
            ranked = (album != album[i]) | (album < 0)
            ranked[i] = False
            relevant = ranked & (label == label[i]) & (label[i] >= 0)
            if not relevant.any():
                continue
            candidates = np.flatnonzero(ranked)
            order = candidates[np.argsort(-values[candidates], kind="stable")]
            hits = relevant[order]
            places = np.flatnonzero(hits) + 1
            average = np.mean(np.arange(1, len(places) + 1) / places)
            rows.append(i)
            scores.append(np.array([*(hits[:k].sum() / k for k in KS), average]))
            chances.append(len(places) / len(order))
    columns = len(KS) + 1
    return np.array(scores).reshape(-1, columns), np.array(rows, np.intp), np.array(chances)


def _numbers(names: Sequence[str | None]) -> NDArray[np.intp]:
    """Equal numbers for equal names; -1 for None and empty ones."""
    known = {name: i for i, name in enumerate(dict.fromkeys(name for name in names if name))}
    return np.array([known[name] if name else -1 for name in names], np.intp)
