"""The ground truth of an evaluation: the tags of a split's tracks, and the triplets drawn from them.

Triplets can be written to a file, so that other models are evaluated on the same ones. The file is .npz: ids of tracks,
the number of excerpts of each, and rows ``[triplets, 3]`` (see `musiczoo.evaluation.metrics.triplets`).

Triplets of your own, such as people's judgements, are a .csv file with the columns ``dimension``, ``anchor``,
``positive`` and ``negative``: ids of tracks, of which the first two are the more similar pair. A dimension with the
name of a model's space is measured in that space too.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musiczoo._files import UNREADABLE, atomic_file, open_npz
from musiczoo.datasets import hard_tags, label_source
from musiczoo.datasets.prepared import ANNOTATIONS, EXCERPT_S, Store
from musiczoo.errors import DatasetError, InputError, UnknownNameError

from .metrics import triplets
from .metrics.retrieval import KS
from .metrics.triplets import Rows, Triplets

RESAMPLED = ("track", "package", "artist")
"""What the bootstrap can draw."""

_LIST = "triplets/"
_TRACK = "track_triplets"
_COLUMNS = ("dimension", "anchor", "positive", "negative")
"""Columns of a .csv file of triplets."""


@dataclass(frozen=True)
class Settings:
    """What an evaluation's metrics depend on besides models and data.

    Attributes:
        ks: Values of K in retrieval.
        triplets_per_dimension: Number of triplets drawn for each dimension.
        track_triplets: Number of track triplets drawn.
        seed: Seed of the triplets.
        drop_untagged: Leave out the tracks without a tag, as some papers do. By default they are included: they are
            negative for every tag in ROC-AUC and average precision, and they may be retrieved.
        resample: What the bootstrap draws for the intervals, one of `RESAMPLED`: single tracks, or all tracks of a
            package (album, game) or artist together. A track without one is drawn alone.

    Raises:
        UnknownNameError: If `resample` is not one of `RESAMPLED`.

    Example:
        >>> Settings(seed=1).ks
        (1, 2, 4, 8)
    """

    ks: tuple[int, ...] = KS
    triplets_per_dimension: int = triplets.PER_DIMENSION
    track_triplets: int = triplets.PER_DIMENSION
    seed: int = 0
    drop_untagged: bool = False
    resample: str = RESAMPLED[0]

    def __post_init__(self) -> None:
        """Check `resample`."""
        if self.resample not in RESAMPLED:
            raise UnknownNameError.of("unit of the bootstrap", self.resample, RESAMPLED)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The tracks of an evaluation with their labels.

    Attributes:
        ids: Ids of the tracks, in the order of the rows.
        excerpts: Number of excerpts of each track.
        tags: Names of the columns.
        dimensions: Dimension -> its tags.
        labels: ``[tracks, tags]``: annotations, or teachers' mean scores.
        positives: ``[tracks, tags]``: whether a track has a tag; see `musiczoo.datasets.hard_tags`.
    """

    ids: tuple[str, ...]
    excerpts: tuple[int, ...]
    tags: tuple[str, ...]
    dimensions: Mapping[str, Sequence[str]]
    labels: NDArray[np.float64]
    positives: NDArray[np.bool_]

    @property
    def tagged(self) -> tuple[str, ...]:
        """Ids of the tracks that have a tag."""
        return tuple(self.ids[row] for row in np.flatnonzero(self.positives.any(axis=1)))

    @property
    def annotated(self) -> bool:
        """Whether the labels are annotations (0 or 1) rather than scores."""
        return hard_tags.are_annotations(self.labels)

    def only(self, ids: Sequence[str]) -> "GroundTruth":
        """Return the ground truth of some of the tracks, in the order of `ids`."""
        row = {track_id: i for i, track_id in enumerate(self.ids)}
        rows = [row[track_id] for track_id in ids]
        excerpts = tuple(self.excerpts[row] for row in rows)
        return replace(
            self, ids=tuple(ids), excerpts=excerpts, labels=self.labels[rows], positives=self.positives[rows]
        )

    def of_dimension(self, dimension: str) -> NDArray[np.bool_]:
        """Return the columns of `positives` that are tags of one dimension: ``[tracks, tags of it]``."""
        return self.positives[:, [self.tags.index(tag) for tag in self.dimensions[dimension]]]

    def source(self, teachers: Sequence[str]) -> str:
        """Return a sentence for the report that says where the tags come from."""
        names = " and ".join(teachers)
        if list(teachers) == [ANNOTATIONS]:
            return "The tags are annotations by people."
        if self.annotated:
            return f"The tags are annotations ({names})."
        return (
            f"The tags are not annotations by people: they are derived from the scores of {names} (mean over models "
            f"and excerpts). A track has a tag if its score is at least {hard_tags.TIMES_PRIOR:g} times the tag's mean "
            f"over the training tracks; it has at least 1 tag and at most {hard_tags.MOST}."
        )


def read(store: Store, split: str, teachers: Sequence[str]) -> tuple[GroundTruth, dict[str, str]]:
    """Read the labels of a split.

    Args:
        store: A prepared data set.
        split: One of `musiczoo.datasets.prepared.SPLITS`.
        teachers: Names of the teachers; the mean of their labels is used.

    Returns:
        The ground truth of the labelled tracks, and id -> reason of the others.

    Raises:
        UnknownNameError: If there is no such split.
        InputError: If no teacher is named, or annotations are named together with teachers.
        DatasetError: If no track of the split, or not every training track, is labelled.
    """
    label_source.refuse_mixture(teachers)
    tags = store.tags
    missing: dict[str, str] = {}
    labels: dict[str, NDArray[np.float64]] = {}
    for track in store.split(split):
        try:
            labels[track.id] = store.labels(track.id, teachers).mean(axis=0, dtype=np.float64)
            if labels[track.id].shape != (len(tags),):
                raise DatasetError(
                    f"Expected {len(tags)} labels per excerpt of {track.id!r}, got {labels.pop(track.id).size}. "
                    f"Delete labels/<teacher>/{track.id}.npy in {store.part_of(track.id).root} and run: "
                    "musiczoo data label"
                )
        except DatasetError as error:
            missing[track.id] = str(error)
    require_tracks(tuple(labels), store, split, teachers, missing)
    kept = replace(store, tracks=tuple(t for t in store.tracks if t.split != split or t.id in labels))
    return GroundTruth(
        tuple(labels),
        tuple(store.track(track_id).excerpts for track_id in labels),
        tags,
        store.dimensions,
        np.stack(list(labels.values())),
        hard_tags.of_split(kept, split, teachers),
    ), missing


def require_tracks(
    ids: Sequence[str], store: Store, split: str, teachers: Sequence[str], left_out: Mapping[str, str]
) -> None:
    """Check that there is a track to evaluate on.

    Raises:
        DatasetError: If there is none, with the reason of the first one that was left out.
    """
    if not ids:
        first = "".join(f" The first, {track_id}: {reason}" for track_id, reason in list(left_out.items())[:1])
        raise DatasetError(
            f"Expected tracks of the split {split!r} in {' and '.join(map(str, store.roots))} with labels by "
            f"{' and '.join(teachers)}, got none of {len(store.split(split))}.{first}"
        )


@dataclass(frozen=True, eq=False)
class TripletLists:
    """All triplets of an evaluation, and the tracks and excerpts that their rows refer to.

    Attributes:
        tracks: Ids of the tracks: rows of `by_dimension`.
        excerpts: Number of excerpts of each track: rows of `track`.
        by_dimension: Dimension -> triplets of tracks.
        track: Triplets of excerpts.
    """

    tracks: tuple[str, ...]
    excerpts: tuple[int, ...]
    by_dimension: Mapping[str, Triplets]
    track: Triplets

    def among(self, tracks: Sequence[str], excerpts: Sequence[int]) -> "TripletLists":
        """Return the triplets whose tracks are all among others, as rows of those.

        Args:
            tracks: Ids.
            excerpts: Number of excerpts of each.

        Raises:
            InputError: If a track has another number of excerpts here.
        """
        row = {track: i for i, track in enumerate(tracks)}
        here = dict(zip(tracks, excerpts, strict=True))
        for track, count in zip(self.tracks, self.excerpts, strict=True):
            if here.get(track, count) != count:
                raise InputError(
                    f"Expected {count} excerpts of {track}, as in the triplet lists, got {here[track]}. "
                    "The lists were made for other audio: draw new ones."
                )
        new_track = np.array([row.get(track, -1) for track in self.tracks], np.int64)
        start = np.cumsum([0, *excerpts])
        moved = [
            start[row[track]] + np.arange(count) if track in row else np.full(count, -1)
            for track, count in zip(self.tracks, self.excerpts, strict=True)
        ]
        new_excerpt = np.concatenate([np.zeros(0, np.int64), *moved])
        return TripletLists(
            tuple(tracks),
            tuple(excerpts),
            {name: _renumbered(triplets, new_track) for name, triplets in self.by_dimension.items()},
            _renumbered(self.track, new_excerpt),
        )

    def save(self, path: Path) -> None:
        """Write the lists as .npz.

        Raises:
            WriteError: If the file cannot be written.
        """
        arrays: dict[str, Any] = {f"{_LIST}{name}": triplets.rows() for name, triplets in self.by_dimension.items()}
        arrays |= {"tracks": np.array(self.tracks), "excerpts": np.array(self.excerpts, np.int64)}
        arrays[_TRACK] = self.track.rows()
        with atomic_file(path) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> "TripletLists":
        """Read what `save` wrote.

        Raises:
            DatasetError: If the file does not contain triplet lists.
        """
        try:
            with open_npz(path) as file:
                lists = {key.removeprefix(_LIST): Triplets.of(file[key]) for key in file if key.startswith(_LIST)}
                tracks = tuple(map(str, file["tracks"]))
                excerpts = tuple(map(int, file["excerpts"]))
                track = Triplets.of(file[_TRACK])
        except UNREADABLE as error:
            raise DatasetError(
                f"{path}: expected triplet lists, got {error!r}. Name a file that does not exist to draw new ones."
            ) from error
        if not all(0 < count < 1 << 20 for count in excerpts):
            raise DatasetError(f"{path}: expected the number of excerpts of each track, got others. Draw new ones.")
        for found, rows in [(track, sum(excerpts)), *((t, len(tracks)) for t in lists.values())]:
            if len(tracks) != len(excerpts) or (
                len(found) and not 0 <= found.rows().min() <= found.rows().max() < rows
            ):
                raise DatasetError(
                    f"{path}: expected triplets of its {len(tracks)} tracks, got other rows. Draw new ones."
                )
        return cls(tracks, excerpts, lists, track)


def triplet_lists(truth: GroundTruth, settings: Settings, file: Path | None, excerpt_s: float) -> TripletLists:
    """Draw the triplets of an evaluation, or read them.

    Args:
        truth: The tracks with their tags.
        settings: Number of triplets, and the seed.
        file: Lists to use instead. An .npz file that does not exist is written. A .csv file replaces the lists of the
            dimensions; track triplets are drawn.
        excerpt_s: Length of the longest excerpt of any model in seconds, which decides how far apart the excerpts of a
            track triplet start.

    Raises:
        DatasetError: If the file does not contain triplet lists.
        InputError: If it was made for other audio.
        WriteError: If it cannot be written.
    """
    apart = max(1, int(np.ceil(excerpt_s / 2 / EXCERPT_S - 1e-9)))
    of_tracks = triplets.draw_track(truth.excerpts, settings.track_triplets, settings.seed, apart)
    if file is not None and file.suffix == ".csv":
        return TripletLists(truth.ids, truth.excerpts, _read_csv(file, truth.ids), of_tracks)
    if file is not None and file.exists():
        lists = TripletLists.read(file).among(truth.ids, truth.excerpts)
        if set(lists.by_dimension) != set(truth.dimensions):
            raise InputError(
                f"{file}: expected triplets of {', '.join(truth.dimensions)}, got {', '.join(lists.by_dimension)}. "
                "The lists were made for another data set: draw new ones."
            )
        return lists
    lists = TripletLists(
        truth.ids,
        truth.excerpts,
        triplets.draw(truth.positives, truth.tags, truth.dimensions, settings.triplets_per_dimension, settings.seed),
        of_tracks,
    )
    if file is not None:
        lists.save(file)
    return lists


def _read_csv(path: Path, tracks: Sequence[str]) -> dict[str, Triplets]:
    """Return dimension -> triplets of tracks, without those with a track that is not evaluated.

    Raises:
        DatasetError: If the file is no table of triplets, or none of its triplets is left.
    """
    row = {track: i for i, track in enumerate(tracks)}
    found: dict[str, list[list[int]]] = {}
    count = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            if lacking := [name for name in _COLUMNS if name not in (table.fieldnames or ())]:
                raise DatasetError(f"{path}: expected the columns {', '.join(_COLUMNS)}, got no {', '.join(lacking)}.")
            for count, line in enumerate(table, 1):  # noqa: B007
                rows = [row.get(line[name], -1) for name in _COLUMNS[1:]]
                if len(set(rows)) == 3 and min(rows) >= 0 and line["dimension"]:
                    found.setdefault(line["dimension"], []).append(rows)
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: expected a CSV file of triplets, got {error}.") from error
    if not found:
        raise DatasetError(
            f"{path}: expected triplets of three different tracks among the {len(tracks)} that are evaluated, got none "
            f"among {count} lines. Ids are those of index.json."
        )
    return {name: Triplets.of(rows) for name, rows in found.items()}


def _renumbered(triplets: Triplets, new: Rows) -> Triplets:
    """Return the triplets with other row numbers, without those with a row that has none (-1)."""
    rows = new[triplets.rows()]
    return Triplets.of(rows[(rows >= 0).all(axis=1)])
