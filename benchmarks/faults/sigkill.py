"""SIGKILL at random moments of building a library, of training and of publishing; what is left, and the next run.

    python benchmarks/faults/sigkill.py library --kills 200
    python benchmarks/faults/sigkill.py training --kills 50 --begin 150    # the last 50 of 200
    python benchmarks/faults/sigkill.py publishing --kills 200 --json publishing.json

Linux and macOS. See tests/faults/killing.py for the moments, and tests/faults/subjects.py for what is killed.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("faults", "library", "models", ".")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from killing import rounds  # noqa: E402 - their folders are known now
from subjects import BROKEN, SUBJECTS  # noqa: E402


def run(subject: str, kills: int, seed: int, begin: int) -> dict[str, Any]:
    """Kill, and say what came of it."""
    with tempfile.TemporaryDirectory(prefix="musiczoo-faults-") as folder:
        found = rounds(SUBJECTS[subject](Path(folder)), kills, seed, begin)
        undisturbed, results = next(found), []
        for i, result in enumerate(found, start=begin + 1):
            results.append(result)
            end = "equal" if result["equal"] else "DIFFERENT"
            print(f"{i:4d}: killed at {result['moment']}, left {result['left']}; then {end}", file=sys.stderr)
    return {
        "subject": subject,
        "undisturbed": undisturbed,
        "seed": seed,
        "kills": len(results),
        "broken": sum(result["left"].startswith(BROKEN) for result in results),
        "different": sum(not result["equal"] for result in results),
        "left": dict(Counter(result["left"] for result in results).most_common()),
        "rounds": results,
    }


def table(report: dict[str, Any]) -> Table:
    """The report for people."""
    seconds, steps = report["undisturbed"].values()
    shown = Table(title=f"{report['subject']}: {seconds} s, {steps} steps; killed {report['kills']} times")
    for name in ("found after the kill", "times"):
        shown.add_column(name)
    for left, count in report["left"].items():
        shown.add_row(left[:80], str(count))
    shown.caption = f"{report['broken']} broken after the kill, {report['different']} different after the next run"
    return shown


def main() -> int:
    """Read the options, kill, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--begin", type=int, default=0, help="kills to pass over: done before with this seed")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    report = run(options.subject, options.kills, options.seed, options.begin)
    Console().print(table(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(bool(report["broken"] or report["different"]))


if __name__ == "__main__":
    sys.exit(main())
