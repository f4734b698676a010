"""Tags of one's own, from a folder of music to a model that loads: the whole way on the command line."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from toy import RATE, music, write_audio
from typer.testing import CliRunner, Result

import musiczoo
from musiczoo.cli import app
from musiczoo.export import run as exporter
from musiczoo.models.model_card import UNSPECIFIED
from musiczoo.models.presets import from_preset, list_presets
from musiczoo.registry import HOME_VARIABLE
from musiczoo.taxonomy import DIMENSIONS

pytestmark = pytest.mark.train

BASE = "disentangled-classification"
SECONDS = 5


def zoo(*arguments: object) -> Result:
    """Run the command line."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@dataclass(frozen=True)
class Made:
    """A folder of music, and the home with the model that came of it."""

    music: Path
    home: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """24 tracks of 5 s, noise or tones, with tags in a space of the model and in none."""
    folder = tmp_path_factory.mktemp("music")
    lines = ["path,tags,split"]
    for i in range(24):
        noisy, loud = i % 2 == 0, i % 3 == 0
        samples = music(SECONDS, seed=i)
        if noisy:
            samples = np.random.default_rng(i).normal(0, 0.1, SECONDS * RATE).astype(np.float32)
        write_audio(folder / f"{i}.wav", samples * (1 if loud else 0.3))
        tags = ["genre:noise" if noisy else "genre:tones", *(["level:loud"] if loud else [])]
        lines.append(f"{i}.wav,{';'.join(tags)},{'train' if i < 16 else 'validation'}")
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    run, home = tmp_path_factory.mktemp("runs") / "run", tmp_path_factory.mktemp("home")
    steps = (
        ("train", "--from", BASE, "--data", folder, "--labels", folder / "mine.csv", "--out", run, "--batch", 8),
        ("export", run, "--out", run.parent / "export", "--name", "my-tags"),
        ("publish", run.parent / "export", "--zoo", home / "zoo"),
    )
    with pytest.MonkeyPatch.context() as patch:  # the gate compares a few excerpts
        patch.setattr(exporter, "validation_excerpts", partial(exporter.validation_excerpts, count=4))
        for step in steps:
            result = zoo(*step)
            assert result.exit_code == 0, result.output
    return Made(folder, home)


@pytest.fixture
def model(made: Made, monkeypatch: pytest.MonkeyPatch) -> musiczoo.Model:
    """The model, loaded by name."""
    monkeypatch.setenv(HOME_VARIABLE, os.fspath(made.home))
    return musiczoo.load("my-tags")


def test_embeddings_are_those_of_the_base(model: musiczoo.Model, made: Made) -> None:
    """Hence the same space: what was embedded with one can be compared with the other."""
    base = musiczoo.load(BASE)
    assert model.card.space_id == base.card.space_id
    assert model.card.spaces == base.card.spaces
    mine, theirs = (one.analyze(made.music / "1.wav") for one in (model, base))
    np.testing.assert_allclose(mine.embedding, theirs.embedding, atol=1e-6)
    for dimension in DIMENSIONS:
        np.testing.assert_allclose(mine.space(dimension), theirs.space(dimension), atol=1e-5)


def test_it_distinguishes_noise_and_tones(model: musiczoo.Model, made: Made) -> None:
    for i in range(24):
        tags = model.analyze(made.music / f"{i}.wav").tags
        expected, other = ("noise", "tones") if i % 2 == 0 else ("tones", "noise")
        assert tags[expected] > 0.5 > tags[other]


def test_the_card_names_the_base(model: musiczoo.Model) -> None:
    card = model.card
    assert card.licence == UNSPECIFIED
    assert dict(card.dimensions) == {"genre": ("noise", "tones"), "level": ("loud",)}
    assert f"Fine-tuned from {BASE} {musiczoo.load(BASE).card.version}" in card.data
    assert card.data.startswith("folder: ")
    assert "Debian" not in card.data
    assert "tones" in card.labels
    assert card.recipe["base"].startswith(BASE)


def test_the_command_line_tags_with_it(model: musiczoo.Model, made: Made) -> None:
    result = zoo("tag", "--model", "my-tags", made.music / "0.wav")
    assert result.exit_code == 0
    assert "noise" in result.stdout
    assert "level" in result.stdout


def test_it_may_be_the_base_of_another(model: musiczoo.Model) -> None:
    assert "my-tags" in list_presets()
    again = from_preset("my-tags", front_end=False)
    assert set(model.card.tags) == {"noise", "tones", "loud"}
    assert again.get_layer("logits").spaces == dict(model.card.spaces)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--labels", "x.csv"), "--labels must be annotations or teachers without --from, got 'x.csv'"),
        (("--from", BASE, "--width", "16"), "--from cannot be combined with --width"),
        (("--from", "nonsense"), "Unknown model 'nonsense'"),
        (("--from", BASE), "tags.csv"),
    ],
)
def test_what_cannot_be_meant_is_refused(extra: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = zoo("train", "--data", tmp_path, "--out", tmp_path / "run", *extra)
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "run").exists()
