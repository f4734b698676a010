"""One model shared by sixteen threads for minutes: same results as a single thread, no growth in memory?

    python benchmarks/faults/shared_model.py data/open_music/audio --seconds 600 --json shared_model.json

The threads take songs at random, whole or three excerpts of them. Linux only.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import soundfile
from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("faults", "library", ".")]

from sharing import share  # noqa: E402 - its folder is known now

from musiczoo.model import load  # noqa: E402


def table(report: dict[str, Any], threads: int) -> Table:
    """The report for people."""
    shown = Table(title=f"{report['songs']:,} analyses by {threads} threads in {report['seconds']:.0f} s")
    for name in ("different", "errors", "MB after a fifth", "MB in the last fifth", "MB at most"):
        shown.add_column(name, justify="right")
    looks = report["resident_mb"]
    fifth = max(1, len(looks) // 5)
    early, late = (sum(part) / len(part) for part in (looks[fifth : 2 * fifth] or looks, looks[-fifth:]))
    shown.add_row(
        str(report["different"]), str(len(report["errors"])), f"{early:.1f}", f"{late:.1f}", f"{max(looks):.1f}"
    )
    return shown


def main() -> int:
    """Read the options, share, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path, help="a folder of real songs")
    parser.add_argument("--songs", type=int, default=24, help="how many of those that last up to 90 s")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--model", default="disentangled-classification")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    short = [path for path in sorted(options.music.iterdir()) if soundfile.info(path).duration <= 90]
    songs = short[:: max(1, len(short) // options.songs)][: options.songs]
    report = share(load(options.model), songs, options.threads, options.seconds)
    Console().print(table(report, options.threads))
    if options.json:
        options.json.write_text(json.dumps(report) + "\n", encoding="utf-8")
    return int(bool(report["different"] or report["errors"]))


if __name__ == "__main__":
    sys.exit(main())
