"""A library as a map: one HTML page that needs no other file and no network, one point a track.

`places` puts the tracks on a plane, `neighbours` says who is near whom, `content` packs both with titles and tags,
and `page` makes the page, whose script and style lie beside it and in `musiczoo.web`. `write` does it all.
"""

from typing import TYPE_CHECKING

from ..._lazy import attribute

if TYPE_CHECKING:
    from .writing import Drawn, write

__all__ = ["Drawn", "write"]

_HOMES = {"Drawn": "writing", "write": "writing"}

__getattr__ = attribute(__name__, _HOMES)
