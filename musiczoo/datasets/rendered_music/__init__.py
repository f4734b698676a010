"""rendered_music: music in many styles, and singing, rendered from free packages to widen what a model learns.

`styles` composes and plays, `voices` sings, `effects` mixes and damages, `plan` lists what is rendered, and `loader`
renders it; its functions can be imported from here.
"""

from typing import TYPE_CHECKING

from ..._lazy import attribute

if TYPE_CHECKING:
    from .loader import NAME, prepare
    from .plan import register_of, song_pairs, voice_of

__all__ = ["NAME", "prepare", "register_of", "song_pairs", "voice_of"]

_HOMES = {name: "loader" if name in ("NAME", "prepare") else "plan" for name in __all__}

__getattr__ = attribute(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
