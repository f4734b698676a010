"""The end of a run, held against loops."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from tiny_run import RECIPE, TEACHERS, arrays

from musiczoo._files import write_npy
from musiczoo.datasets.prepared import ANNOTATIONS, Store
from musiczoo.errors import TrainingError
from musiczoo.models import calibration, run
from musiczoo.models.architectures import build
from musiczoo.models.calibration import by_track, calibrate, finish_run, train_positives
from musiczoo.models.data import Excerpts, in_order
from musiczoo.models.run import load_run
from musiczoo.taxonomy import LASTFM_50, TAGS

pytestmark = pytest.mark.train


def excerpts(rows: tuple[int, ...] = (2, 1, 3)) -> Excerpts:
    """Tracks with these numbers of excerpts."""
    random = np.random.default_rng(0)
    log_mels = [random.uniform(0, 2, (130 * n, 128)).astype(np.float32) for n in rows]
    labels = [random.uniform(size=(n, 50)).astype(np.float32) for n in rows]
    return Excerpts(log_mels, labels, np.ones((len(rows), 50), bool), LASTFM_50.tag_dimensions)


def test_mean_of_each_track() -> None:
    rows = np.arange(12.0).reshape(6, 2)
    assert by_track(rows, excerpts()).tolist() == [[1, 2], [4, 5], [8, 9]]


def test_the_calibration_is_that_of_the_models_logits() -> None:
    """A linear model, whose logits numpy knows too."""
    log_mel = keras.Input((129, 128))
    dense = keras.layers.Dense(50, name="logits")
    model = keras.Model(log_mel, dense(keras.layers.GlobalAveragePooling1D()(log_mel)))
    validation = excerpts()
    result = calibrate(model, validation, TAGS)
    means = []
    for track, row in [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]:
        start = round(row * 66150 / 512)
        start = min(start, len(validation.log_mels[track]) - 129)
        means.append((validation.log_mels[track][start : start + 129].mean(axis=0) - 0.2) / 0.25)
    logits = np.array(means) @ dense.kernel.numpy() + dense.bias.numpy()
    expected = calibration.fit_calibration(logits, np.concatenate(validation.labels))
    np.testing.assert_allclose(result["calibration"]["scale"], expected.scale, rtol=1e-3)
    np.testing.assert_allclose(result["calibration"]["offset"], expected.offset, atol=1e-3)
    entropy = result["validation"]["cross_entropy"]
    assert entropy["after"] < entropy["before"]
    assert list(result["thresholds"]) == list(TAGS)
    assert all(0 <= threshold <= 1 for threshold in result["thresholds"].values())
    assert json.loads(json.dumps(result)) == result


def test_thresholds_are_fitted_to_the_hard_tags_of_tracks() -> None:
    """The highest threshold that maximises F1, in a loop over all candidates, by the excerpts' own tags."""
    log_mel = keras.Input((129, 128))
    dense = keras.layers.Dense(50, name="logits")
    model = keras.Model(log_mel, dense(keras.layers.GlobalAveragePooling1D()(log_mel)))
    given = np.random.default_rng(1).uniform(size=(12, 50)) < 0.5
    validation = dataclasses.replace(excerpts((2, 1, 3) * 4), tags=given)
    result = calibrate(model, validation, TAGS)
    tagger = keras.Model(model.input, model.get_layer("logits").output)
    rows = np.concatenate([np.asarray(tagger(x, training=False)) for x, _ in in_order(validation, 8)])
    fitted = calibration.TagCalibration(*(np.array(result["calibration"][name]) for name in ("scale", "offset")))
    probabilities = by_track(fitted(rows), validation)

    def f1(threshold: float, tag: int) -> float:
        above = probabilities[:, tag] >= threshold
        return 2 * (above & given[:, tag]).sum() / (above.sum() + given[:, tag].sum())

    for tag, name in enumerate(TAGS):
        if name not in result["common_threshold"]:
            best = max(f1(threshold, tag) for threshold in probabilities[:, tag])
            assert f1(result["thresholds"][name], tag) == pytest.approx(best)
    assert len(result["common_threshold"]) < 50
    positives = {name: row["positives"] for name, row in result["validation"]["tagging"]["tags"].items()}
    assert list(positives.values()) == given.sum(axis=0).tolist()


def test_train_positives_are_the_top_five(data: Path) -> None:
    counts = dict.fromkeys(TAGS, 0)
    for i in range(11):
        labels = np.mean([np.load(data / f"labels/{teacher}/{i}.npy") for teacher in TEACHERS], axis=0)
        for z in np.argsort(-labels.mean(axis=0))[:5]:
            counts[TAGS[z]] += 1
    assert train_positives(Store.open(data), RECIPE) == counts


def test_train_positives_are_counts_of_annotations(data: Path, tmp_path: Path) -> None:
    store = Store.open(shutil.copytree(data, tmp_path / "data"))
    given = np.random.default_rng(0).uniform(size=(11, 50)) < 0.3
    for i in range(11):
        rows = np.tile(given[i], (3, 1)).astype(np.float32)
        write_npy(store.root / f"labels/{ANNOTATIONS}/{i}.npy", rows)
    annotated = dataclasses.replace(RECIPE, teachers=(ANNOTATIONS,))
    assert list(train_positives(store, annotated).values()) == given.sum(axis=0).tolist()


def test_triplet_models_get_prototypes(data: Path, tmp_path: Path) -> None:
    """The mean embedding of the training tracks with the tag, whose cosine with an excerpt is its logit."""
    recipe = dataclasses.replace(RECIPE, model="triplet")
    keras.utils.set_random_seed(0)
    model = build("triplet", RECIPE.width)
    run.create_or_check(tmp_path, recipe, data)
    run.save_checkpoint(tmp_path / run.BEST_FILE, model.variables, {"epoch": 1})
    run.save_checkpoint(tmp_path / run.CHECKPOINT_FILE, [], {"history": [{"epoch": 1, "val_loss": 0.25}]})
    assert finish_run(tmp_path)["validation"]["loss"] == 0.25
    points = np.load(tmp_path / run.PROTOTYPES_FILE)

    train = Excerpts.of(Store.open(data), "train", TEACHERS)
    log_mels = np.stack([train.crop(track, start)[0] for track in range(11) for start in (0, 129, 258)])
    embedding = np.asarray(model((log_mels - 0.2) / 0.25, training=False)["embedding"])
    tracks = embedding.reshape(11, 3, 256).mean(axis=1)
    for z in range(50):
        expected = tracks[train.tags[:, z]].mean(axis=0) if train.tags[:, z].any() else np.zeros(256)
        np.testing.assert_allclose(points[:, z], expected, atol=1e-5)

    loaded, _ = load_run(tmp_path)
    whole = next(layer for layer in loaded.layers if layer.name == "triplet")
    lengths = np.maximum(np.linalg.norm(points, axis=0), 1e-9)
    logits = whole.get_layer("logits")(embedding)
    np.testing.assert_allclose(logits, embedding @ (points / lengths), atol=1e-5)


def test_a_run_that_was_stopped_can_be_finished(finished: Path, tmp_path: Path) -> None:
    for name in ("run.json", "best.npz", "checkpoint.npz"):
        shutil.copy(finished / name, tmp_path)
    assert finish_run(tmp_path) == json.loads((finished / "result.json").read_text())
    assert (tmp_path / "result.json").read_text() == (finished / "result.json").read_text()


def test_a_run_without_an_epoch_cannot(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"run\.json"):
        finish_run(tmp_path)
    shutil.copy(finished / "run.json", tmp_path)
    with pytest.raises(TrainingError, match=r"checkpoint\.npz"):
        finish_run(tmp_path)


def test_result_of_a_run(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    losses = np.genfromtxt(finished / "log.csv", delimiter=",", names=True)["val_loss"]
    assert result["validation"]["loss"] == losses.min()
    assert (result["epochs"], result["best_epoch"]) == (3, 1 + losses.argmin())
    assert json.loads(str(arrays(finished / "best.npz")["state"]))["epoch"] == result["best_epoch"]
