"""Open anything that holds sound: a file through libsndfile or FFmpeg, or an array in memory.

Conventions
-----------
- A block is float32 mono ``[frames]`` at the source's own rate, nominally in [-1, 1]: channels are averaged.
- libsndfile (the `soundfile` package) is tried first, by content and not by the file's name; what it refuses
  goes to FFmpeg (the `av` package, the extra ``musiczoo[av]``) where that is installed.
- Audio that ends early ends its blocks early: whoever reads compares with `Sound.frames`. Only what cannot be
  opened at all is an error here.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import mp3
from .errors import AudioError, AudioNotFoundError, InputError, MissingDependencyError, MusicZooError

BLOCK = 1 << 15
"""Frames decoded at a time: small, so that little is lost where a damaged file stops decoding."""

MAX_CHANNELS = 64
"""More columns than this in an array are taken for samples, that is for a mistake."""

RATES = (1_000, 1_000_000)
"""Lowest and highest sample rate in Hz that is taken for audio."""

SOUNDFILE_SUFFIXES = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp1", ".mp2", ".mp3", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".spx", ".w64", ".wav", ".wave"),
)
"""Of files that libsndfile opens."""

FFMPEG_SUFFIXES = (
    *(".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dts", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv"),
    *(".mov", ".mp4", ".mpc", ".mpg", ".tta", ".webm", ".wma", ".wmv", ".wv"),
)
"""Of files that take ``musiczoo[av]``."""

_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "ogg,tak,tta,w64,wav,wv"
)
"""FFmpeg's names of the formats that hold sound. The others include playlists, which name further files."""

Block = NDArray[np.float32]


class TruncatedAudioWarning(UserWarning):
    """The audio ends, or is damaged, well before its declared length."""


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
    """

    name: str
    sample_rate: float
    channels: int
    frames: int
    slack: float
    decode: Callable[[int], Iterator[Block]]

    def warn_if_truncated(self, frames: int) -> None:
        """Say so if only `frames` of the declared ones exist."""
        missing = self.frames - frames
        if missing > max(self.slack * self.frames, 0.1 * self.sample_rate):
            found, declared = frames / self.sample_rate, self.frames / self.sample_rate
            warnings.warn(
                f"{self.name}: only {found:.2f} of {declared:.2f} s can be decoded; the rest is missing or damaged.",
                TruncatedAudioWarning,
                stacklevel=3,
            )


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
        sound = _open_with_soundfile(path) or _open_with_ffmpeg(path)
    except OSError as error:
        if isinstance(error, MusicZooError):
            raise
        # It was there a moment ago.
        raise AudioError(f"{path}: expected a file that can be read, received {error.strerror}.") from error
    if not RATES[0] <= sound.sample_rate <= RATES[1]:
        raise AudioError(f"{path}: expected a rate of {RATES[0]} to {RATES[1]} Hz, received {sound.sample_rate}.")
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
            yield _mono(as_float32(array[i : i + BLOCK]))

    return Sound("samples", float(sample_rate), array.shape[1], len(array), 0.0, decode)


def _mono(block: Block) -> Block:
    """[frames, channels] -> [frames]."""
    channels = block.shape[1]
    if channels == 1:
        return np.ascontiguousarray(block[:, 0])
    with np.errstate(over="ignore", invalid="ignore"):
        # As a product it takes a tenth of the time of block.mean(axis=1), which was a third of decoding.
        mono: Block = block @ np.full(channels, 1 / channels, np.float32)
    return mono


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


def _open_with_soundfile(path: Path) -> Sound | None:
    import soundfile

    try:
        with soundfile.SoundFile(_name(path)) as file:
            rate, channels, frames, format_ = file.samplerate, file.channels, file.frames, file.format
    except (soundfile.LibsndfileError, TypeError):  # TypeError: it would take a name ending in .raw at its word
        return None
    counted = mp3.scan(path) if format_ == "MP3" else None
    # An encoder's delay and padding, which libsndfile leaves out, are no more than 4,096 samples.
    corrected = counted if counted and counted.frames > frames + 4096 else None
    idle: list[Any] = []

    def opened() -> Any:
        return soundfile.SoundFile(mp3.Corrected(path, corrected) if corrected else _name(path))

    def decode(start: int) -> Iterator[Block]:
        try:
            with _borrowed(idle, opened) if start and format_ == "MP3" else opened() as file:
                if start:
                    file.seek(min(start, file.frames))
                while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                    yield _mono(block)
        except (soundfile.LibsndfileError, ValueError, OSError):
            return  # damaged from here on, or gone; ValueError: it counts less than nothing that is left

    sound = Sound(str(path), rate, channels, frames, 0.02, decode)
    if counted is None:
        return sound
    sound.warn_if_truncated(counted.frames)
    return replace(sound, frames=counted.frames if corrected else min(frames, counted.frames))


@contextmanager
def _borrowed(idle: list[Any], opened: Callable[[], Any]) -> Iterator[Any]:
    """A file in which places were sought before, or a new one: in an MP3, a decoder that knows the way walks less.

    Not for Vorbis: where libsndfile has been somewhere else before, it comes out up to a block away from its goal.
    """
    try:
        file = idle.pop()
    except IndexError:
        file = opened()
    try:
        yield file
    except GeneratorExit:  # nobody wants to hear more
        idle.append(file)
        raise
    except BaseException:
        file.close()
        raise
    idle.append(file)


def _name(path: Path) -> bytes | str:
    """What libsndfile takes: bytes where names are bytes, as some are no UTF-8."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def _open_with_ffmpeg(path: Path) -> Sound:
    try:
        import av
    except ImportError as error:
        with path.open("rb") as file:
            boxed = file.read(8)[4:] == b"ftyp"
        if boxed or path.suffix.lower() in FFMPEG_SUFFIXES:
            raise MissingDependencyError(
                f'{path}: m4a, AAC, WMA and video need the package av. Install it: pip install "musiczoo[av]"'
            ) from error
        raise _undecodable(path) from error
    try:
        with _container(path) as container:
            if not container.streams.audio:
                raise _undecodable(path, f"a {container.format.name} file without sound")
            stream = container.streams.audio[0]
            codec = stream.codec_context  # none if it is unknown
            rate, channels = (codec.sample_rate, codec.channels) if codec else (0, 0)
            if stream.duration is not None:
                seconds = float(stream.duration * stream.time_base)
            else:
                seconds = (container.duration or 0) / av.time_base
    except av.FFmpegError as error:
        raise _undecodable(path) from error
    if not rate or not channels:
        raise _undecodable(path)

    def decode(start: int) -> Iterator[Block]:
        try:
            with _container(path) as container:
                yield from _ffmpeg_blocks(container, start)
        except (av.FFmpegError, ValueError):  # ValueError: the number of channels, or the rate, becomes another
            return  # damaged from here on

    # FFmpeg estimates the length of some streams from their bit rate; and a file may declare less than nothing.
    return Sound(str(path), rate, channels, max(round(seconds * rate), 0), 0.25, decode)


def _container(path: Path) -> Any:
    import av

    # "file:" and the whitelists: neither a colon in a name nor a playlist may reach another protocol or another file.
    options = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
    return av.open(f"file:{path}", options=options, metadata_errors="ignore")


def _ffmpeg_blocks(container: Any, start: int) -> Iterator[Block]:
    import av

    stream = container.streams.audio[0]
    rate, origin = stream.rate, stream.start_time or 0
    if start:
        container.seek(origin + int(start / rate / stream.time_base), stream=stream)
    resampler = av.AudioResampler(format="flt")  # packed: of 8 planes and more, PyAV reads beyond the last
    at: int | None = None
    for frame in container.decode(stream):
        if at is None:  # after a seek, the first frame lies somewhat before the wanted one
            known = bool(start) and frame.pts is not None
            at = round(float((frame.pts - origin) * frame.time_base) * rate) if known else 0
        for part in resampler.resample(frame):
            block = _mono(part.to_ndarray().reshape(-1, part.layout.nb_channels))
            skip = min(max(start - at, 0), len(block))
            at += len(block)
            if skip < len(block):
                yield block[skip:]


def _undecodable(path: Path, received: str = "") -> AudioError:
    with path.open("rb") as file:
        text = not file.read(512).strip(bytes(range(32, 127)) + b"\t\r\n")
    if text:
        received = "text"
    return AudioError(
        f"{path} is not audio that can be decoded: expected WAV, FLAC, OGG, MP3, Opus "
        f'(or m4a, AAC, WMA, video with pip install "musiczoo[av]"), received '
        f"{received or f'{path.stat().st_size} bytes that are something else, or damaged'}."
    )
