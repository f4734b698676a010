"""Training progress on the terminal."""

from collections.abc import Mapping

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class EpochProgress(keras.callbacks.Callback):  # type: ignore[misc]
    """A bar for the running epoch, and a line for each that ended.

    Args:
        epochs: Epochs of the whole run.
        steps: Steps of an epoch.
        console: Where it is drawn; standard error by default.
    """

    def __init__(self, epochs: int, steps: int, console: Console | None = None) -> None:
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console or Console(stderr=True),
        )  # fmt: skip

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Show the bar."""
        self.bar.start()
        self.task = self.bar.add_task("", total=self.steps)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Start again from the left."""
        self.bar.reset(self.task, description=f"epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """One step further."""
        loss = (logs or {}).get("loss", float("nan"))
        done = batch + 1 - self.bar.tasks[0].completed
        self.bar.update(self.task, advance=done, description=f"{self._title()} loss {loss:.4f}")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Say how it went."""
        figures = ", ".join(f"{name} {value:.5f}" for name, value in sorted((logs or {}).items()))
        self.bar.console.print(f"epoch {epoch + 1}: {figures}", highlight=False)

    def close(self) -> None:
        """Take the bar away, however the training ended."""
        self.bar.stop()

    def _title(self) -> str:
        return self.bar.tasks[0].description.split(" loss")[0]
