"""Run models on the tracks of a split, once for all tasks.

Conventions
-----------
- All models analyze the same excerpts: as many as `TrackEntry.excerpts`, one every `EXCERPT_S`, zero-padded at the end
  of a track.
- The vector of a track is that of `musiczoo.Track`: the mean over its excerpts, re-normalised in each space.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track as progress

from musiczoo import audio
from musiczoo._parallel import mapped, thread_count
from musiczoo.datasets.dim_sim import Clip
from musiczoo.datasets.prepared import EXCERPT_S, Store, TrackEntry
from musiczoo.errors import AudioError, AudioNotFoundError, InputError, MissingDependencyError, MusicZooError
from musiczoo.model import Model
from musiczoo.track import Track

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of a model for tracks.

    Attributes:
        ids: Ids of the tracks, in the order of the rows.
        vectors: ``[tracks, E]``: embeddings of the tracks.
        tags: ``[tracks, T]``: probabilities, means over excerpts, in the order of the model's card.
        excerpts: ``[excerpts, E]`` of each track: embeddings of its excerpts.
    """

    ids: tuple[str, ...]
    vectors: Floats
    tags: Floats
    excerpts: tuple[Floats, ...]

    def only(self, ids: Sequence[str]) -> "Outputs":
        """Return the outputs for some of the tracks, in the order of `ids`."""
        row = {track_id: i for i, track_id in enumerate(self.ids)}
        rows = [row[track_id] for track_id in ids]
        excerpts = tuple(self.excerpts[row] for row in rows)
        return Outputs(tuple(ids), self.vectors[rows], self.tags[rows], excerpts)


def run_models(
    models: Sequence[Model], store: Store, tracks: Sequence[TrackEntry], console: Console | None = None
) -> tuple[list[Outputs | MusicZooError], dict[str, str]]:
    """Run models on tracks. Each track is decoded once for all models of one sample rate.

    Args:
        models: The models.
        store: The prepared data set.
        tracks: Tracks of it.
        console: Console for progress; standard error by default.

    Returns:
        For each model its outputs, or the error that stopped it; and id -> reason of the tracks that cannot be decoded.
    """
    answers: list[dict[str, Track] | MusicZooError] = [{} for _ in models]
    left_out: dict[str, str] = {}
    bar = console or Console(stderr=True)
    with closing(mapped(lambda track: _analyze_with_all(models, store, track), tracks, thread_count(None))) as results:
        shown = progress(results, description="analyzing", total=len(tracks), console=bar)
        for track, found in zip(tracks, shown, strict=True):
            if isinstance(found, str):
                left_out[track.id] = found
                continue
            for i, result in enumerate(found):
                answer = answers[i]
                if isinstance(answer, dict):
                    if isinstance(result, Track):
                        answer[track.id] = result
                    else:
                        answers[i] = result
    outputs = [
        _stack(model, answer) if isinstance(answer, dict) else answer
        for model, answer in zip(models, answers, strict=True)
    ]
    return outputs, left_out


def _analyze_with_all(models: Sequence[Model], store: Store, track: TrackEntry) -> list[Track | MusicZooError] | str:
    """Return each model's analysis of a track, or its error; or the reason why the track cannot be decoded."""
    try:
        samples = {rate: _decode(store, track, rate) for rate in {model.card.sample_rate for model in models}}
    except (AudioError, AudioNotFoundError, MissingDependencyError) as error:
        return str(error)
    found: list[Track | MusicZooError] = []
    for model in models:
        try:
            found.append(_analyze(model, track, samples[model.card.sample_rate]))
        except MusicZooError as error:
            found.append(error)
    return found


def _decode(store: Store, track: TrackEntry, sample_rate: int) -> Floats:
    return audio.read(store.audio(track.id), sample_rate, track.duration_s)


def _analyze(model: Model, track: TrackEntry, samples: Floats) -> Track:
    """Analyze the excerpts of a track that the data set has."""
    card = model.card
    size = round((track.excerpts - 1) * EXCERPT_S * card.sample_rate) + card.excerpt_samples
    samples = samples[:size]
    return model.analyze(np.pad(samples, (0, size - len(samples))), card.sample_rate, hop=EXCERPT_S)


def _stack(model: Model, tracks: Mapping[str, Track]) -> Outputs:
    found = list(tracks.values())
    return Outputs(
        tuple(tracks),
        np.array([track.embedding for track in found], np.float32).reshape(-1, model.card.embedding_size),
        np.array([track.tags.probabilities for track in found], np.float32).reshape(len(found), len(model.card.tags)),
        tuple(track.embeddings for track in found),
    )


def embed_clips(model: Model, clips: Sequence[Clip]) -> Floats:
    """Embed single excerpts of files: ``[clips, E]``.

    Args:
        model: The model.
        clips: Files with start times in seconds.

    Raises:
        AudioError: If a file cannot be decoded.
        AudioNotFoundError: If there is no such file.
        InputError: If a clip starts before its file or after its end.
    """
    card = model.card
    rows = [np.zeros((0, card.embedding_size), np.float32)]
    for clip in clips:
        samples = audio.read(clip.path, card.sample_rate, clip.start_s + card.excerpt_seconds)
        start = round(clip.start_s * card.sample_rate)
        if not 0 <= start < len(samples):
            raise InputError(
                f"{clip.path}: expected a clip that starts in the file, got {clip.start_s:g} s of "
                f"{len(samples) / card.sample_rate:.1f} s. Is it the preview that the list was made for?"
            )
        excerpt = samples[start : start + card.excerpt_samples]
        rows.append(model.embed(np.pad(excerpt, (0, card.excerpt_samples - len(excerpt)))[np.newaxis]))
    return np.concatenate(rows)
