"""Singing made of speech: recordings of people, moved onto a melody by the WORLD vocoder.

Conventions
-----------
- A *syllable* is a short recording of a voice, as WORLD sees it: a pitch, a spectral envelope and an aperiodicity every
  5 ms. Only its voiced frames are held; consonants keep their length.
- Melodies come from `musiczoo.datasets.rendered_music.styles`; a singer takes them into the octave of the voice.

Source: Morise, Yokomori and Ozawa, WORLD: a vocoder-based high-quality speech synthesis system, IEICE Transactions
E99-D, 2016.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from ... import audio
from ...errors import DatasetError, MissingDependencyError
from .effects import Audio
from .styles import RATE, Note

WORLD_RATE = 24000
"""Hz at which voices are analyzed and synthesized: above it is little but breath."""

FRAME_S = 0.005
"""Seconds between the frames of WORLD."""

LEAST_VOICED_S = 0.06
"""Seconds of voiced sound below which a recording gives no syllable."""

FLOOR_HZ, CEILING_HZ = 70.0, 500.0
"""Range of pitches of speech."""


@dataclass(frozen=True)
class Syllable:
    """A recording as WORLD sees it.

    Attributes:
        f0: Pitch in Hz of each frame, 0 where unvoiced.
        envelope: Spectral envelope, ``[frames, bins]``.
        aperiodicity: ``[frames, bins]``.
    """

    f0: NDArray[np.float64]
    envelope: NDArray[np.float64]
    aperiodicity: NDArray[np.float64]

    @property
    def pitch(self) -> float:
        """Median pitch in Hz of the voiced frames."""
        return float(np.median(self.f0[self.f0 > 0]))


@dataclass(frozen=True)
class Manner:
    """How a voice sings.

    Attributes:
        formants: Factor of the formant frequencies: above 1 a smaller vocal tract, below 1 a larger one.
        octave: Octaves between the melody as written and as sung.
        vibrato_cents: Depth of the vibrato.
        vibrato_hz: Its rate.
        glide_s: Seconds of the glide from note to note.
        breath: Added aperiodicity, 0 to 1.
        delay_s: Seconds by which the voice is late, as the second of a doubled voice is.
        detune_cents: Constant deviation of the pitch.
        spoken: Keep the melody of speech (rap) instead of the notes' pitches.
    """

    formants: float = 1.0
    octave: int = 0
    vibrato_cents: float = 30.0
    vibrato_hz: float = 5.5
    glide_s: float = 0.05
    breath: float = 0.0
    delay_s: float = 0.0
    detune_cents: float = 0.0
    spoken: bool = False


def analyze(path: Path) -> Syllable | None:
    """Analyze a recording of a voice.

    Args:
        path: Audio file of a letter, a syllable or a word; at most 3 s of it are used.

    Returns:
        The syllable; None if there is too little voiced sound in it.

    Raises:
        AudioError: If the file cannot be decoded.
        MissingDependencyError: If pyworld is not installed.
    """
    world = find_pyworld()
    samples = audio.read(path, WORLD_RATE, 3.0).astype(np.float64)
    if len(samples) < WORLD_RATE // 10 or np.abs(samples).max() < 1e-3:
        return None
    f0, times = world.dio(samples, WORLD_RATE, FLOOR_HZ, CEILING_HZ, frame_period=1000 * FRAME_S)
    f0 = world.stonemask(samples, f0, times, WORLD_RATE)
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) * FRAME_S < LEAST_VOICED_S:
        return None
    first, last = max(voiced[0] - 15, 0), voiced[-1] + 10
    envelope = world.cheaptrick(samples, f0, times, WORLD_RATE)[first:last]
    aperiodicity = world.d4c(samples, f0, times, WORLD_RATE)[first:last]
    # WORLD gives NaN for some silent frames: nothing there is periodic.
    return Syllable(f0[first:last], envelope, np.nan_to_num(aperiodicity, nan=1.0))


def sing(
    melody: Sequence[Note], tempo: float, syllables: Sequence[Syllable], manner: Manner, seed: int, frames: int
) -> Audio:
    """Sing a melody.

    Args:
        melody: Notes; rests stay silent.
        tempo: Quarter notes per minute.
        syllables: One voice's syllables; the seed decides which is sung on which note.
        manner: How to sing.
        seed: Decides syllables and small deviations.
        frames: Length of the result at `RATE`.

    Returns:
        Mono samples ``[frames]`` at `RATE`.

    Raises:
        MissingDependencyError: If pyworld is not installed.
    """
    world = find_pyworld()
    if not syllables:
        raise DatasetError("A singer needs one syllable or more, got none.")
    dice = random.Random(seed)
    total = int(frames / RATE / FRAME_S) + 1
    bins = syllables[0].envelope.shape[1]
    f0, envelope = np.zeros(total), np.full((total, bins), 1e-16)
    aperiodicity = np.ones((total, bins))
    voice = float(np.median([syllable.pitch for syllable in syllables]))
    # The octave that is nearest to the pitch of the speaking voice, half an octave above it.
    middle = np.median([note.pitch for note in melody if note.pitch is not None] or [60])
    shift = 12 * round((69 + 12 * np.log2(voice / 440) + 5 - float(middle)) / 12 + manner.octave)
    before = 0.0
    for note in melody:
        first = round((note.start * 60 / tempo + manner.delay_s + dice.gauss(0, 0.008)) / FRAME_S)
        count = round(note.length * 60 / tempo / FRAME_S)
        if note.pitch is None or first < 0 or count < 8:
            before = 0.0
            continue
        count = min(count, total - first)
        if count < 8:
            break
        syllable = dice.choice(syllables)
        at = _warp(syllable.f0 > 0, count, manner.spoken)
        target = 440 * 2 ** ((note.pitch + shift - 69 + (manner.detune_cents + dice.gauss(0, 6)) / 100) / 12)
        pitch = syllable.f0[at] * (target / syllable.pitch if not manner.spoken else 1.0)
        if not manner.spoken:
            pitch = np.where(syllable.f0[at] > 0, _contour(before or target, target, count, manner, dice), 0.0)
        part = slice(first, first + count)
        f0[part] = pitch
        envelope[part] = _formants(syllable.envelope[at], manner.formants) * _fade(count)[:, None]
        aperiodicity[part] = np.clip(syllable.aperiodicity[at] + manner.breath, 0, 1)
        before = target
    # WORLD refuses pitches above a quarter of what its spectra resolve.
    samples = world.synthesize(np.clip(f0, 0, 1100), envelope, aperiodicity, WORLD_RATE, 1000 * FRAME_S)
    result = soxr.resample(samples.astype(np.float32), WORLD_RATE, RATE)[:frames]
    return np.pad(result, (0, frames - len(result))).astype(np.float32)


def _warp(voiced: NDArray[np.bool_], count: int, spoken: bool) -> NDArray[np.int64]:
    """Return the frame of the syllable for each of `count` frames: consonants as spoken, the vowel held or cut."""
    size = len(voiced)
    if spoken or count <= size:
        return np.linspace(0, size - 1, count).astype(np.int64) if spoken else np.arange(count).clip(0, size - 1)
    inside = np.flatnonzero(voiced)
    hold = inside[len(inside) // 3], inside[(2 * len(inside)) // 3]
    head, tail = np.arange(hold[0]), np.arange(hold[1], size)
    missing = count - len(head) - len(tail)
    if missing <= 0:
        return np.linspace(0, size - 1, count).astype(np.int64)
    span = max(hold[1] - hold[0], 1)
    # Back and forth through the middle of the vowel: no jump, and no single frame that buzzes.
    steps = np.abs((np.arange(missing) + span) % (2 * span) - span)
    return np.concatenate([head, hold[0] + steps, tail]).astype(np.int64)


def _contour(before: float, target: float, count: int, manner: Manner, dice: random.Random) -> NDArray[np.float64]:
    """Return the pitch of a note in Hz: a glide from the note before, then vibrato that grows."""
    times = np.arange(count) * FRAME_S
    glide = np.exp(-times / max(manner.glide_s, 1e-3))
    cents = 1200 * np.log2(before / target) * glide
    growth = np.clip((times - 0.15) / 0.3, 0, 1)
    cents = cents + manner.vibrato_cents * growth * np.sin(2 * np.pi * manner.vibrato_hz * times + dice.random() * 6.28)
    return np.asarray(target * 2 ** (cents / 1200))


def _formants(envelope: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Stretch spectral envelopes along the frequency axis."""
    if factor == 1:
        return envelope
    bins = np.arange(envelope.shape[1])
    where = np.minimum(bins / factor, len(bins) - 1)
    low = where.astype(int)
    high, share = np.minimum(low + 1, len(bins) - 1), where - low
    logs = np.log(np.maximum(envelope, 1e-16))
    return np.asarray(np.exp(logs[:, low] * (1 - share) + logs[:, high] * share))


def _fade(count: int) -> NDArray[np.float64]:
    """Return gains that avoid clicks at both ends of a note."""
    ramp = np.minimum(np.arange(count) + 1, count - np.arange(count)) / 6
    return np.minimum(ramp, 1.0) ** 2


def find_pyworld() -> Any:
    """Import pyworld.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        import pyworld
    except ImportError as error:
        raise MissingDependencyError(
            "Singing needs pyworld, which is not installed. Install it with: pip install 'musiczoo[render]'"
        ) from error
    return pyworld
