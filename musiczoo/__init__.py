"""musiczoo: tag and search music.

Example:
    >>> import musiczoo
    >>> from musiczoo import demo
    >>> model = musiczoo.load("disentangled-classification")
    >>> track = model.analyze(demo.PATH)  # or "song.mp3"
    >>> [tag.name for tag in track.tags.top(2)]
    ['instrumental', 'jazz']
    >>> track.space("mood").shape
    (64,)

Names are imported on first use, so that ``import musiczoo`` is fast.
"""

import os
from typing import TYPE_CHECKING

from ._lazy import attribute

if TYPE_CHECKING:
    from .audio import (
        AudioWarning,
        DamagedAudioWarning,
        LengthWarning,
        OffsetWarning,
        OppositePhaseWarning,
        QuietAudioWarning,
        ShortAudioWarning,
        SilentAudioWarning,
        TruncatedAudioWarning,
    )
    from .card import ModelCard
    from .errors import MusicZooError
    from .library.library import Library
    from .model import Model, load
    from .registry import list_models
    from .track import Tag, Tags, Track

__version__ = "0.1.0"

# onnxruntime reads this variable once, at its first import, which is after the import of this package. Without it,
# onnxruntime 1.29 and later write a device id and a database of events to the user's cache folder and send them to
# Microsoft (docs/engineering/security.md). Child processes inherit it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "AudioWarning",
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
    "AudioWarning": "audio",
    "DamagedAudioWarning": "audio",
    "LengthWarning": "audio",
    "Library": "library.library",
    "Model": "model",
    "ModelCard": "card",
    "MusicZooError": "errors",
    "ShortAudioWarning": "audio",
    "SilentAudioWarning": "audio",
    "QuietAudioWarning": "audio",
    "OppositePhaseWarning": "audio",
    "OffsetWarning": "audio",
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
