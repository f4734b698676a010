"""Stems mixed to a track."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from musiczoo.datasets import open_music
from musiczoo.errors import AudioError

RATE = 22050
Ogg = Callable[..., bytes]


def test_stems_are_summed_and_padded(ogg: Ogg) -> None:
    stems = [ogg(seed=3), ogg(1.5, seed=4)]
    (a, rate), (b, _) = (soundfile.read(io.BytesIO(stem)) for stem in stems)
    expected = a.copy()
    expected[: len(b)] += b
    mixed, mixed_rate = open_music.mix(stems)
    assert (mixed_rate, mixed.shape) == (rate, (44100, 2))
    np.testing.assert_allclose(mixed, expected / max(1, np.abs(expected).max()), atol=1e-6)


def test_loud_stems_are_scaled_to_full_scale() -> None:
    stem = io.BytesIO()
    soundfile.write(stem, np.array([[0.8], [-0.4], [0.1]]), RATE, format="WAV", subtype="FLOAT")
    mixed, _ = open_music.mix([stem.getvalue()] * 2)
    np.testing.assert_allclose(mixed, [[1], [-0.5], [0.125]], atol=1e-6)


def test_stems_that_do_not_fit_are_refused(ogg: Ogg) -> None:
    with pytest.raises(AudioError, match=r"\[\(2, 22050\), \(1, 22050\)\]"):
        open_music.mix([ogg(), ogg(channels=1)])
    with pytest.raises(AudioError, match="equal channels and rate"):
        open_music.mix([ogg(), ogg(rate=44100)])
    with pytest.raises(AudioError, match="libsndfile"):
        open_music.mix([ogg(), b"text"])
