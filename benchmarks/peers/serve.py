"""What every peer does: say that it is ready, then tag the song of each line and say how long that took.

Only the standard library, since each peer runs in a separate environment.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def serve(tag: Callable[[str], Any]) -> None:
    """Say that it is ready (a line), then answer each path on standard input with ``{"seconds", "tags", "peak_mb"}``.

    Args:
        tag: Tags a song: name of a tag -> its score. It may also return None, and is then only timed.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # some peers print
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        tags = tag(line.rstrip("\n"))
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "tags": tags, "peak_mb": peak_mb()}), file=answers, flush=True)


def peak_mb() -> float:
    """Most memory that was resident. (getrusage's value begins with that of the process that started this one.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
