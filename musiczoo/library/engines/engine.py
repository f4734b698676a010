"""The interface of a search engine, and exact search with numpy, the default up to 200,000 tracks."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..._neighbors import scan_all
from ..._parallel import Together
from .. import locks

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]

EXACT, FLAT, PQ = "exact", "faiss-flat", "faiss-pq"
NAMES = (EXACT, FLAT, PQ)

_QUERIES = 8
"""Most queries of one scan: more are hardly faster, and each thread's memory would keep room for their scores."""


class Engine(Protocol):
    """Finds candidates in a matrix. It is immutable: `updated` returns the engine of the next matrix."""

    @property
    def name(self) -> str:
        """One of `NAMES`."""

    def candidates(self, query: Floats, k: int) -> Rows:
        """Return rows, in any order, that hold the k nearest to a query ``[E]`` (or nearly all: see the engine)."""

    def updated(self, matrix: Floats, new_rows: Rows) -> "Engine":
        """Return the engine of another matrix.

        Args:
            matrix: The matrix.
            new_rows: Row -> its number in the new matrix, or -1 if it has changed or is gone.
        """


class Exact:
    """Scans a matrix ``[N, E]``: its candidates are the k nearest, and all rows as near as the k-th.

    Queries of several threads share a scan.
    """

    name = EXACT

    def __init__(self, matrix: Floats) -> None:
        """Keep the matrix."""
        self.matrix = matrix
        self.forked()
        locks.watch(self)

    def forked(self) -> None:
        """Handle a fork: see `locks`."""
        self._scans = Together(self._scan, _QUERIES)

    def candidates(self, query: Floats, k: int) -> Rows:
        """Return the k nearest rows and all that are as near as the k-th: see `scan_all`."""
        return self._scans((query, k))

    def _scan(self, asked: Sequence[tuple[Floats, int]]) -> list[Rows]:
        return scan_all(self.matrix, np.stack([query for query, _ in asked]), [k for _, k in asked])

    def updated(self, matrix: Floats, new_rows: Rows) -> "Exact":
        """Return the engine of another matrix; there is nothing to keep."""
        return Exact(matrix)
