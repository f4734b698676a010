"""Files through FFmpeg (the `av` package, the extra ``musiczoo[av]``): m4a, AAC, WMA, video and their like."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import MissingDependencyError
from .sound import Block, Sound, average, undecodable

SUFFIXES = (
    *(".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dts", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv"),
    *(".mov", ".mp4", ".mpc", ".mpg", ".tta", ".webm", ".wma", ".wmv", ".wv"),
)
"""Of files that take ``musiczoo[av]``."""

_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "ogg,tak,tta,w64,wav,wv"
)
"""FFmpeg's names of the formats that hold sound. The others include playlists, which name further files."""


def open_file(path: Path) -> Sound:
    """A file's sound.

    Raises:
        AudioError: If FFmpeg cannot decode it.
        MissingDependencyError: If it is not installed, and might.
    """
    try:
        import av
    except ImportError as error:
        with path.open("rb") as file:
            boxed = file.read(8)[4:] == b"ftyp"
        if boxed or path.suffix.lower() in SUFFIXES:
            raise MissingDependencyError(
                f'{path}: m4a, AAC, WMA and video need the package av. Install it: pip install "musiczoo[av]"'
            ) from error
        raise undecodable(path) from error
    try:
        with _container(path) as container:
            if not container.streams.audio:
                raise undecodable(path, f"a {container.format.name} file without sound")
            stream = container.streams.audio[0]
            codec = stream.codec_context  # none if it is unknown
            rate, channels = (codec.sample_rate, codec.channels) if codec else (0, 0)
            if stream.duration is not None:
                seconds = float(stream.duration * stream.time_base)
            else:
                seconds = (container.duration or 0) / av.time_base
    except av.FFmpegError as error:
        raise undecodable(path) from error
    if not rate or not channels:
        raise undecodable(path)

    def decode(start: int) -> Iterator[Block]:
        try:
            with _container(path) as container:
                yield from _ffmpeg_blocks(container, start)
        except (av.FFmpegError, ValueError):  # ValueError: the number of channels, or the rate, becomes another
            return  # damaged from here on

    # FFmpeg estimates the length of some streams from their bit rate; and a file may declare less than nothing.
    return Sound(str(path), rate, channels, max(round(seconds * rate), 0), 0.25, decode)


def read_tags(path: Path) -> dict[str, str]:
    """What a file says of itself: lower-case name -> value, as FFmpeg names them; nothing if it cannot be read.

    Raises:
        ImportError: If FFmpeg (the package av) is not installed.
    """
    import av

    try:
        with _container(path) as container:
            said = [container.metadata, *(stream.metadata for stream in container.streams.audio[:1])]
    except (av.FFmpegError, ValueError, OSError, UnicodeError):
        return {}
    return {name.lower(): value for tags in reversed(said) for name, value in tags.items()}


def _container(path: Path) -> Any:
    import av

    # "file:" and the whitelists: neither a colon in a name nor a playlist may reach another protocol or another file.
    options = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
    # Text that is not UTF-8 must not keep the file closed. PyAV 19 always escapes it; older versions have to be told.
    escaping = {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
    # Not options=, which is for streams, too: PyAV before 17.1 writes past their end where analysis finds more (FLV).
    return av.open(f"file:{path}", container_options=options, **escaping)


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
            block = average(part.to_ndarray().reshape(-1, part.layout.nb_channels))
            skip = min(max(start - at, 0), len(block))
            at += len(block)
            if skip < len(block):
                yield block[skip:]
