"""Make audio files as the world has them: intact, cut, damaged, joined, mislabelled, of wrong or unknown length.

    python tests/files/make.py FOLDER [NAME ...]

Conventions
-----------
- Each function under `file` makes one file. Nothing is downloaded: sounds are computed, and encoded by the tools of the
  distribution (ffmpeg, sox, lame, oggenc, opusenc, flac, wavpack, twolame) or by libsndfile.
- Every file holds `tune`: noise whose samples are known at 8 kHz, so that `offsets` finds for each second whether it is
  there, and how far from where it should be.
"""

import io
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SECONDS = 20.0
"""Length of a sound, unless a file is joined from several."""

KNOWN_RATE = 8000
"""Hz at which the samples of a tune are compared."""


@dataclass(frozen=True)
class File:
    """A file that can be made.

    Attributes:
        name: Its file name.
        kind: What it stands for.
        seeds: The tunes in it, in order.
        seconds: Length of each tune.
        make: Writes it to a path.
        tools: Programs needed.
    """

    name: str
    kind: str
    seeds: tuple[int, ...]
    seconds: float
    make: Callable[[Path], None]
    tools: tuple[str, ...]


FILES: dict[str, File] = {}
"""All files, by name."""


def file(
    name: str, kind: str, *tools: str, seeds: tuple[int, ...] = (0,), seconds: float = SECONDS
) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register the function below as the maker of a file."""

    def register(make: Callable[[Path], None]) -> Callable[[Path], None]:
        FILES[name] = File(name, kind, seeds, seconds, make, tools)
        return make

    return register


def main(folder: Path, names: list[str]) -> None:
    """Make the files, or those of the given names."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in (FILES[name] for name in names or FILES):
        missing = [tool for tool in entry.tools if shutil.which(tool) is None]
        if missing:
            print(f"{entry.name}: skipped, needs {', '.join(missing)}")
            continue
        entry.make(folder / entry.name)
        print(f"{entry.name}: {entry.kind}")


# === What the files hold ===


@lru_cache
def known(seed: int = 0, seconds: float = SECONDS) -> Floats:
    """A tune's samples at `KNOWN_RATE`: noise below 3 kHz that swells twice a second, never silent."""
    generator = np.random.default_rng(seed)
    size = round(seconds * KNOWN_RATE)
    spectrum = np.fft.rfft(generator.standard_normal(size))
    spectrum[np.fft.rfftfreq(size, 1 / KNOWN_RATE) > 3000] = 0
    t = np.arange(size) / KNOWN_RATE
    samples = np.fft.irfft(spectrum, size) * (0.6 + 0.4 * np.sin(4 * np.pi * t))
    return (0.15 * samples).clip(-0.9, 0.9).astype(np.float32)


def tune(rate: int = 44100, channels: int = 2, seed: int = 0, seconds: float = SECONDS) -> Floats:
    """The same at another rate: ``[samples, channels]``, each channel alike."""
    samples = soxr.resample(known(seed, seconds), KNOWN_RATE, rate, quality="HQ")
    return np.repeat(samples[: round(seconds * rate), None], channels, axis=1)


def offsets(samples: Floats, entry: File, reach_s: float = 0.6) -> list[float | None]:
    """How many seconds late each second of a file's tunes is; None where it is not within `reach_s`.

    Args:
        samples: What was decoded, at `KNOWN_RATE`.
        entry: The file.
    """
    truth = np.concatenate([known(seed, entry.seconds) for seed in entry.seeds])
    return [
        offset_of(truth[at : at + KNOWN_RATE], samples, at, round(reach_s * KNOWN_RATE))
        for at in range(0, len(truth) - KNOWN_RATE + 1, KNOWN_RATE)
    ]


def offset_of(wanted: Floats, samples: Floats, at: int, reach: int) -> float | None:
    """How many seconds after ``samples[at]`` the wanted samples begin; None if not within `reach` samples."""
    start = max(at - reach, 0)
    around = samples[start : at + len(wanted) + reach].astype(np.float64)
    if len(around) < len(wanted):
        return None
    size = len(around) + len(wanted)
    products = np.fft.irfft(np.fft.rfft(around, size) * np.conj(np.fft.rfft(wanted, size)), size)
    sums = np.concatenate([[0], np.cumsum(around**2)])
    lags = np.arange(len(around) - len(wanted) + 1)
    energy = (sums[lags + len(wanted)] - sums[lags]) * float(wanted.astype(np.float64) @ wanted)
    likeness = products[lags] / np.sqrt(np.maximum(energy, 1e-9))
    best = int(np.argmax(likeness))
    return (start + best - at) / KNOWN_RATE if likeness[best] > 0.4 else None


# === Encoders ===


def run(*command: object, data: bytes | None = None) -> bytes:
    """A tool's output; CalledProcessError if it fails."""
    return subprocess.run([str(part) for part in command], input=data, capture_output=True, check=True).stdout


def wav(
    rate: int = 44100,
    channels: int = 2,
    seed: int = 0,
    subtype: str = "PCM_16",
    kind: str = "WAV",
    seconds: float = SECONDS,
) -> bytes:
    """A tune as libsndfile writes it."""
    buffer = io.BytesIO()
    soundfile.write(buffer, tune(rate, channels, seed, seconds), rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def ffmpeg(path: Path, *options: object, rate: int = 44100, channels: int = 2, seed: int = 0) -> bytes:
    """Encode a tune to `path` with FFmpeg; its bytes."""
    run("ffmpeg", "-v", "error", "-y", "-i", "-", *options, "-map_metadata", "-1", path, data=wav(rate, channels, seed))
    return path.read_bytes()


def lame(*options: object, rate: int = 44100, channels: int = 2, seed: int = 0) -> bytes:
    """An MP3."""
    with tempfile.TemporaryDirectory() as folder:  # to a pipe, it writes no header
        path = Path(folder) / "a.mp3"
        run("lame", "--quiet", *options, "-", path, data=wav(rate, channels, seed))
        return path.read_bytes()


def ogg(seed: int = 0, rate: int = 44100, channels: int = 2) -> bytes:
    """Vorbis in Ogg."""
    return run("oggenc", "-Q", "-s", seed + 1, "-", "-o", "-", data=wav(rate, channels, seed))


def opus(seed: int = 0, channels: int = 2) -> bytes:
    """Opus in Ogg."""
    return run("opusenc", "--quiet", "--serial", seed + 1, "-", "-", data=wav(48000, channels, seed))


def flac(*options: object, seed: int = 0, rate: int = 44100, channels: int = 2) -> bytes:
    """FLAC, or FLAC in Ogg with ``--ogg``."""
    return run("flac", "-s", "-c", *options, "-", data=wav(rate, channels, seed))


# === Damage ===


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes at random, the same each time."""
    return random.Random(seed).randbytes(size)


def overwritten(data: bytes, at: float, size: int = 24) -> bytes:
    """The bytes from a share of the file on replaced by noise."""
    start = round(at * len(data))
    return data[:start] + noise(size) + data[start + size :]


def wav_with(
    data: bytes, declared: int | None = None, rate: int = 44100, channels: int = 2, tag: int = 1, bits: int = 16
) -> bytes:
    """A WAV whose data chunk is said to have `declared` bytes."""
    block = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, rate, rate * block, block, bits)
    size = len(data) if declared is None else declared
    return b"RIFF" + struct.pack("<I", (size + 36) % 2**32) + b"WAVE" + form + b"data" + struct.pack("<I", size) + data


def pcm(rate: int = 44100, channels: int = 2, seed: int = 0) -> bytes:
    """A tune as bare 16-bit samples."""
    return (tune(rate, channels, seed) * 32767).astype("<i2").tobytes()


# === Intact files of every format ===

LIBSNDFILE = {
    "wav": ("WAV", "PCM_16"), "pcm24.wav": ("WAV", "PCM_24"), "u8.wav": ("WAV", "PCM_U8"),
    "float.wav": ("WAV", "FLOAT"), "ulaw.wav": ("WAV", "ULAW"), "alaw.wav": ("WAV", "ALAW"),
    "ima.wav": ("WAV", "IMA_ADPCM"), "ms.wav": ("WAV", "MS_ADPCM"),
    "rf64": ("RF64", "PCM_16"), "w64": ("W64", "PCM_16"), "aiff": ("AIFF", "PCM_16"), "float.aiff": ("AIFF", "FLOAT"),
    "au": ("AU", "PCM_16"), "ulaw.au": ("AU", "ULAW"), "caf": ("CAF", "PCM_16"), "alac.caf": ("CAF", "ALAC_16"),
    "flac": ("FLAC", "PCM_16"), "pcm24.flac": ("FLAC", "PCM_24"),
}  # fmt: skip
FFMPEG: dict[str, tuple[object, ...]] = {
    "aac.m4a": ("-c:a", "aac"), "alac.m4a": ("-c:a", "alac"), "aac.mp4": ("-c:a", "aac"), "mov": ("-c:a", "pcm_s16le"),
    "aac": ("-c:a", "aac"), "ac3": ("-c:a", "ac3"), "eac3": ("-c:a", "eac3"), "wma": ("-c:a", "wmav2"),
    "v1.wma": ("-c:a", "wmav1"), "opus.webm": ("-c:a", "libopus"), "vorbis.mka": ("-c:a", "libvorbis"),
    "aac.mkv": ("-c:a", "aac"), "flac.mka": ("-c:a", "flac"), "flac.mp4": ("-c:a", "flac", "-strict", "-2"),
    "tta": ("-c:a", "tta"), "wv": ("-c:a", "wavpack"), "aac.flv": ("-c:a", "aac"), "mp3.flv": ("-c:a", "libmp3lame"),
    "mp3.avi": ("-c:a", "libmp3lame"), "aac.ts": ("-c:a", "aac"), "mp2.mpg": ("-c:a", "mp2"),
    "aac.mov": ("-c:a", "aac"), "dts": ("-c:a", "dca", "-strict", "-2"), "mp2": ("-c:a", "mp2"),
    "opus.mka": ("-c:a", "libopus"),
}  # fmt: skip
"""Ending -> options of FFmpeg."""


def _intact() -> None:
    def sndfile(kind: str, subtype: str) -> Callable[[Path], None]:
        return lambda path: void(path.write_bytes(wav(kind=kind, subtype=subtype)))

    def encoded(options: tuple[object, ...]) -> Callable[[Path], None]:
        return lambda path: void(ffmpeg(path, *options))

    def written(make: Callable[[], bytes]) -> Callable[[Path], None]:
        return lambda path: void(path.write_bytes(make()))

    for ending, (kind, subtype) in LIBSNDFILE.items():
        file(f"intact.{ending}", f"{subtype} in {kind}")(sndfile(kind, subtype))
    for ending, options in FFMPEG.items():
        file(f"intact.{ending}", f"{options[1]} in .{ending.split('.')[-1]}", "ffmpeg")(encoded(options))
    others: dict[str, tuple[str, Callable[[], bytes]]] = {
        "cbr.mp3": ("lame", lame),
        "vbr.mp3": ("lame", lambda: lame("-V", 4)),
        "mono.mp3": ("lame", lambda: lame(channels=1)),
        "low.mp3": ("lame", lambda: lame(rate=22050)),
        "320.mp3": ("lame", lambda: lame("-b", 320, "-p")),
        "lowest.mp3": ("lame", lambda: lame("-b", 8, rate=8000, channels=1)),
        "tagged.mp3": ("lame", lambda: id3(3000, 3000) + lame() + b"TAG" + bytes(125)),
        "ape.mp3": ("lame", lambda: lame() + b"APETAGEX" + struct.pack("<IIII", 2000, 532, 1, 1 << 31) + noise(540)),
        "bare.mp3": ("lame", lambda: lame("-t")),
        "vorbis.ogg": ("oggenc", ogg),
        "mono.ogg": ("oggenc", lambda: ogg(channels=1, rate=32000)),
        "opus": ("opusenc", opus),
        "flac.ogg": ("flac", lambda: flac("--ogg")),
        "ffmpeg.oga": (
            "ffmpeg",
            lambda: run("ffmpeg", "-v", "error", "-i", "-", "-f", "oga", "-c:a", "flac", "-", data=wav()),
        ),
        "cli.flac": ("flac", flac),
    }
    for ending, (tool, make) in others.items():
        file(f"intact.{ending}", f"as {tool} writes it", tool)(written(make))

    @file("intact.twolame.mp2", "MPEG layer II as twolame writes it", "twolame")
    def _(path: Path) -> None:
        source = path.with_suffix(".source.wav")
        source.write_bytes(wav())
        run("twolame", "-b", 192, source, path)
        source.unlink()

    @file("intact.speex.ogg", "Speex in Ogg", "ffmpeg")
    def _(path: Path) -> None:
        ffmpeg(path, "-c:a", "libspeex", rate=16000, channels=1)


def void(_: object) -> None:
    """None, instead of the function's result."""


_intact()

# === Lengths that are unknown, estimated or wrong ===


@file("vbr.aac", "AAC in ADTS, of a variable rate: its length is estimated from the first frames", "ffmpeg")
def _(path: Path) -> None:
    adts(path, quiet_first=True)


@file("vbr-loud-first.aac", "the same, estimated too short", "ffmpeg")
def _(path: Path) -> None:
    adts(path, quiet_first=False)


def adts(path: Path, quiet_first: bool) -> None:
    """AAC whose first quarter, or the rest, is nearly silent."""
    samples = tune()
    quarter = len(samples) // 4
    part = slice(0, quarter) if quiet_first else slice(quarter, None)
    samples[part] *= 0.003
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 44100, format="WAV", subtype="FLOAT")
    command = ("ffmpeg", "-v", "error", "-y", "-i", "-", "-c:a", "aac", "-q:a", 2, "-f", "adts", path)
    run(*command, data=buffer.getvalue())


@file("pipe.flac", "FLAC from a pipe: the header does not say how long it is", "ffmpeg")
def _(path: Path) -> None:
    path.write_bytes(run("ffmpeg", "-v", "error", "-i", "-", "-c:a", "flac", "-f", "flac", "pipe:1", data=wav()))


@file("pipe-cli.flac", "FLAC whose header says 0 samples", "flac")
def _(path: Path) -> None:
    data = bytearray(flac())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)


@file("pipe-zero.wav", "WAV from a pipe: the data chunk has 0 bytes")
def _(path: Path) -> None:
    path.write_bytes(wav_with(pcm(), declared=0))


@file("pipe.wav", "WAV from a pipe: the data chunk has 4 GB", "ffmpeg")
def _(path: Path) -> None:
    path.write_bytes(run("ffmpeg", "-v", "error", "-i", "-", "-f", "wav", "pipe:1", data=wav()))


@file("pipe-sox.wav", "WAV from a pipe: the data chunk has 2 GB", "sox")
def _(path: Path) -> None:
    path.write_bytes(run("sox", "-", "-t", "wav", "-", data=wav()))


@file("pipe.au", "AU from a pipe: its size is unknown", "ffmpeg")
def _(path: Path) -> None:
    path.write_bytes(run("ffmpeg", "-v", "error", "-i", "-", "-f", "au", "pipe:1", data=wav()))


@file("wrapped.wav", "WAV above 4 GB: the 32-bit size starts again from 0 (a sparse file: little on the disk)")
def _(path: Path) -> None:
    with path.open("wb") as out:
        data = pcm()
        out.write(wav_with(b"", declared=len(data)))  # of 2**32 bytes more
        out.write(data)
        out.seek(2**32 - len(data), 1)
        out.write(pcm(seed=1))


@file("short-header.wav", "WAV whose header was not updated: a tenth of the file")
def _(path: Path) -> None:
    data = pcm()
    path.write_bytes(wav_with(data, declared=len(data) // 10 // 4 * 4))


@file("cut.wav", "WAV cut in half")
def _(path: Path) -> None:
    data = wav()
    path.write_bytes(data[: len(data) // 2])


@file("short-header.flac", "FLAC whose header says a tenth of its samples", "flac")
def _(path: Path) -> None:
    data = bytearray(flac())
    data[22:26] = (round(SECONDS * 44100) // 10).to_bytes(4, "big")
    path.write_bytes(data)


@file("live.webm", "WebM as a browser records it: without a length", "ffmpeg")
def _(path: Path) -> None:
    options = ("-c:a", "libopus", "-f", "webm", "-live", 1)
    path.write_bytes(run("ffmpeg", "-v", "error", "-i", "-", *options, "pipe:1", data=wav()))


@file("cut.m4a", "AAC in MP4 cut at 60 %", "ffmpeg")
def _(path: Path) -> None:
    data = ffmpeg(path, "-c:a", "aac", "-movflags", "faststart")
    path.write_bytes(data[: len(data) * 6 // 10])


# === Several streams in one file ===


@file("chained.ogg", "Vorbis streams one after another", "oggenc", seeds=(0, 1, 2))
def _(path: Path) -> None:
    path.write_bytes(ogg(0) + ogg(1) + ogg(2))


@file("chained-rates.ogg", "the same, of other rates and channels", "oggenc", seeds=(0, 1, 2))
def _(path: Path) -> None:
    path.write_bytes(ogg(0) + ogg(1, 48000, 1) + ogg(2, 22050))


@file("twice.ogg", "the same stream twice, of one serial number", "oggenc", seeds=(0, 0))
def _(path: Path) -> None:
    path.write_bytes(ogg() * 2)


@file("chained.opus", "Opus streams one after another", "opusenc", seeds=(0, 1))
def _(path: Path) -> None:
    path.write_bytes(opus(0) + opus(1, 1))


@file("chained-flac.ogg", "FLAC streams in Ogg one after another", "flac", seeds=(0, 1))
def _(path: Path) -> None:
    path.write_bytes(flac("--ogg", "--serial-number=1") + flac("--ogg", "--serial-number=2", seed=1, rate=48000))


@file("chained-codecs.ogg", "Vorbis, then Opus", "oggenc", "opusenc", seeds=(0, 1))
def _(path: Path) -> None:
    path.write_bytes(ogg(0) + opus(1))


@file("radio.ogg", "a radio stream from its middle: positions begin at an hour", "oggenc")
def _(path: Path) -> None:
    path.write_bytes(shifted(ogg(), 3600 * 44100))


@file("radio.opus", "the same in Opus", "opusenc")
def _(path: Path) -> None:
    path.write_bytes(shifted(opus(), 3600 * 48000))


def shifted(data: bytes, by: int) -> bytes:
    """Ogg pages with other positions, and true checksums."""
    changed = bytearray(data)
    for at, size in ogg_pages(data):
        position = struct.unpack_from("<q", data, at + 6)[0]
        if position > 0:
            struct.pack_into("<q", changed, at + 6, position + by)
            seal(changed, at, size)
    return bytes(changed)


def ogg_pages(data: bytes) -> Iterator[tuple[int, int]]:
    """(offset, bytes) of each page (RFC 3533)."""
    at = 0
    while data[at : at + 4] == b"OggS":
        segments = data[at + 26]
        size = 27 + segments + sum(data[at + 27 : at + 27 + segments])
        yield at, size
        at += size


def seal(data: bytearray, at: int, size: int) -> None:
    """Write an Ogg page's checksum."""
    data[at + 22 : at + 26] = bytes(4)
    register = 0
    for byte in data[at : at + size]:
        register = register << 8 & 0xFFFFFFFF ^ _CRC[register >> 24 ^ byte]
    struct.pack_into("<I", data, at + 22, register)


def _crc_of(value: int) -> int:
    register = value << 24
    for _ in range(8):
        register = register << 1 ^ (0x04C11DB7 if register & 1 << 31 else 0)
    return register & 0xFFFFFFFF


_CRC = [_crc_of(value) for value in range(256)]


@file("joined.mp3", "MP3s joined", "lame", seeds=(0, 1))
def _(path: Path) -> None:
    path.write_bytes(lame() + lame(seed=1))


@file("joined-rates.mp3", "MP3s of other rates joined", "lame", seeds=(0, 1, 2))
def _(path: Path) -> None:
    path.write_bytes(lame() + lame(rate=48000, seed=1) + lame(rate=22050, seed=2))


@file("joined-channels.mp3", "MP3s of one and two channels joined", "lame", seeds=(0, 1, 2))
def _(path: Path) -> None:
    path.write_bytes(lame() + lame(channels=1, seed=1) + lame(seed=2))


@file("joined-mono-first.mp3", "the same, one channel first", "lame", seeds=(0, 1))
def _(path: Path) -> None:
    path.write_bytes(lame(channels=1) + lame(seed=1))


@file("joined.flac", "FLACs joined", "flac", seeds=(0, 1))
def _(path: Path) -> None:
    path.write_bytes(flac() + flac(seed=1))


@file("joined.aac", "AAC of other rates joined", "ffmpeg", seeds=(0, 1))
def _(path: Path) -> None:
    first = ffmpeg(path, "-c:a", "aac")
    path.write_bytes(first + ffmpeg(path, "-c:a", "aac", seed=1, rate=32000))


# === One bad packet ===

DAMAGED: dict[str, tuple[object, ...]] = {
    "m4a": ("-c:a", "aac"), "alac.m4a": ("-c:a", "alac"), "tta": ("-c:a", "tta"), "mka": ("-c:a", "libvorbis"),
    "aac": ("-c:a", "aac"), "wma": ("-c:a", "wmav2"), "ac3": ("-c:a", "ac3"), "webm": ("-c:a", "libopus"),
    "flac.mka": ("-c:a", "flac"), "ts": ("-c:a", "aac"), "wv": ("-c:a", "wavpack"),
}  # fmt: skip


def _damaged() -> None:
    def with_ffmpeg(options: tuple[object, ...]) -> Callable[[Path], None]:
        return lambda path: void(path.write_bytes(overwritten(ffmpeg(path, *options), 0.1)))

    def written(make: Callable[[], bytes], size: int = 24) -> Callable[[Path], None]:
        return lambda path: void(path.write_bytes(overwritten(make(), 0.1, size)))

    for ending, options in DAMAGED.items():
        file(f"bad-packet.{ending}", f"24 bytes of noise in {options[1]}", "ffmpeg")(with_ffmpeg(options))
    others: dict[str, tuple[str, Callable[[], bytes]]] = {
        "flac": ("flac", flac),
        "mp3": ("lame", lame),
        "ogg": ("oggenc", ogg),
        "opus": ("opusenc", opus),
        "flac.ogg": ("flac", lambda: flac("--ogg")),
    }
    for ending, (tool, make) in others.items():
        file(f"bad-packet.{ending}", f"24 bytes of noise in {ending}", tool)(written(make))
        file(f"bad-part.{ending}", f"5,000 bytes of noise in {ending}", tool)(written(make, 5000))

    @file("bad-packet.cli.wv", "24 bytes of noise in WavPack", "wavpack")
    def _(path: Path) -> None:
        source = path.with_suffix(".source.wav")
        source.write_bytes(wav())
        run("wavpack", "-q", "-y", source, "-o", path)
        source.unlink()
        path.write_bytes(overwritten(path.read_bytes(), 0.1))


_damaged()


@file("many-bad-packets.mp3", "24 bytes of noise at 30 places of an MP3", "lame")
def _(path: Path) -> None:
    data = lame()
    for i in range(30):
        data = overwritten(data, 0.05 + i * 0.03)
    path.write_bytes(data)


# === What is not what it seems ===


@file("broken-tag.mp3", "MP3 behind an ID3 tag with frames of wrong sizes", "lame")
def _(path: Path) -> None:
    frames = b"TIT2" + b"\0\0\xf0\x90" + b"\0\0\1\xff\xfeA\0" + noise(300)
    head = b"ID3\4\0\0" + bytes([0, 0, len(frames) >> 7, len(frames) & 127])
    path.write_bytes(head + frames + lame())


@file("aac.mp3", "AAC named .mp3", "ffmpeg")
def _(path: Path) -> None:
    source = path.with_suffix(".aac")
    path.write_bytes(ffmpeg(source, "-c:a", "aac"))
    source.unlink()


@file("tagged-aac.mp3", "AAC behind an ID3 tag, named .mp3", "ffmpeg")
def _(path: Path) -> None:
    source = path.with_suffix(".aac")
    path.write_bytes(id3(300, 300) + ffmpeg(source, "-c:a", "aac"))
    source.unlink()


@file("ac3.wav", "AC-3 named .wav", "ffmpeg")
def _(path: Path) -> None:
    path.write_bytes(ffmpeg(path.with_suffix(".ac3"), "-c:a", "ac3"))
    path.with_suffix(".ac3").unlink()


@file("gsm.wav", "GSM 6.10 in WAV, where libsndfile cannot seek")
def _(path: Path) -> None:
    path.write_bytes(wav(8000, 1, subtype="GSM610"))


def id3(size: int, declared: int) -> bytes:
    """An ID3v2 tag with `size` bytes of zeros, said to be `declared`."""
    digits = bytes(declared >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + digits + bytes(size)


@file("tag-too-long.mp3", "MP3 behind an ID3 tag that is said to be longer than the file", "lame")
def _(path: Path) -> None:
    path.write_bytes(id3(500, 2**28 - 1) + lame())


@file("tag-half.mp3", "MP3 behind an ID3 tag that is said to end in the middle of the file", "lame")
def _(path: Path) -> None:
    data = lame()
    path.write_bytes(id3(500, len(data) // 2) + data)


@file("tag-too-short.mp3", "MP3 behind an ID3 tag of 200 kB that is said to be 100 bytes", "lame")
def _(path: Path) -> None:
    path.write_bytes(id3(200_000, 100) + lame())


@file("dts.wav", "DTS in a WAV marked PCM, as on DTS CDs", "ffmpeg")
def _(path: Path) -> None:
    raw = ffmpeg(path.with_suffix(".dts"), "-c:a", "dca", "-strict", -2, "-b:a", 1411200)
    path.with_suffix(".dts").unlink()
    path.write_bytes(wav_with(raw))


@file("ac3-pcm.wav", "AC-3 in a WAV marked PCM", "ffmpeg")
def _(path: Path) -> None:
    raw = ffmpeg(path.with_suffix(".ac3"), "-c:a", "ac3")
    path.with_suffix(".ac3").unlink()
    path.write_bytes(wav_with(raw))


@file("spdif.wav", "AC-3 as sent over S/PDIF, in a WAV marked PCM", "ffmpeg")
def _(path: Path) -> None:
    other = path.with_suffix(".spdif")
    raw = ffmpeg(other, "-c:a", "ac3", "-f", "spdif", rate=48000)
    other.unlink()
    path.write_bytes(wav_with(raw, rate=48000))


@file("mp3-pcm.wav", "MP3 in a WAV marked PCM", "lame")
def _(path: Path) -> None:
    path.write_bytes(wav_with(lame("-t")))


@file("mp3-riff.wav", "MP3 in a WAV that says so", "ffmpeg")
def _(path: Path) -> None:
    ffmpeg(path, "-c:a", "libmp3lame")


@file("two-tags.mp3", "MP3 behind two ID3 tags, and 70 kB of zeros", "lame")
def _(path: Path) -> None:
    path.write_bytes(id3(300, 300) * 2 + bytes(70_000) + lame())


@file("junk-inside.mp3", "MP3 with 5,000 bytes of noise in between", "lame")
def _(path: Path) -> None:
    data = lame("-t")
    path.write_bytes(data[: len(data) // 2] + noise(5000) + data[len(data) // 2 :])


@file("cut-start.mp3", "MP3 that begins in the middle of a frame", "lame")
def _(path: Path) -> None:
    data = lame("-t")
    path.write_bytes(data[1000:])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
