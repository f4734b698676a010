"""Silence, opposite phase, constant offsets and low levels are repaired by `analyze`; nothing else changes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from toy import CARD, RATE, SIZE, music, toy_answer, write_audio

import musiczoo
from musiczoo import Model, Track, audio, demo, load
from musiczoo.audio.repair import LEAST_OFFSET, QUIET_RMS, SILENT_RMS, USUAL_RMS
from musiczoo.track import summarise

STEP = 1 / 32768
"""Of 16 bits."""


def dither(seconds: float) -> np.ndarray:
    """Silence as a 16-bit recording has it, with triangular dither: whole steps."""
    random = np.random.default_rng(0)
    two = random.uniform(-0.5, 0.5, (2, round(seconds * RATE))).sum(axis=0)
    return (np.round(two) * STEP).astype(np.float32)


def at(level: float, seconds: float = 7) -> np.ndarray:
    """White noise of a level in dBFS RMS."""
    noise = np.random.default_rng(1).standard_normal(round(seconds * RATE)) * 10 ** (level / 20)
    return noise.astype(np.float32)


def equal(one: Track, other: Track) -> bool:
    """Whether numbers and tags are the same to the bit."""
    names = "embedding", "taggram", "embeddings", "times"
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names) and np.array_equal(
        one.tags.probabilities, other.tags.probabilities
    )


# === Silence ===


@pytest.mark.parametrize(
    ("samples", "suffix"),
    [
        *((np.zeros(7 * RATE, np.float32), suffix) for suffix in (".wav", ".flac", ".ogg", ".mp3", ".opus")),
        *((dither(7), suffix) for suffix in (".wav", ".flac", ".ogg", ".mp3", ".opus")),
        *((np.full(7 * RATE, 0.25, np.float32), suffix) for suffix in (".wav", ".flac")),  # others shape its edges
    ],
)
@pytest.mark.parametrize("excerpts", [None, 2])
def test_silence_has_no_tags_and_a_zero_embedding(
    toy: Model, tmp_path: Path, samples: np.ndarray, suffix: str, excerpts: int | None
) -> None:
    rate = 48_000 if suffix == ".opus" else RATE
    path = write_audio(tmp_path / f"a{suffix}", np.resize(samples, 7 * rate), rate)
    with pytest.warns(musiczoo.SilentAudioWarning, match=r"all of it is silent \(below -84 dBFS RMS\)"):
        track = toy.analyze(path, excerpts=excerpts)
    assert track.tags.above_threshold() == []
    assert not track.tags.probabilities.any()
    assert not track.embedding.any()
    assert not track.space("mood").any()
    assert track.taggram.shape == (2, 50)
    assert track.embeddings.shape == (2, 256)
    assert not track.taggram.any()
    assert not track.embeddings.any()
    assert len(track.times) == 2
    assert track.duration_s == pytest.approx(7, abs=0.1)


def test_the_limit_is_two_steps_of_16_bits() -> None:
    assert 20 * np.log10(SILENT_RMS) == pytest.approx(-84.3, abs=0.05)
    assert SILENT_RMS == 2 * STEP
    assert dither(3).std() == pytest.approx(0.5 * STEP, rel=0.02)  # variance 2/12 of the dither and 1/12 of rounding


@pytest.mark.parametrize(("level", "silent"), [(-120, True), (-85, True), (-83.5, False), (-70, False)])
def test_quiet_music_is_not_silence(toy: Model, level: float, silent: bool) -> None:
    with pytest.warns(musiczoo.SilentAudioWarning if silent else musiczoo.QuietAudioWarning):
        track = toy.analyze(at(level), RATE)
    assert track.embedding.any() != silent


def test_silent_excerpts_are_left_out_of_the_mean(toy: Model) -> None:
    first, last = music(6, seed=1), music(6, seed=2)
    samples = np.concatenate([first, np.zeros(900 * RATE, np.float32), last])  # 15 minutes before a hidden track
    track = toy.analyze(samples, RATE)
    embeddings, tags = toy_answer(np.stack([*first.reshape(2, SIZE), *last.reshape(2, SIZE)]))
    assert len(track.times) == 304
    np.testing.assert_allclose(track.tags.probabilities, tags.mean(axis=0), atol=1e-6)
    mean = embeddings.mean(axis=0).reshape(4, 64)
    expected = (mean / np.linalg.norm(mean, axis=1, keepdims=True) / 2).ravel()
    np.testing.assert_allclose(track.embedding, expected, atol=1e-6)
    sounding = [0, 1, 302, 303]
    np.testing.assert_allclose(track.embeddings[sounding], embeddings, atol=1e-6)
    assert not np.delete(track.embeddings, sounding, axis=0).any()
    assert not np.delete(track.taggram, sounding, axis=0).any()
    assert track.warnings == ()
    assert equal_summary(track, toy.analyze(np.concatenate([first, last]), RATE))


def equal_summary(one: Track, other: Track) -> bool:
    return np.array_equal(one.embedding, other.embedding) and np.array_equal(
        one.tags.probabilities, other.tags.probabilities
    )


def test_silence_has_no_predicted_tags_with_a_threshold_of_zero(toy: Model) -> None:
    card = dataclasses.replace(CARD, thresholds=dict.fromkeys(CARD.tags, 0.0))
    nothing = np.zeros((1, 256), np.float32), np.zeros((1, 50), np.float32)
    track = summarise(card, np.zeros(1), *nothing, path=None, duration_s=3, silent=np.array([True]))
    assert track.tags.above_threshold() == []


# === Channels ===


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("excerpts", [None, 1, 2])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ""])
def test_opposite_channels_are_analyzed_as_one(
    toy_folder: Path, tmp_path: Path, suffix: str, excerpts: int | None, threads: int
) -> None:
    model, mono = load(toy_folder, threads=threads), music(10, 44_100)
    both = np.stack([mono, -mono], axis=1)
    sources: list[Any] = [both, mono]
    if suffix:
        sources = [write_audio(tmp_path / f"{name}{suffix}", x, 44_100) for name, x in (("a", both), ("b", mono))]
    rate = None if suffix else 44_100
    with pytest.warns(musiczoo.OppositePhaseWarning, match="only channel 1 was analyzed"):
        track = model.analyze(sources[0], rate, excerpts=excerpts)
    assert equal(track, model.analyze(sources[1], rate, excerpts=excerpts))
    (many,) = model.analyze_many([sources[0]], 2, rate, excerpts=excerpts)
    assert isinstance(many, Track)
    assert equal(track, many)
    assert many.warnings == track.warnings


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_opposite_channels_of_lossy_files(toy: Model, tmp_path: Path, suffix: str) -> None:
    mono = music(10, 44_100)
    path = write_audio(tmp_path / f"a{suffix}", np.stack([mono, -mono], axis=1), 44_100)
    with pytest.warns(musiczoo.OppositePhaseWarning):
        track = toy.analyze(path)
    np.testing.assert_allclose(track.embedding, toy.analyze(mono, 44_100).embedding, atol=0.03)


def test_cancelling_channels_are_replaced_by_one_with_energy(toy: Model) -> None:
    mono = music(7)
    three = np.stack([np.zeros_like(mono), mono, -mono], axis=1)
    with pytest.warns(musiczoo.OppositePhaseWarning, match="only channel 2 was analyzed"):
        track = toy.analyze(three, RATE)
    assert equal(track, toy.analyze(mono, RATE))


@pytest.mark.filterwarnings("ignore::musiczoo.QuietAudioWarning")
@pytest.mark.parametrize(
    "mixed",
    [
        lambda a, b: [a, a],
        lambda a, b: [a, b],  # nothing in common
        lambda a, b: [a, 0 * a],
        lambda a, b: [a + 0.4 * b, a - 0.4 * b],  # wide
        lambda a, b: [a, 0.01 * b, 0 * a, 0 * b, 0 * a, 0 * b],
    ],
)
def test_other_channels_are_averaged(toy: Model, mixed: Callable[..., list[np.ndarray]]) -> None:
    channels = np.stack(mixed(music(7, seed=1), at(-16)), axis=1)
    weights = np.full(channels.shape[1], 1 / channels.shape[1], np.float32)
    track = toy.analyze(channels, RATE)
    assert [warning for warning in track.warnings if "opposite" in warning] == []
    blocks = [channels[i : i + 32768] @ weights for i in range(0, len(channels), 32768)]
    assert equal(track, toy.analyze(np.concatenate(blocks), RATE))


def test_read_takes_one_of_opposite_channels_too(tmp_path: Path) -> None:
    mono = music(4)
    path = write_audio(tmp_path / "a.wav", np.stack([mono, -mono], axis=1), subtype="FLOAT")
    with pytest.warns(musiczoo.OppositePhaseWarning):
        np.testing.assert_array_equal(audio.read(path, RATE), mono)
    with pytest.warns(musiczoo.OppositePhaseWarning):
        np.testing.assert_array_equal(audio.read(path, RATE, 1.5), mono[: round(1.5 * RATE)])


# === Offset ===


@pytest.mark.parametrize("excerpts", [None, 2])
@pytest.mark.parametrize("offset", [0.03, -0.3])
def test_a_constant_offset_is_removed(toy: Model, offset: float, excerpts: int | None) -> None:
    samples = music(10)
    samples -= samples.mean()
    with pytest.warns(musiczoo.OffsetWarning, match=rf"offset of {offset:.3f} was removed"):
        track = toy.analyze(samples + np.float32(offset), RATE, excerpts=excerpts)
    np.testing.assert_allclose(track.embedding, toy.analyze(samples, RATE, excerpts=excerpts).embedding, atol=2e-3)


def test_small_and_varying_means_are_kept(toy: Model) -> None:
    samples = music(12)
    samples -= samples.mean()
    slow = 0.1 * np.sin(2 * np.pi * np.arange(len(samples)) / len(samples)).astype(np.float32)
    for changed in (samples + np.float32(0.8 * LEAST_OFFSET), samples + slow):
        track = toy.analyze(changed, RATE, hop=None)
        assert track.warnings == ()
        embeddings, tags = toy_answer(changed[: 4 * SIZE].reshape(4, SIZE))
        np.testing.assert_allclose(track.embeddings, embeddings, atol=1e-6)
        np.testing.assert_allclose(track.taggram, tags, atol=1e-6)


# === Level ===


@pytest.mark.filterwarnings("ignore::musiczoo.QuietAudioWarning")
@pytest.mark.parametrize("level", [-10, -25, -40, -60])
def test_a_quiet_song_has_the_tags_that_it_has_at_its_own_level(level: int) -> None:
    model = load("disentangled-classification")
    samples, rate = soundfile.read(demo.PATH, dtype="float32")
    usual = model.analyze(samples, rate)
    assert usual.warnings == ()
    track = model.analyze(samples * np.float32(10 ** (level / 20)), rate)
    assert usual.embedding @ track.embedding > 0.98
    assert abs(track.tags.probabilities - usual.tags.probabilities).max() < 0.06
    assert usual.tags.top(1)[0].name == track.tags.top(1)[0].name


def test_a_quiet_song_is_amplified_to_the_usual_level_in_whole_decibels(toy: Model) -> None:
    noise = at(-50)
    with pytest.warns(musiczoo.QuietAudioWarning, match=r"only -50 dBFS RMS; it was amplified by 35 dB"):
        track = toy.analyze(noise, RATE)
    assert equal(track, toy.analyze(noise * np.float32(10 ** (35 / 20)), RATE))
    assert 20 * np.log10(USUAL_RMS) == pytest.approx(-15)


def test_the_loudest_excerpt_decides_whether_a_song_is_quiet(toy: Model) -> None:
    samples = np.concatenate([at(-60, 6), at(20 * np.log10(QUIET_RMS) + 0.5, 3)])
    track = toy.analyze(samples, RATE)
    assert track.warnings == ()
    embeddings, _ = toy_answer(samples.reshape(3, SIZE))
    np.testing.assert_allclose(track.embeddings, embeddings, atol=1e-6)


@pytest.mark.filterwarnings("ignore::musiczoo.QuietAudioWarning")
def test_all_repairs_together(toy: Model) -> None:
    """Opposite channels, a constant offset, a low level, and silence in between."""
    quiet = at(-50, 9)
    quiet[SIZE : 2 * SIZE] = 0
    both = np.stack([quiet + np.float32(0.1), np.float32(-0.1) - quiet], axis=1)
    with pytest.warns(musiczoo.OppositePhaseWarning), pytest.warns(musiczoo.OffsetWarning):
        track = toy.analyze(both, RATE)
    assert len(track.warnings) == 3
    alone = toy.analyze(quiet, RATE)
    np.testing.assert_allclose(track.embedding, alone.embedding, atol=1e-3)
    assert [row.any() for row in track.embeddings] == [True, False, True]
