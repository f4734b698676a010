"""The trainer: a recipe and a prepared data set -> a run folder (see `musiczoo.models.run`).

A run that was interrupted goes on where its last epoch ended and gives the same weights, bit for bit on one
device, as if it had not been.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from musiczoo._paths import resolved
from musiczoo.card import EMBEDDING_NAME, TAGS_NAME
from musiczoo.datasets import label_source
from musiczoo.datasets.prepared import Store
from musiczoo.models import distributed, run
from musiczoo.models.architectures import build, variant
from musiczoo.models.calibration import finish
from musiczoo.models.data import Batches, Excerpts
from musiczoo.models.data import training as training_batches
from musiczoo.models.data import validation as validation_batches
from musiczoo.models.initialization import require_start, start_at_priors, warm_start
from musiczoo.models.loop import Loop, distribute
from musiczoo.models.losses import ORDER, Objective, TripletLoss
from musiczoo.models.progress import EpochProgress
from musiczoo.models.recipe import POLICIES, Recipe
from musiczoo.models.run_logger import Journal
from musiczoo.models.schedule import optimizer
from musiczoo.taxonomy import LASTFM_50, Vocabulary


def train(
    recipe: Recipe,
    data: Path | str,
    out: Path | str,
    console: Console | None = None,
    devices: str = "auto",
    tensorboard: bool = False,
    labels: str | None = None,
) -> dict[str, Any]:
    """Train a model, or go on with a run that was interrupted.

    Args:
        recipe: Settings. A run that is resumed must have been started with the same ones.
        data: A prepared data set with annotations by people, or the labels of the recipe's teachers.
        out: The run folder.
        console: Where progress goes; standard error by default.
        devices: What shares the work (see `musiczoo.models.distributed.choose`).
        tensorboard: Whether to write for TensorBoard too, into the run folder.
        labels: ``annotations`` or ``teachers``; by default annotations where the data set has them, else the teachers
            of the recipe (see `musiczoo.datasets.label_source`).

    Returns:
        What result.json holds.

    Raises:
        TrainingError: If `out` holds a run of another recipe or data set, the run that the recipe starts from is not
            there, the losses or weights are not finite, or
            another worker is lost.
        WriteError: If `out` cannot be written, as on a full disk: the epochs before are kept.
        DatasetError: If the data cannot be read or is not labelled.
        UnknownNameError: If the recipe names no model.
        InputError: If there are no such devices, the batch does not divide by their number, the data set has no
            annotations though they are asked for, or its tags are not in the dimensions that the model needs.
    """
    data, out = resolved(data), Path(out)
    store = Store.open(data)
    variant(recipe.model).spaces(store.vocabulary)  # the shortest story first
    require_start(recipe, out)
    recipe = replace(recipe, teachers=label_source.choose(store, recipe.teachers, labels))
    shared = distributed.choose(devices)
    distributed.check_batch(shared, recipe.batch)
    with distributed.workers(shared):
        _epochs(recipe, store, out, shared, devices, console, tensorboard)
        if distributed.is_chief(shared):
            finish(out)
        distributed.check_agreement(shared, 0)  # the others wait for the chief
    return run.read_json(out / run.RESULT_FILE)


def _epochs(
    recipe: Recipe,
    store: Store,
    out: Path,
    shared: tf.distribute.Strategy,
    devices: str,
    console: Console | None,
    tensorboard: bool,
) -> None:
    chief = distributed.is_chief(shared)
    training, validation = (
        Batches(
            Excerpts.of(store, split, recipe.teachers, recipe.drop_untagged),
            recipe.batch,
            recipe.seed,
            objective(recipe),
        )
        for split in ("train", "validation")
    )
    steps, replicas = training.steps, shared.num_replicas_in_sync

    be_repeatable(recipe.seed)
    keras.mixed_precision.set_global_policy(POLICIES[recipe.precision])
    with shared.scope():
        model = build(recipe.model, recipe.width, store.vocabulary)
        warm_start(model, recipe, out)
        start_at_priors(model, recipe, training.excerpts)
        compile_model(model, recipe, steps, store.vocabulary, replicas)
        if chief or (out / run.RUN_FILE).exists():
            run.start(out, recipe, store.root)
        journal = Journal(model, recipe, out, chief, tensorboard)
        journal.resume()
    distributed.check_agreement(shared, journal.epochs)
    if journal.ended:
        return
    if chief:
        _note_environment(out, devices, replicas)
    loop = Loop(model, shared, judge(recipe, store.vocabulary))
    first, last = journal.epochs * steps, recipe.epochs * steps
    batches = distribute(training_batches(training, recipe.augmentation, first, last), shared)
    run_epochs(
        loop,
        journal,
        steps,
        lambda epoch: batches,
        lambda: distribute(validation_batches(validation, replicas), shared),
        console if chief else Console(quiet=True),
    )


def be_repeatable(seed: int) -> None:
    """Make a run on one device give the same bits every time."""
    keras.utils.set_random_seed(seed)
    # Graphs that TensorFlow rewrites give gradients whose last bits change from call to call, even on one thread.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def run_epochs(
    loop: Loop,
    journal: Journal,
    steps: int,
    training: Callable[[int], Iterator[Any]],
    validation: Callable[[], Iterator[Any]],
    console: Console | None,
) -> None:
    """Train and validate, epoch after epoch, from where the journal stands to the end of its run.

    Args:
        loop: Of the model.
        journal: Keeps what each epoch brings.
        steps: Batches in an epoch.
        training: Epochs done -> an iterator that gives the next epoch's batches first.
        validation: -> all batches to validate on.
        console: Where progress goes; standard error by default.
    """
    with EpochProgress(journal.recipe.epochs, steps, console) as progress:
        while not journal.ended:
            progress.begin(journal.epochs + 1)
            begin = time.perf_counter()
            loss = loop.train(training(journal.epochs), steps, progress.step)
            middle = time.perf_counter()
            val_loss = loop.evaluate(validation())
            progress.end(journal.keep(loss, val_loss, (middle - begin, time.perf_counter() - middle)))


def objective(recipe: Recipe) -> Objective:
    """What the recipe's model is trained on."""
    config = variant(recipe.model)
    return Objective(recipe.mining, config.track_weight) if config.head == "triplet" else Objective()


def compile_model(
    model: keras.Model,
    recipe: Recipe,
    steps_per_epoch: int,
    vocabulary: Vocabulary = LASTFM_50,
    replicas: int = 1,
) -> None:
    """Give a model the recipe's loss and optimiser, ready to train; with float16, Keras adds the scaling of losses."""
    aim = objective(recipe)
    loss: dict[str, Any] = {EMBEDDING_NAME: None, TAGS_NAME: keras.losses.BinaryCrossentropy()}
    if aim.mining:
        loss = {EMBEDDING_NAME: _triplets(recipe, vocabulary, aim.mining), TAGS_NAME: None}
    model.compile(optimizer=optimizer(recipe, steps_per_epoch, replicas), loss=loss)
    model.optimizer.build(model.trainable_variables)


def judge(recipe: Recipe, vocabulary: Vocabulary) -> TripletLoss | None:
    """What epochs are compared by, if not by the loss itself.

    Which triplets are hard changes with the embedding, so that their loss may rise while it gets better: epochs are
    compared by the share of a batch's triplets in the wrong order, which is what triplet prediction measures.
    """
    return None if objective(recipe).mining in ("", "explicit") else _triplets(recipe, vocabulary, ORDER)


def _triplets(recipe: Recipe, vocabulary: Vocabulary, mining: str) -> TripletLoss:
    config = variant(recipe.model)
    spaces, dimensions = config.spaces(vocabulary), vocabulary.tag_dimensions
    return TripletLoss(spaces, dimensions, mining, track_weight=config.track_weight)


def _note_environment(out: Path, devices: str, replicas: int) -> None:
    """What computed the last part of the run, in run.json."""
    kind = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    environment = {
        "strategy": devices,
        "replicas": replicas,
        "devices": sorted({device.device_type for device in kind}),
    }
    run.write_json(out / run.RUN_FILE, {**run.read_json(out / run.RUN_FILE), "environment": environment})
