"""A prepared data set: the folder that training, labelling and evaluation read.

Layout
------
::

    DIR/audio/<id>.<ext>           the music as it was published (stems mixed to .flac), or links to it
    DIR/logmel/<id>.npy            float16 [frames, n_mels]: log10(1 + gain * S), not standardised
    DIR/labels/<teacher>/<id>.npy  float32 [excerpts, tags]: a teacher's probabilities, or `ANNOTATIONS`
    DIR/features/<id>/<id>.npy     float32 [excerpts, F]: a hidden layer of a network (see `musiczoo.models.features`)
    DIR/index.json                 the tracks, in the order of the definition, and the failures

Conventions
-----------
- Files are written atomically: a file that exists is complete.
- Labels belong to consecutive excerpts of `EXCERPT_S`, starting at 0 s. A track has as many as fit into it, and at
  least one: a shorter track is zero-padded.
- Annotations are the labels of the teacher `ANNOTATIONS`: 0 or 1, the same row for each excerpt.
- The index has tags and dimensions only if they are not those of `musiczoo.taxonomy`.
- The index has no times or paths, so preparing the same music twice gives the same bytes.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import UNREADABLE, map_npy, read_json, write_json
from ..errors import DatasetError, InputError, UnknownNameError
from ..taxonomy import DIMENSION_TAGS, TAGS, Vocabulary

FORMAT = 1
"""Format of the index: the newest that this version reads, and the one that it writes."""

INDEX_FILE = "index.json"
SPLITS = ("train", "validation", "test")
FIRST = ("validation", "test", "train")
"""Splits in the order of preparation: those for evaluation come first."""

ANNOTATIONS = "annotations"
"""Teacher of the annotations."""

FEATURES = "features"
"""Folder of hidden layers of networks."""

EXCERPT_S = 3.0
"""Length of the excerpt of one row of labels in seconds, and the hop to the next."""


@dataclass(frozen=True)
class TrackEntry:
    """One track of the index.

    Attributes:
        id: Unique name; also the name of its files.
        split: One of `SPLITS`.
        audio: File name in the folder ``audio``.
        duration_s: Seconds of the audio that are used, from the start.
        frames: Rows of its log-mel.
        title: As published, or empty.
        artist: As published, or empty.
        genre: As published, or empty.
        licence: Licence of the recording.
        package: Its source, such as an album or a game.
    """

    id: str
    split: str
    audio: str
    duration_s: float
    frames: int
    title: str
    artist: str
    genre: str
    licence: str
    package: str

    @property
    def excerpts(self) -> int:
        """Number of rows of its labels: how often `EXCERPT_S` fits into it, at least 1."""
        return max(1, int(self.duration_s // EXCERPT_S))


@dataclass(frozen=True)
class Failure:
    """A track that could not be prepared."""

    id: str
    reason: str


@dataclass(frozen=True)
class Store:
    """A prepared data set.

    Attributes:
        root: Its folder.
        dataset: Name of the data set.
        front_end: Settings of the log-mels: sample_rate, hop, n_fft, n_mels, gain.
        tracks: The tracks, in the order of the data set.
        failures: Tracks of the data set that could not be prepared.
        tags: Names of the columns of its labels.
        dimensions: Dimension -> its tags; each tag is in one.
        spaces: Spaces of the embedding, if the tags are for an existing model.
        parts: The data sets that this one joins; empty for one that has its own folder (see `join`).
    """

    root: Path
    dataset: str
    front_end: Mapping[str, Any]
    tracks: tuple[TrackEntry, ...]
    failures: tuple[Failure, ...] = ()
    tags: tuple[str, ...] = TAGS
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: DIMENSION_TAGS)
    spaces: Mapping[str, tuple[int, int]] | None = None
    parts: tuple["Store", ...] = ()

    @property
    def vocabulary(self) -> Vocabulary:
        """The tags and their dimensions."""
        return Vocabulary(self.tags, self.dimensions, self.spaces)

    @classmethod
    def open(cls, root: Path | str) -> "Store":
        """Read the index of a prepared folder.

        Raises:
            DatasetError: If there is none, or it cannot be read.

        Example:
            >>> import tempfile
            >>> entry = TrackEntry("one", "test", "one.flac", 30.0, 1291, "", "", "", "CC0", "")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     Store(Path(folder), "folder", {"n_mels": 128}, (entry,)).save()
            ...     Store.open(folder).track("one").excerpts
            10
        """
        path = Path(root) / INDEX_FILE
        again = f"Run: musiczoo data prepare open_music --out {root}"
        try:
            index = read_json(path)
            version = index["format"]
            if version != FORMAT:
                raise DatasetError(
                    f"{path}: expected index format {FORMAT}, got {version!r}. "
                    "Update musiczoo (pip install -U musiczoo) or prepare the data again."
                )
            tracks = tuple(TrackEntry(**entry) for entry in index["tracks"])
            _check_tracks(tracks)
            if not isinstance(bands := index["front_end"].get("n_mels", 0), int):
                raise ValueError(f"a front end of {bands!r} bands")
            return cls(
                root=Path(root),
                dataset=index["dataset"],
                front_end=index["front_end"],
                tracks=tracks,
                failures=tuple(Failure(**entry) for entry in index["failures"]),
                tags=tuple(index.get("tags", TAGS)),
                dimensions={name: tuple(tags) for name, tags in index.get("dimensions", DIMENSION_TAGS).items()},
                spaces={name: (int(start), int(stop)) for name, (start, stop) in index.get("spaces", {}).items()}
                or None,
            )
        except OSError as error:
            raise DatasetError(f"Expected a prepared data set at {root}, got {error}. {again}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DatasetError(f"{path}: expected a data set's index, got {error!r}. {again}") from error

    @classmethod
    def open_all(cls, roots: Sequence[Path | str]) -> "Store":
        """Read the indices of one or more prepared folders, and join them.

        Raises:
            InputError: If there is none, or the data sets do not fit each other.
            DatasetError: If an index cannot be read.
        """
        if not roots:
            raise InputError("Expected one or more prepared data sets, got none. Pass --data DIR.")
        stores = [cls.open(root) for root in roots]
        return stores[0] if len(stores) == 1 else cls.join(stores)

    @classmethod
    def join(cls, stores: Sequence["Store"]) -> "Store":
        """Return the tracks of several data sets as one. The files stay where they are.

        Args:
            stores: Data sets of the same front end and tags. `root` of the result is that of the first.

        Raises:
            InputError: If front ends, tags or dimensions differ, or two tracks have one id.

        Example:
            >>> entry = TrackEntry("one", "test", "one.flac", 30.0, 1291, "", "", "", "CC0", "")
            >>> stores = [Store(Path(name), name, {}, (dataclasses.replace(entry, id=name),)) for name in ("a", "b")]
            >>> joined = Store.join(stores)
            >>> joined.dataset, [track.id for track in joined.split("test")], str(joined.audio("b"))
            ('a + b', ['a', 'b'], 'b/audio/one.flac')
        """
        first = stores[0]
        for store in stores[1:]:
            for what in ("front_end", "tags", "dimensions", "spaces"):
                if getattr(store, what) != getattr(first, what):
                    raise InputError(f"{store.root} and {first.root} cannot be joined: their {what} differ.")
        tracks = tuple(track for store in stores for track in store.tracks)
        ids = Counter(track.id for track in tracks)
        if twice := [name for name, count in ids.items() if count > 1]:
            raise InputError(f"{len(twice)} track ids are in two of the data sets, such as {twice[0]!r}. Join others.")
        failures = tuple(failure for store in stores for failure in store.failures)
        names = " + ".join(store.dataset for store in stores)
        return dataclasses.replace(first, dataset=names, tracks=tracks, failures=failures, parts=tuple(stores))

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folder, or the folders of the data sets that this one joins."""
        return tuple(part.root for part in self.parts) or (self.root,)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The name of the data set, or the names of those that this one joins."""
        return tuple(part.dataset for part in self.parts) or (self.dataset,)

    def part_of(self, track_id: str) -> "Store":
        """Return the data set whose folder has a track's files: the store itself if it joins no others.

        Raises:
            UnknownNameError: If there is no such track.
        """
        self.track(track_id)
        return self._owners[track_id] if self.parts else self

    def save(self) -> None:
        """Write the index."""
        index: dict[str, Any] = {"format": FORMAT, "dataset": self.dataset, "front_end": dict(self.front_end)}
        if (self.tags, dict(self.dimensions)) != (TAGS, DIMENSION_TAGS):
            index |= {"tags": self.tags, "dimensions": dict(self.dimensions)}
        if self.spaces is not None:
            index["spaces"] = dict(self.spaces)
        index |= {
            "tracks": [dataclasses.asdict(track) for track in self.tracks],
            "failures": [dataclasses.asdict(failure) for failure in self.failures],
        }
        write_json(self.root / INDEX_FILE, index)

    def split(self, name: str) -> tuple[TrackEntry, ...]:
        """Return the tracks of one split.

        Raises:
            UnknownNameError: If there is no such split.
        """
        if name not in SPLITS:
            raise UnknownNameError.of("split", name, SPLITS)
        return tuple(track for track in self.tracks if track.split == name)

    def track(self, track_id: str) -> TrackEntry:
        """Return one track.

        Raises:
            UnknownNameError: If there is no such track.
        """
        if track_id not in self._by_id:
            raise UnknownNameError.of("track", track_id, self._by_id)
        return self._by_id[track_id]

    def audio(self, track_id: str) -> Path:
        """Return the path of a track's audio. Only its first ``duration_s`` seconds are part of the data set."""
        return self.part_of(track_id).root / "audio" / self.track(track_id).audio

    def logmel(self, track_id: str) -> NDArray[np.float16]:
        """Return a track's log-mel, memory-mapped: ``[frames, n_mels]`` float16, not standardised.

        Raises:
            DatasetError: If the file is missing or does not fit the index.
        """
        track = self.track(track_id)
        return self._array("logmel", track_id, (track.frames, self.front_end.get("n_mels", 0)), self._prepare)

    def labels(self, track_id: str, teachers: Sequence[str]) -> NDArray[np.float32]:
        """Return the mean of teachers' tag probabilities: ``[excerpts, tags]`` float32 in [0, 1].

        Excerpts that a teacher did not label (NaN in its file) are interpolated from their neighbours.

        Raises:
            InputError: If no teacher is named.
            DatasetError: If a teacher has not labelled the track.
        """
        if not teachers:
            raise InputError("Expected one or more teachers, got none. Pass --teacher NAME.")
        scores = [self._interpolated(f"labels/{name}", track_id, self._scores(track_id, name)) for name in teachers]
        mean: NDArray[np.float32] = np.mean(scores, axis=0, dtype=np.float32)
        return mean

    def hidden(self, track_id: str, teachers: Sequence[str]) -> NDArray[np.float32]:
        """Return the hidden layers of teachers side by side: ``[excerpts, F]`` float32.

        Excerpts that a teacher did not label are interpolated as in `labels`.

        Raises:
            DatasetError: If a hidden layer is missing.
        """
        rows, layers = self.track(track_id).excerpts, []
        for name in teachers:
            layer = f"{FEATURES}/{self.part_of(track_id)._layer_of(name)}"
            array = self._array(layer, track_id, (rows, None), f"label --hidden --teacher {name}")
            layers.append(self._interpolated(layer, track_id, array))
        return np.concatenate(layers, axis=1, dtype=np.float32)

    def labelled_share(self, split: str, teachers: Sequence[str]) -> float:
        """Return the share of a split's excerpts that the teachers labelled, 0 to 1; the others are interpolated.

        Raises:
            DatasetError: If a teacher has not labelled a track.
        """
        asked = [_labelled(self._scores(track.id, name)) for track in self.split(split) for name in teachers]
        return float(np.concatenate(asked).mean())

    def _interpolated(self, folder: str, track_id: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill the rows that are NaN from their neighbours."""
        known = np.flatnonzero(_labelled(array))
        if not len(known):
            raise DatasetError(
                f"Expected numbers in {folder} of {track_id}, got only NaN. "
                f"Delete {self.part_of(track_id).root / folder / track_id}.npy and label again."
            )
        at = np.interp(np.arange(len(array)), known, np.arange(len(known)))
        before, after = known[np.floor(at).astype(int)], known[np.ceil(at).astype(int)]
        weight = (at % 1)[:, None].astype(np.float32)
        return np.asarray((1 - weight) * array[before] + weight * array[after], np.float32)

    def _layer_of(self, teacher: str) -> str:
        """Return the folder of a teacher's hidden layer: its name and a hash."""
        found = [
            path.name for path in (self.root / FEATURES).glob(f"{teacher}-*") if len(path.name) == len(teacher) + 13
        ]
        if len(found) != 1:
            raise DatasetError(
                f"Expected one folder {FEATURES}/{teacher}-* in {self.root}, found {len(found)}. "
                f"Run: musiczoo data label --hidden --teacher {teacher} {self.root}"
            )
        return found[0]

    @cached_property
    def _owners(self) -> dict[str, "Store"]:
        return {track.id: part for part in self.parts for track in part.tracks}

    @cached_property
    def _by_id(self) -> dict[str, TrackEntry]:
        return {track.id: track for track in self.tracks}

    @property
    def _prepare(self) -> str:
        return f"prepare {self.dataset} {'' if self.dataset == 'open_music' else '--root DIR '}--out"

    def _scores(self, track_id: str, teacher: str) -> NDArray[np.float32]:
        rows = self.track(track_id).excerpts
        command = self._prepare if teacher == ANNOTATIONS else f"label --teacher {teacher}"
        return self._array(f"labels/{teacher}", track_id, (rows, None), command)

    def _array(self, folder: str, track_id: str, shape: tuple[int | None, ...], command: str) -> NDArray[Any]:
        root = self.part_of(track_id).root
        path = root / folder / f"{track_id}.npy"
        array = read_array(path)
        if array is None:
            raise DatasetError(f"No readable array at {path}. Run: musiczoo data {command} {root}")
        fits = len(array.shape) == len(shape) and all(
            wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype.kind != "f":
            raise DatasetError(
                f"{path}: expected shape {shape} of floats, got {array.shape} of {array.dtype}. "
                f"Delete it and run: musiczoo data {command} {root}"
            )
        return array


def _check_tracks(tracks: Sequence[TrackEntry]) -> None:
    """Check that the files of all tracks, which are named after their ids, are inside the folder.

    Raises:
        ValueError: With the track.
    """
    for track in tracks:
        for name in (track.id, track.audio):
            if not isinstance(name, str) or not name or name in (".", "..") or {"/", "\\", "\0", ":"} & set(name):
                raise ValueError(f"the file name {name!r}")
        if not isinstance(track.duration_s, int | float) or not 0 <= track.duration_s < 1e9:
            raise ValueError(f"the duration {track.duration_s!r} of {track.id}")
        if not isinstance(track.frames, int):
            raise ValueError(f"{track.frames!r} frames of {track.id}")


def _labelled(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which rows of a teacher's scores are numbers: ``[excerpts]``."""
    return np.asarray(np.isfinite(scores).all(axis=1))


def read_array(path: Path) -> NDArray[Any] | None:
    """Return the array of a .npy file, memory-mapped, or None if it cannot be read."""
    try:
        return map_npy(path)
    except UNREADABLE:
        return None
