"""Which model finds the artists and albums of somebody's own music: `same_label` on the tracks of a library.

Conventions
-----------
- Of files with the same bytes one is taken. Tracks without an artist or album are ranked, but are no queries.
- Silent tracks, of which a model has no embedding, are left out, and so are tracks that a model cannot analyze: for all
  models alike, so that all are measured by the same tracks.
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

from .metrics import same_label

TASKS = ("artist", "artist, other albums", "album")
"""Same artist; same artist with the album filter; same album."""


@dataclass(frozen=True, eq=False)
class Song:
    """One track of a library.

    Attributes:
        path: Its file.
        artist: Who it is by; None if that is not known.
        album: What distinguishes its album from others; None if it has none.
        embeddings: Space id -> ``[E]``, where a model has analyzed it before.
    """

    path: str
    artist: str | None
    album: str | None
    embeddings: Mapping[str, NDArray[np.float32]]


def evaluate(
    songs: Sequence[Song],
    models: Sequence[Model],
    excerpts: int | None = None,
    hop: float | None = 3.0,
    console: Console | None = None,
) -> dict[str, Any]:
    """Measure how well models find tracks of the same artist and album.

    Args:
        songs: The tracks; files that were not analyzed with a model before are analyzed now.
        models: The models, of different names.
        excerpts: See `Model.analyze`; the same for all models.
        hop: See `Model.analyze`.
        console: Where progress goes; standard error by default.

    Returns:
        ``"tracks"``, ``"left_out"`` (path -> reason) and ``"models"``: for each its ``"name"``, ``"version"`` and
        each of `TASKS` -> what `same_label.evaluate` returns.

    Raises:
        InputError: If fewer than two tracks can be analyzed, or two models have one name.
    """
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise InputError(f"Expected models of different names, got {', '.join(names)}.")
    console = console or Console(stderr=True)
    found = [_embeddings(songs, model, excerpts, hop, console) for model in models]
    left_out: dict[str, str] = {}
    for embeddings in found:
        for song, embedding in zip(songs, embeddings, strict=True):
            if isinstance(embedding, str):
                left_out.setdefault(song.path, embedding)
    kept = [i for i, song in enumerate(songs) if song.path not in left_out]
    if len(kept) < 2:
        raise InputError(f"Expected two tracks or more, got {len(kept)} of {len(songs)} that can be analyzed.")
    artists, albums = [songs[i].artist for i in kept], [songs[i].album for i in kept]
    entries = []
    for model, embeddings in zip(models, found, strict=True):
        vectors = np.stack([np.asarray(embeddings[i]) for i in kept])
        entries.append(
            {
                "name": model.name,
                "version": model.card.version,
                TASKS[0]: same_label.evaluate(vectors, artists, groups=albums),
                TASKS[1]: same_label.evaluate(vectors, artists, albums),
                TASKS[2]: same_label.evaluate(vectors, albums),
            }
        )
    return {"tracks": len(kept), "left_out": left_out, "models": entries}


def _embeddings(
    songs: Sequence[Song], model: Model, excerpts: int | None, hop: float | None, console: Console
) -> list[NDArray[np.float32] | str]:
    """Each track's embedding by a model, or why there is none."""
    space = model.card.space_id
    missing = [song.path for song in songs if space not in song.embeddings]
    results = model.analyze_many(missing, excerpts=excerpts, hop=hop)
    analyzed = iter(progress(results, model.name, total=len(missing), console=console) if missing else ())
    found: list[NDArray[np.float32] | str] = []
    for song in songs:
        known = song.embeddings.get(space)
        embedding = _embedding(next(analyzed)) if known is None else known
        found.append(embedding if isinstance(embedding, str) or embedding.any() else f"{song.path} is silent.")
    return found


def _embedding(result: Track | MusicZooError) -> NDArray[np.float32] | str:
    return result.embedding if isinstance(result, Track) else str(result)
