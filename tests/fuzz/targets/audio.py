"""Audio files: opening, decoding, counting, seeking, and what they say of themselves."""

import io
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import av
import containers
import havoc
import mutagen.id3
import numpy as np
import soundfile
import soxr  # noqa: F401  (here, so that its memory is not the first input's)

from musiczoo import audio
from musiczoo.audio import libsndfile
from musiczoo.library import metadata

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".raw", ".mka")
"""The first byte of an input says what its name ends with, and by whom of `DECODERS` it may be decoded."""

DECODERS = ("libsndfile, then FFmpeg", "libsndfile", "FFmpeg")
"""As with the extra [av], as without, and so that FFmpeg meets what libsndfile would keep for itself."""

PLAYLISTS = [
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:/etc/passwd\n#EXT-X-ENDLIST\n",
    b"ffconcat version 1.0\nfile other.wav\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
]
"""Which FFmpeg would follow."""

EXCERPTS = 40
"""TrackFeatures of an input: a small file may well decode to hours."""


class Framing:
    """The excerpts of a model."""

    sample_rate = 22050
    excerpt_samples = 66150


def _noise(seconds: float, rate: int, channels: int) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((round(seconds * rate), channels)) * 0.1
    return noise.astype(np.float32)


def _sound(kind: str, subtype: str | None, seconds: float = 0.2, rate: int = 16000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, _noise(seconds, rate, channels), rate, format=kind, subtype=subtype)
    return file.getvalue()


def _packed(kind: str, codec: str, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", bit_rate=64_000)
        frame = av.AudioFrame.from_ndarray(_noise(0.25, rate, 1).T.copy(), format="fltp", layout="mono")
        frame.sample_rate = rate
        for part in av.AudioResampler(stream.format.name, "mono", rate).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def _wav(channels: int, rate: int, frames: int, declared: int) -> bytes:
    body = bytes(2 * channels * frames)
    form = np.array([1, channels], "<u2").tobytes() + np.array([rate, rate * 2 * channels % 2**32], "<u4").tobytes()
    form += np.array([2 * channels % 65536, 16], "<u2").tobytes()
    chunks = b"WAVEfmt " + len(form).to_bytes(4, "little") + form + b"data" + declared.to_bytes(4, "little") + body
    return b"RIFF" + (declared % 2**32).to_bytes(4, "little") + chunks


def _tagged(data: bytes) -> bytes:
    file = io.BytesIO(data)
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(encoding=3, text=["A title"]))
    tags.add(mutagen.id3.TDRC(encoding=3, text=["1999"]))
    file.seek(0)
    tags.save(file, v2_version=4)
    return file.getvalue()


def seeds() -> list[bytes]:
    """Each format, small; 1000 channels, rates of 0 and 10 MHz, hours declared and not there; playlists."""
    mp3 = _sound("MP3", None, 0.3)
    plain = ("WAV PCM_16", "RF64 PCM_24", "W64 PCM_16", "AIFF PCM_16", "AU ULAW", "CAF ALAC_16", "WAV IMA_ADPCM")
    files = {
        ".wav": [
            *(_sound(*kind.split()) for kind in plain),
            _sound("WAV", "FLOAT", channels=2),
            *(_wav(1000, 44100, 5, 10_000), _wav(1, 0, 100, 200)),
            *(_wav(2, 10_000_000, 100, 400), _wav(1, 8000, 100, 2**32 - 1)),
        ],
        ".flac": [_sound("FLAC", "PCM_16", channels=2), _sound("FLAC", "PCM_24", 0.1, 96000)],
        ".ogg": [_sound("OGG", "VORBIS")],
        ".mp3": [mp3, _tagged(mp3), mp3 * 2],
        ".opus": [_sound("OGG", "OPUS", rate=48000)],
        ".m4a": [_packed("ipod", "aac"), _packed("ipod", "alac"), _packed("adts", "aac")],
        ".raw": [bytes(200)],
        ".mka": [_packed("matroska", "libopus", 48000), _packed("asf", "wmav2", 44100), _packed("avi", "mp2", 44100)],
    }
    files[".mka"] += PLAYLISTS
    # Several streams in one file, lengths that are unknown or wrong, tags that lie, and what headers deny.
    files[".ogg"] += [
        files[".ogg"][0] * 2,
        files[".ogg"][0] + files[".opus"][0],
        files[".ogg"][0] + _sound("OGG", "VORBIS"),
    ]
    files[".flac"] += [files[".flac"][0] * 2, files[".flac"][0][:21] + bytes(5) + files[".flac"][0][26:]]
    files[".mp3"] += [mp3 + _sound("MP3", None, 0.3, 22050), mp3 + _sound("MP3", None, 0.3, channels=2)]
    files[".mp3"] += [
        b"ID3\3\0\0\x7f\x7f\x7f\x7f" + bytes(9) + mp3,
        mp3[:700] + bytes(99) + mp3[700:],
        files[".m4a"][2],
    ]
    files[".wav"] += [_wav(1, 8000, 4000, 0), _wav(1, 8000, 4000, 100), _sound("WAV", "GSM610", 0.3, 8000)]
    files[".wav"] += [_wav(2, 44100, 0, 8192) + b"\x7f\xfe\x80\x01" + bytes(2044) + b"\x7f\xfe\x80\x01" + bytes(2044)]
    files[".wav"] += [_wav(2, 44100, 0, len(mp3)) + mp3]
    return [
        bytes([SUFFIXES.index(suffix) + len(SUFFIXES) * decoder]) + data
        for suffix, contents in files.items()
        for data in contents
        for decoder in range(len(DECODERS))
    ]


def run(data: bytes) -> None:
    """Read its length and tags, its beginning, and excerpts of all of it."""
    first, content = (data[0], data[1:]) if data else (0, b"")
    path = Path(f"a{SUFFIXES[first % len(SUFFIXES)]}")
    path.write_bytes(content)
    metadata.read(str(path))
    with _only(DECODERS[first // len(SUFFIXES) % len(DECODERS)]):
        _hear(path)


@contextmanager
def _only(decoder: str) -> Iterator[None]:
    if decoder == "libsndfile":
        sys.modules["av"] = None  # type: ignore[assignment]  # as if it were not installed
        try:
            yield
        finally:
            sys.modules["av"] = av
    elif decoder == "FFmpeg":
        with patch("musiczoo.audio.libsndfile.open_file", return_value=libsndfile.Opened(None)):
            yield
    else:
        yield


def _hear(path: Path) -> None:
    info = audio.probe(path)
    assert info.duration_s >= 0, info
    assert info.channels > 0, info
    assert 1_000 <= info.sample_rate <= 1_000_000, info
    for cuts in (audio.excerpts(path, Framing(), hop_s=3.0), audio.excerpts(path, Framing(), count=3)):
        for start, samples in islice(cuts, EXCERPTS):
            assert samples.shape == (Framing.excerpt_samples,)
            assert np.isfinite(samples).all()
            assert start >= 0
    next(audio.blocks(path, 8000, start_s=0.1))


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A number of a header replaced, or bytes changed; then checksums are made true, mostly."""
    kind, content = data[:1], data[1:]
    if dice.random() < 0.02:
        kind = bytes([dice.randrange(len(SUFFIXES) * len(DECODERS))])
    numbers = containers.fields(content) if dice.random() < 0.7 else []
    if numbers:
        field = dice.choice(numbers)
        content = havoc.overwritten(content, field.at, havoc.number(field.length, field.big, dice))
    else:
        content = havoc.mutate(content, dice)
    return kind + (containers.sealed(content) if dice.random() < 0.9 else content)
