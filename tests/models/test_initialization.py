"""Runs that start from the weights of an earlier run."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from tiny_run import RECIPE

from musiczoo.datasets.prepared import Store
from musiczoo.errors import TrainingError
from musiczoo.models import run
from musiczoo.models.architectures import build
from musiczoo.models.data import Excerpts, standardise
from musiczoo.models.encoder import trunk
from musiczoo.models.initialization import load_best, start_at_priors, warm_start
from musiczoo.models.recipe import Recipe
from musiczoo.models.sampling import Positions

pytestmark = pytest.mark.train
ALL_BLOCKS = True

NEXT = dataclasses.replace(RECIPE, start="earlier")
OUTSIDE = {"embedding_units", "logits", "calibration"}
"""Layers with weights that are no part of the trunk."""


def weights(model: keras.Model) -> dict[str, list[np.ndarray]]:
    """Of the layers that have some."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}


def equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def earlier(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has one epoch: all that a start needs, with weights unlike any initial ones."""
    folder = tmp_path_factory.mktemp("runs") / "earlier"
    model = build(RECIPE.model, RECIPE.width)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=array.shape).astype(np.float32) for array in model.get_weights()])
    run.create_or_check(folder, RECIPE, data)
    run.save_checkpoint(folder / run.BEST_FILE, model.variables, {"epoch": 1})
    return folder


@pytest.fixture(scope="module")
def source(earlier: Path) -> keras.Model:
    """Its weights."""
    return load_best(earlier)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """One to give weights to: each test begins with its own."""
    return build(RECIPE.model, RECIPE.width)


@pytest.fixture
def model(network: keras.Model) -> keras.Model:
    """With small random weights, and nothing frozen."""
    for layer in network.layers:
        if layer.name != "calibration":
            layer.trainable = True
    random = np.random.default_rng(1)
    network.set_weights([random.normal(0, 0.1, array.shape).astype(np.float32) for array in network.get_weights()])
    return network


def test_the_best_weights_of_a_run(earlier: Path, source: keras.Model) -> None:
    stored, _ = run.read_checkpoint(earlier / run.BEST_FILE)
    assert equal([variable.numpy() for variable in source.variables], stored)


def test_without_a_start_nothing_happens(model: keras.Model, tmp_path: Path) -> None:
    before = weights(model)
    warm_start(model, RECIPE, tmp_path / "run")
    assert all(equal(array, before[name]) for name, array in weights(model).items())
    assert all(layer.trainable for layer in trunk(model))


def test_the_trunk_is_copied(model: keras.Model, source: keras.Model, earlier: Path) -> None:
    """Convolutions and their normalisations, batch statistics too; nothing else."""
    before, expected = weights(model), weights(source)
    warm_start(model, NEXT, earlier.parent / "next")
    got = weights(model)
    assert set(got) >= OUTSIDE | {"stem", "stem_norm", "block1_naive_1x1", "block6_reduced_pool_1x1_norm"}
    for name, arrays in got.items():
        assert equal(arrays, before[name] if name in OUTSIDE else expected[name]), name
        assert not equal(before[name], expected[name])
    assert all(layer.trainable for layer in trunk(model))


def test_all_layers_are_copied(model: keras.Model, source: keras.Model, earlier: Path) -> None:
    warm_start(model, dataclasses.replace(NEXT, start_layers="all"), earlier.parent / "next")
    expected = weights(source)
    assert all(equal(arrays, expected[name]) for name, arrays in weights(model).items())


@pytest.mark.parametrize("blocks", [1, 2, 6])
def test_stem_and_blocks_are_frozen(blocks: int, model: keras.Model, earlier: Path) -> None:
    """Normalisations too: their statistics stay those of the earlier run."""
    warm_start(model, dataclasses.replace(NEXT, frozen_blocks=blocks), earlier.parent / "next")
    frozen = {layer.name for layer in model.layers if layer.weights and not layer.trainable} - {"calibration"}
    kept = tuple(f"block{block}_" for block in range(1, blocks + 1))
    expected = {layer.name for layer in model.layers if layer.weights and layer.name.startswith(("stem", *kept))}
    assert frozen == expected
    assert len(frozen) == 2 + 18 * blocks  # 3 + 6 convolutions a block
    trained = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert {"embedding_units", "logits"} <= trained
    assert not trained & frozen


def test_a_trunk_fits_any_head_and_a_whole_does_not(source: keras.Model, earlier: Path) -> None:
    """A plain classifier's weights have the disentangled one's shapes, but mean something else."""
    plain, triplet = (build(name, RECIPE.width) for name in ("classification", "disentangled-triplet"))
    for model, name in ((plain, "classification"), (triplet, "disentangled-triplet")):
        head = model.get_layer("logits").get_weights()
        recipe = dataclasses.replace(NEXT, model=name)
        warm_start(model, recipe, earlier.parent / "next")
        assert equal(
            model.get_layer("block3_naive_5x5").get_weights(), source.get_layer("block3_naive_5x5").get_weights()
        )
        assert equal(model.get_layer("logits").get_weights(), head)
        with pytest.raises(TrainingError, match=f"with the layers of {name} at width 16"):
            warm_start(model, dataclasses.replace(recipe, start_layers="all"), earlier.parent / "next")
        assert equal(model.get_layer("logits").get_weights(), head)


def test_another_width_is_refused(earlier: Path) -> None:
    wider = build("classification", 17)
    with pytest.raises(TrainingError, match="with the layers of classification at width 17, got"):
        warm_start(wider, dataclasses.replace(NEXT, model="classification", width=17), earlier.parent / "next")


def test_a_run_that_is_not_there_is_refused(model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError,
        match=r"No such file: .*earlier.*best\.npz.*Train it first, or .*: --recipe paper-disentangled-class",
    ):
        warm_start(model, NEXT, tmp_path / "next")
    (tmp_path / "earlier").mkdir()  # begun, but without an epoch
    with pytest.raises(TrainingError, match=r"No such file: .*earlier.*best\.npz"):
        warm_start(model, NEXT, tmp_path / "next")


# === Priors ===


@pytest.mark.parametrize("name", ["disentangled-classification", "proxy", "classification-unnormalized"])
def test_new_heads_start_at_the_priors(name: str, data: Path) -> None:
    """Then the loss is nearly what one gets by saying the priors."""
    excerpts = Excerpts.of(Store.open(data), "train", RECIPE.teachers)
    keras.utils.set_random_seed(0)
    model = build(name, RECIPE.width)
    log_mels, labels = excerpts.at(Positions(np.arange(len(excerpts.labels)), np.zeros(len(excerpts.labels))))

    def loss() -> float:
        tags = np.asarray(model(standardise(log_mels))["tags"])
        return float(-np.mean(labels * np.log(tags) + (1 - labels) * np.log(1 - tags)))

    priors = np.mean([rows.mean(axis=0) for rows in excerpts.labels], axis=0)
    best = -np.mean(labels * np.log(priors) + (1 - labels) * np.log(1 - priors))
    before = loss()
    start_at_priors(model, dataclasses.replace(RECIPE, model=name), excerpts)
    assert loss() - best < 0.2 * (before - best)


@pytest.mark.parametrize(
    "recipe", [dataclasses.replace(NEXT, start_layers="all"), dataclasses.replace(RECIPE, model="triplet")]
)
def test_learnt_heads_and_prototypes_stay_as_they_are(recipe: Recipe, data: Path) -> None:
    model = build(recipe.model, RECIPE.width)
    before = weights(model)
    start_at_priors(model, recipe, Excerpts.of(Store.open(data), "train", RECIPE.teachers))
    assert all(equal(arrays, before[layer]) for layer, arrays in weights(model).items())
