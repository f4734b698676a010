"""The first weights of a run: those of an earlier one, and tags as rare as in its labels."""

from pathlib import Path

import keras
import numpy as np

from musiczoo.card import EMBEDDING_NAME
from musiczoo.errors import TrainingError
from musiczoo.models import run
from musiczoo.models.architectures import LOGITS_LAYER, variant
from musiczoo.models.base import start_from_base
from musiczoo.models.data import Excerpts, standardise
from musiczoo.models.encoder import freeze, trunk
from musiczoo.models.recipe import Recipe, names, paper
from musiczoo.models.sampling import Places

_BATCH = 64

HEARD = 512
"""Training tracks of which one excerpt is heard for the mean embedding."""


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
    require_start(recipe, out)
    folder = out.parent / recipe.start
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


def require_start(recipe: Recipe, out: Path) -> None:
    """See that the run is there that a recipe starts from.

    Args:
        recipe: Its ``start`` counts; nothing is needed if that is empty.
        out: Run folder of the model; the earlier run lies beside it.

    Raises:
        TrainingError: If it is not, with what to do.
    """
    if not recipe.start:
        return
    folder = out.parent / recipe.start
    if not (folder / run.BEST_FILE).exists():
        raise TrainingError(
            f"This recipe starts from the weights of the run {recipe.start!r}: expected {run.BEST_FILE} in {folder}, "
            f"got none. {_remedy(recipe, folder)}"
        )


def _remedy(recipe: Recipe, folder: Path) -> str:
    """What to do if the run that a recipe starts from is not there."""
    known = names()
    train = f"musiczoo train --recipe {recipe.start} --out {folder}" if recipe.start in known else ""
    first = f"Train that first ({train} --data DIR)" if train else "Train that first"
    return f"{first}, or start from random weights: --recipe {paper(recipe.model)}."


def start_at_priors(model: keras.Model, recipe: Recipe, excerpts: Excerpts) -> None:
    """Let each tag of a new head begin at its prior, so that the first epoch is not spent on learning that.

    Args:
        model: With its first weights; changed in place. Nothing happens to triplet models, whose tags are not
            learnt, or if the head is that of an earlier run.
        recipe: Of the run.
        excerpts: The training split.
    """
    if variant(recipe.model).head == "triplet" or (recipe.start and recipe.start_layers == "all"):
        return
    tracks = np.unique(np.linspace(0, len(excerpts.labels) - 1, HEARD).astype(int))
    log_mels, _ = excerpts.at(Places(tracks, np.array([(len(excerpts.labels[i]) - 1) / 2 for i in tracks])))
    embed = keras.Model(model.input, model.get_layer(EMBEDDING_NAME).output)
    parts = np.array_split(standardise(log_mels), -(-len(tracks) // _BATCH))
    embeddings = [np.asarray(embed(part, training=False)) for part in parts]
    priors = np.mean([labels.mean(axis=0) for labels in excerpts.labels], axis=0)
    model.get_layer(LOGITS_LAYER).start_at(priors, np.concatenate(embeddings).mean(axis=0))


def load_best(folder: Path) -> keras.Model:
    """The best weights of a run, in a model of its recipe.

    Raises:
        TrainingError: If the run cannot be read.
        DatasetError: If its data set cannot be read.
    """
    return run.load_best(folder, *run.subject(folder))[0]
