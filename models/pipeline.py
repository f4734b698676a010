"""Log-mels and labels on disk -> tf.data batches.

Conventions
-----------
- A batch is a pure function of the seed and the number of the step: nothing is carried from one step to the
  next, so a run resumed at step s sees exactly what the undisturbed run would have seen.
- Log-mels are stored as log10(1 + gain * S), and standardised after augmentation.
- Labels are on a grid of excerpts. A crop that starts between two of them takes the mean of both, weighted by
  how much of each it covers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from musiczoo.card import TAGS_NAME
from musiczoo.datasets.store import EXCERPT_S, Store
from musiczoo.errors import DatasetError, InputError
from musiczoo.models.frontend import EXCERPT_FRAMES, FRONT_END, SAMPLE_RATE, STORED
from musiczoo.taxonomy import TAGS

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


@dataclass(frozen=True)
class Excerpts:
    """Every labelled excerpt of a split.

    Attributes:
        log_mels: One ``[frames, n_mels]`` float16 array a track, memory-mapped.
        labels: One ``[excerpts, tags]`` float32 array a track.
        where: ``[total, 2]``: the track and the row of each excerpt.
    """

    log_mels: Sequence[NDArray[np.float16]]
    labels: Sequence[NDArray[np.float32]]
    where: NDArray[np.int64]

    @classmethod
    def of(cls, store: Store, split: str, teachers: Sequence[str]) -> "Excerpts":
        """Open a split.

        Raises:
            DatasetError: If it is empty, or a log-mel or a label is missing.
        """
        tracks = store.split(split)
        if not tracks:
            raise DatasetError(f"Expected tracks in the split {split!r} of {store.root}, found none.")
        if dict(store.front_end) != STORED:
            raise DatasetError(
                f"Expected log-mels made with {STORED} in {store.root}, found {dict(store.front_end)}. Prepare "
                "the data set again, in another folder."
            )
        labels = [store.labels(track.id, teachers) for track in tracks]
        where = [(track, row) for track, rows in enumerate(labels) for row in range(len(rows))]
        return cls([store.logmel(track.id) for track in tracks], labels, np.array(where))

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

    def random_batch(self, step: int, size: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The crops of one training step: ``[size, 129, n_mels]`` and ``[size, tags]``.

        Each epoch visits the excerpts in a new order, each moved by up to half its length.
        """
        steps = self.steps(size)
        order = np.random.default_rng((seed, step // steps)).permutation(len(self.where))
        chosen = self.where[order[step % steps * size :][:size]]
        shifts = np.random.default_rng((seed, step, 1)).uniform(-0.5, 0.5, size)
        starts = np.rint((chosen[:, 1] + shifts) * _FRAMES_PER_LABEL).astype(int)
        return self._stack(zip(chosen[:, 0], starts, strict=True))

    def batch(self, first: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Excerpts of the grid, in order, from number `first`."""
        chosen = self.where[first : first + size]
        starts = np.rint(chosen[:, 1] * _FRAMES_PER_LABEL).astype(int)
        return self._stack(zip(chosen[:, 0], starts, strict=True))

    def steps(self, size: int) -> int:
        """Whole batches in an epoch.

        Raises:
            DatasetError: If there is not even one.
        """
        if len(self.where) < size:
            raise DatasetError(
                f"Expected at least one batch of {size} excerpts, found {len(self.where)}. Use a smaller batch."
            )
        return len(self.where) // size

    def _stack(self, places: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        crops, labels = zip(*(self.crop(track, start) for track, start in places), strict=True)
        return np.stack(crops), np.stack(labels)


def training(
    excerpts: Excerpts, batch: int, seed: int, augmentation: Augmentation, first_step: int, last_step: int
) -> tf.data.Dataset:
    """Batches of the steps from `first_step` to before `last_step`: standardised log-mel and tags."""

    def load(step: Any) -> Any:
        log_mel, tags = tf.numpy_function(
            lambda s: excerpts.random_batch(int(s), batch, seed), [step], (tf.float32, tf.float32), stateful=False
        )
        log_mel = tf.ensure_shape(log_mel, (batch, EXCERPT_FRAMES, FRONT_END.n_mels))
        varied = augment(log_mel, tf.stack([tf.cast(seed, tf.int64), step]), augmentation)
        return standardise(varied), {TAGS_NAME: tf.ensure_shape(tags, (batch, len(TAGS)))}

    # One batch at a time would do here, but a GPU waits for the disk then.
    return tf.data.Dataset.range(first_step, last_step).map(load, num_parallel_calls=2).prefetch(4)


def validation(excerpts: Excerpts, batch: int, devices: int = 1) -> tf.data.Dataset:
    """Every excerpt of the grid once, in order, as it is.

    The last few that do not divide by the number of devices are left out: no device may go without.
    """
    total = len(excerpts.where) // devices * devices

    def read(first: Any) -> Any:
        return excerpts.batch(int(first), min(batch, total - int(first)))

    def load(first: Any) -> Any:
        log_mel, tags = tf.numpy_function(read, [first], (tf.float32, tf.float32), stateful=False)
        log_mel = tf.ensure_shape(log_mel, (None, EXCERPT_FRAMES, FRONT_END.n_mels))
        return standardise(log_mel), {TAGS_NAME: tf.ensure_shape(tags, (None, len(TAGS)))}

    return tf.data.Dataset.range(0, total, batch).map(load, num_parallel_calls=2).prefetch(4)


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
