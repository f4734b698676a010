"""Recipes: all settings that decide the result of a training run, as one small TOML file.

A file with ``model = "*"`` is a family of recipes, one for each of the eight models: ``recipes/paper.toml`` gives
``paper-triplet``, ``paper-proxy`` and so on.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musiczoo.errors import InputError, UnknownNameError
from musiczoo.models.architectures import ARCHITECTURES
from musiczoo.models.data import Augmentation
from musiczoo.models.encoder import BLOCKS
from musiczoo.models.miners import MINERS

EVERY = "*"
"""The ``model`` of a family of recipes."""

HEAD = "head"
"""The family that trains a head on the features of a frozen encoder."""

PAPER = "paper"
"""The family that trains from random weights: the default of `musiczoo train`."""

FOLDER = Path(__file__).parent / "recipes"

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
"""Precision -> the name of the Keras policy. Weights stay in float32."""

_CHOICES = {
    "optimizer": ("adam", "adamw"),
    "schedule": ("plateau", "cosine"),
    "precision": tuple(POLICIES),
    "mining": tuple(MINERS),
    "start_layers": ("trunk", "all"),
}
_LEAST = {
    "width": 1,
    "batch": 1,
    "epochs": 1,
    "patience": 1,
    "reductions": 0,
    "frozen_blocks": 0,
    "seed": 0,
    "epoch_steps": 0,
}


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run.

    Attributes:
        model: One of `musiczoo.models.architectures.ARCHITECTURES`.
        width: Channels of an encoder branch.
        teachers: Models whose mean tag probabilities are the labels, where the data set has no annotations by people
            (see `musiczoo.datasets.label_source`). Empty for all teachers of the data set.
        drop_untagged: Whether to leave out tracks without a tag, in training and validation.
        batch: Excerpts in a step, over all devices.
        epochs: Maximum number of epochs. An epoch visits every excerpt once.
        optimizer: ``adam`` as in the papers, or ``adamw``.
        weight_decay: Weight decay of ``adamw``.
        learning_rate: Learning rate at the start (``plateau``) or after the warm-up (``cosine``: one epoch, or a
            quarter of the run if that is shorter).
        schedule: ``plateau`` is the papers' rule: divide the learning rate by `factor` when the validation loss has not
            fallen for `patience` epochs, at most `reductions` times, then stop; the weights with the lowest validation
            loss are the result. ``cosine`` falls to a hundredth over `epochs`, for short runs; the last weights are the
            result.
        mining: The miner of triplet models, a name of `musiczoo.models.miners.MINERS`: ``explicit`` samples as in the
            papers, or ``all``, ``semihard`` or ``hardest`` triplets of each batch.
        patience: See `schedule`.
        factor: See `schedule`.
        reductions: See `schedule`.
        clip_norm: Maximum norm of the gradients, over all weights; 0 for no limit.
        precision: Type that layers compute in: ``float32``, ``bfloat16``, or ``float16`` with loss scaling. Weights,
            embeddings and losses are always float32.
        start: Folder name of an earlier run, beside this run's folder, whose best weights are the first weights. Empty
            for random weights.
        start_layers: The layers taken from there: ``trunk``, the convolutions, of any model; or ``all``.
        start_model: Name or folder, and version, of a published model whose weights are the first. Its file lacks batch
            statistics, so the normalisations keep those that it was exported with. Empty for none.
        frozen_blocks: Number of Inception blocks that keep their first weights, as the stem then does.
        base: Name and version of the published model that the run fine-tunes (see `musiczoo.models.finetuning`).
        base_space: Embedding-space id of the base.
        frozen_embedding: Whether the embedding layer keeps its first weights, too.
        encoder: Name or folder of a model or imported encoder on whose features a head is trained (see
            `musiczoo.models.features`); empty to train a whole model. A head does not use width and augmentation.
        encoder_layer: Tensor of its graph to take as features; empty for the default.
        seed: Seed of initial weights, order, crops and augmentation.
        epoch_steps: Steps after which the run is validated and saved, and an epoch counted; 0 for a whole pass over
            the excerpts. A long pass is saved often that way.
        average: Decay per step of a moving average of the weights, such as 0.998, which is validated and is the
            result; 0 to use the last weights.
        repeats: Data set -> how often each of its excerpts occurs in a pass, where a run trains on several; 1 for
            those not named.
        logits_weight: Weight of the mean square difference of the model's and the teachers' logits, beside the
            cross-entropy (see `musiczoo.models.losses.Distillation`).
        tag_weights: Tag -> its weight in that difference; 1 for those not named.
        hidden_weight: Weight of the mean square error with which the teachers' hidden layers are predicted, by a layer
            that the exported model lacks. Needs the hidden layers (``musiczoo data label --hidden``).
        triplets_weight: Weight of the triplets of tags among the excerpts of a batch, beside all that (eq. 2). An
            excerpt has the tags that the rule of `musiczoo.datasets.hard_tags` gives, however many.
        voices_weight: Weight of the triplets of voice against none in the sub-space of instruments, beside all that.
            They are made of excerpts of tracks of which the data set rendered_music says whether they have a voice,
            which is more reliable than the teachers' tags.
        augmentation: See `musiczoo.models.data.Augmentation`.

    Raises:
        InputError: If a setting is invalid.

    Source of the defaults: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.2.

    Example:
        >>> Recipe("triplet", mining="semihard", epochs=4).summary
        'triplet: width 64, at most 4 epochs of batches of 64, adam at 0.005 (plateau)'
    """

    model: str
    width: int = 64
    teachers: tuple[str, ...] = ("musicnn-msd", "vgg-msd")
    drop_untagged: bool = False
    batch: int = 64
    epochs: int = 200
    optimizer: str = "adam"
    weight_decay: float = 0.0
    learning_rate: float = 0.005
    schedule: str = "plateau"
    mining: str = "all"
    patience: int = 10
    factor: float = 5.0
    reductions: int = 5
    clip_norm: float = 0.0
    precision: str = "float32"
    start: str = ""
    start_layers: str = "trunk"
    start_model: str = ""
    frozen_blocks: int = 0
    base: str = ""
    base_space: str = ""
    frozen_embedding: bool = False
    encoder: str = ""
    encoder_layer: str = ""
    seed: int = 0
    epoch_steps: int = 0
    average: float = 0.0
    repeats: Mapping[str, int] = field(default_factory=dict)
    logits_weight: float = 0.0
    tag_weights: Mapping[str, float] = field(default_factory=dict)
    hidden_weight: float = 0.0
    triplets_weight: float = 0.0
    voices_weight: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Check the settings."""
        for name, choices in _CHOICES.items():
            _check(getattr(self, name) in choices, name, f"one of {', '.join(choices)}", getattr(self, name))
        for name, least in _LEAST.items():
            value = getattr(self, name)
            _check(isinstance(value, int) and value >= least, name, f"a whole number of {least} or more", value)
        for name in ("learning_rate", "factor"):
            value = getattr(self, name)
            _check(isinstance(value, int | float) and value > 0, name, "a number above 0", value)
        for name in ("weight_decay", "clip_norm", "logits_weight", "hidden_weight", "triplets_weight", "voices_weight"):
            value = getattr(self, name)
            _check(isinstance(value, int | float) and value >= 0, name, "a number of 0 or more", value)
        _check(isinstance(self.teachers, tuple), "teachers", "a list of names", self.teachers)
        _check(isinstance(self.drop_untagged, bool), "drop_untagged", "true or false", self.drop_untagged)
        for name, what in (("repeats", "whole numbers of 1 or more"), ("tag_weights", "numbers of 0 or more")):
            values = getattr(self, name)
            valid = isinstance(values, Mapping) and all(
                isinstance(value, int | float) and value >= 0 and (name != "repeats" or value in range(1, 1000))
                for value in values.values()
            )
            _check(valid, name, f"a table of {what}", values)
        average = self.average
        _check(isinstance(average, int | float) and 0 <= average < 1, "average", "a number from 0 to below 1", average)
        plain = ARCHITECTURES[self.model].head != "triplet" if self.model in ARCHITECTURES else True
        _check(
            plain or not self.distils,
            "logits_weight",
            "0, as hidden_weight, for a model of triplets",
            self.logits_weight,
        )
        for name in ("encoder", "encoder_layer", "start_model"):
            _check(isinstance(getattr(self, name), str), name, "a name", getattr(self, name))
        _check(isinstance(self.start, str), "start", "the name of a run's folder", self.start)
        frozen = self.frozen_blocks
        _check(frozen <= BLOCKS, "frozen_blocks", f"at most {BLOCKS}, the blocks of the encoder", frozen)
        begun = bool(self.start or self.base or self.start_model)
        _check(begun or not frozen, "frozen_blocks", "0 in a run that starts from random weights", frozen)
        _check(bool(self.base) or not self.frozen_embedding, "frozen_embedding", "false without a base", True)

    @property
    def distils(self) -> bool:
        """Whether the run learns more than the probabilities of its labels."""
        return max(self.logits_weight, self.hidden_weight, self.triplets_weight, self.voices_weight) > 0

    @property
    def keeps_space(self) -> bool:
        """Whether only the tags are trained, so that the embedding is that of `base`."""
        return bool(self.base) and self.frozen_embedding and self.frozen_blocks == BLOCKS

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Recipe":
        """Make a recipe of plain values, as read from a TOML or JSON file.

        Raises:
            InputError: If a setting is unknown or invalid.
        """
        values = dict(settings)
        known = {f.name for f in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise InputError(str(UnknownNameError.of("recipe setting", name, sorted(known))))
        try:
            if isinstance(values.get("teachers"), list):
                values["teachers"] = tuple(values["teachers"])
            values["augmentation"] = Augmentation(**values.get("augmentation", {}))
            return cls(**values)
        except TypeError as error:
            raise InputError(f"Expected a recipe's settings, got {dict(settings)}: {error}.") from error

    @property
    def summary(self) -> str:
        """One line that describes the recipe."""
        start = f", starts from your run {self.start}" if self.start else ""
        start = f", starts from {self.start_model}" if self.start_model else start
        most = "at most " if self.schedule == "plateau" else ""
        what = f"head on {self.encoder}" if self.encoder else f"width {self.width}"
        return (
            f"{self.model}: {what}, {most}{self.epochs} epochs of batches of {self.batch}, "
            f"{self.optimizer} at {self.learning_rate:g} ({self.schedule}){start}"
        )

    def plain(self) -> dict[str, Any]:
        """Return the settings as plain values: the inverse of `of`."""
        return dataclasses.asdict(self)


def paper(model: str) -> str:
    """Return the name of the recipe that trains a model from random weights.

    Example:
        >>> paper("proxy")
        'paper-proxy'
    """
    return f"{PAPER}-{model}"


def head(model: str) -> str:
    """Return the name of the recipe that trains this model's head on a frozen encoder.

    Example:
        >>> head("triplet")
        'head-triplet'
    """
    return f"{HEAD}-{model}"


def names() -> list[str]:
    """Return the names of the recipes of the package.

    Example:
        >>> names()[:3]
        ['classification', 'classification-unnormalized', 'disentangled-classification']
    """
    return sorted(_packaged())


def read(name_or_file: str | Path) -> Recipe:
    """Read a recipe of the package by name, or a TOML file.

    Raises:
        UnknownNameError: If it is neither a name nor a file.
        InputError: If the file is not a recipe.

    Example:
        >>> read("disentangled-triplet").mining
        'semihard'
    """
    return Recipe.of(read_settings(name_or_file))


def read_settings(name_or_file: str | Path) -> dict[str, Any]:
    """Read the settings of a recipe, which need not be complete.

    Raises:
        UnknownNameError: If it is neither a name nor a file.
        InputError: If the file is not TOML.

    Example:
        >>> read_settings("proxy")["optimizer"]
        'adamw'
    """
    packaged = _packaged()
    if str(name_or_file) in packaged:
        return packaged[str(name_or_file)]
    path = Path(name_or_file)
    if not path.is_file():
        raise UnknownNameError.of("recipe", str(name_or_file), packaged)
    return _parse(path)


def _packaged() -> dict[str, dict[str, Any]]:
    """Return name -> settings of the recipes of the package, families included."""
    found: dict[str, dict[str, Any]] = {}
    for path in FOLDER.glob("*.toml"):
        settings = _parse(path)
        if settings.get("model") == EVERY:
            found |= {f"{path.stem}-{model}": settings | {"model": model} for model in ARCHITECTURES}
        else:
            found[path.stem] = settings
    return found


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected TOML, got text that does not parse ({error}).") from error


def _check(valid: bool, name: str, expected: str, got: object) -> None:
    if not valid:
        raise InputError(f"Recipe setting {name!r}: expected {expected}, got {got!r}.")
