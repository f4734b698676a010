"""How well the nearest tracks share a track's tags.

Conventions
-----------
- *Vectors* are ``[tracks, columns]``, finite; nearness is the inner product, which for unit vectors is the cosine.
- *Positives* are ``[tracks, tags]``, 0 or 1 (or bool): whether the track carries the tag.
- Each track is a query against all others, itself excluded. Queries without a tag have no answer: they are left out
  of the figures, but may be found.
- The search is exact. Equally near tracks come in the order of their rows.
- A sub-space is judged by the tags of its dimension alone: a track that is near in *era* need not share an instrument.
  To tell what the sub-space adds, judge the whole space by the same tags.

Metrics
-------
- `recall_at_k`: the share of the query's tags that occur among the tags of its K nearest, mean over queries: eq. 12 of
  Lee et al., ISMIR 2020 (arXiv:2008.03729).
- `hit_rate`: the share of queries that share a tag with one or more of their K nearest.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from ..bootstrap import ratio_figures

KS = (1, 2, 4, 8)
"""How many nearest tracks count, as in the paper."""

_BLOCK = 256
"""Queries in one matrix product: of 30,000 tracks, 30 MB of similarities."""
_GROUP = 32
_MARGIN = 16
"""Candidates beyond k: float32 may order the k-th and so many others wrongly before float64 does it again."""


def nearest(vectors: ArrayLike, k: int) -> NDArray[np.intp]:
    """The k nearest other tracks of each track, nearest first.

    Single precision finds somewhat more candidates than are asked for, and double precision orders them, so that
    equal vectors are equally near whatever the linear algebra library does.

    Args:
        vectors: ``[tracks, columns]``.
        k: 1 to tracks - 1.

    Returns:
        ``[tracks, k]`` rows of `vectors`.

    Raises:
        InputError: If `vectors` is not a finite matrix, or k is out of range.
    """
    x = np.asarray(vectors, np.float32)
    if x.ndim != 2 or not np.all(np.isfinite(x)):
        raise InputError(f"Expected finite vectors [tracks, columns], received shape {x.shape}, or NaN or infinity.")
    n = len(x)
    if not 1 <= k < n:
        raise InputError(f"Expected k between 1 and {n - 1}, the number of other tracks, received {k}.")
    # Whole groups of columns: the padding is never near.
    padded = np.vstack([x, np.zeros((-n % _GROUP, x.shape[1]), np.float32)])
    result = np.empty((n, k), np.intp)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        near = x[rows] @ padded.T
        near[:, n:] = -np.inf
        near[rows - start, rows] = -np.inf
        candidates = np.sort(_highest(near, min(k + _MARGIN, n - 1)), axis=1)
        exact = np.einsum("qd,qcd->qc", x[rows].astype(np.float64), x[candidates].astype(np.float64))
        order = np.argsort(-exact, axis=1, kind="stable")[:, :k]
        result[rows] = np.take_along_axis(candidates, order, axis=1)
    return result


def recall_at_k(neighbours: ArrayLike, positives: ArrayLike) -> NDArray[np.float64]:
    """The share of each query's tags among those of its K nearest, for every K up to the neighbours given.

    Args:
        neighbours: ``[tracks, k]`` of `nearest`.
        positives: ``[tracks, tags]``.

    Returns:
        ``[tracks, k]`` in [0, 1], column K - 1 for K; NaN in the rows of tracks without tags.

    Raises:
        InputError: If the arrays do not fit together.
    """
    carries, found = _found(neighbours, positives)
    own = carries.sum(axis=1)[:, np.newaxis]
    shared = np.sum(found & carries[:, np.newaxis], axis=2)
    recall: NDArray[np.float64] = np.divide(shared, own, out=np.full(shared.shape, np.nan), where=own > 0)
    return recall


def hit_rate(neighbours: ArrayLike, positives: ArrayLike) -> NDArray[np.float64]:
    """Whether each query shares a tag with one of its K nearest (1 or 0), for every K; see `recall_at_k`."""
    recall = recall_at_k(neighbours, positives)
    return np.where(np.isnan(recall), np.nan, recall > 0)


def evaluate(neighbours: ArrayLike, positives: ArrayLike, ks: Sequence[int] = KS) -> dict[str, Any]:
    """All metrics of this module, ready for JSON.

    Args:
        neighbours: ``[tracks, k]`` of `nearest`.
        positives: ``[tracks, tags]``.
        ks: The figures wanted; those of more than the k neighbours given are None.

    Returns:
        ``{"recall", "hit_rate"}``, each ``{"1": {"value", "interval"}, ...}`` with 95 % bootstrap intervals over the
        queries; ``"queries"``: how many tracks have a tag.

    Raises:
        InputError: If the arrays do not fit together.
    """
    by_name = {"recall": recall_at_k(neighbours, positives), "hit_rate": hit_rate(neighbours, positives)}
    values = np.hstack(list(by_name.values()))
    asked = ~np.isnan(values)
    figures = ratio_figures(np.where(asked, values, 0), asked)
    given = values.shape[1] // 2
    undefined = {"value": None, "interval": [None, None]}
    return {
        name: {str(k): figures[i * given + k - 1] if 1 <= k <= given else undefined for k in ks}
        for i, name in enumerate(by_name)
    } | {"queries": int(asked[:, 0].sum())}


def _highest(near: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Columns of the k highest of each row ``[rows, columns]``, of equals the first; columns in whole groups.

    The k highest lie in the k groups with the highest maxima: any other group's maximum is preceded by k values.
    """
    rows = len(near)
    groups = near.reshape(rows, -1, _GROUP)
    best = np.argsort(-groups.max(axis=2), axis=1, kind="stable")[:, :k]
    best.sort(axis=1)
    values = np.take_along_axis(groups, best[..., np.newaxis], axis=1).reshape(rows, -1)
    columns = (best[..., np.newaxis] * _GROUP + np.arange(_GROUP)).reshape(rows, -1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    highest: NDArray[np.intp] = np.take_along_axis(columns, order, axis=1)
    return highest


def _found(neighbours: ArrayLike, positives: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The tags of each track ``[tracks, tags]``, and the union of its K nearest's ``[tracks, k, tags]``."""
    near, carries = np.asarray(neighbours), np.asarray(positives)
    if near.ndim != 2 or carries.ndim != 2 or len(near) != len(carries) or 0 in (*near.shape, *carries.shape):
        raise InputError(
            f"Expected neighbours [tracks, k] and positives [tracks, tags], received {near.shape} and {carries.shape}."
        )
    if near.min() < 0 or near.max() >= len(carries) or not np.all((carries == 0) | (carries == 1)):
        raise InputError(
            f"Expected neighbours that are rows of {len(carries)} tracks and positives of 0 and 1, received others. "
            "musiczoo.datasets.hard_tags makes 0 and 1 of soft labels."
        )
    carries = carries.astype(bool)
    return carries, np.logical_or.accumulate(carries[near], axis=1)
