"""Keep the few inputs of a corpus that reach what no other does: ``python tests/fuzz/keep.py CORPUS [TARGET ...]``.

Smallest first: one that reaches a line of musiczoo's which neither the seeds nor what is kept already reaches goes into
tests/fuzz/corpus/TARGET.
"""

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import child  # noqa: E402
import targets  # noqa: E402

from musiczoo.errors import MusicZooError  # noqa: E402

LARGEST = 8_000
"""Bytes of an input that is kept."""

OURS = tuple(f"{HERE.parent.parent / room}{os.sep}" for room in ("musiczoo", "export"))

Lines = set[tuple[str, int]]


def reached(target: targets.Target, data: bytes) -> Lines:
    """The lines of ours that an input runs through."""
    lines: Lines = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.settrace(trace)
        try:
            with suppress(MusicZooError):
                target.run(data)
        finally:
            sys.settrace(None)
            os.chdir(HERE)
    return lines


def main() -> None:
    """Read the arguments, and keep."""
    corpus, *names = sys.argv[1:]
    place = Path(corpus).resolve()
    for name in names or targets.NAMES:
        target, known = targets.load(name), Lines()
        for data in [*target.seeds(), *child.known(name)]:
            known |= reached(target, data)
        files = sorted((path for path in (place / name).glob("*")), key=lambda path: path.stat().st_size)
        kept = 0
        for path in files:
            if path.stat().st_size <= LARGEST and (new := reached(target, path.read_bytes()) - known):
                known |= new
                kept += 1
                to = HERE / "corpus" / name / sha256(path.read_bytes()).hexdigest()[:12]
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to)
        print(f"{name:13} {kept} of {len(files)} kept")


if __name__ == "__main__":
    main()
