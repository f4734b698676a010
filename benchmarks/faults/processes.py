"""Eight processes build and search one library while songs are renamed: does it equal one made by a single process?

python benchmarks/faults/processes.py --rounds 60 --json processes.json
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("faults", "library", ".")]

import kills  # noqa: E402 - their folders are known now
from sharing import crowd  # noqa: E402
from toy import write_model  # noqa: E402


def main() -> int:
    """Read the options, let them loose, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builders", type=int, default=4)
    parser.add_argument("--searchers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=60, help="builds by each builder")
    parser.add_argument("--songs", type=int, default=60)
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="musiczoo-faults-") as name:
        folder = Path(name)
        music, model = kills.write_music(folder / "music", options.songs), str(write_model(folder / "toy"))
        report = crowd(model, music, folder, options.builders, options.searchers, options.rounds)
    shown = Table(title=f"{options.builders} build, {options.searchers} search")
    for name in report:
        shown.add_column(name, justify="right")
    shown.add_row(*(str(len(value) if isinstance(value, list) else value) for value in report.values()))
    Console().print(shown)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(bool(report["errors"]) or not report["equal"])


if __name__ == "__main__":
    sys.exit(main())
