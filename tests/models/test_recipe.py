"""Recipes as TOML."""

import dataclasses
import json
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from musiczoo.errors import InputError, UnknownNameError
from musiczoo.models import recipe
from musiczoo.models.architectures import ARCHITECTURES, MIN_WIDTH
from musiczoo.models.data import Augmentation
from musiczoo.models.recipe import Recipe

pytestmark = pytest.mark.train

OTHER = Recipe(
    model="classification", width=48, teachers=("a", "b c"), drop_untagged=True, batch=7,
    epochs=3, optimizer="adamw", weight_decay=0.5,
    learning_rate=1e-4, schedule="cosine", patience=2, factor=2.5, reductions=0, precision="bfloat16", seed=9,
    mining="explicit", start="earlier", start_layers="all", frozen_blocks=2,
    clip_norm=1.5, base="triplet 1.0", base_space="triplet/1", frozen_embedding=True,
    encoder="mine", encoder_layer="hidden", start_model="proxy 1.0", epoch_steps=5, average=0.9,
    repeats={"more": 2}, logits_weight=0.5, tag_weights={"rock": 3.0, "House": 0.5},
    hidden_weight=0.25, triplets_weight=0.75, voices_weight=0.2,
    augmentation=Augmentation(gain_db=0.0, time_mask=1, mel_mask=2),
)  # fmt: skip


def toml(settings: dict[str, object]) -> str:
    """Numbers, strings and lists of strings look in TOML as in JSON."""
    tables = {name: settings.pop(name) for name in ("augmentation", "repeats", "tag_weights")}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    for title, table in tables.items():
        lines += [f"[{title}]", *(f"{name} = {value}" for name, value in table.items())]
    return "\n".join(lines)


@pytest.mark.parametrize("expected", [OTHER, Recipe("classification")])
def test_a_recipe_survives_toml(expected: Recipe, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(toml(expected.plain()))
    assert recipe.read(tmp_path / "mine.toml") == expected
    assert recipe.read(str(tmp_path / "mine.toml")) == expected


def test_other_differs_everywhere() -> None:
    plain = Recipe("x").plain()
    assert all(value != plain[name] for name, value in OTHER.plain().items())


def test_a_recipe_survives_json() -> None:
    assert Recipe.of(json.loads(json.dumps(OTHER.plain()))) == OTHER


def test_defaults_are_the_papers() -> None:
    one = Recipe.of({"model": "classification"})
    assert (one.width, one.optimizer, one.learning_rate, one.schedule) == (64, "adam", 0.005, "plateau")
    assert (one.patience, one.factor, one.reductions) == (10, 5, 5)
    assert (one.start, one.frozen_blocks) == ("", 0)


@pytest.mark.parametrize("origin", ["start", "base"])
def test_all_blocks_can_be_frozen(origin: str) -> None:
    assert Recipe.of({"model": "classification", origin: "earlier", "frozen_blocks": 6}).frozen_blocks == 6


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"base": "triplet", "frozen_blocks": 6, "frozen_embedding": True}, True),
        ({"base": "triplet", "frozen_blocks": 5, "frozen_embedding": True}, False),
        ({"base": "triplet", "frozen_blocks": 6}, False),
        ({"start": "earlier", "frozen_blocks": 6}, False),
        ({}, False),
    ],
)
def test_a_space_is_kept_when_all_that_makes_it_is_frozen(settings: dict[str, object], kept: bool) -> None:
    assert Recipe.of({"model": "triplet", **settings}).keeps_space is kept


@pytest.mark.parametrize("name", recipe.names())
def test_recipes_of_the_package_can_be_trained(name: str) -> None:
    """One that bears a model's name is of that model. Others lead up to one."""
    read = recipe.read(name)
    assert read.model == (name if name in ARCHITECTURES else read.model)
    assert read.model in ARCHITECTURES
    assert read.start in ("", *recipe.names())
    assert read.start != name
    assert read.width >= MIN_WIDTH


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_each_model_has_the_papers_recipe(model: str) -> None:
    """Lee et al., ISMIR 2020, section 4.2; triplets are explicit; no earlier run is needed."""
    read = recipe.read(recipe.paper(model))
    assert read.model == model
    assert (read.width, read.optimizer, read.learning_rate) == (64, "adam", 0.005)
    assert (read.schedule, read.patience, read.factor, read.reductions) == ("plateau", 10, 5, 5)
    assert read.epochs >= 1000  # the rule ends the run
    assert (read.mining, read.start, read.frozen_blocks) == ("explicit", "", 0)
    assert read.augmentation == Augmentation(0, 0, 0)


def test_a_family_is_a_recipe_a_model_and_none_itself() -> None:
    assert {name for name in recipe.names() if name.startswith("paper")} == {
        f"paper-{model}" for model in ARCHITECTURES
    }
    with pytest.raises(UnknownNameError, match="paper-triplet"):
        recipe.read("paper")


def test_there_are_recipes() -> None:
    assert "disentangled-classification" in recipe.names()


def test_unknown_setting_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'learning_rate'"):
        Recipe.of({"model": "classification", "learning_rat": 0.1})


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"schedule": "linear"}, "schedule.*plateau, cosine.*linear"),
        ({"optimizer": "sgd"}, "optimizer.*adam, adamw.*sgd"),
        ({"mining": "hard"}, "mining.*explicit, all, semihard, hardest.*hard"),
        ({"mining": ""}, "mining.*explicit.*''"),
        ({"start_layers": "head"}, "start_layers.*trunk, all.*head"),
        ({"start": 3}, "start.*name.*3"),
        ({"start": "earlier", "frozen_blocks": -1}, "frozen_blocks.*whole number of 0 or more.*-1"),
        ({"start": "earlier", "frozen_blocks": 7}, "frozen_blocks.*at most 6.*7"),
        ({"base": "triplet 0.1.0", "frozen_blocks": 7}, "frozen_blocks.*at most 6.*7"),
        ({"start": "earlier", "frozen_embedding": True}, "frozen_embedding.*false without a base"),
        ({"clip_norm": -1}, "clip_norm.*0 or more.*-1"),
        ({"precision": "mixed_bfloat16"}, "precision.*float32, bfloat16, float16.*mixed_bfloat16"),
        ({"frozen_blocks": 1}, "frozen_blocks.*0 in a run that starts from random weights.*1"),
        ({"precision": "float8"}, "precision.*float32.*float8"),
        ({"epochs": 0}, "epochs.*whole number of 1 or more.*0"),
        ({"epochs": 1.5}, "epochs.*1.5"),
        ({"batch": "64"}, "batch.*'64'"),
        ({"patience": 0}, "patience"),
        ({"reductions": -1}, "reductions"),
        ({"seed": -1}, "seed.*0 or more.*-1"),
        ({"learning_rate": 0}, "learning_rate.*above 0.*0"),
        ({"learning_rate": float("nan")}, "learning_rate.*nan"),
        ({"factor": "5"}, "factor"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"teachers": "musicnn-msd"}, "teachers.*list of names.*musicnn-msd"),
        ({"teachers": 3}, "teachers"),
        ({"drop_untagged": 1}, "drop_untagged.*true or false.*1"),
        ({"average": 1}, "average.*below 1.*1"),
        ({"epoch_steps": -1}, "epoch_steps.*0 or more.*-1"),
        ({"repeats": {"more": 0.5}}, "repeats.*whole numbers of 1 or more.*0.5"),
        ({"repeats": 2}, "repeats.*table"),
        ({"tag_weights": {"rock": "much"}}, "tag_weights.*0 or more.*much"),
        ({"logits_weight": -1}, "logits_weight.*0 or more.*-1"),
        ({"model": "triplet", "hidden_weight": 1.0}, "logits_weight.*model of triplets"),
        ({"model": "triplet", "voices_weight": 1.0}, "logits_weight.*model of triplets"),
        ({"start_model": 3}, "start_model.*name.*3"),
        ({"augmentation": {"gain_db": "loud"}}, "gain_db.*loud"),
        ({"augmentation": {"time_mask": -1}}, "time_mask.*-1"),
        ({"augmentation": {"pitch": 1}}, "pitch"),
        ({"augmentation": 6}, "augmentation"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Recipe.of({"model": "classification", **settings})


def test_a_recipe_needs_a_model() -> None:
    with pytest.raises(InputError, match="model"):
        Recipe.of({"width": 32})


def test_changes_are_checked_too() -> None:
    with pytest.raises(InputError, match="batch"):
        dataclasses.replace(OTHER, batch=0)


@pytest.mark.parametrize("content", [b"model = ", b"\xff\xfe"])
def test_a_file_that_is_not_toml(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.toml: expected TOML"):
        recipe.read(tmp_path / "bad.toml")


@pytest.mark.parametrize("name", ["disentangled-clasification", "missing/disentangled-classification.toml", "."])
def test_neither_a_name_nor_a_file(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"Available:.*disentangled-classification"):
        recipe.read(name)
