"""Training runs and a SavedModel from before version 0.1.0: runs resume and are exported, with the same numbers.

Their encoder is `tiny_run.shallow`, so that they are small.
"""

import csv
import json
from pathlib import Path
from typing import Any

import golden
import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import musiczoo
from musiczoo import audio

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::musiczoo.QuietAudioWarning")]


@pytest.fixture(autouse=True)
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder that these runs were made with."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "models")
    import tiny_run

    from musiczoo.models import architectures

    monkeypatch.setattr(architectures, "encode", tiny_run.shallow)


def open_run(name: str, here: Path) -> Path:
    """A run, and its data set, where its run.json says that it is."""
    data, folder = golden.prepared(here), golden.copy(name, here)
    settings = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(settings | {"data": str(data.resolve())}))
    return folder


def log(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "log.csv").read_text().splitlines()))


def train(out: str) -> None:
    """Train, or resume, with the settings of the old runs: their run.json's, as a recipe in TOML."""
    settings = golden.load("finished/run.json")["recipe"]
    augmentation = ", ".join(f"{name} = {json.dumps(value)}" for name, value in settings.pop("augmentation").items())
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    Path("recipe.toml").write_text("\n".join([*lines, f"augmentation = {{ {augmentation} }}"]), encoding="utf-8")
    golden.run_text("train", "--data", "prepared", "--out", out, "--recipe", "recipe.toml")


def check_log(folder: Path) -> None:
    """Whether its losses are those of the finished run."""
    for found, expected in zip(log(folder), log(golden.DATA / "finished"), strict=True):
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(float(value), rel=1e-4), name


def vectors(folder: Path) -> dict[str, Any]:
    """Embeddings and tags of the songs by an exported model, which needs a card with sums, as published models have."""
    model = musiczoo.load(folder)
    tracks = [model.analyze(golden.DATA / "songs" / song) for song in golden.SONGS]
    return {
        "embedding": np.stack([track.embedding for track in tracks]),
        "tags": np.array([track.tags.probabilities for track in tracks]),
    }


def test_an_interrupted_run_resumes_and_ends_as_it_would_have(here: Path) -> None:
    folder = open_run("interrupted", here)
    before = log(folder)
    assert (len(before), (folder / "result.json").exists()) == (2, False)
    train("interrupted")
    assert log(folder)[:2] == before
    old = golden.DATA / "interrupted" / "times.csv"
    assert (folder / "times.csv").read_text().startswith(old.read_text())  # resumed, not begun again
    check_log(folder)
    result = json.loads((folder / "result.json").read_text())
    golden.check(result["calibration"], golden.load("finished/result.json")["calibration"])


def test_a_run_is_made_the_same_today(here: Path) -> None:
    golden.prepared(here)
    train("new")
    check_log(here / "new")


def test_a_finished_run_is_exported_with_the_same_numbers(here: Path) -> None:
    open_run("finished", here)
    golden.run_text("export", "finished", "--out", "new", "--name", "tiny")
    golden.run_text("publish", "new", "--zoo", "zoo")
    found = vectors(here / "zoo" / "tiny")
    with np.load(golden.DATA / "vectors-tiny.npz") as expected:
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=golden.TOLERANCE)
    folders = here / "new", golden.unpack("exported", here)
    card, old = (json.loads((folder / "card.json").read_text()) for folder in folders)
    assert (card["space_id"], card["spaces"], card["tags"]) == (old["space_id"], old["spaces"], old["tags"])
    golden.check(card["thresholds"], old["thresholds"])


def test_a_saved_model_gives_the_same_numbers(here: Path) -> None:
    """Of the first song, whose three seconds are one excerpt."""
    folder = golden.unpack("exported", here) / "saved_model"
    model = musiczoo.load(golden.unpack("zoo", here) / "tiny")
    samples = audio.read(golden.DATA / "songs" / golden.SONGS[1], 22050)[:66150]
    excerpt = np.pad(samples, (0, 66150 - len(samples)))[None]
    loaded = tf.saved_model.load(str(folder))
    found = loaded.signatures["serving_default"](tf.constant(excerpt))
    np.testing.assert_allclose(found["embedding"], model.embed(excerpt), rtol=0, atol=golden.TOLERANCE)
    np.testing.assert_allclose(found["tags"], model.tag(excerpt), rtol=0, atol=golden.TOLERANCE)
