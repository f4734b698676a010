"""Who is near whom: exact, by cosine, computed before the page is written."""

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024
"""Rows compared with all others at a time: 80 MB for 20,000 tracks."""
_GROUP = 32
"""Columns of which only the best is looked at first: the k nearest lie in the k groups with the best."""


def nearest(vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest other tracks of each.

    Args:
        vectors: ``[tracks, columns]``, of length 1, or 0 for silent tracks: these are near to nothing.
        k: How many; fewer if there are fewer others.

    Returns:
        Their numbers ``[tracks, k]``, nearest first, and cosines ``[tracks, k]``. Where there are fewer, the rest are
        the track's own number and 0.
    """
    count = len(vectors)
    k = min(k, count - 1)
    rows = np.zeros((count, k), np.int64)
    cosines = np.zeros((count, k), np.float32)
    padded = np.pad(vectors, ((0, -count % _GROUP), (0, 0)))
    silent = (padded == 0).all(axis=1)  # also what was added
    for start in range(0, count if k > 0 else 0, _BLOCK):
        scores = vectors[start : start + _BLOCK] @ padded.T
        own = np.arange(len(scores))
        scores[own, start + own] = -np.inf
        scores[:, silent] = -np.inf
        scores[silent[start + own]] = -np.inf
        found = _highest(scores, k)
        near = np.take_along_axis(scores, found, axis=1)
        none = near == -np.inf
        rows[start : start + _BLOCK] = np.where(none, (start + own)[:, None], found)
        cosines[start : start + _BLOCK] = np.where(none, 0, near)
    return rows, cosines


def _highest(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Columns of the k highest scores of each row, highest first; the columns are whole groups."""
    best = scores.reshape(len(scores), -1, _GROUP).max(axis=2)
    groups = _top(best, min(k, best.shape[1]))
    columns = (groups[:, :, None] * _GROUP + np.arange(_GROUP)).reshape(len(scores), -1)
    order = _top(np.take_along_axis(scores, columns, axis=1), k)
    found: NDArray[np.int64] = np.take_along_axis(columns, order, axis=1)
    return found


def _top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Columns of the k highest scores of each row, highest first."""
    found = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1, kind="stable")
    columns: NDArray[np.int64] = np.take_along_axis(found, order, axis=1)
    return columns
