"""FLAC files that were joined, or that are longer than their header states.

Joined files are recognised at a few sampled places, where frame numbers do not rise from one to the next. Layout:
RFC 9639.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from .views import FileBytes, Span

_MARK = b"fLaC\0\0\0\x22"  # followed by the header of the first block, of 34 bytes
_SAMPLED = (0.13, 0.23, 0.41, 0.62, 0.87, 0.97)  # shares of a file at which frames are compared
_NEAR = 1 << 17  # bytes within which a frame begins
_MOST = 10_000  # most streams that are read


def streams(path: Path) -> list[tuple[int, int]]:
    """Return (first byte, length) of each of several joined files; an empty list if there is only one."""
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        numbers = list(_sampled_numbers(data))
        if all(a <= b for a, b in pairwise(numbers)):
            return []
        starts: list[int] = []
        at = 0
        while (at := data.find(_MARK, at)) >= 0 and len(starts) < _MOST:
            starts.append(at)
            at += len(_MARK)
    return [(start, stop - start) for start, stop in pairwise([*starts, data.size])]


def is_longer_than_stated(path: Path) -> bool:
    """Return whether a file has more bytes of audio than the stated samples take without compression."""
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        head, at, last = data[0:42], 4, False
        if len(head) < 42 or head[4] & 127:
            return False
        while not last and len(block := data[at : at + 4]) == 4:
            last, at = block[0] >= 128, at + 4 + int.from_bytes(block[1:], "big")
        channels, bits = (head[20] >> 1 & 7) + 1, ((head[20] & 1) << 4 | head[21] >> 4) + 1
        samples = (head[21] & 15) << 32 | int.from_bytes(head[22:26], "big")
        return 0 < 1.01 * samples * channels * bits / 8 < data.size - at - (1 << 16)


def without_length(path: Path) -> list[Span]:
    """Return a view of the file whose header states an unknown length."""
    with path.open("rb") as file:
        head = file.read(26)
        size = file.seek(0, 2)
    return [head[:21] + bytes([head[21] & 0xF0]) + bytes(4), (26, size - 26)]


def _sampled_numbers(data: FileBytes) -> Iterator[int]:
    """Yield the numbers of frames, or of their first samples, at some places of the file."""
    for share in _SAMPLED:
        at = round(share * data.size)
        stop = at + _NEAR
        while 0 <= (at := data.find(b"\xff", at)) < stop:
            number = _number(data[at : at + 16])
            if number >= 0:
                yield number
                break
            at += 1


def _number(head: bytes) -> int:
    """Return the number in a frame's header; -1 if this is not a header."""
    if len(head) < 16 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1:
        return -1
    more = next((i for i in range(8) if not head[4] << i & 128), 8)
    if more in (1, 8):
        return -1
    length = 5 + max(more - 1, 0)
    length += {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if _crc8(head[:length]) != head[length]:
        return -1
    number = head[4] & (0x7F >> more)
    for byte in head[5 : 5 + max(more - 1, 0)]:
        number = number << 6 | byte & 63
    return number


def _crc8(data: bytes) -> int:
    """Return the checksum of a frame's header, with the polynomial 0x07."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value << 1 & 255 ^ (7 if value & 128 else 0)
    return value
