"""Songs of many kinds, and what stands in their fields."""

import functools
import tempfile
from pathlib import Path

import av
import mutagen
import numpy as np
from mutagen import asf, flac, id3, mp4
from toy import CARD, RATE, music, write_audio

from musiczoo.track import Track, summarise

NATIVE = ("mp3", "ogg", "opus", "flac", "wav", "aiff")
CODECS = {"m4a": "aac", "wma": "wmav2", "wv": "wavpack"}
KINDS = (*NATIVE, *CODECS)
SECONDS = 1.2
TITLE = "Ärger & <Söhne>; \N{EIGHTH NOTE}"


def track(**probabilities: float) -> Track:
    """A track in which all other tags are improbable."""
    values = np.array([[probabilities.get(tag, 0.01) for tag in CARD.tags]], np.float32)
    return summarise(CARD, np.zeros(1), np.ones((1, 256), np.float32), values, path=None, duration_s=3)


TRACK = track(jazz=0.9, guitar=0.75, rock=0.4)
WRITTEN = {
    "MUSICZOO_TAGS": ["jazz", "guitar"],
    "MUSICZOO_PROBABILITIES": ["0.900", "0.750"],
    "MUSICZOO_MODEL": ["toy 1"],
    "MUSICZOO_SPACE": ["toy-1"],
}


@functools.cache
def song_of(kind: str) -> bytes:
    """The bytes of a song without fields."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"song.{kind}"
        if kind in NATIVE:
            rate = 48000 if kind == "opus" else RATE
            write_audio(path, music(SECONDS, rate), rate)
        else:
            encode(path, CODECS[kind])
        return path.read_bytes()


def encode(path: Path, codec: str) -> None:
    """Write a file with FFmpeg."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44100, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(music(SECONDS, 44100)[None], format="fltp", layout="mono")
        frame.rate = 44100
        wanted = stream.codec_context.codec.audio_formats[0].name
        resampler = av.AudioResampler(format=wanted, layout="mono", rate=44100, frame_size=1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def make(folder: Path, kind: str) -> Path:
    """A song of a kind, without fields."""
    path = folder / f"song.{kind}"
    path.write_bytes(song_of(kind))
    return path


def others(path: Path) -> None:
    """What a tag editor writes: title, genre, a picture, and a custom field."""
    song = mutagen.File(path)
    if song.tags is None:
        song.add_tags()
    if isinstance(song.tags, id3.ID3):
        song.tags.add(id3.TIT2(encoding=3, text=TITLE))
        song.tags.add(id3.TCON(encoding=3, text=["Jazz", "Blues"]))
        song.tags.add(id3.TXXX(encoding=3, desc="MOOD", text=["mellow"]))
        song.tags.add(id3.TXXX(encoding=3, desc="MUSICZOO_OF_SOMEBODY_ELSE", text=["x"]))
        song.tags.add(id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=b"\x89PNG" * 500))
    elif isinstance(song.tags, mp4.MP4Tags):
        song.tags["\xa9nam"] = [TITLE]
        song.tags["\xa9gen"] = ["Jazz", "Blues"]
        song.tags["----:com.apple.iTunes:MOOD"] = [b"mellow"]
        song.tags["covr"] = [mp4.MP4Cover(b"\x89PNG" * 500, mp4.MP4Cover.FORMAT_PNG)]
    else:
        song.tags["TITLE"] = TITLE
        song.tags["GENRE"] = ["Jazz", "Blues"]
        song.tags["MUSICZOO_OF_SOMEBODY_ELSE"] = "x"
    if isinstance(song, flac.FLAC):
        picture = flac.Picture()
        picture.data, picture.mime = b"\x89PNG" * 500, "image/png"
        song.add_picture(picture)
    song.save()


def fields(path: Path) -> dict[str, object]:
    """All fields, as mutagen reads them by default."""
    song = mutagen.File(path)
    found = {
        key: str(value) if isinstance(song.tags, asf.ASFTags) else value for key, value in (song.tags or {}).items()
    }
    if isinstance(song, flac.FLAC):
        found["pictures"] = [picture.data for picture in song.pictures]
    return found


def without_ours(found: dict[str, object]) -> dict[str, object]:
    ours = tuple(WRITTEN) + tuple(name.replace("MUSICZOO_", "----:ORG.MUSICZOO:") for name in WRITTEN)
    return {key: value for key, value in found.items() if not key.upper().endswith(ours)}


def decoded(path: Path) -> bytes:
    """All samples."""
    with av.open(str(path)) as container:
        return b"".join(frame.to_ndarray().tobytes() for frame in container.decode(audio=0))
