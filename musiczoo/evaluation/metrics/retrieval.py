"""Retrieval metrics: how well the nearest tracks share the tags of a query.

Conventions
-----------
- *Vectors* are ``[tracks, columns]``, finite. Similarity is the inner product, which is the cosine for unit vectors.
- *Positives* are ``[tracks, tags]``, 0 or 1 (or bool): whether the track has the tag.
- Each track is a query against all others, without itself. Tracks without a tag are no queries, but may be retrieved.
- The search is exact. Equally similar tracks come in the order of their rows.
- A sub-space is evaluated by the tags of its dimension only: a track that is similar in *era* need not share an
  instrument. To measure what the sub-space adds, evaluate the whole space by the same tags.

Metrics
-------
- `recall_at_k`: the share of the query's tags that occur among the tags of its K nearest tracks, mean over queries:
  eq. 12 of Lee et al., ISMIR 2020 (arXiv:2008.03729).
- `hit_rate`: the share of queries that share a tag with one or more of their K nearest tracks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo import _neighbors
from musiczoo.errors import InputError

from ..bootstrap import ratio_metrics

KS = (1, 2, 4, 8)
"""Numbers of nearest tracks, as in the paper."""


def nearest(vectors: ArrayLike, k: int) -> NDArray[np.int64]:
    """Return the k nearest other tracks of each track, nearest first.

    Args:
        vectors: ``[tracks, columns]``.
        k: 1 to tracks - 1.

    Returns:
        ``[tracks, k]`` rows of `vectors`.

    Raises:
        InputError: If `vectors` is not a finite matrix, or k is out of range.

    Example:
        >>> nearest([[1, 0], [0.8, 0.6], [0, 1]], k=2)
        array([[1, 2],
               [0, 2],
               [1, 0]])
    """
    x = np.asarray(vectors, np.float32)
    if x.ndim != 2 or not np.all(np.isfinite(x)):
        raise InputError(f"Expected finite vectors [tracks, columns], got shape {x.shape}, or NaN or infinity.")
    if not 1 <= k < len(x):
        raise InputError(f"k must be between 1 and {len(x) - 1}, the number of other tracks, got {k}.")
    return _neighbors.nearest(x, k)[0]


def recall_at_k(neighbours: ArrayLike, positives: ArrayLike) -> NDArray[np.float64]:
    """Return the share of each query's tags among those of its K nearest tracks, for every K up to k.

    Args:
        neighbours: ``[tracks, k]`` from `nearest`.
        positives: ``[tracks, tags]``.

    Returns:
        ``[tracks, k]`` in [0, 1], column K - 1 for K; NaN in the rows of tracks without tags.

    Raises:
        InputError: If the arrays do not fit together.

    Example:
        >>> recall_at_k([[1, 2], [0, 2], [1, 0]], [[1, 1], [1, 0], [0, 1]])
        array([[0.5, 1. ],
               [1. , 1. ],
               [0. , 1. ]])
    """
    carries, found = _found(neighbours, positives)
    own = carries.sum(axis=1)[:, np.newaxis]
    shared = np.sum(found & carries[:, np.newaxis], axis=2)
    recall: NDArray[np.float64] = np.divide(shared, own, out=np.full(shared.shape, np.nan), where=own > 0)
    return recall


def hit_rate(neighbours: ArrayLike, positives: ArrayLike) -> NDArray[np.float64]:
    """Return whether each query shares a tag with one of its K nearest tracks (1 or 0), for every K up to k.

    Arguments, shape and errors are those of `recall_at_k`.

    Example:
        >>> hit_rate([[1, 2], [0, 2], [1, 0]], [[1, 1], [1, 0], [0, 1]])
        array([[1., 1.],
               [1., 1.],
               [0., 1.]])
    """
    recall = recall_at_k(neighbours, positives)
    return np.where(np.isnan(recall), np.nan, recall > 0)


def evaluate(
    neighbours: ArrayLike, positives: ArrayLike, ks: Sequence[int] = KS, groups: ArrayLike | None = None
) -> dict[str, Any]:
    """Compute all metrics of this module, ready for JSON.

    Args:
        neighbours: ``[tracks, k]`` from `nearest`.
        positives: ``[tracks, tags]``.
        ks: Values of K; metrics of a K above the k of `neighbours` are None.
        groups: See `musiczoo.evaluation.bootstrap.interval`.

    Returns:
        ``{"recall", "hit_rate"}``, each ``{"1": {"value", "interval"}, ...}`` with 95 % bootstrap intervals over the
        queries; ``"queries"``: the number of tracks with a tag.

    Raises:
        InputError: If the arrays do not fit together.

    Example:
        >>> result = evaluate([[1], [0]], [[1, 1], [1, 0]], ks=[1])
        >>> result["recall"]["1"]["value"], result["queries"]
        (0.75, 2)
    """
    by_name = {"recall": recall_at_k(neighbours, positives), "hit_rate": hit_rate(neighbours, positives)}
    values = np.hstack(list(by_name.values()))
    asked = ~np.isnan(values)
    metrics = ratio_metrics(np.where(asked, values, 0), asked, groups=groups)
    given = values.shape[1] // 2
    undefined = {"value": None, "interval": [None, None]}
    return {
        name: {str(k): metrics[i * given + k - 1] if 1 <= k <= given else undefined for k in ks}
        for i, name in enumerate(by_name)
    } | {"queries": int(asked[:, 0].sum())}


def _found(neighbours: ArrayLike, positives: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the tags of each track ``[tracks, tags]`` and the union of its K nearest tracks' ``[tracks, k, tags]``."""
    near, carries = np.asarray(neighbours), np.asarray(positives)
    if near.ndim != 2 or carries.ndim != 2 or len(near) != len(carries) or 0 in (*near.shape, *carries.shape):
        raise InputError(
            f"Expected neighbours [tracks, k] and positives [tracks, tags], got {near.shape} and {carries.shape}."
        )
    if near.min() < 0 or near.max() >= len(carries) or not np.all((carries == 0) | (carries == 1)):
        raise InputError(
            f"Expected neighbours that are rows of {len(carries)} tracks and positives of 0 and 1, got others. "
            "musiczoo.datasets.hard_tags converts soft labels."
        )
    carries = carries.astype(bool)
    return carries, np.logical_or.accumulate(carries[near], axis=1)
