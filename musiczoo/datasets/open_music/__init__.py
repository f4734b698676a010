"""open_music: free music from Debian packages.

`loader` prepares, loads and checks it; its functions can be imported from here. `definition` reads the list of
recordings, `debian` the packages, and `sampler` makes a small set for notebooks and tests.
"""

from typing import TYPE_CHECKING

from ..._lazy import attribute

if TYPE_CHECKING:
    from .loader import NAME, check, extract, load, mix, prepare

__all__ = ["NAME", "check", "extract", "load", "mix", "prepare"]

_HOMES = dict.fromkeys(__all__, "loader")

__getattr__ = attribute(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
