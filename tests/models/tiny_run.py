"""A tiny data set and recipe; as a script, a training run in a process of its own."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musiczoo.datasets.store import Store, TrackEntry, write_array
from musiczoo.models.frontend import FRONT_END, SAMPLE_RATE
from musiczoo.models.recipe import Recipe
from musiczoo.taxonomy import TAGS

SECONDS, FRAMES = 9.0, 9 * SAMPLE_RATE // 512
TEACHERS = ("one", "two")
STEPS = 4
"""Batches of an epoch: 11 training tracks of 3 excerpts, 8 a batch, and one excerpt left over."""

RECIPE = Recipe(
    "disentangled-classification", width=16, teachers=TEACHERS, batch=8, epochs=3, learning_rate=0.0002, seed=3
)


def write_store(root: Path, train: int = 11, validation: int = 4) -> Store:
    """Tracks of noise with one loud band, whose height the labels follow."""
    splits = ["train"] * train + ["validation"] * validation
    tracks = [
        TrackEntry(f"{i}", split, f"{i}.ogg", SECONDS, FRAMES, "", "", "", "CC0", "toys")
        for i, split in enumerate(splits)
    ]
    settings = {"sample_rate": SAMPLE_RATE, "hop": 512, "n_fft": 1024, "n_mels": FRONT_END.n_mels, "gain": 10.0}
    store = Store(root, "toy", settings, tuple(tracks))
    store.save()
    random = np.random.default_rng(0)
    for track in tracks:
        height = random.integers(FRONT_END.n_mels - 8)
        log_mel = random.uniform(0, 0.5, (FRAMES, FRONT_END.n_mels))
        log_mel[:, height : height + 8] += 1
        write_array(root / f"logmel/{track.id}.npy", log_mel.astype(np.float16))
        tags = np.linspace(height / 128, 1 - height / 128, len(TAGS)) ** 2
        for teacher in TEACHERS:
            labels = np.clip(tags + random.normal(0, 0.02, (3, len(TAGS))), 0, 1)
            write_array(root / f"labels/{teacher}/{track.id}.npy", labels.astype(np.float32))
    return store


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All that a .npz file holds."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def main(recipe: str, data: str, out: str, die_at: int = 0, devices: int = 1) -> None:
    """Train, on so many logical CPUs; the process kills itself after step `die_at`."""
    import tensorflow as tf

    cpus = tf.config.list_physical_devices("CPU")[:1]
    tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * devices)

    from musiczoo.models import train as module

    class Dying(module.EpochProgress):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if int(self.model.optimizer.iterations) == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if die_at:
        module.EpochProgress = Dying
    module.train(Recipe.of(json.loads(recipe)), data, out)


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
