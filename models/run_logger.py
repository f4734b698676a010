"""What a run keeps after each epoch: the best weights, the logs, the checkpoint.

Conventions
-----------
- The checkpoint comes last, so that a run killed in between does the epoch again and writes the same.
- Seconds are in a file of their own: the others are the same, byte for byte, however often a run was interrupted.
- One process writes; the other workers of a run keep count with it.
"""

import csv
import io
import math
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from musiczoo.datasets.prepared import atomic
from musiczoo.errors import TrainingError
from musiczoo.models import checkpoint, curves, run
from musiczoo.models.recipe import Recipe
from musiczoo.models.schedule import Plateau

TIMES_FILE = "times.csv"
TENSORBOARD_FOLDER = "tensorboard"

CURVES_EVERY_S = 10.0
"""Least time between two pictures of a run: drawing takes as long as many an epoch of the tags alone."""

Row = dict[str, float]


class Journal:
    """Where a run stands.

    Args:
        model: Compiled; its optimiser is built.
        recipe: Of the run.
        out: The run folder.
        writes: Whether this process is the one that writes.
        tensorboard: Whether it also writes for TensorBoard.
    """

    def __init__(
        self, model: keras.Model, recipe: Recipe, out: Path, writes: bool = True, tensorboard: bool = False
    ) -> None:
        self.model, self.recipe, self.out = model, recipe, out
        self.writes, self.tensorboard = writes, tensorboard
        self.plateau = Plateau(recipe.learning_rate)
        self.history: list[Row] = []
        self.times: list[Row] = []
        self._drawn = time.monotonic()

    @property
    def epochs(self) -> int:
        """How many are done."""
        return len(self.history)

    @property
    def ended(self) -> bool:
        """Whether the run has come to its end."""
        return self.plateau.stop or self.epochs >= self.recipe.epochs

    def resume(self) -> None:
        """Restore the last checkpoint, if there is one.

        Raises:
            TrainingError: If it cannot be read or is of another model.
        """
        path = self.out / run.CHECKPOINT_FILE
        if path.exists():
            state = checkpoint.restore(path, self._variables())
            self.plateau = Plateau(**state["plateau"])
            self.history = state["history"]
            self.times = [row for row in _read(self.out / TIMES_FILE) if row["epoch"] <= self.epochs]

    def keep(self, loss: float, val_loss: float, seconds: tuple[float, float]) -> Row:
        """Write down an epoch, and set the learning rate of the next.

        Args:
            loss: Mean over the epoch.
            val_loss: Of the validation split after it.
            seconds: That training and validation took.

        Returns:
            The epoch's line of the log.

        Raises:
            TrainingError: If the losses or the weights are not finite.
        """
        epoch, losses = self.epochs + 1, {"loss": loss, "val_loss": val_loss}
        weights = (variable.numpy() for variable in self.model.variables)
        # A ReLU makes 0 of NaN, so the losses may be finite when the weights are not.
        if not all(np.isfinite(values).all() for values in (*losses.values(), *weights)):
            raise TrainingError(
                f"Epoch {epoch}: expected finite losses and weights, received a run that diverged (losses "
                f"{losses}). Lower the learning rate of the recipe, or look for bad log-mels in the data set."
            )
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        best = val_loss <= min((row["val_loss"] for row in self.history), default=math.inf)
        self.history.append({"epoch": epoch, **losses, "learning_rate": rate})
        self.times.append({"epoch": epoch, "training_s": round(seconds[0], 3), "validation_s": round(seconds[1], 3)})
        if self.recipe.schedule == "plateau":
            self.plateau = self.plateau.after(val_loss, self.recipe)
            self.model.optimizer.learning_rate = self.plateau.learning_rate
        if self.writes:
            # At the end of a cosine nothing moves any more: to choose an earlier epoch by so few tracks would be luck.
            self._write(best or self.recipe.schedule == "cosine")
        return self.history[-1]

    def _write(self, best: bool) -> None:
        if best:
            checkpoint.save(self.out / run.BEST_FILE, self.model.variables, {"epoch": self.epochs})
        _write(self.out / run.LOG_FILE, self.history)
        _write(self.out / TIMES_FILE, self.times)
        if self.ended or time.monotonic() - self._drawn >= CURVES_EVERY_S:
            curves.draw(self.history, self.out / run.CURVES_FILE)
            self._drawn = time.monotonic()
        if self.tensorboard:
            _write_scalars(self.out / TENSORBOARD_FOLDER, {**self.history[-1], **self.times[-1]})
        state = {"plateau": vars(self.plateau), "history": self.history}
        checkpoint.save(self.out / run.CHECKPOINT_FILE, self._variables(), state)

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables]


def _write(path: Path, rows: Sequence[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic(path) as file:
        file.write(text.getvalue().encode())


def _read(path: Path) -> list[Row]:
    """The rows of a table of numbers; none if it is not there or damaged, which costs no more than the table."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
        return [{**row, "epoch": int(row["epoch"])} for row in rows]
    except (OSError, KeyError, TypeError, ValueError):
        return []


def _write_scalars(folder: Path, row: Row) -> None:
    # Written as TensorBoard's own tf.summary.scalar does, which is not there without the package tensorboard.
    kind = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=kind)
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        for name, value in row.items():
            if name != "epoch":
                tf.summary.write(name, tf.constant(value, tf.float32), int(row["epoch"]), metadata)
    writer.close()
