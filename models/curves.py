"""The course of a training run as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from musiczoo.datasets.prepared import atomic


def draw(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Losses and learning rate over the epochs, as a PNG.

    Args:
        history: One ``{"epoch", "loss", "val_loss", "learning_rate"}`` an epoch.
        path: The file to write.
    """
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(7, 5), layout="constrained")
    loss, rate = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for name, label in (("loss", "training (augmented)"), ("val_loss", "validation")):
        loss.plot(epochs, [row[name] for row in history], marker=".", label=label)
    if len(history) > 3:  # the first epoch, far above the others, would flatten them
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
    with atomic(path) as file:
        figure.savefig(file, format="png", dpi=110)
