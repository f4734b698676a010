"""Same song, same bits? Runs, processes, threads, batches, `excerpts`, files and what they decode to.

    python benchmarks/faults/same_bits.py data/open_music/audio --songs 24 --json determinism.json

See tests/faults/determinism.py for what is compared with what.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import soundfile
from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("faults", ".")]

from determinism import compare  # noqa: E402 - its folder is known now


def table(rows: list[dict[str, Any]]) -> Table:
    """The report for people."""
    shown = Table(title=f"{rows[0]['songs']} songs")
    for name in ("asked for", "same bits", "embeddings apart", "tags apart", "promised"):
        shown.add_column(name, justify="left" if name == "asked for" else "right")
    for row in rows:
        promise = f"{row['promise']:.0e}" if row["promise"] else "same bits"
        shown.add_row(row["what"], str(row["equal"]), f"{row['embedding']:.1e}", f"{row['tags']:.1e}", promise)
    return shown


def main() -> int:
    """Read the options, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path, help="a folder of real songs")
    parser.add_argument("--songs", type=int, default=24, help="how many of those that last up to --seconds")
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--model", default="disentangled-classification")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    short = [path for path in sorted(options.music.iterdir()) if soundfile.info(path).duration <= options.seconds]
    songs = short[:: max(1, len(short) // options.songs)][: options.songs]
    with tempfile.TemporaryDirectory(prefix="musiczoo-faults-") as folder:
        rows = compare(options.model, songs, Path(folder))
    Console().print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(any(max(row["embedding"], row["tags"]) > row["promise"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
