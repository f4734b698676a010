"""Measure the seconds of an epoch of several models on one machine.

Conventions
-----------
- All models have the same width and batch size, and synthetic music: neither disk nor data matter.
- The models take turns of a few steps each, for several rounds, so that other load on the machine slows all of them
  alike. The time of a model is the median over the rounds. The first round, in which graphs are built, does not count.
- An epoch has as many steps as there are whole batches in the excerpts. A sample of explicit triplets counts as one
  excerpt.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import repeat
from statistics import median

import numpy as np
import tensorflow as tf

from musiczoo.errors import InputError
from musiczoo.models import data
from musiczoo.models.architectures import build
from musiczoo.models.frontend import EXCERPT_FRAMES, FRONT_END
from musiczoo.models.loop import Loop
from musiczoo.models.recipe import Recipe
from musiczoo.models.trainer import compile_model, objective, training_loss
from musiczoo.taxonomy import LASTFM_50, TAGS

WIDTH = 32
BATCH = 64
ROUNDS = 5
STEPS = 4
"""Steps of a turn."""

Step = Callable[[], object]


def seconds_per_epoch(
    recipes: Mapping[str, Recipe],
    excerpts: int,
    width: int = WIDTH,
    batch: int = BATCH,
    rounds: int = ROUNDS,
    steps: int = STEPS,
) -> dict[str, float]:
    """Measure the seconds of an epoch.

    Args:
        recipes: Name -> recipe; width and batch are replaced.
        excerpts: Number of excerpts of an epoch.
        width: Channels of an encoder branch.
        batch: Excerpts, or samples of explicit triplets, in a step.
        rounds: Number of turns of each model.
        steps: Steps of a turn.

    Returns:
        Name -> seconds.

    Raises:
        InputError: If rounds or steps are not positive, or there are fewer excerpts than a batch.
        UnknownNameError: If a recipe names no model.
    """
    if rounds < 1 or steps < 1 or excerpts < batch:
        raise InputError(
            f"Expected rounds and steps of 1 or more and {batch} excerpts or more, got {rounds}, {steps} and "
            f"{excerpts}. Use a smaller batch."
        )
    settings = {name: replace(recipe, width=width, batch=batch) for name, recipe in recipes.items()}
    ready = {name: trainer(recipe, excerpts // batch) for name, recipe in settings.items()}
    return {name: each * (excerpts // batch) for name, each in in_turns(ready, rounds, steps).items()}


def in_turns(
    ready: Mapping[str, Step], rounds: int, steps: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Return the seconds of a step of each: the median over rounds in which all take a turn, in changing order."""
    names = list(ready)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        first = turn % max(len(names), 1)
        for name in names[first:] + names[:first]:
            begin = clock()
            for _ in range(steps):
                ready[name]()
            taken[name].append((clock() - begin) / steps)
    return {name: median(seconds[1:]) for name, seconds in taken.items()}


def trainer(recipe: Recipe, steps: int) -> Step:
    """Return a function that trains a new model for one step, on a batch in memory.

    Args:
        recipe: The recipe of the model.
        steps: Steps of an epoch, for the schedule of the optimiser.
    """
    model = build(recipe.model, recipe.width)
    compile_model(model, recipe, steps)
    batches = data.Batches(_noise(recipe.batch), recipe.batch, recipe.seed, objective(recipe))
    batch = next(iter(data.training(batches, recipe.augmentation, 0, 1)))
    loop = Loop(model, tf.distribute.get_strategy(), training_loss(recipe))
    return lambda: loop.train(repeat(batch), 1)


def _noise(batch: int) -> data.Excerpts:
    """Return a batch of random tracks of two excerpts, half of which have each tag."""
    rng = np.random.default_rng(0)
    log_mels = rng.random((batch, 2 * EXCERPT_FRAMES, FRONT_END.n_mels), np.float32).astype(np.float16)
    labels = rng.random((batch, 2, len(TAGS)), np.float32)
    tags = rng.permuted(np.tile(np.arange(batch)[:, None] % 2 == 0, len(TAGS)), axis=0)
    return data.Excerpts(list(log_mels), list(labels), tags, LASTFM_50.tag_dimensions)
