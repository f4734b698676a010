"""A tiny data set and recipe; as a script, a training run in a separate process."""

import csv
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from keras import layers
from numpy.typing import NDArray

from musiczoo._files import write_npy
from musiczoo.datasets.prepared import Store, TrackEntry
from musiczoo.models.encoder import FEATURES_LAYER
from musiczoo.models.frontend import FRONT_END, SAMPLE_RATE
from musiczoo.models.recipe import Recipe
from musiczoo.taxonomy import TAGS

SECONDS, FRAMES = 9.0, 9 * SAMPLE_RATE // 512
TEACHERS = ("one", "two")
BLOCKS = 1
"""Of the encoder, where its depth does not matter."""

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
        write_npy(root / f"logmel/{track.id}.npy", log_mel.astype(np.float16))
        tags = np.linspace(height / 128, 1 - height / 128, len(TAGS)) ** 2
        for teacher in TEACHERS:
            labels = np.clip(tags + random.normal(0, 0.02, (3, len(TAGS))), 0, 1)
            write_npy(root / f"labels/{teacher}/{track.id}.npy", labels.astype(np.float32))
    return store


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All that a .npz file holds."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def log(run: Path) -> list[dict[str, float]]:
    """A run's log.csv."""
    rows = csv.DictReader((run / "log.csv").read_text().splitlines())
    return [{name: float(value) for name, value in row.items()} for row in rows]


def shallow(log_mel: Any, width: int) -> Any:
    """In place of `musiczoo.models.encoder.encode`, where the depth of the network does not matter: one convolution."""
    x = layers.Reshape((*log_mel.shape[1:], 1))(log_mel)
    x = layers.Conv2D(width, 5, strides=4, padding="same", use_bias=False, name="stem")(x)
    x = layers.BatchNormalization(momentum=0.95, synchronized=True, name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    return layers.GlobalAveragePooling2D(name=FEATURES_LAYER)(x)


@contextmanager
def few_blocks() -> Iterator[None]:
    """Build encoders of `BLOCKS` blocks."""
    from musiczoo.models import encoder, finetuning, recipe  # noqa: F401 - these name all blocks when imported

    all_blocks, encoder.BLOCKS = encoder.BLOCKS, BLOCKS
    try:
        yield
    finally:
        encoder.BLOCKS = all_blocks


@contextmanager
def eagerly() -> Iterator[None]:
    """Run functions of TensorFlow as they are: a few steps take less time than to trace them."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def main(recipe: str, data: str, out: str, die_at: int = 0, depth: str = "deep", devices: str = "auto") -> None:
    """Train; the process kills itself after a number of steps."""
    from musiczoo.models import architectures, encoder
    from musiczoo.models import trainer as module

    class Dying(module.EpochProgress):
        steps = 0

        def step(self, loss: Any) -> None:
            self.steps += 1
            if self.steps == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if die_at:
        module.EpochProgress = Dying
    encoder.BLOCKS = BLOCKS
    if depth == "shallow":
        architectures.encode = shallow
    module.train(Recipe.of(json.loads(recipe)), data, out, devices=devices)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]), *sys.argv[5:])
