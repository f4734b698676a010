"""Something that can be decoded, whatever decodes it."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError
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


class DamagedAudioWarning(AudioWarning):
    """Parts inside the audio are missing or damaged: silence stands in their place, so that times stay right."""


class LengthWarning(AudioWarning):
    """The file is far larger than the length in its header explains, or than what can be decoded of it."""


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
        warnings: What was noticed so far, in order. `noticed` adds what `lost` says.
        lost: Parts that are silent because they are missing or damaged: first frame, and the one after the last.
            Whoever decodes appends to it, in any thread.
        mix: How `mono` makes one of the channels.
    """

    name: str
    sample_rate: float
    channels: int
    frames: int
    slack: float
    decode: Callable[[int], Iterator[Block]]
    warnings: list[AudioWarning] = field(default_factory=list, compare=False)
    lost: list[tuple[int, int]] = field(default_factory=list, compare=False)
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

    def noticed(self) -> list[AudioWarning]:
        """All warnings about the sound as far as it was decoded. Whoever reads it shows them, or keeps them."""
        lost = _union(self.lost)
        frames = sum(stop - start for start, stop in lost)
        if not frames:
            return list(self.warnings)
        seconds, first = frames / self.sample_rate, lost[0][0] / self.sample_rate
        places = f"at {first:.2f} s" if len(lost) == 1 else f"in {len(lost)} places, the first at {first:.2f} s"
        text = f"{self.name}: {seconds:.2f} s are missing or damaged, {places}; silence was put there."
        return [*self.warnings, DamagedAudioWarning(text)]

    def lost_within(self, start: int, stop: int) -> int:
        """How many frames from `start` to before `stop` are known to be lost."""
        return sum(max(min(b, stop) - max(a, start), 0) for a, b in _union(self.lost))

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


def resampled(blocks: Iterator[Block], source_rate: float, sample_rate: float) -> Iterator[Block]:
    """Mono blocks at another rate, in Hz, by a resampler of their own; as they are if the rates are equal."""
    if source_rate == sample_rate:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(source_rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def silence(frames: int) -> Iterator[Block]:
    """Frames of zeros, a block at a time."""
    for start in range(0, frames, BLOCK):
        yield np.zeros(min(BLOCK, frames - start), np.float32)


def _union(parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same parts in order, without overlap."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(parts):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged


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
