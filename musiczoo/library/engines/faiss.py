"""Search with faiss (the extra [faiss]): exactly, or in compressed vectors.

`FaissFlat` returns what `engine.Exact` does, two to three times as fast, and takes no memory beyond the matrix.

`FaissPq` scans product-quantized codes with SIMD (PQ fast-scan). Two columns share a code of 4 bits, so that a vector
of 256 columns takes 64 bytes. All codes are scanned, so all weights are served. The codes give `PER_HIT` candidates for
each of the k nearest; their exact order comes from the matrix itself. (faiss calls the index ``PQ128x4fs``; its
``RefineSQ8`` would be a second copy of the matrix.)

Recall of the top 10 of a million clustered vectors (benchmarks/search_million.py), by candidates for each hit::

    candidates   equal weights   mixed   one dimension
            20           0.995   0.997           0.910
            40           1.000   1.000           0.992
"""

import os
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from ..._neighbors import scan, tolerance
from ...errors import MissingDependencyError
from .engine import FLAT, PQ, Floats, Rows

_MARGIN = 16
"""Candidates beyond k requested first; more are requested while the last is as near as the k-th."""

PER_HIT = 40
"""Candidates of `FaissPq` for each of the k nearest."""

RECALL = 0.95
"""Lowest mean share of the exact top 10 that `FaissPq` finds among clustered vectors."""

_TRAINING_VECTORS = 1 << 14
"""Vectors given to faiss, which uses 4,096 of them."""

_MIN_VECTORS = 39 * 16
"""faiss requires 39 vectors for each of the 16 values of a code. Fewer are scanned exactly."""

_STALE = 0.1
"""Share of changed vectors from which the codes are made again."""


@dataclass(frozen=True, eq=False)
class FaissFlat:
    """Scans a matrix ``[N, E]``, with the same candidates as `engine.Exact`."""

    matrix: Floats
    name: str = FLAT

    def __post_init__(self) -> None:
        """Raise `MissingDependencyError` if faiss is not installed."""
        import_faiss()

    def candidates(self, query: Floats, k: int) -> Rows:
        """Return the k nearest rows and all that are as near as the k-th."""
        faiss = import_faiss()
        count, wanted = len(self.matrix), k + _MARGIN
        if not count:
            return np.empty(0, np.int64)
        while True:
            wanted = min(wanted, count)
            near, rows = faiss.knn(query[None], self.matrix, wanted, metric=faiss.METRIC_INNER_PRODUCT)
            least = near[0, min(k, wanted) - 1] - tolerance(len(query))
            if wanted == count or near[0, -1] < least:
                found: Rows = rows[0][near[0] >= least]
                return found
            wanted *= 2

    def updated(self, matrix: Floats, new_rows: Rows) -> "FaissFlat":
        """Return the engine of another matrix; there is nothing to keep."""
        return FaissFlat(matrix)


@dataclass(frozen=True, eq=False)
class FaissPq:
    """Scans codes of a matrix ``[N, E]``; rows changed since the codes were made are scanned exactly.

    Attributes:
        matrix: The matrix.
        rows: ``[codes]``, the row of each code, or -1 if it has changed.
        uncoded: Rows without a code.
    """

    matrix: Floats
    rows: Rows
    uncoded: Rows
    _index: Any = field(repr=False)
    name: str = PQ

    @classmethod
    def build(cls, matrix: Floats) -> "FaissPq":
        """Learn the codes from a sample of the matrix, and encode the matrix.

        Raises:
            MissingDependencyError: If faiss is not installed.
        """
        faiss = import_faiss()
        count, columns = matrix.shape
        if count < _MIN_VECTORS:
            return cls(matrix, np.empty(0, np.int64), np.arange(count), None)
        # Pairs of columns share a code; if their number is odd, each column has its own.
        parts = columns // 2 if columns % 2 == 0 else columns
        index = faiss.index_factory(columns, f"PQ{parts}x4fs", faiss.METRIC_INNER_PRODUCT)
        index.train(np.ascontiguousarray(matrix[:: -(-count // _TRAINING_VECTORS)]))
        index.add(matrix)
        return cls(matrix, np.arange(count), np.empty(0, np.int64), index)

    def candidates(self, query: Floats, k: int) -> Rows:
        """Return `PER_HIT` k rows with codes, and the k nearest of the others."""
        others = scan(self.matrix, query, k, self.uncoded)
        if self._index is None:
            return others
        codes = self._index.search(query[None], min(PER_HIT * k, len(self.rows)))[1][0]
        rows = self.rows[codes[codes >= 0]]
        return np.concatenate([rows[rows >= 0], others])

    def updated(self, matrix: Floats, new_rows: Rows) -> "FaissPq":
        """Return the engine of another matrix, with the same codes unless a tenth of the vectors has changed."""
        rows = np.where(self.rows >= 0, new_rows[self.rows], -1)
        coded = np.zeros(len(matrix), bool)
        coded[rows[rows >= 0]] = True
        uncoded = np.flatnonzero(~coded)
        changed = len(uncoded) + np.count_nonzero(rows < 0)
        if self._index is None or changed > _STALE * len(matrix):
            return FaissPq.build(matrix)
        return replace(self, matrix=matrix, rows=rows, uncoded=uncoded)


def import_faiss() -> Any:
    """Return the module faiss, prepared for forks.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError("This search engine needs faiss: pip install 'musiczoo[faiss]'") from error
    _prepare_forks()
    return faiss


@cache
def _prepare_forks() -> None:
    """Make forked children use one thread: OpenMP would wait forever for those of the parent."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: import_faiss().omp_set_num_threads(1))
