"""Vectors that cluster as music does: each song has a style, and each style a place in every space."""

import numpy as np
from catalogue import CONFIG, entry
from numpy.typing import NDArray

from musiczoo.library.records import Entry


def clustered(count: int, styles: int, places: int, spread: float, seed: int = 0) -> NDArray[np.float32]:
    """``[count, E]``: as many unit slices as there are spaces, each around one of `places` centres.

    Args:
        count: Songs.
        styles: How many; 0 for none: then a song's place in one space says nothing of its place in another.
        places: Centres in each space.
        spread: Length of the noise that is added to a centre, which has length 1.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    style = random.integers(0, styles, count) if styles else None
    slices = []
    for start, stop in CONFIG.spaces.values():
        size = stop - start
        centres = _unit(random.standard_normal((places, size)))
        at = random.integers(0, places, count) if style is None else random.integers(0, places, styles)[style]
        noise = spread * random.standard_normal((count, size)) / np.sqrt(size)
        slices.append(_unit(centres[at] + noise) / np.sqrt(len(CONFIG.spaces)))
    return np.concatenate(slices, axis=1).astype(np.float32)


def entries(vectors: NDArray[np.float32]) -> list[Entry]:
    """Songs with these vectors."""
    return [
        entry(
            f"/music/{i % 50} albums/{i}.mp3", i, embedding=vector, duration_s=60 + 3.0 * i,
            artist=f"Artist {i % 70}", album=f"Album {i % 50}", title=f"Song {i}",
            year=1950 + i % 70 if i % 7 else None,
        )
        for i, vector in enumerate(vectors)
    ]  # fmt: skip


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
