"""Where the numbers of audio files lie, and how to change them so that a decoder still accepts the file.

`fields` finds numbers worth changing; `sealed` repairs the checksums that would have a decoder skip what was changed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"edts", b"dinf"}


@dataclass(frozen=True)
class Number:
    """A number in a file: where, how many bytes, and in which order."""

    at: int
    length: int
    big: bool


def fields(data: bytes) -> list[Number]:
    """The numbers in the headers of WAV, FLAC, Ogg (Vorbis, Opus), MP3 and MP4; none in other files."""
    readers = {b"RIFF": _riff, b"RF64": _riff, b"fLaC": _flac, b"OggS": _ogg}
    if data[4:8] == b"ftyp":
        return list(_boxes(data, 0, len(data)))
    return list(readers.get(data[:4], _mpeg)(data))


def sealed(data: bytes) -> bytes:
    """The data with true checksums in the pages of an Ogg file; others as they are."""
    if data[:4] != b"OggS":
        return data
    whole = bytearray(data)
    for at, size in _pages(data):
        whole[at + 22 : at + 26] = bytes(4)
        whole[at + 22 : at + 26] = _crc(whole[at : at + size]).to_bytes(4, "little")
    return bytes(whole)


def _riff(data: bytes) -> Iterator[Number]:
    yield Number(4, 4, False)
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        yield Number(at + 4, 4, False)
        if kind == b"fmt ":
            yield from (Number(at + 8 + o, 2, False) for o in (0, 2, 12, 14, 16, 18, 24))
            yield from (Number(at + 8 + o, 4, False) for o in (4, 8, 20))
        elif kind == b"ds64":
            yield from (Number(at + 8 + offset, 8, False) for offset in (0, 8, 16))
        at += 8 + size + size % 2


def _flac(data: bytes) -> Iterator[Number]:
    at, last = 4, False
    while not last and at + 4 <= len(data):
        last, size = bool(data[at] & 128), int.from_bytes(data[at + 1 : at + 4], "big")
        yield Number(at, 1, True)
        yield Number(at + 1, 3, True)
        if data[at] & 127 == 0:  # STREAMINFO: block sizes, frame sizes, rate and channels, samples
            yield from (Number(at + 4 + o, n, True) for o, n in ((0, 2), (2, 2), (4, 3), (7, 3), (10, 4), (13, 5)))
        at += 4 + size
    yield from (Number(at + i, 2, True) for i in range(0, 8))


def _ogg(data: bytes) -> Iterator[Number]:
    for at, size in _pages(data):
        for offset, length in ((5, 1), (6, 8), (14, 4), (18, 4), (26, 1), (27, 1)):
            yield Number(at + offset, length, False)
        body = at + 27 + data[at + 26]
        if data[body : body + 7] == b"\x01vorbis":
            yield from (Number(body + o, 4 if o % 4 == 0 else 1, False) for o in (11, 12, 16, 20, 24, 28))
            yield Number(body + 7, 4, False)
        elif data[body : body + 8] == b"OpusHead":
            yield from (Number(body + o, 1, False) for o in (8, 9, 18, 19, 20))
            yield from (Number(body + o, n, False) for o, n in ((10, 2), (12, 4), (16, 2)))
        elif data[body : body + 7] == b"\x03vorbis" or data[body : body + 8] == b"OpusTags":
            yield Number(body + 7 + (data[body] == 79), 4, False)
        elif data[body : body + 7] == b"\x05vorbis":
            yield from (Number(body + 7 + i, 2, False) for i in range(0, min(size, 600), 3))


def _mpeg(data: bytes) -> Iterator[Number]:
    if data[:3] == b"ID3":
        yield from (Number(o, 4, True) for o in (3, 6, 14))
    at = data.find(b"\xff")
    while 0 <= at < len(data) - 4:
        if data[at + 1] & 0xE0 == 0xE0:
            yield Number(at + 1, 1, True)
            yield Number(at + 2, 1, True)
            yield Number(at + 3, 1, True)
        at = data.find(b"\xff", at + 1)
    for mark in (b"Xing", b"Info", b"VBRI"):
        at = data.find(mark)
        if at >= 0:
            yield from (Number(at + o, 4, True) for o in (4, 8, 12, 16, 20))


def _boxes(data: bytes, at: int, end: int) -> Iterator[Number]:
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        yield Number(at, 4, True)
        stop = min(at + max(size, 8), end)
        if kind in _BOXES:
            yield from _boxes(data, at + 8, stop)
        elif kind not in (b"mdat", b"free", b"ftyp"):
            yield from (Number(i, 4, True) for i in range(at + 8, min(stop - 3, at + 120), 2))
        at = stop if size >= 8 else end


def _pages(data: bytes) -> Iterator[tuple[int, int]]:
    """(offset, bytes) of each Ogg page."""
    at = 0
    while (at := data.find(b"OggS", at)) >= 0 and at + 27 <= len(data):
        segments = data[at + 26]
        size = 27 + segments + sum(data[at + 27 : at + 27 + segments])
        yield at, min(size, len(data) - at)
        at += 4


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        register = value << 24
        for _ in range(8):
            register = register << 1 ^ (0x04C11DB7 if register & 1 << 31 else 0)
        table.append(register & 0xFFFFFFFF)
    return tuple(table)


_TABLE = _table()


def _crc(page: bytes | bytearray) -> int:
    """Ogg's checksum (RFC 3533): CRC-32 with the polynomial 0x04C11DB7, neither reflected nor inverted."""
    register = 0
    for byte in page:
        register = register << 8 & 0xFFFFFFFF ^ _TABLE[register >> 24 ^ byte]
    return register
