"""Any audio file -> mono excerpts at a model's rate, streaming: memory does not grow with the song.

Conventions
-----------
- Samples are float32 mono, nominally in [-1, 1]. Channels are averaged, rates converted with soxr (HQ).
  Where the average is no good, since channels cancel each other, `read` and `Model.analyze` take one (see `repair`).
- Excerpts start every `hop_s` seconds from 0 s; what is left at the end and shorter than an excerpt is
  dropped, unless it is all there is: then it is padded with zeros, with a `ShortAudioWarning`.
- A source that ends well before its declared length is used as far as it decodes, with a
  `TruncatedAudioWarning`. Damage before that becomes silence, with a `DamagedAudioWarning`; where single excerpts are
  sought, one that is damaged is replaced by one beside it.
- Samples that are not finite, or too large to be converted, are an `AudioError` that names the first bad time.
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
from . import repair
from .decode import open_sound, take
from .mix import Mix
from .source import AudioWarning as AudioWarning
from .source import Block, Sound, resampled, show
from .source import DamagedAudioWarning as DamagedAudioWarning
from .source import LengthWarning as LengthWarning
from .source import TruncatedAudioWarning as TruncatedAudioWarning

Read = Callable[[], Block]
"""Gives an excerpt's samples, ``[excerpt_samples]``; may be called in any thread, and raises what `excerpts` does."""

CONTEXT_S = 0.25
"""Seconds decoded on either side of an excerpt that is read by seeking: resampler and codec settle there."""

LOUDEST = 1e30
"""Magnitude from which on the resampler's sums might not be finite any more; no audio is near it."""


MOST_LOST = 0.2
"""Share of a sought excerpt that may be lost before another is taken."""

NEIGHBOURS = 3
"""How many excerpts away from a damaged one another is looked for, in either direction."""


class ShortAudioWarning(AudioWarning):
    """The audio is shorter than one excerpt and was padded with zeros."""


class Framing(Protocol):
    """What `excerpts` needs to know of a model: a `ModelCard` does."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def excerpt_samples(self) -> int:
        """Samples in one excerpt."""


@dataclass(frozen=True)
class AudioInfo:
    """What a file declares: seconds, Hz and channels."""

    duration_s: float
    sample_rate: int
    channels: int


def probe(path: str | os.PathLike[str]) -> AudioInfo:
    """A file's length, rate and channels, without decoding it (unless it declares no length).

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If it cannot be decoded.
        MissingDependencyError: If decoding it takes ``musiczoo[av]``.
    """
    sound = open_sound(path)
    frames = sound.frames or sum(len(block) for block in sound.decode(0))
    show(sound.noticed())
    return AudioInfo(frames / sound.sample_rate, round(sound.sample_rate), sound.channels)


def read(path: str | os.PathLike[str], sample_rate: int, duration_s: float | None = None) -> Block:
    """A whole file, or its first `duration_s` seconds, at `sample_rate`: ``[samples]``.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If it cannot be decoded, is empty or holds values that are not finite.
        MissingDependencyError: If decoding it takes ``musiczoo[av]``.
        InputError: If `duration_s` is not positive.

    Warns:
        OppositePhaseWarning: If the channels cancel each other; what is returned is one of them.
    """
    samples = None if duration_s is None else _positive_samples("duration_s", duration_s, sample_rate)

    def decoded(sound: Sound) -> Block:
        stream = resampled(_complete(sound), sound.sample_rate, sample_rate)
        return np.concatenate(list(stream if samples is None else take(stream, samples)))

    sound = open_sound(path)
    found = decoded(sound)
    if (channel := repair.lone_channel(sound.mix)) is not None:
        sound = open_sound(path)
        sound.mix.channel = channel
        found = decoded(sound)
        sound.warnings.append(repair.opposite_phase(sound.name, channel))
    show(sound.noticed())
    return found


def blocks(path: str | os.PathLike[str], sample_rate: int, start_s: float = 0.0) -> Iterator[Block]:
    """A file from `start_s` on, as blocks ``[samples]`` of any length at `sample_rate`: the mean of the channels.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If it cannot be decoded, is empty or holds values that are not finite.
        MissingDependencyError: If decoding it takes ``musiczoo[av]``.
        InputError: If `start_s` is negative or not finite.
    """
    sound = open_sound(path)
    if not (math.isfinite(start_s) and start_s >= 0):
        raise InputError(f"Expected start_s of 0 or more seconds, received {start_s!r}.")
    return resampled(_shown(sound, round(start_s * sound.sample_rate)), sound.sample_rate, sample_rate)


@dataclass
class Excerpts:
    """An iterable of ``(start_s, [excerpt_samples])``, once; made by `excerpts`.

    Attributes:
        duration_s: Length of the audio, known when the iteration has ended.
        padded: Whether the audio was shorter than an excerpt, known when the iteration has ended.
    """

    _pairs: Iterator[tuple[float, Read]] = field(init=False, repr=False)
    _sound: Sound = field(repr=False)
    _moved: dict[float, float] = field(default_factory=dict, init=False, repr=False)
    duration_s: float = 0.0
    padded: bool = False

    @property
    def warnings(self) -> list[AudioWarning]:
        """What was noticed about the audio, known when all excerpts have been read."""
        noticed = self._sound.noticed()
        if self._moved:
            places = ", ".join(f"{new:.2f} s instead of {old:.2f} s" for old, new in sorted(self._moved.items()))
            text = f"{self._sound.name}: excerpts were taken beside damaged ones: at {places}."
            noticed.append(DamagedAudioWarning(text))
        return noticed

    @property
    def name(self) -> str:
        """What to call the audio in a message."""
        return self._sound.name

    @property
    def mix(self) -> Mix:
        """What its channels have in common, known when all excerpts have been read."""
        return self._sound.mix

    def __iter__(self) -> Iterator[tuple[float, Block]]:
        """Read the excerpts in order; `warnings` are shown at the end."""
        for start_s, read in self._pairs:
            yield start_s, read()
        show(self.warnings)

    def unread(self) -> Iterator[tuple[float, Read]]:
        """The same, once, with functions in place of samples; where places are sought, it is they that decode.

        `warnings` are not shown.
        """
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
        source: Path of a file; or samples ``[samples]`` or ``[samples, channels]`` (see `decode.open_sound`).
        card: Rate and length of the excerpts.
        hop_s: Seconds from one start to the next; default is back to back. Not used with `count`.
        count: Read only this many excerpts, by seeking: the audio is cut into as many equal parts and the
            middle of each is read. Never more than fit without overlap.
        source_rate: Hz of samples in memory.
        channel: Take only this one, from 0; default is the mean of all.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If it cannot be decoded, is empty or holds values that are not finite (while iterating).
        MissingDependencyError: If decoding it takes ``musiczoo[av]``.
        InputError: If `hop_s` is not positive, `count` not a whole number from 1, or samples are malformed.
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
    """Check how `excerpts` is asked to cut; the samples from one start to the next.

    Raises:
        InputError: If `hop_s` is not positive, or `count` not a whole number from 1.
    """
    if count is not None and (isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1):
        raise InputError(f"Expected a whole number of excerpts from 1, got {count!r}.")
    return card.excerpt_samples if hop_s is None else _positive_samples("hop", hop_s, card.sample_rate)


def _consecutive(result: Excerpts, sound: Sound, card: Framing, hop: int) -> Iterator[tuple[float, Read]]:
    rate, size = card.sample_rate, card.excerpt_samples
    parts: list[Block] = []  # from `at` to `total`, of which `start`, of the next excerpt, is the first needed
    at = start = total = 0
    for block in resampled(_complete(sound), sound.sample_rate, rate):
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

    def sound_at(start: int) -> Block | None:
        """The samples; None if many of them are lost."""
        samples = _section(sound, rate, start, size)
        first, last = (round(at * sound.sample_rate / rate) for at in (start, start + size))
        usable = len(samples) == size and sound.lost_within(first, last) <= MOST_LOST * (last - first)
        return samples if usable else None

    def read(start: int) -> Block:
        samples = sound_at(start) if start < starts[-1] else last
        for place in _neighbours(start, size, total, _grid(sound, rate)) if samples is None else ():
            if (samples := sound_at(place)) is not None:
                result._moved[start / rate] = place / rate
                break
        if samples is None:
            raise AudioError(
                f"Cannot decode {sound.name!r} from {start / rate:.1f} s to {(start + size) / rate:.1f} s, nor beside "
                "it: the data are damaged. Use excerpts=None to read what can be decoded."
            )
        return samples

    frames, starts = sound.frames, starts_in(sound.frames)
    last = sound_at(starts[-1]) if starts else None
    if last is None:  # the declared length is not to be believed
        frames = sum(len(block) for block in _complete(sound))
        starts = starts_in(frames)
        if not starts:
            yield from _consecutive(result, sound, card, size)
            return
        last = sound_at(starts[-1])
    total = _converted(frames, sound, rate)
    result.duration_s = frames / sound.sample_rate
    for start in starts:
        yield start / rate, partial(read, start)


def _neighbours(start: int, size: int, total: int, grid: int) -> Iterator[int]:
    """Other places for an excerpt, near first, as far as excerpts of that size lie."""
    for distance in range(1, NEIGHBOURS + 1):
        for place in (start + distance * size, start - distance * size):
            place = -(-place // grid) * grid
            if 0 <= place <= total - size:
                yield place


def spread_starts(total: int, size: int, count: int, grid: int = 1) -> list[int]:
    """First samples of up to `count` excerpts of `size` in the middles of equal parts of `total` samples.

    Args:
        total: Samples in the audio.
        size: Samples in an excerpt.
        count: Excerpts wanted; no more are returned than fit without overlap, so none if `total` < `size`.
        grid: Starts are rounded down to a multiple of this.
    """
    count = min(count, total // size)
    centres = [(2 * i + 1) * total // (2 * count) for i in range(count)]
    return [(centre - size // 2) // grid * grid for centre in centres]


def _converted(frames: int, sound: Sound, sample_rate: int) -> int:
    return math.floor(frames * sample_rate / sound.sample_rate)


def _grid(sound: Sound, sample_rate: int) -> int:
    """Distance in samples at `sample_rate` between instants that both rates sample.

    Starting there, the resampler meets the same phases as when it streams from 0 s.
    """
    return sample_rate // math.gcd(sample_rate, round(sound.sample_rate))


def _section(sound: Sound, sample_rate: int, start: int, size: int) -> Block:
    """Up to `size` samples from `start`, which is on the grid, decoding only those and some context."""
    grid = _grid(sound, sample_rate)
    context = math.ceil(CONTEXT_S * sample_rate / grid) * grid
    first = max(start - context, 0)
    frame = round(first * sound.sample_rate / sample_rate)
    length = math.ceil((start + size + context - first) * sound.sample_rate / sample_rate)
    part = take(_finite(sound, frame), length)
    converted = list(resampled(part, sound.sample_rate, sample_rate))
    return np.concatenate([*converted, np.zeros(0, np.float32)])[start - first : start - first + size]


def _finite(sound: Sound, start: int = 0) -> Iterator[Block]:
    at = start
    for block in sound.mono(start):
        bad = np.flatnonzero(~(np.abs(block) <= LOUDEST))
        if len(bad):
            raise AudioError(
                f"{sound.name}: expected finite samples, nominally in [-1, 1], received {block[bad[0]]} at "
                f"{(at + bad[0]) / sound.sample_rate:.3f} s. Repair or cut the audio there."
            )
        at += len(block)
        yield block


def _shown(sound: Sound, start: int) -> Iterator[Block]:
    """All blocks from `start`; what was noticed is shown at the end."""
    yield from _complete(sound, start)
    show(sound.noticed())


def _complete(sound: Sound, start: int = 0) -> Iterator[Block]:
    """All blocks from `start`, with a warning noted if they end early and an error if there are none."""
    at = start
    for block in _finite(sound, start):
        at += len(block)
        yield block
    if at == start:
        seconds = sound.frames / sound.sample_rate
        raise AudioError(
            f"{sound.name}: expected audio from {start / sound.sample_rate:.2f} s on, received "
            + (
                f"{seconds:.2f} s of which nothing decodes there."
                if sound.frames > start
                else f"{seconds:.2f} s in all."
            )
        )
    sound.warn_if_truncated(at)


def _positive_samples(name: str, seconds: float, sample_rate: int) -> int:
    valid = isinstance(seconds, int | float | np.number) and math.isfinite(seconds)
    if not valid or round(seconds * sample_rate) < 1:
        raise InputError(f"Expected {name} as a positive number of seconds, received {seconds!r}.")
    return round(seconds * sample_rate)
