"""Files through FFmpeg (the `av` package, the extra ``musiczoo[av]``): m4a, AAC, WMA, video and others.

Conventions
-----------
- A packet that cannot be decoded is skipped. Where the time of the next frame shows a gap, silence fills it, so that a
  frame number is a time, whether reached by decoding or by seeking.
- Where FFmpeg only estimates a length, from a bit rate, the packets are read and counted, without decoding them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..errors import AudioError, MissingDependencyError
from .source import LONGEST_GAP_S, MOST_RATIO, Block, Sound, average, silence, undecodable

SUFFIXES = (
    *(".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dts", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv"),
    *(".mov", ".mp4", ".mpc", ".mpg", ".tta", ".webm", ".wma", ".wmv", ".wv"),
)
"""Suffixes of files that need ``musiczoo[av]``."""

_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "ogg,tak,tta,w64,wav,wv"
)
"""FFmpeg's names of the formats that hold audio. Others include playlists, which refer to further files."""

_BARE = frozenset({"aac", "ac3", "amr", "dts", "eac3", "loas", "mp3", "wav"})
"""Formats without times: lengths are estimates, and times are sums of rounded durations.

WAV is among them, since only files whose header is wrong come here.
"""

_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)

_MARKS = {b"\x0b\x77": "AC-3", b"wvpk": "WavPack", b"\x1aE\xdf\xa3": "Matroska or WebM", b"\x30\x26\xb2\x75": "WMA"}
"""First bytes of a file -> name of its format, for the error if FFmpeg is missing."""

_PROBED = 12
"""Frames decoded at the first seek, to find out how the decoder's output relates to the times in the file."""

_GAP_S = 0.1
"""Shortest gap in seconds that is filled with silence where no packet was damaged."""

_ERRORS = 1000
"""Read errors in a row after which the rest of a file is given up."""

_EARLIER_S = (0.0, 1.0, 10.0)
"""Seconds before the wanted time to try in turn where FFmpeg lands too late. After that it decodes from 0 s."""


def open_file(path: Path, codec: str = "", chained: bool = False) -> Sound:
    """Open a file with FFmpeg.

    Args:
        path: The file.
        codec: Codec that the file really holds, if its header states another.
        chained: Whether several streams follow one another: FFmpeg knows neither their length nor positions in them.

    Raises:
        AudioError: If FFmpeg cannot decode the file.
        MissingDependencyError: If FFmpeg is not installed and could decode it.
    """
    try:
        import av
    except ImportError as error:
        if codec := codec or _codec(path):
            raise MissingDependencyError(
                f'{path}: {codec} needs the package av. Install it: pip install "musiczoo[av]"'
            ) from error
        if path.suffix.lower() in SUFFIXES:
            raise MissingDependencyError(
                f'{path}: m4a, AAC, WMA and video need the package av. Install it: pip install "musiczoo[av]"'
            ) from error
        raise undecodable(path) from error
    try:
        with _container(path) as container:
            if not container.streams.audio:
                raise undecodable(path, f"a {container.format.name} file without audio")
            stream = container.streams.audio[0]
            context = stream.codec_context  # None if it is unknown
            rate, channels = (context.sample_rate, context.channels) if context else (0, 0)
            if not rate or not channels:
                raise undecodable(path)
            if context.name == "speex" and not decodes_speex():
                raise AudioError(
                    f"Cannot decode {str(path)!r}: this version of the package av decodes Speex into noise. Update it: "
                    "pip install -U av"
                )
            bare = container.format.name in _BARE and not context.name.startswith("pcm")
            if stream.duration is not None:
                seconds = float(stream.duration * stream.time_base)
            else:
                seconds = (container.duration or 0) / av.time_base
            # In a WAV, FFmpeg seeks by bytes, as if the audio were what the header states.
            exact = not chained and not (bare and container.format.name == "wav")
            if bare or seconds <= 0:
                seconds, uniform = _counted(container, stream)
                exact = exact and uniform
    except av.FFmpegError as error:
        raise undecodable(path) from error

    @cache
    def timing() -> _Timing | None:
        return _measured(path, rate, bare) if exact else None

    lost: list[tuple[int, int]] = []

    def decode(start: int) -> Iterator[Block]:
        try:
            yield from _blocks(path, start, rate, timing, lost)
        except (av.FFmpegError, ValueError, OSError):
            return  # damaged from here on, or the file is gone

    # A file may declare a negative length.
    frames = sum(len(block) for block in decode(0)) if chained else max(round(seconds * rate), 0)
    return Sound(str(path), rate, channels, frames, 0.02 if bare else 0.25, decode, lost=lost)


def decodes_speex() -> bool:
    """Return whether FFmpeg's Speex decoder works. That of FFmpeg 7.1, in PyAV 14, returns invalid samples."""
    import av

    return bool(av.library_versions["libavcodec"][0] >= 62)


def read_tags(path: Path) -> dict[str, str]:
    """Return a file's metadata, lower-case name -> value, with FFmpeg's names; empty if it cannot be read.

    Raises:
        ImportError: If FFmpeg (the package av) is not installed.
    """
    import av

    try:
        with _container(path) as container:
            found = [container.metadata, *(stream.metadata for stream in container.streams.audio[:1])]
    except (av.FFmpegError, ValueError, OSError, UnicodeError):
        return {}
    return {name.lower(): value for tags in reversed(found) for name, value in tags.items()}


def _container(path: Path) -> Any:
    import av

    # "file:" and the whitelists: neither a colon in a name nor a playlist may reach another protocol or another file.
    options = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
    # Text that is not UTF-8 must not prevent opening. PyAV 19 always escapes it; older versions need the option.
    escaping = {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
    # Not options=, which are also for streams: PyAV before 17.1 writes past their end if analysis finds more (FLV).
    return av.open(f"file:{path}", container_options=options, **escaping)


def _codec(path: Path) -> str:
    """Return the name of a file's format by its first bytes; "" if they are unknown."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[:4] == b"OggS":
        return next((name for mark, name in ((b"\x7fFLAC", "FLAC in Ogg"), (b"Speex", "Speex")) if mark in head), "")
    if head[4:8] == b"ftyp":
        return "MP4"
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), "")


@dataclass(frozen=True)
class _Timing:
    """How the times in a file relate to the samples that a decoder returns when it begins at 0.

    Attributes:
        origin: Time of the first packet, in the stream's unit.
        samples: Samples in each frame, if all have the same number; else 0.
        unit: Duration of each packet, in the stream's unit, if times are sums of it; else 0.
        ahead: Samples that the times are ahead, because decoders drop them at the beginning.
        tick: Samples in the stream's unit. Times are rounded to it.
    """

    origin: int
    samples: int
    unit: int
    ahead: int
    tick: float

    def place(self, pts: int) -> int:
        """Return the sample that a frame with this time begins with."""
        if self.unit:
            return round((pts - self.origin) / self.unit) * self.samples - self.ahead
        at = round((pts - self.origin) * self.tick) - self.ahead
        if self.samples and self.tick > 1:
            nearest = round(at / self.samples) * self.samples
            if abs(at - nearest) <= 1.5 * self.tick:
                return nearest
        return at


def _measured(path: Path, rate: int, bare: bool) -> _Timing:
    """Decode the first frames and compare their times with the samples before them."""
    with _container(path) as container:
        stream = container.streams.audio[0]
        origin, tick = stream.start_time or 0, float(stream.time_base * rate)
        if tick == 1 and container.format.name.startswith("mov"):  # its times are samples, and its edit lists exact
            return _Timing(origin, 0, 0, 0, tick)
        units: set[int] = set()
        frames: list[Any] = []
        count, counts = 0, []
        for packet in islice(_packets(container, stream, 1), 4 * _PROBED):  # up to the first damage
            units.add(packet.duration or 0)
            decoded = _decoded(packet)
            if decoded is None:
                break
            for frame in decoded:
                frames.append(frame)
                counts.append(count)
                count += frame.samples
            if len(frames) >= _PROBED:
                break
    sizes = {frame.samples for frame in frames[:-1]}
    same = sizes.pop() if len(sizes) == 1 and all(frame.sample_rate == rate for frame in frames) else 0
    unit = units.pop() if bare and same and len(units) == 1 else 0
    timing = _Timing(origin, same, unit, 0, tick)
    last = max((i for i, frame in enumerate(frames) if frame.pts is not None), default=None)
    if last is None:
        return timing
    ahead = timing.place(frames[last].pts) - counts[last]
    return timing if abs(ahead) <= max(tick, 1) else _Timing(origin, same, unit, ahead, tick)


def _counted(container: Any, stream: Any) -> tuple[float, bool]:
    """Return the seconds from the first packet to the end of the last, and whether the rate never changes."""
    total, first, end, rates = 0.0, None, None, set()
    for packet in _packets(container, stream):
        tick, duration = float(stream.time_base), packet.duration or 0
        if container.format.name == "aac" and packet.size >= 7:
            head = bytes(packet)[:7]
            if head[0] == 0xFF and head[2] >> 2 & 15 < len(_ADTS_RATES):  # FFmpeg keeps the first frame's rate
                rates.add(_ADTS_RATES[head[2] >> 2 & 15])
                total += 1024 * ((head[6] & 3) + 1) / _ADTS_RATES[head[2] >> 2 & 15]
                continue
        total += duration * tick
        if packet.pts is not None:
            first = packet.pts if first is None else min(first, packet.pts)
            end = max(end or 0, packet.pts + duration)
    spanned = 0 if first is None or end is None else end - max(first, stream.start_time or 0)
    return max(total, float(spanned * stream.time_base)), len(rates) < 2


def _packets(container: Any, stream: Any, most: int = _ERRORS) -> Iterator[Any]:
    """Yield a stream's packets; skip up to `most` errors in a row between them."""
    import av

    errors = 0
    while errors < most:
        try:
            for packet in container.demux(stream):
                errors = 0
                yield packet
            return
        except (av.EOFError, IndexError):  # IndexError: a stream that appeared meanwhile, unknown to PyAV
            return
        except av.FFmpegError:
            errors += 1


def _decoded(packet: Any) -> list[Any] | None:
    """Return a packet's frames; None if it is damaged."""
    import av

    try:
        return list(packet.decode())
    except av.EOFError:
        return []
    except av.FFmpegError:
        return None


def _frames(container: Any, stream: Any) -> Iterator[tuple[Any, bool]]:
    """Yield each frame, and whether a packet before it was damaged."""
    damaged = False
    for packet in _packets(container, stream):
        frames = _decoded(packet)
        if frames is None:
            damaged = True
            continue
        for frame in frames:
            yield frame, damaged
            damaged = False


def _blocks(
    path: Path, start: int, rate: int, timing: Callable[[], _Timing | None], lost: list[tuple[int, int]]
) -> Iterator[Block]:
    """Yield mono blocks from a frame on."""
    known = timing() if start else None
    for earlier_s in _EARLIER_S if known else ():
        wanted = start - round(earlier_s * rate)
        if known is None or wanted <= 0:
            break
        with _container(path) as container:
            found = _sought(container, known, wanted, rate)
            if found is not None and found[0] <= start:
                yield from _in_place(found[1], found[0], start, rate, lost)
                return
    with _container(path) as container:
        yield from _in_place(_frames(container, container.streams.audio[0]), 0, start, rate, lost)


def _sought(container: Any, timing: _Timing, wanted: int, rate: int) -> tuple[int, Iterator[tuple[Any, bool]]] | None:
    """Seek near a frame; return the number of the first frame and the frames, or None if the number is unknown."""
    import av

    stream = container.streams.audio[0]
    try:
        container.seek(timing.origin + int((wanted + timing.ahead) / rate / stream.time_base), stream=stream)
    except av.FFmpegError:
        return None
    frames = _frames(container, stream)
    for frame, _ in frames:
        if frame.pts is None:
            return None
        if frame.samples >= timing.samples:  # else its beginning was cut off, and the time is the packet's
            return timing.place(frame.pts), chain([(frame, False)], frames)
    return None


def _in_place(
    frames: Iterator[tuple[Any, bool]], at: int, start: int, rate: int, lost: list[tuple[int, int]]
) -> Iterator[Block]:
    """Yield mono blocks from `start` on, with silence in gaps; the first of `frames` has the number `at`."""
    import av

    converter: Any = None
    kind, due, changed, tick = None, None, False, 1.0
    for frame, damaged in frames:
        if not rate / MOST_RATIO <= frame.sample_rate <= rate * MOST_RATIO:
            continue
        if kind != (kind := (frame.format.name, frame.layout.name, frame.sample_rate)):
            changed, tick = True, float(frame.time_base * rate)
        if due is not None and frame.pts is not None:
            gap = round(frame.pts * tick - due)
            enough = max(tick, 1) if damaged else _GAP_S * rate
            if enough < gap <= LONGEST_GAP_S * rate:
                lost.append((at, at + gap))
                yield from silence(min(at + gap - start, gap))
                at += gap
        due = None if frame.pts is None else frame.pts * tick + frame.samples * rate / frame.sample_rate
        parts: list[Any] = []
        if changed:
            changed, parts = False, converter.resample(None) if converter else []
            # Packed samples: with 8 planes or more, PyAV reads beyond the last.
            converter = av.AudioResampler(format="flt", rate=None if frame.sample_rate == rate else rate)
        for part in [*parts, *converter.resample(frame)]:
            block = average(part.to_ndarray().reshape(-1, part.layout.nb_channels))
            skip = min(max(start - at, 0), len(block))
            at += len(block)
            if skip < len(block):
                yield block[skip:]
