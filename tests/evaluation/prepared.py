"""A small prepared data set: six short tracks."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from toy import RATE, SIZE, music, toy_answer, write_audio

from musiczoo._files import write_npy
from musiczoo.datasets.prepared import Store, TrackEntry

SECONDS = 9.5
USED_S = 6.5  # two excerpts; what comes after is not part of the data set


def entry(track_id: str, split: str = "test") -> TrackEntry:
    """A track of the index."""
    return TrackEntry(track_id, split, f"{track_id}.wav", USED_S, 0, "", "", "", "CC0", "")


def excerpts(seed: int) -> NDArray[np.float32]:
    """The two excerpts of a track: ``[2, SIZE]``."""
    return music(SECONDS, seed=seed)[: 2 * SIZE].reshape(2, SIZE)


def write_store(root: Path) -> Store:
    """Six test tracks and four training tracks, these without audio.

    "self" labelled them as the toy model does, "noise" and "other" at random: most tags small, a few large.
    """
    tracks = [*(entry(f"song{i}") for i in range(6)), *(entry(f"lesson{i}", "train") for i in range(4))]
    (root / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, track in enumerate(tracks):
        if track.split == "test":
            write_audio(root / "audio" / track.audio, music(SECONDS, seed=i), RATE, "FLOAT")
        for teacher, labels in (
            ("self", toy_answer(excerpts(i))[1]),
            ("noise", rng.random((2, 50), np.float32) ** 4),
            ("other", rng.random((2, 50), np.float32) ** 4),
        ):
            write_npy(root / "labels" / teacher / f"{track.id}.npy", labels)
    store = Store(root, "open_music", {}, tuple(tracks))
    store.save()
    return store
