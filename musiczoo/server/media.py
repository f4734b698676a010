"""Audio of tracks, their tags over time, and the map of all.

Conventions
-----------
- A file is named by its track's id and never by a path. It is served only if it is what `musiczoo index` takes: a
  regular file with the ending of an audio format, whose path leads through no link. So a library that somebody else
  made cannot make the server send other files.
- Tags over time and maps take seconds: ask for them through `state.State.computed`.
"""

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
from starlette.responses import FileResponse

from .._paths import as_text
from ..audio import SUFFIXES
from ..errors import UnknownNameError
from ..library import Library
from ..library.map import layout
from ..library.map.content import WHOLE
from ..library.records import Entry, LibraryConfig
from ..library.vectors import Snapshot, units
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

MOST_POINTS = {layout.PCA: 20_000, layout.UMAP: 5000, layout.T_SNE: 5000}
"""Method -> most points of a map: what takes some seconds."""


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


def tags_over_time(library: Library, entry: Entry) -> dict[str, Any]:
    """Analyze a track's file: start of each excerpt, length of an excerpt, and tag -> probabilities.

    Raises:
        RequestError: If the file is gone or is not one to serve (404).
        AudioError: If it cannot be decoded.
    """
    audio(entry)
    track = library.model().analyze(entry.path)
    columns = track.taggram.T.astype(float).tolist()
    return {
        "times_s": track.times.round(3).tolist(),
        "excerpt_s": track.card.excerpt_seconds,
        "tags": {tag: [round(p, 4) for p in column] for tag, column in zip(track.card.tags, columns, strict=True)},
    }


def points(library: Library, space: str, method: str, snapshot: Snapshot) -> dict[str, Any]:
    """Return the tracks as points on a map, x and y from 0 to 1, near each other if they are similar.

    A library with more tracks than the method can take in seconds is sampled evenly.

    Raises:
        UnknownNameError: If the space or the method does not exist.
        MissingDependencyError: If the method needs a package that is not installed.
    """
    layout.check(method)
    spaces = library.config.spaces
    if space not in (WHOLE, *spaces):
        raise UnknownNameError.of("space", space, (WHOLE, *spaces))
    start, stop = spaces.get(space, (0, snapshot.matrix.shape[1]))
    count = len(snapshot.ids)
    rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, MOST_POINTS[method])).astype(int))
    found = []
    label = layout.LABELS[method]
    if count:
        vectors = units(snapshot.matrix[rows, start:stop])
        label, projected = layout.project(vectors, method)
        places = (layout.quantise(projected) / layout.RANGE).round(5)
        place_of = dict(zip(snapshot.ids[rows].tolist(), places.tolist(), strict=True))
        for entry in library.entries(list(place_of)):
            x, y = place_of[entry.id]
            found.append({"id": entry.id, "x": x, "y": y} | _shown(entry, library.config))
    return {"method": label, "space": space, "revision": snapshot.revision, "of": count, "points": found}


def _shown(entry: Entry, config: LibraryConfig) -> dict[str, Any]:
    """Return what a map shows of a track: its names, and its most probable tag in each dimension."""
    p = dict(zip(config.tags, entry.tags.tolist(), strict=True))
    strongest = {name: max(tags, key=p.__getitem__) for name, tags in config.dimensions.items() if tags}
    names = {"path": as_text(entry.path), "title": entry.title, "artist": entry.artist}
    return {**names, "duration_s": round(entry.duration_s, 3), "album": entry.album, "strongest": strongest}
