"""Something that can be decoded, whatever decodes it."""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import AudioError

BLOCK = 1 << 15
"""Frames decoded at a time: small, so that little is lost where a damaged file stops decoding."""

Block = NDArray[np.float32]
"""Mono ``[frames]``, nominally in [-1, 1]."""


class AudioWarning(UserWarning):
    """Base of the warnings about a file's audio: it was analyzed, but not as its owner may expect."""


class TruncatedAudioWarning(AudioWarning):
    """The audio ends, or is damaged, well before its declared length."""


_here = threading.local()
"""Its `mix` is that of the sound of which this thread decodes a block."""


@dataclass
class Mix:
    """How a sound's channels become one, and what they have in common.

    Attributes:
        channel: The one that is taken; None is the mean of all.
        together: Energy of the sum of the channels, so far.
        apart: Sum of the channels' energies, so far.
    """

    channel: int | None = None
    together: float = 0.0
    apart: float = 0.0
    _cancelled: dict[int, float] = field(default_factory=dict, repr=False)  # channel -> energy, where channels cancel
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def one(self, block: Block) -> Block:
        """``[frames, channels] -> [frames]``, in new memory."""
        channels = block.shape[1]
        if channels == 1 or self.channel is not None:
            return block[:, min(self.channel or 0, channels - 1)].copy()
        mono = _mean(block)
        with np.errstate(over="ignore", invalid="ignore"):
            together, apart = channels**2 * float(np.vdot(mono, mono)), float(np.vdot(block, block))
            energies = np.einsum("ij,ij->j", block, block) if together < apart / 2 else ()
        with self._lock:  # several threads may decode the same sound, at different places
            self.together += together
            self.apart += apart
            for channel, energy in enumerate(energies):
                self._cancelled[channel] = self._cancelled.get(channel, 0.0) + float(energy)
        return mono

    def loudest(self) -> int:
        """Of the channels where they cancel: the first, unless it has less than half of another's energy."""
        most = max(self._cancelled.values(), default=0.0)
        return min((channel for channel, energy in self._cancelled.items() if energy >= most / 2), default=0)


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
            before, _here.mix = getattr(_here, "mix", None), self.mix
            try:
                block = next(blocks, None)
            finally:
                _here.mix = before
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


def average(block: Block) -> Block:
    """The channels as one, in new memory: ``[frames, channels] -> [frames]``: their mean, or as `Sound.mono` mixes."""
    mix: Mix | None = getattr(_here, "mix", None)
    return mix.one(block) if mix else _mean(block)


def _mean(block: Block) -> Block:
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0].copy()
    with np.errstate(over="ignore", invalid="ignore"):
        # As a product it takes a tenth of the time of block.mean(axis=1), which was a third of decoding.
        mono: Block = block @ np.full(channels, 1 / channels, np.float32)
    return mono


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
