"""The front end, held against librosa and numpy."""

import librosa
import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from musiczoo.card import FrontEnd
from musiczoo.models.frontend import EXCERPT_FRAMES, FRONT_END, LogMel, dft_matrices

pytestmark = pytest.mark.train

OURS = (FRONT_END, 22050)
MUSICNN = (FrontEnd(n_fft=512, n_mels=96, gain=10000.0), 16000)
both = pytest.mark.parametrize(("front_end", "rate"), [OURS, MUSICNN])


def by_librosa(audio: NDArray[np.float32], front_end: FrontEnd, rate: int) -> NDArray[np.float64]:
    """In float64; librosa's last frame is half beyond the end."""
    hop = front_end.n_fft // 2
    power = librosa.feature.melspectrogram(
        y=audio.astype(np.float64), sr=rate, n_fft=front_end.n_fft, hop_length=hop, n_mels=front_end.n_mels,
        pad_mode="constant",
    )  # fmt: skip
    compressed = np.log10(1 + front_end.gain * power)
    return (np.swapaxes(compressed, 1, 2)[:, : audio.shape[1] // hop] - front_end.mean) / front_end.std


def signals(rate: int, samples: int) -> NDArray[np.float32]:
    """Noise, a sine, silence, and clicks at the first sample, in the middle, and at the last sample."""
    audio = np.zeros((6, samples), np.float32)
    audio[0] = np.random.default_rng(0).uniform(-1, 1, samples)
    audio[1] = 0.9 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate)
    audio[[3, 4, 5], [0, samples // 2, samples - 1]] = 1
    return audio


@both
def test_it_is_librosas(front_end: FrontEnd, rate: int) -> None:
    audio = signals(rate, 3 * rate)
    got = np.asarray(LogMel(front_end, rate)(audio))
    assert got.dtype == np.float32
    assert got.shape == (6, {22050: 129, 16000: 187}[rate], front_end.n_mels)
    np.testing.assert_allclose(got, by_librosa(audio, front_end, rate), atol=2e-5)


def test_excerpts_have_the_papers_shape() -> None:
    assert (EXCERPT_FRAMES, FRONT_END.n_mels) == (129, 128)


def test_silence_is_the_logarithm_of_one() -> None:
    """(log10(1 + 10 * 0) - 0.2) / 0.25."""
    np.testing.assert_allclose(np.asarray(LogMel()(np.zeros((1, 2048), np.float32))), -0.8, rtol=1e-6)


@both
@pytest.mark.filterwarnings("ignore:n_fft")
@pytest.mark.parametrize("samples", [512, 1023, 5000, 70000])
def test_other_lengths(front_end: FrontEnd, rate: int, samples: int) -> None:
    audio = signals(rate, samples)[:1]
    layer = LogMel(front_end, rate)
    got = np.asarray(layer(audio))
    assert got.shape == layer.compute_output_shape(audio.shape)
    np.testing.assert_allclose(got, by_librosa(audio, front_end, rate), atol=2e-5)


def test_length_may_be_open() -> None:
    assert LogMel()(keras.Input((None,))).shape == (None, None, 128)


@both
def test_an_equal_layer_from_the_config(front_end: FrontEnd, rate: int) -> None:
    layer = LogMel(front_end, rate, name="front")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, LogMel)
    assert (again.front_end, again.sample_rate, again.name) == (front_end, rate, "front")
    audio = signals(rate, 4096)
    assert np.array_equal(layer(audio), again(audio))


def test_it_stays_in_float32_and_learns_nothing() -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        layer = LogMel()
        assert layer(np.zeros((1, 2048), np.float32)).dtype == "float32"
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert layer.trainable_weights == []


@both
@settings(max_examples=20)
@given(data=st.data())
def test_two_stages_are_the_dft(front_end: FrontEnd, rate: int, data: st.DataObject) -> None:
    """X[k1 + 32 k2] of numpy in row k1 and column k2, and librosa's bands of its power."""
    n_fft = front_end.n_fft
    signal = data.draw(hnp.arrays(np.float64, n_fft, elements=st.floats(-1, 1)))
    m = {name: value.astype(np.float64) for name, value in dft_matrices(front_end, rate).items()}
    columns = m["first_stage"] @ signal.reshape(32, n_fft // 32)
    turned = (columns[:17] + 1j * columns[17:]) * (m["cosine"] - 1j * m["sine"])
    both_parts = np.concatenate([turned.real, turned.imag], axis=1) @ m["second_stage"]
    spectrum = both_parts[:, : n_fft // 32] + 1j * both_parts[:, n_fft // 32 :]
    expected = np.fft.fft(signal)
    for k1 in range(17):
        for k2 in range(n_fft // 32):
            assert abs(spectrum[k1, k2] - expected[k1 + 32 * k2]) < 1e-3
    bank = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=front_end.n_mels, dtype=np.float64)
    np.testing.assert_allclose(
        (np.abs(spectrum) ** 2).ravel() @ m["mel"], bank @ np.abs(np.fft.rfft(signal)) ** 2, rtol=1e-4, atol=1e-4
    )
