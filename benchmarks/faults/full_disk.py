"""Building a library, training and publishing on disks that are full, read-only or somebody else's; then with room.

    python benchmarks/faults/full_disk.py library publishing --rooms 100 --json full_disk.json

Linux only: disks are mounted, in a separate mount namespace (as root, or where users may make namespaces).
"""

import argparse
import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("faults", "library", "models", ".")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from disks import DONE, FAULT, call  # noqa: E402 - their folders are known now
from subjects import BROKEN, SUBJECTS  # noqa: E402


def main() -> int:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="+", choices=SUBJECTS)
    parser.add_argument("--rooms", type=int, default=50, help="amounts of room, from none to enough")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    report = {name: call("report", name, options.rooms) for name in options.subjects}
    shown = Table(
        "", "runs", "all done", "ended with our error", "with another", "broken after", "different in the end"
    )
    failed = False
    for name, rows in report.items():
        done = sum(row["ended"] == DONE for row in rows)
        faults = sum(row["ended"].startswith(FAULT) for row in rows)
        broken = sum(row["left"].startswith(BROKEN) for row in rows)
        different = sum(not row["equal"] for row in rows)
        counts = (len(rows), done, len(rows) - done - faults, faults, broken, different)
        shown.add_row(name, *map(str, counts))
        failed |= bool(faults or broken or different)
    Console().print(shown)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
