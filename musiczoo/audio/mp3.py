"""Find the frames of an MP3 file, and make views of it that hold nothing else.

libsndfile trusts an MP3's Xing header, guesses the length from the first frame where there is none, and stops there:
wrong headers, joined files and variable bit rates without a header lose audio. Its decoder, mpg123, prints to standard
error about unexpected tags and bytes, and about data that it lacks after a seek, and it stops where the rate or the
number of channels changes. Counting the headers of the frames is cheap (about 40 for each second of music); with their
positions known, mpg123 gets what it expects. Layout: ISO/IEC 11172-3, 2.4.1.3, and 13818-3.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .views import FileBytes, Span, span_length

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version bits
_LAYER_III = 1  # layer bits
_KBPS_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SYNTHETIC_KBPS_INDEX = 9  # its frames have room for a Xing header at every rate
_KBPS_I_II = {  # by (whether it is MPEG-1, layer bits)
    (True, 3): tuple(range(0, 449, 32)),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): _KBPS_V2,
}
_CHECKED = 1 << 17  # bytes of frames that are checked together
_JUNK = 1 << 24  # bytes without a frame after which the search ends
_SHARED = 0xFFFE0C00  # synchronisation, version, layer and rate
_MODE = _MONO = 3 << 6  # mode bits; all modes but one have two channels
_ZEROS = 1 << 13  # bytes of padding looked at together
_RUN = 8  # consecutive frames that are needed where other data might look like a frame
_STEP = 64  # distance between indexed frames
_WARM = 4  # frames decoded before the wanted one, since each overlaps with the next
_CYCLE = 8  # frames after which mpg123 is in the same phase again and rounds in the same way
_RESERVOIR = 512  # most bytes before a frame from which it may take data


@dataclass
class Run:
    """Consecutive frames without a gap.

    Attributes:
        offset: First byte.
        length: Bytes.
        count: Number of frames.
        index: Position of every 64th frame.
        bad: (number, position) of frames that cannot be decoded. Silent ones replace them.
        filled: Number of silent frames that replace lost ones before the first.
    """

    offset: int
    length: int
    count: int
    index: "array[int]"
    bad: list[tuple[int, int]]
    filled: int = 0


@dataclass
class Stretch:
    """Frames of one rate and number of channels, with nothing but junk in between.

    Attributes:
        header: First four bytes of the first frame, as a number.
        runs: Parts of the file that consist of frames.
        junk: Bytes between the runs.
        info: Frame before the first that holds a Xing, Info or VBRI header instead of audio.
    """

    header: int
    runs: list[Run]
    junk: int = 0
    info: bytes = b""

    @property
    def count(self) -> int:
        """Number of frames, including those that replace lost ones."""
        return sum(run.filled + run.count for run in self.runs)

    @property
    def offset(self) -> int:
        """Position of the first frame that holds audio."""
        return self.runs[0].offset

    @property
    def stated(self) -> tuple[int, int]:
        """(frames, bytes) of the whole that the encoder's header states; 0 where it states none."""
        at = 4 + _side_info(self.header)
        if self.info[at : at + 4] not in (b"Xing", b"Info"):
            return 0, 0
        flags, rest = self.info[at + 7], self.info[at + 8 : at + 16]
        frames = int.from_bytes(rest[:4], "big") if flags & 1 else 0
        return frames, int.from_bytes(rest[4:8] if flags & 1 else rest[:4], "big") if flags & 2 else 0

    @property
    def lost(self) -> list[tuple[int, int]]:
        """(first sample, sample after the last) of each part that silence replaces."""
        parts, base, samples = [], 0, _samples(self.header)
        for run in self.runs:
            if run.filled:
                parts.append((base * samples, (base + run.filled) * samples))
            base += run.filled
            parts += [((base + number) * samples, (base + number + 1) * samples) for number, _ in run.bad]
            base += run.count
        return parts

    @property
    def frames(self) -> int:
        """Samples per channel."""
        return self.count * _samples(self.header)


def scan(path: Path) -> list[Stretch]:
    """Find the frames of an MP3; return an empty list if it is not layer III, or of free format."""
    with path.open("rb", buffering=0) as file:
        found: list[Stretch] = []
        doubtful: Stretch | None = None
        for stretch, expected in _stretches(FileBytes(file)):
            if found and _kind(found[-1].header) == _kind(stretch.header):
                found[-1].runs += stretch.runs
                found[-1].junk += stretch.junk
            elif stretch.count >= _RUN or (expected and not found):
                found.append(stretch)
            elif found:
                found[-1].junk += stretch.junk + stretch.runs[0].length
            else:
                doubtful = doubtful or stretch
        stretches = found or ([doubtful] if doubtful else [])
        for stretch in stretches:
            _fill(stretch, only=len(stretches) == 1)
            for run in stretch.runs[1:]:
                run.bad = sorted({*run.bad, *_incomplete(FileBytes(file), run)})
        return stretches


def starts(data: bytes) -> bool:
    """Return whether bytes begin with three frames of an MP3."""
    at, first = 0, int.from_bytes(data[:4], "big")
    for _ in range(3):
        header = int.from_bytes(data[at : at + 4], "big")
        if not frame_length(header) or _kind(header) != _kind(first):
            return False
        at += frame_length(header)
    return True


def is_other_layer(path: Path) -> bool:
    """Return whether a file begins, after its tags, with two frames of MPEG layer I or II, or of free format."""
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        at = _after_tags(data)
        header = data.word(at)
        layer, version, kbps, rate = header >> 17 & 3, header >> 19 & 3, header >> 12 & 15, header >> 10 & 3
        if header >> 21 != 0x7FF or layer == 0 or version == 1 or rate == 3 or kbps == 15:
            return False
        if kbps == 0:
            return True
        table = _KBPS_I_II[version == 3, layer] if layer != _LAYER_III else (0,) * 16
        padding, per_second = header >> 9 & 1, table[kbps] * 1000 / _RATES[version][rate]
        length = (int(12 * per_second) + padding) * 4 if layer == 3 else int(144 * per_second) + padding
        return length > 0 and data.word(at + length) & 0xFFFE0C00 == header & 0xFFFE0C00


def is_aac(path: Path) -> bool:
    """Return whether a file is AAC in ADTS, which libsndfile takes for MPEG audio.

    Its sync word has a layer that does not exist in MPEG audio.
    """
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        at = _after_tags(data)
        for _ in range(3):
            head = data[at : at + 7]
            if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
                return False
            at += max((head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5, 7)
        return True


def view(path: Path, stretch: Stretch, trusted: bool) -> list[Span]:
    """Return a view of all frames of a stretch, after a header that states their number.

    Args:
        path: The file.
        stretch: Stretch of the file.
        trusted: Whether to keep the encoder's header, which also states its delay.
    """
    with path.open("rb", buffering=0) as file:
        rest = _spans(FileBytes(file), stretch, 0)
    return [_head(stretch, stretch.count, rest, trusted), *rest]


def view_from(path: Path, stretch: Stretch, start: int, trusted: bool) -> tuple[list[Span], int]:
    """Return a view that decodes to the samples from `start` on, with the same bits as decoding everything.

    Frames before the wanted one keep the data that later frames refer to, but become silent, so that they refer to no
    data before the view.

    Returns:
        The spans, and the sample that the decoder begins with.
    """
    samples = _samples(stretch.header)
    warm = min(start // samples, stretch.count) - _WARM
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        first, kept = warm, 0
        while kept < _RESERVOIR and first > 0:
            first = (first - 1) // _CYCLE * _CYCLE
            places = list(_places(data, stretch, max(first, 0), warm))
            kept = sum(_data(data, at) for at in places)
            if len(places) < warm - max(first, 0):  # silence replaces lost frames there: begin with it
                break
        if first <= 0:
            return view(path, stretch, trusted), 0
        silent, kept = b"", 0
        for at in places:
            silent += _silent(data, at, kept)
            kept += _data(data, at)
        first = warm - len(places)
        rest = [silent, *_spans(data, stretch, warm)]
    return [_head(stretch, stretch.count - first, rest, trusted), *rest], first * samples


def _spans(data: FileBytes, stretch: Stretch, start: int) -> list[Span]:
    """Return the frames from a number on, with silent ones in place of those that are bad or lost."""
    spans: list[Span] = []
    base = 0
    for run in stretch.runs:
        if filled := min(run.filled, base + run.filled - start):
            spans += [_empty(data.word(run.offset))] * max(filled, 0)
        base += run.filled
        at = run.offset if start <= base else next(_places_in(data, run, start - base, run.count), None)
        for number, place in run.bad:
            if at is not None and number >= start - base:
                length = frame_length(data.word(place))
                spans += [(at, place - at), _silent(data, place, _RESERVOIR)]
                at = place + length
        if at is not None:
            spans.append((at, run.offset + run.length - at))
        base += run.count
    return [span for span in spans if isinstance(span, bytes) or span[1] > 0]


def _silent(data: FileBytes, at: int, before: int) -> bytes:
    """Return a frame that is silent, but keeps its data, and the reference to data before it, for later frames."""
    header = data.word(at)
    side = _side_info(header)
    back = min(before, 511) << 7 if header >> 19 & 3 == 3 else min(before, 255) << 8
    content = data[at + 4 + side : at + frame_length(header)]
    return (header | 0x10000).to_bytes(4, "big") + back.to_bytes(2, "big") + bytes(side - 2) + content


def _empty(header: int) -> bytes:
    """Return a silent frame."""
    return (header | 0x10000).to_bytes(4, "big") + bytes(frame_length(header) - 4)


def _data(data: FileBytes, at: int) -> int:
    """Return the number of bytes of a frame that are neither header nor side information."""
    header = data.word(at)
    return frame_length(header) - 4 - _side_info(header) - (0 if header & 0x10000 else 2)


def _fill(stretch: Stretch, only: bool) -> None:
    """Fill gaps with silent frames, if the encoder's header states how many frames there were."""
    missing = stretch.stated[0] - stretch.count if only else 0
    gaps = stretch.runs[1:]
    if not gaps or not 0 < missing <= stretch.junk:
        return
    junk = [run.offset - before.offset - before.length for before, run in pairwise(stretch.runs)]
    for run, size in zip(gaps, junk, strict=True):
        run.filled = min(round(missing * size / max(sum(junk), 1)), size)


def _incomplete(data: FileBytes, run: Run) -> list[tuple[int, int]]:
    """Return (number, position) of the first frames that refer to data before the run."""
    found, before = [], 0
    for number, at in enumerate(_places_in(data, run, 0, min(run.count, 100))):
        header = data.word(at)
        begins = at + (4 if header & 0x10000 else 6)
        side = int.from_bytes(data[begins : begins + 2], "big")
        if (side >> 7 if header >> 19 & 3 == 3 else side >> 8) <= before:
            break
        found.append((number, at))
        before += _data(data, at)
    return found


def _damaged(content: bytes, places: list[int]) -> list[int]:
    """Return which of some frames have side information that no encoder writes (ISO/IEC 11172-3, 2.4.1.7)."""
    header = int.from_bytes(content[places[0] : places[0] + 4], "big")
    mpeg_1, channels = header >> 19 & 3 == 3, 1 if header & _MODE == _MONO else 2
    array = np.frombuffer(content + bytes(48), np.uint8)
    starts = np.array(places)
    ends = np.append(starts[1:], places[-1] + frame_length(int.from_bytes(content[places[-1] : places[-1] + 4], "big")))
    checked = 2 * ((array[starts + 1] & 1) == 0)  # bytes of a checksum that follows the header

    def number(at: int, length: int) -> NDArray[np.int64]:
        first = starts + checked + 4 + at // 8
        word = array[first].astype(np.int64) << 16 | array[first + 1].astype(np.int64) << 8 | array[first + 2]
        value: NDArray[np.int64] = word >> (24 - at % 8 - length) & ((1 << length) - 1)
        return value

    at = (18 if channels == 1 else 20) if mpeg_1 else (9 if channels == 1 else 10)
    bad = np.zeros(len(places), bool)
    lengths = np.zeros(len(places), np.int64)
    for _ in range((2 if mpeg_1 else 1) * channels):
        lengths += number(at, 12)
        bad |= number(at + 12, 9) > 288
        bad |= number(at + 12 + 9 + 8 + (4 if mpeg_1 else 9), 3) == 4  # switched windows, of no type
        at += 59 if mpeg_1 else 63
    room = ends - starts - 4 - _side_info(header) - checked
    bad |= lengths > 8 * (number(0, 9 if mpeg_1 else 8) + room)
    return [int(i) for i in np.flatnonzero(bad)]


def _places(data: FileBytes, stretch: Stretch, start: int, stop: int) -> Iterator[int]:
    """Yield the positions of frames from one number to before another, after the last gap between them."""
    base = 0
    found: list[int] = []
    for run in stretch.runs:
        if run.filled and base < stop and base + run.filled > start:
            found.clear()
        base += run.filled
        if start < base + run.count and base < stop:
            found += _places_in(data, run, max(start - base, 0), min(run.count, stop - base))
        base += run.count
    return iter(found)


def _places_in(data: FileBytes, run: Run, start: int, stop: int) -> Iterator[int]:
    """Yield the positions of a run's frames from one number to before another."""
    number = start // _STEP * _STEP
    if number >= min(stop, run.count):
        return
    at = run.index[number // _STEP]
    while number < stop:
        if number >= start:
            yield at
        length = frame_length(data.word(at))
        if not length:  # the file has changed meanwhile
            return
        at, number = at + length, number + 1


def _head(stretch: Stretch, count: int, rest: Sequence[Span], trusted: bool) -> bytes:
    """Return a frame that states the number of frames and of bytes."""
    at = 4 + _side_info(stretch.header) + 8
    if trusted and stretch.stated[0]:
        flags, tail = stretch.info[at - 1], stretch.info[at + 4 :]
        if flags & 2:
            size = sum(map(span_length, rest))
            tail = struct.pack(">I", len(stretch.info) + size) + tail[4:]
        return stretch.info[:at] + struct.pack(">I", count) + tail
    header = stretch.header & ~0xF000 | _SYNTHETIC_KBPS_INDEX << 12 | 0x10000  # without a checksum
    xing = struct.pack(">4sII", b"Xing", 1, count)
    head = header.to_bytes(4, "big") + bytes(_side_info(header)) + xing
    return head.ljust(frame_length(header), b"\0")


def _stretches(data: FileBytes) -> Iterator[tuple[Stretch, bool]]:
    """Yield each run of frames as a stretch, and whether it lies where the audio of a file begins."""
    at = junk = 0
    kind: int | None = None
    expected = True  # at the beginning, and after a tag
    while 0 <= at <= data.size - 4 and junk <= _JUNK:
        header = data.word(at)
        length = frame_length(header)
        if length and _follows(data, at + length, header):
            info = b""
            if _kind(header) != kind and _is_info_frame(data, at, header):
                info = data[at : at + length]
                at += length
            run = _run(data, at, _kind(header))
            if run.count:
                yield Stretch(data.word(at), [run], junk if kind is not None else 0, info), expected
                at, junk, expected, kind = at + run.length, 0, False, _kind(header)
            elif not info:
                at += 1
        elif tag := _id3_length(data, at):
            expected = _audio_at(data, at + tag)
            junk += 0 if expected else 10
            at += tag if expected else 10
        else:
            following = data.find(b"\xff", at + 1)
            expected = expected and not data[at : max(following, at)].strip(b"\0")
            at, junk = following, junk + following - at


def _run(data: FileBytes, start: int, kind: int) -> Run:
    """Return the consecutive frames of a kind from `start` on."""
    index = array("Q")
    bad: list[tuple[int, int]] = []
    at, count, ended = start, 0, False
    while not ended:
        begin, content = at, data[at : at + _CHECKED]
        places: list[int] = []
        while True:
            header = int.from_bytes(content[at - begin : at - begin + 4], "big")
            length = _length_of_kind(header, kind)
            if not length or at - begin + length > len(content):
                break
            places.append(at - begin)
            at += length
        ended = not places
        if places:
            index.extend(begin + place for place in places[-count % _STEP :: _STEP])
            bad += [(count + i, begin + places[i]) for i in _damaged(content, places)]
            count += len(places)
    return Run(start, at - start, count, index, bad)


def _follows(data: FileBytes, at: int, header: int) -> bool:
    if at > data.size - 4:
        return at == data.size
    return _kind(data.word(at)) == _kind(header)


def _audio_at(data: FileBytes, at: int) -> bool:
    """Return whether frames, or another tag, begin at a position or after zeros there: a tag's size is right then."""
    while 0 <= at < data.size and data[at : at + 1] == b"\0":
        zeros = data[at : at + _ZEROS]
        at += len(zeros) - len(zeros.lstrip(b"\0"))
    header = data.word(at)
    return data[at : at + 3] == b"ID3" or (
        frame_length(header) > 0 and _follows(data, at + frame_length(header), header)
    )


def _id3_length(data: FileBytes, at: int) -> int:
    """Return the size of the ID3v2 tag that starts here; 0 if there is none."""
    head = data[at : at + 10]
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    a, b, c, d = head[6:]
    return 10 + ((a & 127) << 21 | (b & 127) << 14 | (c & 127) << 7 | d & 127)


def _after_tags(data: FileBytes) -> int:
    at = 0
    while tag := _id3_length(data, at):
        at += tag
    return at


def _kind(header: int) -> int:
    """Return what all frames of a stretch share: synchronisation, version, layer, rate, and whether they are mono."""
    return header & _SHARED | (header & _MODE == _MONO)


@lru_cache(1024)  # a stream has few different headers
def frame_length(header: int) -> int:
    """Return the size of the frame with this header; 0 if it is not a header of layer III."""
    version, layer = header >> 19 & 3, header >> 17 & 3
    kbps, rate = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or layer != _LAYER_III or version == 1 or rate == 3 or kbps in (0, 15):
        return 0
    rates, table = _RATES[version], _KBPS_V1 if version == 3 else _KBPS_V2
    return _samples(header) // 8 * table[kbps] * 1000 // rates[rate] + (header >> 9 & 1)


@lru_cache(4096)
def _length_of_kind(header: int, kind: int) -> int:
    """Return the size of the frame with this header; 0 if it is not of that kind."""
    return frame_length(header) if _kind(header) == kind else 0


def _samples(header: int) -> int:
    return 1152 if header >> 19 & 3 == 3 else 576


def _side_info(header: int) -> int:
    mono = header & _MODE == _MONO
    if header >> 19 & 3 == 3:
        return 17 if mono else 32
    return 9 if mono else 17


def _is_info_frame(data: FileBytes, offset: int, header: int) -> bool:
    """Return whether the first frame holds a Xing, Info or VBRI header instead of audio."""
    xing = offset + 4 + _side_info(header)
    return data[xing : xing + 4] in (b"Xing", b"Info") or data[offset + 36 : offset + 40] == b"VBRI"
