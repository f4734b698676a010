"""`musiczoo.models.tfio` against soundfile and soxr, on clips written here."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf

from musiczoo.errors import InputError
from musiczoo.models import tfio

RATE = 22050
CLIPS = [  # name, soundfile's subtype, Hz, channels
    ("stereo.mp3", "MPEG_LAYER_III", 44100, 2),
    ("half_rate.mp3", "MPEG_LAYER_III", 22050, 1),
    ("stereo.ogg", "VORBIS", 44100, 2),
    ("studio.ogg", "VORBIS", 48000, 1),
    ("stereo.flac", "PCM_16", 44100, 2),
    ("studio.flac", "PCM_24", 48000, 1),
    ("rough.flac", "PCM_S8", 32000, 2),
]


def write(path: Path, subtype: str, rate: int, channels: int = 1, seconds: float = 2.0) -> Path:
    """A sweep with noise, each channel at a different level."""
    t = np.arange(round(seconds * rate)) / rate
    mono = 0.4 * np.sin(2 * np.pi * (100 + 500 * t) * t) + 0.05 * np.random.default_rng(0).standard_normal(len(t))
    soundfile.write(path, mono[:, None] * np.linspace(0.3, 1, channels), rate, subtype=subtype)
    return path


def expected(path: Path) -> np.ndarray:
    """The file through soundfile and soxr."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate, RATE, quality="HQ")


@pytest.mark.parametrize(("name", "subtype", "rate", "channels"), CLIPS)
def test_waveform_is_that_of_soundfile_and_soxr(
    name: str, subtype: str, rate: int, channels: int, tmp_path: Path
) -> None:
    path = write(tmp_path / name, subtype, rate, channels)
    (waveform,) = tfio.waveforms([path], RATE)
    assert waveform.dtype == tf.float32
    assert waveform.shape == expected(path).shape
    # Lossless is exact; two decoders of the same lossy stream differ by rounding.
    tolerance = 0 if name.endswith("flac") else 5e-6
    np.testing.assert_allclose(waveform, expected(path), rtol=0, atol=tolerance)


def test_many_files_keep_their_order_and_rate(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}{c[0]}", *c[1:], seconds=0.5 + 0.1 * i) for i, c in enumerate(CLIPS)] * 8
    waveforms = list(tfio.waveforms(paths, RATE))
    assert len(waveforms) == len(paths)
    for path, waveform in zip(paths, waveforms, strict=True):
        np.testing.assert_allclose(waveform, expected(path), rtol=0, atol=5e-6)


def test_excerpts_are_consecutive_and_short_files_padded(tmp_path: Path) -> None:
    long = write(tmp_path / "long.flac", "PCM_16", RATE, seconds=2.5)
    short = write(tmp_path / "short.flac", "PCM_16", RATE, seconds=0.5)
    excerpts = np.stack(list(tfio.excerpts([long, short], SimpleNamespace(sample_rate=RATE, excerpt_samples=RATE))))
    assert excerpts.shape == (3, RATE)
    np.testing.assert_array_equal(excerpts[:2].ravel(), expected(long)[: 2 * RATE])
    np.testing.assert_array_equal(excerpts[2, : RATE // 2], expected(short))
    assert not excerpts[2, RATE // 2 :].any()


def test_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = write(tmp_path / "song.flac", "PCM_16", RATE)
    (waveform,) = tfio.waveforms([path.rename(tmp_path / "song.mp3")], RATE)
    np.testing.assert_array_equal(waveform, expected(tmp_path / "song.mp3"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.ogg", b"", "got no audio"),
        ("text.mp3", b"hello " * 100, "got no audio"),
        ("song.wav", None, "got WAV"),
        ("opus.ogg", None, "got OGG OPUS"),
    ],
)
def test_what_is_not_decoded_says_so(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    else:
        soundfile.write(path, np.zeros(4800), 48000, subtype="OPUS" if path.suffix == ".ogg" else None)
    with pytest.raises(tf.errors.OpError, match=f"{name}: expected MP3, Ogg Vorbis or FLAC, .*{message}"):
        list(tfio.waveforms([path], RATE))


def test_a_file_that_ends_early_is_an_error_that_can_be_ignored(tmp_path: Path) -> None:
    good = write(tmp_path / "good.flac", "PCM_16", RATE)
    (tmp_path / "cut.flac").write_bytes(good.read_bytes()[:20000])
    with pytest.raises(tf.errors.OpError):
        list(tfio.waveforms([tmp_path / "cut.flac"], RATE))
    files = [tmp_path / "cut.flac", good, tmp_path / "missing.flac"]
    (waveform,) = tfio.waveforms(files, RATE).ignore_errors()
    np.testing.assert_array_equal(waveform, expected(good))


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one or more paths"):
        tfio.waveforms([], RATE)
    with pytest.raises(InputError, match="list"):
        tfio.waveforms("song.mp3", RATE)
    with pytest.raises(InputError, match="sample_rate"):
        tfio.waveforms([tmp_path / "a.mp3"], 0)
