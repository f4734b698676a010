"""A library as a map: one HTML page that needs no other file and no network, with one point a track.

`write` draws it. `layout` computes the positions, `content` packs them with neighbors, titles and tags, and `page`
makes the page, whose script and style are beside it and in `musiczoo.web`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..._files import atomic_file
from ..._paths import absolute
from ...errors import InputError, LibraryError
from ..database import Database
from .content import page_content
from .layout import PCA, check

LIMIT = 20_000
"""Most tracks on a map by default: browsers draw them smoothly, and pages have a few megabytes."""


@dataclass(frozen=True)
class Drawn:
    """A map that was written: its file, the number of tracks on it, and that of the library."""

    path: Path
    tracks: int
    of: int


def write(
    library: str | os.PathLike[str],
    out: str | os.PathLike[str],
    method: str = PCA,
    limit: int = LIMIT,
    progress: Callable[[str], None] = lambda step: None,
) -> Drawn:
    """Draw a library's tracks as one HTML page that needs no other file and no network.

    Args:
        library: Path of the library.
        out: Path of the page, which is replaced if it exists. Its links to the tracks are relative to it.
        method: One of `layout.METHODS`: ``"pca"``, ``"umap"`` or ``"tsne"``.
        limit: Most tracks to show. Of a larger library, evenly spaced tracks are shown.
        progress: Called with a description of the next step.

    Raises:
        LibraryError: If there is no library, or it is empty.
        UnknownNameError: If the method does not exist.
        MissingDependencyError: If a package is not installed, with its name.
        InputError: If the limit is not positive, or `out` is a folder or the library itself.
        WriteError: If the page cannot be written.
    """
    from .page import render  # needs Jinja (extra [library])

    if limit < 1:
        raise InputError(f"limit must be 1 or more tracks, got {limit}.")
    check(method)
    path = absolute(out)
    if os.path.isdir(path):
        raise InputError(f"Cannot write the map to the folder {path}. Pass a file name, such as {path}/map.html.")
    if path == absolute(library):
        raise InputError(f"Cannot write the map to {path}: it is the library itself. Pass another name: map.html.")
    with Database.open(library) as database:
        ids = database.ids()
        shown = ids[np.unique(np.linspace(0, len(ids) - 1, min(limit, len(ids))).round().astype(np.int64))]
        entries = list(database.entries(shown))
        config, name = database.config, database.path.name
    if not entries:
        raise LibraryError(f"Cannot draw a map of {library}: it is an empty library. Run musiczoo index FOLDER first.")
    page = page_content(config, entries, path, method, progress)
    subset = "" if len(entries) == len(ids) else f" of {len(ids):,}"
    lead = f"{len(entries):,}{subset} tracks, analyzed with {page['model']}."
    with atomic_file(path) as file:
        file.write(render(f"Map of {name}", lead, page).encode("utf-8", "replace"))
    return Drawn(path, len(entries), len(ids))
