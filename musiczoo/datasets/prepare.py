"""A data set -> the folder that training and evaluation read (`musiczoo.datasets.prepared`).

Only what is missing is done, so an interrupted run is resumed by running it again. A track that cannot be
read is listed in the index and stops nothing. Validation and test come first, then train.
"""

import errno
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from .. import audio
from ..errors import AudioError, AudioNotFoundError, DatasetError, MissingDependencyError
from .check import EXAMPLES, audio_option
from .dataset import Dataset, Item
from .open_music.definition import Recording
from .prepared import (
    ANNOTATIONS,
    FIRST,
    INDEX_FILE,
    PARTIAL,
    SPLITS,
    Failure,
    Store,
    TrackEntry,
    atomic,
    read_array,
    write_array,
)

_BLOCK_FRAMES = 2048
"""Frames of log-mel computed at once: bounds the memory, changes nothing in the result."""

_ABSENT = os.strerror(errno.ENOENT)
"""How the reason for a file that is not there begins."""


class FrontEnd(NamedTuple):
    """How audio becomes a log-mel.

    Attributes:
        settings: What the index says about it.
        log_mel: ``[samples] -> [samples // hop, n_mels]`` float16, not standardised.
    """

    settings: Mapping[str, Any]
    log_mel: Callable[[NDArray[np.float32]], NDArray[np.float16]]


def prepare(dataset: Dataset, out: Path | str, copy: bool = False, console: Console | None = None) -> Store:
    """Fill a folder with the audio, the log-mels and the annotations of a data set.

    Args:
        dataset: What to prepare.
        out: Folder to fill; nothing is written elsewhere.
        copy: Copy the audio, rather than link to it.
        console: Where progress and the summary go; standard error by default.

    Returns:
        The prepared data set. Its labels are those of the teacher `musiczoo.datasets.prepared.ANNOTATIONS`.

    Raises:
        DatasetError: If none of the audio is there, or `out` was prepared with another front end or holds another
            data set.
        MissingDependencyError: If the [train] extra is not installed.
    """
    out, console = Path(out), console or Console(stderr=True)
    _check_some_audio(dataset)
    front_end = load_front_end()
    open_folder(out, dataset.name, front_end)
    ordered = sorted(dataset.items, key=lambda item: FIRST.index(item.split))
    failures: dict[str, str] = {}
    with Progress(console=console) as progress:
        sources: list[TrackEntry] = []
        for item in progress.track(ordered, description="audio  "):
            try:
                sources.append(_take_in(item, out, copy))
            except (OSError, ValueError) as error:  # ValueError: a path that no file can have
                failures[item.id] = f"{getattr(error, 'strerror', None) or error}: {item.audio}"
        entries = analyse(sources, out, front_end, failures, progress)
        for item in progress.track(dataset.items, description="labels "):
            if item.id in entries:
                _annotate(dataset.row(item), entries[item.id], out)
    store = Store(
        root=out,
        dataset=dataset.name,
        front_end=front_end.settings,
        tracks=tuple(entries[item.id] for item in dataset.items if item.id in entries),
        failures=tuple(Failure(item.id, failures[item.id]) for item in dataset.items if item.id in failures),
        tags=dataset.tags,
        dimensions=dataset.dimensions,
    )
    finish(store, console)
    return store


def open_folder(out: Path, dataset: str, front_end: FrontEnd) -> None:
    """Make the folders, and clear what a killed run left.

    Raises:
        DatasetError: If it holds another data set, or log-mels of another front end.
    """
    if (out / INDEX_FILE).exists():
        found = Store.open(out)
        if found.dataset != dataset:
            raise DatasetError(f"{out} holds {found.dataset}: expected {dataset}. Choose another folder.")
        if found.front_end != front_end.settings:
            raise DatasetError(
                f"{out} holds log-mels of another front end: expected {dict(front_end.settings)}, got "
                f"{dict(found.front_end)}. Choose another folder, or delete {out / INDEX_FILE} and {out / 'logmel'}."
            )
    for folder in ("audio", "logmel"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for leftover in (out / folder).glob("*" + PARTIAL):
            leftover.unlink()


def analyse(
    tracks: Collection[TrackEntry],
    out: Path,
    front_end: FrontEnd,
    failures: dict[str, str],
    progress: Progress,
) -> dict[str, TrackEntry]:
    """Write the log-mels that are missing.

    Args:
        tracks: Their audio is in the folder; `duration_s` says how much of it to use from its start, 0 all.
        out: The folder.
        front_end: Makes the log-mels.
        failures: Gets the id of each track that cannot be read, and why.
        progress: Gets a bar.

    Returns:
        Id -> the track with its true duration and frames, of those that can be read.
    """
    entries: dict[str, TrackEntry] = {}
    for track in progress.track(tracks, description="log-mel"):
        source, target = out / "audio" / track.audio, out / "logmel" / f"{track.id}.npy"
        limit = track.duration_s or None
        try:
            values: NDArray[Any] | None = read_array(target)
            if values is None:
                values = front_end.log_mel(audio.read(source, int(front_end.settings["sample_rate"]), limit))
                write_array(target, values)
            length = audio.probe(source).duration_s
        except (AudioError, AudioNotFoundError, MissingDependencyError) as error:
            failures[track.id] = str(error).replace(f"{out / 'audio'}/", "")
            continue
        used = length if limit is None else min(length, limit)
        entries[track.id] = replace(track, duration_s=round(used, 3), frames=len(values))
    return entries


def finish(store: Store, console: Console) -> None:
    """Write the index, and print what there is and what was left out: a count and examples, however much it is."""
    store.save()
    console.print(summary(store))
    absent = [failure for failure in store.failures if failure.reason.startswith(_ABSENT)]
    unread = [failure for failure in store.failures if not failure.reason.startswith(_ABSENT)]
    for failures, what in ((absent, "their audio is missing"), (unread, "their audio cannot be read")):
        if failures:
            examples = [f"  {failure.id}: {failure.reason}" for failure in failures[:EXAMPLES]]
            more = [f"  ... and {len(failures) - EXAMPLES:,} more"] if len(failures) > EXAMPLES else []
            lines = [f"left out {len(failures):,} of {len(store.tracks) + len(store.failures):,} tracks: {what}"]
            console.print(
                "\n".join(lines + examples + more), style="yellow", markup=False, highlight=False, soft_wrap=True
            )
    if store.failures:
        console.print(
            f"All are in {store.root / INDEX_FILE} under failures. Fetch these files again, then run the same command: "
            "only they are done.",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def summary(store: Store) -> Table:
    """Tracks and hours of each split, and the failures."""
    table = Table("split", "tracks", "hours", title=f"{store.dataset} in {store.root}")
    for name, tracks in [*((name, store.split(name)) for name in SPLITS), ("all", store.tracks)]:
        table.add_row(name, str(len(tracks)), f"{sum(t.duration_s for t in tracks) / 3600:.2f}")
    table.add_row("failed", str(len(store.failures)), "")
    return table


def load_front_end() -> FrontEnd:
    """The front end of the models: the very layer that they hold.

    Raises:
        MissingDependencyError: If the [train] extra is not installed.
    """
    try:
        from ..models.frontend import FRONT_END, SAMPLE_RATE, STORED, LogMel
    except ImportError as error:
        raise MissingDependencyError(
            f"Preparing data needs what training needs, and {error.name} is missing: "
            "pip install 'musiczoo[train-cpu]' (or 'musiczoo[train]' for GPUs)"
        ) from error
    layer = LogMel(replace(FRONT_END, mean=0.0, std=1.0), SAMPLE_RATE)
    hop: int = layer.hop

    def log_mel(waveform: NDArray[np.float32]) -> NDArray[np.float16]:
        """``[samples] -> [samples // hop, n_mels]``, block by block."""
        frames = len(waveform) // hop
        if frames == 0:
            raise AudioError(f"Expected {hop} samples or more, got {len(waveform)}.")
        result = np.empty((frames, FRONT_END.n_mels), np.float16)
        # A frame sees one hop before its centre: each block starts one hop early and drops its first frame.
        padded = np.zeros((1 + -(-frames // _BLOCK_FRAMES) * _BLOCK_FRAMES) * hop, np.float32)
        padded[hop : hop + frames * hop] = waveform[: frames * hop]
        for start in range(0, frames, _BLOCK_FRAMES):
            block = padded[start * hop : (start + _BLOCK_FRAMES + 1) * hop]
            values = np.asarray(layer(block[None]))[0, 1:]
            result[start : start + _BLOCK_FRAMES] = values[: frames - start]
        return result

    return FrontEnd(STORED, log_mel)


def entry(source: Item | Recording, audio_file: str, limit_s: float | None = None) -> TrackEntry:
    """A track that has not been analysed yet.

    Args:
        source: What is known of it.
        audio_file: Its file in the folder ``audio``.
        limit_s: How much of it to use from its start; None for all.
    """
    return TrackEntry(
        id=source.id,
        split=source.split,
        audio=audio_file,
        duration_s=limit_s or 0.0,
        frames=0,
        title=source.title,
        artist=source.artist,
        genre=source.genre,
        licence=source.licence,
        package=source.package,
    )


def _check_some_audio(dataset: Dataset) -> None:
    """Refuse to go through a whole data set whose audio is somewhere else.

    Raises:
        DatasetError: If it has tracks, and the audio of none is there.
    """
    if dataset.items and not any(os.path.isfile(item.audio) for item in dataset.items):
        raise DatasetError(
            f"None of the {len(dataset.items):,} audio files of {dataset.name} is there; the first is "
            f"{dataset.items[0].audio}. Name the folder that they are in with {audio_option(dataset.name)} DIR."
        )


def _take_in(item: Item, out: Path, copy: bool) -> TrackEntry:
    """Link to or copy an item's audio. Where another file was, its log-mel goes too: the size tells.

    Raises:
        OSError: If there is no such file, or it cannot be linked to or copied.
    """
    source = Path(os.path.realpath(item.audio, strict=True))  # where Path.resolve raises RuntimeError at loops
    target = out / "audio" / f"{item.id}{item.audio.suffix}"
    same_size = target.exists() and target.stat().st_size == source.stat().st_size
    linked = target.is_symlink()
    done = (same_size and not linked) if copy else (linked and target.readlink() == source)
    if not done:
        if target.exists() and not same_size:
            (out / "logmel" / f"{item.id}.npy").unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        if copy:
            with source.open("rb") as original, atomic(target) as file:
                shutil.copyfileobj(original, file)
        else:
            target.symlink_to(source)
    return entry(item, target.name)


def _annotate(row: NDArray[np.bool_], track: TrackEntry, out: Path) -> None:
    """Write a track's annotations, unless they are there."""
    labels = np.tile(row.astype(np.float32), (track.excerpts, 1))
    path = out / "labels" / ANNOTATIONS / f"{track.id}.npy"
    earlier = read_array(path)
    if earlier is None or not np.array_equal(earlier, labels):
        write_array(path, labels)
