"""Training progress on the terminal."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_REDRAW_S = 0.2


class EpochProgress:
    """A bar for the running epoch, and a line for each that ended; a context manager.

    Args:
        epochs: Epochs of the whole run.
        steps: Steps of an epoch.
        console: Where it is drawn; standard error by default.
    """

    def __init__(self, epochs: int, steps: int, console: Console | None = None) -> None:
        self.epochs, self.drawn, self.title = epochs, 0.0, ""
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console or Console(stderr=True),
        )  # fmt: skip
        self.task = self.bar.add_task("", total=steps)

    def __enter__(self) -> "EpochProgress":
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def begin(self, epoch: int) -> None:
        """Start again from the left, for the epoch of this number, from 1."""
        self.title = f"epoch {epoch}/{self.epochs}"
        self.bar.reset(self.task, description=self.title)

    def step(self, loss: Any) -> None:
        """One step further; the loss of its batch may still be under way on a device, and is seldom waited for."""
        self.bar.advance(self.task)
        if time.monotonic() - self.drawn > _REDRAW_S:
            self.bar.update(self.task, description=f"{self.title} loss {float(loss):.4f}")
            self.drawn = time.monotonic()

    def end(self, row: dict[str, float]) -> None:
        """Say how the epoch went."""
        figures = ", ".join(f"{name} {value:.5f}" for name, value in row.items() if name != "epoch")
        self.bar.console.print(f"epoch {row['epoch']:.0f}: {figures}", highlight=False)
