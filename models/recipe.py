"""Recipes: everything that decides the outcome of a training run, as one small TOML file.

A file whose ``model`` is `EVERY` is a family: one recipe for each of the eight models, named after both.
``recipes/paper.toml`` is ``paper-triplet``, ``paper-proxy`` and so on.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musiczoo.errors import InputError, UnknownNameError
from musiczoo.models.architectures import VARIANTS
from musiczoo.models.data import Augmentation
from musiczoo.models.encoder import BLOCKS
from musiczoo.models.losses import MININGS

EVERY = "*"
"""Stands for each of the eight models in a file of the package."""

PAPER = "paper"
"""The family that trains from random weights: what `musiczoo train` uses if no recipe is named."""

FOLDER = Path(__file__).parent / "recipes"

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
"""Precision -> Keras' name for it: weights stay in float32."""

_CHOICES = {
    "optimizer": ("adam", "adamw"),
    "schedule": ("plateau", "cosine"),
    "precision": tuple(POLICIES),
    "mining": MININGS,
    "start_layers": ("trunk", "all"),
}
_LEAST = {"width": 1, "batch": 1, "epochs": 1, "patience": 1, "reductions": 0, "frozen_blocks": 0, "seed": 0}


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run.

    Attributes:
        model: One of `musiczoo.models.architectures.VARIANTS`.
        width: Channels of an encoder branch.
        teachers: Models whose mean tag probabilities are the labels, where the data set has no annotations by people
            (see `musiczoo.datasets.label_source`); none stands for all that labelled the data set. In a run's folder:
            whose labels it learns.
        drop_untagged: Leave out tracks without a tag, in training and validation.
        batch: Excerpts in a step, over all devices.
        epochs: The most epochs; an epoch visits every excerpt once.
        optimizer: ``adam`` as in the papers, or ``adamw``.
        weight_decay: Of ``adamw``.
        learning_rate: At the start (``plateau``) or after the warm-up (``cosine``: one epoch,
            or a quarter of the run if that is shorter).
        schedule: ``plateau`` is the papers' rule: divide by `factor` when the validation loss has not fallen
            for `patience` epochs, at most `reductions` times, then stop. ``cosine`` falls to a hundredth over
            `epochs`: better where the time is short. Its last weights are the result; the plateau's those with the
            lowest validation loss.
        mining: Which triplets count in triplet models (see `musiczoo.models.losses`): those of ``explicit``
            samples as in the papers, or ``all``, ``semihard`` or ``hardest`` among each batch.
        patience: See `schedule`.
        factor: See `schedule`.
        reductions: See `schedule`.
        clip_norm: Gradients of greater norm, over all weights, are scaled down to it; 0 to leave them alone.
        precision: What layers compute in: ``float32``, ``bfloat16``, or ``float16``, whose loss is scaled so that
            small gradients survive. Weights, embeddings and losses are float32 in any case.
        start: Name of an earlier run's folder, beside this run's, whose best weights are the first weights;
            empty to start from random ones.
        start_layers: What is taken from there: ``trunk``, the convolutions (any model's do), or ``all``.
        frozen_blocks: Keep the weights of the stem and of so many Inception blocks as they are in `start` or `base`.
        base: Name and version of the published model that the run fine-tunes (see `musiczoo.models.finetuning`).
        base_space: Its embedding-space id.
        frozen_embedding: Keep the layer that makes the embedding, too.
        seed: Of initial weights, order, crops and augmentation.
        augmentation: See `musiczoo.models.data.Augmentation`.

    Source of the defaults: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.2.
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
    frozen_blocks: int = 0
    base: str = ""
    base_space: str = ""
    frozen_embedding: bool = False
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            InputError: Naming the setting.
        """
        for name, choices in _CHOICES.items():
            _check(getattr(self, name) in choices, name, f"one of {', '.join(choices)}", getattr(self, name))
        for name, least in _LEAST.items():
            value = getattr(self, name)
            _check(isinstance(value, int) and value >= least, name, f"a whole number of {least} or more", value)
        for name in ("learning_rate", "factor"):
            value = getattr(self, name)
            _check(isinstance(value, int | float) and value > 0, name, "a number above 0", value)
        for name in ("weight_decay", "clip_norm"):
            value = getattr(self, name)
            _check(isinstance(value, int | float) and value >= 0, name, "a number of 0 or more", value)
        _check(isinstance(self.teachers, tuple), "teachers", "a list of names", self.teachers)
        _check(isinstance(self.drop_untagged, bool), "drop_untagged", "true or false", self.drop_untagged)
        _check(isinstance(self.start, str), "start", "the name of a run's folder", self.start)
        frozen = self.frozen_blocks
        _check(frozen <= BLOCKS, "frozen_blocks", f"at most {BLOCKS}, the blocks of the encoder", frozen)
        begun = bool(self.start or self.base)
        _check(begun or not frozen, "frozen_blocks", "0 in a run that starts from random weights", frozen)
        _check(bool(self.base) or not self.frozen_embedding, "frozen_embedding", "false without a base", True)

    @property
    def keeps_space(self) -> bool:
        """Whether the embedding stays that of `base`: only the tags are learnt."""
        return bool(self.base) and self.frozen_embedding and self.frozen_blocks == BLOCKS

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Recipe":
        """A recipe from plain values, as they stand in a TOML or JSON file.

        Raises:
            InputError: If a setting is unknown or of the wrong type.
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
            raise InputError(f"Expected a recipe's settings, received {dict(settings)}: {error}.") from error

    @property
    def summary(self) -> str:
        """One line for people."""
        start = f", starts from your run {self.start}" if self.start else ""
        most = "at most " if self.schedule == "plateau" else ""
        return (
            f"{self.model}: width {self.width}, {most}{self.epochs} epochs of batches of {self.batch}, "
            f"{self.optimizer} at {self.learning_rate:g} ({self.schedule}){start}"
        )

    def plain(self) -> dict[str, Any]:
        """The settings as plain values: the inverse of `of`."""
        return dataclasses.asdict(self)


def paper(model: str) -> str:
    """The name of a model's recipe that needs no earlier run, whether there is such a model or not."""
    return f"{PAPER}-{model}"


def names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(_packaged())


def read(name_or_file: str | Path) -> Recipe:
    """A recipe of the package, or one of the user's own.

    Raises:
        UnknownNameError: If it is neither a name nor a file.
        InputError: If the file is not a recipe.
    """
    return Recipe.of(read_settings(name_or_file))


def read_settings(name_or_file: str | Path) -> dict[str, Any]:
    """What such a file says, which need not be all that a recipe needs.

    Raises:
        UnknownNameError: If it is neither a name nor a file.
        InputError: If the file is not TOML.
    """
    packaged = _packaged()
    if str(name_or_file) in packaged:
        return packaged[str(name_or_file)]
    path = Path(name_or_file)
    if not path.is_file():
        raise UnknownNameError.of("recipe", str(name_or_file), packaged)
    return _parse(path)


def _packaged() -> dict[str, dict[str, Any]]:
    """Name -> settings of the package's recipes, families unfolded."""
    found: dict[str, dict[str, Any]] = {}
    for path in FOLDER.glob("*.toml"):
        settings = _parse(path)
        if settings.get("model") == EVERY:
            found |= {f"{path.stem}-{model}": settings | {"model": model} for model in VARIANTS}
        else:
            found[path.stem] = settings
    return found


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected TOML, got text that does not parse ({error}).") from error


def _check(valid: bool, name: str, expected: str, received: object) -> None:
    if not valid:
        raise InputError(f"Recipe setting {name!r}: expected {expected}, received {received!r}.")
