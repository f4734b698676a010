"""The first weights of a run: those of an earlier run or of a published model, and the priors of the tags.

A run that fine-tunes a published model keeps the encoder of that model, its *base*, in the run folder. So it can be
resumed and finished after the published model was replaced or removed.
"""

from pathlib import Path

import keras
import numpy as np

from musiczoo.card import EMBEDDING_NAME, read_card
from musiczoo.errors import InputError, TrainingError
from musiczoo.models import run
from musiczoo.models.architectures import CALIBRATION_LAYER, LOGITS_LAYER, UNITS_LAYER, architecture
from musiczoo.models.data import Excerpts
from musiczoo.models.encoder import FEATURES_LAYER, freeze, trunk
from musiczoo.models.presets import freeze_normalization, from_preset
from musiczoo.models.recipe import Recipe, names, paper
from musiczoo.models.sampling import Positions
from musiczoo.registry import find

_BATCH = 64

PRIOR_TRACKS = 512
"""Training tracks of which one excerpt is read for the mean embedding."""


def warm_start(model: keras.Model, recipe: Recipe, out: Path) -> None:
    """Copy the weights that a recipe starts from into a new model, and freeze the layers that it freezes.

    Args:
        model: Built from `recipe`; changed in place. Unchanged if the recipe has no start.
        recipe: The recipe of the run.
        out: Run folder of the model; the earlier run lies beside it.

    Raises:
        TrainingError: If there is no such run or model, or its layers have other shapes.
    """
    if recipe.base:
        start_from_base(model, recipe, out)
    if recipe.start_model and not (out / run.CHECKPOINT_FILE).exists():
        _start_from_model(model, recipe)
    if recipe.start_model:
        freeze(model, recipe.frozen_blocks)
    if not recipe.start:
        return
    require_start(recipe, out)
    folder = out.parent / recipe.start
    source = load_best(folder)
    layers = model.layers if recipe.start_layers == "all" else trunk(model)
    try:
        if recipe.start_layers == "all" and source.name != model.name:
            raise ValueError(f"a run of {source.name}: use start_layers = trunk")
        for layer in layers:
            layer.set_weights(source.get_layer(layer.name).get_weights())
    except ValueError as error:
        raise TrainingError(
            f"Expected a run at {folder} with the layers of {recipe.model} at width {recipe.width}, got {error}"
        ) from error
    freeze(model, recipe.frozen_blocks)


def _start_from_model(model: keras.Model, recipe: Recipe) -> None:
    """Copy all weights of a published model but its calibration, whose scales go into the centroids or proxies."""
    name, _, version = recipe.start_model.rpartition(" ")
    folder = find(name)
    card, source = read_card(folder), from_preset(folder, front_end=False)
    if card.version != version:
        raise TrainingError(
            f"The recipe starts from {recipe.start_model}, and this musiczoo has {card.name} {card.version}. Write the "
            f'folder of that version into start_model, "FOLDER {version}", or install the release that has it.'
        )
    try:
        if source.name != model.name:
            raise ValueError(f"the model {source.name}")
        for layer in model.layers:
            if layer.name != CALIBRATION_LAYER:
                layer.set_weights(source.get_layer(layer.name).get_weights())
    except ValueError as error:
        raise TrainingError(
            f"Expected a model {recipe.start_model} with the layers of {recipe.model} at width {recipe.width}, got "
            f"{error}"
        ) from error
    scale = np.asarray(source.get_layer(CALIBRATION_LAYER).scale)
    model.get_layer(LOGITS_LAYER).rescale(scale)


def require_start(recipe: Recipe, out: Path) -> None:
    """Check that the run that a recipe starts from exists.

    Args:
        recipe: A recipe; nothing is checked if its ``start`` is empty.
        out: Run folder of the model; the earlier run lies beside it.

    Raises:
        TrainingError: If there is no such run.
    """
    if not recipe.start:
        return
    folder = out.parent / recipe.start
    if not (folder / run.BEST_FILE).exists():
        raise TrainingError(
            f"No such file: {str(folder / run.BEST_FILE)!r}. The recipe starts from the weights of the run "
            f"{recipe.start!r}. {_next_step(recipe, folder)}"
        )


def _next_step(recipe: Recipe, folder: Path) -> str:
    """Return what to do if the run that a recipe starts from does not exist."""
    known = names()
    train = f"musiczoo train --recipe {recipe.start} --out {folder}" if recipe.start in known else ""
    first = f"Train it first ({train} --data DIR)" if train else "Train it first"
    return f"{first}, or start from random weights: --recipe {paper(recipe.model)}."


def start_at_priors(model: keras.Model, recipe: Recipe, excerpts: Excerpts) -> None:
    """Set each tag of a new head to its prior, so that the first epoch is not spent on learning the priors.

    Args:
        model: The model with its first weights; changed in place. Triplet models, whose tags are not trained, and heads
            of an earlier run stay unchanged.
        recipe: The recipe of the run.
        excerpts: The training split.
    """
    if architecture(recipe.model).head == "triplet" or (recipe.start and recipe.start_layers == "all"):
        return
    tracks = np.unique(np.linspace(0, len(excerpts.labels) - 1, PRIOR_TRACKS).astype(int))
    log_mels, _ = excerpts.at(Positions(tracks, np.array([(len(excerpts.labels[i]) - 1) / 2 for i in tracks])))
    embed = keras.Model(model.input, model.get_layer(EMBEDDING_NAME).output)
    parts = np.array_split(excerpts.ready(log_mels), -(-len(tracks) // _BATCH))
    embeddings = [np.asarray(embed(part, training=False)) for part in parts]
    priors = np.mean([labels.mean(axis=0) for labels in excerpts.labels], axis=0)
    model.get_layer(LOGITS_LAYER).start_at(priors, np.concatenate(embeddings).mean(axis=0))


def load_best(folder: Path) -> keras.Model:
    """Return a model of a run's recipe with the run's best weights.

    Raises:
        TrainingError: If the run cannot be read.
        DatasetError: If its data set cannot be read.
    """
    return run.load_best(folder, *run.read_settings(folder))[0]


BASE_FILE = "base.npz"


def save_base(model: keras.Model, out: Path) -> None:
    """Write the encoder of a model into a run folder.

    Raises:
        InputError: If the model has not the layers of `musiczoo.models.build`.
    """
    run.save_checkpoint(out / BASE_FILE, encoder(model), {})


def start_from_base(model: keras.Model, recipe: Recipe, out: Path) -> None:
    """Copy the encoder of the run's base into a new model, and freeze the layers that the recipe freezes.

    The normalisation is always frozen: see `musiczoo.models.presets`.

    Raises:
        TrainingError: If the run folder holds no base, or one with other layers.
    """
    run.restore_checkpoint(out / BASE_FILE, encoder(model))
    freeze(model, recipe.frozen_blocks)
    freeze_normalization(model)
    model.get_layer(UNITS_LAYER).trainable = not recipe.frozen_embedding


def encoder(model: keras.Model) -> list[keras.Variable]:
    """Return the weights of all layers up to the embedding.

    Raises:
        InputError: If the model has not the layers of `musiczoo.models.build`.
    """
    names = [layer.name for layer in model.layers]
    missing = {FEATURES_LAYER, UNITS_LAYER, EMBEDDING_NAME} - set(names)
    if missing:
        raise InputError(
            "Expected a model of musiczoo.models.build, or of from_preset with front_end=False, got one without the "
            f"layers {sorted(missing)}."
        )
    layers = model.layers[: names.index(EMBEDDING_NAME) + 1]
    return [weight for layer in layers for weight in layer.weights]
