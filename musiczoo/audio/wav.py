"""WAV files whose header is wrong: sizes that differ from the file's, and audio that is not PCM.

A WAV states its size in 32 bits: files above 4 GB wrap around to 0, and files written to a pipe state 0 or the largest
number. Layout: RIFF (Microsoft and IBM, 1991), and RF64 (EBU Tech 3306), which has 64 bits.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from .views import Span

_UNKNOWN = 0x7FFF0000
"""Sizes from this on that exceed the file mean an unknown size, as writers to pipes state."""

_BEGINNING = 1 << 16
"""Bytes of audio that are searched for the frames of a codec."""

_HEADER = 1 << 20
"""Bytes within which the audio must start."""

_MARKS = {
    "DTS": (b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00\x07", b"\xff\x1f\x00\xe8"),
    "AC-3 or another codec in S/PDIF frames": (b"\x72\xf8\x1f\x4e", b"\xf8\x72\x4e\x1f"),
}
"""Codec -> the bytes that its frames start with. By chance, 4 bytes occur twice in 64 kB once in 10^9 files."""


@dataclass(frozen=True)
class Wav:
    """Position and size of the audio in a WAV file.

    Attributes:
        form: Content of the chunk that describes the samples ("fmt ").
        offset: First byte of the audio.
        declared: Bytes of audio that the header declares.
        present: Bytes from `offset` to the end of the file.
        extra: Bytes after the declared ones that are neither a chunk, nor zeros, nor a tag.
        beginning: First bytes of the audio.
    """

    form: bytes
    offset: int
    declared: int
    present: int
    extra: int
    beginning: bytes

    @property
    def is_pcm(self) -> bool:
        """Whether the header declares PCM."""
        return self.form[:2] in (b"\1\0", b"\xfe\xff")

    @property
    def size(self) -> int:
        """Bytes of audio: those present if the declared size is impossible, else the declared ones."""
        if self.declared > self.present or (self.declared == 0 and self.extra):
            return self.present
        return self.declared + ((self.present - self.declared) >> 32 << 32)

    @property
    def cut(self) -> float:
        """Share of the declared audio that is missing from the end; 0 if none is."""
        known = 0 < self.present < self.declared < _UNKNOWN
        return 1 - self.present / self.declared if known else 0.0

    def codec(self) -> str | None:
        """Return the codec of audio that the header declares as PCM; None if it seems to be PCM."""
        if not self.is_pcm:
            return None
        for codec, marks in _MARKS.items():
            if any(self.beginning.count(mark) > 1 for mark in marks):
                return codec
        if _is_ac3(self.beginning):
            return "AC-3"
        return None

    def with_true_size(self) -> list[Span]:
        """Return a view of the file that states its true size, as RF64."""
        ds64 = struct.pack("<4sIQQQI", b"ds64", 28, self.size + 60 + len(self.form), self.size, 0, 0)
        form = struct.pack("<4sI", b"fmt ", len(self.form)) + self.form
        head = b"RF64\xff\xff\xff\xffWAVE" + ds64 + form + b"data\xff\xff\xff\xff"
        return [head, (self.offset, self.size)]


def scan(path: Path) -> Wav | None:
    """Read the header; return None if the file is not a plain WAV."""
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(_HEADER if size > _HEADER else size)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return None
        at, form = 12, b""
        while at + 8 <= len(head):
            kind, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
            if kind == b"data":
                present = size - at - 8
                after = b""
                if length < present:
                    file.seek(at + 8 + length)
                    after = file.read(4096)
                extra = _extra(after, present - length)
                return Wav(form, at + 8, length, present, extra, head[at + 8 : at + 8 + _BEGINNING]) if form else None
            if kind == b"fmt ":
                form = head[at + 8 : at + 8 + length]
            at += 8 + length + length % 2
    return None


def _extra(after: bytes, length: int) -> int:
    """Return how many bytes after the audio do not belong to the format; `after` holds the first of them."""
    for padding in (0, 1):
        name, size = after[padding : padding + 4], int.from_bytes(after[padding + 4 : padding + 8], "little")
        if len(name) == 4 and all(32 <= byte < 127 for byte in name) and size <= length - 8 - padding:
            return 0
    if not after.strip(b"\0") or after.lstrip(b"\0")[:3] in (b"TAG", b"ID3") or after[:8] == b"APETAGEX":
        return 0
    return max(length, 0)


_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_RATES = (48000, 44100, 32000)


def _is_ac3(data: bytes) -> bool:
    """Return whether two frames of AC-3 follow one another (ATSC A/52, 5.3.1), in either byte order."""
    if data[:2] == b"\x77\x0b":
        swapped = bytearray(data[:8192][: len(data[:8192]) // 2 * 2])
        swapped[::2], swapped[1::2] = swapped[1::2], swapped[::2]
        data = bytes(swapped)
    if data[:2] != b"\x0b\x77" or len(data) < 8:
        return False
    rate, size = data[4] >> 6, data[4] & 63
    if rate == 3 or size >> 1 >= len(_AC3_KBPS):
        return False
    words = _AC3_KBPS[size >> 1] * 96000 // _AC3_RATES[rate] + (rate == 1 and size & 1)
    return data[2 * words : 2 * words + 2] == b"\x0b\x77"
