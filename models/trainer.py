"""The trainer: a recipe and a prepared data set -> a run folder (see `musiczoo.models.run`).

An interrupted run resumes after its last finished epoch and gives the same weights as an undisturbed one: bit for bit
on one device.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from musiczoo._files import write_json
from musiczoo._paths import resolved
from musiczoo.card import EMBEDDING_NAME, TAGS_NAME
from musiczoo.datasets import label_source, rendered_music
from musiczoo.datasets.hard_tags import TIMES_PRIOR
from musiczoo.datasets.prepared import ANNOTATIONS, Store
from musiczoo.errors import InputError, UnknownNameError
from musiczoo.models import distributed, features, run
from musiczoo.models.architectures import CALIBRATION_LAYER, STANDARDIZE_LAYER, architecture
from musiczoo.models.calibration import finish_run
from musiczoo.models.data import Batches, Excerpts, Objective
from musiczoo.models.data import training as training_batches
from musiczoo.models.data import validation as validation_batches
from musiczoo.models.encoder import FEATURES_LAYER
from musiczoo.models.frozen_encoder import keep
from musiczoo.models.initialization import require_start, start_at_priors, warm_start
from musiczoo.models.loop import Loop, Loss, averaged, distribute
from musiczoo.models.losses import HIDDEN, LOGITS, VOICES_SPACE, Distillation, TripletError, TripletLoss
from musiczoo.models.miners import MINERS, ExplicitTriplets
from musiczoo.models.recipe import POLICIES, Recipe
from musiczoo.models.run_logger import RunLogger
from musiczoo.models.schedule import optimizer
from musiczoo.taxonomy import LASTFM_50, Vocabulary

_MOST_STANDARDIZED = 2000
"""Maximum number of tracks from which the mean and scale of features and hidden layers are computed."""


def train(
    recipe: Recipe,
    data: Path | str | Sequence[Path | str],
    out: Path | str,
    console: Console | None = None,
    devices: str = "auto",
    tensorboard: bool = False,
    labels: str | None = None,
) -> dict[str, Any]:
    """Train a model, or resume an interrupted run.

    Args:
        recipe: Settings. To resume a run, pass the settings that it was started with.
        data: A prepared data set with annotations, or with labels by the recipe's teachers; or several, to train on
            all of them (see `Recipe.repeats`).
        out: The run folder.
        console: Where progress is printed; standard error by default.
        devices: Name of the distribution strategy (see `musiczoo.models.distributed.choose`).
        tensorboard: Whether to write logs for TensorBoard into the run folder.
        labels: ``annotations`` or ``teachers``. By default annotations where the data set has them, else the teachers
            of the recipe (see `musiczoo.datasets.label_source`).

    Returns:
        The content of result.json.

    Raises:
        TrainingError: If `out` holds a run of another recipe or data set, the run that the recipe starts from does not
            exist, the losses or weights are not finite, or another worker is lost.
        WriteError: If `out` cannot be written, as on a full disk. The epochs before are kept.
        DatasetError: If the data cannot be read or are not labelled.
        UnknownNameError: If the recipe names no model.
        InputError: If there are no such devices, the batch does not divide by their number, the data set lacks the
            requested annotations, its tags lack the dimensions that the model needs, or a head has a start.

    Example:
        Two folders of noise, named after their tags, and one epoch:

        >>> import tempfile
        >>> import numpy as np
        >>> import soundfile
        >>> from musiczoo.datasets import folder
        >>> from musiczoo.datasets.prepare import prepare
        >>> from musiczoo.models.frontend import data_front_end
        >>> root = Path(tempfile.mkdtemp())
        >>> for i in range(40):
        ...     path = root / "music" / ("loud" if i % 2 else "quiet") / f"{i}.wav"
        ...     path.parent.mkdir(parents=True, exist_ok=True)
        ...     noise = np.random.default_rng(i).normal(0, 0.1 if i % 2 else 0.01, 3 * 22_050)
        ...     soundfile.write(path, noise, 22_050)
        >>> quiet = Console(quiet=True)
        >>> data = prepare(folder.load(root / "music"), root / "data", data_front_end(), console=quiet).root
        >>> recipe = Recipe("classification", width=16, batch=8, epochs=1)
        >>> result = train(recipe, data, root / "run", console=quiet)
        >>> result["epochs"], sorted(result["thresholds"])
        (1, ['loud', 'quiet'])
    """
    roots, out = [resolved(root) for root in ([data] if isinstance(data, Path | str) else data)], Path(out)
    store = Store.open_all(roots)
    architecture(recipe.model).spaces(store.vocabulary)  # before anything that takes long
    require_start(recipe, out)
    recipe = replace(recipe, teachers=label_source.choose(store, recipe.teachers, labels))
    start = recipe.start or recipe.base or recipe.start_model
    if recipe.encoder and start:
        raise InputError(
            f"A head on the frozen encoder {recipe.encoder!r} starts from random weights, got the start "
            f"{start!r}. Leave one of the two out of the recipe."
        )
    if recipe.start_model and (recipe.start or recipe.base):
        raise InputError(
            f"A run has one start, got the model {recipe.start_model!r} and {recipe.start or recipe.base!r}. "
            "Leave one of the two out of the recipe."
        )
    if recipe.encoder and (recipe.hidden_weight or recipe.voices_weight):
        raise InputError(
            "A head on a frozen encoder cannot learn hidden layers or voices. Set hidden_weight and voices_weight to 0."
        )
    if recipe.voices_weight and rendered_music.NAME not in store.datasets:
        raise InputError(
            f"The data set {rendered_music.NAME} alone says which tracks have a voice: expected it among the data of "
            f"a recipe with voices_weight, got {store.dataset}. Add it (--data), or set voices_weight to 0."
        )
    if recipe.distils and recipe.teachers == (ANNOTATIONS,):
        raise InputError(
            f"Distillation needs labels by teachers, got annotations by people in {roots[0]}. Pass --labels teachers, "
            "or set logits_weight, hidden_weight, triplets_weight and voices_weight to 0."
        )
    if recipe.encoder:
        _embed(recipe, store, out, console)
    shared = distributed.choose(devices)
    distributed.check_batch(shared, recipe.batch)
    with distributed.workers(shared):
        _epochs(recipe, store, out, shared, devices, console, tensorboard)
        if distributed.is_chief(shared):
            finish_run(out)
        distributed.check_agreement(shared, 0)  # the other workers wait here for the chief
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
            run.excerpts(out, recipe, store, split),
            recipe.batch,
            recipe.seed,
            objective(recipe),
        )
        for split in ("train", "validation")
    )
    steps, replicas = training.steps, shared.num_replicas_in_sync

    be_repeatable(recipe.seed)
    keras.mixed_precision.set_global_policy(POLICIES[recipe.precision])
    steps = recipe.epoch_steps or steps
    with shared.scope():
        result = run.untrained(out, recipe, store)
        if recipe.encoder:
            _standardize(result, training.excerpts)
        warm_start(result, recipe, out)
        start_at_priors(result, recipe, training.excerpts)
        model = student(result, recipe, training.excerpts)
        compile_model(model, recipe, steps, replicas)
        if chief or (out / run.RUN_FILE).exists():
            run.create_or_check(out, recipe, store.roots)
        logger = RunLogger(model, recipe, out, chief, tensorboard, result)
        logger.resume()
    distributed.check_agreement(shared, logger.epochs)
    if logger.ended:
        return
    if chief:
        _note_environment(out, devices, replicas)
    every = -(-len(training.excerpts.log_mels) // _MOST_STANDARDIZED)
    hidden = training.excerpts.hidden[::every]
    deviations = np.concatenate(hidden).std(axis=0).tolist() if hidden else ()
    prior = np.mean([rows.mean(axis=0) for rows in training.excerpts.labels], axis=0)
    trained, validated = (
        make(recipe, store.vocabulary, deviations, prior) for make in (training_loss, validation_loss)
    )
    loop = Loop(model, shared, trained, validated, batch_statistics=not recipe.start_model)
    first, last = logger.epochs * steps, recipe.epochs * steps
    batches = distribute(training_batches(training, recipe.augmentation, first, last), shared)
    run_epochs(
        loop,
        logger,
        steps,
        lambda epoch: batches,
        lambda: distribute(validation_batches(validation, replicas), shared),
        console if chief else Console(quiet=True),
    )


def _embed(recipe: Recipe, store: Store, out: Path, console: Console | None) -> None:
    """Keep the encoder of a head in the run folder, and compute the features that are missing."""
    run.create_or_check(out, recipe, store.roots)  # before anything is written into a folder of another run
    keep(recipe.encoder, out / run.ENCODER_FOLDER)
    tracks = [*store.split("train"), *store.split("validation")]
    features.compute(run.encoder(out, recipe), store, tracks, console=console)


def _standardize(head: keras.Model, excerpts: Excerpts) -> None:
    every = -(-len(excerpts.log_mels) // _MOST_STANDARDIZED)
    head.get_layer(STANDARDIZE_LAYER).set_statistics(np.concatenate(list(excerpts.log_mels[::every])))


def student(model: keras.Model, recipe: Recipe, excerpts: Excerpts) -> keras.Model:
    """Return the model that a recipe trains: with outputs for its logits and the teachers' hidden layers if it distils.

    Args:
        model: The model that is the result of the run; its layers are shared, not copied.
        recipe: The recipe of the run.
        excerpts: The training split, whose hidden layers are predicted.

    Returns:
        `model` itself if the recipe does not distil.
    """
    if not recipe.distils:
        return model
    outputs = {**model.output, LOGITS: model.get_layer(CALIBRATION_LAYER).output}
    if recipe.hidden_weight:
        predict = keras.layers.Dense(excerpts.hidden[0].shape[1], dtype="float32", name=HIDDEN)
        outputs[HIDDEN] = predict(model.get_layer(FEATURES_LAYER).output)
    return keras.Model(model.input, outputs, name=model.name)


def be_repeatable(seed: int) -> None:
    """Make runs on one device repeatable, bit for bit."""
    keras.utils.set_random_seed(seed)
    # Graph rewriting gives gradients whose last bits change from call to call, even on one thread.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def run_epochs(
    loop: Loop,
    logger: RunLogger,
    steps: int,
    training: Callable[[int], Iterator[Any]],
    validation: Callable[[], Iterator[Any]],
    console: Console | None,
) -> None:
    """Train and validate the remaining epochs of a run.

    Args:
        loop: The training loop of the model.
        logger: Logs each epoch.
        steps: Batches in an epoch.
        training: Number of finished epochs -> an iterator that starts with the batches of the next epoch.
        validation: -> the batches to validate on.
        console: Where progress is printed; standard error by default.
    """
    with EpochProgress(logger.recipe.epochs, steps, console) as progress:
        while not logger.ended:
            progress.begin(logger.epochs + 1)
            begin = time.perf_counter()
            loss = loop.train(training(logger.epochs), steps, progress.step)
            middle = time.perf_counter()
            with averaged(loop.model):
                val_loss = loop.evaluate(validation())
            progress.end(logger.keep(loss, val_loss, (middle - begin, time.perf_counter() - middle)))


def objective(recipe: Recipe) -> Objective:
    """Return what the recipe's model is trained on."""
    config = architecture(recipe.model)
    return Objective(recipe.mining, config.track_weight) if config.head == "triplet" else Objective()


def compile_model(model: keras.Model, recipe: Recipe, steps_per_epoch: int, replicas: int = 1) -> None:
    """Give a model the optimiser of a recipe, ready to train; with float16, Keras adds the scaling of losses."""
    model.compile(optimizer=optimizer(recipe, steps_per_epoch, replicas))
    model.optimizer.build(model.trainable_variables)


def training_loss(
    recipe: Recipe,
    vocabulary: Vocabulary = LASTFM_50,
    deviations: Sequence[float] = (),
    prior: Sequence[float] | NDArray[np.floating] = (),
) -> Loss:
    """Return the loss of a recipe's model: targets and outputs of a batch -> number.

    Args:
        recipe: The recipe of the run.
        vocabulary: The tags.
        deviations: Standard deviations of the teachers' hidden units, where the recipe learns those.
        prior: Mean label of each tag, where a distilling recipe has triplets.
    """
    mining = objective(recipe).mining
    if mining:
        return _of_embedding(_triplet_loss(TripletLoss, recipe, vocabulary, mining))
    if recipe.distils:
        weights = _tag_weights(recipe, vocabulary)
        least = [TIMES_PRIOR * share for share in prior]
        spaces = architecture(recipe.model).spaces(vocabulary)
        triplets = TripletLoss(spaces, vocabulary.tag_dimensions) if recipe.triplets_weight else None
        distilled = (recipe.logits_weight, weights, recipe.hidden_weight, deviations)
        voices = TripletLoss(spaces, [VOICES_SPACE] * 2) if recipe.voices_weight else None
        return Distillation(*distilled, triplets, recipe.triplets_weight, least, voices, recipe.voices_weight)
    cross_entropy = keras.losses.BinaryCrossentropy()
    return lambda targets, outputs: cross_entropy(targets[TAGS_NAME], outputs[TAGS_NAME])


def _tag_weights(recipe: Recipe, vocabulary: Vocabulary) -> list[float]:
    for tag in recipe.tag_weights:
        if tag not in vocabulary.tags:
            raise UnknownNameError.of("tag with a weight", tag, vocabulary.tags)
    return [recipe.tag_weights.get(tag, 1.0) for tag in vocabulary.tags]


def validation_loss(
    recipe: Recipe,
    vocabulary: Vocabulary = LASTFM_50,
    deviations: Sequence[float] = (),
    prior: Sequence[float] | NDArray[np.floating] = (),
) -> Loss:
    """Return the loss by which the epochs of a recipe are compared.

    Models that mine triplets are compared by the share of a batch's triplets in the wrong order, which is what triplet
    prediction measures. All others are compared by the loss that is trained.
    """
    if objective(recipe).mining in ("", "explicit"):
        # A batch of validation has few tracks, in order: no triplets worth counting.
        return training_loss(replace(recipe, triplets_weight=0.0, voices_weight=0.0), vocabulary, deviations, prior)
    return _of_embedding(_triplet_loss(TripletError, recipe, vocabulary, "all"))


def _of_embedding(loss: TripletLoss) -> Loss:
    return lambda targets, outputs: loss(targets, outputs[EMBEDDING_NAME])


def _triplet_loss(kind: type[TripletLoss], recipe: Recipe, vocabulary: Vocabulary, mining: str) -> TripletLoss:
    config = architecture(recipe.model)
    miner, track_miner = MINERS[mining](), None
    if mining == "explicit" and config.track_weight:
        # The positive and the negative of the anchor's track follow those of the tag.
        miner, track_miner = ExplicitTriplets(5), ExplicitTriplets(5, positive=3, negative=4)
    return kind(
        config.spaces(vocabulary),
        vocabulary.tag_dimensions,
        miner,
        track_weight=config.track_weight,
        track_miner=track_miner,
    )


def _note_environment(out: Path, devices: str, replicas: int) -> None:
    """Write the devices that computed the last part of the run into run.json."""
    kind = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    environment = {
        "strategy": devices,
        "replicas": replicas,
        "devices": sorted({device.device_type for device in kind}),
    }
    write_json(out / run.RUN_FILE, {**run.read_json(out / run.RUN_FILE), "environment": environment})


_REDRAW_S = 0.2


class EpochProgress:
    """A progress bar for the current epoch, and a line for each finished one; a context manager.

    Args:
        epochs: Number of epochs of the run.
        steps: Number of steps of an epoch.
        console: Where to print; standard error by default.
    """

    def __init__(self, epochs: int, steps: int, console: Console | None = None) -> None:
        self.epochs, self.drawn, self.title = epochs, 0.0, ""
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=console or Console(stderr=True),
        )  # fmt: skip
        self.task = self.bar.add_task("", total=steps)

    def __enter__(self) -> "EpochProgress":
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def begin(self, epoch: int) -> None:
        """Reset the bar for an epoch, counted from 1."""
        self.title = f"epoch {epoch}/{self.epochs}"
        self.bar.reset(self.task, description=self.title)

    def step(self, loss: Any) -> None:
        """Advance by one step. The loss may still be computing on a device, so it is read rarely."""
        self.bar.advance(self.task)
        if time.monotonic() - self.drawn > _REDRAW_S:
            self.bar.update(self.task, description=f"{self.title} loss {float(loss):.4f}")
            self.drawn = time.monotonic()

    def end(self, row: dict[str, float]) -> None:
        """Print the row of a finished epoch."""
        values = ", ".join(f"{name} {value:.5f}" for name, value in row.items() if name != "epoch")
        self.bar.console.print(f"epoch {row['epoch']:.0f}: {values}", highlight=False)
