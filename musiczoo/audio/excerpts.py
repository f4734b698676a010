"""Cut audio into the excerpts that a model takes, streaming or by seeking.

Conventions
-----------
- Excerpts start every `hop_s` seconds from 0 s. A remainder shorter than an excerpt is dropped, unless there is nothing
  else: then it is padded with zeros, with a `ShortAudioWarning`.
- With a `count`, excerpts are spread evenly and found by seeking. A damaged one is replaced by one nearby.
- Memory does not grow with the length of the audio.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..errors import AudioError, InputError
from .io import complete, finite, open_sound, positive_samples, take
from .source import AudioWarning, Block, DamagedAudioWarning, Mix, Sound, issue_warnings, resampled

Read = Callable[[], Block]
"""Returns the samples of an excerpt, ``[excerpt_samples]``. Call it in any thread; it raises what `excerpts` does."""

CONTEXT_S = 0.25
"""Seconds decoded on either side of an excerpt that is found by seeking, for resampler and codec to settle."""

MOST_LOST = 0.2
"""Largest share of an excerpt that may be lost before another excerpt replaces it."""

NEIGHBORS = 3
"""Distance, in excerpts, up to which a damaged excerpt is replaced, in either direction."""


class ShortAudioWarning(AudioWarning):
    """The audio is shorter than one excerpt and was padded with zeros.

    Tags are less certain then. `Track.padded` is True.
    """


class Framing(Protocol):
    """What `excerpts` needs to know of a model. A `ModelCard` has it."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def excerpt_samples(self) -> int:
        """Samples in one excerpt."""


@dataclass
class Excerpts:
    """An iterable of ``(start_s, [excerpt_samples])`` that can be used once; made by `excerpts`.

    Attributes:
        duration_s: Length of the audio in seconds, known after the iteration.
        padded: Whether the audio was shorter than an excerpt, known after the iteration.
    """

    _pairs: Iterator[tuple[float, Read]] = field(init=False, repr=False)
    _sound: Sound = field(repr=False)
    _moved: dict[float, float] = field(default_factory=dict, init=False, repr=False)
    duration_s: float = 0.0
    padded: bool = False

    @property
    def warnings(self) -> list[AudioWarning]:
        """Warnings about the audio, known after all excerpts have been read."""
        found = self._sound.all_warnings()
        if self._moved:
            places = ", ".join(f"{new:.2f} s instead of {old:.2f} s" for old, new in sorted(self._moved.items()))
            text = f"{self._sound.name}: damaged excerpts were replaced by others nearby: {places}."
            found.append(DamagedAudioWarning(text))
        return found

    @property
    def name(self) -> str:
        """Name of the audio for messages."""
        return self._sound.name

    @property
    def mix(self) -> Mix:
        """What the channels have in common, known after all excerpts have been read."""
        return self._sound.mix

    def __iter__(self) -> Iterator[tuple[float, Block]]:
        """Read the excerpts in order; issue `warnings` at the end."""
        for start_s, read in self._pairs:
            yield start_s, read()
        issue_warnings(self.warnings)

    def unread(self) -> Iterator[tuple[float, Read]]:
        """Yield functions in place of samples. With a `count`, calling them decodes. No warnings are issued."""
        return self._pairs


def excerpts(
    source: str | os.PathLike[str] | ArrayLike,
    card: Framing,
    hop_s: float | None = None,
    count: int | None = None,
    source_rate: float | None = None,
    channel: int | None = None,
) -> Excerpts:
    """Cut audio into the excerpts that a model takes.

    Args:
        source: Path of a file; or samples ``[samples]`` or ``[samples, channels]``, floating point in [-1, 1] or
            int16.
        card: Rate and length of the excerpts, such as a `ModelCard`.
        hop_s: Seconds from one start to the next; default is back to back. Not used with `count`.
        count: Read only this many excerpts, by seeking: from the middles of as many equal parts of the audio. Never
            more than fit without overlap.
        source_rate: Hz of samples in memory.
        channel: Channel to use, from 0; default is the mean of all.

    Returns:
        An iterable of ``(start_s, [excerpt_samples])`` that can be used once.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If it cannot be decoded, is empty or holds values that are not finite (while iterating).
        MissingDependencyError: If decoding it needs ``musiczoo[av]``.
        InputError: If `hop_s` is not positive, `count` not a whole number from 1, or samples are malformed.

    Example:
        >>> import musiczoo
        >>> from musiczoo import audio, demo
        >>> model = musiczoo.load("disentangled-classification")
        >>> for start_s, samples in audio.excerpts(demo.PATH, model.card, count=2):
        ...     print(f"{start_s:.1f} s", samples.shape)
        6.0 s (66150,)
        21.0 s (66150,)
    """
    hop = check_excerpts(card, hop_s, count)
    sound = open_sound(source, source_rate)
    sound.mix.channel = channel
    result = Excerpts(sound)
    if count is None:
        result._pairs = _consecutive(result, sound, card, hop)
    else:
        result._pairs = _spread(result, sound, card, int(count))
    return result


def check_excerpts(card: Framing, hop_s: float | None, count: int | None) -> int:
    """Check these arguments of `excerpts`; return the hop in samples.

    Raises:
        InputError: If `hop_s` is not positive, or `count` not a whole number from 1.
    """
    if count is not None and (isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1):
        raise InputError(f"Expected a whole number of excerpts from 1, got {count!r}.")
    return card.excerpt_samples if hop_s is None else positive_samples("hop", hop_s, card.sample_rate)


def _consecutive(result: Excerpts, sound: Sound, card: Framing, hop: int) -> Iterator[tuple[float, Read]]:
    rate, size = card.sample_rate, card.excerpt_samples
    parts: list[Block] = []  # samples from `at` to `total`; the next excerpt begins at `start`
    at = start = total = 0
    for block in resampled(complete(sound), sound.sample_rate, rate):
        parts.append(block)
        total += len(block)
        if at < start or start + size <= total:
            whole = np.concatenate(parts)
            while start + size <= total:
                yield start / rate, _ready(whole[start - at : start - at + size].copy())
                start += hop
            parts = [whole[start - at :]]
            at = min(start, total)
    result.duration_s = total / rate
    if start == 0:
        result.padded = True
        sound.warnings.append(
            ShortAudioWarning(
                f"{sound.name}: {total / rate:.2f} s is shorter than one excerpt of {size / rate:.2f} s; "
                "zeros were added, so the tags are less certain."
            )
        )
        yield 0.0, _ready(np.pad(np.concatenate(parts), (0, size - total)))


def _ready(samples: Block) -> Read:
    return lambda: samples


def _spread(result: Excerpts, sound: Sound, card: Framing, count: int) -> Iterator[tuple[float, Read]]:
    rate, size = card.sample_rate, card.excerpt_samples

    def starts_in(frames: int) -> list[int]:
        return spread_starts(_converted(frames, sound, rate), size, count, _grid(sound, rate))

    def read_at(start: int) -> Block | None:
        """Return the samples; None if too many of them are lost."""
        samples = _section(sound, rate, start, size)
        first, last = (round(at * sound.sample_rate / rate) for at in (start, start + size))
        usable = len(samples) == size and sound.lost_within(first, last) <= MOST_LOST * (last - first)
        return samples if usable else None

    def read(start: int) -> Block:
        samples = read_at(start) if start < starts[-1] else last
        for place in _nearby(start, size, total, _grid(sound, rate)) if samples is None else ():
            if (samples := read_at(place)) is not None:
                result._moved[start / rate] = place / rate
                break
        if samples is None:
            raise AudioError(
                f"Cannot decode {sound.name!r} from {start / rate:.1f} s to {(start + size) / rate:.1f} s, nor nearby: "
                "the data are damaged. Use excerpts=None to read what can be decoded."
            )
        return samples

    frames, starts = sound.frames, starts_in(sound.frames)
    last = read_at(starts[-1]) if starts else None
    if last is None:  # the declared length is wrong
        frames = sum(len(block) for block in complete(sound))
        starts = starts_in(frames)
        if not starts:
            yield from _consecutive(result, sound, card, size)
            return
        last = read_at(starts[-1])
    total = _converted(frames, sound, rate)
    result.duration_s = frames / sound.sample_rate
    for start in starts:
        yield start / rate, partial(read, start)


def _nearby(start: int, size: int, total: int, grid: int) -> Iterator[int]:
    """Yield other starts for an excerpt, nearest first."""
    for distance in range(1, NEIGHBORS + 1):
        for place in (start + distance * size, start - distance * size):
            place = -(-place // grid) * grid
            if 0 <= place <= total - size:
                yield place


def spread_starts(total: int, size: int, count: int, grid: int = 1) -> list[int]:
    """Return the first samples of up to `count` excerpts in the middles of equal parts of the audio.

    Args:
        total: Samples in the audio.
        size: Samples in an excerpt.
        count: Number of excerpts; fewer are returned if they would overlap, and none if `total` < `size`.
        grid: Starts are rounded down to a multiple of this.

    Example:
        >>> from musiczoo.audio import spread_starts
        >>> spread_starts(total=100, size=10, count=2)
        [20, 70]
    """
    count = min(count, total // size)
    centres = [(2 * i + 1) * total // (2 * count) for i in range(count)]
    return [(centre - size // 2) // grid * grid for centre in centres]


def _converted(frames: int, sound: Sound, sample_rate: int) -> int:
    return math.floor(frames * sample_rate / sound.sample_rate)


def _grid(sound: Sound, sample_rate: int) -> int:
    """Return the distance, in samples at `sample_rate`, between times that both rates sample.

    Starting there, the resampler has the same phase as when it streams from 0 s.
    """
    return sample_rate // math.gcd(sample_rate, round(sound.sample_rate))


def _section(sound: Sound, sample_rate: int, start: int, size: int) -> Block:
    """Return up to `size` samples from `start`, which is on the grid, decoding only those and some context."""
    grid = _grid(sound, sample_rate)
    context = math.ceil(CONTEXT_S * sample_rate / grid) * grid
    first = max(start - context, 0)
    frame = round(first * sound.sample_rate / sample_rate)
    length = math.ceil((start + size + context - first) * sound.sample_rate / sample_rate)
    part = take(finite(sound, frame), length)
    converted = list(resampled(part, sound.sample_rate, sample_rate))
    return np.concatenate([*converted, np.zeros(0, np.float32)])[start - first : start - first + size]
