"""`musiczoo train`."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import run

from musiczoo.cli._console import DEFAULT_MODEL


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
    module = importlib.import_module("musiczoo.models.trainer")

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(module, "train", lambda *args, **options: calls.append((*args, options)))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('model = "classification"\nwidth = 8\nseed = 1\nepochs = 2\n')
    result = run("train", "--data", "d", "--out", "o", *(option.format(recipe) for option in options))
    assert result.exit_code == 0, result.output
    ((settings, data, out, others),) = calls
    assert (str(data), str(out)) == ("d", "o")
    assert others == {"devices": "auto", "tensorboard": False, "labels": None}
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.train
def test_a_run_may_have_several_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("musiczoo.models.trainer")

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(module, "train", lambda *args, **options: calls.append(args))
    result = run("train", "--data", "d", "--data", "e", "--out", "o")
    assert result.exit_code == 0, result.output
    assert calls[0][1] == [Path("d"), Path("e")]
    refused = run("train", "--from", "proxy", "--data", "d", "--data", "e", "--out", "o")
    assert refused.exit_code != 0
    assert "one --data" in refused.output


@pytest.mark.train
def test_devices_and_tensorboard_are_no_part_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("musiczoo.models.trainer")

    calls: list[dict[str, object]] = []
    monkeypatch.setattr(module, "train", lambda *args, **options: calls.append(options))
    result = run("train", "--data", "d", "--out", "o", "--strategy", "cpu:2", "--tensorboard")
    assert result.exit_code == 0, result.output
    assert calls == [{"devices": "cpu:2", "tensorboard": True, "labels": None}]


@pytest.mark.train
@pytest.mark.parametrize("kind", ["annotations", "teachers"])
def test_whose_labels_and_which_tracks_can_be_chosen(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("musiczoo.models.trainer")

    calls: list[tuple[Any, Any]] = []
    monkeypatch.setattr(module, "train", lambda recipe, *args, **options: calls.append((recipe, options["labels"])))
    result = run("train", "--data", "d", "--out", "o", "--labels", kind, "--drop-untagged")
    assert result.exit_code == 0, result.output
    ((recipe, labels),) = calls
    assert (labels, recipe.drop_untagged) == (kind, True)


@pytest.mark.train
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "tags.csv"], "--labels must be annotations or teachers without --from, got 'tags.csv'"),
        (["--labels", "tags.csv"], "--from MODEL"),
        (
            ["--labels", "annotations", "--from", DEFAULT_MODEL],
            "--labels must be a table of your tags with --from",
        ),
        (["--drop-untagged", "--from", DEFAULT_MODEL], "--from takes no --drop-untagged"),
    ],
)
def test_labels_of_the_other_kind_of_training_are_explained(options: list[str], message: str, tmp_path: Path) -> None:
    result = run("train", "--data", tmp_path, "--out", tmp_path / "run", *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.train
def test_without_a_recipe_it_is_the_one_that_needs_no_earlier_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from musiczoo.models import recipe

    module = importlib.import_module("musiczoo.models.trainer")
    calls: list[Any] = []
    monkeypatch.setattr(module, "train", lambda settings, *args, **options: calls.append(settings))
    assert run("train", "--data", "d", "--out", "o", "--model", "proxy").exit_code == 0
    assert calls == [recipe.read("paper-proxy")]


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
@pytest.mark.parametrize("verbose", [False, True])
def test_tensorflow_starts_quietly(verbose: bool) -> None:
    """In a separate process: TensorFlow logs at its first import. Which messages depends on the processor."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    report = "import os, sys, musiczoo.cli as cli; code = cli.app(sys.argv[1:], standalone_mode=False); "
    report += "print('level', os.environ['TF_CPP_MIN_LOG_LEVEL']); print('after', file=sys.stderr)"
    options = ["--verbose"] * verbose + ["train", "--list-recipes"]
    done = subprocess.run(
        [sys.executable, "-c", report, *options], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ("level 0" if verbose else "level 2")
    assert done.stderr.splitlines()[-1] == "after"
    if not verbose:
        assert not re.search("oneDNN|absl|rebuild TensorFlow", done.stderr)


@pytest.mark.train
def test_recipes_are_listed_a_line_each() -> None:
    from musiczoo.models import recipe

    result = run("train", "--list-recipes")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == recipe.names()
    line = next(line for line in lines if line.startswith(f"{DEFAULT_MODEL} "))
    assert line.split(maxsplit=1)[1] == recipe.read(DEFAULT_MODEL).summary
