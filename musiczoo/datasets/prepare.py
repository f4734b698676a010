"""Prepare a data set: write the folder that training and evaluation read (`musiczoo.datasets.prepared`).

Only missing files are written, so run it again to resume after an interruption. A track that cannot be read is listed
in the index and does not stop the others. Validation and test come first, then train.
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
from .._files import PARTIAL, atomic_file, write_npy
from ..errors import AudioError, AudioNotFoundError, DatasetError, MissingDependencyError
from .check import EXAMPLES, audio_option
from .dataset import Dataset, Item
from .prepared import ANNOTATIONS, FIRST, INDEX_FILE, SPLITS, Failure, Store, TrackEntry, read_array

_ABSENT = os.strerror(errno.ENOENT)
"""Start of the reason for a missing file."""


class FrontEnd(NamedTuple):
    """The function that computes log-mels, with its settings.

    `musiczoo.models.frontend.data_front_end` makes that of the models.

    Attributes:
        settings: Settings for the index: sample_rate, hop, n_fft, n_mels, gain.
        log_mel: ``[samples] -> [samples // hop, n_mels]`` float16, not standardised.
    """

    settings: Mapping[str, Any]
    log_mel: Callable[[NDArray[np.float32]], NDArray[np.float16]]


def prepare(
    dataset: Dataset, out: Path | str, front_end: FrontEnd, copy: bool = False, console: Console | None = None
) -> Store:
    """Write the audio, the log-mels and the annotations of a data set into a folder.

    Args:
        dataset: The data set.
        out: Folder to fill; nothing is written elsewhere.
        front_end: Computes the log-mels; `musiczoo.models.frontend.data_front_end` makes that of the models.
        copy: Copy the audio instead of linking to it.
        console: Console for progress and the summary; standard error by default.

    Returns:
        The prepared data set. Its labels are those of the teacher `musiczoo.datasets.prepared.ANNOTATIONS`.

    Raises:
        DatasetError: If no audio file exists, or `out` was prepared with another front end or contains another data
            set.

    Example:
        >>> import tempfile
        >>> from musiczoo import demo
        >>> from musiczoo.datasets.dataset import Item
        >>> item = Item("pirates", "train", demo.PATH, ("orchestral",))
        >>> music = Dataset("folder", demo.PATH.parent, ("orchestral",), {"genre": ("orchestral",)}, (item,))
        >>> levels = FrontEnd({"sample_rate": 22050}, lambda samples: samples[::512, None].astype(np.float16))
        >>> with tempfile.TemporaryDirectory() as out:
        ...     store = prepare(music, out, levels, console=Console(quiet=True))
        >>> [track.id for track in store.tracks]
        ['pirates']
    """
    out, console = Path(out), console or Console(stderr=True)
    _check_some_audio(dataset)
    open_folder(out, dataset.name, front_end)
    ordered = sorted(dataset.items, key=lambda item: FIRST.index(item.split))
    failures: dict[str, str] = {}
    with Progress(console=console) as progress:
        sources: list[TrackEntry] = []
        for item in progress.track(ordered, description="audio  "):
            try:
                sources.append(_add_audio(item, out, copy))
            except (OSError, ValueError) as error:  # ValueError: an impossible path
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
    """Make the folders, and delete partial files of a killed run.

    Raises:
        DatasetError: If the folder contains another data set, or log-mels of another front end.
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
    """Write the missing log-mels.

    Args:
        tracks: Tracks whose audio is in the folder; `duration_s` is the number of seconds to use, 0 for all.
        out: The folder.
        front_end: Computes the log-mels.
        failures: The id of each track that cannot be read is added, with the reason.
        progress: A bar is added.

    Returns:
        Id -> the track with its actual duration and frames, for the tracks that can be read.
    """
    entries: dict[str, TrackEntry] = {}
    for track in progress.track(tracks, description="log-mel"):
        source, target = out / "audio" / track.audio, out / "logmel" / f"{track.id}.npy"
        limit = track.duration_s or None
        try:
            values: NDArray[Any] | None = read_array(target)
            if values is None:
                values = front_end.log_mel(audio.read(source, int(front_end.settings["sample_rate"]), limit))
                write_npy(target, values)
            length = audio.probe(source).duration_s
        except (AudioError, AudioNotFoundError, MissingDependencyError) as error:
            failures[track.id] = str(error).replace(f"{out / 'audio'}/", "")
            continue
        used = length if limit is None else min(length, limit)
        entries[track.id] = replace(track, duration_s=round(used, 3), frames=len(values))
    return entries


def finish(store: Store, console: Console) -> None:
    """Write the index, and print a summary with the count and the first examples of the tracks left out."""
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
            "it prepares only these.",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def summary(store: Store) -> Table:
    """Return a table with the tracks and hours of each split, and the failures."""
    table = Table("split", "tracks", "hours", title=f"{store.dataset} in {store.root}")
    for name, tracks in [*((name, store.split(name)) for name in SPLITS), ("all", store.tracks)]:
        table.add_row(name, str(len(tracks)), f"{sum(t.duration_s for t in tracks) / 3600:.2f}")
    table.add_row("failed", str(len(store.failures)), "")
    return table


def entry(item: Item, audio_file: str, limit_s: float | None = None) -> TrackEntry:
    """Return the index entry of a track whose log-mel does not exist yet.

    Args:
        item: The track.
        audio_file: Name of its file in the folder ``audio``.
        limit_s: Number of seconds to use from its start; None for all.
    """
    return TrackEntry(
        id=item.id,
        split=item.split,
        audio=audio_file,
        duration_s=limit_s or 0.0,
        frames=0,
        title=item.title,
        artist=item.artist,
        genre=item.genre,
        licence=item.licence,
        package=item.package,
    )


def _check_some_audio(dataset: Dataset) -> None:
    """Check that the audio is not in another folder.

    Raises:
        DatasetError: If the data set has tracks, and the audio file of none exists.
    """
    if dataset.items and not any(os.path.isfile(item.audio) for item in dataset.items):
        raise DatasetError(
            f"None of the {len(dataset.items):,} audio files of {dataset.name} exists; the first is "
            f"{dataset.items[0].audio}. Pass the folder of the audio with {audio_option(dataset.name)} DIR."
        )


def _add_audio(item: Item, out: Path, copy: bool) -> TrackEntry:
    """Link to or copy an item's audio. If the file was replaced by one of another size, delete its old log-mel.

    Raises:
        OSError: If there is no such file, or it cannot be linked to or copied.
    """
    source = Path(os.path.realpath(item.audio, strict=True))  # Path.resolve raises RuntimeError for loops
    target = out / "audio" / f"{item.id}{item.audio.suffix}"
    same_size = target.exists() and target.stat().st_size == source.stat().st_size
    linked = target.is_symlink()
    done = (same_size and not linked) if copy else (linked and target.readlink() == source)
    if not done:
        if target.exists() and not same_size:
            (out / "logmel" / f"{item.id}.npy").unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        if copy:
            with source.open("rb") as original, atomic_file(target) as file:
                shutil.copyfileobj(original, file)
        else:
            target.symlink_to(source)
    return entry(item, target.name)


def _annotate(row: NDArray[np.bool_], track: TrackEntry, out: Path) -> None:
    """Write a track's annotations, unless they exist already."""
    labels = np.tile(row.astype(np.float32), (track.excerpts, 1))
    path = out / "labels" / ANNOTATIONS / f"{track.id}.npy"
    earlier = read_array(path)
    if earlier is None or not np.array_equal(earlier, labels):
        write_npy(path, labels)
