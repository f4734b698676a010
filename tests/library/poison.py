"""Files that kill whoever decodes them: those named poison.

    python tests/library/poison.py MUSIC LIBRARY MODEL

indexes with a decoder that such a file kills in this process, though not in its children.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from musiczoo.library import hearing, indexing
from musiczoo.library.library import Library
from musiczoo.library.records import Entry, Facts, Failure
from musiczoo.model import Model


def hear(model: Model, facts: Facts, path: str) -> Entry | Failure:
    """What a child does."""
    _taste(path)
    return hearing.hear_path(model, facts, path)


def _hear(model: Model, facts: Facts, seen: Any, digest: str) -> Entry:
    _taste(seen.path)
    return hearing.hear(model, facts, seen, digest)


def _taste(path: str) -> None:
    if Path(path).stem == "poison":
        os.kill(os.getpid(), signal.SIGSEGV)


if __name__ == "__main__":
    indexing.hear = _hear  # type: ignore[attr-defined]
    Library.build(sys.argv[3], sys.argv[1], path=sys.argv[2], workers=2, excerpts=3).close()
