"""Features of a frozen encoder on a prepared data set, computed once and kept for every head that is trained on them.

Layout
------
::

    DIR/features/<encoder id>/<track id>.npy   float32 [excerpts, F]: on the grid of the labels

Files appear whole, so an interrupted run resumes at the first track that lacks one. The id stands for file and layer
(see `musiczoo.models.frozen_encoder.Encoder`): another version of an encoder has its own folder.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.special import expit

from musiczoo import audio
from musiczoo._files import write_npy
from musiczoo._parallel import mapped, thread_count
from musiczoo.card import MODEL_FILE
from musiczoo.datasets.label import excerpts_of
from musiczoo.datasets.prepared import FEATURES, Store, TrackEntry, read_array
from musiczoo.errors import AudioError, AudioNotFoundError, DatasetError
from musiczoo.models.data import Augmentation, Excerpts, labelled
from musiczoo.models.distilled_head import LastLayer
from musiczoo.models.frozen_encoder import Encoder, open_encoder
from musiczoo.models.sampling import Positions
from musiczoo.registry import find


@dataclass(frozen=True, eq=False)
class Teacher:
    """A teacher that gives its tags and its hidden layer at once, for `musiczoo.datasets.label.label`.

    Attributes:
        encoder: The network up to its hidden layer.
        last: Its last layer, which makes logits of it.
    """

    encoder: Encoder
    last: LastLayer

    @classmethod
    def open(cls, name_or_folder: str) -> "Teacher":
        """Open a network such as ``musicnn-msd`` and ``vgg-msd``.

        Raises:
            UnknownNameError: If there is no such model.
            InputError: If its tags are not a dense layer and a sigmoid behind the tensor `FEATURES_NAME`.
        """
        encoder = open_encoder(name_or_folder)
        return cls(encoder, LastLayer.of(onnx.load(find(name_or_folder) / MODEL_FILE)))

    @property
    def id(self) -> str:
        """Id of the hidden layer."""
        return self.encoder.id

    @property
    def size(self) -> int:
        """Columns of the hidden layer."""
        return self.encoder.size

    def run(self, excerpts: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return tags ``[N, T]`` and the hidden layer ``[N, F]`` of excerpts."""
        hidden = self.encoder.features(excerpts)
        return np.asarray(expit(self.last(hidden)), np.float32), hidden


def compute(
    encoder: Encoder,
    store: Store,
    tracks: Sequence[TrackEntry],
    threads: int | None = None,
    console: Console | None = None,
) -> None:
    """Write the features of tracks that lack them.

    Args:
        encoder: Whose.
        store: A prepared data set.
        tracks: Of it.
        threads: Tracks at a time; by default one a core.
        console: Where progress goes; standard error by default.

    Raises:
        DatasetError: If a track cannot be decoded.
        ModelFileError: If the encoder cannot be run.
    """
    todo = [track for track in tracks if _read(encoder, store, track) is None]
    if not todo:
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console or Console(stderr=True)) as progress:
        task = progress.add_task(f"features of {encoder.card.name}", total=sum(track.excerpts for track in todo))
        with closing(mapped(lambda track: _compute(encoder, store, track), todo, thread_count(threads))) as done:
            for track, _ in zip(todo, done, strict=True):
                progress.advance(task, track.excerpts)


def read(encoder: Encoder, store: Store, tracks: Sequence[TrackEntry]) -> list[NDArray[np.float32]]:
    """The features of tracks, ``[excerpts, F]`` each, memory-mapped.

    Raises:
        DatasetError: If a track lacks them: see `compute`.
    """
    found = [_read(encoder, store, track) for track in tracks]
    for track, features in zip(tracks, found, strict=True):
        if features is None:
            raise DatasetError(
                f"{_path(encoder, store, track)} is missing or of another shape. Run musiczoo train again: it computes "
                "the features that are missing."
            )
    return [features for features in found if features is not None]


@dataclass(frozen=True)
class FeatureExcerpts(Excerpts):
    """Every labelled excerpt of a split as the features of a frozen encoder.

    Features are on the grid of the labels, so a position between two excerpts is that of the nearer one.

    Attributes:
        log_mels: Instead of log-mels, one ``[excerpts, F]`` float32 array a track.
    """

    log_mels: Sequence[NDArray[Any]]

    @classmethod
    def open(
        cls, encoder: Encoder, store: Store, split: str, teachers: Sequence[str], drop_untagged: bool = False
    ) -> "FeatureExcerpts":
        """Open a split whose features are computed.

        Raises:
            DatasetError: If no track is left, or features or labels are missing.
        """
        tracks, labels, tags = labelled(store, split, teachers, drop_untagged)
        return cls(read(encoder, store, tracks), labels, tags, store.vocabulary.tag_dimensions)

    @property
    def shape(self) -> tuple[int, ...]:
        """``[F]``."""
        return self.log_mels[0].shape[1:]

    def ready(self, excerpts: Any, seed: Any = None, augmentation: Augmentation | None = None) -> Any:
        """The features as they are: a frozen encoder's cannot be varied any more."""
        return excerpts

    def at(self, positions: Positions) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return features ``[N, F]`` and labels ``[N, tags]`` at N positions."""
        rows = np.rint(positions.starts).astype(int)
        pairs = [
            (track, min(max(row, 0), len(self.labels[track]) - 1))
            for track, row in zip(positions.tracks, rows, strict=True)
        ]
        features, labels = zip(*((self.log_mels[t][row], self.labels[t][row]) for t, row in pairs), strict=True)
        return np.stack(features).astype(np.float32), np.stack(labels)


def _compute(encoder: Encoder, store: Store, track: TrackEntry) -> None:
    card = encoder.card
    try:
        waveform = audio.read(store.audio(track.id), card.sample_rate, track.duration_s)
    except (AudioError, AudioNotFoundError) as error:
        raise DatasetError(f"No features of {track.id}: {error}") from error
    excerpts = excerpts_of(waveform, track.excerpts, card.sample_rate, card.excerpt_samples)
    write_npy(_path(encoder, store, track), encoder.features(excerpts))


def _read(encoder: Encoder, store: Store, track: TrackEntry) -> NDArray[np.float32] | None:
    features = read_array(_path(encoder, store, track))
    if features is None or features.shape != (track.excerpts, encoder.size) or features.dtype != np.float32:
        return None
    return features if np.isfinite(features).all() else None  # labelling may have left rows out


def _path(encoder: Encoder, store: Store, track: TrackEntry) -> Path:
    return store.part_of(track.id).root / FEATURES / encoder.id / f"{track.id}.npy"
