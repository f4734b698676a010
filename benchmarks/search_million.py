"""Search a million vectors: latency and recall of each engine, for equal, mixed and single weights.

    python benchmarks/search_million.py --json search_million.json
    python benchmarks/search_million.py --others      # also what is not used: IVF, HNSW (some ten minutes more), SQfp16

Conventions
-----------
- One thread, unless OMP_NUM_THREADS says otherwise.
- The vectors are clustered: in each of the four spaces one of `CLUSTERS` random directions with noise on it, in each
  space another. Queries are further vectors of the same kind.
- Latency is that of `Snapshot.nearest`: the engine's candidates and their exact order. Recall is the share of the
  exact top k that is found, mean over queries.
"""

# ruff: noqa: E402 - numpy reads the number of threads when it is imported
import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse
import json
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from musiczoo.library.engines import NAMES, Engine, Exact, Floats, Rows, build, choose
from musiczoo.library.vectors import Doubles, Snapshot
from musiczoo.taxonomy import EMBEDDING_SIZE, SPACES

CLUSTERS = 1000
SPREAD = 0.7
"""Length of the noise, as a share of the direction's."""

WEIGHTINGS = {
    "equal": dict.fromkeys(SPACES, 1.0),
    "mixed": dict(zip(SPACES, (1.0, 2.0, 0.5, 0.25), strict=True)),
    "single": {next(iter(SPACES)): 1.0},
}

OTHERS = {
    "SQfp16": ("SQfp16", {}),
    "IVF4096, nprobe 32": ("IVF4096,Flat", {"nprobe": 32}),
    "HNSW32, ef 512": ("HNSW32", {"efSearch": 512}),
    "HNSW32, ef 64": ("HNSW32", {"efSearch": 64}),
}
"""Name -> faiss's factory string and search parameters."""


@dataclass(frozen=True, eq=False)
class Other:
    """An index that musiczoo does not use, as an engine; its candidates are as many as the hits."""

    name: str
    index: Any

    def candidates(self, query: Floats, k: int) -> Rows:
        """The k that it finds."""
        found: Rows = self.index.search(query[None], k)[1][0]
        return found[found >= 0]

    def updated(self, matrix: Floats, new_rows: Rows) -> Engine:
        """Is not measured."""
        raise NotImplementedError


def clustered(count: int, seed: int = 0) -> Floats:
    """Vectors ``[count, E]`` as above, each space of length 1 / sqrt(number of spaces)."""
    random = np.random.default_rng(seed)
    vectors = np.empty((count, EMBEDDING_SIZE), np.float32)
    for start, stop in SPACES.values():
        centres = random.standard_normal((CLUSTERS, stop - start), np.float32)
        for i in range(0, count, 1 << 16):
            block = vectors[i : i + (1 << 16), start:stop]
            block[:] = centres[random.integers(CLUSTERS, size=len(block))]
            block += SPREAD * random.standard_normal(block.shape, np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True) * len(SPACES) ** 0.5
    return vectors


def query(vector: Floats, weights: Mapping[str, float]) -> Doubles:
    """The vector's spaces times their weights: see `musiczoo.library.engines`."""
    asked, total = np.zeros(len(vector)), sum(weights.values())
    for name, weight in weights.items():
        start, stop = SPACES[name]
        asked[start:stop] = vector[start:stop].astype(np.float64) * len(SPACES) * weight / total
    return asked


def engines(matrix: Floats, others: bool) -> Iterator[tuple[Engine, float]]:
    """Each engine, and the seconds that it took to build."""
    for name in NAMES:
        began = time.perf_counter()
        yield build(name, matrix), time.perf_counter() - began
    if others:
        import faiss

        indices: dict[str, tuple[Any, float]] = {}
        for name, (factory, parameters) in OTHERS.items():
            if factory not in indices:
                began = time.perf_counter()
                index = faiss.index_factory(matrix.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
                index.train(matrix[:: max(1, len(matrix) // 200_000)])
                index.add(matrix)
                indices = {factory: (index, time.perf_counter() - began)}  # one at a time in memory
            index, seconds = indices[factory]
            for key, value in parameters.items():
                faiss.ParameterSpace().set_index_parameter(index, key, value)
            yield Other(name, index), seconds


def measure(engine: Engine, matrix: Floats, queries: Floats, exact_hits: Mapping[str, list[Rows]], k: int) -> list[Any]:
    """A row for each weighting: milliseconds (median, 95th percentile) and recall."""
    snapshot = Snapshot(0, np.arange(len(matrix)), matrix, engine)
    rows = []
    for weighting, weights in WEIGHTINGS.items():
        asked = [query(vector, weights) for vector in queries]
        snapshot.nearest(asked[0], k)
        milliseconds, shares = [], []
        for vector, exact in zip(asked, exact_hits[weighting], strict=True):
            began = time.perf_counter()
            found, _ = snapshot.nearest(vector, k)
            milliseconds.append(1000 * (time.perf_counter() - began))
            shares.append(len(np.intersect1d(found[:k], exact)) / k)
        latencies = np.percentile(milliseconds, (50, 95)).round(3).tolist()
        rows.append([weighting, *latencies, round(float(np.mean(shares)), 4)])
    return rows


def run(count: int, asked: int, k: int, others: bool = False) -> dict[str, Any]:
    """Measure all engines: a report, ready for JSON."""
    vectors = clustered(count + asked)
    matrix, queries = vectors[:count], vectors[count:]
    exact = Snapshot(0, np.arange(count), matrix, Exact(matrix))
    exact_hits = {
        name: [exact.nearest(query(vector, weights), k)[0][:k] for vector in queries]
        for name, weights in WEIGHTINGS.items()
    }
    results = []
    for engine, seconds in engines(matrix, others):
        for weighting, median, slow, recall in measure(engine, matrix, queries, exact_hits, k):
            setup = {"engine": engine.name, "build_s": round(seconds, 2), "weights": weighting}
            results.append({**setup, "median_ms": median, "p95_ms": slow, "recall": recall})
    return {
        "vectors": count,
        "columns": EMBEDDING_SIZE,
        "queries": asked,
        "k": k,
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "machine": platform.processor() or platform.machine(),
        "default_engine": choose(count).name,
        "results": results,
    }


def table(report: Mapping[str, Any]) -> Table:
    """The report for people."""
    shown = Table(title=f"Top {report['k']} of {report['vectors']:,} vectors, {report['threads']} thread(s)")
    for name in ("engine", "build s", "weights", "median ms", "95 % ms", "recall"):
        shown.add_column(name, justify="left" if name in ("engine", "weights") else "right")
    for row in report["results"]:
        name = f"{row['engine']} *" if row["engine"] == report["default_engine"] else row["engine"]
        metrics = f"{row['median_ms']:.2f}", f"{row['p95_ms']:.2f}", f"{row['recall']:.3f}"
        shown.add_row(name, f"{row['build_s']:.1f}", row["weights"], *metrics)
    shown.caption = "* the default at this size"
    return shown


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000, help="vectors")
    parser.add_argument("--queries", type=int, default=200, help="for each weighting")
    parser.add_argument("-k", type=int, default=10, help="hits")
    parser.add_argument("--others", action="store_true", help="also measure what is not used")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    report = run(options.count, options.queries, options.k, options.others)
    Console().print(table(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
