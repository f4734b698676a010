"""Audio files and arrays -> mono blocks and excerpts at a model's rate, streaming.

`io` is what most need; the formats that need more than a library gives have a module each.
"""

from .io import (
    AudioInfo,
    AudioWarning,
    DamagedAudioWarning,
    Excerpts,
    Framing,
    LengthWarning,
    Read,
    ShortAudioWarning,
    TruncatedAudioWarning,
    blocks,
    check_excerpts,
    excerpts,
    probe,
    read,
    spread_starts,
)

__all__ = [
    "AudioInfo",
    "AudioWarning",
    "DamagedAudioWarning",
    "Excerpts",
    "Framing",
    "LengthWarning",
    "Read",
    "ShortAudioWarning",
    "TruncatedAudioWarning",
    "blocks",
    "check_excerpts",
    "excerpts",
    "probe",
    "read",
    "spread_starts",
]
