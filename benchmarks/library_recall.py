"""Does a library find what the evaluation measures? R@K of `Library.search` beside that of `musiczoo.evaluation`.

    musiczoo index data/open_music/audio --library library.db --excerpts 0
    python benchmarks/library_recall.py library.db data/open_music --split test

Conventions
-----------
- Each track of the split is a query; of its hits those of the split count, as in the evaluation. Duplicates are not
  folded: the evaluation knows none.
- The two values are equal if search is correct: both come from the library's own vectors. ``--analyze`` adds the
  metrics of the model's embeddings of the same files now: they differ as far as the library analyzed other
  excerpts.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musiczoo.datasets.prepared import Store
from musiczoo.errors import LibraryError, MusicZooError
from musiczoo.evaluation import ground_truth
from musiczoo.evaluation.embeddings import run_models
from musiczoo.evaluation.metrics import retrieval
from musiczoo.library import Library
from musiczoo.library.records import Entry


def neighbours(library: Library, paths: Sequence[str], k: int) -> NDArray[np.intp]:
    """``[tracks, k]``: for each file the rows of its k nearest among these files, by searching."""
    row = {path: i for i, path in enumerate(paths)}
    found = []
    for path in paths:
        hits = library.search(path, len(library), fold_duplicates=False)
        found.append([row[hit.path] for hit in hits if hit.path in row][:k])
    return np.array(found, np.intp)


def compare(
    library: Library, store: Store, split: str, teachers: Sequence[str], again: bool = False
) -> dict[str, dict[str, Any]]:
    """R@K (K = 1, 2, 4, 8) by searching and by the evaluation: ``{"search": {"1": ...}, "evaluation": {...}}``.

    Args:
        library: A library with the split's audio.
        store: The prepared data set.
        split: Which tracks.
        teachers: Whose labels say which tags they have.
        again: Analyze the files again: adds ``"evaluation, analyzed again"``.

    Raises:
        LibraryError: If a track of the split is not in the library.
    """
    known, _ = ground_truth.read(store, split, teachers)
    paths = [os.path.abspath(store.audio(track_id)) for track_id in known.ids]
    entries = [_entry(library, path) for path in paths]
    k = max(retrieval.KS)
    found = {
        "search": neighbours(library, paths, k),
        "evaluation": retrieval.nearest(np.array([entry.embedding for entry in entries]), k),
    }
    if again:
        (outputs,), _ = run_models([library.model()], store, [store.track(track_id) for track_id in known.ids])
        if isinstance(outputs, MusicZooError):
            raise outputs
        found["evaluation, analyzed again"] = retrieval.nearest(outputs.only(known.ids).vectors, k)
    return {
        name: {at: metric["value"] for at, metric in retrieval.evaluate(near, known.positives)["recall"].items()}
        for name, near in found.items()
    }


def _entry(library: Library, path: str) -> Entry:
    entry = library.database.find(path)
    if entry is None:
        raise LibraryError(f"{library.path}: expected the whole split, found no {path}. Run: musiczoo index")
    return entry


def main() -> None:
    """Read the options, compare, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("--split", default="test")
    parser.add_argument("--teacher", action="append", help="whose labels (default: all)")
    parser.add_argument("--analyze", action="store_true", help="also analyze the files again")
    options = parser.parse_args()
    store = Store.open(options.data)
    teachers = options.teacher or sorted(path.name for path in (store.root / "labels").glob("*") if path.is_dir())
    with Library.open(options.library) as library:
        results = compare(library, store, options.split, teachers, options.analyze)
    for name, recall in results.items():
        print(json.dumps({"by": name, **{f"R@{k}": round(value, 6) for k, value in recall.items()}}))
    if results["search"] != results["evaluation"]:
        raise SystemExit("They differ.")


if __name__ == "__main__":
    main()
