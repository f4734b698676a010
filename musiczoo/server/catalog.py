"""Finding tracks by words, in memory.

Conventions
-----------
- The words of a track are those of its title, artists, album and file name, compared without case and accents: "cap"
  finds "Čapek". A track is found if each word of the query is part of them.
- They are read at the first query. Each later query reads only what has changed, as `library.vectors` does.
"""

import os
import threading
import unicodedata

import numpy as np
from numpy.typing import NDArray

from ..library.database import Database
from ..library.records import decode_path

_COLUMNS = "id, path, title, artist, album, album_artist, artists"


class Catalog:
    """The words of a library's tracks; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        """Keep the database; nothing is read yet."""
        self._database = database
        self._words: dict[int, str] = {}
        self._revision = -1
        self._turn = threading.Lock()

    def find(self, text: str) -> NDArray[np.int64]:
        """Return the ids of the tracks that have all words of a text, ascending."""
        wanted = sorted(fold(text).split(), key=len, reverse=True)
        words = self._current()
        found = [number for number, line in words.items() if all(word in line for word in wanted)]
        return np.array(sorted(found), np.int64)

    def _current(self) -> dict[int, str]:
        """Return id -> words of the library as it is now. The dictionary is not changed any more."""
        with self._turn:
            revision = self._database.revision()
            if revision != self._revision:
                sql = f"SELECT {_COLUMNS} FROM tracks WHERE revision > ?"
                changed = {row[0]: _line(*row[1:]) for row in self._database.rows(sql, (self._revision,))}
                present = set(self._database.ids().tolist())
                kept = {number: line for number, line in self._words.items() if number in present}
                self._words, self._revision = kept | changed, revision
            return self._words


def fold(text: str) -> str:
    """Return a text without case and accents.

    Example:
        >>> from musiczoo.server.catalog import fold
        >>> fold("Čapek & Sons"), fold("STRASSE") == fold("straße")
        ('capek & sons', True)
    """
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def _line(path: str | bytes, *texts: object) -> str:
    name = os.path.splitext(os.path.basename(decode_path(path)))[0]
    return fold("\n".join([name, *(text for text in texts if isinstance(text, str))]))
