"""Training of the tags alone, on an encoder that stays as it is.

The encoder gives the same embedding for the same excerpt in each epoch, so excerpts are embedded once, in a few
*views* that differ as epochs do (where excerpts start, level, masks), and the epochs take these in turn: minutes
where a run through the whole network takes hours. Views are kept in the run folder, for a run that is resumed.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from musiczoo._files import open_npz
from musiczoo.card import EMBEDDING_NAME, TAGS_NAME
from musiczoo.datasets.prepared import Store, atomic
from musiczoo.models import data
from musiczoo.models.architectures import CALIBRATION_LAYER, LOGITS_LAYER, build
from musiczoo.models.base import start_from_base
from musiczoo.models.calibration import finish
from musiczoo.models.loop import Loop
from musiczoo.models.losses import Objective
from musiczoo.models.recipe import Recipe
from musiczoo.models.run_logger import Journal
from musiczoo.models.trainer import be_repeatable, compile_model, run_epochs

VIEWS_FOLDER = "views"
VIEWS = 3
"""Views of the training excerpts, if they are few enough for that."""

HEARD = 60_000
"""Excerpts that a run embeds at most for the sake of more views than one."""

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]


def train_tags(recipe: Recipe, store: Store, out: Path, console: Console | None = None) -> dict[str, Any]:
    """Train the tags of a run that was begun (see `musiczoo.models.finetuning`), or go on with it.

    Args:
        recipe: One that keeps the space of its base.
        store: The prepared music.
        out: The run folder; it holds the base.
        console: Where progress goes; standard error by default.

    Returns:
        What result.json holds.

    Raises:
        TrainingError: If the losses or weights are not finite, or the run folder holds another run.
        DatasetError: If the data cannot be read or are too few for a batch.
    """
    console = console or Console(stderr=True)
    be_repeatable(recipe.seed)
    keras.mixed_precision.set_global_policy("float32")
    model = build(recipe.model, recipe.width, store.vocabulary)
    start_from_base(model, recipe, out)
    training, validation = (
        data.Batches(data.Excerpts.of(store, split, recipe.teachers), recipe.batch, recipe.seed, Objective())
        for split in ("train", "validation")
    )
    steps = training.steps
    head = _head(model)
    compile_model(head, recipe, steps, store.vocabulary)
    model.optimizer = head.optimizer
    journal = Journal(model, recipe, out)
    journal.resume()
    if not journal.ended:
        views = min(max(HEARD // (steps * recipe.batch), 1), VIEWS)
        heard = [
            _view(out / VIEWS_FOLDER / f"{i}.npz", model, training, recipe.augmentation, i, console)
            for i in range(views)
        ]
        unheard = _embed(model, data.validation(validation), None, console)

        def shuffled(epoch: int) -> Iterator[Any]:
            order = np.random.default_rng((recipe.seed, epoch)).permutation(steps * recipe.batch)
            embeddings, tags = heard[epoch % views]
            return _batches((embeddings[order], tags[order]), recipe.batch)

        loop = Loop(head, tf.distribute.get_strategy())
        run_epochs(loop, journal, steps, shuffled, lambda: _batches(unheard, recipe.batch), console)
    return finish(out)


def _head(model: keras.Model) -> keras.Model:
    """The layers after the embedding, as a model: ``[N, E] -> {"embedding", "tags"}``."""
    embedding = keras.Input(model.get_layer(EMBEDDING_NAME).output.shape[1:])
    tags = embedding
    for name in (LOGITS_LAYER, CALIBRATION_LAYER, TAGS_NAME):
        tags = model.get_layer(name)(tags)
    return keras.Model(embedding, {EMBEDDING_NAME: embedding, TAGS_NAME: tags})


def _view(
    path: Path,
    model: keras.Model,
    training: data.Batches,
    augmentation: data.Augmentation,
    number: int,
    console: Console,
) -> Arrays:
    """One pass over the training excerpts, embedded; read from the run folder if it is there."""
    if path.exists():
        with open_npz(path) as stored:
            return stored["embeddings"], stored["tags"]
    steps = training.steps
    batches = data.training(training, augmentation, number * steps, (number + 1) * steps)
    embeddings, tags = _embed(model, batches, steps, console)
    with atomic(path) as file:
        np.savez(file, embeddings=embeddings, tags=tags)
    return embeddings, tags


def _embed(model: keras.Model, batches: Iterable[Any], steps: int | None, console: Console) -> Arrays:
    embedder = keras.Model(model.input, model.get_layer(EMBEDDING_NAME).output)
    embed = tf.function(lambda log_mels: embedder(log_mels, training=False), reduce_retracing=True)
    parts = [
        (np.asarray(embed(log_mels)), np.asarray(targets[TAGS_NAME]))
        for log_mels, targets in track(batches, "embedding", total=steps, console=console)
    ]
    embeddings, tags = zip(*parts, strict=True)
    return np.concatenate(embeddings), np.concatenate(tags)


def _batches(arrays: Arrays, size: int) -> Iterator[Any]:
    embeddings, tags = arrays
    for first in range(0, len(embeddings), size):
        part = slice(first, first + size)
        yield tf.constant(embeddings[part]), {TAGS_NAME: tf.constant(tags[part])}
