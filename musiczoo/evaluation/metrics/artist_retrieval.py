"""Artist and album retrieval: whether the nearest tracks are by the same artist or from the same album.

Artists and albums are facts, unlike tags, so this needs neither annotations nor teachers.

Conventions
-----------
- *Vectors* are ``[tracks, columns]``, finite. Similarity is the inner product, which is the cosine for unit vectors.
- The *relevant* tracks of a query are the other tracks with its label. With the album filter, tracks of the query's
  album are neither relevant nor ranked: they share a studio, an engineer and a master, and to find these says nothing
  about the artist (Pampalk, Flexer, Widmer, "Improvements of audio-based music similarity and genre classification",
  ISMIR 2005; Flexer, Schnitzer, "Effects of album and artist filters in audio similarity computed for very large music
  databases", Computer Music Journal 34(3), 2010).
- Each track with a label and one or more relevant tracks is a query. All other tracks are ranked for it, with or
  without a label, as in a real library.
- Equally similar tracks come in the order of their rows.

Metrics
-------
- *Precision at k*: the share of the k nearest tracks that are relevant, mean over queries.
- *Mean average precision*: for each query, the mean over its relevant tracks of the precision at their rank; mean over
  queries (Manning, Raghavan, Schütze, "Introduction to Information Retrieval", 2008, section 8.4).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from ..bootstrap import ratio_metrics

KS = (1, 5)
"""Values of k of the precision."""

TASKS = ("artist", "artist, other albums", "album")
"""Same artist; same artist with the album filter; same album."""

_BLOCK = 256
"""Queries in one matrix product."""


def evaluate_tasks(
    vectors: ArrayLike, artists: Sequence[str | None], albums: Sequence[str | None]
) -> dict[str, dict[str, Any]]:
    """Evaluate all `TASKS`, ready for JSON.

    Args:
        vectors: ``[tracks, columns]``.
        artists: Artist of each track; None or empty if unknown.
        albums: Album of each track; None or empty if unknown. Intervals are over albums.

    Returns:
        Task -> what `evaluate` returns.

    Raises:
        InputError: See `evaluate`.

    Example:
        >>> tasks = evaluate_tasks(np.eye(2)[[0, 0, 1, 1]], ["a", "a", "b", "b"], ["x", "y", "z", "z"])
        >>> {task: result["queries"] for task, result in tasks.items()}
        {'artist': 4, 'artist, other albums': 2, 'album': 2}
    """
    return {
        TASKS[0]: evaluate(vectors, artists, groups=albums),
        TASKS[1]: evaluate(vectors, artists, albums),
        TASKS[2]: evaluate(vectors, albums),
    }


def evaluate(
    vectors: ArrayLike,
    labels: Sequence[str | None],
    albums: Sequence[str | None] | None = None,
    groups: Sequence[str | None] | None = None,
) -> dict[str, Any]:
    """Evaluate how well the nearest tracks share a label, ready for JSON.

    Args:
        vectors: ``[tracks, columns]``.
        labels: Artist or album of each track; None or empty if unknown.
        albums: Album of each track, for the album filter; None for no filter. A track without an album is never
            filtered.
        groups: Group of each track: intervals are over groups (see `musiczoo.evaluation.bootstrap.interval`). A track
            without one is a group of its own. By default the albums, or else the labels.

    Returns:
        ``"precision_at_1"``, ``"precision_at_5"`` and ``"mean_average_precision"``, each ``{"value", "interval"}``
        with a 95 % bootstrap interval over groups; ``"chance"``: the precision of a random order; ``"queries"``:
        their number. Values are None if there is no query.

    Raises:
        InputError: If the vectors are not a finite matrix with a row for each label.

    Example:
        Two artists with two tracks each, in pairs of equal direction:

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
    single = np.arange(len(by), 2 * len(by))  # a group for each track that has none
    _, group = np.unique(np.where(numbers < 0, single, numbers)[queries], return_inverse=True)
    sums = np.zeros((group.max() + 1, scores.shape[1]))
    np.add.at(sums, group, scores)
    counts = np.bincount(group)[:, np.newaxis]
    metrics = ratio_metrics(sums, np.broadcast_to(counts, sums.shape))
    return {**dict(zip(names, metrics, strict=True)), "chance": float(chance.mean()), "queries": len(queries)}


def score(
    vectors: ArrayLike, labels: Sequence[str | None], albums: Sequence[str | None] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Compute the metrics of each query; see `evaluate`.

    Args:
        vectors: ``[tracks, columns]``.
        labels: Artist or album of each track; None or empty if unknown.
        albums: Album of each track, for the album filter; None for no filter.

    Returns:
        ``[queries, len(KS) + 1]``: the precision at each of `KS` and the average precision; ``[queries]``: rows of the
        queries; ``[queries]``: the precision of a random order.

    Raises:
        InputError: If the vectors are not a finite matrix with a row for each label.

    Example:
        >>> metrics, rows, chance = score(np.eye(2)[[0, 0, 1]], ["a", "a", "b"])
        >>> rows
        array([0, 1])
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
    """Return equal numbers for equal names; -1 for None and empty names."""
    known = {name: i for i, name in enumerate(dict.fromkeys(name for name in names if name))}
    return np.array([known[name] if name else -1 for name in names], np.intp)
