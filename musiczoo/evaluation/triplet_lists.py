"""All triplets of an evaluation as one file, so that other models can be judged by the same.

The file is .npz: ids of tracks, how many excerpts each has, and rows ``[triplets, 3]`` (see `triplets`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from musiczoo._files import UNREADABLE, open_npz
from musiczoo.datasets.prepared import atomic
from musiczoo.errors import DatasetError, InputError

from .metrics.triplets import Rows, Triplets

_LIST = "triplets/"
_TRACK = "track_triplets"


@dataclass(frozen=True, eq=False)
class TripletLists:
    """All triplets of an evaluation, and what their rows are.

    Attributes:
        tracks: Ids of the tracks that the rows of `by_dimension` are.
        excerpts: How many excerpts each track has: what the rows of `track` are.
        by_dimension: Dimension -> triplets of tracks.
        track: Triplets of excerpts.
    """

    tracks: tuple[str, ...]
    excerpts: tuple[int, ...]
    by_dimension: Mapping[str, Triplets]
    track: Triplets

    def among(self, tracks: Sequence[str], excerpts: Sequence[int]) -> "TripletLists":
        """The same triplets, as far as their tracks are among others, as rows of those.

        Args:
            tracks: Ids.
            excerpts: How many excerpts each has.

        Raises:
            InputError: If a track has another number of excerpts here.
        """
        row = {track: i for i, track in enumerate(tracks)}
        here = dict(zip(tracks, excerpts, strict=True))
        for track, count in zip(self.tracks, self.excerpts, strict=True):
            if here.get(track, count) != count:
                raise InputError(
                    f"Expected {count} excerpts of {track}, as in the triplet lists, received {here[track]}. "
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
            {name: _renamed(triplets, new_track) for name, triplets in self.by_dimension.items()},
            _renamed(self.track, new_excerpt),
        )


def save(path: Path, lists: TripletLists) -> None:
    """Write triplet lists as .npz, so that others can be judged by the same.

    Raises:
        WriteError: If the file cannot be written.
    """
    arrays: dict[str, Any] = {f"{_LIST}{name}": triplets.rows() for name, triplets in lists.by_dimension.items()}
    arrays |= {"tracks": np.array(lists.tracks), "excerpts": np.array(lists.excerpts, np.int64)}
    arrays[_TRACK] = lists.track.rows()
    with atomic(path) as file:
        np.savez_compressed(file, **arrays)


def read(path: Path) -> TripletLists:
    """Read what `save` wrote.

    Raises:
        DatasetError: If the file is no such lists.
    """
    try:
        with open_npz(path) as file:
            lists = {key.removeprefix(_LIST): Triplets.of(file[key]) for key in file if key.startswith(_LIST)}
            tracks = tuple(map(str, file["tracks"]))
            excerpts = tuple(map(int, file["excerpts"]))
            track = Triplets.of(file[_TRACK])
    except UNREADABLE as error:
        raise DatasetError(
            f"{path}: expected triplet lists, received {error!r}. Name a file that is not there, and they are drawn."
        ) from error
    if not all(0 < count < 1 << 20 for count in excerpts):
        raise DatasetError(f"{path}: expected the number of excerpts of each track, received others. Draw new ones.")
    for triplets, rows in [(track, sum(excerpts)), *((t, len(tracks)) for t in lists.values())]:
        if len(tracks) != len(excerpts) or (
            len(triplets) and not 0 <= triplets.rows().min() <= triplets.rows().max() < rows
        ):
            raise DatasetError(
                f"{path}: expected triplets of its {len(tracks)} tracks, received other rows. Draw new ones."
            )
    return TripletLists(tracks, excerpts, lists, track)


def _renamed(triplets: Triplets, new: Rows) -> Triplets:
    """The triplets with other row numbers; those with a row that has none (-1) are dropped."""
    rows = new[triplets.rows()]
    return Triplets.of(rows[(rows >= 0).all(axis=1)])
