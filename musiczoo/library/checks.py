"""What a library holds, and what is wrong with it."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from .database import Database
from .records import Entry, Facts, typed
from .scan import Seen, is_gone

TOLERANCE = 1e-3
"""How far the length of a stored space may be from what it should be."""


_WARNED = "warnings IS NOT NULL"


def stats(database: Database) -> dict[str, Any]:
    """Counts and facts, as JSON's types."""
    facts = database.facts
    sums = "coalesce(sum(duration_s), 0.0), coalesce(sum(heard), 0), count(DISTINCT artist), count(DISTINCT album)"
    seconds, heard, artists, albums = database.rows(f"SELECT {sums} FROM tracks")[0]
    return {
        "path": str(database.path),
        "tracks": len(database),
        "hours": round(seconds / 3600, 3),
        "excerpts_heard": heard,
        "artists": artists,
        "albums": albums,
        "failures": len(database.failures()),
        "with_warnings": database.rows(f"SELECT count(*) FROM tracks WHERE {_WARNED}")[0][0],
        "revision": database.revision(),
        "model": facts.model,
        "version": facts.version,
        "space_id": facts.space_id,
        "dimensions": list(facts.spaces),
        "excerpts": facts.excerpts,
    }


def warnings(database: Database) -> list[tuple[str, str]]:
    """Path and message of each warning that tracks were written with, by path."""
    columns = ("path", "warnings")
    rows = (typed(columns, row) for row in database.rows(f"SELECT {', '.join(columns)} FROM tracks WHERE {_WARNED}"))
    return sorted((row["path"], line) for row in rows for line in row["warnings"].splitlines())


def problems(database: Database) -> list[str]:
    """Sentences by path, none if all is well. Files are looked at, not read."""
    damage = [row[0] for row in database.rows("PRAGMA integrity_check") if row[0] != "ok"]
    if damage:
        return [f"The file is damaged: {line}. Restore it from a copy, or index again." for line in damage]
    wrong = set(
        database.select_ids(
            "length(embedding) <> ? OR length(tags) <> ?",
            (4 * database.facts.embedding_size, 4 * len(database.facts.tags)),
        ).tolist()
    )
    found: list[str] = []
    for entry in database.entries(damaged=True):
        said = ["its numbers are not as many as the model's"] if entry.id in wrong else _numbers(entry, database.facts)
        found += [f"{entry.path}: {what}. Remove the file, index, and put it back." for what in said]
        found += [f"{entry.path}: {what}. Run musiczoo index." for what in _file(entry)]
    return sorted(found)


def _numbers(entry: Entry, facts: Facts) -> Iterator[str]:
    if not (np.isfinite(entry.embedding).all() and np.isfinite(entry.tags).all()):
        yield "its numbers are not all finite"
        return
    if ((entry.tags < 0) | (entry.tags > 1)).any():
        yield "its probabilities are not all from 0 to 1"
    expected = len(facts.spaces) ** -0.5
    for name, (start, stop) in facts.spaces.items() if facts.normalized else ():
        length = float(np.linalg.norm(entry.embedding[start:stop]))
        if length and abs(length - expected) > TOLERANCE:  # zero: nothing was heard in that space
            yield f"its vector in {name} has the length {length:.3f}, not {expected:.3f}"


def _file(entry: Entry) -> Iterator[str]:
    if is_gone(entry.path):
        yield "the file is gone"
    elif os.path.isabs(entry.path):
        try:
            now = Seen.of(entry.path, os.stat(entry.path))
        except OSError as error:  # it went away while we looked, or its disk fails
            yield f"the file cannot be reached ({error.strerror})"
            return
        if (now.size, now.mtime_ns) != (entry.size, entry.mtime_ns):
            yield "the file has changed since it was heard"
