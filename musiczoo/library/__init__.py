"""Libraries: make folders of music searchable, by the dimensions that matter to you.

`Library` is the entry point. A library is one SQLite file (`database`). `scan` finds new, changed, moved and deleted
files, `indexing` analyzes them, and `search` finds the tracks most similar to a query.
"""

from typing import TYPE_CHECKING

from .._lazy import attribute

if TYPE_CHECKING:
    from .artists import SimilarAlbum, SimilarArtist
    from .filters import Filters
    from .history import History
    from .library import Library
    from .path import Step
    from .query import Query
    from .search import Hit

__all__ = ["Filters", "History", "Hit", "Library", "Query", "SimilarAlbum", "SimilarArtist", "Step"]

_HOMES = {
    "Filters": "filters",
    "History": "history",
    "Hit": "search",
    "Library": "library",
    "Query": "query",
    "SimilarAlbum": "artists",
    "SimilarArtist": "artists",
    "Step": "path",
}


__getattr__ = attribute(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
