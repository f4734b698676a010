"""The run folder: the files of a training run, and the model that it gives.

Layout
------
::

    run.json        recipe, data set, versions, devices
    checkpoint.npz  everything that the next epoch needs
    best.npz        the weights with the lowest validation loss; with the cosine schedule, those of the last epoch
    log.csv         one line for each epoch
    times.csv       seconds of each epoch
    curves.png      a plot of the log
    tensorboard/    the log for TensorBoard, on request
    prototypes.npy  of triplet models: a point of the embedding space for each tag
    encoder/        of a head: the frozen encoder
    result.json     written at the end: calibration, thresholds, validation metrics

A checkpoint is an .npz file with the weights, the variables of the optimiser and one JSON text for the rest. Every file
is replaced as a whole: whenever the process dies, the last complete one is there.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from musiczoo import __version__, _files
from musiczoo._files import UNREADABLE, atomic_file, open_npz
from musiczoo.card import ModelCard, sha256
from musiczoo.datasets.prepared import Store, read_array
from musiczoo.errors import TrainingError
from musiczoo.models.architectures import (
    CALIBRATION_LAYER,
    LOGITS_LAYER,
    architecture,
    build,
    build_head,
    build_waveform,
)
from musiczoo.models.data import Excerpts
from musiczoo.models.features import FeatureExcerpts
from musiczoo.models.frozen_encoder import Encoder, open_encoder
from musiczoo.models.model_card import make_card, make_head_card
from musiczoo.models.recipe import Recipe
from musiczoo.taxonomy import EMBEDDING_SIZE

RUN_FILE = "run.json"
ENCODER_FOLDER = "encoder"
LOG_FILE = "log.csv"
CURVES_FILE = "curves.png"
CHECKPOINT_FILE = "checkpoint.npz"
BEST_FILE = "best.npz"
PROTOTYPES_FILE = "prototypes.npy"
RESULT_FILE = "result.json"


def create_or_check(out: Path, recipe: Recipe, data: Path | Sequence[Path]) -> None:
    """Write run.json, or compare it with the existing one.

    Raises:
        TrainingError: If the folder holds a run of another recipe or data set.
        WriteError: If it cannot be written.
    """
    settings = json.loads(json.dumps({"recipe": recipe.plain(), "data": _plain(data)}))
    path = out / RUN_FILE
    if path.exists():
        found = read_json(path)
        # Through Recipe: settings of a later version get their defaults.
        found["recipe"] = json.loads(json.dumps(Recipe.of(found.get("recipe", {})).plain()))
        changed = [key for key in settings if settings[key] != found.get(key)]
        if changed:
            raise TrainingError(
                f"{out} holds a run of another {' and '.join(changed)}: expected {[settings[k] for k in changed]}, "
                f"got {[found.get(k) for k in changed]}. Choose another folder, or delete it."
            )
        return
    versions = {"musiczoo": __version__, "tensorflow": tf.__version__, "keras": keras.__version__}
    _files.write_json(path, {**settings, "versions": versions})


def _plain(data: Path | Sequence[Path]) -> str | list[str]:
    """Return the folder of a data set, or the folders of those that one joins, for run.json."""
    roots = [data] if isinstance(data, Path) else data
    return str(roots[0]) if len(roots) == 1 else [str(root) for root in roots]


def read_settings(folder: Path) -> tuple[Recipe, Store]:
    """Return the recipe and the data set of a run.

    Raises:
        TrainingError: If its run.json cannot be read.
        DatasetError: If its data set cannot be read.
    """
    settings = read_json(folder / RUN_FILE)
    try:
        return Recipe.of(settings["recipe"]), _open(settings["data"])
    except (KeyError, TypeError) as error:
        raise TrainingError(f"{folder / RUN_FILE}: expected a recipe and a data set, got {settings}.") from error


def read_data(folder: Path) -> Store:
    """Return the data set of a run, or those that it joins.

    Raises:
        TrainingError: If its run.json cannot be read.
        DatasetError: If its data set cannot be read.
    """
    return _open(read_json(folder / RUN_FILE)["data"])


def _open(data: str | Sequence[str]) -> Store:
    return Store.open_all([data] if isinstance(data, str) else data)


def encoder(folder: Path, recipe: Recipe) -> Encoder:
    """Open the frozen encoder of a run that trains a head, from the run folder.

    Raises:
        ModelFileError: If it is missing or altered.
        UnknownNameError: If it has no such layer.
        InputError: If the layer is not of shape ``[N, F]``.
    """
    return open_encoder(folder / ENCODER_FOLDER, recipe.encoder_layer or None)


def excerpts(folder: Path, recipe: Recipe, store: Store, split: str) -> Excerpts:
    """Open a split as the run's model takes it: log-mels, or the features of its encoder.

    Raises:
        DatasetError: If the data cannot be read, or there are no such tracks.
    """
    if recipe.encoder:
        return FeatureExcerpts.open(encoder(folder, recipe), store, split, recipe.teachers, recipe.drop_untagged)
    repeats = recipe.repeats if split == "train" else {}
    learnt = recipe.hidden_weight > 0, recipe.voices_weight > 0
    return Excerpts.of(store, split, recipe.teachers, recipe.drop_untagged, repeats, *learnt)


def untrained(folder: Path, recipe: Recipe, store: Store) -> keras.Model:
    """Build the model of a recipe: a whole one, or a head on the run's encoder."""
    if recipe.encoder:
        return build_head(recipe.model, encoder(folder, recipe).size, store.vocabulary)
    return build(recipe.model, recipe.width, store.vocabulary)


def load_best(folder: Path, recipe: Recipe, store: Store) -> tuple[keras.Model, dict[str, Any]]:
    """Return a model of a recipe with a run's best weights, and the state that was saved with them.

    Raises:
        TrainingError: If the weights cannot be read.
    """
    model = untrained(folder, recipe, store)
    return model, restore_checkpoint(folder / BEST_FILE, model.variables)


def load_run(folder: Path | str) -> tuple[keras.Model, ModelCard]:
    """Load the trained and calibrated model of a finished run.

    Returns:
        The model with its front end, ``[N, 66150]`` waveform -> ``{"embedding", "tags"}`` in float32 (see
        `musiczoo.models.architectures.build_waveform`), and its card, which lists no files yet. For a head on a frozen
        encoder, the model takes features ``[N, F]`` instead.

    Raises:
        TrainingError: If the run is not finished or cannot be read.
        DatasetError: If its data set cannot be read.
    """
    folder = Path(folder)
    (recipe, store), result = read_settings(folder), read_json(folder / RESULT_FILE)
    keras.mixed_precision.set_global_policy("float32")
    model, _ = load_best(folder, recipe, store)
    if architecture(recipe.model).head == "triplet":
        model.get_layer(LOGITS_LAYER).set_points(_prototypes(folder, len(store.tags)))
    calibration = [np.array(result["calibration"][name], np.float32) for name in ("scale", "offset")]
    model.get_layer(CALIBRATION_LAYER).set_weights(calibration)
    weights_id = sha256(folder / BEST_FILE)[:12]
    if recipe.encoder:
        return model, make_head_card(recipe, store, result, weights_id, _trained(model), encoder(folder, recipe))
    return build_waveform(model), make_card(recipe, store, result, weights_id, _trained(model))


def _prototypes(folder: Path, tags: int) -> NDArray[Any]:
    points = read_array(folder / PROTOTYPES_FILE)
    if points is None or points.shape != (EMBEDDING_SIZE, tags):
        raise TrainingError(
            f"Expected the prototypes of a triplet model in {folder / PROTOTYPES_FILE}, got none or others. "
            "Run: musiczoo train --finish"
        )
    return points


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run.

    Raises:
        TrainingError: If it does not exist or is not JSON.
    """
    try:
        content: dict[str, Any] = dict(_files.read_json(path))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise TrainingError(
            f"Expected a finished training run with {path}, got {error}. Run musiczoo train to its end."
        ) from error
    return content


def _trained(model: keras.Model) -> int:
    return int(sum(np.prod(weight.shape) for weight in model.trainable_weights))


_STATE = "state"


def save_checkpoint(path: Path, values: Sequence[keras.Variable | NDArray[Any]], state: dict[str, Any]) -> None:
    """Write variables, or copies of their values, and the state atomically."""
    arrays: dict[str, Any] = {f"{i:04d}": np.asarray(value) for i, value in enumerate(values)}
    arrays[_STATE] = np.array(json.dumps(state))
    with atomic_file(path) as file:
        np.savez(file, **arrays)


def restore_checkpoint(path: Path, variables: Sequence[keras.Variable]) -> dict[str, Any]:
    """Assign the stored values to the variables, and return the state.

    Raises:
        TrainingError: If the file cannot be read or belongs to another model.
    """
    arrays, state = read_checkpoint(path)
    shapes, expected = [a.shape for a in arrays], [tuple(v.shape) for v in variables]
    if shapes != expected:
        raise TrainingError(
            f"{path}: expected {len(expected)} variables of this model and optimiser, got {len(shapes)} of other "
            "shapes. It is of another recipe: choose another folder."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state


def read_checkpoint(path: Path) -> tuple[list[NDArray[Any]], dict[str, Any]]:
    """Return the stored arrays, in order, and the state.

    Raises:
        TrainingError: If the file cannot be read.
    """
    try:
        with open_npz(path) as stored:
            arrays = [stored[f"{i:04d}"] for i in range(len(stored.files) - 1)]
            state: dict[str, Any] = json.loads(str(stored[_STATE]))
    except UNREADABLE as error:
        raise TrainingError(f"Expected a checkpoint at {path}, got {error}. Delete it to start again.") from error
    return arrays, state
