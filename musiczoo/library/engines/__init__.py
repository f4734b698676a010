"""Search engines: how a query finds its nearest embeddings.

Conventions
-----------
- A *matrix* is ``[N, E]`` float32; each space of a row has length 1 / sqrt(number of spaces), or is zero.
- A *query* is ``[E]``: in each space, the query's unit vector, times its weight, times sqrt(number of spaces); the
  weights sum to 1. Its inner product with a row is the weighted mean of the spaces' cosines, so one scan answers a
  query whatever its weights.
- An engine returns *candidates*, rows among which the k nearest are. The caller orders them in double precision.

Why no inverted lists (IVF) and no graphs (HNSW)
------------------------------------------------
They sort vectors by the unweighted geometry before the weights are known, and search only where that leads. Measured
on a million clustered 256-d vectors, top 10, one thread: IVF's recall falls from 0.94 with equal weights to 0.36 with
mixed ones and 0.12 with one dimension only; HNSW reaches 0.91 to 0.93 with a search width of 512, and far less below.
Only engines that scan the codes of all vectors serve all weights: `Exact` (numpy; recall 1, 100 ms), `FaissFlat`
(recall 1, 34 to 36 ms) and `FaissPq` (recall 0.988 and more, 2.8 ms). benchmarks/search_million.py measures them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from ...errors import UnknownNameError
from .engine import EXACT, FLAT, NAMES, PQ, Engine, Exact, Floats, Rows
from .faiss import FaissFlat, FaissPq

__all__ = [
    "EXACT",
    "EXACT_UP_TO",
    "FLAT",
    "FLAT_UP_TO",
    "NAMES",
    "PQ",
    "Choice",
    "Engine",
    "Exact",
    "FaissFlat",
    "FaissPq",
    "Floats",
    "Rows",
    "build",
    "choose",
]

EXACT_UP_TO = 200_000
"""Number of vectors that numpy scans in about 25 ms."""

FLAT_UP_TO = 400_000
"""Number of vectors that faiss scans in about 20 ms. Above it, the seconds to build an index are worth it."""


@dataclass(frozen=True)
class Choice:
    """The name of an engine, and the reason for its choice."""

    name: str
    why: str


def choose(count: int, once: bool = False) -> Choice:
    """Choose the engine for a number of vectors.

    Args:
        count: Number of vectors.
        once: Whether only a few queries will follow, for which an index is not worth building.
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
    """Build an engine over a matrix ``[N, E]``.

    Raises:
        UnknownNameError: If there is no engine of that name.
        MissingDependencyError: If it needs ``musiczoo[faiss]``.
    """
    builders: dict[str, Callable[[Floats], Engine]] = {EXACT: Exact, FLAT: FaissFlat, PQ: FaissPq.build}
    if name not in builders:
        raise UnknownNameError.of("search engine", name, NAMES)
    return builders[name](matrix)
