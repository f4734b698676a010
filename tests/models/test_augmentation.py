"""What is varied from epoch to epoch."""

import librosa
import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from numpy.typing import NDArray
from toy import music

from musiczoo.models.data import Augmentation, augment

pytestmark = pytest.mark.train


def test_gain_is_that_of_the_waveform() -> None:
    """The log-mel of louder or softer audio, by librosa; each excerpt by another gain."""
    audio = music(3)

    def log_mel(gain_db: float) -> NDArray[np.float64]:
        scaled = audio.astype(float) * 10 ** (gain_db / 20)
        power = librosa.feature.melspectrogram(
            y=scaled, sr=22050, n_fft=1024, hop_length=512, n_mels=128, pad_mode="constant"
        )
        return np.log10(1 + 10 * power).T[:129]

    same = np.repeat(log_mel(0)[None].astype(np.float32), 16, axis=0)
    varied = np.asarray(augment(tf.constant(same), tf.constant([3, 4]), Augmentation(6, 0, 0)), float)
    at = np.unravel_index(np.argmax(same[0]), same[0].shape)
    gains = [10 * np.log10((10 ** v[at] - 1) / (10 ** log_mel(0)[at] - 1)) for v in varied]
    assert max(np.abs(gains)) <= 6.001
    assert np.ptp(gains) > 6
    for gain, got in zip(gains, varied, strict=True):
        np.testing.assert_allclose(got, log_mel(gain), atol=1e-3)


@pytest.mark.parametrize(("axis", "augmentation"), [(1, Augmentation(0, 20, 0)), (2, Augmentation(0, 0, 16))])
def test_masks_silence_one_run(axis: int, augmentation: Augmentation) -> None:
    longest = max(augmentation.time_mask, augmentation.mel_mask)
    varied = np.asarray(augment(tf.ones((1000, 129, 128)), tf.constant([0, 1]), augmentation))
    silent = np.all(varied == 0, axis=3 - axis)
    np.testing.assert_allclose(varied.sum(axis=3 - axis)[~silent], varied.shape[3 - axis], rtol=1e-4)
    lengths = silent.sum(axis=1)
    assert set(lengths) == set(range(longest + 1))
    for row in silent[lengths > 0]:
        where = np.flatnonzero(row)
        assert where[-1] - where[0] + 1 == len(where)
    assert silent.any(axis=0).all()  # no place is spared


def test_same_seed_same_augmentation() -> None:
    log_mel = tf.random.stateless_uniform((4, 129, 128), [0, 0])
    first, again, other = (augment(log_mel, tf.constant(seed), Augmentation()) for seed in ([1, 2], [1, 2], [1, 3]))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_augmentation_changes_nothing() -> None:
    log_mel = tf.random.stateless_uniform((4, 129, 128), [0, 0], maxval=3.0)
    np.testing.assert_allclose(augment(log_mel, tf.constant([1, 2]), Augmentation(0, 0, 0)), log_mel, atol=1e-5)
