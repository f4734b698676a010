"""What models are measured by: which tags the tracks of a split have, and the triplets drawn from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musiczoo.datasets import hard_tags, label_source
from musiczoo.datasets.prepared import ANNOTATIONS, EXCERPT_S, Store
from musiczoo.errors import DatasetError, InputError

from . import triplet_lists
from .metrics import triplets
from .metrics.retrieval import KS


@dataclass(frozen=True)
class Settings:
    """What decides the figures besides models and data.

    Attributes:
        ks: How many nearest tracks count in retrieval.
        triplets_per_dimension: Triplets drawn for each dimension.
        track_triplets: Triplets of excerpts drawn.
        seed: Of the triplets.
        drop_untagged: Leave out the tracks without a tag, as some papers do. By default they are measured: they lack
            every tag, which counts in ROC-AUC and average precision, and they may be found in retrieval.
    """

    ks: tuple[int, ...] = KS
    triplets_per_dimension: int = triplets.PER_DIMENSION
    track_triplets: int = triplets.PER_DIMENSION
    seed: int = 0
    drop_untagged: bool = False


@dataclass(frozen=True, eq=False)
class Truth:
    """The tracks that are measured, and what is known of them.

    Attributes:
        ids: Of the tracks, in the order of the rows.
        excerpts: How many each has.
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
        """Whether the labels say yes or no, rather than how likely."""
        return hard_tags.are_annotations(self.labels)

    def only(self, ids: Sequence[str]) -> "Truth":
        """The same of some of the tracks, in the order of `ids`."""
        row = {track_id: i for i, track_id in enumerate(self.ids)}
        rows = [row[track_id] for track_id in ids]
        excerpts = tuple(self.excerpts[row] for row in rows)
        return replace(
            self, ids=tuple(ids), excerpts=excerpts, labels=self.labels[rows], positives=self.positives[rows]
        )

    def of_dimension(self, dimension: str) -> NDArray[np.bool_]:
        """The columns of `positives` that are tags of one dimension: ``[tracks, tags of it]``."""
        return self.positives[:, [self.tags.index(tag) for tag in self.dimensions[dimension]]]

    def source(self, teachers: Sequence[str]) -> str:
        """Where the hard tags come from, as a sentence for the report."""
        names = " and ".join(teachers)
        if list(teachers) == [ANNOTATIONS]:
            return "The tags are annotations by people."
        if self.annotated:
            return f"The tags are annotations ({names})."
        return (
            f"The tags are not people's: they come from the scores of {names} (mean over models and excerpts). A track "
            f"has a tag if its score is at least {hard_tags.TIMES_PRIOR:g} times the tag's mean over the training "
            f"tracks; it has at least 1 tag and at most {hard_tags.MOST}."
        )


def read(store: Store, split: str, teachers: Sequence[str]) -> tuple[Truth, dict[str, str]]:
    """The tracks of a split with their labels.

    Args:
        store: A prepared data set.
        split: One of `musiczoo.datasets.prepared.SPLITS`.
        teachers: Whose labels; their mean counts.

    Returns:
        What is known of the labelled tracks, and id -> reason of the others.

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
                    f"Expected {len(tags)} labels an excerpt of {track.id!r}, received {labels.pop(track.id).size}. "
                    f"Delete labels/<teacher>/{track.id}.npy in {store.root} and run: musiczoo data label"
                )
        except DatasetError as error:
            missing[track.id] = str(error)
    require(tuple(labels), store, split, teachers, missing)
    kept = replace(store, tracks=tuple(t for t in store.tracks if t.split != split or t.id in labels))
    return Truth(
        tuple(labels),
        tuple(store.track(track_id).excerpts for track_id in labels),
        tags,
        store.dimensions,
        np.stack(list(labels.values())),
        hard_tags.of_split(kept, split, teachers),
    ), missing


def require(ids: Sequence[str], store: Store, split: str, teachers: Sequence[str], left_out: Mapping[str, str]) -> None:
    """Refuse to measure no track.

    Raises:
        DatasetError: If there is none, with the reason of the first that was left out.
    """
    if not ids:
        first = "".join(f" The first, {track_id}: {reason}" for track_id, reason in list(left_out.items())[:1])
        raise DatasetError(
            f"Expected tracks of the split {split!r} in {store.root} that {' and '.join(teachers)} labelled, received "
            f"none out of {len(store.split(split))}.{first}"
        )


def lists_of(truth: Truth, settings: Settings, file: Path | None, excerpt_s: float) -> triplet_lists.TripletLists:
    """The triplets to judge by.

    Args:
        truth: The tracks.
        settings: How many to draw, and the seed.
        file: Lists to use instead; written with those drawn if it is not there.
        excerpt_s: Length of the longest excerpt of any model, which says how far apart two must start.

    Raises:
        DatasetError: If the file is no such lists.
        InputError: If it was made for other audio, or cannot be written.
    """
    if file is not None and file.exists():
        lists = triplet_lists.read(file).among(truth.ids, truth.excerpts)
        if set(lists.by_dimension) != set(truth.dimensions):
            raise InputError(
                f"{file}: expected triplets of {', '.join(truth.dimensions)}, received {', '.join(lists.by_dimension)}."
                " The lists were made for another data set: draw new ones."
            )
        return lists
    apart = max(1, int(np.ceil(excerpt_s / 2 / EXCERPT_S - 1e-9)))
    lists = triplet_lists.TripletLists(
        truth.ids,
        truth.excerpts,
        triplets.draw(truth.positives, truth.tags, truth.dimensions, settings.triplets_per_dimension, settings.seed),
        triplets.draw_track(truth.excerpts, settings.track_triplets, settings.seed, apart),
    )
    if file is not None:
        triplet_lists.save(file, lists)
    return lists
