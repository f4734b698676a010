"""The interface of a search engine, and exact search with numpy, the default up to 200,000 tracks."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..._neighbors import scan

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]

EXACT, FLAT, PQ = "exact", "faiss-flat", "faiss-pq"
NAMES = (EXACT, FLAT, PQ)


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


@dataclass(frozen=True, eq=False)
class Exact:
    """Scans a matrix ``[N, E]``: its candidates are the k nearest, and all rows as near as the k-th."""

    matrix: Floats
    name: str = EXACT

    def candidates(self, query: Floats, k: int) -> Rows:
        """Return the k nearest rows and all that are as near as the k-th: see `scan`."""
        return scan(self.matrix, query, k)

    def updated(self, matrix: Floats, new_rows: Rows) -> "Exact":
        """Return the engine of another matrix; there is nothing to keep."""
        return Exact(matrix)
