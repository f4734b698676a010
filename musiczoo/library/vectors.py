"""The embeddings of a library in memory, and the nearest among them.

Conventions
-----------
- They are read at the first query. Each later query asks the file for its revision, and reads only what has changed;
  the result equals a fresh reading.
- Each space of an embedding has length 1 / sqrt(number of spaces), or is zero. Those of an unnormalized model are
  rescaled, so that queries compare by cosine whatever the model.
- A `Snapshot` is immutable: a search uses one state of the library from beginning to end.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._neighbors import scan
from . import locks
from .database import Database
from .engines import EXACT, Choice, Engine, Floats, Rows, build, choose

Doubles = NDArray[np.float64]
Spaces = Mapping[str, tuple[int, int]]

SAMPLE = 1000
"""Size of the sample of a library with which a hit is compared."""

_SELECTIVE = 8
"""Where a filter keeps fewer than 1 in 8 rows, only those are scanned."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The embeddings of one state of the library.

    Attributes:
        revision: Revision of the library.
        ids: ``[N]``, ids of the tracks, ascending.
        matrix: ``[N, E]``, their embeddings, one row a track.
        engine: The search engine over the matrix.
    """

    revision: int
    ids: Rows
    matrix: Floats
    engine: Engine

    @cached_property
    def sample(self) -> Doubles:
        """A sample of the embeddings, evenly spaced and without silent tracks: up to ``[SAMPLE, E]``."""
        count = len(self.ids)
        rows = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(int))
        sample: Doubles = self.matrix[rows].astype(np.float64)
        return sample[sample.any(axis=1)]  # silent tracks are similar to nothing

    def rows(self, ids: Rows) -> Rows:
        """Return the rows of tracks, ascending; unknown ids are left out."""
        wanted = np.unique(ids)
        return np.searchsorted(self.ids, wanted)[_among(wanted, self.ids)]

    def nearest(
        self, query: Doubles, k: int, rows: Rows | None = None, without: Rows | None = None
    ) -> tuple[Rows, Doubles]:
        """Return the k rows with the highest inner products, and those products.

        Candidates come from the engine; their order and products are computed in double precision.

        Args:
            query: ``[E]``, see `engines`.
            k: Number of rows, from 1.
            rows: Search only these (ascending).
            without: Leave these out: a few.

        Returns:
            Rows and products, highest first; more than k if several are as near as the k-th.
        """
        left_out = np.empty(0, np.int64) if without is None else without
        found = self._candidates(query.astype(np.float32), k + len(left_out), rows)
        found = found[~np.isin(found, left_out)]
        # einsum: equal vectors give equal products, which a matrix product does not promise.
        near: Doubles = np.einsum("re,e->r", self.matrix[found].astype(np.float64), query)
        order = np.lexsort((found, -near))
        if len(order) > k:
            order = order[near[order] >= near[order[k - 1]]]
        return found[order], near[order]

    def _candidates(self, query: Floats, k: int, rows: Rows | None) -> Rows:
        if rows is None:
            return self.engine.candidates(query, k)
        if self.engine.name != EXACT and len(rows) * _SELECTIVE > len(self.ids):
            # No engine takes a filter: request more, so that enough may pass.
            found = self.engine.candidates(query, 2 * k * -(-len(self.ids) // len(rows)))
            passed = found[_among(found, rows)]
            if len(passed) >= k:
                return passed
        return scan(self.matrix, query, k, rows)


class Vectors:
    """The embeddings of an open library; safe to use from several threads, and after a fork.

    Attributes:
        database: The library's file.
        engine: Name of the search engine (`engines.NAMES`); None to choose by size.
        once: Whether only a few queries will follow, for which no index is built.
    """

    def __init__(self, database: Database, engine: str | None = None, once: bool = False) -> None:
        """Keep the database; nothing is read yet."""
        self.database = database
        self.engine = engine
        self.once = once
        self._snapshot: Snapshot | None = None
        self._turn = threading.Lock()
        locks.watch(self)

    def forked(self) -> None:
        """Handle a fork: see `locks`."""
        self._turn = threading.Lock()

    def current(self) -> Snapshot:
        """Return the embeddings of the library as it is now.

        Raises:
            LibraryError: If its file cannot be read.
            UnknownNameError: If there is no engine of the given name.
            MissingDependencyError: If that engine needs ``musiczoo[faiss]``.
        """
        with self._turn:
            snapshot = self._snapshot
            if snapshot is None or self.database.revision() != snapshot.revision:
                snapshot = self._read(snapshot)
            elif self._choice(len(snapshot.ids)).name != snapshot.engine.name:
                snapshot = self._with_engine(snapshot.revision, snapshot.ids, snapshot.matrix)
            self._snapshot = snapshot
            return snapshot

    def describe(self) -> dict[str, Any]:
        """Return number and size of the embeddings, the search engine and its reason, and whether they are loaded."""
        count = len(self.database)
        choice = self._choice(count)
        return {
            "vectors": count,
            "bytes": count * self.database.config.embedding_size * np.dtype(np.float32).itemsize,
            "engine": choice.name,
            "engine_because": choice.why,
            "loaded": self._snapshot is not None,
        }

    def _choice(self, count: int) -> Choice:
        return choose(count, self.once) if self.engine is None else Choice(self.engine, "requested")

    def _read(self, old: Snapshot | None) -> Snapshot:
        # The revision first: changes by another process while we read are read again the next time.
        revision = self.database.revision()
        changed, vectors = self.database.vectors_since(-1 if old is None else old.revision)
        config = self.database.config
        if not config.normalized:
            vectors = normalize_spaces(vectors, config.spaces)
        if old is None:
            return self._with_engine(revision, changed, vectors)
        kept = np.flatnonzero(np.isin(old.ids, self.database.ids()) & ~np.isin(old.ids, changed))
        ids = np.concatenate([old.ids[kept], changed])
        order = np.argsort(ids, kind="stable")
        matrix = np.concatenate([old.matrix[kept], vectors])[order]
        if self._choice(len(ids)).name != old.engine.name:
            return self._with_engine(revision, ids[order], matrix)
        new_rows = np.full(len(old.ids), -1, np.int64)
        new_rows[kept] = np.argsort(order, kind="stable")[: len(kept)]
        return Snapshot(revision, ids[order], matrix, old.engine.updated(matrix, new_rows))

    def _with_engine(self, revision: int, ids: Rows, matrix: Floats) -> Snapshot:
        return Snapshot(revision, ids, matrix, build(self._choice(len(ids)).name, matrix))


def _among(values: Rows, ascending: Rows) -> NDArray[np.bool_]:
    """Return whether each value is in a sorted array; fast for few values among a million."""
    at = np.searchsorted(ascending, values)
    found: NDArray[np.bool_] = at < len(ascending)
    found[found] = ascending[at[found]] == values[found]
    return found


def normalize_spaces(vectors: Floats, spaces: Spaces) -> Floats:
    """Return embeddings ``[N, E]`` with each space at length 1 / sqrt(number of spaces); zeros stay zeros."""
    length = len(spaces) ** -0.5
    return np.concatenate([units(vectors[:, a:b]) * length for a, b in sorted(spaces.values())], axis=1, dtype="f4")


def units(vectors: NDArray[np.floating]) -> Doubles:
    """Return vectors ``[..., columns]`` at length 1; zeros stay zeros."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    unit: Doubles = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    return unit
