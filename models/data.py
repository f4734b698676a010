"""tf.data batches of log-mels and labels.

Conventions
-----------
- A batch is a pure function of the seed and the number of the step (see `musiczoo.models.sampling`), without state: a
  run resumed at step s gets the batches of an undisturbed run.
- Log-mels are stored as log10(1 + gain * S), and standardised after augmentation.
- Labels are on a grid of excerpts. A crop that starts between two excerpts gets the mean of both, weighted by its
  overlap with each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from musiczoo.datasets import hard_tags, label_source, rendered_music
from musiczoo.datasets.prepared import EXCERPT_S, Store, TrackEntry
from musiczoo.errors import DatasetError, InputError, UnknownNameError
from musiczoo.models import sampling
from musiczoo.models.frontend import EXCERPT_FRAMES, FRONT_END, SAMPLE_RATE, STORED
from musiczoo.models.losses import HIDDEN, TAGS, TRACKS, VOICES
from musiczoo.models.sampling import Grid, Positions

_FRAMES_PER_LABEL = EXCERPT_S * SAMPLE_RATE / (FRONT_END.n_fft // 2)


@dataclass(frozen=True)
class Augmentation:
    """Augmentation of excerpts, besides their random starts.

    Attributes:
        gain_db: Largest random change of the level in dB, up or down.
        time_mask: Largest number of consecutive frames that are silenced (Park et al., SpecAugment, 2019).
        mel_mask: Largest number of neighbouring mel bands that are silenced.

    Raises:
        InputError: If a setting is not a number of 0 or more.
    """

    gain_db: float = 6.0
    time_mask: int = 20
    mel_mask: int = 16

    def __post_init__(self) -> None:
        """Check the settings."""
        for name, value in vars(self).items():
            if not isinstance(value, int | float) or value < 0:
                raise InputError(f"Augmentation {name!r} must be a number of 0 or more, got {value!r}.")


class LogMels(Sequence[NDArray[np.float16]]):
    """The log-mels of tracks, memory-mapped on access.

    A mapped file stays open, a process may have about a thousand open files, and the data sets of the paper have
    hundreds of thousands of tracks. So at most `OPEN` of them are mapped at a time.

    Args:
        store: A prepared data set.
        ids: Ids of the tracks.

    Raises:
        DatasetError: If a log-mel is missing or does not fit the index; all are checked at once.
    """

    OPEN = 256

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self._ids = tuple(ids)
        for track_id in self._ids:
            store.logmel(track_id)
        self._open = lru_cache(self.OPEN)(store.logmel)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: Any) -> Any:
        return self._open(self._ids[index])


def labelled(
    store: Store, split: str, teachers: Sequence[str], drop_untagged: bool = False
) -> tuple[list[TrackEntry], list[NDArray[np.float32]], NDArray[np.bool_]]:
    """Return the tracks of a split, the labels ``[excerpts, T]`` of each, and the tags of all, ``[tracks, T]``.

    Raises:
        DatasetError: If there are no such tracks, or a label is missing.
    """
    label_source.refuse_mixture(teachers)
    tracks = store.split(split)
    if not tracks:
        raise DatasetError(f"Expected tracks in the split {split!r} of {store.root}, found none.")
    labels = [store.labels(track.id, teachers) for track in tracks]
    scores = np.stack([rows.mean(axis=0, dtype=np.float64) for rows in labels])
    annotated = hard_tags.are_annotations(scores)
    tags = scores == 1 if annotated else hard_tags.of_split(store, split, teachers)
    kept = np.flatnonzero(tags.any(axis=1)) if drop_untagged else np.arange(len(tracks))
    if not len(kept):
        raise DatasetError(f"Expected tracks with a tag in the split {split!r} of {store.root}, found none.")
    return [tracks[i] for i in kept], [labels[i] for i in kept], tags[kept]


def _counts(store: Store, ids: Sequence[str], repeats: Mapping[str, int]) -> list[int]:
    """Return how often each track is in the split."""
    for name in repeats:
        if name not in store.datasets:
            raise UnknownNameError.of("data set to repeat", name, store.datasets)
    return [repeats.get(store.part_of(name).dataset, 1) for name in ids]


def _voice(store: Store, track: TrackEntry) -> float:
    """Return 1 if a track has a voice, 0 if it has none, and -1 if the data set does not say."""
    if store.part_of(track.id).dataset != rendered_music.NAME:
        return -1.0
    voice = rendered_music.voice_of(track)
    return -1.0 if voice is None else float(voice)


@dataclass(frozen=True)
class Excerpts:
    """All labelled excerpts of a split.

    Attributes:
        log_mels: For each track, ``[frames, n_mels]`` float16, such as `LogMels`.
        labels: For each track, ``[excerpts, tags]`` float32.
        tags: The tags of each track, ``[tracks, tags]`` bool (see `musiczoo.datasets.hard_tags`).
        tag_dimensions: The dimension of each tag.
        hidden: For each track, the teachers' hidden layers ``[excerpts, F]`` float32; empty if nothing learns them.
        voices: For each track, 1 if it has a voice, 0 if not, -1 where that is not known; empty if nothing learns it.
    """

    log_mels: Sequence[NDArray[np.float16]]
    labels: Sequence[NDArray[np.float32]]
    tags: NDArray[np.bool_]
    tag_dimensions: Sequence[str]
    hidden: Sequence[NDArray[np.float32]] = ()
    voices: Sequence[float] = ()

    @classmethod
    def of(
        cls,
        store: Store,
        split: str,
        teachers: Sequence[str],
        drop_untagged: bool = False,
        repeats: Mapping[str, int] | None = None,
        hidden: bool = False,
        voices: bool = False,
    ) -> "Excerpts":
        """Open a split.

        Args:
            store: A prepared data set.
            split: One of `musiczoo.datasets.prepared.SPLITS`.
            teachers: The teachers whose mean labels are used, or `musiczoo.datasets.prepared.ANNOTATIONS`.
            drop_untagged: Whether to leave out tracks without a tag.
            repeats: Data set -> how often each of its tracks is in the split; 1 for those not named.
            hidden: Whether to read the teachers' hidden layers.
            voices: Whether to look up which tracks have a voice.

        Raises:
            DatasetError: If there are no such tracks, or a log-mel, a label or a hidden layer is missing.
            InputError: If `repeats` names a data set that `store` does not have.
        """
        if store.split(split) and dict(store.front_end) != STORED:
            raise DatasetError(
                f"Expected log-mels made with {STORED} in {store.root}, found {dict(store.front_end)}. Prepare "
                "the data set again, in another folder."
            )
        tracks, labels, tags = labelled(store, split, teachers, drop_untagged)
        ids = [track.id for track in tracks]
        layers = [store.hidden(name, teachers) for name in ids] if hidden else []
        rows = np.repeat(np.arange(len(ids)), _counts(store, ids, repeats or {}))
        return cls(
            LogMels(store, [ids[i] for i in rows]),
            [labels[i] for i in rows],
            tags[rows],
            store.vocabulary.tag_dimensions,
            [layers[i] for i in rows] if hidden else (),
            [_voice(store, tracks[i]) for i in rows] if voices else (),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the model's input for one excerpt."""
        return EXCERPT_FRAMES, FRONT_END.n_mels

    def ready(self, excerpts: Any, seed: Any = None, augmentation: "Augmentation | None" = None) -> Any:
        """Return the model's input for what `at` returns: augmented, if asked for, and standardised."""
        return standardise(excerpts if augmentation is None else augment(excerpts, seed, augmentation))

    @cached_property
    def grid(self) -> Grid:
        """The excerpts for `musiczoo.models.sampling`."""
        return Grid(np.array([len(rows) for rows in self.labels]), self.tags, self.tag_dimensions)

    @cached_property
    def targets(self) -> Sequence[NDArray[np.float32]]:
        """The labels of each track, and behind them its hidden layers: ``[excerpts, T + F]``."""
        if not self.hidden:
            return self.labels
        return [np.concatenate(pair, axis=1) for pair in zip(self.labels, self.hidden, strict=True)]

    def crop(self, track: int, start: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return one excerpt from any frame of a track.

        Args:
            track: Index of the track.
            start: First frame; moved back if the excerpt would exceed the track.

        Returns:
            Log-mel ``[129, n_mels]``, padded with silence if the track is shorter, and targets ``[T + F]``.
        """
        log_mel, labels = self.log_mels[track], self.targets[track]
        start = max(0, min(start, len(log_mel) - EXCERPT_FRAMES))
        crop = np.zeros((EXCERPT_FRAMES, log_mel.shape[1]), np.float32)
        part = log_mel[start : start + EXCERPT_FRAMES]
        crop[: len(part)] = part
        position = min(start / _FRAMES_PER_LABEL, len(labels) - 1)
        row, share = int(position), np.float32(position % 1)
        following = labels[min(row + 1, len(labels) - 1)]
        return crop, (1 - share) * labels[row] + share * following

    def at(self, positions: Positions) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the crops at N positions: log-mels ``[N, 129, n_mels]`` and targets ``[N, T + F]``."""
        starts = np.rint(positions.starts * _FRAMES_PER_LABEL).astype(int)
        crops = (self.crop(track, start) for track, start in zip(positions.tracks, starts, strict=True))
        log_mels, labels = zip(*crops, strict=True)
        return np.stack(log_mels), np.stack(labels)


@dataclass(frozen=True)
class Objective:
    """What a model is trained on: decides the excerpts of a batch and their targets.

    Attributes:
        mining: Name of a miner in `musiczoo.models.miners.MINERS`; empty for binary cross-entropy on soft tags.
        track_weight: Weight of the triplets of tracks beside those of tags.
    """

    mining: str = ""
    track_weight: float = 0.0


@dataclass(frozen=True)
class Batches:
    """The batches of a split: excerpts and the targets of the loss.

    Attributes:
        excerpts: The split.
        size: Number of excerpts in a batch; with explicit triplets, of samples.
        seed: Seed of the order.
        objective: What the model is trained on.
    """

    excerpts: Excerpts
    size: int
    seed: int
    objective: Objective

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return self.excerpts.grid.steps(self.size)

    @property
    def rows(self) -> int:
        """Number of excerpts in a batch."""
        if self.objective.mining == "explicit":
            return self.size * (5 if self.objective.track_weight else 3)
        return self.size

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets of a batch."""
        learnt = {
            HIDDEN: len(self.excerpts.hidden),
            VOICES: len(self.excerpts.voices),
            TRACKS: self.objective.track_weight,
        }
        return (TAGS, *(name for name, has in learnt.items() if has))

    def batch(self, step: int) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Return the log-mels of one step, not yet standardised, and their targets.

        Returns:
            ``[rows, 129, n_mels]``, and ``{"tags": [rows, T]}`` with what else is learnt (`targets`): soft tags, or
            for triplets what `musiczoo.models.losses.TripletLoss` expects.
        """
        grid, with_tracks = self.excerpts.grid, self.objective.track_weight > 0
        if self.objective.mining == "explicit":
            positions, tags = sampling.triplets(grid, step, self.size, self.seed, with_tracks)
        else:
            draw = sampling.pairs if with_tracks else sampling.excerpts
            positions = draw(grid, step, self.size, self.seed)
            tags = self.excerpts.tags[positions.tracks].astype(np.float32)
        log_mels, labels = self.excerpts.at(positions)
        count = len(grid.tag_dimensions)
        targets = {
            TAGS: tags if self.objective.mining else labels[:, :count],
            HIDDEN: labels[:, count:],
            TRACKS: positions.tracks.astype(np.float32),
        }
        if len(self.excerpts.voices):
            targets[VOICES] = np.array([self.excerpts.voices[track] for track in positions.tracks], np.float32)
        return log_mels, {name: targets[name] for name in self.targets}


def training(batches: Batches, augmentation: Augmentation, first_step: int, last_step: int) -> tf.data.Dataset:
    """Return the batches from `first_step` to before `last_step`: standardised log-mels and targets."""

    def varied(step: Any) -> Any:
        excerpts, targets = _load(batches, step)
        seed = tf.stack([tf.cast(batches.seed, tf.int64), step])
        return batches.excerpts.ready(excerpts, seed, augmentation), targets

    return _ahead(tf.data.Dataset.range(first_step, last_step), varied)


def validation(batches: Batches, devices: int = 1) -> tf.data.Dataset:
    """Return the validation batches, the same after each epoch and without augmentation.

    For soft tags, every excerpt of the grid once, in order; the last few that do not divide by the number of devices
    are left out. For triplets, which need other tracks in the same batch, the random batches of one epoch.
    """
    if batches.objective.mining:

        def load(step: Any) -> Any:
            excerpts, targets = _load(batches, step)
            return batches.excerpts.ready(excerpts), targets

        return _ahead(tf.data.Dataset.range(batches.steps), load)
    return in_order(batches.excerpts, batches.size, devices)


def in_order(excerpts: Excerpts, size: int, devices: int = 1) -> tf.data.Dataset:
    """Return every excerpt of the grid once, in batches: standardised log-mels and soft tags."""
    rows = excerpts.grid.rows
    total = int(rows.sum()) // devices * devices
    count, columns = len(excerpts.tag_dimensions), excerpts.targets[0].shape[1]
    tracks, numbers = np.repeat(np.arange(len(rows)), rows), np.concatenate([np.arange(n) for n in rows])

    def read(first: Any) -> Any:
        chosen = slice(int(first), min(int(first) + size, total))
        return excerpts.at(Positions(tracks[chosen], numbers[chosen].astype(float)))

    def load(first: Any) -> Any:
        rows, targets = tf.numpy_function(read, [first], (tf.float32, tf.float32), stateful=False)
        rows, targets = tf.ensure_shape(rows, (None, *excerpts.shape)), tf.ensure_shape(targets, (None, columns))
        named = {TAGS: targets[:, :count], HIDDEN: targets[:, count:]}
        return excerpts.ready(rows), named if excerpts.hidden else {TAGS: targets}

    return _ahead(tf.data.Dataset.range(0, total, size), load)


def _ahead(numbers: tf.data.Dataset, load: Callable[[Any], Any]) -> tf.data.Dataset:
    """Load several batches in parallel and ahead of their use, so that a GPU does not wait for the disk."""
    # Nothing is left to tune, and a deleted iterator can wait for the thread that tunes, up to a minute.
    options = tf.data.Options()
    options.autotune.enabled = False
    # As it is: `load` has no branches or loops over tensors, and AutoGraph takes a while to find that out.
    load = tf.autograph.experimental.do_not_convert(load)
    return numbers.map(load, num_parallel_calls=2).prefetch(4).with_options(options)


def _load(batches: Batches, step: Any) -> Any:
    def read(number: Any) -> Any:
        log_mel, targets = batches.batch(int(number))
        return log_mel, *(targets[name] for name in batches.targets)

    types = (tf.float32,) * (1 + len(batches.targets))
    log_mel, *values = tf.numpy_function(read, [step], types, stateful=False)
    excerpts = batches.excerpts
    count = len(excerpts.tag_dimensions)
    columns: dict[str, tuple[int, ...]] = {TAGS: (count,), TRACKS: (), VOICES: ()}
    columns[HIDDEN] = (excerpts.targets[0].shape[1] - count,)
    log_mel = tf.ensure_shape(log_mel, (batches.rows, *batches.excerpts.shape))
    return log_mel, {
        name: tf.ensure_shape(value, (batches.rows, *columns[name]))
        for name, value in zip(batches.targets, values, strict=True)
    }


def standardise(log_mel: Any) -> Any:
    """Standardise a log-mel as the front end does."""
    return (log_mel - FRONT_END.mean) / FRONT_END.std


def augment(log_mel: Any, seed: Any, augmentation: Augmentation) -> Any:
    """Change the level, and mask time and mel bands.

    Args:
        log_mel: ``[N, frames, mels]`` float32, log10(1 + gain * S).
        seed: ``[2]`` integers.
        augmentation: The settings.

    Returns:
        The same shape. A gain g of the amplitude is a gain g^2 of S.
    """
    size, frames, mels = tf.shape(log_mel)[0], log_mel.shape[1], log_mel.shape[2]
    level = tf.random.stateless_uniform((size, 1, 1), seed, -augmentation.gain_db, augmentation.gain_db)
    power = tf.math.expm1(log_mel * np.log(10.0)) * tf.pow(10.0, level / 10)
    varied = tf.math.log1p(power) / np.log(10.0)
    time = _mask(size, frames, augmentation.time_mask, seed + 1)[:, :, None]
    mel = _mask(size, mels, augmentation.mel_mask, seed + 2)[:, None, :]
    return varied * time * mel


def _mask(size: Any, length: int, longest: int, seed: Any) -> Any:
    """Return ``[size, length]`` ones, with one run of up to `longest` zeros in each row."""
    draws = tf.random.stateless_uniform((2, size, 1), seed)
    run = tf.floor(draws[0] * (longest + 1))
    start = tf.floor(draws[1] * (float(length) - run + 1))
    index = tf.range(length, dtype=tf.float32)[None]
    return tf.cast((index < start) | (index >= start + run), tf.float32)
