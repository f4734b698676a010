"""Run folders: begun, compared, and read as a model."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from tiny_run import RECIPE
from toy import music

from musiczoo.card import ModelCard, sha256
from musiczoo.errors import DatasetError, TrainingError, WriteError
from musiczoo.models import model_card, run
from musiczoo.models.architectures import LOGITS_LAYER, build
from musiczoo.models.frontend import LogMel
from musiczoo.models.recipe import Recipe
from musiczoo.models.run import load_run
from musiczoo.taxonomy import TAGS

pytestmark = pytest.mark.train


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return shutil.copytree(finished, tmp_path / "run")


def test_a_run_is_begun_once(tmp_path: Path) -> None:
    run.create_or_check(tmp_path / "run", RECIPE, tmp_path)
    before = (tmp_path / "run" / "run.json").read_bytes()
    run.create_or_check(tmp_path / "run", RECIPE, tmp_path)
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    content = json.loads(before)
    assert Recipe.of(content["recipe"]) == RECIPE
    assert content["data"] == str(tmp_path)
    assert content["versions"]["keras"] == keras.__version__


def test_another_recipe_or_data_set_is_refused(tmp_path: Path) -> None:
    run.create_or_check(tmp_path / "run", RECIPE, tmp_path)
    with pytest.raises(TrainingError, match="a run of another recipe:"):
        run.create_or_check(tmp_path / "run", dataclasses.replace(RECIPE, seed=4), tmp_path)
    with pytest.raises(TrainingError, match="a run of another data:"):
        run.create_or_check(tmp_path / "run", RECIPE, tmp_path / "other")


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(WriteError, match=r"Cannot write .*run"):
        run.create_or_check(tmp_path / "run", RECIPE, tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "3"])
def test_damaged_json_is_refused(content: str, copy: Path) -> None:
    (copy / "run.json").write_text(content)
    with pytest.raises(TrainingError, match=r"run\.json"):
        load_run(copy)
    with pytest.raises(TrainingError, match=r"run\.json"):
        run.create_or_check(copy, RECIPE, copy)


@pytest.mark.parametrize("missing", ["run.json", "result.json", "best.npz"])
def test_an_unfinished_run_is_refused(missing: str, copy: Path) -> None:
    (copy / missing).unlink()
    with pytest.raises(TrainingError, match=missing):
        load_run(copy)


def test_a_run_whose_data_are_gone(copy: Path) -> None:
    settings = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**settings, "data": str(copy / "gone")}))
    with pytest.raises(DatasetError, match="gone"):
        load_run(copy)


def test_the_model_is_the_best_one_calibrated(finished: Path) -> None:
    """Sigmoid of scale * logit + offset, with the logits of the bare model."""
    model, _ = load_run(finished)
    audio = np.stack([music(3, seed=seed) for seed in range(2)])
    got = model(audio, training=False)
    bare = build(RECIPE.model, RECIPE.width)
    run.restore_checkpoint(finished / "best.npz", bare.variables)
    logits = keras.Model(bare.input, bare.get_layer(LOGITS_LAYER).output)(LogMel()(audio), training=False)
    fitted = json.loads((finished / "result.json").read_text())["calibration"]
    expected = 1 / (1 + np.exp(-(np.asarray(logits, float) * fitted["scale"] + fitted["offset"])))
    np.testing.assert_allclose(got["tags"], expected, atol=1e-6)
    assert np.abs(expected - 1 / (1 + np.exp(-np.asarray(logits)))).max() > 0.01


def test_its_card(finished: Path) -> None:
    model, card = load_run(finished)
    assert ModelCard.from_json(card.to_json()).name == card.name == "disentangled-classification"
    result = json.loads((finished / "result.json").read_text())
    assert card.thresholds == result["thresholds"]
    assert card.tags == TAGS
    assert (card.sample_rate, card.excerpt_samples) == (22050, model.input_shape[1])
    assert card.parameters == sum(int(np.prod(weight.shape)) for weight in model.layers[-1].trainable_weights)
    assert card.space_id == f"disentangled-classification/{sha256(finished / 'best.npz')[:12]}"
    assert "11 training tracks" in card.data
    assert "one and two" in card.labels
    assert card.recipe["epochs_run"] == 3
    assert card.metrics["validation"]["loss"] == result["validation"]["loss"]


def test_the_card_says_which_weights_are_not_the_runs_own() -> None:
    recipe = dataclasses.replace(RECIPE, start="earlier", frozen_blocks=2)
    text = model_card.describe_start(recipe)
    assert "started from that of an earlier run, earlier" in text
    assert "the stem and the first 2 of 6 blocks were frozen" in text
    assert "blocks" not in model_card.describe_start(dataclasses.replace(recipe, frozen_blocks=0))
    assert "continued from all weights of an earlier run" in model_card.describe_start(
        dataclasses.replace(recipe, start_layers="all")
    )
    assert model_card.describe_start(RECIPE) == ""
