"""Do something to a file while it is read: after the n-th line of our code, for every n."""

import importlib
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

MODULES = ("excerpts", "ffmpeg", "io", "libsndfile", "mp3", "source")
READERS = {importlib.import_module(f"musiczoo.audio.{name}").__file__ for name in MODULES}
"""The files whose lines count: all that read audio."""


class Lines:
    """Counts the lines that are executed, in all threads, and does something before one of them.

    Args:
        when: Which line, from 1; 0 for none.
        what: What to do then.
    """

    def __init__(self, when: int = 0, what: Callable[[], object] = lambda: None) -> None:
        self.count, self._when, self._what = 0, when, what

    def __enter__(self) -> "Lines":
        self._before = sys.gettrace()
        threading.settrace(self._call)
        sys.settrace(self._call)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)
        threading.settrace(None)  # type: ignore[arg-type]

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in READERS else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.count += 1
            if self.count == self._when:
                self._what()
        return self._line
