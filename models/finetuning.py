"""A user's own tags on a published model.

What happens
------------
- The encoder is rebuilt from the published ONNX file (`musiczoo.models.rebuild`), and new centroids, one a tag, take
  the place of its head. A tag whose dimension is one of the model's spaces lies in that sub-space; any other tag
  lies in the whole embedding.
- Unless told otherwise only the centroids are learnt. That suits a few dozen to a few thousand tracks, which
  are too few to improve an encoder, and it leaves the embedding as it was: the new model has the published one's
  ``space_id``, so whatever was embedded with that stays valid. It takes minutes (`musiczoo.models.tags_only`).
- The music and its labels are prepared in ``RUN/store``, and from there on the run is one like any other: it can be
  resumed, finished and exported (see `musiczoo.models.trainer`).
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from musiczoo._paths import resolved
from musiczoo.card import EMBEDDING_NAME
from musiczoo.datasets import folder, hard_tags
from musiczoo.datasets.dataset import Dataset, Item
from musiczoo.datasets.prepare import prepare
from musiczoo.datasets.prepared import ANNOTATIONS, INDEX_FILE, Store, TrackEntry, read_array, write_array
from musiczoo.errors import DatasetError, InputError, TrainingError, UnknownNameError
from musiczoo.models import run
from musiczoo.models.architectures import VARIANTS
from musiczoo.models.base import encoder, save_base
from musiczoo.models.encoder import BLOCKS
from musiczoo.models.frontend import data_front_end
from musiczoo.models.heads import NormalizeSpaces
from musiczoo.models.rebuild import rebuild
from musiczoo.models.recipe import Recipe
from musiczoo.models.tags_only import train_tags
from musiczoo.models.trainer import train
from musiczoo.taxonomy import PLAIN_SPACES, Vocabulary

STORE_FOLDER = "store"

LEAST_TRACKS = 8
"""Training tracks below which nothing worth having can be learnt."""

VALIDATION_SHARE = 0.2
"""Of the training tracks, if the data set has none for validation."""

EPOCHS = 100
"""At most; a run stops when the validation loss falls no more, and an epoch of the tags alone takes a second."""

HEARD = 60_000
"""Excerpts that a run hears, roughly, which trains the encoder too: it decides its epochs."""

ENCODER_EPOCHS = (4, 30)
"""At least and at most, then."""

Tags = Sequence[str] | Mapping[str, Sequence[str]]
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
    """Put a user's own tags on a published model, or go on with a run that was interrupted.

    Args:
        name_or_model: A published model's name or folder; or a model of `musiczoo.models.build` or `rebuild`.
        dataset: Music with tags: as `musiczoo.datasets.folder.load` and others return it, a prepared store, or
            either one's folder.
        tags: Which of the data set's tags to learn, or dimension -> tags to group them anew; by default all, as the
            data set groups them.
        out: The run folder.
        recipe: Settings that differ from `default_recipe`'s, see `Recipe`. With ``frozen_blocks`` below 6 the
            convolutions of the last blocks are trained too, and the layer that makes the embedding unless
            ``frozen_embedding`` is true; then the space is a new one.
        console: Where progress goes; standard error by default.

    Returns:
        What result.json of the run folder holds; `musiczoo.export.export.export` makes the model out of it.

    Raises:
        UnknownNameError: If there is no such model, tag or setting.
        InputError: If the model cannot be rebuilt, or a setting is wrong.
        DatasetError: If there are too few tracks, a tag tells no two of them apart, or the data cannot be read.
        TrainingError: If `out` holds another run.
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
        heard = sum(track.excerpts for track in store.split("train"))
        epochs = min(max(HEARD // heard, ENCODER_EPOCHS[0]), ENCODER_EPOCHS[1])
        careful = {"learning_rate": default.learning_rate / 10, "frozen_embedding": False, "epochs": epochs}
        chosen = Recipe.of(default.plain() | careful | given)
    run.start(out, chosen, resolved(store.root))
    save_base(model, out)
    if chosen.keeps_space:
        return train_tags(chosen, store, out, console)
    return train(chosen, store.root, out, console)


def default_recipe(model: keras.Model, base: str, space: str) -> Recipe:
    """Settings for a few dozen to a few thousand tracks: only the tags are learnt, until that helps no more.

    Args:
        model: What is fine-tuned.
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
    """The tags to learn, grouped, for an embedding with these spaces.

    Raises:
        UnknownNameError: If the data set has no such tag.
        InputError: If a tag is named twice, or none is named.
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
        raise InputError(f"Expected one or more tags, each once, received {list(asked)}.")
    return Vocabulary(asked, {name: tuple(members) for name, members in groups.items() if members}, dict(spaces))


def with_validation(tracks: Sequence[_Track]) -> tuple[_Track, ...]:
    """The tracks as they are; or if none is for validation, with a share of the training tracks for it.

    A hash decides, of the artist if that leaves enough tracks of others to train on, so it is always the same.
    """
    if any(track.split == "validation" for track in tracks):
        return tuple(tracks)
    train = [track for track in tracks if track.split == "train"]
    moved = _share(train, by_artist=True) or _share(train, by_artist=False)
    return tuple(replace(track, split="validation") if track.id in moved else track for track in tracks)


def _share(tracks: Sequence[_Track], by_artist: bool) -> set[str]:
    """Ids of at most `VALIDATION_SHARE` of the tracks, in whole groups."""
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
    """See that there is something to learn.

    Args:
        positives: ``[training tracks, tags]``.
        tags: Names of the columns.
        where: What to call the data.

    Raises:
        DatasetError: If there are fewer than `LEAST_TRACKS`, or a tag has no positive or no negative among them.
    """
    if len(positives) < LEAST_TRACKS:
        raise DatasetError(
            f"{where}: expected {LEAST_TRACKS} tracks or more to train on, received {len(positives)}. Label more, or "
            "give more of them the split train."
        )
    never = [tag for tag, column in zip(tags, positives.T, strict=True) if not column.any()]
    always = [tag for tag, column in zip(tags, positives.T, strict=True) if column.all()]
    if never or always:
        raise DatasetError(
            f"{where}: expected each tag on some training tracks and not on others. On none of {len(positives)}: "
            f"{', '.join(never) or '-'}; on all: {', '.join(always) or '-'}. Label more tracks, leave these tags out, "
            "or say in a column `split` which tracks are for training."
        )


def _base(name_or_model: str | os.PathLike[str] | keras.Model) -> tuple[keras.Model, str, str]:
    """The model, its name and version, and its embedding-space id."""
    if not isinstance(name_or_model, keras.Model):
        model, card = rebuild(name_or_model)
        return model, f"{card.name} {card.version}", card.space_id
    digest = hashlib.sha256()
    for weight in encoder(name_or_model):
        digest.update(np.ascontiguousarray(weight).tobytes())
    return name_or_model, name_or_model.name, f"{name_or_model.name}/{digest.hexdigest()[:12]}"


def _spaces(model: keras.Model) -> dict[str, tuple[int, int]]:
    layer = next((layer for layer in model.layers if layer.name == EMBEDDING_NAME), None)
    return layer.spaces if isinstance(layer, NormalizeSpaces) else PLAIN_SPACES


def _variant(model: keras.Model) -> str:
    """The classification model with the same embedding: centroids learn from tags alone, whatever was there before."""
    normalized = isinstance(model.get_layer(EMBEDDING_NAME), NormalizeSpaces)
    kind = ("classification", normalized, _spaces(model) != PLAIN_SPACES)
    return next(v.name for v in VARIANTS.values() if (v.head, v.normalized, v.disentangled) == kind)


def _source(dataset: Dataset | Store | str | os.PathLike[str]) -> Dataset | Store:
    if isinstance(dataset, Dataset | Store):
        return dataset
    root = Path(dataset)
    return Store.open(root) if (root / INDEX_FILE).is_file() else folder.load(root)


def _prepared(
    source: Dataset | Store, wanted: Vocabulary, teachers: tuple[str, ...], out: Path, console: Console | None
) -> Store:
    """The store of the run, with the wanted tags and something to validate on."""
    root = out / STORE_FOLDER
    if (out / run.RUN_FILE).exists() and (root / INDEX_FILE).exists():
        found = Store.open(root).vocabulary
        if (found.tags, found.dimensions, found.spaces) != (wanted.tags, wanted.dimensions, wanted.spaces):
            raise TrainingError(
                f"{out} holds a run with other tags: expected {', '.join(wanted.tags)}, received "
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
        store = _view(source, wanted, teachers, root)
    store.save()
    learnt = hard_tags.of_split(store, "train", teachers) if store.split("train") else np.zeros((0, 0), bool)
    check(learnt, wanted.tags, source.root)
    return store


def _view(source: Store, wanted: Vocabulary, teachers: tuple[str, ...], root: Path) -> Store:
    """A store of some tags out of another one, to whose audio and log-mels it links."""
    root.mkdir(parents=True, exist_ok=True)
    for name in ("audio", "logmel"):
        link = root / name
        link.unlink(missing_ok=True)
        link.symlink_to(resolved(source.root / name), target_is_directory=True)
    columns = [source.tags.index(tag) for tag in wanted.tags]
    for track in source.tracks:
        source.labels(track.id, teachers)  # says what to do if they are missing
        for teacher in teachers:
            labels = read_array(source.root / "labels" / teacher / f"{track.id}.npy")
            if labels is not None:
                write_array(root / "labels" / teacher / f"{track.id}.npy", labels[:, columns])
    return replace(
        source,
        root=root,
        tracks=with_validation(source.tracks),
        tags=wanted.tags,
        dimensions=wanted.dimensions,
        spaces=wanted.layout,
    )
