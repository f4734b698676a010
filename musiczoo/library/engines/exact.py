"""Exact search with numpy: every row, in blocks. The default up to some 200,000 tracks."""

from dataclasses import dataclass

import numpy as np

from .engine import EXACT, Floats, Rows

_BLOCK = 1 << 16
"""Rows at a time: where only some are asked for, 64 MB of copies."""


@dataclass(frozen=True, eq=False)
class Exact:
    """Scans a matrix ``[N, E]``. All of the k nearest are among its candidates, and all rows as near as the k-th."""

    matrix: Floats
    name: str = EXACT

    def candidates(self, query: Floats, k: int) -> Rows:
        """See `scan`."""
        return scan(self.matrix, query, k)

    def followed(self, matrix: Floats, now_at: Rows) -> "Exact":
        """There is nothing to bring along."""
        return Exact(matrix)


def scan(matrix: Floats, query: Floats, k: int, rows: Rows | None = None) -> Rows:
    """The rows that may be among the k nearest, ascending.

    Single precision errs by `tolerance` at most: rows so close to the k-th are candidates too, so that none of the k
    nearest is ever missing, and none of equals preferred.

    Args:
        matrix: ``[N, E]``.
        query: ``[E]``.
        k: How many, from 1.
        rows: Look only at these.
    """
    count = len(matrix) if rows is None else len(rows)
    near = np.empty(count, np.float32)
    for i in range(0, count, _BLOCK):
        part = slice(i, min(i + _BLOCK, count))
        np.matmul(matrix[part] if rows is None else matrix[rows[part]], query, out=near[part])
    found = np.arange(count) if k >= count else np.flatnonzero(near >= _highest(near, k) - tolerance(len(query)))
    return found.astype(np.int64) if rows is None else rows[found]


def tolerance(columns: int) -> float:
    """How far two inner products in single precision may be from where they belong.

    A sum of E products is off by (E + 1) u sum |q_i x_i| at most, with u = 2^-24; by Cauchy and Schwarz in each space,
    that sum is at most the sum of the weights, 1. Both products may be off, hence twice that.
    """
    return 2 * (columns + 2) * 2.0**-24


def _highest(near: Floats, k: int) -> float:
    """The k-th highest number."""
    return float(np.partition(near, len(near) - k)[len(near) - k])
