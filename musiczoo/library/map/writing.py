"""From a library's file to the map's."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..._files import atomic_file
from ..._paths import absolute
from ...errors import InputError, LibraryError
from ..database import Database
from . import places
from .content import content
from .page import render

LIMIT = 20_000
"""Tracks on a map unless told otherwise: what a browser draws smoothly, and pages of some megabytes."""


@dataclass(frozen=True)
class Drawn:
    """What a map shows: its file, the tracks on it, and the tracks of the library."""

    path: Path
    tracks: int
    of: int


def write(
    library: str | os.PathLike[str],
    out: str | os.PathLike[str],
    method: str = places.PCA,
    limit: int = LIMIT,
    progress: Callable[[str], None] = lambda step: None,
) -> Drawn:
    """Draw a library's tracks as one HTML page that needs no other file and no network.

    Args:
        library: Its file.
        out: The page; an earlier one is replaced. Its links to the songs are relative to it: leave it where it is.
        method: One of `places.METHODS`.
        limit: Most tracks to show; of more, every so many-th is taken.
        progress: Is told what is done next.

    Raises:
        LibraryError: If there is no library, or nothing in it.
        UnknownNameError: If there is no such method.
        MissingDependencyError: If a package is missing, with its name.
        InputError: If the limit is not positive, or `out` is a folder or the library itself.
        WriteError: If the page cannot be written.
    """
    if limit < 1:
        raise InputError(f"Expected a limit of 1 or more tracks, received {limit}.")
    places.check(method)
    path = absolute(out)
    if os.path.isdir(path):
        raise InputError(f"Expected the name of an HTML file, received the folder {path}. Write {path}/map.html.")
    if path == absolute(library):
        raise InputError(f"Expected the name of an HTML file, received the library itself, {path}. Write map.html.")
    with Database.open(library) as database:
        ids = database.ids()
        shown = ids[np.unique(np.linspace(0, len(ids) - 1, min(limit, len(ids))).round().astype(np.int64))]
        entries = list(database.entries(shown))
        facts, name = database.facts, database.path.name
    if not entries:
        raise LibraryError(f"{library}: expected tracks, received an empty library. Fill it: musiczoo index FOLDER")
    page = content(facts, entries, path, method, progress)
    subset = "" if len(entries) == len(ids) else f" of {len(ids):,}"
    lead = f"{len(entries):,}{subset} tracks, heard by {page['model']}."
    with atomic_file(path) as file:
        file.write(render(f"Map of {name}", lead, page).encode("utf-8", "replace"))
    return Drawn(path, len(entries), len(ids))
