"""Reading at a model's sample rate, and cutting into excerpts."""

import tracemalloc
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st
from toy import RATE, music, write_audio

from musiczoo import audio
from musiczoo.errors import AudioError, AudioNotFoundError, InputError


@dataclass(frozen=True)
class Frame:
    """A rate and a length of excerpts, as a card has them."""

    sample_rate: int = RATE
    excerpt_samples: int = 66150


RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192_000]


@pytest.mark.parametrize("rate", RATES)
def test_streaming_equals_resampling_the_whole_file_at_once(tmp_path: Path, rate: int) -> None:
    written = music(7, rate)
    path = write_audio(tmp_path / "a.wav", written, rate, subtype="FLOAT")
    got = np.concatenate(list(audio.blocks(path, RATE)))
    expected = soxr.resample(written, rate, RATE, quality="HQ")
    assert got.dtype == np.float32
    assert abs(len(got) - len(expected)) <= 1
    n = min(len(got), len(expected))
    np.testing.assert_allclose(got[:n], expected[:n], atol=1e-6)


def test_resampling_keeps_a_tone_and_its_level() -> None:
    """A 1 kHz sine stays a 1 kHz sine: known without any resampler."""
    t = np.arange(2 * 48000) / 48000
    source = 0.5 * np.sin(2 * np.pi * 1000 * t)
    ((start, got),) = audio.excerpts(source, Frame(16000, 32000), source_rate=48000)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(32000) / 16000)
    assert start == 0
    np.testing.assert_allclose(got[500:-500], expected[500:-500], atol=1e-4)


def test_read_takes_the_first_seconds(song: Callable[..., Path]) -> None:
    path = song("a.flac", seconds=5, rate=44100)
    whole = audio.read(path, RATE)
    assert len(whole) == 5 * RATE
    np.testing.assert_array_equal(audio.read(path, RATE, duration_s=2.5), whole[: round(2.5 * RATE)])
    np.testing.assert_array_equal(audio.read(path, RATE, duration_s=99), whole)
    for bad in (0, -1, np.nan, np.inf, "3"):
        with pytest.raises(InputError, match="duration_s"):
            audio.read(path, RATE, duration_s=bad)


def test_blocks_start_anywhere(song: Callable[..., Path]) -> None:
    path = song("a.flac", seconds=5)
    whole = audio.read(path, RATE)
    part = np.concatenate(list(audio.blocks(path, RATE, start_s=2)))
    np.testing.assert_array_equal(part, whole[2 * RATE :])
    with pytest.raises(AudioError, match=r"from 5\.00 s on: it ends at 5\.00 s"):
        list(audio.blocks(path, RATE, start_s=5))
    for bad in (-1, np.nan, np.inf):
        with pytest.raises(InputError, match="start_s"):
            audio.blocks(path, RATE, start_s=bad)


def test_probe(song: Callable[..., Path]) -> None:
    assert audio.probe(song("a.ogg", seconds=3, rate=48000, channels=2)) == audio.AudioInfo(3.0, 48000, 2)
    with pytest.raises(AudioNotFoundError):
        audio.probe("absent.ogg")


@given(
    total=st.integers(1, 5000),
    size=st.integers(1, 700),
    hop=st.integers(1, 900),
    block=st.sampled_from([1, 7, 1000, 16384]),
)
def test_excerpts_are_slices_at_multiples_of_the_hop(total: int, size: int, hop: int, block: int) -> None:
    """Compare with the definition, for any size of the blocks in which the samples arrive."""
    samples = np.arange(1, total + 1, dtype=np.float32) / 8192
    starts = [i for i in range(0, total, hop) if i + size <= total]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr("musiczoo.audio.io.BLOCK", block)
        warnings.simplefilter("ignore", audio.ShortAudioWarning)
        cut = audio.excerpts(samples, Frame(1000, size), hop_s=hop / 1000, source_rate=1000)
        got = list(cut)
    assert cut.duration_s == total / 1000
    assert cut.padded == (total < size)
    if cut.padded:
        ((start, excerpt),) = got
        assert start == 0
        np.testing.assert_array_equal(excerpt, [*samples, *[0] * (size - total)])
        return
    assert [round(start * 1000) for start, _ in got] == starts
    for (_, excerpt), start in zip(got, starts, strict=True):
        np.testing.assert_array_equal(excerpt, samples[start : start + size])


@given(
    total=st.integers(0, 10**7),
    size=st.integers(1, 10**5),
    count=st.integers(1, 100),
    grid=st.sampled_from([1, 147, 320, 441]),
)
def test_spread_excerpts_cover_the_song_evenly(total: int, size: int, count: int, grid: int) -> None:
    starts = audio.spread_starts(total, size, count, grid)
    assert len(starts) == min(count, total // size)
    if not starts:
        return
    assert all(start % grid == 0 for start in starts)
    assert starts[0] >= 0
    assert starts[-1] + size <= total
    gaps = np.diff(starts)
    assert (gaps > size - 2 - grid).all()  # apart by no less than an excerpt, but for rounding
    assert np.ptp(gaps) <= 1 + grid if len(gaps) else True
    before, after = starts[0], total - starts[-1] - size
    assert -1 <= after - before <= 2 * grid + 2  # as much is left out at the end as at the start


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("in_memory", [True, False])
def test_seeking_equals_converting_the_whole_song(tmp_path: Path, rate: int, in_memory: bool) -> None:
    written = music(20, rate, channels=2)
    whole = soxr.resample(written.mean(axis=1), rate, RATE, quality="HQ")
    path = write_audio(tmp_path / "a.wav", written, rate, subtype="FLOAT")
    cut = audio.excerpts(written if in_memory else path, Frame(), count=4, source_rate=rate if in_memory else None)
    got = list(cut)
    assert [start for start, _ in got] == pytest.approx([1, 6, 11, 16], abs=0.01)
    assert cut.duration_s == 20
    for start, excerpt in got:
        first = round(start * RATE)
        np.testing.assert_allclose(excerpt, whole[first : first + 66150], atol=2e-6)


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "opus"])
def test_seeking_in_lossy_files_equals_streaming(tmp_path: Path, suffix: str) -> None:
    path = write_audio(tmp_path / f"a.{suffix}", music(30, 48000), 48000)
    whole = audio.read(path, RATE)
    for start, excerpt in audio.excerpts(path, Frame(), count=5):
        first = round(start * RATE)
        np.testing.assert_allclose(excerpt, whole[first : first + 66150], atol=1e-3)


def test_seeking_decodes_only_what_it_needs(song: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = song("a.wav", seconds=120), []
    real = soundfile.SoundFile.read

    def counted(self: soundfile.SoundFile, *args: Any, **kwargs: Any) -> Any:
        block = real(self, *args, **kwargs)
        read.append(len(block))
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    assert len(list(audio.excerpts(path, Frame(), count=5))) == 5
    assert sum(read) <= 5 * (66150 + 2 * 0.25 * RATE + 2 * 16384)


@pytest.mark.parametrize("count", [None, 5])
@pytest.mark.parametrize(("channels", "rate"), [(1, 44100), (2, 44100), (2, 22050)])
@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac"])
def test_excerpts_may_be_read_in_any_order(
    song: Callable[..., Path], suffix: str, channels: int, rate: int, count: int | None
) -> None:
    path = song(f"a.{suffix}", seconds=30, rate=rate, channels=channels)
    in_order = list(audio.excerpts(path, Frame(), count=count))
    unread = list(audio.excerpts(path, Frame(), count=count).unread())
    assert [start for start, _ in unread] == [start for start, _ in in_order]
    with ThreadPoolExecutor(4) as pool:
        samples = list(pool.map(lambda pair: pair[1](), reversed(unread)))
    for (_, expected), got in zip(in_order, reversed(samples), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_no_more_excerpts_than_fit(song: Callable[..., Path]) -> None:
    assert len(list(audio.excerpts(song(seconds=10), Frame(), count=50))) == 3
    with pytest.warns(audio.ShortAudioWarning, match=r"2\.00 s is shorter than one excerpt of 3\.00 s"):
        ((start, excerpt),) = audio.excerpts(song(seconds=2), Frame(), count=50)
    assert start == 0
    assert not excerpt[2 * RATE :].any()


def test_excerpts_of_a_file_shorter_than_declared(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", music(30, 44100), 44100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = audio.excerpts(path, Frame(), count=3)
    with pytest.warns(audio.TruncatedAudioWarning, match=r"of 30\.00 s can be decoded"):
        got = list(cut)
    assert len(got) == 3
    assert 10 < cut.duration_s < 16
    assert got[-1][0] + 3 <= cut.duration_s


@pytest.mark.parametrize("hop", [0, -1, np.nan, np.inf, 1e-9, "3"])
def test_invalid_hops(song: Callable[..., Path], hop: Any) -> None:
    with pytest.raises(InputError, match="hop must be a positive number of seconds, got"):
        audio.excerpts(song(), Frame(), hop_s=hop)


@pytest.mark.parametrize("count", [0, -3, 2.5, True, "3"])
def test_invalid_counts(song: Callable[..., Path], count: Any) -> None:
    with pytest.raises(InputError, match="whole number of excerpts"):
        audio.excerpts(song(), Frame(), count=count)


def test_samples_at_the_model_s_rate_come_back_unchanged() -> None:
    samples = music(7)
    got = [x for _, x in audio.excerpts(samples, Frame(), source_rate=RATE)]
    np.testing.assert_array_equal(np.concatenate(got), samples[: 2 * 66150])


def test_memory_does_not_grow_with_the_song(tmp_path: Path) -> None:
    path, minutes = tmp_path / "long.wav", 10
    with soundfile.SoundFile(path, "w", 16000, 1) as file:
        for _ in range(minutes * 60):
            file.write(np.zeros(16000, np.int16))
    tracemalloc.start()
    assert sum(1 for _ in audio.excerpts(path, Frame())) == minutes * 20
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < minutes * 60 * RATE * 4 / 10


def test_many_channels_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full((40_000, 200), 0.5, np.float32), RATE, subtype="PCM_16")
    tracemalloc.start()
    try:
        samples = audio.read(path, RATE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(samples, np.full(40_000, 0.5), atol=1e-4)
    assert peak < 5e6  # a block of 32,768 frames would be 26 MB
