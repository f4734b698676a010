"""Several sounds as one: streams that follow one another in a file, and what is left of a stream with bad parts.

Conventions
-----------
- The whole has the rate of its first part. A part of another rate is converted, by a resampler of its own.
- Between the end of a part and the start of the next lies silence, which counts as lost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .source import Block, Sound, resampled, silence

LONGEST_GAP_S = 60.0
"""Seconds; where a file claims that more is missing, its positions are not believed."""


MOST_RATIO = 64
"""Of the rates of two streams in one file; beyond it, converting one to the other takes too much memory."""


@dataclass(frozen=True)
class Part:
    """A sound and the frame, at the rate of the whole, at which it starts."""

    start: int
    sound: Sound


def in_order(sounds: Sequence[Sound]) -> list[Part]:
    """Sounds as parts without gaps; without those whose rates are nothing like the first one's."""
    parts, at, rate = [], 0, sounds[0].sample_rate
    for sound in sounds:
        if rate / MOST_RATIO <= sound.sample_rate <= rate * MOST_RATIO:
            parts.append(Part(at, sound))
            at += _converted(sound.frames, sound, sounds[0])
    return parts


def join(name: str, parts: Sequence[Part], slack: float = 0.02) -> Sound:
    """Parts, in order, as one sound."""
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
            for block in _blocks(part.sound, at - part.start, first.sample_rate):
                kept = block if following is None else block[: following - at]
                at += len(kept)
                if len(kept):
                    yield kept
                if following is not None and at >= following:
                    break

    frames = last.start + _converted(last.sound.frames, last.sound, first)
    return Sound(name, first.sample_rate, first.channels, frames, slack, decode, lost=lost)


def _blocks(sound: Sound, start: int, sample_rate: float) -> Iterator[Block]:
    """A part from a frame at the whole's rate on, at that rate."""
    first = round(start * sound.sample_rate / sample_rate)
    return resampled(sound.decode(first), sound.sample_rate, sample_rate)


def _converted(frames: int, sound: Sound, whole: Sound) -> int:
    return round(frames * whole.sample_rate / sound.sample_rate)
