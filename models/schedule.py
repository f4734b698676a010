"""Learning-rate schedules, and when to stop.

Source of the plateau rule: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.2: divide by 5 when the
validation loss has not fallen for 10 epochs, at most 5 times, then stop.
"""

import math
from dataclasses import dataclass, replace

import keras

from musiczoo.models.recipe import Recipe


@dataclass(frozen=True)
class Plateau:
    """State of the plateau rule after an epoch.

    Attributes:
        learning_rate: Learning rate of the next epoch.
        best: Lowest validation loss so far.
        waited: Epochs since then, or since the last reduction.
        reductions: Number of reductions so far.
        stop: Whether to stop training.

    Example:
        >>> recipe = Recipe("proxy", patience=1, factor=5.0)
        >>> Plateau(0.005).after(0.3, recipe).after(0.4, recipe).learning_rate
        0.001
    """

    learning_rate: float
    best: float = math.inf
    waited: int = 0
    reductions: int = 0
    stop: bool = False

    def after(self, loss: float, recipe: Recipe) -> "Plateau":
        """Return the state after an epoch with this validation loss."""
        if loss < self.best:
            return replace(self, best=loss, waited=0)
        if self.waited + 1 < recipe.patience:
            return replace(self, waited=self.waited + 1)
        if self.reductions == recipe.reductions:
            return replace(self, waited=self.waited + 1, stop=True)
        return replace(self, learning_rate=self.learning_rate / recipe.factor, waited=0, reductions=self.reductions + 1)


def optimizer(recipe: Recipe, steps_per_epoch: int, replicas: int = 1) -> keras.optimizers.Optimizer:
    """Return the optimiser of a recipe. Under the plateau rule, `musiczoo.models.run_logger` sets its learning rate.

    Args:
        recipe: The recipe of the run.
        steps_per_epoch: Batches in an epoch.
        replicas: Devices that share a batch. The optimiser clips the gradients of each replica before it adds them up;
            `musiczoo.models.loop` makes them equal parts of the sum.
    """
    rate: float | keras.optimizers.schedules.LearningRateSchedule = recipe.learning_rate
    if recipe.schedule == "cosine":
        steps = recipe.epochs * steps_per_epoch
        warmup = min(steps_per_epoch, steps // 4)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=recipe.learning_rate / 100,
            warmup_target=recipe.learning_rate,
            warmup_steps=warmup,
            decay_steps=steps - warmup,
            alpha=0.01,
        )
    clip = recipe.clip_norm / replicas or None
    average = {"use_ema": True, "ema_momentum": recipe.average} if recipe.average else {}
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, global_clipnorm=clip, **average)
    return keras.optimizers.Adam(rate, global_clipnorm=clip, **average)
