"""`musiczoo data`, `train` and `evaluate`."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from toy import music, write_audio

from musiczoo.cli.defaults import DEFAULT_MODEL
from musiczoo.datasets.store import Store, TrackEntry


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
        (["--recipe", "{}", "--model", DEFAULT_MODEL], {"model": DEFAULT_MODEL, "width": 8, "seed": 1}),
    ],
)
def test_train_options_go_before_the_recipe(
    options: list[str], expected: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import musiczoo.models.train

    received: list[tuple[Any, ...]] = []
    monkeypatch.setattr(musiczoo.models.train, "train", lambda *args: received.append(args))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('model = "classification"\nwidth = 8\nseed = 1\nepochs = 2\n')
    result = run("train", "--data", "d", "--out", "o", *(option.format(recipe) for option in options))
    assert result.exit_code == 0, result.output
    ((settings, data, out),) = received
    assert (str(data), str(out)) == ("d", "o")
    assert {name: getattr(settings, name) for name in expected} == expected


def test_labels_of_a_model_and_its_evaluation_agree(toy_folder: Path, tmp_path: Path) -> None:
    """A model held against its own labels agrees perfectly: 5 of its 5 highest tags are shared."""
    (tmp_path / "audio").mkdir()
    tracks = []
    for i in range(3):
        write_audio(tmp_path / "audio" / f"{i}.wav", music(6, seed=i))
        tracks.append(TrackEntry(str(i), "test", f"{i}.wav", 6.0, 0, "", "", "", "CC0", ""))
    Store(tmp_path, "open_music", {}, tuple(tracks)).save()
    label = ("data", "label", tmp_path, "--teacher", toy_folder)
    assert run(*label).exit_code == 0
    report = tmp_path / "report.json"
    result = run("evaluate", "--data", tmp_path, "--model", toy_folder, "--out", report)
    assert result.exit_code == 0, result.output
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert figures["teachers"] == ["toy"]
    assert figures["top_k_overlap"]["value"] == 5
    row = next(line for line in result.stdout.splitlines() if "top_k_overlap" in line)
    assert "5.000" in row


def test_evaluate_without_labels_says_how_to_make_them(toy_folder: Path, tmp_path: Path) -> None:
    Store(tmp_path, "open_music", {}, ()).save()
    result = run("evaluate", "--data", tmp_path, "--model", toy_folder)
    assert result.exit_code == 1
    assert "musiczoo data label" in result.stderr
