"""Effects, against numbers that follow from their definitions."""

import numpy as np
import pytest

from musiczoo.datasets.rendered_music import effects
from musiczoo.datasets.rendered_music.effects import Audio
from musiczoo.datasets.rendered_music.styles import RATE

TIMES = np.arange(RATE) / RATE


def sine(hz: float, peak: float = 0.5) -> Audio:
    return (peak * np.sin(2 * np.pi * hz * TIMES)).astype(np.float32)


def rms(audio: Audio) -> float:
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))


def gain_db(after: Audio, before: Audio) -> float:
    """Gain in the middle half, where filters have settled."""
    part = slice(RATE // 4, 3 * RATE // 4)
    return 20 * np.log10(rms(after[part]) / rms(before[part]))


@pytest.mark.parametrize("ratio", [-4.0, 0.0, 8.0])
def test_a_voice_is_mixed_at_the_ratio_where_it_sounds(ratio: float) -> None:
    voice, backing = sine(440), sine(100, 0.1)
    voice[RATE // 2 :] = 0  # the pause does not count
    mixed = effects.mix(voice, backing, ratio)
    # Amplitudes of the two sines in the mixture, by their inner products with unit sines.
    half = slice(0, RATE // 2)
    found = [2 * np.dot(mixed[half], np.sin(2 * np.pi * hz * TIMES[half])) / (RATE // 2) for hz in (440, 100)]
    sounding = np.abs(voice) > 0.01 * np.abs(voice).max()
    assert 20 * np.log10(found[0] / found[1]) == pytest.approx(
        ratio + 20 * np.log10(rms(voice[half]) / rms(voice[sounding])), abs=0.05
    )
    assert np.abs(mixed).max() == pytest.approx(0.9, abs=1e-6)


def test_a_mixture_with_silence_is_the_other_signal() -> None:
    backing = sine(100)
    np.testing.assert_allclose(effects.mix(np.zeros_like(backing), backing, 3), effects.level(backing), atol=1e-7)


@pytest.mark.parametrize(("hz", "least", "most"), [(60, -200, -30), (1000, -0.5, 0.5), (10000, -200, -30)])
def test_a_telephone_has_300_to_3400_hz(hz: float, least: float, most: float) -> None:
    assert least <= gain_db(effects.band(sine(hz), 300, 3400), sine(hz)) <= most


@pytest.mark.parametrize(("hz", "expected"), [(100, 6.0), (1000, -3.0), (10000, 4.0)])
def test_the_equaliser_has_the_gains_that_it_is_given(hz: float, expected: float) -> None:
    assert gain_db(effects.equalise(sine(hz), (6, -3, 4)), sine(hz)) == pytest.approx(expected, abs=0.1)


def test_mp3_keeps_the_time() -> None:
    """A click stays where it is, to a millisecond."""
    audio = np.zeros(RATE, np.float32)
    audio[20_000:20_040] = 0.8
    audio += sine(300, 0.1)
    assert abs(int(np.argmax(np.abs(effects.mp3(audio)))) - 20_020) < RATE / 1000
    assert len(effects.mp3(audio)) == len(audio)


def test_clipping_cuts_at_full_scale() -> None:
    loud = effects.clip(sine(50), 12)
    assert np.abs(loud).max() == 1
    assert np.mean(np.abs(loud) == 1) == pytest.approx(1 - 2 / np.pi * np.arcsin(1 / (0.5 * 10**0.6)), abs=0.01)


def test_a_compressor_makes_loud_parts_quieter_by_its_ratio() -> None:
    """RMS -9.03 dB is 10.97 dB over -20 dB: ratio 4 takes off three quarters of that."""
    assert gain_db(effects.compress(sine(1000)), sine(1000)) == pytest.approx(-10.97 * 0.75, abs=0.1)
    quiet = sine(1000, 0.05)
    np.testing.assert_allclose(effects.compress(quiet), quiet, atol=1e-6)


def test_pitch_and_tempo_are_independent() -> None:
    librosa = pytest.importorskip("librosa")
    moved = effects.pitch_and_tempo(sine(440), 3, 0.8)
    assert len(moved) == pytest.approx(RATE / 0.8, rel=0.01)
    spectrum = np.abs(np.fft.rfft(moved * np.hanning(len(moved))))
    assert np.argmax(spectrum) * RATE / len(moved) == pytest.approx(440 * 2 ** (3 / 12), rel=0.01)
    assert librosa is not None


@pytest.mark.parametrize("effect", [effects.vinyl, lambda a, d: effects.reverb(a, 0.5, 0.3, d)])
def test_random_effects_follow_from_the_generator(effect: object) -> None:
    assert callable(effect)
    one, two, three = (effect(sine(440), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)
    assert one.dtype == np.float32
    assert len(one) == RATE


def test_reverberation_falls_by_60_db_in_its_time() -> None:
    click = np.zeros(2 * RATE, np.float32)
    click[0] = 1
    tail = effects.reverb(click, 1.0, 1.0, np.random.default_rng(0))
    early, late = rms(tail[1000:5000]), rms(tail[RATE // 2 + 1000 : RATE // 2 + 5000])
    assert 20 * np.log10(late / early) == pytest.approx(-30, abs=2)
    assert rms(tail[RATE + 10 :]) < 1e-4 * early
