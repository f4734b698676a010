"""Ogg files: where streams begin, which pages are damaged, and Opus pages with wrong positions.

libsndfile reads only the first of several streams that follow one another (a chain, as radio recordings and joined
files have), and moves everything after a damaged page forward in time. The headers of the pages show both. Layout:
RFC 3533.

FFmpeg writes Opus files whose pages state wrong positions where it converts the sample rate: now and then a position is
some milliseconds ahead, so that the next page holds more samples than its position leaves room for. Players ignore
that. libsndfile 1.2.2 calls the page malformed and decodes nothing from there on. So `mend_opus` counts the samples and
gives libsndfile a view of the file with the true positions. Layout: RFC 7845, section 4, for positions; RFC 6716,
section 3.1, for durations.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .views import FileBytes, Span, span_length

_MARK = b"OggS\0"
_CONTINUED, _FIRST, _LAST = 1, 2, 4  # flags of a page: begins inside a packet, begins a stream, ends one
_LARGEST = 27 + 255 + 255 * 255  # bytes of a page
_SEGMENT = 255  # bytes; a packet ends with a shorter segment
_SAMPLED = (0.23, 0.41, 0.62, 0.87)  # shares of a file at which pages are compared
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NO_POSITION = 2**64 - 1  # position of a page on which no packet ends
_MOST = 10_000  # most streams that are read, and most runs of pages of one stream

_OPUS_HEAD = b"OpusHead"
_JITTER = 2880  # samples, the longest frame, by which a position may be wrong; a larger difference is a gap
_OPUS_FRAMES = (
    *(480, 960, 1920, 2880) * 3,  # SILK: narrow, medium and wide band
    *(480, 960) * 2,  # hybrid
    *(120, 240, 480, 960) * 4,  # CELT
)
"""Samples of a frame at 48 kHz, by the configuration in a packet's first five bits."""


@dataclass(frozen=True)
class Page:
    """The header of a page.

    Attributes:
        offset: First byte in the file.
        size: Bytes.
        flags: Whether the page continues a packet (1), begins a stream (2), ends one (4).
        position: Of the last sample that ends on the page, in a unit of the codec.
        serial: Number of the stream.
        sequence: Number of the page in the stream.
    """

    offset: int
    size: int
    flags: int
    position: int
    serial: int
    sequence: int


@dataclass(frozen=True)
class Run:
    """Consecutive pages without damage, after the stream's headers.

    Attributes:
        spans: The headers and the pages.
        end: Position of the last page.
    """

    spans: list[Span]
    end: int


def streams(path: Path) -> list[tuple[int, int]]:
    """Return (first byte, length) of each stream of a chain; an empty list if there is only one.

    The whole file is searched only if pages sampled from it show that there are several.
    """
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        if not _restarts(data):
            return []
        starts: list[int] = []
        at, end_of_last = 0, -1
        while (at := data.find(_MARK + bytes([_FIRST]), at)) >= 0 and len(starts) < _MOST:
            page = _read_page(data, at)
            if page and _is_intact(data, page):
                if at != end_of_last:  # else the streams are side by side, not one after another
                    starts.append(at)
                end_of_last = at + page.size
            at += 1
    if len(starts) < 2:
        return []
    return [(start, stop - start) for start, stop in pairwise([*starts, data.size])]


def runs(path: Path, start: int = 0, length: int | None = None) -> list[Run]:
    """Return the intact runs of a stream with damaged pages; an empty list if no page, or a header, is damaged.

    Args:
        path: The file.
        start: First byte of the stream.
        length: Bytes of the stream; default is up to the end of the file.
    """
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        stop = data.size if length is None else min(start + length, data.size)
        first = _read_page(data, start)
        if first is None:
            return []
        heads: list[Span] = []
        found: list[tuple[int, int, int]] = []  # first byte, byte after the last, position
        damaged, in_header, end = False, True, start
        for page in _intact_pages(data, start, stop):
            if page.offset != end:
                damaged = True
                if in_header:
                    return []
            in_header = in_header and page.position in (0, _NO_POSITION)
            if page.serial != first.serial:
                return []
            if in_header:
                heads.append((page.offset, page.size))
            elif found and page.offset == found[-1][1]:
                position = found[-1][2] if page.position == _NO_POSITION else page.position
                found[-1] = found[-1][0], page.offset + page.size, position
            else:
                found.append((page.offset, page.offset + page.size, page.position))
            end = page.offset + page.size
    if not damaged or not heads:
        return []
    usable = [(a, b, position) for a, b, position in found if position != _NO_POSITION]
    return [Run([*heads, (a, b - a)], position) for a, b, position in usable[:_MOST]]


def _restarts(data: FileBytes) -> bool:
    """Return whether sampled pages belong to several streams, or are out of order."""
    first = _read_page(data, 0)
    if first is None:
        return False
    places = [_first_page_near(data, round(share * data.size)) for share in _SAMPLED]
    pages = [first, *(page for page in [*places, _last_page(data)] if page)]
    ordered = sorted({page.offset: page for page in pages}.values(), key=lambda page: page.offset)
    return any(a.serial != b.serial or a.sequence >= b.sequence for a, b in pairwise(ordered))


def _first_page_near(data: FileBytes, at: int) -> Page | None:
    """Return the first intact page from a position on, if one begins within the size of a page."""
    stop = at + _LARGEST
    while 0 <= (at := data.find(_MARK, at)) < stop:
        page = _read_page(data, at)
        if page and _is_intact(data, page):
            return page
        at += 1
    return None


def _last_page(data: FileBytes) -> Page | None:
    """Return the last intact page, if it is near the end of the file."""
    start = max(data.size - 2 * _LARGEST, 0)
    tail = data[start : data.size]
    at = len(tail)
    while (at := tail.rfind(_MARK, 0, at)) >= 0:
        page = _read_page(data, start + at)
        if page and _is_intact(data, page):
            return page
    return None


def _intact_pages(data: FileBytes, at: int, stop: int) -> Iterator[Page]:
    """Yield each page with a correct checksum, in order."""
    while at < stop:
        page = _read_page(data, at)
        if page and at + page.size <= stop and _is_intact(data, page):
            yield page
            at += page.size
        else:
            at = data.find(_MARK, at + 1)
            if at < 0:
                return


def _read_page(data: FileBytes, at: int) -> Page | None:
    """Return the header at a position; None if there is none."""
    head = data[at : at + 282]
    if head[:5] != _MARK or len(head) < 27 or len(head) < 27 + head[26]:
        return None
    flags, position, serial, sequence = struct.unpack_from("<BQII", head, 5)
    return Page(at, 27 + head[26] + sum(head[27 : 27 + head[26]]), flags, position, serial, sequence)


def _is_intact(data: FileBytes, page: Page) -> bool:
    """Return whether a page's checksum is correct."""
    content = data[page.offset : page.offset + page.size]
    return len(content) == page.size and content[22:26] == _checksum(content)


def _checksum(page: bytes) -> bytes:
    """Return the four bytes of a page's checksum; those in the page are ignored.

    It is zlib's CRC-32 with the order of bits reversed, so zlib computes it from mirrored bytes.
    """
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    found = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return found.to_bytes(4, "little").translate(_MIRRORED)[::-1]


# === Opus ===


def mend_opus(path: Path, start: int = 0, length: int | None = None) -> list[Span] | None:
    """Return a view of an Opus stream in which each page's position is that of its last sample.

    Args:
        path: The file.
        start: First byte of the stream.
        length: Bytes of the stream; default is up to the end of the file.

    Returns:
        Spans of the file, and new headers for pages whose position changes. None if libsndfile reads the file as it
        is, if it is not Opus, or if a page is damaged.
    """
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        stop = data.size if length is None else min(start + length, data.size)
        first = _read_page(data, start)
        if first is None or _OPUS_HEAD not in data[start : start + first.size][:300]:
            return None
        spans: list[Span] = []
        stated = true = 0  # positions of the previous page
        malformed = False
        for page, duration in _opus_pages(data, first, stop):
            wanted = page.position
            if duration and page.position != _NO_POSITION:
                end = true + duration
                if page.flags & _LAST:  # may be smaller: the rest is cut off at the end
                    wanted = min(max(page.position, true), end)
                else:
                    malformed |= page.position < stated + duration
                    wanted = end if page.position <= end + _JITTER else page.position
                stated, true = page.position, wanted
            if wanted == page.position:
                _append(spans, page.offset, page.size)
                continue
            content = bytearray(data[page.offset : page.offset + page.size])
            if len(content) < page.size:
                return None  # the file was truncated meanwhile
            content[6:14] = wanted.to_bytes(8, "little")
            content[22:26] = _checksum(bytes(content))
            header = page.size - sum(content[27 : 27 + content[26]])
            spans.append(bytes(content[:header]))
            _append(spans, page.offset + header, page.size - header)
        complete = sum(map(span_length, spans)) == stop - start
    return spans if malformed and complete else None


def _append(spans: list[Span], offset: int, size: int) -> None:
    """Append a part of the file, merged with the span before if it follows that in the file."""
    if spans and isinstance(spans[-1], tuple) and sum(spans[-1]) == offset:
        spans[-1] = spans[-1][0], spans[-1][1] + size
    else:
        spans.append((offset, size))


def _opus_pages(data: FileBytes, first: Page, stop: int) -> Iterator[tuple[Page, int]]:
    """Yield each page of a stream with the samples of the packets that end on it; 0 for header pages."""
    headers = 2  # packets that are not audio
    begun = 0  # samples of a packet that began on the previous page
    at = first.offset
    while at < stop:
        page = _read_page(data, at)
        if page is None or page.serial != first.serial or at + page.size > stop:
            return
        content = data[at : at + page.size]
        if len(content) < page.size:
            return
        body = 27 + content[26]
        samples, place, inside = 0, body, bool(page.flags & _CONTINUED)
        packet = begun if inside else 0
        for segment in content[27:body]:
            if not inside:
                packet, inside = _opus_samples(content[place : place + 2]), True
            place += segment
            if segment < _SEGMENT:
                inside = False
                if headers:
                    headers -= 1
                else:
                    samples += packet
        begun = packet if inside else 0
        yield page, samples
        at += page.size


def _opus_samples(packet: bytes) -> int:
    """Return the duration at 48 kHz of a packet that begins with these two bytes."""
    if not packet:
        return 0
    code = packet[0] & 3
    count = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[code]
    return _OPUS_FRAMES[packet[0] >> 3] * count
