"""`musiczoo train`."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from command_line import run

from musiczoo.cli.defaults import DEFAULT_MODEL


@pytest.mark.train
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"model": DEFAULT_MODEL}),
        (
            ["--model", "classification", "--epochs", "3"],
            {"model": "classification", "epochs": 3, "batch": 64},
        ),
        (["--recipe", "{}", "--seed", "5"], {"model": "classification", "width": 8, "seed": 5, "epochs": 2}),
        (
            ["--model", "triplet", "--mining", "hardest", "--clip-norm", "0.5", "--precision", "bfloat16"],
            {"model": "triplet", "mining": "hardest", "clip_norm": 0.5, "precision": "bfloat16"},
        ),
        (["--recipe", "{}", "--model", DEFAULT_MODEL], {"model": DEFAULT_MODEL, "width": 8, "seed": 1}),
    ],
)
def test_train_options_go_before_the_recipe(
    options: list[str], expected: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("musiczoo.models.train")

    received: list[tuple[Any, ...]] = []
    monkeypatch.setattr(module, "train", lambda *args, **options: received.append((*args, options)))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('model = "classification"\nwidth = 8\nseed = 1\nepochs = 2\n')
    result = run("train", "--data", "d", "--out", "o", *(option.format(recipe) for option in options))
    assert result.exit_code == 0, result.output
    ((settings, data, out, others),) = received
    assert (str(data), str(out)) == ("d", "o")
    assert others == {"devices": "auto", "tensorboard": False}
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.train
def test_devices_and_tensorboard_are_no_part_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("musiczoo.models.train")

    received: list[dict[str, object]] = []
    monkeypatch.setattr(module, "train", lambda *args, **options: received.append(options))
    result = run("train", "--data", "d", "--out", "o", "--strategy", "cpu:2", "--tensorboard")
    assert result.exit_code == 0, result.output
    assert received == [{"devices": "cpu:2", "tensorboard": True}]


@pytest.mark.train
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--precision", "float8", "float32, bfloat16, float16"), ("--mining", "soft", "explicit, all, semihard, hardest")],
)
def test_what_no_recipe_may_say_is_one_line(option: str, value: str, message: str) -> None:
    result = run("train", "--data", "d", "--out", "o", option, value)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.train
def test_recipes_are_listed_a_line_each() -> None:
    from musiczoo.models import recipe

    result = run("train", "--list-recipes")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == recipe.names()
    line = next(line for line in lines if line.startswith(f"{DEFAULT_MODEL} "))
    assert line.split(maxsplit=1)[1] == recipe.read(DEFAULT_MODEL).summary
