"""Something that can be decoded, whatever decodes it."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import AudioError
from .mix import Mix, mixing
from .mix import average as average

BLOCK = 1 << 15
"""Frames decoded at a time: small, so that little is lost where a damaged file stops decoding."""

Block = NDArray[np.float32]
"""Mono ``[frames]``, nominally in [-1, 1]."""


class AudioWarning(UserWarning):
    """Base of the warnings about a file's audio: it was analyzed, but not as its owner may expect."""


class TruncatedAudioWarning(AudioWarning):
    """The audio ends, or is damaged, well before its declared length."""


@dataclass(frozen=True)
class Sound:
    """Something that can be decoded, from any frame on.

    Attributes:
        name: What to call it in a message.
        sample_rate: Hz.
        channels: Before they are averaged.
        frames: Samples per channel that the source declares, or that counting found; 0 if it declares none.
        slack: Share of `frames` that may be missing before the sound counts as truncated.
        decode: First frame -> mono blocks from there to the end.
        warnings: What was noticed so far, in order. Whoever reads the sound shows it with `show`, or keeps it.
        mix: How `mono` makes one of the channels.
    """

    name: str
    sample_rate: float
    channels: int
    frames: int
    slack: float
    decode: Callable[[int], Iterator[Block]]
    warnings: list[AudioWarning] = field(default_factory=list, compare=False)
    mix: Mix = field(default_factory=Mix, compare=False)

    def mono(self, start: int = 0) -> Iterator[Block]:
        """Decode from a frame on, with the channels mixed as `mix` says."""
        blocks = self.decode(start)
        while True:
            with mixing(self.mix):
                block = next(blocks, None)
            if block is None:
                return
            yield block

    def warn_if_truncated(self, frames: int) -> None:
        """Note a `TruncatedAudioWarning` if only `frames` of the declared ones exist."""
        missing = self.frames - frames
        if missing > max(self.slack * self.frames, 0.1 * self.sample_rate):
            found, declared = frames / self.sample_rate, self.frames / self.sample_rate
            self.warnings.append(
                TruncatedAudioWarning(
                    f"{self.name}: only {found:.2f} of {declared:.2f} s can be decoded; the rest is missing or damaged."
                )
            )


def show(noticed: Iterable[AudioWarning], stacklevel: int = 2) -> None:
    """Issue Python warnings for what was noticed; `stacklevel` counts from the caller, as in `warnings.warn`."""
    for warning in noticed:
        warnings.warn(warning, stacklevel=stacklevel + 1)


def undecodable(path: Path, received: str = "") -> AudioError:
    """The error of a file that nobody can decode, with what it seems to be."""
    with path.open("rb") as file:
        text = not file.read(512).strip(bytes(range(32, 127)) + b"\t\r\n")
    if text:
        received = "text"
    return AudioError(
        f"{path} is not audio that can be decoded: expected WAV, FLAC, OGG, MP3, Opus "
        f'(or m4a, AAC, WMA, video with pip install "musiczoo[av]"), received '
        f"{received or f'{path.stat().st_size} bytes that are something else, or damaged'}."
    )
