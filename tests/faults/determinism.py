"""Same song, same bits? The same thing asked in different ways, and how far the answers lie apart."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from musiczoo import audio
from musiczoo.audio.source import Block
from musiczoo.model import Model, load

Answer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Embeddings ``[..., E]`` and tags ``[..., T]``."""

ROUNDING = 2e-6
"""What other orders of summing may change: a value of 1 has 6e-8 between it and the next."""

SEEKING = 2e-3
"""What it may change that an excerpt is decoded alone, after seeking, and not in a stream from the start."""

QUANTISED = 5e-3
"""What it may change that samples are rounded to 16 bits."""


@dataclass(frozen=True)
class Way:
    """A way to ask.

    Attributes:
        what: Differs from the reference.
        promise: Largest difference of any number of embeddings and tags; 0: the same bits.
        reference: Song -> the answer to compare with.
        ask: Song -> the answer.
    """

    what: str
    promise: float
    reference: Callable[[Path], Answer]
    ask: Callable[[Path], Answer]


def ways(name: str, folder: Path) -> Iterator[Way]:
    """All of them.

    Args:
        name: The model.
        folder: For files made of the songs.
    """
    models = {threads: load(name, threads=threads) for threads in (1, 2, 4)}
    model = models[1]
    size = model.card.excerpt_samples

    def whole(path: Path) -> Answer:
        return _track(model, path)

    def cut(path: Path) -> Block:
        samples = audio.read(path, model.card.sample_rate)
        return samples[: len(samples) // size * size].reshape(-1, size)

    def together(path: Path) -> Answer:
        return model.embed(cut(path)), model.tag(cut(path))

    yield Way("again", 0, whole, whole)
    yield Way("loaded again", 0, whole, lambda path: _track(load(name, threads=1), path))
    yield Way("another process", 0, whole, lambda path: _elsewhere(name, path))
    for threads in (2, 4):
        yield Way(f"{threads} threads", 0, whole, lambda path, n=threads: _track(models[n], path))
    yield Way("samples instead of a file", 0, whole, lambda path: _track(model, *_decoded(path)))
    yield Way("decoded into a WAV of float32", 0, whole, lambda path: _track(model, _wav(path, folder, "FLOAT")))
    yield Way(
        "decoded into a WAV of 16 bits", QUANTISED, whole, lambda path: _track(model, _wav(path, folder, "PCM_16"))
    )
    yield Way("analyze or embed", 0, lambda path: _rows(model, path), together)
    for batch in (1, 3, 8):
        yield Way(
            f"embed, {batch} at a time", ROUNDING, together, lambda path, n=batch: _in_batches(model, cut(path), n)
        )
    yield Way("in reverse order", ROUNDING, together, lambda path: _reversed(model, cut(path)))
    for count in (1, 3, 10):
        yield Way(
            f"excerpts={count}",
            SEEKING,
            lambda path, n=count: _streamed(model, path, n),
            lambda path, n=count: _rows(model, path, n),
        )


def compare(name: str, songs: Sequence[Path], folder: Path) -> list[dict[str, Any]]:
    """Ask in all ways.

    Returns:
        For each ``{"what", "promise", "songs", "equal": songs with the same bits, "embedding": largest difference,
        "tags": likewise}``.
    """
    rows = []
    for way in ways(name, folder):
        equal, apart = 0, [0.0, 0.0]
        for song in songs:
            expected, got = way.reference(song), way.ask(song)
            differences = [float(np.abs(a - b).max()) for a, b in zip(expected, got, strict=True)]
            equal += all(a.tobytes() == b.tobytes() for a, b in zip(expected, got, strict=True))
            apart = [max(pair) for pair in zip(apart, differences, strict=True)]
        rows.append(
            {"what": way.what, "promise": way.promise, "songs": len(songs), "equal": equal}
            | dict(zip(("embedding", "tags"), apart, strict=True))
        )
    return rows


def _track(model: Model, source: Any, rate: float | None = None) -> Answer:
    track = model.analyze(source, rate)
    return track.embedding, track.tags.probabilities


def _rows(model: Model, path: Path, excerpts: int | None = None) -> Answer:
    """An answer for each excerpt."""
    track = model.analyze(path, excerpts=excerpts, hop=None)
    return track.embeddings, track.taggram


def _streamed(model: Model, path: Path, count: int) -> Answer:
    """For the same excerpts, cut out of the whole song."""
    starts = np.round(model.analyze(path, excerpts=count).times * model.card.sample_rate).astype(int)
    samples = audio.read(path, model.card.sample_rate)
    cut = np.stack([samples[start : start + model.card.excerpt_samples] for start in starts])
    return model.embed(cut), model.tag(cut)


def _in_batches(model: Model, cut: Block, batch: int) -> Answer:
    parts = [cut[i : i + batch] for i in range(0, len(cut), batch)]
    return np.concatenate([model.embed(part) for part in parts]), np.concatenate([model.tag(part) for part in parts])


def _reversed(model: Model, cut: Block) -> Answer:
    return model.embed(cut[::-1])[::-1], model.tag(cut[::-1])[::-1]


def _elsewhere(name: str, path: Path) -> Answer:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_alone, name, path).result()


def _alone(name: str, path: Path) -> Answer:
    return _track(load(name, threads=1), path)


def _decoded(path: Path) -> tuple[NDArray[np.float32], int]:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples, rate


def _wav(path: Path, folder: Path, subtype: str) -> Path:
    samples, rate = _decoded(path)
    wav = folder / f"{path.stem}.{subtype}.wav"
    soundfile.write(wav, samples, rate, subtype=subtype)
    return wav
