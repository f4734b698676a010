"""The end of a run, held against loops."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from tiny_run import RECIPE, TEACHERS, arrays

from musiczoo.datasets.store import Store
from musiczoo.errors import TrainingError
from musiczoo.evaluation import calibration
from musiczoo.models.calibrate import by_track, calibrate, finish, train_positives
from musiczoo.models.pipeline import Excerpts
from musiczoo.taxonomy import TAGS

pytestmark = pytest.mark.train


def excerpts(rows: tuple[int, ...] = (2, 1, 3)) -> Excerpts:
    """Tracks of so many excerpts."""
    random = np.random.default_rng(0)
    log_mels = [random.uniform(0, 2, (130 * n, 128)).astype(np.float32) for n in rows]
    labels = [random.uniform(size=(n, 50)).astype(np.float32) for n in rows]
    return Excerpts(log_mels, labels, np.array([(t, row) for t, n in enumerate(rows) for row in range(n)]))


def test_mean_of_each_track() -> None:
    rows = np.arange(12.0).reshape(6, 2)
    assert by_track(rows, excerpts()).tolist() == [[1, 2], [4, 5], [8, 9]]


def test_the_calibration_is_that_of_the_models_logits() -> None:
    """A linear model, whose logits numpy knows too; in batches of 4."""
    log_mel = keras.Input((129, 128))
    dense = keras.layers.Dense(50, name="logits")
    model = keras.Model(log_mel, dense(keras.layers.GlobalAveragePooling1D()(log_mel)))
    validation = excerpts()
    result = calibrate(model, validation, RECIPE)
    means = []
    for track, row in validation.where:
        start = round(row * 66150 / 512)
        start = min(start, len(validation.log_mels[track]) - 129)
        means.append((validation.log_mels[track][start : start + 129].mean(axis=0) - 0.2) / 0.25)
    logits = np.array(means) @ dense.kernel.numpy() + dense.bias.numpy()
    expected = calibration.fit(logits, np.concatenate(validation.labels))
    np.testing.assert_allclose(result["calibration"]["scale"], expected.scale, rtol=1e-3)
    np.testing.assert_allclose(result["calibration"]["offset"], expected.offset, atol=1e-3)
    entropy = result["validation"]["cross_entropy"]
    assert entropy["after"] < entropy["before"]
    assert list(result["thresholds"]) == list(TAGS)
    assert all(0 <= threshold <= 1 for threshold in result["thresholds"].values())
    assert json.loads(json.dumps(result)) == result


def test_train_positives_are_the_top_five(data: Path) -> None:
    counts = dict.fromkeys(TAGS, 0)
    for i in range(11):
        labels = np.mean([np.load(data / f"labels/{teacher}/{i}.npy") for teacher in TEACHERS], axis=0)
        for z in np.argsort(-labels.mean(axis=0))[:5]:
            counts[TAGS[z]] += 1
    assert train_positives(Store.open(data), RECIPE) == counts


def test_a_run_that_was_stopped_can_be_finished(finished: Path, tmp_path: Path) -> None:
    for name in ("run.json", "best.npz", "checkpoint.npz"):
        shutil.copy(finished / name, tmp_path)
    assert finish(tmp_path) == json.loads((finished / "result.json").read_text())
    assert (tmp_path / "result.json").read_text() == (finished / "result.json").read_text()


def test_a_run_without_an_epoch_cannot(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"run\.json"):
        finish(tmp_path)
    shutil.copy(finished / "run.json", tmp_path)
    with pytest.raises(TrainingError, match=r"checkpoint\.npz"):
        finish(tmp_path)


def test_result_of_a_run(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    losses = np.genfromtxt(finished / "log.csv", delimiter=",", names=True)["val_loss"]
    assert result["validation"]["loss"] == losses.min()
    assert (result["epochs"], result["best_epoch"]) == (3, 1 + losses.argmin())
    assert json.loads(str(arrays(finished / "best.npz")["state"]))["epoch"] == result["best_epoch"]
