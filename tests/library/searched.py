"""Libraries to search, made without a model; and answers computed by loops."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shelf
from numpy.typing import NDArray
from toy import CARD

from musiczoo.library.database import Database
from musiczoo.library.filters import Filters
from musiczoo.library.records import Entry, LibraryConfig
from musiczoo.library.vectors import Snapshot, Vectors
from musiczoo.track import Track, summarise

Floats = NDArray[np.float32]
SPACES = CARD.spaces
NAMES = tuple(SPACES)


class Analyzer:
    """Stands for a model: it has analyzed some files, and may have points for tags."""

    def __init__(self, tracks: Mapping[str, Track] | None = None, points: Floats | None = None) -> None:
        self.tracks, self.points = tracks or {}, points
        self.calls: list[tuple[str, int | None, float | None]] = []

    def analyze(self, source: Any, *, excerpts: int | None = None, hop: float | None = None) -> Track:
        self.calls.append((str(source), excerpts, hop))
        return self.tracks[str(source)]

    def tag_points(self) -> Floats | None:
        return self.points


class Shelf:
    """Stands for a `musiczoo.Library`: an open database, its embeddings, and an analyzer."""

    def __init__(self, database: Database, analyzer: Analyzer | None = None, engine: str | None = None) -> None:
        self.database = database
        self.config: LibraryConfig = database.config
        self.vectors = Vectors(database, engine)
        self.analyzer = analyzer

    def find(self, path: str | os.PathLike[str]) -> Entry | None:
        return self.database.find(path)

    def entries(self, ids: Sequence[int]) -> Iterator[Entry]:
        return self.database.entries(ids)

    def candidates(self, filters: Filters | None) -> tuple[Snapshot, NDArray[np.int64] | None]:
        snapshot = self.vectors.current()
        return snapshot, snapshot.rows(self.database.select_ids(*filters.where(self.config))) if filters else None

    def model(self) -> Analyzer:
        assert self.analyzer is not None, "no model is needed here"
        return self.analyzer


def rows(vectors: Floats, folder: str = "/music", **columns: Sequence[Any]) -> list[Entry]:
    """Entries with these embeddings: ``/music/000.wav``, ...; other columns may be given, one value per row."""
    blank = Entry("", 1, 1, "0" * 32, 100.0, 1, np.zeros(0, np.float32), np.zeros(len(CARD.tags), np.float32))
    return [
        dataclasses.replace(
            blank,
            **{"path": f"{folder}/{i:03d}.wav", "hash": f"{i:032x}", "duration_s": 100.0 * i, "embedding": vector}
            | {name: values[i] for name, values in columns.items()},
        )
        for i, vector in enumerate(vectors)
    ]


def filled(path: Path, entries: Sequence[Entry], config: LibraryConfig = shelf.CONFIG) -> Database:
    """A library of these entries, open for writing."""
    database = Database.create(path, config)
    with database.transaction():
        for entry in entries:
            database.add(entry)
    return database


def track(vector: Floats, tags: Floats | None = None, path: str | None = None, duration_s: float = 10.0) -> Track:
    """An embedding as a model would return it."""
    probabilities = np.zeros(len(CARD.tags), np.float32) if tags is None else tags
    times = np.zeros(1)
    return summarise(CARD, times, vector[np.newaxis], probabilities[np.newaxis], path=path, duration_s=duration_s)


def cosines(one: NDArray[Any], other: NDArray[Any], spaces: Mapping[str, tuple[int, int]] = SPACES) -> dict[str, float]:
    """Space -> cosine, by its definition, in double precision."""
    found = {}
    for name, (start, stop) in spaces.items():
        a, b = one[start:stop].astype(np.float64), other[start:stop].astype(np.float64)
        found[name] = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return found


def mean(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The weighted mean, weights divided by their sum."""
    return sum(weights[name] * values[name] for name in weights) / sum(weights.values())


def naive(
    query: NDArray[Any], vectors: NDArray[Any], weights: Mapping[str, float], k: int, skip: Sequence[int] = ()
) -> list[tuple[int, float]]:
    """The k best (row, score), by a loop over rows and spaces; equals by row."""
    scores = [(-mean(cosines(query, vector), weights), i) for i, vector in enumerate(vectors) if i not in skip]
    return [(i, -score) for score, i in sorted(scores)[:k]]


def clustered(count: int, seed: int = 0, clusters: int = 200, spread: float = 0.7) -> Floats:
    """``[count, 256]``: in each space, one of `clusters` random directions with noise."""
    random = np.random.default_rng(seed)
    parts = []
    for start, stop in SPACES.values():
        size = stop - start
        centres = random.standard_normal((clusters, size)) / np.sqrt(size)
        raw = (
            centres[random.integers(clusters, size=count)] + spread * random.standard_normal((count, size)) / size**0.5
        )
        parts.append(raw / np.linalg.norm(raw, axis=1, keepdims=True) / len(SPACES) ** 0.5)
    return np.concatenate(parts, axis=1).astype(np.float32)


def query_vector(vector: NDArray[Any], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """The query of the conventions of `musiczoo.library.engines`, written out."""
    total, query = sum(weights.values()), np.zeros(len(vector))
    for name, weight in weights.items():
        start, stop = SPACES[name]
        part = vector[start:stop].astype(np.float64)
        query[start:stop] = part / np.linalg.norm(part) * weight / total * 2  # four spaces of length 1/2
    return query
