"""Where streams begin in an Ogg file, and which of its pages are damaged.

libsndfile reads the first of several streams that follow one another (a chain), as radio and joining make them; and
where a page is damaged, what follows it moves forward in time. Both are found by the pages' headers. Layout: RFC 3533.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .assembled import Piece
from .file_bytes import FileBytes

_MARK = b"OggS\0"
_FIRST = 2  # flag of the page that a stream begins with
_LARGEST = 27 + 255 + 255 * 255  # bytes of a page
_SAMPLED = (0.23, 0.41, 0.62, 0.87)  # shares of a file at which pages are compared
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
NO_POSITION = 2**64 - 1  # of a page on which no packet ends
_MOST = 10_000  # streams that are read, and runs of pages of one


@dataclass(frozen=True)
class Page:
    """A page's header, and where it lies.

    Attributes:
        offset: Its first byte.
        size: Bytes.
        flags: Whether it continues a packet (1), begins a stream (2), ends one (4).
        position: Of the last sample that ends on it, in a unit that the codec says.
        serial: Of its stream.
        sequence: Its number in the stream.
    """

    offset: int
    size: int
    flags: int
    position: int
    serial: int
    sequence: int


@dataclass(frozen=True)
class Run:
    """Pages without damage, behind the stream's headers.

    Attributes:
        pieces: Of the file.
        end: Position of the last page.
    """

    pieces: list[Piece]
    end: int


def streams(path: Path) -> list[tuple[int, int]]:
    """First byte and length of each stream of a chain; nothing if there is only one.

    The whole file is searched only where the pages at some places show that there are several.
    """
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        if not _restarts(data):
            return []
        starts: list[int] = []
        at, end_of_last = 0, -1
        while (at := data.find(_MARK + bytes([_FIRST]), at)) >= 0 and len(starts) < _MOST:
            page = read_page(data, at)
            if page and _whole(data, page):
                if at != end_of_last:  # else the streams are side by side, not one after another
                    starts.append(at)
                end_of_last = at + page.size
            at += 1
    if len(starts) < 2:
        return []
    return [(start, stop - start) for start, stop in pairwise([*starts, data.size])]


def runs(path: Path, start: int = 0, length: int | None = None) -> list[Run]:
    """What is left of a stream with damaged pages; nothing if none is damaged, or the headers are.

    Args:
        path: The file.
        start: First byte of the stream.
        length: Its bytes; default is all to the end of the file.
    """
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        stop = data.size if length is None else min(start + length, data.size)
        first = read_page(data, start)
        if first is None:
            return []
        heads: list[Piece] = []
        found: list[tuple[int, int, int]] = []  # first byte, the one after the last, position
        damaged, in_header, end = False, True, start
        for page in _whole_pages(data, start, stop):
            if page.offset != end:
                damaged = True
                if in_header:
                    return []
            in_header = in_header and page.position in (0, NO_POSITION)
            if page.serial != first.serial:
                return []
            if in_header:
                heads.append((page.offset, page.size))
            elif found and page.offset == found[-1][1]:
                position = found[-1][2] if page.position == NO_POSITION else page.position
                found[-1] = found[-1][0], page.offset + page.size, position
            else:
                found.append((page.offset, page.offset + page.size, page.position))
            end = page.offset + page.size
    if not damaged or not heads:
        return []
    usable = [(a, b, position) for a, b, position in found if position != NO_POSITION]
    return [Run([*heads, (a, b - a)], position) for a, b, position in usable[:_MOST]]


def _restarts(data: FileBytes) -> bool:
    """Whether pages at some places are not of one stream, in order."""
    first = read_page(data, 0)
    if first is None:
        return False
    places = [_near(data, round(share * data.size)) for share in _SAMPLED]
    pages = [first, *(page for page in [*places, _last(data)] if page)]
    ordered = sorted({page.offset: page for page in pages}.values(), key=lambda page: page.offset)
    return any(a.serial != b.serial or a.sequence >= b.sequence for a, b in pairwise(ordered))


def _near(data: FileBytes, at: int) -> Page | None:
    """The first whole page from a position on, if one begins there soon."""
    stop = at + _LARGEST
    while 0 <= (at := data.find(_MARK, at)) < stop:
        page = read_page(data, at)
        if page and _whole(data, page):
            return page
        at += 1
    return None


def _last(data: FileBytes) -> Page | None:
    """The last whole page, if the file ends with it."""
    start = max(data.size - 2 * _LARGEST, 0)
    tail = data[start : data.size]
    at = len(tail)
    while (at := tail.rfind(_MARK, 0, at)) >= 0:
        page = read_page(data, start + at)
        if page and _whole(data, page):
            return page
    return None


def _whole_pages(data: FileBytes, at: int, stop: int) -> Iterator[Page]:
    """Each page with a true checksum, in order."""
    while at < stop:
        page = read_page(data, at)
        if page and at + page.size <= stop and _whole(data, page):
            yield page
            at += page.size
        else:
            at = data.find(_MARK, at + 1)
            if at < 0:
                return


def read_page(data: FileBytes, at: int) -> Page | None:
    """The header at a position; None if there is none."""
    head = data[at : at + 282]
    if head[:5] != _MARK or len(head) < 27 or len(head) < 27 + head[26]:
        return None
    flags, position, serial, sequence = struct.unpack_from("<BQII", head, 5)
    return Page(at, 27 + head[26] + sum(head[27 : 27 + head[26]]), flags, position, serial, sequence)


def _whole(data: FileBytes, page: Page) -> bool:
    """Whether a page's checksum is true."""
    content = data[page.offset : page.offset + page.size]
    return len(content) == page.size and content[22:26] == checksum(content)


def checksum(page: bytes) -> bytes:
    """The four bytes of a page's checksum, whatever stands in their place.

    It is zlib's, but for the order of the bits: of bytes mirrored, zlib's gives it mirrored.
    """
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    found = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return found.to_bytes(4, "little").translate(_MIRRORED)[::-1]
