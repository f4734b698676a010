"""A library of twelve tracks that no model has analyzed: its contents are written down here."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from toy import CARD, music, write_audio

from musiczoo.library.database import Database
from musiczoo.library.records import Entry, Failure, LibraryConfig

CONFIG = LibraryConfig.from_card(CARD, excerpts=10)

FORMATS = ("wav", "flac", "ogg", "mp3", "opus", "flac")

SONGS = tuple(
    (artist, f"{artist}'s {which}", year + 10 * i, f"Song {i * 2 + j + 1}")
    for artist, year in (("Anna", 1966), ("Böhm", 1981), ("Čapek & Sons", 1999))
    for i, which in enumerate(("first", "second"))
    for j in range(2)
)
"""Artist, album, year and title of the twelve: 3 artists, 2 albums each, 2 songs each."""

GENRES = ("rock", "jazz", None)

BAD = "broken.mp3"


def vectors(count: int = len(SONGS), seed: int = 3) -> NDArray[np.float32]:
    """``[count, E]`` of a normalized model: a random direction of length 1/2 in each of the four spaces."""
    raw = np.random.default_rng(seed).standard_normal(
        (count, len(CARD.spaces), CARD.embedding_size // len(CARD.spaces))
    )
    raw /= np.linalg.norm(raw, axis=2, keepdims=True) * np.sqrt(len(CARD.spaces))
    return raw.reshape(count, -1).astype(np.float32)


def probabilities(count: int = len(SONGS), seed: int = 4) -> NDArray[np.float32]:
    """``[count, T]`` in [0, 1]."""
    return np.random.default_rng(seed).random((count, len(CARD.tags)), np.float32)


def paths(folder: Path) -> list[Path]:
    """The paths of the twelve: artist/album/title.format."""
    return [
        folder / artist / album / f"{title}.{FORMATS[i % len(FORMATS)]}"
        for i, (artist, album, _, title) in enumerate(SONGS)
    ]


def write_music(folder: Path) -> list[Path]:
    """The twelve as audio files of 0.4 s, in five formats and without metadata; and one that is not audio."""
    for i, path in enumerate(paths(folder)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, music(0.4, 24000, seed=i), 24000)
    (folder / BAD).write_text("not music")
    return paths(folder)


def entries(folder: Path) -> list[Entry]:
    """The rows of the twelve; the files need not exist. Durations are 100, 110, ... seconds."""
    rows = zip(paths(folder), SONGS, vectors(), probabilities(), strict=True)
    return [
        Entry(
            path=str(path),
            size=path.stat().st_size if path.exists() else 1000 + i,
            mtime_ns=path.stat().st_mtime_ns if path.exists() else 10**18 + i,
            hash=f"{i:032x}",
            duration_s=100.0 + 10 * i,
            excerpts=10,
            embedding=embedding,
            tags=tags,
            title=title,
            artist=artist,
            album=album,
            genre=GENRES[i % 3],
            year=year,
        )
        for i, (path, (artist, album, year, title), embedding, tags) in enumerate(rows)
    ]


def write_library(path: Path, folder: Path, config: LibraryConfig = CONFIG) -> Path:
    """A library of the twelve (ids 1 to 12) and one failure."""
    with Database.create(path, config) as database:
        for entry in entries(folder):
            database.add(entry)
        database.add_failure(
            Failure(str(folder / BAD), 9, 10**18, "AudioError", "It is text.", "2024-01-02T03:04:05+00:00")
        )
    return path
