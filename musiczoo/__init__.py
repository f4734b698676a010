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

import os
from typing import TYPE_CHECKING

from ._lazy import attribute

if TYPE_CHECKING:
    from .audio import DamagedAudioWarning, LengthWarning, ShortAudioWarning, TruncatedAudioWarning
    from .audio.repair import OffsetWarning, OppositePhaseWarning, QuietAudioWarning, SilentAudioWarning
    from .card import ModelCard
    from .errors import MusicZooError
    from .library.library import Library
    from .model import Model, load
    from .registry import list_models
    from .track import Tag, Tags, Track

__version__ = "0.1.0"

# Here, since onnxruntime reads it once, when it is first imported, and all that imports it for us has imported this
# package before. Without it, onnxruntime 1.29 and later write a device id and a database of events below the user's
# cache folder and send them to their maker (docs/engineering/security.md). Child processes inherit it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "DamagedAudioWarning",
    "LengthWarning",
    "Library",
    "Model",
    "ModelCard",
    "MusicZooError",
    "OffsetWarning",
    "OppositePhaseWarning",
    "QuietAudioWarning",
    "ShortAudioWarning",
    "SilentAudioWarning",
    "Tag",
    "Tags",
    "Track",
    "TruncatedAudioWarning",
    "__version__",
    "list_models",
    "load",
]

_HOMES = {
    "DamagedAudioWarning": "audio",
    "LengthWarning": "audio",
    "Library": "library.library",
    "Model": "model",
    "ModelCard": "card",
    "MusicZooError": "errors",
    "ShortAudioWarning": "audio",
    "SilentAudioWarning": "audio.repair",
    "QuietAudioWarning": "audio.repair",
    "OppositePhaseWarning": "audio.repair",
    "OffsetWarning": "audio.repair",
    "Tag": "track",
    "Tags": "track",
    "Track": "track",
    "TruncatedAudioWarning": "audio",
    "list_models": "registry",
    "load": "model",
}


__getattr__ = attribute(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
