"""Open, probe and read audio: files through libsndfile or FFmpeg, and arrays in memory.

Conventions
-----------
- libsndfile (the `soundfile` package) comes first, by content and not by the file's name. What it refuses, finds little
  in, or would read as something else goes to FFmpeg (the `av` package, the extra ``musiczoo[av]``), if installed.
- Samples are float32 mono, nominally in [-1, 1]. Channels are averaged, rates converted with soxr (HQ). Where
  averaging fails because channels cancel each other, `read` and `Model.analyze` use one of them (see `repair`).
- Damage inside a file becomes silence, so that what follows stays in its place, with a `DamagedAudioWarning`. A file
  that ends well before its declared length is read as far as possible, with a `TruncatedAudioWarning`.
- Samples that are not finite, or too large for the resampler, raise an `AudioError` with the first such time.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import AudioError, AudioNotFoundError, InputError, MusicZooError
from . import ffmpeg, libsndfile, ogg, repair
from .source import BLOCK, Block, LengthWarning, Sound, average, issue_warnings, resampled

MAX_CHANNELS = 64
"""Most columns of an array: one with more is taken for a transposed one."""

RATES = (1_000, 1_000_000)
"""Lowest and highest sample rate in Hz."""

LOUDEST = 1e30
"""Largest magnitude of a sample: beyond it, the resampler's sums might not be finite. No audio is near it."""

_TOO_LITTLE, _SMALL = 16, 1 << 17
"""Bytes for a sample of each channel, and for metadata. In a larger file, libsndfile must have missed something."""


# === Files ===


@dataclass(frozen=True)
class AudioInfo:
    """What a file declares.

    Attributes:
        duration_s: Length in seconds.
        sample_rate: Hz.
        channels: Number of channels.
    """

    duration_s: float
    sample_rate: int
    channels: int


def probe(path: str | os.PathLike[str]) -> AudioInfo:
    """Return a file's length, rate and channels without decoding it (unless it declares no length).

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If the file cannot be decoded.
        MissingDependencyError: If decoding it needs ``musiczoo[av]``.

    Example:
        >>> from musiczoo import audio, demo
        >>> audio.probe(demo.PATH)
        AudioInfo(duration_s=30.0, sample_rate=44100, channels=2)
    """
    sound = open_sound(path)
    frames = sound.frames or sum(len(block) for block in sound.decode(0))
    issue_warnings(sound.all_warnings())
    return AudioInfo(frames / sound.sample_rate, round(sound.sample_rate), sound.channels)


def read(path: str | os.PathLike[str], sample_rate: int, duration_s: float | None = None) -> Block:
    """Read a whole file, or its first seconds, as mono samples.

    Args:
        path: The file.
        sample_rate: Hz of the samples returned.
        duration_s: Seconds to read; default is the whole file.

    Returns:
        ``[samples]`` float32.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If the file cannot be decoded, is empty or holds values that are not finite.
        MissingDependencyError: If decoding it needs ``musiczoo[av]``.
        InputError: If `duration_s` is not positive.

    Warns:
        OppositePhaseWarning: If the channels cancel each other; one of them is returned.

    Example:
        >>> from musiczoo import audio, demo
        >>> audio.read(demo.PATH, sample_rate=22050, duration_s=3.0).shape
        (66150,)
    """
    samples = None if duration_s is None else positive_samples("duration_s", duration_s, sample_rate)

    def decoded(sound: Sound) -> Block:
        stream = resampled(complete(sound), sound.sample_rate, sample_rate)
        return np.concatenate(list(stream if samples is None else take(stream, samples)))

    sound = open_sound(path)
    found = decoded(sound)
    if (channel := repair.lone_channel(sound.mix)) is not None:
        sound = open_sound(path)
        sound.mix.channel = channel
        found = decoded(sound)
        sound.warnings.append(repair.opposite_phase(sound.name, channel))
    issue_warnings(sound.all_warnings())
    return found


def blocks(path: str | os.PathLike[str], sample_rate: int, start_s: float = 0.0) -> Iterator[Block]:
    """Read a file as a stream of mono blocks: memory does not grow with its length.

    Args:
        path: The file.
        sample_rate: Hz of the samples returned.
        start_s: Where to start, in seconds.

    Returns:
        An iterator over blocks ``[samples]`` of any length: the mean of the channels.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If the file cannot be decoded, is empty or holds values that are not finite.
        MissingDependencyError: If decoding it needs ``musiczoo[av]``.
        InputError: If `start_s` is negative or not finite.

    Example:
        >>> from musiczoo import audio, demo
        >>> round(sum(len(block) for block in audio.blocks(demo.PATH, 22050, start_s=27.0)) / 22050, 2)
        3.0
    """
    sound = open_sound(path)
    if not (math.isfinite(start_s) and start_s >= 0):
        raise InputError(f"start_s must be 0 or more seconds, got {start_s!r}.")

    def stream() -> Iterator[Block]:
        yield from complete(sound, round(start_s * sound.sample_rate))
        issue_warnings(sound.all_warnings())

    return resampled(stream(), sound.sample_rate, sample_rate)


# === Opening ===


def open_sound(source: str | os.PathLike[str] | ArrayLike, sample_rate: float | None = None) -> Sound:
    """Open a file, or samples in memory.

    Args:
        source: Path of a file; or samples ``[samples]`` or ``[samples, channels]``, floating point in [-1, 1]
            or int16 (divided by 32,768).
        sample_rate: Hz of the samples; files state their own.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If it is not audio that can be decoded. A file that ends early opens without an error.
        MissingDependencyError: If decoding it needs ``musiczoo[av]``.
        InputError: If samples have another shape or type, or lack a sample rate.
    """
    if not isinstance(source, str | os.PathLike):
        return _open_samples(source, sample_rate)
    if sample_rate is not None:
        raise InputError(
            f"sample_rate is for samples only, got it with the path {os.fspath(source)!r}. Leave it out: a file states "
            "its own."
        )
    path = Path(source)
    _check_file(path)
    try:
        sound = _open_file(path)
    except OSError as error:  # the file existed a moment ago
        if isinstance(error, MusicZooError):
            raise
        raise AudioError(f"Cannot read {str(path)!r}: {error.strerror}.") from error
    if not RATES[0] <= sound.sample_rate <= RATES[1]:
        raise AudioError(
            f"Cannot use {str(path)!r}: expected a sample rate of {RATES[0]} to {RATES[1]} Hz, got {sound.sample_rate}."
        )
    return sound


def _check_file(path: Path) -> None:
    if os.path.isdir(path):
        raise AudioError(f"Expected an audio file, got the folder {str(path)!r}. Name the files in it.")
    if not os.path.exists(path):
        raise AudioNotFoundError(f"No such file: {str(path)!r}.")
    if not os.path.isfile(path):
        raise AudioError(f"Expected an audio file, got the device or pipe {str(path)!r}. Copy it to a file first.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise AudioError(f"Cannot read {str(path)!r}: {error.strerror}.") from error
    if empty:
        raise AudioError(f"Cannot decode {str(path)!r}: the file is empty.")


def _open_file(path: Path) -> Sound:
    """Open with libsndfile, unless the file is known to hold something else, or far more."""
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
                f"{path}: only {sound.frames / sound.sample_rate:.2f} s were found in {size / 1e6:.1f} MB; the file "
                'may hold more in another format. Try again with pip install "musiczoo[av]".'
            )
        )
    return sound


def _open_samples(samples: ArrayLike, sample_rate: float | None) -> Sound:
    if sample_rate is None:
        raise InputError("Samples need a sample_rate, got none. Pass their rate in Hz, such as sample_rate=44100.")
    if not isinstance(sample_rate, int | float | np.number) or not RATES[0] <= sample_rate <= RATES[1]:
        raise InputError(f"sample_rate must be {RATES[0]} to {RATES[1]} Hz, got {sample_rate!r}.")
    array = as_samples(samples)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not 1 <= array.shape[1] <= MAX_CHANNELS or 0 < array.shape[0] < array.shape[1]:
        raise InputError(
            f"Expected samples of shape [samples] or [samples, channels] with up to {MAX_CHANNELS} channels, "
            f"got {np.shape(samples)}. Is it [channels, samples]? Then pass x.T."
        )

    def decode(start: int) -> Iterator[Block]:
        for i in range(start, len(array), BLOCK):
            yield average(as_float32(array[i : i + BLOCK]))

    return Sound("samples", float(sample_rate), array.shape[1], len(array), 0.0, decode)


def as_samples(samples: ArrayLike) -> NDArray[Any]:
    """Return samples as an array of a type that `as_float32` converts.

    Raises:
        InputError: If they are of another type.
    """
    try:
        array = np.asarray(samples)
    except ValueError as error:
        raise InputError(f"Expected an array of samples, got something else: {error}.") from error
    if array.dtype.kind != "f" and array.dtype != np.int16:
        raise InputError(
            f"Expected samples as floating point in [-1, 1] or as int16, got {array.dtype}. "
            "Convert them first, for example int32 with x / 2**31."
        )
    return array


def as_float32(samples: NDArray[Any]) -> Block:
    """Return floating point as float32, and int16 divided by 32,768."""
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite and is refused later
        converted: Block = samples.astype(np.float32, copy=False)
    return converted / np.float32(32768) if samples.dtype == np.int16 else converted


# === Streams ===


def complete(sound: Sound, start: int = 0) -> Iterator[Block]:
    """Yield all blocks from a frame on; add a warning if they end early.

    Raises:
        AudioError: If there are none, or a sample is not finite.
    """
    at = start
    for block in finite(sound, start):
        at += len(block)
        yield block
    if at == start:
        end_s = sound.frames / sound.sample_rate
        reason = "the data are damaged" if sound.frames > start else f"it ends at {end_s:.2f} s"
        raise AudioError(f"Cannot decode {sound.name!r} from {start / sound.sample_rate:.2f} s on: {reason}.")
    sound.warn_if_truncated(at)


def finite(sound: Sound, start: int = 0) -> Iterator[Block]:
    """Yield all blocks from a frame on.

    Raises:
        AudioError: If a sample is not finite, or larger than `LOUDEST`.
    """
    at = start
    for block in sound.mono(start):
        bad = np.flatnonzero(~(np.abs(block) <= LOUDEST))
        if len(bad):
            raise AudioError(
                f"{sound.name}: expected finite samples, nominally in [-1, 1], got {block[bad[0]]} at "
                f"{(at + bad[0]) / sound.sample_rate:.3f} s. Repair or cut the audio there."
            )
        at += len(block)
        yield block


def take(stream: Iterator[Block], frames: int) -> Iterator[Block]:
    """Yield the first frames of a stream of blocks, or all if there are fewer."""
    for block in stream:
        yield block[:frames]
        frames -= len(block)
        if frames <= 0:
            return


def positive_samples(name: str, seconds: float, sample_rate: int) -> int:
    """Convert seconds to a number of samples, at least 1.

    Raises:
        InputError: If there is none, naming the argument.
    """
    valid = isinstance(seconds, int | float | np.number) and math.isfinite(seconds)
    if not valid or round(seconds * sample_rate) < 1:
        raise InputError(f"{name} must be a positive number of seconds, got {seconds!r}.")
    return round(seconds * sample_rate)
