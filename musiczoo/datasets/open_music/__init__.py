"""open_music: free music out of Debian packages, its definition, and what reads the packages.

`loader` prepares and checks it, `sampler` makes the small set of notebooks and tests.
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
