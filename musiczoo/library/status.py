"""Statistics of a library, warnings about its tracks, and its problems."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from .database import Database
from .records import Entry, LibraryConfig, checked_columns
from .scan import FoundFile, is_gone

TOLERANCE = 1e-3
"""Largest error of the length of a space of a stored embedding."""

_WARNED = "warnings IS NOT NULL"


def stats(database: Database) -> dict[str, Any]:
    """Return counts and the configuration, as types that JSON has."""
    config = database.config
    sums = "coalesce(sum(duration_s), 0.0), coalesce(sum(heard), 0), count(DISTINCT artist), count(DISTINCT album)"
    seconds, excerpts, artists, albums = database.rows(f"SELECT {sums} FROM tracks")[0]
    return {
        "path": str(database.path),
        "tracks": len(database),
        "hours": round(seconds / 3600, 3),
        "excerpts_heard": excerpts,  # the key of version 0.1
        "artists": artists,
        "albums": albums,
        "failures": len(database.failures()),
        "with_warnings": database.rows(f"SELECT count(*) FROM tracks WHERE {_WARNED}")[0][0],
        "revision": database.revision(),
        "model": config.model,
        **({"source": config.source} if config.source else {}),
        "version": config.version,
        "space_id": config.space_id,
        "dimensions": list(config.spaces),
        "excerpts": config.excerpts,
    }


def warnings(database: Database) -> list[tuple[str, str]]:
    """Return path and message of each warning about the audio of tracks, by path."""
    columns = ("path", "warnings")
    rows = (
        checked_columns(columns, row)
        for row in database.rows(f"SELECT {', '.join(columns)} FROM tracks WHERE {_WARNED}")
    )
    return sorted((row["path"], line) for row in rows for line in row["warnings"].splitlines())


def problems(database: Database) -> list[str]:
    """Return a sentence for each problem, by path. Files are not read, only their size and time are checked."""
    damage = [row[0] for row in database.rows("PRAGMA integrity_check") if row[0] != "ok"]
    if damage:
        return [f"The library is damaged: {line}. Restore it from a copy, or index again." for line in damage]
    wrong = set(
        database.select_ids(
            "length(embedding) <> ? OR length(tags) <> ?",
            (4 * database.config.embedding_size, 4 * len(database.config.tags)),
        ).tolist()
    )
    found: list[str] = []
    for entry in database.entries(damaged=True):
        found_here = (
            ["its embedding or tags have the wrong size"] if entry.id in wrong else _vectors(entry, database.config)
        )
        found += [
            f"{entry.path}: {what}. Move the file away, index, move it back, and index again." for what in found_here
        ]
        found += [f"{entry.path}: {what}. Run musiczoo index." for what in _file(entry)]
    return sorted(found)


def _vectors(entry: Entry, config: LibraryConfig) -> Iterator[str]:
    if not (np.isfinite(entry.embedding).all() and np.isfinite(entry.tags).all()):
        yield "its embedding or tags are not finite"
        return
    if ((entry.tags < 0) | (entry.tags > 1)).any():
        yield "its tag probabilities are not from 0 to 1"
    expected = len(config.spaces) ** -0.5
    for name, (start, stop) in config.spaces.items() if config.normalized else ():
        length = float(np.linalg.norm(entry.embedding[start:stop]))
        if length and abs(length - expected) > TOLERANCE:  # zero: silent in that space
            yield f"its embedding in {name} has the length {length:.3f}, not {expected:.3f}"


def _file(entry: Entry) -> Iterator[str]:
    if is_gone(entry.path):
        yield "the file is gone"
    elif os.path.isabs(entry.path):
        try:
            now = FoundFile.of(entry.path, os.stat(entry.path))
        except OSError as error:  # removed meanwhile, or its disk fails
            yield f"the file cannot be reached ({error.strerror})"
            return
        if (now.size, now.mtime_ns) != (entry.size, entry.mtime_ns):
            yield "the file has changed since it was analyzed"
