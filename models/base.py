"""The published model that a fine-tuning run goes on from: its encoder, kept in the run folder.

So the run is whole: it can be resumed and finished though the published model was replaced or removed meanwhile.
"""

from pathlib import Path

import keras

from musiczoo.card import EMBEDDING_NAME
from musiczoo.errors import InputError
from musiczoo.models import checkpoint
from musiczoo.models.architectures import UNITS_LAYER
from musiczoo.models.encoder import FEATURES_LAYER, freeze
from musiczoo.models.rebuild import freeze_normalization
from musiczoo.models.recipe import Recipe

BASE_FILE = "base.npz"


def save_base(model: keras.Model, out: Path) -> None:
    """Write the encoder of a model into a run folder.

    Raises:
        InputError: If the model is none that `musiczoo.models.build` or `rebuild` made.
    """
    checkpoint.save(out / BASE_FILE, encoder(model), {})


def start_from_base(model: keras.Model, recipe: Recipe, out: Path) -> None:
    """Give a new model the encoder of its run's base, and freeze what the recipe says.

    Normalisation is frozen in any case: see `musiczoo.models.rebuild`.

    Raises:
        TrainingError: If the run folder holds no base, or one with other layers.
    """
    checkpoint.restore(out / BASE_FILE, encoder(model))
    freeze(model, recipe.frozen_blocks)
    freeze_normalization(model)
    model.get_layer(UNITS_LAYER).trainable = not recipe.frozen_embedding


def encoder(model: keras.Model) -> list[keras.Variable]:
    """The weights that make the embedding.

    Raises:
        InputError: If the model is none that `musiczoo.models.build` or `rebuild` made.
    """
    names = [layer.name for layer in model.layers]
    missing = {FEATURES_LAYER, UNITS_LAYER, EMBEDDING_NAME} - set(names)
    if missing:
        raise InputError(
            f"Expected a model that musiczoo.models.build or rebuild made, received one without {sorted(missing)}."
        )
    layers = model.layers[: names.index(EMBEDDING_NAME) + 1]
    return [weight for layer in layers for weight in layer.weights]
