"""Channels -> one: their mean, unless they cancel each other.

Decoders call `average` for each block, whatever sound it is of. Whoever decodes says with `mixing` how that is done,
and learns what the channels have in common; see `repair` for what follows from it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_here = threading.local()
"""Its `mix` is that of the sound of which this thread decodes a block."""


@dataclass
class Mix:
    """How a sound's channels become one, and what they have in common. Several threads may use it.

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

    def one(self, block: Floats) -> Floats:
        """``[frames, channels] -> [frames]``, in new memory."""
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
        """Of the channels where they cancel: the first, unless it has less than half of another's energy."""
        most = max(self._cancelled.values(), default=0.0)
        return min((channel for channel, energy in self._cancelled.items() if energy >= most / 2), default=0)


@contextmanager
def mixing(mix: Mix) -> Iterator[None]:
    """Mix like this what this thread decodes in a ``with`` block."""
    before, _here.mix = getattr(_here, "mix", None), mix
    try:
        yield
    finally:
        _here.mix = before


def average(block: Floats) -> Floats:
    """The channels as one, in new memory: ``[frames, channels] -> [frames]``: their mean, or as `mixing` says."""
    mix: Mix | None = getattr(_here, "mix", None)
    return mix.one(block) if mix else _mean(block)


def _mean(block: Floats) -> Floats:
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0].copy()
    with np.errstate(over="ignore", invalid="ignore"):
        # As a product it takes a tenth of the time of block.mean(axis=1), which was a third of decoding.
        mono: Floats = block @ np.full(channels, 1 / channels, np.float32)
    return mono
