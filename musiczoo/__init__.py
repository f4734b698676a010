"""musiczoo: recognise and search music.

Example:
    >>> import musiczoo
    >>> model = musiczoo.load("disentangled-classification")  # doctest: +SKIP
    >>> track = model.analyze("song.mp3")  # doctest: +SKIP
    >>> track.tags.top(3)  # doctest: +SKIP
    [Tag("rock", 0.83), Tag("guitar", 0.61), Tag("90s", 0.44)]
    >>> track.space("mood").shape  # doctest: +SKIP
    (64,)

Names are imported when they are first used, so that ``import musiczoo`` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .audio import ShortAudioWarning, TruncatedAudioWarning
    from .card import ModelCard
    from .errors import MusicZooError
    from .model import Model, load
    from .registry import list_models
    from .track import Tag, Tags, Track

__version__ = "0.1.0"

__all__ = [
    "Model",
    "ModelCard",
    "MusicZooError",
    "ShortAudioWarning",
    "Tag",
    "Tags",
    "Track",
    "TruncatedAudioWarning",
    "__version__",
    "list_models",
    "load",
]

_HOMES = {
    "Model": "model",
    "ModelCard": "card",
    "MusicZooError": "errors",
    "ShortAudioWarning": "audio",
    "Tag": "track",
    "Tags": "track",
    "Track": "track",
    "TruncatedAudioWarning": "audio",
    "list_models": "registry",
    "load": "model",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
