"""Log-mels and labels on disk -> tf.data batches.

Conventions
-----------
- A batch is a pure function of the seed and the number of the step (see `musiczoo.models.sampling`): nothing is
  carried from one step to the next, so a run resumed at step s sees what the undisturbed run would have seen.
- Log-mels are stored as log10(1 + gain * S), and standardised after augmentation.
- Labels are on a grid of excerpts. A crop that starts between two of them takes the mean of both, weighted by
  how much of each it covers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from musiczoo.card import EMBEDDING_NAME, TAGS_NAME
from musiczoo.datasets import hard_tags, label_source
from musiczoo.datasets.prepared import EXCERPT_S, Store
from musiczoo.errors import DatasetError, InputError
from musiczoo.models import sampling
from musiczoo.models.frontend import EXCERPT_FRAMES, FRONT_END, SAMPLE_RATE, STORED
from musiczoo.models.losses import Objective
from musiczoo.models.sampling import Grid, Places

_FRAMES_PER_LABEL = EXCERPT_S * SAMPLE_RATE / (FRONT_END.n_fft // 2)


@dataclass(frozen=True)
class Augmentation:
    """What is varied from epoch to epoch, besides where an excerpt starts.

    Attributes:
        gain_db: The level is changed by up to so many dB up or down.
        time_mask: Up to so many consecutive frames are silenced (Park et al., SpecAugment, 2019).
        mel_mask: Up to so many neighbouring mel bands are silenced.
    """

    gain_db: float = 6.0
    time_mask: int = 20
    mel_mask: int = 16

    def __post_init__(self) -> None:
        """Refuse what is not a number of 0 or more.

        Raises:
            InputError: Naming the setting.
        """
        for name, value in vars(self).items():
            if not isinstance(value, int | float) or value < 0:
                raise InputError(f"Augmentation {name!r}: expected a number of 0 or more, received {value!r}.")


class LogMels(Sequence[NDArray[np.float16]]):
    """The log-mels of tracks, memory-mapped when they are asked for.

    A mapped file stays open, and a process may have a thousand or so open files: the data sets of the paper have
    hundreds of thousands of tracks. So at most `OPEN` of them are mapped at a time.

    Args:
        store: A prepared data set.
        ids: Of the tracks.

    Raises:
        DatasetError: If one is missing or does not fit the index: all are looked at once.
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


@dataclass(frozen=True)
class Excerpts:
    """Every labelled excerpt of a split.

    Attributes:
        log_mels: One ``[frames, n_mels]`` float16 array a track, such as `LogMels` opens.
        labels: One ``[excerpts, tags]`` float32 array a track.
        tags: ``[tracks, tags]`` bool: which tags each track has (see `musiczoo.datasets.hard_tags`).
        tag_dimensions: For each tag, in order, its dimension.
    """

    log_mels: Sequence[NDArray[np.float16]]
    labels: Sequence[NDArray[np.float32]]
    tags: NDArray[np.bool_]
    tag_dimensions: Sequence[str]

    @classmethod
    def of(cls, store: Store, split: str, teachers: Sequence[str], drop_untagged: bool = False) -> "Excerpts":
        """Open a split.

        Args:
            store: A prepared data set.
            split: One of `musiczoo.datasets.prepared.SPLITS`.
            teachers: Whose labels; their mean counts. People's are those of `musiczoo.datasets.prepared.ANNOTATIONS`.
            drop_untagged: Leave out the tracks without a tag.

        Raises:
            DatasetError: If no track is left, or a log-mel or a label is missing.
        """
        label_source.refuse_mixture(teachers)
        tracks = store.split(split)
        if not tracks:
            raise DatasetError(f"Expected tracks in the split {split!r} of {store.root}, found none.")
        if dict(store.front_end) != STORED:
            raise DatasetError(
                f"Expected log-mels made with {STORED} in {store.root}, found {dict(store.front_end)}. Prepare "
                "the data set again, in another folder."
            )
        labels = [store.labels(track.id, teachers) for track in tracks]
        scores = np.stack([rows.mean(axis=0, dtype=np.float64) for rows in labels])
        annotated = hard_tags.are_annotations(scores)
        tags = scores == 1 if annotated else hard_tags.of_split(store, split, teachers)
        kept = np.flatnonzero(tags.any(axis=1)) if drop_untagged else np.arange(len(tracks))
        if not len(kept):
            raise DatasetError(f"Expected tracks with a tag in the split {split!r} of {store.root}, found none.")
        return cls(
            LogMels(store, [tracks[i].id for i in kept]),
            [labels[i] for i in kept],
            tags[kept],
            store.vocabulary.tag_dimensions,
        )

    @cached_property
    def grid(self) -> Grid:
        """What `musiczoo.models.sampling` needs to know."""
        return Grid(np.array([len(rows) for rows in self.labels]), self.tags, self.tag_dimensions)

    def crop(self, track: int, start: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """One excerpt from any frame of a track.

        Args:
            track: Index into `log_mels`.
            start: First frame; moved back where the track would end too soon.

        Returns:
            ``[129, n_mels]`` (with silence after the end of a shorter track) and ``[tags]``.
        """
        log_mel, labels = self.log_mels[track], self.labels[track]
        start = max(0, min(start, len(log_mel) - EXCERPT_FRAMES))
        crop = np.zeros((EXCERPT_FRAMES, log_mel.shape[1]), np.float32)
        part = log_mel[start : start + EXCERPT_FRAMES]
        crop[: len(part)] = part
        position = min(start / _FRAMES_PER_LABEL, len(labels) - 1)
        row, share = int(position), np.float32(position % 1)
        following = labels[min(row + 1, len(labels) - 1)]
        return crop, (1 - share) * labels[row] + share * following

    def at(self, places: Places) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The crops at N places: ``[N, 129, n_mels]`` and ``[N, tags]``."""
        starts = np.rint(places.positions * _FRAMES_PER_LABEL).astype(int)
        crops = (self.crop(track, start) for track, start in zip(places.tracks, starts, strict=True))
        log_mels, labels = zip(*crops, strict=True)
        return np.stack(log_mels), np.stack(labels)


@dataclass(frozen=True)
class Batches:
    """How excerpts come together in a batch, and what the loss is told about them.

    Attributes:
        excerpts: The split.
        size: Excerpts in a batch; of explicit triplets, samples.
        seed: Of the order.
        objective: What the model is trained on.
    """

    excerpts: Excerpts
    size: int
    seed: int
    objective: Objective

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return self.excerpts.grid.steps(self.size)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows of a batch, and columns of its targets."""
        tags, dimensions = len(self.excerpts.tag_dimensions), len(dict.fromkeys(self.excerpts.tag_dimensions))
        if self.objective.mining == "explicit":
            return self.size * (5 if self.objective.track_weight else 3), dimensions
        return self.size, tags + bool(self.objective.mining)

    def batch(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Log-mels, not standardised, and targets of one step.

        The targets are soft tags, or for triplets what `musiczoo.models.losses.TripletLoss` asks for.
        """
        grid, with_tracks = self.excerpts.grid, self.objective.track_weight > 0
        if self.objective.mining == "explicit":
            places, dimensions = sampling.triplets(grid, step, self.size, self.seed, with_tracks)
            return self.excerpts.at(places)[0], dimensions
        draw = sampling.pairs if with_tracks else sampling.excerpts
        places = draw(grid, step, self.size, self.seed)
        log_mels, labels = self.excerpts.at(places)
        if not self.objective.mining:
            return log_mels, labels
        return log_mels, np.column_stack([self.excerpts.tags[places.tracks], places.tracks]).astype(np.float32)


def training(batches: Batches, augmentation: Augmentation, first_step: int, last_step: int) -> tf.data.Dataset:
    """Batches of the steps from `first_step` to before `last_step`: standardised log-mels and targets."""

    def varied(step: Any) -> Any:
        log_mel, targets = _load(batches, step)
        seed = tf.stack([tf.cast(batches.seed, tf.int64), step])
        return standardise(augment(log_mel, seed, augmentation)), targets

    # One batch at a time would do here, but a GPU waits for the disk then.
    return tf.data.Dataset.range(first_step, last_step).map(varied, num_parallel_calls=2).prefetch(4)


def validation(batches: Batches, devices: int = 1) -> tf.data.Dataset:
    """The same excerpts after each epoch, as they are.

    On soft tags, every excerpt of the grid once, in order; the last few that do not divide by the number of
    devices are left out, since no device may go without. Triplets need other tracks in the same batch: an epoch
    of random batches, always the same ones.
    """
    if batches.objective.mining:

        def load(step: Any) -> Any:
            log_mel, targets = _load(batches, step)
            return standardise(log_mel), targets

        return tf.data.Dataset.range(batches.steps).map(load, num_parallel_calls=2).prefetch(4)
    return in_order(batches.excerpts, batches.size, devices)


def in_order(excerpts: Excerpts, size: int, devices: int = 1) -> tf.data.Dataset:
    """Every excerpt of the grid once: standardised log-mels and soft tags."""
    rows = excerpts.grid.rows
    total = int(rows.sum()) // devices * devices
    tracks, numbers = np.repeat(np.arange(len(rows)), rows), np.concatenate([np.arange(n) for n in rows])

    def read(first: Any) -> Any:
        chosen = slice(int(first), min(int(first) + size, total))
        return excerpts.at(Places(tracks[chosen], numbers[chosen].astype(float)))

    def load(first: Any) -> Any:
        log_mel, tags = tf.numpy_function(read, [first], (tf.float32, tf.float32), stateful=False)
        log_mel = tf.ensure_shape(log_mel, (None, EXCERPT_FRAMES, FRONT_END.n_mels))
        return standardise(log_mel), {TAGS_NAME: tf.ensure_shape(tags, (None, len(excerpts.tag_dimensions)))}

    return tf.data.Dataset.range(0, total, size).map(load, num_parallel_calls=2).prefetch(4)


def _load(batches: Batches, step: Any) -> Any:
    log_mel, targets = tf.numpy_function(
        lambda s: batches.batch(int(s)), [step], (tf.float32, tf.float32), stateful=False
    )
    rows, columns = batches.shape
    log_mel = tf.ensure_shape(log_mel, (rows, EXCERPT_FRAMES, FRONT_END.n_mels))
    output = EMBEDDING_NAME if batches.objective.mining else TAGS_NAME
    return log_mel, {output: tf.ensure_shape(targets, (rows, columns))}


def standardise(log_mel: Any) -> Any:
    """What the front end does after its logarithm."""
    return (log_mel - FRONT_END.mean) / FRONT_END.std


def augment(log_mel: Any, seed: Any, augmentation: Augmentation) -> Any:
    """Vary level and mask time and mel bands.

    Args:
        log_mel: ``[N, frames, mels]`` float32, log10(1 + gain * S).
        seed: ``[2]`` integers; the same seed varies the same way.
        augmentation: How much.

    Returns:
        The same shape. A change of g in amplitude is one of g^2 in S.
    """
    size, frames, mels = tf.shape(log_mel)[0], log_mel.shape[1], log_mel.shape[2]
    level = tf.random.stateless_uniform((size, 1, 1), seed, -augmentation.gain_db, augmentation.gain_db)
    power = tf.math.expm1(log_mel * np.log(10.0)) * tf.pow(10.0, level / 10)
    varied = tf.math.log1p(power) / np.log(10.0)
    time = _mask(size, frames, augmentation.time_mask, seed + 1)[:, :, None]
    mel = _mask(size, mels, augmentation.mel_mask, seed + 2)[:, None, :]
    return varied * time * mel


def _mask(size: Any, length: int, longest: int, seed: Any) -> Any:
    """``[size, length]`` of ones with one run of up to `longest` zeros each."""
    draws = tf.random.stateless_uniform((2, size, 1), seed)
    run = tf.floor(draws[0] * (longest + 1))
    start = tf.floor(draws[1] * (float(length) - run + 1))
    index = tf.range(length, dtype=tf.float32)[None]
    return tf.cast((index < start) | (index >= start + run), tf.float32)
