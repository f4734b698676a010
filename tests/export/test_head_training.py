"""From music to a grafted model: all eight heads on the toy encoder, from the command line and as a run."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from rich.console import Console
from toy import music, write_audio, write_model
from typer.testing import CliRunner

import musiczoo
from musiczoo._files import write_npy
from musiczoo.card import MODEL_FILE, read_card, sha256
from musiczoo.cli import app
from musiczoo.datasets.prepared import Store, TrackEntry
from musiczoo.errors import InputError, ModelFileError, TrainingError
from musiczoo.export.publish import publish
from musiczoo.export.run import PARITY_FILE
from musiczoo.export.run import export_run as export
from musiczoo.models import features
from musiczoo.models.architectures import ARCHITECTURES
from musiczoo.models.presets import from_preset
from musiczoo.models.recipe import Recipe
from musiczoo.models.run import load_run
from musiczoo.models.trainer import train
from musiczoo.taxonomy import TAGS

pytestmark = pytest.mark.train

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight tracks for training and four for validation, whose labels follow their level."""
    root = tmp_path_factory.mktemp("heads") / "data"
    (root / "audio").mkdir(parents=True)
    tracks = []
    for i, split in enumerate(["train"] * 8 + ["validation"] * 4):
        level = 0.1 + 0.9 * (i % 4) / 3
        write_audio(root / "audio" / f"{i}.wav", level * music(9.5, seed=i))
        tracks.append(TrackEntry(f"{i}", split, f"{i}.wav", 9.5, 0, "", "", "", "CC0", "toy"))
        tags = np.linspace(level, 1 - level, len(TAGS)).clip(0, 1) ** 2
        write_npy(root / "labels" / "one" / f"{i}.npy", np.tile(tags, (3, 1)).astype(np.float32))
    Store(root, "toy", {}, tuple(tracks)).save()
    return root


def recipe(model: str, encoder: Path, **changes: Any) -> Recipe:
    settings = {"encoder": str(encoder), "teachers": ("one",), "batch": 8, "epochs": 2, "seed": 1}
    return Recipe.of({"model": model} | settings | changes)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_trained_head_becomes_a_model(name: str, data: Path, toy_folder: Path, tmp_path: Path) -> None:
    train(recipe(name, toy_folder, encoder_layer="pooled"), data, tmp_path / "run", QUIET)
    report = export(tmp_path / "run", tmp_path / "out")
    assert max(report["graft-parts"].values()) < 1e-4
    assert json.loads((tmp_path / "out" / PARITY_FILE).read_text()) == report
    model = musiczoo.load(publish(tmp_path / "out", tmp_path / "zoo"))
    card = model.card
    assert card.name == f"toy-{name}"
    assert card.recipe["encoder_sha256"] == sha256(toy_folder / MODEL_FILE)
    assert card.recipe["encoder_layer"] == "pooled"
    assert card.space_id != read_card(toy_folder).space_id
    # The Keras head on the toy's hidden layer in numpy.
    audio = np.stack([music(3, seed=seed) for seed in range(3)])
    hidden = np.abs(audio).reshape(3, -1, 441).mean(axis=2)
    head, _ = load_run(tmp_path / "run")
    expected = head(hidden)
    np.testing.assert_allclose(model.embed(audio), np.asarray(expected["embedding"]), atol=1e-4)
    np.testing.assert_allclose(model.tag(audio), np.asarray(expected["tags"]), atol=1e-4)
    lengths = [np.linalg.norm(model.embed(audio)[:, a:b], axis=1) for a, b in card.spaces.values()]
    if card.normalized:
        np.testing.assert_allclose(lengths, len(card.spaces) ** -0.5, atol=1e-4)
    assert len(card.spaces) == (4 if name.startswith("disentangled") else 1)
    points = model.tag_points()
    assert points is not None
    assert points.shape == (50, 256)


def test_learns(data: Path, toy_folder: Path, tmp_path: Path) -> None:
    """Tags follow the level of the music, as the labels do."""
    chosen = recipe("disentangled-classification", toy_folder, encoder_layer="pooled", epochs=40, learning_rate=0.01)
    result = train(chosen, data, tmp_path / "run", QUIET)
    assert result["validation"]["agreement"]["spearman"]["value"] > 0.8


def test_command_line(data: Path, toy_folder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(data), "--encoder", str(toy_folder), "--model", "proxy", "--epochs", "1", "--batch", "8"]
    result = CliRunner().invoke(app, ["train", *arguments, "--labels", "teachers", "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(
        app, ["export", str(tmp_path / "run"), "--out", str(tmp_path / "out"), "--name", "mine"]
    )
    assert result.exit_code == 0, result.output
    assert musiczoo.load(publish(tmp_path / "out", tmp_path / "zoo")).name == "mine"


def test_layer_goes_with_encoder(data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--data", str(data), "--layer", "x", "--out", str(tmp_path / "run")])
    assert isinstance(result.exception, InputError) or "--layer goes with --encoder" in result.output


def test_run_is_whole(data: Path, tmp_path: Path) -> None:
    """It is exported though the encoder is gone from the zoo; an altered one in the run is noticed."""
    encoder = write_model(tmp_path / "zoo" / "toy")
    train(recipe("classification", encoder), data, tmp_path / "run", QUIET)
    shutil.rmtree(encoder)
    export(tmp_path / "run", tmp_path / "out")
    (tmp_path / "run" / "encoder" / MODEL_FILE).write_bytes(b"other")
    with pytest.raises(ModelFileError, match="altered"):
        export(tmp_path / "run", tmp_path / "again")


def test_resumed_run_gives_the_same_weights(data: Path, toy_folder: Path, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    settings = {"schedule": "cosine", "epochs": 4}
    train(recipe("disentangled-proxy", toy_folder, **settings), data, whole, QUIET)
    from musiczoo.models import trainer

    class Interrupted(Exception):
        pass

    class Dying(trainer.EpochProgress):
        def end(self, row: Any) -> None:
            super().end(row)
            if row["epoch"] == 2:
                raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "EpochProgress", Dying)
        with pytest.raises(Interrupted):
            train(recipe("disentangled-proxy", toy_folder, **settings), data, half, QUIET)
    train(recipe("disentangled-proxy", toy_folder, **settings), data, half, QUIET)
    with np.load(whole / "best.npz") as first, np.load(half / "best.npz") as second:
        assert first.files == second.files
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name])


def test_features_are_computed_once_for_all_heads(
    data: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe("proxy", toy_folder), data, tmp_path / "first", QUIET)
    monkeypatch.setattr(features, "_compute", None)
    train(recipe("triplet", toy_folder), data, tmp_path / "second", QUIET)


def test_folder_of_another_run_is_left_alone(data: Path, toy_folder: Path, tmp_path: Path) -> None:
    train(recipe("proxy", toy_folder), data, tmp_path / "run", QUIET)
    with pytest.raises(TrainingError, match="another recipe"):
        train(recipe("proxy", toy_folder, encoder_layer="pooled"), data, tmp_path / "run", QUIET)


def test_grafted_model_is_not_made_in_keras(data: Path, toy_folder: Path, tmp_path: Path) -> None:
    train(recipe("classification", toy_folder), data, tmp_path / "run", QUIET)
    export(tmp_path / "run", tmp_path / "out")
    with pytest.raises(InputError, match="did not build its network"):
        from_preset(publish(tmp_path / "out", tmp_path / "zoo"))


def test_head_has_no_earlier_run(data: Path, toy_folder: Path, tmp_path: Path) -> None:
    train(recipe("proxy", toy_folder), data, tmp_path / "earlier", QUIET)
    with pytest.raises(InputError, match="starts from random weights, got the start 'earlier'"):
        train(recipe("proxy", toy_folder, start="earlier"), data, tmp_path / "run", QUIET)
