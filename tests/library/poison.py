"""Files that crash the process that decodes them: those named poison.

    python tests/library/poison.py MUSIC LIBRARY MODEL

indexes with a decoder that such a file crashes in this process, but not in worker processes.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from musiczoo.library import indexing, worker
from musiczoo.library.library import Library
from musiczoo.library.records import Entry, Failure, LibraryConfig
from musiczoo.model import Model


def analyze(model: Model, config: LibraryConfig, path: str) -> Entry | Failure:
    """Analyze a file in a worker process."""
    _taste(path)
    return worker.analyze_path(model, config, path)


def _analyze(model: Model, config: LibraryConfig, file: Any, digest: str) -> Entry:
    _taste(file.path)
    return worker.analyze_file(model, config, file, digest)


def _taste(path: str) -> None:
    if Path(path).stem == "poison":
        os.kill(os.getpid(), signal.SIGSEGV)


if __name__ == "__main__":
    indexing.analyze_file = _analyze  # type: ignore[attr-defined]
    Library.build(sys.argv[3], sys.argv[1], path=sys.argv[2], workers=2, excerpts=3).close()
