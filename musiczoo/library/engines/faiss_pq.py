"""Search in compressed vectors with faiss: product quantisation, scanned with SIMD (PQ fast-scan).

Two columns share a code of 4 bits, so that a vector of 256 columns takes 64 bytes. All are looked at, which serves
every weighting. The codes name `PER_HIT` candidates for each of the k nearest; their exact order comes from the matrix
itself. (faiss calls the index ``PQ128x4fs``; its ``RefineSQ8`` would be a second copy of what the matrix holds.)

Recall of the top 10 of a million clustered vectors (benchmarks/search_million.py), by candidates for each hit::

    candidates   equal weights   mixed   one dimension
            20           0.995   0.997           0.910
            40           1.000   1.000           0.992
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..._neighbors import scan
from .engine import PQ, Floats, Rows
from .faiss_flat import imported

PER_HIT = 40
"""Candidates for each of the k nearest."""

RECALL = 0.95
"""Of clustered vectors, what share of the exact top 10 it finds at the least, on average over queries."""

_TRAINED_ON = 1 << 14
"""Vectors: faiss takes 4,096 of them."""

_LEAST = 39 * 16
"""Vectors: faiss asks for 39 for each of a code's 16 values. Fewer are scanned exactly."""

_STALE = 0.1
"""Share of changed vectors from which on the codes are made anew."""


@dataclass(frozen=True, eq=False)
class FaissPq:
    """Scans codes of a matrix ``[N, E]``; rows changed since the codes were made are scanned exactly.

    Attributes:
        matrix: The matrix.
        rows: ``[codes]``: the row of each code, or -1 if it has changed.
        uncoded: Rows without a code.
    """

    matrix: Floats
    rows: Rows
    uncoded: Rows
    _index: Any = field(repr=False)
    name: str = PQ

    @classmethod
    def built(cls, matrix: Floats) -> "FaissPq":
        """Learn the codes from a sample of the matrix, and encode it.

        Raises:
            MissingDependencyError: If faiss is not installed.
        """
        faiss = imported()
        count, columns = matrix.shape
        if count < _LEAST:
            return cls(matrix, np.empty(0, np.int64), np.arange(count), None)
        # An odd number of columns cannot be halved: then each has a code of its own.
        parts = columns // 2 if columns % 2 == 0 else columns
        index = faiss.index_factory(columns, f"PQ{parts}x4fs", faiss.METRIC_INNER_PRODUCT)
        index.train(np.ascontiguousarray(matrix[:: -(-count // _TRAINED_ON)]))
        index.add(matrix)
        return cls(matrix, np.arange(count), np.empty(0, np.int64), index)

    def candidates(self, query: Floats, k: int) -> Rows:
        """`PER_HIT` k coded rows, and of the others the k nearest."""
        others = scan(self.matrix, query, k, self.uncoded)
        if self._index is None:
            return others
        codes = self._index.search(query[None], min(PER_HIT * k, len(self.rows)))[1][0]
        rows = self.rows[codes[codes >= 0]]
        return np.concatenate([rows[rows >= 0], others])

    def followed(self, matrix: Floats, now_at: Rows) -> "FaissPq":
        """Keeps the codes, unless a tenth of the vectors has changed."""
        rows = np.where(self.rows >= 0, now_at[self.rows], -1)
        coded = np.zeros(len(matrix), bool)
        coded[rows[rows >= 0]] = True
        uncoded = np.flatnonzero(~coded)
        changed = len(uncoded) + np.count_nonzero(rows < 0)
        if self._index is None or changed > _STALE * len(matrix):
            return FaissPq.built(matrix)
        return replace(self, matrix=matrix, rows=rows, uncoded=uncoded)
