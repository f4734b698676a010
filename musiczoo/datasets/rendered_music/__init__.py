"""rendered_music: music in many styles, and singing, rendered from free packages to widen what a model learns.

`styles` composes and plays, `voices` sings, `effects` mixes and damages, `plan` lists what is rendered, and `loader`
renders it; its functions can be imported from here.
"""

from typing import TYPE_CHECKING

from ..._lazy import attribute

if TYPE_CHECKING:
    from .loader import NAME, prepare

__all__ = ["NAME", "prepare"]

_HOMES = dict.fromkeys(__all__, "loader")

__getattr__ = attribute(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
