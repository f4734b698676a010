"""The first weights of a run that goes on from an earlier one."""

from pathlib import Path

import keras

from musiczoo.errors import TrainingError
from musiczoo.models import run
from musiczoo.models.base import start_from_base
from musiczoo.models.encoder import freeze, trunk
from musiczoo.models.recipe import Recipe


def warm_start(model: keras.Model, recipe: Recipe, out: Path) -> None:
    """Give a new model the weights that its recipe names, and freeze what it says.

    Args:
        model: As built from `recipe`; changed in place. Nothing happens if the recipe names none.
        recipe: Its ``start`` or ``base``, and what it says of the layers, count.
        out: Run folder of the model; the earlier run lies beside it.

    Raises:
        TrainingError: If there is no such run, or its layers have other shapes.
    """
    if recipe.base:
        start_from_base(model, recipe, out)
    if not recipe.start:
        return
    folder = out.parent / recipe.start
    if not (folder / run.BEST_FILE).exists():
        raise TrainingError(
            f"Expected the run that this recipe starts from at {folder}, received none. Train it first, or give this "
            "run a folder beside it."
        )
    source = load_best(folder)
    layers = model.layers if recipe.start_layers == "all" else trunk(model)
    try:
        if recipe.start_layers == "all" and source.name != model.name:
            raise ValueError(f"a run of {source.name}: take its trunk only")
        for layer in layers:
            layer.set_weights(source.get_layer(layer.name).get_weights())
    except ValueError as error:
        raise TrainingError(
            f"Expected a run at {folder} with the layers of {recipe.model} at width {recipe.width}, received {error}"
        ) from error
    freeze(model, recipe.frozen_blocks)


def load_best(folder: Path) -> keras.Model:
    """The best weights of a run, in a model of its recipe.

    Raises:
        TrainingError: If the run cannot be read.
        DatasetError: If its data set cannot be read.
    """
    return run.load_best(folder, *run.subject(folder))[0]
