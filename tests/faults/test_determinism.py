"""Same song, same bits, however it is asked for; benchmarks/faults/same_bits.py asks of more and longer songs."""

from pathlib import Path

import determinism
import numpy as np
from toy import music, write_audio

from musiczoo import audio, demo
from musiczoo.card import read_card
from musiczoo.registry import find

MODEL = "disentangled-classification"


def drums(path: Path, seconds: float) -> Path:
    """Music with sudden noises: in Vorbis, its blocks are of both lengths, so that places are hard to find."""
    chance, samples = np.random.default_rng(0), music(seconds, 44100, 2)
    for start in range(0, len(samples) - 3000, 7919):
        length = int(chance.integers(200, 2500))
        noise = chance.standard_normal((length, 2)) * np.exp(-np.arange(length) / 300)[:, None]
        samples[start : start + length] += (0.5 * noise).astype(np.float32)
    return write_audio(path, samples.clip(-1, 1), 44100)


def test_all_ways_keep_what_they_promise(tmp_path: Path) -> None:
    songs = [demo.PATH, drums(tmp_path / "drums.ogg", 8)]
    rows = determinism.compare(MODEL, songs, tmp_path)
    assert {row["songs"] for row in rows} == {2}
    for row in rows:
        assert max(row["embedding"], row["tags"]) <= row["promise"], row
        assert row["promise"] or row["equal"] == 2, row


def test_an_excerpt_of_a_song_with_drums_is_where_it_says(tmp_path: Path) -> None:
    """A file of Vorbis in which libsndfile was somewhere else before comes out up to a block away."""
    song, card = drums(tmp_path / "drums.ogg", 60), read_card(find(MODEL))
    whole = audio.read(song, card.sample_rate)
    for start_s, samples in audio.excerpts(song, card, count=15):
        start = round(start_s * card.sample_rate)
        np.testing.assert_allclose(samples, whole[start : start + len(samples)], atol=1e-5)
