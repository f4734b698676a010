"""Train your own tags on a published model.

Method
------
- The encoder is that of the published ONNX file (`musiczoo.models.from_preset`). New centroids, one for each tag,
  replace its head. A tag whose dimension is one of the model's spaces gets a centroid in that sub-space; any other tag
  gets one in the whole embedding.
- By default only the centroids are trained. This suits a few dozen to a few thousand tracks, which are too few to
  improve an encoder, and keeps the embedding: the new model has the ``space_id`` of the published one, so existing
  embeddings stay valid.
- A frozen encoder returns the same embedding for the same excerpt in each epoch. So excerpts are embedded once, in a
  few *views* that differ as epochs do (starts of excerpts, level, masks), and the epochs take the views in turn. This
  takes minutes where training the whole network takes hours. The views are kept in the run folder.
- The music and its labels are prepared in ``RUN/store``. The run can be resumed, finished and exported like any other
  (see `musiczoo.models.trainer`).
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich import progress
from rich.console import Console

from musiczoo._files import atomic_file, open_npz, write_npy
from musiczoo._paths import resolved
from musiczoo.card import EMBEDDING_NAME, TAGS_NAME, read_card
from musiczoo.datasets import folder, hard_tags
from musiczoo.datasets.dataset import Dataset, Item
from musiczoo.datasets.prepare import prepare
from musiczoo.datasets.prepared import ANNOTATIONS, INDEX_FILE, Store, TrackEntry, read_array
from musiczoo.errors import DatasetError, InputError, TrainingError, UnknownNameError
from musiczoo.models import data, run
from musiczoo.models.architectures import ARCHITECTURES, CALIBRATION_LAYER, LOGITS_LAYER, build
from musiczoo.models.calibration import finish_run
from musiczoo.models.encoder import BLOCKS
from musiczoo.models.frontend import data_front_end
from musiczoo.models.heads import NormalizeSpaces
from musiczoo.models.initialization import encoder, save_base, start_from_base
from musiczoo.models.loop import Loop
from musiczoo.models.presets import from_preset
from musiczoo.models.recipe import Recipe
from musiczoo.models.run_logger import RunLogger
from musiczoo.models.trainer import be_repeatable, compile_model, run_epochs, train, training_loss
from musiczoo.registry import find
from musiczoo.taxonomy import PLAIN_SPACES, Vocabulary

STORE_FOLDER = "store"

LEAST_TRACKS = 8
"""Minimum number of training tracks."""

VALIDATION_SHARE = 0.2
"""Share of the training tracks that become validation tracks if the data set has none."""

EPOCHS = 100
"""Maximum number of epochs; a run ends when the validation loss no longer falls."""

EXCERPT_BUDGET = 60_000
"""Approximate number of excerpts that a run reads: limits the epochs of a run that also trains the encoder, and the
views of one that does not."""

ENCODER_EPOCHS = (4, 30)
"""Minimum and maximum number of epochs of a run that also trains the encoder."""

VIEWS_FOLDER = "views"
VIEWS = 3
"""Maximum number of views of the training excerpts."""

Tags = Sequence[str] | Mapping[str, Sequence[str]]
Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]
Embed = Callable[[tf.Tensor], tf.Tensor]
_Track = TypeVar("_Track", Item, TrackEntry)


def finetune(
    name_or_model: str | os.PathLike[str] | keras.Model,
    dataset: Dataset | Store | str | os.PathLike[str],
    tags: Tags | None = None,
    *,
    out: str | os.PathLike[str],
    recipe: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Train your own tags on a published model, or resume an interrupted run.

    Args:
        name_or_model: Name or folder of a published model; or a model of `musiczoo.models.build`, or of
            `musiczoo.models.from_preset` with ``front_end=False``.
        dataset: Music with tags: a data set of `musiczoo.datasets`, a prepared data set, or the folder of either.
        tags: The tags of the data set to learn, or a mapping dimension -> tags to group them anew. By default all tags,
            grouped as in the data set.
        out: The run folder.
        recipe: Settings that differ from those of `default_recipe`; see `Recipe`. With ``frozen_blocks`` below 6 the
            convolutions of the last blocks are trained too, and so is the embedding layer unless ``frozen_embedding``
            is true; the model then has a new embedding space.
        console: Where progress is printed; standard error by default.

    Returns:
        The content of result.json in the run folder. Export the model with `musiczoo.export.run.export_run`.

    Raises:
        UnknownNameError: If there is no such model, tag or setting.
        InputError: If musiczoo did not build the model's network, or a setting is invalid.
        DatasetError: If there are too few tracks, all or none of them have a tag, or the data cannot be read.
        TrainingError: If `out` holds another run.

    Example:
        Two folders of noise, named after their tags, and one epoch:

        >>> import tempfile
        >>> import soundfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for i in range(24):
        ...     path = folder / "music" / ("loud" if i % 2 else "quiet") / f"{i}.wav"
        ...     path.parent.mkdir(parents=True, exist_ok=True)
        ...     noise = np.random.default_rng(i).normal(0, 0.1 if i % 2 else 0.01, 3 * 22_050)
        ...     soundfile.write(path, noise, 22_050)
        >>> result = finetune(
        ...     build("classification", width=16), folder / "music", out=folder / "run",
        ...     recipe={"epochs": 1, "batch": 8}, console=Console(quiet=True),
        ... )
        >>> sorted(result["thresholds"])
        ['loud', 'quiet']
    """
    out = Path(out)
    model, base, space = _base(name_or_model)
    given = dict(recipe or {})
    teachers = tuple(given.get("teachers", (ANNOTATIONS,)))
    source = _source(dataset)
    store = _prepared(source, vocabulary(tags, source, _spaces(model)), teachers, out, console)
    default = default_recipe(model, base, space)
    chosen = Recipe.of(default.plain() | given)
    if not chosen.keeps_space:
        excerpts = sum(track.excerpts for track in store.split("train"))
        epochs = min(max(EXCERPT_BUDGET // excerpts, ENCODER_EPOCHS[0]), ENCODER_EPOCHS[1])
        encoder_settings = {"learning_rate": default.learning_rate / 10, "frozen_embedding": False, "epochs": epochs}
        chosen = Recipe.of(default.plain() | encoder_settings | given)
    run.create_or_check(out, chosen, resolved(store.root))
    save_base(model, out)
    if chosen.keeps_space:
        return train_tags(chosen, store, out, console)
    return train(chosen, store.root, out, console)


def default_recipe(model: keras.Model, base: str, space: str) -> Recipe:
    """Return settings for a few dozen to a few thousand tracks: only the tags are trained.

    Args:
        model: The model to fine-tune.
        base: Name and version of the model.
        space: Its embedding-space id.
    """
    return Recipe(
        model=_variant(model),
        width=model.get_layer("stem").filters,
        teachers=(ANNOTATIONS,),
        batch=32,
        epochs=EPOCHS,
        learning_rate=0.01,
        patience=5,
        reductions=1,
        frozen_blocks=BLOCKS,
        base=base,
        base_space=space,
        frozen_embedding=True,
    )


def vocabulary(tags: Tags | None, source: Dataset | Store, spaces: Mapping[str, tuple[int, int]]) -> Vocabulary:
    """Return the tags to learn, grouped, for an embedding with these spaces.

    Raises:
        UnknownNameError: If the data set has no such tag.
        InputError: If a tag is named twice, or there are no tags.
    """
    groups: Mapping[str, Sequence[str]] = source.dimensions
    if tags is None:
        asked = tuple(source.tags)
    elif isinstance(tags, Mapping):
        asked, groups = tuple(tag for members in tags.values() for tag in members), tags
    else:
        asked = tuple(tags)
        groups = {name: [tag for tag in members if tag in asked] for name, members in source.dimensions.items()}
    for tag in asked:
        if tag not in source.tags:
            raise UnknownNameError.of("tag", tag, source.tags)
    if not asked or len(set(asked)) != len(asked):
        raise InputError(f"Expected one or more tags, each once, got {list(asked)}.")
    return Vocabulary(asked, {name: tuple(members) for name, members in groups.items() if members}, dict(spaces))


def with_validation(tracks: Sequence[_Track]) -> tuple[_Track, ...]:
    """Return the tracks with some for validation: if none is, a share of the training tracks is moved there.

    A hash of the artist decides if that leaves enough tracks of other artists to train on, else a hash of the track:
    the choice is always the same.
    """
    if any(track.split == "validation" for track in tracks):
        return tuple(tracks)
    train = [track for track in tracks if track.split == "train"]
    moved = _share(train, by_artist=True) or _share(train, by_artist=False)
    return tuple(replace(track, split="validation") if track.id in moved else track for track in tracks)


def _share(tracks: Sequence[_Track], by_artist: bool) -> set[str]:
    """Return the ids of at most `VALIDATION_SHARE` of the tracks, in whole groups."""
    groups: dict[str, set[str]] = {}
    for track in tracks:
        groups.setdefault((by_artist and track.artist) or track.id, set()).add(track.id)
    most = max(1, round(VALIDATION_SHARE * len(tracks)))
    chosen: set[str] = set()
    for name in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        if len(chosen | groups[name]) <= most:
            chosen |= groups[name]
    return chosen


def check(positives: NDArray[np.bool_], tags: Sequence[str], where: str | Path) -> None:
    """Check that there are enough tracks, and that each tag distinguishes some of them.

    Args:
        positives: ``[training tracks, tags]``.
        tags: Names of the columns.
        where: Name of the data in error messages.

    Raises:
        DatasetError: If there are fewer than `LEAST_TRACKS`, or a tag has no positive or no negative among them.
    """
    if len(positives) < LEAST_TRACKS:
        raise DatasetError(
            f"{where}: expected {LEAST_TRACKS} training tracks or more, got {len(positives)}. Label more tracks, or "
            "move tracks to the split train."
        )
    never = [tag for tag, column in zip(tags, positives.T, strict=True) if not column.any()]
    always = [tag for tag, column in zip(tags, positives.T, strict=True) if column.all()]
    if never or always:
        raise DatasetError(
            f"{where}: expected each tag on some training tracks and not on others. On none of {len(positives)}: "
            f"{', '.join(never) or '-'}; on all: {', '.join(always) or '-'}. Label more tracks, leave these tags out, "
            "or choose the training tracks in a column `split`."
        )


def _base(name_or_model: str | os.PathLike[str] | keras.Model) -> tuple[keras.Model, str, str]:
    """Return the model, its name and version, and its embedding-space id."""
    if not isinstance(name_or_model, keras.Model):
        found = find(name_or_model)
        card = read_card(found)
        return from_preset(found, front_end=False), f"{card.name} {card.version}", card.space_id
    digest = hashlib.sha256()
    for weight in encoder(name_or_model):
        digest.update(np.ascontiguousarray(weight).tobytes())
    return name_or_model, name_or_model.name, f"{name_or_model.name}/{digest.hexdigest()[:12]}"


def _spaces(model: keras.Model) -> dict[str, tuple[int, int]]:
    layer = next((layer for layer in model.layers if layer.name == EMBEDDING_NAME), None)
    return layer.spaces if isinstance(layer, NormalizeSpaces) else PLAIN_SPACES


def _variant(model: keras.Model) -> str:
    """Return the name of the classification model with the same embedding: its centroids learn from tags alone."""
    normalized = isinstance(model.get_layer(EMBEDDING_NAME), NormalizeSpaces)
    kind = ("classification", normalized, _spaces(model) != PLAIN_SPACES)
    return next(v.name for v in ARCHITECTURES.values() if (v.head, v.normalized, v.disentangled) == kind)


def _source(dataset: Dataset | Store | str | os.PathLike[str]) -> Dataset | Store:
    if isinstance(dataset, Dataset | Store):
        return dataset
    root = Path(dataset)
    return Store.open(root) if (root / INDEX_FILE).is_file() else folder.load(root)


def _prepared(
    source: Dataset | Store, wanted: Vocabulary, teachers: tuple[str, ...], out: Path, console: Console | None
) -> Store:
    """Return the prepared data set of the run, with the wanted tags and some tracks for validation."""
    root = out / STORE_FOLDER
    if (out / run.RUN_FILE).exists() and (root / INDEX_FILE).exists():
        found = Store.open(root).vocabulary
        if (found.tags, found.dimensions, found.spaces) != (wanted.tags, wanted.dimensions, wanted.spaces):
            raise TrainingError(
                f"{out} holds a run with other tags: expected {', '.join(wanted.tags)}, got "
                f"{', '.join(found.tags)}. Choose another folder, or delete it."
            )
    if isinstance(source, Dataset):
        chosen = set(wanted.tags)
        items = with_validation(source.items)
        items = tuple(replace(item, tags=tuple(tag for tag in item.tags if tag in chosen)) for item in items)
        reduced = replace(source, tags=wanted.tags, dimensions=wanted.dimensions, items=items)
        check(reduced.positives("train"), wanted.tags, source.root)
        store = replace(prepare(reduced, root, data_front_end(), console=console), spaces=wanted.layout)
        store = replace(store, tracks=with_validation(store.tracks))  # files may have failed
    else:
        store = _select_tags(source, wanted, teachers, root)
    store.save()
    learnt = hard_tags.of_split(store, "train", teachers) if store.split("train") else np.zeros((0, 0), bool)
    check(learnt, wanted.tags, source.root)
    return store


def _select_tags(source: Store, wanted: Vocabulary, teachers: tuple[str, ...], root: Path) -> Store:
    """Make a prepared data set with some tags of another one, and links to its audio and log-mels."""
    root.mkdir(parents=True, exist_ok=True)
    for name in ("audio", "logmel"):
        link = root / name
        link.unlink(missing_ok=True)
        link.symlink_to(resolved(source.root / name), target_is_directory=True)
    columns = [source.tags.index(tag) for tag in wanted.tags]
    for track in source.tracks:
        source.labels(track.id, teachers)  # raises if they are missing
        for teacher in teachers:
            labels = read_array(source.root / "labels" / teacher / f"{track.id}.npy")
            if labels is not None:
                write_npy(root / "labels" / teacher / f"{track.id}.npy", labels[:, columns])
    return replace(
        source,
        root=root,
        tracks=with_validation(source.tracks),
        tags=wanted.tags,
        dimensions=wanted.dimensions,
        spaces=wanted.layout,
    )


def train_tags(recipe: Recipe, store: Store, out: Path, console: Console | None = None) -> dict[str, Any]:
    """Train the tags alone on a frozen encoder, or resume such a run.

    Args:
        recipe: One that keeps the space of its base.
        store: The prepared music.
        out: The run folder, which holds the base.
        console: Where progress is printed; standard error by default.

    Returns:
        The content of result.json.

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
        data.Batches(data.Excerpts.of(store, split, recipe.teachers), recipe.batch, recipe.seed, data.Objective())
        for split in ("train", "validation")
    )
    steps = training.steps
    head = _head(model)
    compile_model(head, recipe, steps)
    model.optimizer = head.optimizer
    logger = RunLogger(model, recipe, out)
    logger.resume()
    if not logger.ended:
        views = min(max(EXCERPT_BUDGET // (steps * recipe.batch), 1), VIEWS)
        embedder = keras.Model(model.input, model.get_layer(EMBEDDING_NAME).output)
        embed = tf.function(lambda log_mels: embedder(log_mels, training=False), reduce_retracing=True, autograph=False)
        embedded = [
            _embedded_view(out / VIEWS_FOLDER / f"{i}.npz", embed, training, recipe.augmentation, i, console)
            for i in range(views)
        ]
        held_out = _embed(embed, data.validation(validation), None, console)

        def shuffled(epoch: int) -> Iterator[Any]:
            order = np.random.default_rng((recipe.seed, epoch)).permutation(steps * recipe.batch)
            embeddings, tags = embedded[epoch % views]
            return _batches((embeddings[order], tags[order]), recipe.batch)

        loop = Loop(head, tf.distribute.get_strategy(), training_loss(recipe, store.vocabulary))
        run_epochs(loop, logger, steps, shuffled, lambda: _batches(held_out, recipe.batch), console)
    return finish_run(out)


def _head(model: keras.Model) -> keras.Model:
    """Return the layers after the embedding as a model: ``[N, E] -> {"embedding", "tags"}``."""
    embedding = keras.Input(model.get_layer(EMBEDDING_NAME).output.shape[1:])
    tags = embedding
    for name in (LOGITS_LAYER, CALIBRATION_LAYER, TAGS_NAME):
        tags = model.get_layer(name)(tags)
    return keras.Model(embedding, {EMBEDDING_NAME: embedding, TAGS_NAME: tags})


def _embedded_view(
    path: Path,
    embed: Embed,
    training: data.Batches,
    augmentation: data.Augmentation,
    number: int,
    console: Console,
) -> Arrays:
    """Embed one pass over the training excerpts, or read it from the run folder."""
    if path.exists():
        with open_npz(path) as stored:
            return stored["embeddings"], stored["tags"]
    steps = training.steps
    batches = data.training(training, augmentation, number * steps, (number + 1) * steps)
    embeddings, tags = _embed(embed, batches, steps, console)
    with atomic_file(path) as file:
        np.savez(file, embeddings=embeddings, tags=tags)
    return embeddings, tags


def _embed(embed: Embed, batches: Iterable[Any], steps: int | None, console: Console) -> Arrays:
    parts = [
        (np.asarray(embed(log_mels)), np.asarray(targets[TAGS_NAME]))
        for log_mels, targets in progress.track(batches, "embedding", total=steps, console=console)
    ]
    embeddings, tags = zip(*parts, strict=True)
    return np.concatenate(embeddings), np.concatenate(tags)


def _batches(arrays: Arrays, size: int) -> Iterator[Any]:
    embeddings, tags = arrays
    for first in range(0, len(embeddings), size):
        part = slice(first, first + size)
        yield tf.constant(embeddings[part]), {TAGS_NAME: tf.constant(tags[part])}
