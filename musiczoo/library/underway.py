"""Files under way: what a process that dies while it indexes leaves behind, so that the next one knows whom to suspect.

Conventions
-----------
- A row of ``underway`` is a file, as it was seen, that somebody began to hear, and how often that was begun. A change
  that gives its path a track or a failure removes it (triggers: see `schema`). So what a writer finds when
  it comes was under way when others died: one of these files may have killed them, or somebody did.
- Who ends in order, if only by Ctrl-C, withdraws what it began.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from ..errors import LibraryError
from .connection import restored, stored
from .database import Database
from .scan import Seen

_SAME = "path = ? AND size = ? AND mtime_ns = ?"


def suspects(database: Database) -> dict[Seen, int]:
    """File -> how many processes have died while it was heard; those with the fewest deaths first, then by path."""
    rows = database.rows("SELECT path, size, mtime_ns, begun FROM underway ORDER BY begun, path")
    return {Seen(restored(row[0]), *row[1:3]): row[3] for row in rows}


def begin(database: Database, seen: Seen) -> None:
    """Note, before it is done, that a file is going to be heard."""
    sql = "INSERT INTO underway VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET begun = begun + 1"
    database.write(sql, _key(seen))


def withdraw(database: Database, files: Iterable[Seen]) -> None:
    """Say that the hearing of files was ended in order; nothing happens to those that have a row by now."""
    # A full disk, which may be why all ends, refuses this, too. The files are suspected then, which only costs time.
    with suppress(LibraryError), database.transaction():
        for seen in files:
            database.write(f"UPDATE underway SET begun = begun - 1 WHERE {_SAME}", _key(seen))
        database.write("DELETE FROM underway WHERE begun < 1")


def acquit(database: Database, looked_at: Callable[[str], bool]) -> None:
    """Forget the files, by their paths, that a run has looked at to its end: they are gone, or as they once were."""
    for seen in suspects(database):
        if looked_at(seen.path):
            database.write(f"DELETE FROM underway WHERE {_SAME}", _key(seen))


def _key(seen: Seen) -> tuple[str | bytes, int, int]:
    return stored(seen.path), seen.size, seen.mtime_ns
