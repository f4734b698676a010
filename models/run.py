"""A run folder: what a training run leaves, and the model that comes out of it.

Layout
------
::

    run.json        recipe, data set, versions, what computed it
    checkpoint.npz  all that the next epoch needs (see `musiczoo.models.checkpoint`)
    best.npz        the weights with the lowest validation loss; with a cosine, those of the last epoch
    log.csv         a line an epoch
    times.csv       seconds of each epoch
    curves.png      the log as a picture
    tensorboard/    the same for TensorBoard, if it was asked for
    prototypes.npy  of triplet models: a point of the embedding space for each tag
    result.json     written at the end: calibration, thresholds, validation figures
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from musiczoo import __version__
from musiczoo.card import ModelCard, sha256
from musiczoo.datasets.prepared import Store, atomic, read_array
from musiczoo.errors import TrainingError
from musiczoo.models import checkpoint
from musiczoo.models.architectures import CALIBRATION_LAYER, LOGITS_LAYER, build, build_waveform, variant
from musiczoo.models.model_card import describe
from musiczoo.models.recipe import Recipe
from musiczoo.taxonomy import EMBEDDING_SIZE

RUN_FILE = "run.json"
LOG_FILE = "log.csv"
CURVES_FILE = "curves.png"
CHECKPOINT_FILE = "checkpoint.npz"
BEST_FILE = "best.npz"
PROTOTYPES_FILE = "prototypes.npy"
RESULT_FILE = "result.json"


def start(out: Path, recipe: Recipe, data: Path) -> None:
    """Write run.json, or compare it with the one that is there.

    Raises:
        TrainingError: If the folder holds a run of another recipe or data set.
        WriteError: If it cannot be written.
    """
    settings = json.loads(json.dumps({"recipe": recipe.plain(), "data": str(data)}))
    path = out / RUN_FILE
    if path.exists():
        found = read_json(path)
        # Through Recipe, so that settings that came with a later version count as their defaults.
        found["recipe"] = json.loads(json.dumps(Recipe.of(found.get("recipe", {})).plain()))
        changed = [key for key in settings if settings[key] != found.get(key)]
        if changed:
            raise TrainingError(
                f"{out} holds a run of another {' and '.join(changed)}: expected {[settings[k] for k in changed]}, "
                f"received {[found.get(k) for k in changed]}. Choose another folder, or delete it."
            )
        return
    versions = {"musiczoo": __version__, "tensorflow": tf.__version__, "keras": keras.__version__}
    write_json(path, {**settings, "versions": versions})


def subject(folder: Path) -> tuple[Recipe, Store]:
    """What a run trains, and on what.

    Raises:
        TrainingError: If its run.json cannot be read.
        DatasetError: If its data set cannot be read.
    """
    settings = read_json(folder / RUN_FILE)
    try:
        return Recipe.of(settings["recipe"]), Store.open(settings["data"])
    except (KeyError, TypeError) as error:
        raise TrainingError(f"{folder / RUN_FILE}: expected a recipe and a data set, received {settings}.") from error


def load_best(folder: Path, recipe: Recipe, store: Store) -> tuple[keras.Model, dict[str, Any]]:
    """The best weights of a run, in a model of its recipe, and the state that was saved with them.

    Raises:
        TrainingError: If there are none that can be read.
    """
    model = build(recipe.model, recipe.width, store.vocabulary)
    return model, checkpoint.restore(folder / BEST_FILE, model.variables)


def load_run(folder: Path | str) -> tuple[keras.Model, ModelCard]:
    """The trained and calibrated model of a finished run, with its front end, and its card.

    Returns:
        ``[N, 66150]`` waveform -> ``{"embedding", "tags"}`` in float32 (see `build_waveform`), and a card
        that names no files yet.

    Raises:
        TrainingError: If the run is not finished or cannot be read.
        DatasetError: If its data set cannot be read.
    """
    folder = Path(folder)
    (recipe, store), result = subject(folder), read_json(folder / RESULT_FILE)
    keras.mixed_precision.set_global_policy("float32")
    model, _ = load_best(folder, recipe, store)
    if variant(recipe.model).head == "triplet":
        model.get_layer(LOGITS_LAYER).set_points(_prototypes(folder, len(store.tags)))
    calibration = [np.array(result["calibration"][name], np.float32) for name in ("scale", "offset")]
    model.get_layer(CALIBRATION_LAYER).set_weights(calibration)
    card = describe(recipe, store, result, weights_id=sha256(folder / BEST_FILE)[:12], parameters=_trained(model))
    return build_waveform(model), card


def _prototypes(folder: Path, tags: int) -> NDArray[Any]:
    points = read_array(folder / PROTOTYPES_FILE)
    if points is None or points.shape != (EMBEDDING_SIZE, tags):
        raise TrainingError(
            f"Expected the prototypes of a triplet model in {folder / PROTOTYPES_FILE}, received none that fit. "
            "Run: musiczoo train --finish"
        )
    return points


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a run.

    Raises:
        TrainingError: If it is not there or not JSON.
    """
    try:
        content: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise TrainingError(
            f"Expected a finished training run with {path}, received {error}. Run musiczoo train to its end."
        ) from error
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file of a run, whole or not at all."""
    with atomic(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _trained(model: keras.Model) -> int:
    return int(sum(np.prod(weight.shape) for weight in model.trainable_weights))
