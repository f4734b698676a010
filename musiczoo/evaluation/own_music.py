"""Evaluate models on your own music: artist and album retrieval on the tracks of a library.

The metrics are those of `musiczoo.evaluation.metrics.artist_retrieval`.

Conventions
-----------
- Tracks without an artist or album are ranked, but are no queries.
- Tracks that a model cannot analyze, and silent ones, which have no embedding, are left out for all models, so that all
  are evaluated on the same tracks.
- Tracks of one album are not independent, so intervals are over albums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track as progress

from musiczoo.errors import InputError, MusicZooError
from musiczoo.model import Model
from musiczoo.track import Track

from .metrics.artist_retrieval import evaluate_tasks


@dataclass(frozen=True, eq=False)
class LibraryTrack:
    """One track of a library.

    Attributes:
        path: The file.
        artist: The artist; None if unknown.
        album: A name that distinguishes the album from others; None if unknown.
        embeddings: Space id -> ``[E]``: the embeddings that exist already.
    """

    path: str
    artist: str | None
    album: str | None
    embeddings: Mapping[str, NDArray[np.float32]]


def evaluate(
    tracks: Sequence[LibraryTrack],
    models: Sequence[Model],
    excerpts: int | None = None,
    hop: float | None = 3.0,
    console: Console | None = None,
) -> dict[str, Any]:
    """Evaluate how well models retrieve tracks of the same artist and album.

    Args:
        tracks: The tracks. Files without an embedding by a model are analyzed.
        models: The models, with different names.
        excerpts: See `musiczoo.Model.analyze`; the same for all models.
        hop: See `musiczoo.Model.analyze`, in seconds.
        console: Console for progress; standard error by default.

    Returns:
        ``"tracks"``, ``"left_out"`` (path -> reason) and ``"models"``: for each ``"name"``, ``"version"`` and the
        results of `musiczoo.evaluation.metrics.artist_retrieval.evaluate_tasks`.

    Raises:
        InputError: If fewer than two tracks can be analyzed, or two models have one name.

    Example:
        >>> import musiczoo
        >>> model = musiczoo.load("disentangled-classification")
        >>> vectors = np.eye(4, model.card.embedding_size, dtype=np.float32)[[0, 0, 1, 1]]
        >>> tracks = [
        ...     LibraryTrack(f"{i}.mp3", artist, None, {model.card.space_id: vector})
        ...     for i, (artist, vector) in enumerate(zip("aabb", vectors))
        ... ]
        >>> report = evaluate(tracks, [model])
        >>> report["models"][0]["artist"]["precision_at_1"]["value"]
        1.0
    """
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise InputError(f"Expected models of different names, got {', '.join(names)}.")
    console = console or Console(stderr=True)
    found = [_embeddings(tracks, model, excerpts, hop, console) for model in models]
    left_out: dict[str, str] = {}
    for embeddings in found:
        for track, embedding in zip(tracks, embeddings, strict=True):
            if isinstance(embedding, str):
                left_out.setdefault(track.path, embedding)
    kept = [i for i, track in enumerate(tracks) if track.path not in left_out]
    if len(kept) < 2:
        raise InputError(f"Expected two tracks or more, got {len(kept)} of {len(tracks)} that can be analyzed.")
    artists, albums = [tracks[i].artist for i in kept], [tracks[i].album for i in kept]
    entries = []
    for model, embeddings in zip(models, found, strict=True):
        vectors = np.stack([np.asarray(embeddings[i]) for i in kept])
        results = evaluate_tasks(vectors, artists, albums)
        entries.append({"name": model.name, "version": model.card.version, **results})
    return {"tracks": len(kept), "left_out": left_out, "models": entries}


def _embeddings(
    tracks: Sequence[LibraryTrack], model: Model, excerpts: int | None, hop: float | None, console: Console
) -> list[NDArray[np.float32] | str]:
    """Return the embedding of each track, or the reason why there is none."""
    space = model.card.space_id
    missing = [track.path for track in tracks if space not in track.embeddings]
    results = model.analyze_many(missing, excerpts=excerpts, hop=hop)
    analyzed = iter(progress(results, model.name, total=len(missing), console=console) if missing else ())
    found: list[NDArray[np.float32] | str] = []
    for track in tracks:
        known = track.embeddings.get(space)
        embedding = _embedding(next(analyzed)) if known is None else known
        found.append(embedding if isinstance(embedding, str) or embedding.any() else f"{track.path} is silent.")
    return found


def _embedding(result: Track | MusicZooError) -> NDArray[np.float32] | str:
    return result.embedding if isinstance(result, Track) else str(result)
