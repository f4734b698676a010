"""Exact nearest neighbors by inner product, which for unit vectors is the cosine.

Conventions
-----------
- Single precision selects candidates, double precision orders them. Every vector whose score could be among the k
  highest, given the error bound `tolerance`, is a candidate, so the result is exact: it depends neither on the block
  size nor on the linear algebra library.
- Equal scores come in the order of the rows.
- Vectors are finite. Memory is bounded by blocks: no matrix of all pairs exists.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_SCAN_BLOCK = 65_536
"""Rows of a selection that a scan copies at a time: 64 MB for 256 columns."""

_QUERY_BLOCK = 256
"""Queries of `nearest` in one matrix product: 30 MB of scores for 30,000 vectors."""

_GROUP = 32
"""Columns of scores of which `nearest` looks only at the maximum first."""

_ORDER_BLOCK = 4096
"""Candidates scored in double precision at a time: 8 MB for 256 columns."""


def scan(matrix: Floats, query: Floats, k: int, rows: Rows | None = None) -> Rows:
    """Return the rows that may be among the k nearest to one query, ascending.

    Args:
        matrix: ``[N, E]``.
        query: ``[E]``; its inner products with the rows are at most 1 in magnitude, summed over absolute values.
        k: Number of neighbors, from 1.
        rows: Search only these rows; default is all.

    Returns:
        All of the k nearest rows, and every other row within `tolerance` of the k-th score. All rows, if there are
        fewer than k.
    """
    return scan_all(matrix, query[None], [k], rows)[0]


def scan_all(matrix: Floats, queries: Floats, ks: Sequence[int], rows: Rows | None = None) -> list[Rows]:
    """Return what `scan` returns for each of several queries, in one pass over the matrix.

    Memory limits the speed of a pass, so ten queries take little longer than one.

    Args:
        matrix: ``[N, E]``.
        queries: ``[Q, E]``, see `scan`.
        ks: Number of neighbors of each query.
        rows: Search only these rows; default is all.
    """
    count = len(matrix) if rows is None else len(rows)
    scores = np.empty((len(queries), count), np.float32)
    for i in range(0, count, _SCAN_BLOCK):
        part = slice(i, min(i + _SCAN_BLOCK, count))
        np.matmul(queries, (matrix[part] if rows is None else matrix[rows[part]]).T, out=scores[:, part])
    found = []
    for k, row in zip(ks, scores, strict=True):
        near = np.flatnonzero(row >= _kth_highest(row, k) - tolerance(matrix.shape[1]))
        found.append(near.astype(np.int64) if rows is None else rows[near])
    return found


def nearest(vectors: Floats, k: int) -> tuple[Rows, NDArray[np.float64]]:
    """Return the k nearest other vectors of each vector.

    Args:
        vectors: ``[N, E]``, of any length.
        k: Number of neighbors; fewer are returned if there are fewer other vectors.

    Returns:
        Rows of `vectors` ``[N, min(k, N - 1)]``, nearest first, and their inner products, of the same shape.
    """
    count = len(vectors)
    k = max(min(k, count - 1), 0)
    rows, scores = np.empty((count, k), np.int64), np.empty((count, k))
    if not k:
        return rows, scores
    # Scaling by powers of two is exact and brings all lengths to 1 at most, where `tolerance` holds.
    exponents = np.frexp(np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)))[1]
    queries = np.ldexp(vectors, -exponents[:, None])
    targets = np.pad(np.ldexp(vectors, -exponents.max()), ((0, -count % _GROUP), (0, 0)))
    for start in range(0, count, _QUERY_BLOCK):
        block = queries[start : start + _QUERY_BLOCK] @ targets.T
        block[:, count:] = -np.inf
        own = np.arange(len(block))
        block[own, start + own] = -np.inf
        # k groups reach the k-th highest of the groups' maxima, so at least k scores do.
        maxima = block.reshape(len(block), -1, _GROUP).max(axis=2)
        limits = _kth_highest(maxima, k) - tolerance(vectors.shape[1])
        for row, limit, likely in zip(range(start, start + len(block)), limits, block, strict=True):
            found = np.flatnonzero(likely >= limit)
            found = found[(found != row) & (found < count)]
            exact = _inner_products(vectors, found, vectors[row])
            order = np.argsort(-exact, kind="stable")[:k]
            rows[row], scores[row] = found[order], exact[order]
    return rows, scores


def tolerance(columns: int) -> float:
    """Return how far apart two inner products in single precision may be although they are equal.

    A sum of E products is off by (E + 1) u sum |q_i x_i| at most, with u = 2^-24; by Cauchy and Schwarz, that sum is at
    most 1 (in each space, the weights of the spaces adding up to 1). Both products may be off, hence the factor 2.
    """
    return 2 * (columns + 2) * 2.0**-24


def _kth_highest(scores: Floats, k: int) -> Floats:
    """Return the k-th highest score of the last axis; -inf if there are fewer than k."""
    count = scores.shape[-1]
    if k > count:
        return np.full(scores.shape[:-1], -np.inf, np.float32)
    highest: Floats = np.partition(scores, count - k, axis=-1)[..., count - k]
    return highest


def _inner_products(vectors: Floats, rows: Rows, query: Floats) -> NDArray[np.float64]:
    """Return the inner products of some rows with a query, in double precision: ``[rows]``.

    Each is summed in the same order, which a matrix product does not promise: equal vectors get equal scores.
    """
    wide = query.astype(np.float64)
    scores = np.empty(len(rows))
    for i in range(0, len(rows), _ORDER_BLOCK):
        part = slice(i, i + _ORDER_BLOCK)
        scores[part] = np.einsum("cd,d->c", vectors[rows[part]].astype(np.float64), wide)
    return scores
