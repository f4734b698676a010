"""Audio of tracks, and their tags over time.

Conventions
-----------
- A file is named by its track's id and never by a path. It is served only if it is what `musiczoo index` takes: a
  regular file with the ending of an audio format, whose path leads through no link. So a library that somebody else
  made cannot make the server send other files.
- A track is analyzed at most once while its file is unchanged and among the last `KEPT`, one track at a time; further
  requests wait, up to `WAITING`. The answer to others is 429.
"""

import os
import stat
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse

from ..audio import SUFFIXES
from ..library import Library
from ..library.records import Entry
from .errors import RequestError

TYPES = {
    **dict.fromkeys((".oga", ".ogg", ".opus", ".spx"), "audio/ogg"),
    **dict.fromkeys((".m4a", ".m4b", ".m4v", ".mp4"), "audio/mp4"),
    **dict.fromkeys((".mp1", ".mp2", ".mp3"), "audio/mpeg"),
    **dict.fromkeys((".wav", ".wave"), "audio/wav"),
    **dict.fromkeys((".aif", ".aifc", ".aiff"), "audio/aiff"),
    **{".aac": "audio/aac", ".flac": "audio/flac", ".mka": "audio/x-matroska", ".webm": "audio/webm"},
}
"""Ending of a file -> its media type, where browsers know it."""

OTHER = "application/octet-stream"

KEPT = 256
"""Number of tracks whose tags over time are kept: about 100 kB each."""

WAITING = 4
"""Number of requests that may wait for an analysis."""

RETRY_S = 10
"""Seconds after which a client that was refused should try again."""


def audio(entry: Entry) -> FileResponse:
    """Return the response with a track's file, or with ranges of it.

    Raises:
        RequestError: If the file is gone or is not one to serve (404).
    """
    path = entry.path
    suffix = Path(path).suffix.lower()
    gone = RequestError(404, "NoFile", f"The file of track {entry.id} is missing or is no audio file.")
    if suffix not in SUFFIXES or not os.path.isabs(path) or "\0" in path or os.path.realpath(path) != path:
        raise gone
    try:
        status = os.stat(path)
    except OSError as error:
        raise gone from error
    if not stat.S_ISREG(status.st_mode) or not os.access(path, os.R_OK):
        raise gone
    headers = {"cache-control": "private, max-age=0"}
    return FileResponse(path, headers=headers, media_type=TYPES.get(suffix, OTHER), stat_result=status)


class TagsOverTime:
    """The tags over time of a library's tracks; safe to use from several threads."""

    def __init__(self, library: Library) -> None:
        """Keep the library; its model is loaded by the first analysis."""
        self._library = library
        self._kept: OrderedDict[tuple[str, int, int], dict[str, Any]] = OrderedDict()
        self._waiting = threading.BoundedSemaphore(1 + WAITING)
        self._turn = threading.Lock()

    def of(self, entry: Entry) -> dict[str, Any]:
        """Return ``times_s`` (start of each excerpt), ``excerpt_s`` (its length) and ``tags`` (tag -> probabilities).

        Raises:
            RequestError: If too many requests wait (429).
            AudioNotFoundError: If the file is gone.
            AudioError: If it cannot be decoded.
        """
        audio(entry)  # the same files as those that are served
        key = entry.path, entry.size, entry.mtime_ns
        if (kept := self._kept.get(key)) is not None:
            return kept
        if not self._waiting.acquire(blocking=False):
            message = f"Too many tracks wait for an analysis. Try again in {RETRY_S} s."
            raise RequestError(429, "TooManyRequests", message, {"retry-after": str(RETRY_S)})
        try:
            with self._turn:
                if key not in self._kept:
                    self._kept[key] = self._analyzed(entry.path)
                    while len(self._kept) > KEPT:
                        self._kept.popitem(last=False)
                return self._kept[key]
        finally:
            self._waiting.release()

    def _analyzed(self, path: str) -> dict[str, Any]:
        track = self._library.model().analyze(path)
        columns = track.taggram.T.astype(float).tolist()
        return {
            "times_s": track.times.round(3).tolist(),
            "excerpt_s": track.card.excerpt_seconds,
            "tags": {tag: [round(p, 4) for p in column] for tag, column in zip(track.card.tags, columns, strict=True)},
        }
