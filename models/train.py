"""The trainer: a recipe and a prepared data set -> a run folder (see `musiczoo.models.run`).

A run that was interrupted goes on where its last epoch ended and gives the same weights, bit for bit on one
device, as if it had not been.
"""

import csv
import io
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from musiczoo.card import EMBEDDING_NAME, TAGS_NAME
from musiczoo.datasets.store import Store, atomic
from musiczoo.errors import InputError, TrainingError
from musiczoo.models import checkpoint, curves, pipeline, run
from musiczoo.models.calibrate import finish
from musiczoo.models.progress import EpochProgress
from musiczoo.models.recipe import Recipe
from musiczoo.models.schedule import Plateau, optimizer
from musiczoo.models.start import warm_start
from musiczoo.models.variants import build


def train(recipe: Recipe, data: Path | str, out: Path | str, console: Console | None = None) -> dict[str, Any]:
    """Train a model, or go on with a run that was interrupted.

    All GPUs, or else all logical CPUs, are used, each with its share of the batch, through
    `tf.distribute.MirroredStrategy`.

    Args:
        recipe: Settings. A run that is resumed must have been started with the same ones.
        data: A prepared data set with the labels of the recipe's teachers.
        out: The run folder.
        console: Where progress goes; standard error by default.

    Returns:
        What result.json holds.

    Raises:
        TrainingError: If `out` holds a run of another recipe or data set, or the losses or weights are not finite.
        DatasetError: If the data cannot be read or is not labelled.
        UnknownNameError: If the recipe names no model.
        InputError: If the batch does not divide by the number of devices.
    """
    data, out = Path(data).resolve(), Path(out)
    store = Store.open(data)
    training = pipeline.Excerpts.of(store, "train", recipe.teachers)
    validation = pipeline.Excerpts.of(store, "validation", recipe.teachers)
    steps = training.steps(recipe.batch)
    strategy = _strategy()
    if recipe.batch % strategy.num_replicas_in_sync:
        raise InputError(
            f"Expected a batch that divides by the {strategy.num_replicas_in_sync} devices, received {recipe.batch}. "
            "Change the recipe's batch."
        )

    keras.utils.set_random_seed(recipe.seed)
    # Graphs that TensorFlow rewrites give gradients whose last bits change from call to call, even on one thread.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    keras.mixed_precision.set_global_policy(recipe.precision)
    with strategy.scope():
        model = build(recipe.model, recipe.width)
        warm_start(model, recipe, out)
        model.compile(
            optimizer=optimizer(recipe, steps),
            loss={EMBEDDING_NAME: None, TAGS_NAME: keras.losses.BinaryCrossentropy()},
        )
        model.optimizer.build(model.trainable_variables)
        run.start(out, recipe, data)
        keeper = _Keeper(model, recipe, out)
        epoch = keeper.resume()
    if not keeper.plateau.stop:
        with closing(EpochProgress(recipe.epochs, steps, console)) as progress:
            model.fit(
                pipeline.training(
                    training, recipe.batch, recipe.seed, recipe.augmentation, epoch * steps, recipe.epochs * steps
                ),
                validation_data=pipeline.validation(validation, recipe.batch, strategy.num_replicas_in_sync),
                initial_epoch=epoch,
                epochs=recipe.epochs,
                steps_per_epoch=steps,
                callbacks=[keeper, progress],
                shuffle=False,  # the pipeline shuffles
                verbose=0,
            )
    return finish(out)


def _strategy() -> tf.distribute.Strategy:
    # On one device the default strategy computes the same without the cost of the collectives.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy(devices) if len(devices) > 1 else tf.distribute.get_strategy()


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch: the learning rate, the best weights, the log, the checkpoint; in this order.

    The checkpoint comes last, so that a run killed in between does the epoch again and writes the same.
    """

    def __init__(self, model: keras.Model, recipe: Recipe, out: Path) -> None:
        super().__init__()
        self.network, self.recipe, self.out = model, recipe, out
        self.plateau = Plateau(recipe.learning_rate)
        self.history: list[dict[str, float]] = []

    def resume(self) -> int:
        """Restore the last checkpoint, if there is one; returns the number of epochs done."""
        path = self.out / run.CHECKPOINT_FILE
        if path.exists():
            state = checkpoint.restore(path, self._variables())
            self.plateau = Plateau(**state["plateau"])
            self.history = state["history"]
        return len(self.history)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keep what the epoch brought."""
        losses = {name: float(logs[name]) for name in ("loss", "val_loss")} if logs else {}
        weights = (variable.numpy() for variable in self.network.variables)
        # A ReLU makes 0 of NaN, so the losses may be finite when the weights are not.
        if not all(np.isfinite(values).all() for values in (*losses.values(), *weights)):
            raise TrainingError(
                f"Epoch {epoch + 1}: expected finite losses and weights, received a run that diverged (losses "
                f"{losses}). Lower the learning rate of the recipe, or look for bad log-mels in the data set."
            )
        rate = float(keras.ops.convert_to_numpy(self.network.optimizer.learning_rate))
        self.history.append({"epoch": epoch + 1, **losses, "learning_rate": rate})
        if self.recipe.schedule == "plateau":
            self.plateau = self.plateau.after(losses["val_loss"], self.recipe)
            self.network.optimizer.learning_rate = self.plateau.learning_rate
            self.network.stop_training = self.plateau.stop
        if losses["val_loss"] == min(row["val_loss"] for row in self.history):
            checkpoint.save(self.out / run.BEST_FILE, self.network.variables, {"epoch": epoch + 1})
        self._write_log()
        state = {"plateau": vars(self.plateau), "history": self.history}
        checkpoint.save(self.out / run.CHECKPOINT_FILE, self._variables(), state)

    def _variables(self) -> list[keras.Variable]:
        return [*self.network.variables, *self.network.optimizer.variables]

    def _write_log(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.history)
        with atomic(self.out / run.LOG_FILE) as file:
            file.write(text.getvalue().encode())
        curves.draw(self.history, self.out / run.CURVES_FILE)
