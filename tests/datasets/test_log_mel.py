"""The log-mel of data preparation, held against librosa."""

import librosa
import numpy as np
import pytest
from toy import music

from musiczoo.errors import AudioError

pytest.importorskip("tensorflow")

from musiczoo.models.frontend import data_front_end

pytestmark = pytest.mark.train

RATE, HOP = 22050, 512


@pytest.fixture(scope="module", params=[0.1, 3.0, 50.0])
def waveform(request: pytest.FixtureRequest) -> np.ndarray:
    """Shorter than a block of frames, and longer."""
    return music(request.param, RATE)


def test_it_is_librosas(waveform: np.ndarray) -> None:
    settings, log_mel = data_front_end()
    power = librosa.feature.melspectrogram(
        y=waveform, sr=RATE, n_fft=1024, hop_length=HOP, n_mels=128, pad_mode="constant"
    )
    expected = np.log10(1 + 10 * power).T[: len(waveform) // HOP]
    got = log_mel(waveform)
    assert settings == {"sample_rate": RATE, "hop": HOP, "n_fft": 1024, "n_mels": 128, "gain": 10.0}
    assert got.dtype == np.float16
    assert got.shape == (len(waveform) // HOP, 128)
    # float16 keeps 11 bits: 0.05 % of the value, and 1e-4 where the value is small.
    np.testing.assert_allclose(got[:-1].astype(np.float32), expected[:-1], rtol=6e-4, atol=1e-4)


def test_it_says_the_same_again(waveform: np.ndarray) -> None:
    _, log_mel = data_front_end()
    assert log_mel(waveform).tobytes() == log_mel(waveform.copy()).tobytes()


def test_too_little_audio_is_refused() -> None:
    _, log_mel = data_front_end()
    with pytest.raises(AudioError, match="Expected 512 samples or more, got 511"):
        log_mel(np.zeros(511, np.float32))
