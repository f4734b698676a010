"""Singing: pitches measured by librosa, on vowels whose pitch is known."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("pyworld", reason="the [render] extra", exc_type=ImportError)
librosa = pytest.importorskip("librosa")

from musiczoo.datasets.rendered_music import voices  # noqa: E402
from musiczoo.datasets.rendered_music.styles import RATE, Note  # noqa: E402
from musiczoo.errors import DatasetError  # noqa: E402

STILL = voices.Manner(vibrato_cents=0, glide_s=0.001)


def vowel(path: Path, hz: float, formants: tuple[float, ...] = (700, 1200, 2600)) -> Path:
    """A second of a vowel: harmonics of a pitch, louder near the formants."""
    times = np.arange(24000) / 24000
    total = np.zeros(len(times))
    for k in range(1, int(8000 / hz)):
        gain = sum(np.exp(-(((k * hz - f) / 200) ** 2)) for f in formants) + 0.02
        total += gain * np.sin(2 * np.pi * k * hz * times)
    fade = np.minimum(1, np.minimum(np.arange(24000), np.arange(24000)[::-1]) / 500)
    soundfile.write(path, 0.5 * total / np.abs(total).max() * fade, 24000)
    return path


@pytest.fixture(scope="module")
def syllable(tmp_path_factory: pytest.TempPathFactory) -> voices.Syllable:
    found = voices.analyze(vowel(tmp_path_factory.mktemp("voice") / "a.wav", 130))
    assert found is not None
    return found


def test_the_pitch_of_a_recording_is_found(syllable: voices.Syllable) -> None:
    assert syllable.pitch == pytest.approx(130, rel=0.01)


def test_recordings_without_voice_give_no_syllable(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    for name, samples in (("silence", np.zeros(24000)), ("short", np.ones(100)), ("noise", dice.uniform(-1, 1, 2000))):
        soundfile.write(tmp_path / f"{name}.wav", samples, 24000)
        assert voices.analyze(tmp_path / f"{name}.wav") is None


def test_frames_that_world_cannot_judge_are_not_periodic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For silent frames of some recordings, WORLD's aperiodicity is NaN, which would spoil a whole song."""
    world = voices.find_pyworld()
    found = voices.analyze(vowel(tmp_path / "a.wav", 130))

    def d4c(*args: object) -> np.ndarray:
        result = original(*args)
        result[len(result) // 2] = np.nan
        return result

    original = world.d4c
    monkeypatch.setattr(world, "d4c", d4c)
    spoilt = voices.analyze(vowel(tmp_path / "a.wav", 130))
    assert (spoilt.aperiodicity == 1).all(axis=1).sum() == (found.aperiodicity == 1).all(axis=1).sum() + 1
    assert np.isfinite(spoilt.aperiodicity).all()


@pytest.mark.parametrize("melody", [(48, 52, 55), (50, 50, 57)])
def test_notes_are_sung_at_their_pitches(syllable: voices.Syllable, melody: tuple[int, ...]) -> None:
    notes = [Note(2.0 * i, 2.0, pitch) for i, pitch in enumerate(melody)]
    sung = voices.sing(notes, 120, [syllable], STILL, 1, 3 * RATE)
    found = librosa.yin(sung, fmin=60, fmax=600, sr=RATE, frame_length=4096, hop_length=441)
    pitches = [float(np.median(found[100 * i + 30 : 100 * i + 80])) for i in range(3)]
    for pitch, note in zip(pitches, melody, strict=True):
        cents = 1200 * np.log2(pitch / (440 * 2 ** ((note - 69) / 12)))
        assert abs(cents - 1200 * round(cents / 1200)) < 30  # in the octave that suits the voice
    steps = 12 * np.diff(np.log2(pitches))
    np.testing.assert_allclose(steps, np.diff(melody), atol=0.4)


def test_rests_are_silent_and_the_length_is_kept(syllable: voices.Syllable) -> None:
    notes = [Note(0, 2, 50), Note(2, 2, None), Note(4, 2, 50)]
    sung = voices.sing(notes, 120, [syllable], STILL, 1, 3 * RATE)
    assert len(sung) == 3 * RATE
    loud, rest = (float(np.abs(sung[a : a + RATE // 4]).max()) for a in (RATE // 4, 3 * RATE // 2))
    assert rest < 0.05 * loud


def test_larger_formants_make_a_brighter_voice(syllable: voices.Syllable) -> None:
    def centre(factor: float) -> float:
        sung = voices.sing([Note(0, 4, 50)], 120, [syllable], voices.Manner(formants=factor), 1, 2 * RATE)
        return float(np.mean(librosa.feature.spectral_centroid(y=sung, sr=RATE)))

    assert centre(0.85) < centre(1.0) < centre(1.2)


def test_spoken_keeps_the_pitch_of_speech(syllable: voices.Syllable) -> None:
    sung = voices.sing([Note(0, 2, 62)], 120, [syllable], voices.Manner(spoken=True), 1, RATE)
    found = librosa.yin(sung, fmin=60, fmax=600, sr=RATE, frame_length=4096)
    assert np.median(found[10:60]) == pytest.approx(130, rel=0.03)


def test_singing_follows_from_its_seed(syllable: voices.Syllable) -> None:
    one, two, other = (voices.sing([Note(0, 2, 50)], 120, [syllable], STILL, seed, RATE) for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_no_syllables_are_an_error() -> None:
    with pytest.raises(DatasetError, match="one syllable or more"):
        voices.sing([Note(0, 2, 50)], 120, [], STILL, 1, RATE)
