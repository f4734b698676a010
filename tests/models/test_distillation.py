"""Students that learn logits and hidden layers of their teachers, from several data sets, as moving averages."""

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
import tensorflow as tf
from rich.console import Console
from tiny_run import RECIPE, TEACHERS, arrays, log, shallow, write_store

from musiczoo._files import write_npy
from musiczoo.card import read_card
from musiczoo.datasets.prepared import FEATURES, Store
from musiczoo.errors import InputError, TrainingError, UnknownNameError
from musiczoo.models import architectures, run, run_logger, sampling
from musiczoo.models.architectures import CALIBRATION_LAYER, LOGITS_LAYER, build
from musiczoo.models.data import Batches, Excerpts, Objective
from musiczoo.models.initialization import warm_start
from musiczoo.models.loop import averaged
from musiczoo.models.losses import LEAST, VOICES_SPACE, Distillation, TripletLoss
from musiczoo.models.model_card import make_card
from musiczoo.models.presets import from_preset
from musiczoo.models.recipe import Recipe
from musiczoo.models.trainer import train
from musiczoo.registry import find

pytestmark = pytest.mark.train

ALL_BLOCKS = True  # those of a published model

QUIET = Console(quiet=True)
LAYERS = {"one": "one-0123456789ab", "two": "two-ba9876543210"}
SIZES = {"one": 3, "two": 2}
DISTILS = dataclasses.replace(
    RECIPE,
    epochs=4,
    epoch_steps=3,
    average=0.5,
    learning_rate=0.002,
    logits_weight=0.02,
    hidden_weight=0.1,
    triplets_weight=0.1,
    tag_weights={"instrumental": 6.0},
    repeats={"more": 2},
)


def with_hidden(store: Store, name: str) -> Store:
    """A data set under another name, with other ids, and a hidden layer of each teacher."""
    tracks = tuple(dataclasses.replace(track, id=f"{name}-{track.id}") for track in store.tracks)
    for folder in ("logmel", *(f"labels/{teacher}" for teacher in TEACHERS)):
        for track in store.tracks:
            path = store.root / folder / f"{track.id}.npy"
            path.rename(path.with_name(f"{name}-{path.name}"))
    random = np.random.default_rng(1)
    for track in tracks:
        for teacher in TEACHERS:
            values = random.normal(2, 3, (3, SIZES[teacher])).astype(np.float32)
            write_npy(store.root / FEATURES / LAYERS[teacher] / f"{track.id}.npy", values)
    named = dataclasses.replace(store, dataset=name, tracks=tracks)
    named.save()
    return named


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    """11 training tracks, and 2 of which each occurs twice."""
    root = tmp_path_factory.mktemp("stores")
    return [with_hidden(write_store(root / "toy"), "toy"), with_hidden(write_store(root / "more", 2, 1), "more")]


# === The loss ===


def test_the_loss_is_that_of_loops() -> None:
    random = np.random.default_rng(0)
    wanted, logits = random.uniform(0, 1, (5, 3)), random.normal(size=(5, 3))
    wanted[0, 0], wanted[1, 1] = 0, 1e-7  # limited in the logits, not in the cross-entropy
    hidden, predicted = random.normal(size=(5, 2)), random.normal(size=(5, 2))
    weights, deviations = [1.0, 6.0, 0.5], [2.0, 0.0]
    expected = 0.0
    for i in range(5):
        for t in range(3):
            p, z = wanted[i, t], logits[i, t]
            q = min(max(p, LEAST), 1 - LEAST)
            entropy = -p * math.log(1 / (1 + math.exp(-z))) - (1 - p) * math.log(1 - 1 / (1 + math.exp(-z)))
            expected += (entropy + 0.02 * weights[t] * (z - math.log(q / (1 - q))) ** 2) / 15
        expected += 0.1 * ((predicted[i, 0] - hidden[i, 0]) / 2.0) ** 2 / 10
        expected += 0.1 * ((predicted[i, 1] - hidden[i, 1]) / 0.1) ** 2 / 10  # it never varies: a tenth of the mean
    loss = Distillation(0.02, weights, 0.1, deviations)
    targets, outputs = {"tags": wanted, "hidden": hidden}, {"logits": logits, "hidden": predicted}
    found = loss(*({k: tf.constant(v, tf.float32) for k, v in d.items()} for d in (targets, outputs)))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_triplets_are_those_of_the_tags_above_their_least_probability() -> None:
    random = np.random.default_rng(0)
    wanted = tf.constant(random.uniform(0, 1, (6, 2)), tf.float32)
    outputs = {
        "logits": tf.constant(random.normal(size=(6, 2)), tf.float32),
        "embedding": tf.constant(random.normal(size=(6, 4)), tf.float32),
    }
    triplets = TripletLoss({"genre": (0, 2), "mood": (2, 4)}, ["genre", "mood"])
    tags = np.asarray(wanted) >= [0.5, 0.2]
    plain = Distillation(0.02, [1.0, 1.0])({"tags": wanted}, outputs)
    found = Distillation(0.02, [1, 1], triplets=triplets, triplets_weight=0.3, least=[0.5, 0.2])
    expected = plain + 0.3 * triplets(tags.astype(np.float32), outputs["embedding"])
    assert float(found({"tags": wanted}, outputs)) == pytest.approx(float(expected))
    assert float(expected) > float(plain)


def test_voices_are_compared_with_none_where_that_is_known() -> None:
    random = np.random.default_rng(0)
    voices = [1.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.0]
    embedding, costs = random.normal(size=(7, 4)), []
    unit = embedding[:, 2:] / np.linalg.norm(embedding[:, 2:], axis=1, keepdims=True)
    for a, p, n in itertools.permutations(range(7), 3):
        if -1 not in (voices[a], voices[p], voices[n]) and voices[a] == voices[p] != voices[n]:
            costs.append(max(0.0, unit[a] @ unit[n] - unit[a] @ unit[p] + 0.1))
    loss = Distillation(
        0.0, [1.0], voices=TripletLoss({"genre": (0, 2), "instrument": (2, 4)}, [VOICES_SPACE] * 2), voices_weight=0.3
    )
    outputs = {"logits": tf.zeros((7, 1)), "embedding": tf.constant(embedding, tf.float32)}
    targets = {"tags": tf.fill((7, 1), 0.5), "voices": tf.constant(voices)}
    expected = math.log(2) + 0.3 * np.mean(costs)
    assert float(loss(targets, outputs)) == pytest.approx(expected, rel=1e-5)
    for unknown in ([-1.0] * 7, [1.0] * 7):  # no triplet
        assert float(loss({**targets, "voices": tf.constant(unknown)}, outputs)) == pytest.approx(math.log(2))


def test_a_moving_average_lends_its_weights() -> None:
    """After steps of plain descent, the average follows by hand; the weights come back."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75))
    (weight,) = model.trainable_variables
    model.optimizer.build([weight])
    weight.assign([[8.0]])
    average = None
    for gradient in (1.0, 2.0, -4.0):
        model.optimizer.apply([tf.constant([[gradient]])], [weight])
        value = float(weight[0, 0])
        average = value if average is None else 0.75 * average + 0.25 * value
    with averaged(model):
        assert float(weight[0, 0]) == pytest.approx(average)
    assert float(weight[0, 0]) == 9.0


# === Several data sets ===


def test_excerpts_of_several_data_sets_occur_as_often_as_asked(stores: list[Store]) -> None:
    joined = Store.join(stores)
    excerpts = Excerpts.of(joined, "train", TEACHERS, repeats={"more": 2}, hidden=True)
    assert excerpts.grid.rows.tolist() == [3] * (11 + 2 * 2)
    assert len(excerpts.log_mels) == len(excerpts.tags) == len(excerpts.hidden) == 15
    one, two = (np.load(stores[1].root / FEATURES / LAYERS[name] / "more-1.npy") for name in TEACHERS)
    for track in (13, 14):
        np.testing.assert_allclose(excerpts.hidden[track], np.concatenate([one, two], axis=1))
        np.testing.assert_array_equal(excerpts.log_mels[track], stores[1].logmel("more-1"))
    _, targets = excerpts.crop(13, 0)
    np.testing.assert_allclose(targets[:50], excerpts.labels[13][0])
    np.testing.assert_allclose(targets[50:], np.concatenate([one[0], two[0]]))
    with pytest.raises(UnknownNameError, match="more"):
        Excerpts.of(joined, "train", TEACHERS, repeats={"mroe": 2})


SONGS = ("song-swing-1-sung", "song-swing-1-backing", "style-swing-1", "mixture-1")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A small copy of rendered_music, its training tracks named as `SONGS`."""
    store = write_store(tmp_path_factory.mktemp("songs"), len(SONGS), 1)
    named = dict(zip((track.id for track in store.split("train")), SONGS, strict=True))
    for folder in ("logmel", *(f"labels/{teacher}" for teacher in TEACHERS)):
        for old, new in named.items():
            (store.root / folder / f"{old}.npy").rename(store.root / folder / f"{new}.npy")
    tracks = tuple(dataclasses.replace(track, id=named.get(track.id, track.id)) for track in store.tracks)
    store = dataclasses.replace(store, dataset="rendered_music", tracks=tracks)
    store.save()
    return store


def test_rendered_music_says_which_tracks_have_a_voice(songs: Store, stores: list[Store]) -> None:
    joined = Store.join([stores[1], songs])
    excerpts = Excerpts.of(joined, "train", TEACHERS, repeats={"rendered_music": 2}, voices=True)
    assert excerpts.voices == [-1.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0, -1.0]
    batch = Batches(excerpts, 8, 0, Objective())
    _, targets = batch.batch(0)
    tracks = sampling.excerpts(excerpts.grid, 0, 8, 0).tracks
    assert targets["voices"].tolist() == [excerpts.voices[track] for track in tracks]
    assert "voices" not in Batches(Excerpts.of(joined, "train", TEACHERS), 8, 0, Objective()).batch(0)[1]


@pytest.mark.parametrize("joined", [False, True])
def test_a_card_says_that_its_singers_are_rendered(joined: bool, songs: Store, stores: list[Store]) -> None:
    result = {
        "train_positives": dict.fromkeys(songs.tags, 9),
        "common_threshold": [],
        "thresholds": dict.fromkeys(songs.tags, 0.5),
        "validation": {"loss": 0.5, "calibration_error": 0.1},
        "epochs": 1,
    }
    for rendered, store in ((True, songs), (False, stores[0])):
        used = Store.join([stores[1], store]) if joined else store
        card = make_card(dataclasses.replace(DISTILS, repeats={}), used, result, "id", 1)
        assert any("rendered, with voices made of speech" in limit for limit in card.limits) == rendered


def test_voices_need_rendered_music(
    songs: Store, stores: list[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architectures, "encode", shallow)
    recipe = dataclasses.replace(DISTILS, hidden_weight=0.0, voices_weight=0.5, epochs=2, repeats={})
    with pytest.raises(InputError, match=r"rendered_music alone says.*got toy"):
        train(recipe, stores[0].root, tmp_path / "run", QUIET)
    recipe = dataclasses.replace(recipe, repeats={"rendered_music": 9})
    train(recipe, [stores[0].root, songs.root], tmp_path / "run", QUIET)
    assert len(log(tmp_path / "run")) == 2
    without = dataclasses.replace(recipe, voices_weight=0.0)
    train(without, [stores[0].root, songs.root], tmp_path / "without", QUIET)
    assert log(tmp_path / "without")[0]["loss"] < log(tmp_path / "run")[0]["loss"]


# === Runs ===


@pytest.fixture(scope="module")
def distilled(stores: list[Store], tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(architectures, "encode", shallow)
        out = tmp_path_factory.mktemp("distilled") / "run"
        train(DISTILS, [store.root for store in stores], out, QUIET)
    return out


def test_a_run_on_several_data_sets_learns_and_exports_as_any_other(
    distilled: Path, stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architectures, "encode", shallow)
    assert json.loads((distilled / "run.json").read_text())["data"] == [str(store.root) for store in stores]
    losses = [row["val_loss"] for row in log(distilled)]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    assert run.read_data(distilled).roots == tuple(store.root for store in stores)
    model, card = run.load_run(distilled)
    assert set(model.output) == {"embedding", "tags"}
    assert "toy: 11 training tracks" in card.data
    assert "more: 2 training tracks" in card.data
    assert model(np.zeros((1, card.excerpt_samples), np.float32))["tags"].shape == (1, 50)


def test_an_interrupted_run_gives_the_same_weights(
    distilled: Path, stores: list[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints keep the moving average and the layer that predicts the hidden layers."""
    monkeypatch.setattr(architectures, "encode", shallow)
    monkeypatch.setattr(run_logger, "WRITE_EVERY_S", 0)

    class Stopped(Exception):
        pass

    from musiczoo.models import trainer

    ends: list[int] = []

    class Stopping(trainer.EpochProgress):
        def end(self, row: dict[str, float]) -> None:
            ends.append(1)
            if len(ends) == 2:
                raise Stopped

    roots = [store.root for store in stores]
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "EpochProgress", Stopping)
        with pytest.raises(Stopped):
            train(DISTILS, roots, tmp_path / "run", QUIET)
    assert len(log(tmp_path / "run")) == 2
    train(DISTILS, roots, tmp_path / "run", QUIET)
    for name in ("best.npz", "checkpoint.npz"):
        for key, value in arrays(distilled / name).items():
            np.testing.assert_array_equal(value, arrays(tmp_path / "run" / name)[key], err_msg=f"{name} {key}")


def test_annotations_cannot_be_distilled(tmp_path: Path) -> None:
    store = write_store(tmp_path / "data", 2, 1)
    for track in store.tracks:
        write_npy(store.root / f"labels/annotations/{track.id}.npy", np.eye(50, dtype=np.float32)[:3])
    with pytest.raises(InputError, match="--labels teachers"):
        train(DISTILS, store.root, tmp_path / "run", QUIET)


# === Starts from a published model ===


def test_a_run_starts_from_a_published_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = find("disentangled-classification")
    source, card = from_preset(folder, front_end=False), read_card(folder)
    recipe = Recipe("disentangled-classification", width=32, start_model=f"{card.name} {card.version}")
    model = build(recipe.model, recipe.width)
    warm_start(model, recipe, tmp_path)
    log_mels = np.random.default_rng(0).normal(size=(2, 129, 128)).astype(np.float32)
    expected, found = source(log_mels), model(log_mels)
    np.testing.assert_allclose(found["embedding"], expected["embedding"], atol=1e-6)
    scale, offset = (np.asarray(w) for w in source.get_layer(CALIBRATION_LAYER).weights)
    logits = np.log(expected["tags"]) - np.log1p(-np.asarray(expected["tags"]))
    without_offset = keras.Model(model.input, model.get_layer(LOGITS_LAYER).output)(log_mels)
    np.testing.assert_allclose(without_offset, logits - offset, atol=1e-3)
    assert not np.allclose(scale, 1)
    assert all(layer.trainable for layer in model.layers if "norm" in layer.name)
    with pytest.raises(TrainingError, match="has disentangled-classification"):
        warm_start(model, dataclasses.replace(recipe, start_model=f"{card.name} 0.0.1"), tmp_path)
    other = build(recipe.model, recipe.width)
    warm_start(other, dataclasses.replace(recipe, start_model=f"{folder} {card.version}"), tmp_path)
    np.testing.assert_allclose(other(log_mels)["embedding"], expected["embedding"], atol=1e-6)
    with pytest.raises(TrainingError, match="width 64"):
        warm_start(build("classification", 16), dataclasses.replace(recipe, width=64), tmp_path)
    # A checkpoint has all weights: the published model may have changed since.
    (tmp_path / run.CHECKPOINT_FILE).touch()
    warm_start(model, dataclasses.replace(recipe, start_model=f"{card.name} 0.0.1"), tmp_path)


def test_bfloat16_is_a_setting(stores: list[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "encode", shallow)
    recipe = dataclasses.replace(DISTILS, precision="bfloat16", epochs=1)
    train(recipe, [store.root for store in stores], tmp_path / "run", QUIET)
    assert all(
        value.dtype == np.float32 for name, value in arrays(tmp_path / "run/best.npz").items() if name != "state"
    )
