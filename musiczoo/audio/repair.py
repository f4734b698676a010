"""Audio that models do not expect: silence, a constant offset, channels that cancel, a very low level.

Conventions
-----------
- This module defines each of these and what `Model.analyze` does about it. `Model.embed` and `Model.tag` take excerpts
  as they are.
- Excerpts that are not affected keep their bits: nothing is subtracted or scaled where there is little to repair.
  docs/engineering/reliability.md has the measurements behind the limits.
- Silence is decided for each excerpt, by its samples only. The others are decided once for an analysis, from everything
  it decodes; the song is then decoded again. Neither depends on threads or blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .source import AudioWarning, Block, Mix

SILENT_RMS = 2 / 32768
"""An excerpt is silent if the RMS of its samples about their mean is below two steps of 16 bits, -84 dBFS.

The noise of dithered 16-bit silence (triangular dither, 0.5 steps RMS) is 12 dB below; that of shaped dither lies
mostly above 11 kHz, outside the models' band. Noise or a tone at this level moves no probability by more than .001 from
that of zeros.
"""

LEAST_OFFSET = 0.02
"""A song has a constant offset if the median of its excerpts' means is this or more, and none differs by half of it.

Smaller offsets leave its embedding at a cosine above .99. Means that vary, as those of synthetic basses do, are music.
"""

CANCELLED = 0.2
"""The channels cancel if the energy of their sum is below this share of the sum of their energies.

The share is 1 for channels that have nothing in common, whatever their number and levels, as many as there are if they
are equal, and 0 if two are opposite. Of 121 songs of open_music, none is below .95.
"""

QUIET_RMS = 10 ** (-30 / 20)
"""A song is quiet if its loudest excerpt has an RMS below -30 dBFS; of 121 songs of open_music, none is below -27."""

USUAL_RMS = 10 ** (-15 / 20)
"""RMS of the loudest excerpt of a song, median over songs. Quiet songs are amplified to this level."""


class SilentAudioWarning(AudioWarning):
    """All of the audio is silent: below -84 dBFS RMS.

    All tag probabilities are 0, and the embedding is zeros.
    """


class OffsetWarning(AudioWarning):
    """A constant offset (DC) of 0.02 or more was removed from the samples."""


class OppositePhaseWarning(AudioWarning):
    """The channels cancel each other, so their mean is nearly silent. One of them was analyzed instead."""


class QuietAudioWarning(AudioWarning):
    """The loudest excerpt has an RMS below -30 dBFS. The audio was amplified, since models know music at usual levels.

    The message says by how many decibels.
    """


def lone_channel(mix: Mix) -> int | None:
    """Return the channel to use instead of the mean of all; None if the mean is right, as it nearly always is."""
    return mix.loudest() if mix.channel is None and mix.together < CANCELLED * mix.apart else None


def opposite_phase(name: str, channel: int) -> AudioWarning:
    """Return the warning for channels that cancel."""
    return OppositePhaseWarning(
        f"{name}: the channels cancel each other (opposite phase); only channel {channel + 1} was analyzed."
    )


@dataclass(frozen=True)
class Level:
    """Measurements of an excerpt as it was decoded.

    Attributes:
        offset: Mean of the samples.
        rms: Root mean square of the samples about their mean.
    """

    offset: float
    rms: float

    @classmethod
    def of(cls, samples: Block) -> "Level":
        """Measure an excerpt ``[samples]``."""
        offset = float(samples.mean())
        if abs(offset) >= LEAST_OFFSET:  # the difference of two large numbers would be inexact
            return cls(offset, math.sqrt(np.square(samples - np.float32(offset), dtype=np.float64).mean()))
        square = float(np.dot(samples, samples)) / len(samples)
        return cls(offset, math.sqrt(max(square - offset * offset, 0.0)))

    @property
    def silent(self) -> bool:
        """Whether the excerpt is silent."""
        return self.rms < SILENT_RMS


@dataclass(frozen=True)
class Repair:
    """Changes to a whole song before it is analyzed.

    Attributes:
        channel: Channel to analyze; None is the mean of all.
        offset: Subtracted from the samples.
        gain: Factor for the samples.
    """

    channel: int | None = None
    offset: float = 0.0
    gain: float = 1.0

    def apply(self, samples: Block) -> Block:
        """Return the repaired samples; the same bits where there is nothing to repair."""
        if self.offset:
            samples = samples - np.float32(self.offset)
        return samples if self.gain == 1.0 else samples * np.float32(self.gain)

    def next(self, mix: Mix, levels: Sequence[Level], padded: bool) -> "Repair":
        """Return the repair that a song needs after an analysis with this one: the same if nothing is left to repair.

        Args:
            mix: Of the song's channels, after all were read.
            levels: Of its excerpts.
            padded: Whether zeros were added, which change offset and level.
        """
        if (channel := lone_channel(mix)) is not None:
            return Repair(channel)
        if padded or self.offset or self.gain != 1.0:
            return self
        return Repair(self.channel, _offset(levels), _gain(levels))

    def warnings(self, name: str, levels: Sequence[Level]) -> list[AudioWarning]:
        """Return the warnings about a song that was analyzed with this repair."""
        found: list[AudioWarning] = []
        if self.channel is not None:
            found.append(opposite_phase(name, self.channel))
        if self.offset:
            found.append(OffsetWarning(f"{name}: a constant offset of {self.offset:.3f} was removed."))
        if all(level.silent for level in levels):
            limit = f"{_decibels(SILENT_RMS):.0f} dBFS RMS"
            found.append(SilentAudioWarning(f"{name}: all of it is silent (below {limit}); it has no tags."))
        elif self.gain != 1.0:
            loudest, gain = _decibels(max(level.rms for level in levels)), _decibels(self.gain)
            text = f"{name}: the loudest excerpt has only {loudest:.0f} dBFS RMS; it was amplified by {gain:.0f} dB."
            found.append(QuietAudioWarning(text))
        return found


def _offset(levels: Sequence[Level]) -> float:
    """Return the constant offset of a song; 0 if it is negligible or not constant."""
    offsets = np.array([level.offset for level in levels if not level.silent] or [0.0])
    middle = float(np.median(offsets))
    constant = abs(middle) >= LEAST_OFFSET and np.abs(offsets - middle).max() <= abs(middle) / 2
    return round(middle, 4) if constant else 0.0


def _gain(levels: Sequence[Level]) -> float:
    """Return the factor that brings a quiet song to the usual level; 1 for other songs and for silence."""
    loudest = max(level.rms for level in levels)
    if not SILENT_RMS <= loudest < QUIET_RMS:
        return 1.0
    # Whole decibels: the last bits of a level differ between machines.
    return float(10 ** (round(_decibels(USUAL_RMS / loudest)) / 20))


def _decibels(factor: float) -> float:
    return 20 * math.log10(factor)
