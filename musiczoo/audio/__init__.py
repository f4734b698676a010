"""Audio files and arrays -> mono blocks and excerpts at a model's sample rate, streaming.

>>> from musiczoo import audio, demo
>>> audio.probe(demo.PATH).duration_s
30.0
"""

from . import ffmpeg, libsndfile
from .excerpts import Excerpts, Framing, Read, ShortAudioWarning, check_excerpts, excerpts, spread_starts
from .io import AudioInfo, blocks, probe, read
from .repair import OffsetWarning, OppositePhaseWarning, QuietAudioWarning, SilentAudioWarning
from .source import AudioWarning, DamagedAudioWarning, LengthWarning, TruncatedAudioWarning

SUFFIXES = frozenset((*libsndfile.SUFFIXES, *ffmpeg.SUFFIXES))
"""Suffixes of audio files, in lower case. Files are opened by their content; this is for finding them in a folder."""

__all__ = [
    "SUFFIXES",
    "AudioInfo",
    "AudioWarning",
    "DamagedAudioWarning",
    "Excerpts",
    "Framing",
    "LengthWarning",
    "OffsetWarning",
    "OppositePhaseWarning",
    "QuietAudioWarning",
    "Read",
    "ShortAudioWarning",
    "SilentAudioWarning",
    "TruncatedAudioWarning",
    "blocks",
    "check_excerpts",
    "excerpts",
    "probe",
    "read",
    "spread_starts",
]
