"""What an engine is, and which one serves how many vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import UnknownNameError

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]

EXACT, FLAT, PQ = "exact", "faiss-flat", "faiss-pq"
NAMES = (EXACT, FLAT, PQ)

EXACT_UP_TO = 200_000
"""Vectors that numpy scans in some 25 ms."""

FLAT_UP_TO = 400_000
"""Vectors that faiss scans in some 20 ms: more are worth the seconds that an index takes to build."""


class Engine(Protocol):
    """Finds candidates in a matrix. Immutable: `followed` makes the engine of the next one."""

    @property
    def name(self) -> str:
        """One of `NAMES`."""

    def candidates(self, query: Floats, k: int) -> Rows:
        """Rows, in any order, that hold the k nearest to a query ``[E]`` (or all but a few: see the engine)."""

    def followed(self, matrix: Floats, now_at: Rows) -> "Engine":
        """The engine of another matrix: ``now_at[row]`` is where an old row is, or -1 if it changed or went."""


@dataclass(frozen=True)
class Choice:
    """An engine's name, and why it is that one."""

    name: str
    why: str


def choose(count: int, once: bool = False) -> Choice:
    """The engine for so many vectors.

    Args:
        count: How many.
        once: Only a few queries will be asked, which is not worth an index.
    """
    if count <= EXACT_UP_TO:
        return Choice(EXACT, f"up to {EXACT_UP_TO:,} tracks")
    if find_spec("faiss") is None:
        return Choice(EXACT, "faster above that size with faiss: pip install 'musiczoo[faiss]'")
    if count <= FLAT_UP_TO:
        return Choice(FLAT, f"{EXACT_UP_TO:,} to {FLAT_UP_TO:,} tracks")
    if once:
        return Choice(FLAT, "for few queries, no index is built")
    return Choice(PQ, f"above {FLAT_UP_TO:,} tracks")


def build(name: str, matrix: Floats) -> Engine:
    """Make an engine.

    Raises:
        UnknownNameError: If there is none of the name.
        MissingDependencyError: If it takes ``musiczoo[faiss]``.
    """
    from .exact import Exact
    from .faiss_flat import FaissFlat
    from .faiss_pq import FaissPq

    makers: dict[str, Callable[[Floats], Engine]] = {EXACT: Exact, FLAT: FaissFlat, PQ: FaissPq.built}
    if name not in makers:
        raise UnknownNameError.of("search engine", name, NAMES)
    return makers[name](matrix)
