"""The files that a run writes after its epochs: the best weights, the logs, the checkpoint.

Conventions
-----------
- They are written after the first epoch, after the last, and in between after each that ends `WRITE_EVERY_S` seconds
  or more after they were written.
- The checkpoint is written last: a run killed before it repeats the epochs since the last and writes the same files.
- Seconds are in a separate file. The other files are the same, byte for byte, however often a run was interrupted.
- Only the chief writes; the other workers of a run keep the same history.
"""

import csv
import io
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from musiczoo._files import atomic_file
from musiczoo.errors import TrainingError
from musiczoo.models import run
from musiczoo.models.loop import averaged
from musiczoo.models.recipe import Recipe
from musiczoo.models.schedule import Plateau

TIMES_FILE = "times.csv"
TENSORBOARD_FOLDER = "tensorboard"

WRITE_EVERY_S = 5.0
"""Minimum seconds between two checkpoints of a run: writing one takes ten times as long as an epoch of tags alone."""

CURVES_EVERY_S = 10.0
"""Minimum seconds between two plots of a run: drawing takes longer still."""

Row = dict[str, float]


class RunLogger:
    """The history of a run, and its files.

    Args:
        model: A compiled model with a built optimiser.
        recipe: The recipe of the run.
        out: The run folder.
        writes: Whether this process writes the files.
        tensorboard: Whether it writes for TensorBoard too.
        result: The part of the model that is the result; the whole by default.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        out: Path,
        writes: bool = True,
        tensorboard: bool = False,
        result: keras.Model | None = None,
    ) -> None:
        self.model, self.recipe, self.out = model, recipe, out
        self.result = result or model
        self.writes, self.tensorboard = writes, tensorboard
        self.plateau = Plateau(recipe.learning_rate)
        self.history: list[Row] = []
        self.times: list[Row] = []
        self._best: tuple[list[NDArray[Any]], dict[str, int]] | None = None  # values and epoch, until they are written
        self._written, self._drawn = -math.inf, time.monotonic()

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def ended(self) -> bool:
        """Whether the run is finished."""
        return self.plateau.stop or self.epochs >= self.recipe.epochs

    def resume(self) -> None:
        """Restore the last checkpoint if there is one.

        Raises:
            TrainingError: If it cannot be read or belongs to another model.
        """
        path = self.out / run.CHECKPOINT_FILE
        if path.exists():
            state = run.restore_checkpoint(path, self._variables())
            self.plateau = Plateau(**state["plateau"])
            self.history = state["history"]
            self.times = [row for row in _read(self.out / TIMES_FILE) if row["epoch"] <= self.epochs]

    def keep(self, loss: float, val_loss: float, seconds: tuple[float, float]) -> Row:
        """Log an epoch, and set the learning rate of the next.

        Args:
            loss: Mean training loss of the epoch.
            val_loss: Validation loss after it.
            seconds: Seconds of training and of validation.

        Returns:
            The epoch's row of the log.

        Raises:
            TrainingError: If the losses or the weights are not finite.
        """
        epoch, losses = self.epochs + 1, {"loss": loss, "val_loss": val_loss}
        weights = self._values(self.model.variables)
        # A ReLU turns NaN into 0, so the losses may be finite when the weights are not.
        if not np.isfinite([loss, val_loss]).all() or not all(np.isfinite(values).all() for values in weights):
            raise TrainingError(
                f"Epoch {epoch}: expected finite losses and weights, but the run diverged (losses {losses}). "
                "Lower the learning rate of the recipe, or look for bad log-mels in the data set."
            )
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        best = val_loss <= min((row["val_loss"] for row in self.history), default=math.inf)
        self.history.append({"epoch": epoch, **losses, "learning_rate": rate})
        self.times.append({"epoch": epoch, "training_s": round(seconds[0], 3), "validation_s": round(seconds[1], 3)})
        if self.recipe.schedule == "plateau":
            self.plateau = self.plateau.after(val_loss, self.recipe)
            self.model.optimizer.learning_rate = self.plateau.learning_rate
        if self.writes:
            # The cosine schedule has converged at its end: choosing an earlier epoch by few tracks would be chance.
            if best or self.recipe.schedule == "cosine":
                with averaged(self.model):
                    self._best = self._values(self.result.variables), {"epoch": epoch}
            if self.tensorboard:
                _write_scalars(self.out / TENSORBOARD_FOLDER, {**self.history[-1], **self.times[-1]})
            if self.ended or time.monotonic() - self._written >= WRITE_EVERY_S:
                self._write()
        return self.history[-1]

    def _values(self, variables: Iterable[keras.Variable]) -> list[NDArray[Any]]:
        return [self._frozen[id(v)] if id(v) in self._frozen else v.numpy() for v in variables]

    @cached_property
    def _frozen(self) -> dict[int, NDArray[Any]]:
        # Training does not change them: to read all of an encoder takes longer than an epoch of tags alone.
        frozen = (layer for layer in self.model.layers if not layer.trainable)
        return {id(variable): variable.numpy() for layer in frozen for variable in layer.variables}

    def _write(self) -> None:
        if self._best:
            run.save_checkpoint(self.out / run.BEST_FILE, *self._best)
            self._best = None
        _write(self.out / run.LOG_FILE, self.history)
        _write(self.out / TIMES_FILE, self.times)
        if self.ended or time.monotonic() - self._drawn >= CURVES_EVERY_S:
            draw_curves(self.history, self.out / run.CURVES_FILE)
            self._drawn = time.monotonic()
        state = {"plateau": vars(self.plateau), "history": self.history}
        run.save_checkpoint(self.out / run.CHECKPOINT_FILE, self._variables(), state)
        self._written = time.monotonic()

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables]


def _write(path: Path, rows: Sequence[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


def _read(path: Path) -> list[Row]:
    """Return the rows of a table of numbers; none if it is missing or damaged."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
        return [{**row, "epoch": int(row["epoch"])} for row in rows]
    except (OSError, KeyError, TypeError, ValueError):
        return []


def _write_scalars(folder: Path, row: Row) -> None:
    # The same as tf.summary.scalar, which needs the package tensorboard.
    kind = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=kind)
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        for name, value in row.items():
            if name != "epoch":
                tf.summary.write(name, tf.constant(value, tf.float32), int(row["epoch"]), metadata)
    writer.close()


def draw_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Plot losses and learning rate over the epochs as a PNG file.

    Args:
        history: ``{"epoch", "loss", "val_loss", "learning_rate"}`` of each epoch.
        path: The file to write.
    """
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(7, 5), layout="constrained")
    loss, rate = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for name, label in (("loss", "training (augmented)"), ("val_loss", "validation")):
        loss.plot(epochs, [row[name] for row in history], marker=".", label=label)
    if len(history) > 3:  # without the first epoch, whose losses are far above the others
        later = [row[name] for row in history[1:] for name in ("loss", "val_loss")]
        margin = 0.05 * (max(later) - min(later))
        loss.set_ylim(min(later) - margin, max(later) + margin)
    loss.set_ylabel("loss")
    loss.grid(alpha=0.3)
    loss.legend()
    rate.plot(epochs, [row["learning_rate"] for row in history], color="grey", marker=".")
    rate.set_yscale("log")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("epoch")
    rate.locator_params(axis="x", integer=True)
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=110)
