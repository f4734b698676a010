"""Open anything that holds sound: a file through libsndfile or FFmpeg, or an array in memory.

Conventions
-----------
- A block is float32 mono ``[frames]`` at the source's own rate, nominally in [-1, 1]: channels are averaged.
- libsndfile (the `soundfile` package) is tried first, by content and not by the file's name; what it refuses, or
  finds little or nothing in, or would read as something else than it is, goes to FFmpeg (the `av` package, the extra
  ``musiczoo[av]``) where that is installed.
- Damage inside a file becomes silence, so that what follows stays in its place; `Sound.noticed` says how much.
- Audio that ends early ends its blocks early: whoever reads compares with `Sound.frames`. Only what cannot be
  opened at all is an error here.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import AudioError, AudioNotFoundError, InputError, MusicZooError
from . import ffmpeg, libsndfile, ogg
from .source import BLOCK, Block, LengthWarning, Sound, average

MAX_CHANNELS = 64
"""More columns than this in an array are taken for samples, that is for a mistake."""

_TOO_LITTLE, _SMALL = 16, 1 << 17
"""Bytes for a sample of each channel, and for what else a file holds, above which something must have been missed."""

RATES = (1_000, 1_000_000)
"""Lowest and highest sample rate in Hz that is taken for audio."""


def open_sound(source: str | os.PathLike[str] | ArrayLike, sample_rate: float | None = None) -> Sound:
    """Open a file, or samples in memory.

    Args:
        source: Path of a file; or samples ``[samples]`` or ``[samples, channels]``, floating point in [-1, 1]
            or int16 (divided by 32,768).
        sample_rate: Hz of the samples; files state their own.

    Raises:
        AudioNotFoundError: If there is nothing at the path.
        AudioError: If it is not audio that can be decoded.
        MissingDependencyError: If decoding it takes ``musiczoo[av]``.
        InputError: If samples have another shape or type, or lack a sample rate.
    """
    if not isinstance(source, str | os.PathLike):
        return _open_samples(source, sample_rate)
    if sample_rate is not None:
        raise InputError(
            f"Expected sample_rate with samples only, received it with the path {str(source)!r}: "
            "leave it out, a file states its own."
        )
    path = Path(source)
    _check_file(path)
    try:
        sound = _open_file(path)
    except OSError as error:
        if isinstance(error, MusicZooError):
            raise
        # It was there a moment ago.
        raise AudioError(f"{path}: expected a file that can be read, received {error.strerror}.") from error
    if not RATES[0] <= sound.sample_rate <= RATES[1]:
        raise AudioError(f"{path}: expected a rate of {RATES[0]} to {RATES[1]} Hz, received {sound.sample_rate}.")
    return sound


def _open_file(path: Path) -> Sound:
    """A file's sound: libsndfile's, unless what it says is contradicted, or too little."""
    opened = libsndfile.open_file(path)
    sound = opened.sound
    if sound is None or opened.codec:
        return ffmpeg.open_file(path, opened.codec, chained=bool(ogg.streams(path)))
    size = path.stat().st_size
    enough = size < _TOO_LITTLE * sound.frames * sound.channels + _SMALL
    if enough if sound.frames else next(sound.decode(0), None) is not None:
        return sound
    try:
        other = ffmpeg.open_file(path)
    except MusicZooError:
        other = None
    if other and other.frames > 2 * sound.frames:
        return other
    if sound.frames and other is None and not sound.warnings:
        sound.warnings.append(
            LengthWarning(
                f"{path}: {sound.frames / sound.sample_rate:.2f} s were found in {size / 1e6:.1f} MB; the file may "
                'hold more, of another format. Try again with pip install "musiczoo[av]".'
            )
        )
    return sound


def take(stream: Iterator[Block], frames: int) -> Iterator[Block]:
    """The first frames of a stream of blocks, or all if there are fewer."""
    for block in stream:
        yield block[:frames]
        frames -= len(block)
        if frames <= 0:
            return


def as_samples(samples: ArrayLike) -> NDArray[Any]:
    """Samples as an array, of a type that `as_float32` converts.

    Raises:
        InputError: If they are of another type.
    """
    try:
        array = np.asarray(samples)
    except ValueError as error:
        raise InputError(f"Expected an array of samples, received what is not one: {error}.") from error
    if array.dtype.kind != "f" and array.dtype != np.int16:
        raise InputError(
            f"Expected samples as floating point in [-1, 1] or as int16, received {array.dtype}. "
            "Convert them first, for example int32 with x / 2**31."
        )
    return array


def as_float32(samples: NDArray[Any]) -> Block:
    """Floating point as it is, int16 divided by 32,768."""
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is refused as such
        converted: Block = samples.astype(np.float32, copy=False)
    return converted / np.float32(32768) if samples.dtype == np.int16 else converted


def _open_samples(samples: ArrayLike, sample_rate: float | None) -> Sound:
    if sample_rate is None:
        raise InputError("Expected sample_rate with samples, received none: pass sample_rate=44100 or what it is.")
    if not isinstance(sample_rate, int | float | np.number) or not RATES[0] <= sample_rate <= RATES[1]:
        raise InputError(f"Expected a sample_rate of {RATES[0]} to {RATES[1]} Hz, received {sample_rate!r}.")
    array = as_samples(samples)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not 1 <= array.shape[1] <= MAX_CHANNELS or 0 < array.shape[0] < array.shape[1]:
        raise InputError(
            f"Expected samples of shape [samples] or [samples, channels] with up to {MAX_CHANNELS} channels, "
            f"received {np.shape(samples)}. Is it [channels, samples]? Then pass x.T."
        )

    def decode(start: int) -> Iterator[Block]:
        for i in range(start, len(array), BLOCK):
            yield average(as_float32(array[i : i + BLOCK]))

    return Sound("samples", float(sample_rate), array.shape[1], len(array), 0.0, decode)


def _check_file(path: Path) -> None:
    if os.path.isdir(path):
        raise AudioError(f"{path}: expected an audio file, received a folder. Name the files in it.")
    if not os.path.exists(path):
        raise AudioNotFoundError(f"{path}: expected an audio file, received a path with nothing there.")
    if not os.path.isfile(path):
        raise AudioError(f"{path}: expected an audio file, received a device or pipe. Copy it to a file first.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise AudioError(f"{path}: expected a file that can be read, received {error.strerror}.") from error
    if empty:
        raise AudioError(f"{path}: expected audio, received an empty file.")
