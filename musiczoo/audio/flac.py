"""What follows a FLAC file's header: metadata, and further FLAC files that were appended.

Whether files were joined is seen at a few places: the numbers of frames do not rise all the way. Layout: RFC 9639.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from .file_bytes import FileBytes

_MARK = b"fLaC\0\0\0\x22"  # and the header of the block that comes first, of 34 bytes
_SAMPLED = (0.13, 0.23, 0.41, 0.62, 0.87, 0.97)  # shares of a file at which frames are compared
_NEAR = 1 << 17  # bytes in which a frame begins
_MOST = 10_000  # streams that are read


def streams(path: Path) -> list[tuple[int, int]]:
    """First byte and length of each of several files that were joined; nothing if there is only one."""
    with path.open("rb", buffering=0) as file:
        data = FileBytes(file)
        numbers = list(_numbers(data))
        if all(a <= b for a, b in pairwise(numbers)):
            return []
        starts: list[int] = []
        at = 0
        while (at := data.find(_MARK, at)) >= 0 and len(starts) < _MOST:
            starts.append(at)
            at += len(_MARK)
    return [(start, stop - start) for start, stop in pairwise([*starts, data.size])]


def is_longer_than_stated(path: Path) -> bool:
    """Whether a file has more bytes of sound than as many samples as its header states take without compression."""
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


def without_length(path: Path) -> list[bytes | tuple[int, int]]:
    """The pieces of the file, with a header that says that its length is unknown."""
    with path.open("rb") as file:
        head = file.read(26)
        size = file.seek(0, 2)
    return [head[:21] + bytes([head[21] & 0xF0]) + bytes(4), (26, size - 26)]


def _numbers(data: FileBytes) -> Iterator[int]:
    """The numbers of frames, or of their first samples, at some places of the file."""
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
    """The number in a frame's header; -1 if it is none."""
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
    """The checksum of a frame's header: the polynomial is 0x07."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value << 1 & 255 ^ (7 if value & 128 else 0)
    return value
