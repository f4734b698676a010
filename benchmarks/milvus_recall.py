"""What part of the exact top k is among the candidates that Milvus names, by how many each field names.

Needs musiczoo[milvus]. On milvus-lite (the default) or a server; vectors are made on the spot and clustered in each of
four spaces. Prints a table: recall of one look, how often that look is proved to be exact, and its milliseconds.

    python benchmarks/milvus_recall.py --songs 5000 --queries 20
    python benchmarks/milvus_recall.py --songs 1000000 --uri http://localhost:19530 --index HNSW
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1] / "tests" / "scale")]

from catalogue import CONFIG  # noqa: E402
from clusters import clustered, entries  # noqa: E402

from musiczoo.library.query import QueryVector  # noqa: E402
from musiczoo.scale.milvus import MilvusStore, fetch_candidates  # noqa: E402
from musiczoo.scale.milvus_records import track_id  # noqa: E402

KINDS = {
    "clear": {"styles": 200, "places": 50, "spread": 1.0},
    "hidden": {"styles": 200, "places": 50, "spread": 2.0},
    "unrelated": {"styles": 0, "places": 50, "spread": 2.0},
}
WEIGHTS = {"equal": (1, 1, 1, 1), "mixed": (2, 4, 1, 0), "single": (0, 0, 1, 0)}
DEPTHS = (50, 200, 500, 1000, 2000, 4000)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=5000)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--uri", help="of a server; default: a milvus-lite file that is deleted")
    parser.add_argument("--index", default="FLAT", help="type of the fields' index, such as HNSW")
    options = parser.parse_args()
    print(f"{options.songs:,} songs, {options.queries} queries, top {options.k}, {options.index}")
    print(f"{'clusters':12}{'weights':10}{'a field':>10}{'recall':>10}{'proved':>10}{'ms':>10}")
    index = {"index_type": options.index}
    if options.index == "HNSW":
        index["params"] = {"M": 32, "efConstruction": 200}
    for kind, how in KINDS.items():
        vectors = clustered(options.songs, **how)
        with TemporaryDirectory() as folder:
            uri = options.uri or str(Path(folder) / "songs.db")
            with MilvusStore.create(uri, CONFIG, f"recall_{kind}", index=index) as store:
                store.add(entries(vectors))
                for name, weights in WEIGHTS.items():
                    measure(store, vectors, kind, name, np.array(weights) / sum(weights), options)


def measure(store, vectors, kind, name, weights, options) -> None:
    """Print the lines of one weighting."""
    shares = np.repeat(weights * len(weights), [stop - start for start, stop in CONFIG.spaces.values()])
    ids = np.array([track_id(entry.path) for entry in entries(vectors)])
    chosen = np.random.default_rng(1).choice(len(vectors), options.queries, replace=False)
    for depth in (depth for depth in DEPTHS if depth < len(vectors)):
        recalls, proofs, seconds = [], [], []
        for i in chosen:
            directions = {s: 2 * vectors[i, a:b].astype(float) for s, (a, b) in CONFIG.spaces.items()}
            said = {s: float(w) for s, w in zip(CONFIG.spaces, weights, strict=True) if w}
            started = time.perf_counter()
            found = fetch_candidates(store, [QueryVector(directions, said, frozenset())], depth)
            seconds.append(time.perf_counter() - started)
            scores = vectors @ (vectors[i] * shares)
            best = np.argsort(-scores, kind="stable")[: options.k]
            recalls.append(np.isin(ids[best], found.ids).mean())
            proofs.append(scores[best[-1]] >= found.bound)
        line = f"{kind:12}{name:10}{depth:>10,}{np.mean(recalls):>10.3f}{np.mean(proofs):>10.2f}"
        print(f"{line}{1000 * np.median(seconds):>10.0f}", flush=True)


if __name__ == "__main__":
    main()
