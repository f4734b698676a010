"""Label a prepared data set with teachers: the tag probabilities of any installed model for every excerpt.

This replaces annotations where there are none. The labels of each teacher are stored under its name; `Store.labels`
returns their mean. A teacher's hidden layer can be stored in the same pass: a student may learn to predict it, too.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import audio
from .._files import write_npy
from .._parallel import mapped, thread_count
from ..errors import AudioError, InputError
from ..model import Model, load
from . import label_source
from .check import EXAMPLES
from .prepared import ANNOTATIONS, EXCERPT_S, FEATURES, FIRST, Failure, Store, TrackEntry, read_array


class Network(Protocol):
    """A teacher that shows its hidden layer, such as `musiczoo.models.features.Teacher`."""

    @property
    def id(self) -> str:
        """Name of the folder of the hidden layer: equal ids mean equal values."""

    @property
    def size(self) -> int:
        """Number F of columns of the hidden layer."""

    def run(self, excerpts: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return tags ``[N, T]`` and the hidden layer ``[N, F]`` of excerpts ``[N, samples]``."""


def label(
    root: Path | str,
    teachers: Sequence[str],
    train_every: int = 1,
    threads: int | None = None,
    console: Console | None = None,
    network: Callable[[str], Network] | None = None,
) -> tuple[Failure, ...]:
    """Write ``labels/<teacher>/<id>.npy`` for every track that lacks it, or lacks rows of it.

    Each file holds ``[excerpts, tags]`` float32: the probabilities on consecutive excerpts of
    `musiczoo.datasets.prepared.EXCERPT_S`, starting at 0 s. Run it again to resume after an interruption; a run with a
    smaller `train_every` adds the excerpts that an earlier one left out.

    Args:
        root: A prepared data set.
        teachers: Names or folders of models with the tags of the data set.
        train_every: Label every n-th excerpt of the training tracks, to save time. The other rows are NaN in the file,
            and `Store.labels` interpolates them. The other splits are always labelled completely.
        threads: Number of tracks labelled at the same time, and of cores used; by default all cores.
        console: Console for progress; standard error by default.
        network: Opens a teacher by its name. With it, the teachers' hidden layers are stored as well, in
            ``features/<id>/<track id>.npy``, float32 ``[excerpts, F]`` with the rows of the labels.

    Returns:
        The tracks that could not be labelled, with the reasons.

    Raises:
        DatasetError: If `root` is not a prepared data set.
        UnknownNameError: If there is no such model.
        InputError: If `train_every` is not positive, no teacher is named, or one has other tags.
    """
    if train_every < 1 or not teachers:
        raise InputError(
            f"Expected train_every of 1 or more and one or more teachers, got {train_every} and {list(teachers)}. "
            "Name a teacher with --teacher."
        )
    store, workers = Store.open(root), thread_count(threads)
    models = [load(name, threads=threads) for name in teachers]
    for model in models:
        if model.card.tags != store.tags:
            raise InputError(
                f"{model.card.name!r} cannot label {root}: its {len(model.card.tags)} tags are not the "
                f"{len(store.tags)} tags of {store.dataset} in their order. {_remedy(store)}"
            )
    networks = [network(name) for name in teachers] if network is not None else [None] * len(models)

    def work(track: TrackEntry) -> AudioError | None:
        try:
            _label_track(store, track, models, networks, train_every if track.split == "train" else 1)
        except AudioError as error:
            return error
        return None

    console = console or Console(stderr=True)
    tracks = [track for split in FIRST for track in store.split(split)]
    failures: list[Failure] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress, closing(mapped(work, tracks, workers)) as errors:
        task = progress.add_task("excerpts", total=sum(track.excerpts for track in tracks))
        for track, error in zip(tracks, errors, strict=True):
            if error:
                failures.append(Failure(track.id, str(error)))
                if len(failures) <= EXAMPLES:
                    progress.console.print(f"{track.id}: {error}", style="yellow", markup=False, highlight=False)
            progress.advance(task, track.excerpts)
    if len(failures) > EXAMPLES:
        console.print(
            f"{len(failures):,} tracks could not be labelled; the first {EXAMPLES} are above.", style="yellow"
        )
    return tuple(failures)


def _remedy(store: Store) -> str:
    """Return what to do if a teacher has other tags."""
    if ANNOTATIONS in label_source.names(store):
        return (
            f"No teacher is needed: {store.dataset} has annotations by people, and training uses them. "
            f"Run: musiczoo train --data {store.root} --recipe paper-classification --out RUN"
        )
    return "Choose a teacher of the same tags."


def excerpts_of(waveform: NDArray[np.float32], count: int, sample_rate: int, size: int) -> NDArray[np.float32]:
    """Return consecutive excerpts: ``[samples] -> [count, size]``, one every `EXCERPT_S`, zero-padded at the end.

    Args:
        waveform: ``[samples]``.
        count: Number of excerpts.
        sample_rate: Hz.
        size: Samples in an excerpt.

    Example:
        >>> excerpts_of(np.ones(5, np.float32), count=2, sample_rate=1, size=3)
        array([[1., 1., 1.],
               [1., 1., 0.]], dtype=float32)
    """
    starts = [round(i * EXCERPT_S * sample_rate) for i in range(count)]
    padded = np.zeros(max(starts[-1] + size, len(waveform)), np.float32)
    padded[: len(waveform)] = waveform
    return np.stack([padded[start : start + size] for start in starts])


def _label_track(
    store: Store, track: TrackEntry, models: Sequence[Model], networks: Sequence[Network | None], every: int
) -> None:
    decoded: dict[int, NDArray[np.float32]] = {}
    for model, network in zip(models, networks, strict=True):
        card = model.card
        files = [(store.root / "labels" / card.name / f"{track.id}.npy", len(card.tags))]
        if network is not None:
            files.append((store.root / FEATURES / network.id / f"{track.id}.npy", network.size))
        arrays = [_earlier(path, (track.excerpts, columns)) for path, columns in files]
        wanted = np.arange(0, track.excerpts, every)
        wanted = wanted[np.any([np.isnan(array[wanted, 0]) for array in arrays], axis=0)]
        if not len(wanted):
            continue
        if card.sample_rate not in decoded:
            waveform = audio.read(store.audio(track.id), card.sample_rate, track.duration_s)
            decoded[card.sample_rate] = excerpts_of(waveform, track.excerpts, card.sample_rate, card.excerpt_samples)
        excerpts = decoded[card.sample_rate][wanted]
        values = [model.tag(excerpts)] if network is None else network.run(excerpts)
        for (path, _), array, rows in zip(files, arrays, values, strict=True):
            array[wanted] = rows
            write_npy(path, array)


def _earlier(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the rows that were written earlier; NaN where there are none."""
    array, earlier = np.full(shape, np.nan, np.float32), read_array(path)
    if earlier is not None and earlier.shape == shape:
        array[:] = earlier
    return array
