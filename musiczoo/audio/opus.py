"""Opus files whose pages state other positions than those of the samples that they hold.

FFmpeg writes such files where it converts the sample rate: the position of a page here and there is some milliseconds
ahead, so that the next page holds more samples than its position leaves room for. Players take no notice. libsndfile
1.2.2 calls that page malformed and decodes nothing from there on. So the samples are counted, and libsndfile gets a
view of the file with true positions. Layout: RFC 7845, section 4, for positions; RFC 6716, section 3.1, for durations.
"""

from collections.abc import Iterator
from pathlib import Path

from .assembled import Piece
from .file_bytes import FileBytes
from .ogg import NO_POSITION, Page, checksum, read_page

_HEAD = b"OpusHead"
_LAST = 4  # flag of a stream's last page
_CONTINUED = 1  # flag of a page that begins inside a packet
_SEGMENT = 255  # bytes; a packet ends with a segment of fewer
_JITTER = 2880  # samples, the longest frame, by which a position may be wrong; more than that is missing
_SIZES = (
    *(480, 960, 1920, 2880) * 3,  # SILK: narrow, medium and wide band
    *(480, 960) * 2,  # hybrid
    *(120, 240, 480, 960) * 4,  # CELT
)
"""Samples of a frame at 48 kHz, by the configuration in a packet's first five bits."""


def mended(path: Path, start: int = 0, length: int | None = None) -> list[Piece] | None:
    """A stream of Opus in which each page's position is that of its last sample.

    Args:
        path: The file.
        start: First byte of the stream.
        length: Its bytes; default is all to the end of the file.

    Returns:
        Pieces of the file, and headers of our own for pages with other positions. None if libsndfile reads the file as
        it is, if it is not Opus, or if a page is damaged.
    """
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        stop = data.size if length is None else min(start + length, data.size)
        first = read_page(data, start)
        if first is None or _HEAD not in data[start : start + first.size][:300]:
            return None
        pieces: list[Piece] = []
        stated = true = 0  # positions of the page before
        malformed = False
        for page, duration in _durations(data, first, stop):
            wanted = page.position
            if duration and page.position != NO_POSITION:
                end = true + duration
                if page.flags & _LAST:  # may say less: what is to be cut off at the end
                    wanted = min(max(page.position, true), end)
                else:
                    malformed |= page.position < stated + duration
                    wanted = end if page.position <= end + _JITTER else page.position
                stated, true = page.position, wanted
            if wanted == page.position:
                _append(pieces, page.offset, page.size)
                continue
            content = bytearray(data[page.offset : page.offset + page.size])
            if len(content) < page.size:
                return None  # the file was cut meanwhile
            content[6:14] = wanted.to_bytes(8, "little")
            content[22:26] = checksum(bytes(content))
            header = page.size - sum(content[27 : 27 + content[26]])
            pieces.append(bytes(content[:header]))
            _append(pieces, page.offset + header, page.size - header)
        whole = sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces) == stop - start
    return pieces if malformed and whole else None


def _append(pieces: list[Piece], offset: int, size: int) -> None:
    """Add a part of the file, joined to the one before if it follows it."""
    if pieces and isinstance(pieces[-1], tuple) and sum(pieces[-1]) == offset:
        pieces[-1] = pieces[-1][0], pieces[-1][1] + size
    else:
        pieces.append((offset, size))


def _durations(data: FileBytes, first: Page, stop: int) -> Iterator[tuple[Page, int]]:
    """Each page of a stream, and the samples of the packets that end on it; 0 for the pages of its headers."""
    headers = 2  # packets that are no audio
    begun = 0  # samples of a packet that the page before began
    at = first.offset
    while at < stop:
        page = read_page(data, at)
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
                packet, inside = _samples(content[place : place + 2]), True
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


def _samples(packet: bytes) -> int:
    """The duration of a packet that begins with these two bytes, at 48 kHz."""
    if not packet:
        return 0
    code = packet[0] & 3
    count = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[code]
    return _SIZES[packet[0] >> 3] * count
