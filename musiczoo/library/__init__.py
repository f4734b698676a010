"""Libraries: a folder of music becomes searchable, by the dimensions that the listener cares about.

`Library` is the way in. A library is one SQLite file (`database`); `scan` finds what is new, changed, moved or
gone in the folders, `indexing` listens to it, and `search` asks.
"""

from typing import TYPE_CHECKING

from .._lazy import attribute

if TYPE_CHECKING:
    from .filters import Filters
    from .library import Library
    from .query import Query
    from .search import Hit

__all__ = ["Filters", "Hit", "Library", "Query"]

_HOMES = {"Filters": "filters", "Hit": "search", "Library": "library", "Query": "query"}


__getattr__ = attribute(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
