"""The learning rate, against tables made by hand."""

import math

import pytest

pytest.importorskip("tensorflow")

import keras

from musiczoo.models.recipe import Recipe
from musiczoo.models.schedule import Plateau, optimizer

pytestmark = pytest.mark.train


def test_plateau_rule() -> None:
    """Divide by 5 after 2 epochs that are no better than the best, at most twice, then stop."""
    recipe = Recipe("classification", learning_rate=0.005, patience=2, reductions=2)
    table = [  # loss, learning rate of the next epoch, epochs waited, stop
        (1.00, 0.005, 0, False),
        (0.90, 0.005, 0, False),
        (0.95, 0.005, 1, False),
        (0.89, 0.005, 0, False),
        (0.89, 0.005, 1, False),  # as good is not better
        (0.92, 0.001, 0, False),
        (0.88, 0.001, 0, False),
        (0.90, 0.001, 1, False),
        (0.90, 0.0002, 0, False),
        (0.90, 0.0002, 1, False),
        (0.90, 0.0002, 2, True),
    ]
    state = Plateau(recipe.learning_rate)
    for loss, rate, waited, stop in table:
        state = state.after(loss, recipe)
        assert (state.learning_rate, state.waited, state.stop) == (pytest.approx(rate), waited, stop)
    assert state.best == 0.88


def test_the_papers_plateau() -> None:
    """A loss that never falls again: 1 epoch, 5 times 10 to a reduction, 10 more."""
    recipe = Recipe("classification")
    state, epochs = Plateau(recipe.learning_rate), 0
    while not state.stop:
        state, epochs = state.after(1.0, recipe), epochs + 1
    assert epochs == 61
    assert state.learning_rate == pytest.approx(0.005 / 3125)
    assert state.reductions == 5


def test_without_reductions_the_rule_only_stops() -> None:
    recipe = Recipe("classification", patience=1, reductions=0)
    state = Plateau(0.1).after(1.0, recipe).after(2.0, recipe)
    assert (state.learning_rate, state.stop) == (0.1, True)


def test_cosine() -> None:
    """A hundredth, up to the whole over the first epoch, down to a hundredth by the last."""
    made = optimizer(Recipe("classification", schedule="cosine", epochs=5, learning_rate=0.01), steps_per_epoch=10)
    table = {0: 0.0001, 5: 0.00505, 10: 0.01, 30: 0.00505, 50: 0.0001, 60: 0.0001}
    table[20] = 0.01 * (0.01 + 0.99 * (1 + math.cos(math.pi / 4)) / 2)
    for step, rate in table.items():
        made.iterations.assign(step)
        assert float(made.learning_rate) == pytest.approx(rate, rel=1e-4)


def test_optimizers() -> None:
    adam = optimizer(Recipe("classification", learning_rate=0.25), 10)
    assert (type(adam), float(adam.learning_rate), adam.weight_decay) == (keras.optimizers.Adam, 0.25, None)
    adamw = optimizer(Recipe("classification", optimizer="adamw", weight_decay=0.125), 10)
    assert (type(adamw), adamw.weight_decay) == (keras.optimizers.AdamW, 0.125)
