"""What can be decoded: a `Sound`, whatever decodes it, and what is done to its blocks.

Conventions
-----------
- A block is float32 mono ``[frames]``, nominally in [-1, 1]. Decoders turn channels into one with `average`.
- Missing or damaged parts become silence, so that a frame number is always a time. `Sound.lost` lists them.
"""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError

BLOCK = 1 << 15
"""Frames decoded at a time: small, so that little is lost where a damaged file stops decoding."""

Block = NDArray[np.float32]
"""Mono ``[frames]``, nominally in [-1, 1]."""

LONGEST_GAP_S = 60.0
"""Longest gap in seconds that is filled with silence. Where a file claims a longer one, its positions are wrong."""

MOST_RATIO = 64
"""Largest ratio of the sample rates of two streams in one file: converting takes too much memory beyond it."""


# === Warnings ===


class AudioWarning(UserWarning):
    """Base class of the warnings about a file's audio.

    The file was analyzed, but the result may not be what you expect. `Track.warnings` holds the messages, too.

    Example:
        Catch, silence or escalate all of them with the standard library:

        >>> import warnings
        >>> import musiczoo
        >>> from musiczoo import audio, demo
        >>> model = musiczoo.load("disentangled-classification")
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", audio.AudioWarning)
        ...     track = model.analyze(audio.read(demo.PATH, 22050, duration_s=2.0), sample_rate=22050)
        >>> track.warnings
        ('samples: 2.00 s is shorter than one excerpt of 3.00 s; zeros were added, so the tags are less certain.',)
    """


class TruncatedAudioWarning(AudioWarning):
    """The audio ends well before the length that its file declares.

    The part that can be decoded was analyzed. `Track.duration_s` is its length.
    """


class DamagedAudioWarning(AudioWarning):
    """Parts inside the audio are missing or damaged.

    Silence takes their place, so that times stay right. The message says how many seconds are affected, and where. If
    only some excerpts are read (``excerpts=8``), damaged ones are replaced by others nearby.
    """


class LengthWarning(AudioWarning):
    """The file is far larger than its header, or the audio decoded from it, explains.

    The message says what was read.
    """


def issue_warnings(found: Iterable[AudioWarning], stacklevel: int = 2) -> None:
    """Issue Python warnings; `stacklevel` counts from the caller, as in `warnings.warn`."""
    for warning in found:
        warnings.warn(warning, stacklevel=stacklevel + 1)


# === From channels to mono ===

_thread = threading.local()
"""`_thread.mix` is the `Mix` of the sound that this thread is decoding."""


@dataclass
class Mix:
    """How to mix the channels of a sound, and what they have in common. Threads may share it.

    Attributes:
        channel: Channel to use, from 0; None averages all.
        together: Energy of the sum of the channels, so far.
        apart: Sum of the energies of the channels, so far.
    """

    channel: int | None = None
    together: float = 0.0
    apart: float = 0.0
    _cancelled: dict[int, float] = field(default_factory=dict, repr=False)  # channel -> energy, where channels cancel
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def to_mono(self, block: Block) -> Block:
        """Mix ``[frames, channels] -> [frames]``, in new memory."""
        channels = block.shape[1]
        if channels == 1 or self.channel is not None:
            return block[:, min(self.channel or 0, channels - 1)].copy()
        mono = _mean(block)
        with np.errstate(over="ignore", invalid="ignore"):
            together, apart = channels**2 * float(np.vdot(mono, mono)), float(np.vdot(block, block))
            energies = np.einsum("ij,ij->j", block, block) if together < apart / 2 else ()
        with self._lock:
            self.together += together
            self.apart += apart
            for channel, energy in enumerate(energies):
                self._cancelled[channel] = self._cancelled.get(channel, 0.0) + float(energy)
        return mono

    def loudest(self) -> int:
        """Return the channel to use where channels cancel: the first, unless another has twice its energy."""
        most = max(self._cancelled.values(), default=0.0)
        return min((channel for channel, energy in self._cancelled.items() if energy >= most / 2), default=0)


@contextmanager
def mixing(mix: Mix) -> Iterator[None]:
    """Use `mix` for everything that this thread decodes in the block."""
    before, _thread.mix = getattr(_thread, "mix", None), mix
    try:
        yield
    finally:
        _thread.mix = before


def average(block: Block) -> Block:
    """Mix the channels ``[frames, channels] -> [frames]``, in new memory: by `mixing`, or else by their mean.

    Decoders call this for each block. The reader of the sound chooses the mix.
    """
    mix: Mix | None = getattr(_thread, "mix", None)
    return mix.to_mono(block) if mix else _mean(block)


def _mean(block: Block) -> Block:
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0].copy()
    with np.errstate(over="ignore", invalid="ignore"):
        # A matrix product takes a tenth of the time of block.mean(axis=1), which was a third of decoding.
        mono: Block = block @ np.full(channels, 1 / channels, np.float32)
    return mono


# === Sounds ===


@dataclass(frozen=True)
class Sound:
    """Audio that can be decoded from any frame on.

    Attributes:
        name: Name for messages.
        sample_rate: Hz.
        channels: Number of channels in the source.
        frames: Samples per channel that the source declares, or that counting found; 0 if it declares none.
        slack: Share of `frames` that may be missing before the sound counts as truncated.
        decode: First frame -> mono blocks from there to the end.
        warnings: Warnings so far, in order. `all_warnings` adds what `lost` says.
        lost: Parts that are silent because they are missing or damaged: (first frame, frame after the last). Decoders
            append to it, from any thread.
        mix: How `mono` mixes the channels.
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
        """Decode from a frame on, with the channels mixed by `mix`."""
        blocks = self.decode(start)
        while True:
            with mixing(self.mix):
                block = next(blocks, None)
            if block is None:
                return
            yield block

    def all_warnings(self) -> list[AudioWarning]:
        """Return all warnings about the part decoded so far. The reader issues or stores them."""
        lost = _union(self.lost)
        frames = sum(stop - start for start, stop in lost)
        if not frames:
            return list(self.warnings)
        seconds, first = frames / self.sample_rate, lost[0][0] / self.sample_rate
        places = f"at {first:.2f} s" if len(lost) == 1 else f"in {len(lost)} places, the first at {first:.2f} s"
        text = f"{self.name}: {seconds:.2f} s are missing or damaged, {places}; silence takes their place."
        return [*self.warnings, DamagedAudioWarning(text)]

    def lost_within(self, start: int, stop: int) -> int:
        """Return the number of frames known to be lost from `start` to before `stop`."""
        return sum(max(min(b, stop) - max(a, start), 0) for a, b in _union(self.lost))

    def warn_if_truncated(self, frames: int) -> None:
        """Add a `TruncatedAudioWarning` if only `frames` of the declared ones exist."""
        missing = self.frames - frames
        if missing > max(self.slack * self.frames, 0.1 * self.sample_rate):
            found, declared = frames / self.sample_rate, self.frames / self.sample_rate
            self.warnings.append(
                TruncatedAudioWarning(
                    f"{self.name}: only {found:.2f} of {declared:.2f} s can be decoded; the rest is missing or damaged."
                )
            )


def resampled(blocks: Iterator[Block], source_rate: float, sample_rate: float) -> Iterator[Block]:
    """Convert mono blocks from one rate in Hz to another with a resampler of their own (soxr, HQ)."""
    if source_rate == sample_rate:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(source_rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def silence(frames: int) -> Iterator[Block]:
    """Yield blocks of zeros, `frames` in all."""
    for start in range(0, frames, BLOCK):
        yield np.zeros(min(BLOCK, frames - start), np.float32)


def undecodable(path: Path, got: str = "") -> AudioError:
    """Return the error for a file that nothing can decode, with what it seems to be."""
    with path.open("rb") as file:
        text = not file.read(512).strip(bytes(range(32, 127)) + b"\t\r\n")
    if text:
        got = "text"
    return AudioError(
        f"Cannot decode {str(path)!r}: expected WAV, FLAC, OGG, MP3, Opus "
        f'(or m4a, AAC, WMA, video with pip install "musiczoo[av]"), got '
        f"{got or f'{path.stat().st_size} bytes of another format, or damaged ones'}."
    )


def _union(parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge overlapping parts and sort them."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(parts):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged


# === Several sounds as one ===


@dataclass(frozen=True)
class Part:
    """A sound and the frame, at the rate of the whole, at which it starts."""

    start: int
    sound: Sound


def in_order(sounds: Sequence[Sound]) -> list[Part]:
    """Return sounds as parts without gaps, except those whose rate differs by a factor above `MOST_RATIO`."""
    parts, at, rate = [], 0, sounds[0].sample_rate
    for sound in sounds:
        if rate / MOST_RATIO <= sound.sample_rate <= rate * MOST_RATIO:
            parts.append(Part(at, sound))
            at += _converted(sound.frames, sound, sounds[0])
    return parts


def join(name: str, parts: Sequence[Part], slack: float = 0.02) -> Sound:
    """Join parts, in order, into one sound: streams that follow one another in a file, or what remains of a stream.

    The whole has the rate of the first part; others are converted. Gaps between parts are silent and count as lost.
    """
    first, last = parts[0].sound, parts[-1]
    lost: list[tuple[int, int]] = []

    def decode(start: int) -> Iterator[Block]:
        at = start
        for number, part in enumerate(parts):
            following = parts[number + 1].start if number + 1 < len(parts) else None
            if following is not None and following <= at:
                continue
            if part.start > at:
                lost.append((at, part.start))
                yield from silence(part.start - at)
                at = part.start
            for block in _from_frame(part.sound, at - part.start, first.sample_rate):
                kept = block if following is None else block[: following - at]
                at += len(kept)
                if len(kept):
                    yield kept
                if following is not None and at >= following:
                    break

    frames = last.start + _converted(last.sound.frames, last.sound, first)
    return Sound(name, first.sample_rate, first.channels, frames, slack, decode, lost=lost)


def _from_frame(sound: Sound, start: int, sample_rate: float) -> Iterator[Block]:
    """Decode a part at the rate of the whole, from a frame counted at that rate."""
    first = round(start * sound.sample_rate / sample_rate)
    return resampled(sound.decode(first), sound.sample_rate, sample_rate)


def _converted(frames: int, sound: Sound, whole: Sound) -> int:
    return round(frames * whole.sample_rate / sound.sample_rate)
