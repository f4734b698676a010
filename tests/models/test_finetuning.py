"""A user's own tags on a model that is there already."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from rich.console import Console
from tiny_run import TEACHERS

import musiczoo.models
from musiczoo._files import write_npy
from musiczoo.datasets.dataset import Dataset, Item
from musiczoo.datasets.prepared import ANNOTATIONS, Store
from musiczoo.errors import DatasetError, InputError, TrainingError, UnknownNameError
from musiczoo.models import run
from musiczoo.models.architectures import CALIBRATION_LAYER, LOGITS_LAYER, build
from musiczoo.models.finetuning import STORE_FOLDER, check, default_recipe, finetune, vocabulary, with_validation
from musiczoo.models.heads import Centroids
from musiczoo.models.initialization import load_best
from musiczoo.models.model_card import UNSPECIFIED
from musiczoo.models.run import load_run
from musiczoo.taxonomy import SPACES, TAGS, Vocabulary

pytestmark = pytest.mark.train

QUIET = Console(quiet=True)
FEW = {"epochs": 2, "batch": 8}
OWN = Vocabulary(("low", "high", "odd"), {"genre": ("low", "high"), "mine": ("odd",)})


@pytest.fixture(scope="module")
def base() -> keras.Model:
    """A small model with random weights."""
    keras.utils.set_random_seed(5)
    return build("disentangled-classification", 16)


@pytest.fixture(scope="module")
def annotated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The tiny data set with tags that people gave: each on every other track, or on every third."""
    root = tmp_path_factory.mktemp("annotated") / "data"
    shutil.copytree(data, root)
    store = dataclasses.replace(Store.open(root), dataset="mine", tags=OWN.tags, dimensions=OWN.dimensions)
    store.save()
    for i, track in enumerate(store.tracks):
        row = np.array([i % 2, 1 - i % 2, i % 3 == 0], np.float32)
        write_npy(root / "labels" / ANNOTATIONS / f"{track.id}.npy", np.tile(row, (track.excerpts, 1)))
    return store


@pytest.fixture(scope="module")
def tuned(base: keras.Model, annotated: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the tiny data set. Copy before changing anything."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    finetune(base, annotated, out=out, recipe=FEW, console=QUIET)
    return out


def weights(model: keras.Model, layer: str) -> list[Any]:
    return [np.asarray(weight) for weight in model.get_layer(layer).weights]


# === What is learnt ===


def test_only_the_tags_are_learnt(base: keras.Model, tuned: Path) -> None:
    model = load_best(tuned)
    for layer in model.layers[: [layer.name for layer in model.layers].index(LOGITS_LAYER)]:
        for before, after in zip(weights(base, layer.name), weights(model, layer.name), strict=True):
            np.testing.assert_array_equal(before, after)
    keras.utils.set_random_seed(0)
    untrained = build("disentangled-classification", 16, Store.open(tuned / STORE_FOLDER).vocabulary)
    assert np.abs(weights(model, LOGITS_LAYER)[0] - weights(untrained, LOGITS_LAYER)[0]).max() > 0.01


def test_each_tag_lies_in_its_space(tuned: Path) -> None:
    """A dimension that the model has no space for, the whole embedding."""
    mask = np.asarray(load_best(tuned).get_layer(LOGITS_LAYER).mask)
    genre = np.zeros(256)
    genre[slice(*SPACES["genre"])] = 1
    np.testing.assert_array_equal(mask.T, [genre, genre, np.ones(256)])


def test_its_card(base: keras.Model, tuned: Path) -> None:
    _, card = load_run(tuned)
    recipe = json.loads((tuned / "run.json").read_text())["recipe"]
    assert card.space_id == recipe["base_space"]
    assert (card.tags, dict(card.dimensions), dict(card.spaces)) == (OWN.tags, OWN.dimensions, SPACES)
    assert card.licence == UNSPECIFIED
    assert card.name == f"{base.name}-finetuned"
    assert "mine: 11 training tracks" in card.data
    assert f"Fine-tuned from {base.name}" in card.data
    assert "Debian" not in card.data
    assert "low, high, odd" in card.labels
    assert not any("game music" in limit or "teachers" in limit for limit in card.limits)
    assert any("4 tracks" in limit for limit in card.limits)
    assert set(card.metrics["validation"]) == {"loss", "calibration_error"}  # 4 tracks are too few for metrics of tags
    calibration = json.loads((tuned / "result.json").read_text())["calibration"]
    assert calibration == {"scale": [1, 1, 1], "offset": [0, 0, 0]}


def test_blocks_that_are_not_frozen_learn(base: keras.Model, annotated: Store, tmp_path: Path) -> None:
    """Normalisation does not: its statistics are not those of a batch any more."""
    finetune(base, annotated, out=tmp_path / "run", recipe={**FEW, "epochs": 1, "frozen_blocks": 5}, console=QUIET)
    model = load_best(tmp_path / "run")
    changed = {
        layer.name
        for layer in base.layers
        if layer.name not in (LOGITS_LAYER, CALIBRATION_LAYER)
        and any((a != b).any() for a, b in zip(weights(base, layer.name), weights(model, layer.name), strict=True))
    }
    convolutions = {layer.name for layer in base.layers if isinstance(layer, keras.layers.Conv2D)}
    assert changed == {name for name in convolutions if name.startswith("block6")} | {"embedding_units"}
    _, card = load_run(tmp_path / "run")
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert card.space_id != recipe["base_space"]
    assert "a new one" in card.data
    assert recipe["learning_rate"] == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("triplet", "classification"),
        ("disentangled-triplet-track", "disentangled-classification"),
        ("disentangled-proxy", "disentangled-classification"),
        ("classification-unnormalized", "classification-unnormalized"),
    ],
)
def test_any_model_may_be_the_base(name: str, becomes: str) -> None:
    recipe = default_recipe(build(name, 16), "x 1", "x/1")
    assert (recipe.model, recipe.width) == (becomes, 16)
    assert recipe.keeps_space
    assert isinstance(build(recipe.model, 16).get_layer(LOGITS_LAYER), Centroids)


def test_another_network_is_refused(annotated: Store, tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    with pytest.raises(InputError, match="from_preset with front_end=False"):
        finetune(keras.Model(inputs, keras.layers.Dense(2)(inputs)), annotated, out=tmp_path / "run", console=QUIET)


def test_unknown_settings_are_refused(base: keras.Model, annotated: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'epoch'"):
        finetune(base, annotated, out=tmp_path / "run", recipe={"epoch": 1}, console=QUIET)


# === Runs ===


def test_a_finished_run_is_left_as_it_is(base: keras.Model, annotated: Store, tuned: Path, tmp_path: Path) -> None:
    shutil.copytree(tuned, tmp_path / "run", symlinks=True)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    settings["data"] = str((tmp_path / "run" / STORE_FOLDER).resolve())
    (tmp_path / "run" / "run.json").write_text(json.dumps(settings))
    before, _ = run.read_checkpoint(tmp_path / "run" / "best.npz")
    result = finetune(base, annotated, out=tmp_path / "run", recipe=FEW, console=QUIET)
    after, _ = run.read_checkpoint(tmp_path / "run" / "best.npz")
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert result["epochs"] == 2


def test_a_run_with_other_tags_is_refused(base: keras.Model, annotated: Store, tuned: Path) -> None:
    """As many tags as before: no shape would tell."""
    before = (tuned / STORE_FOLDER / "index.json").read_bytes()
    with pytest.raises(TrainingError, match="a run with other tags: expected odd, low, high, got low, high, odd"):
        finetune(base, annotated, {"genre": ("odd", "low"), "mine": ("high",)}, out=tuned, recipe=FEW, console=QUIET)
    assert (tuned / STORE_FOLDER / "index.json").read_bytes() == before


def test_another_base_is_refused(annotated: Store, tuned: Path) -> None:
    before = (tuned / "base.npz").read_bytes()
    keras.utils.set_random_seed(6)
    with pytest.raises(TrainingError, match="a run of another recipe"):
        finetune(build("disentangled-classification", 16), annotated, out=tuned, recipe=FEW, console=QUIET)
    assert (tuned / "base.npz").read_bytes() == before


def test_some_tags_of_a_labelled_store(base: keras.Model, data: Path, tmp_path: Path) -> None:
    """Teachers' labels too, if asked for; nothing of the store itself changes."""
    before = (data / "index.json").read_bytes()
    settings = {**FEW, "epochs": 1, "teachers": ["one", "two"]}
    finetune(base, data, ["jazz", "rock"], out=tmp_path / "run", recipe=settings, console=QUIET)
    store, full = Store.open(tmp_path / "run" / STORE_FOLDER), Store.open(data)
    assert (store.tags, dict(store.dimensions)) == (("jazz", "rock"), {"genre": ("rock", "jazz")})
    columns = [TAGS.index("jazz"), TAGS.index("rock")]
    np.testing.assert_array_equal(store.labels("3", TEACHERS), full.labels("3", TEACHERS)[:, columns])
    np.testing.assert_array_equal(store.logmel("3"), full.logmel("3"))
    assert (data / "index.json").read_bytes() == before


# === What can be learnt ===


def test_tags_as_the_data_set_groups_them(annotated: Store) -> None:
    assert vocabulary(None, annotated, SPACES) == Vocabulary(OWN.tags, OWN.dimensions, SPACES)
    assert vocabulary(["odd", "high"], annotated, SPACES) == Vocabulary(
        ("odd", "high"), {"genre": ("high",), "mine": ("odd",)}, SPACES
    )


def test_tags_grouped_anew(annotated: Store) -> None:
    grouped = {"mood": ["odd"], "era": ["low"]}
    assert vocabulary(grouped, annotated, SPACES) == Vocabulary(
        ("odd", "low"), {"mood": ("odd",), "era": ("low",)}, SPACES
    )


def test_wrong_tags_are_refused(annotated: Store) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'low'"):
        vocabulary(["lov"], annotated, SPACES)
    with pytest.raises(InputError, match="each once"):
        vocabulary(["low", "low"], annotated, SPACES)
    with pytest.raises(InputError, match="one or more tags"):
        vocabulary([], annotated, SPACES)


def test_tags_that_distinguish_no_tracks_are_refused() -> None:
    positives = np.array([[1, 0, 1]] * 6 + [[0, 0, 1]] * 6, bool)
    with pytest.raises(DatasetError, match=r"On none of 12: never; on all: always\."):
        check(positives, ("good", "never", "always"), "tags.csv")
    check(positives[:, :1], ("good",), "tags.csv")
    with pytest.raises(DatasetError, match="8 training tracks or more, got 7"):
        check(positives[3:10, :1], ("good",), "tags.csv")


def test_refused_before_any_audio_is_read(base: keras.Model, tmp_path: Path) -> None:
    items = tuple(Item(f"{i}", "train", tmp_path / f"{i}.wav", ("x",)) for i in range(20))
    dataset = Dataset("folder", tmp_path, ("x",), {"all": ("x",)}, items)
    with pytest.raises(DatasetError, match="on all: x"):
        finetune(base, dataset, out=tmp_path / "run", console=QUIET)
    assert not (tmp_path / "run").exists()


def items(count: int, artists: int = 0, split: str = "train") -> list[Item]:
    return [Item(f"{i}", split, Path("x"), (), artist=f"a{i % artists}" if artists else "") for i in range(count)]


def moved(tracks: list[Item]) -> set[str]:
    return {track.id for track in with_validation(tracks) if track.split == "validation"}


def test_a_split_for_validation_is_kept() -> None:
    given = [*items(5), *items(1, split="validation")]
    assert with_validation(given) == tuple(given)


def test_without_one_a_fifth_is_taken() -> None:
    chosen = moved(items(40))
    assert len(chosen) == 8
    assert chosen != {f"{i}" for i in range(8)}
    assert chosen == moved(items(40)[::-1])


def test_artists_are_not_divided() -> None:
    chosen = moved(items(40, artists=10))
    assert len(chosen) == 8
    assert all({f"{i}" for i in range(40) if i % 10 == int(one) % 10} <= chosen for one in chosen)


def test_one_artist_is_divided() -> None:
    assert len(moved(items(20, artists=1))) == 4


def test_tracks_for_testing_stay() -> None:
    tracks = [*items(10), Item("t", "test", Path("x"), ())]
    assert with_validation(tracks)[-1].split == "test"
    assert len(moved(tracks)) == 2


# === Names ===


def test_public_names_are_functions_in_any_order_of_imports() -> None:
    assert musiczoo.models.finetune is finetune
    assert musiczoo.models.build is build
    assert set(musiczoo.models.__all__) <= set(dir(musiczoo.models))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        musiczoo.models.nonsense  # noqa: B018


def test_import_is_cheap() -> None:
    code = "import musiczoo.models, sys; print([n for n in ('numpy', 'keras', 'tensorflow') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
