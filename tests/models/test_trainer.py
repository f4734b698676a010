"""The trainer, end to end on a tiny data set."""

import csv
import dataclasses
import json
import math
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
import tiny_run
from rich.console import Console
from tiny_run import FRAMES, RECIPE, STEPS, TEACHERS, arrays, log, shallow, write_store
from workers import Output, alone

from musiczoo._files import write_npy
from musiczoo.errors import DatasetError, InputError, TrainingError, UnknownNameError
from musiczoo.models import architectures, run, run_logger, trainer
from musiczoo.models.calibration import finish_run
from musiczoo.models.recipe import Recipe
from musiczoo.models.run import load_run
from musiczoo.models.trainer import train
from musiczoo.taxonomy import LASTFM_50

pytestmark = pytest.mark.train

QUIET = Console(quiet=True)


def train_elsewhere(recipe: Recipe, data: Path, out: Path, *options: object) -> Output:
    """`tiny_run.main` in a separate process."""
    return alone(tiny_run.__file__, json.dumps(recipe.plain()), data, out, *options)


@pytest.fixture(scope="module")
def killed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that died in the middle of its second epoch. Copy before changing anything."""
    out = tmp_path_factory.mktemp("killed") / "run"
    process = train_elsewhere(RECIPE, data, out, STEPS + 2)
    assert process.code == -signal.SIGKILL, process.errors
    assert [row["epoch"] for row in log(out)] == [1]
    assert not (out / "result.json").exists()
    return out


def test_a_run_leaves_all_its_files(finished: Path) -> None:
    names = ["best.npz", "checkpoint.npz", "curves.png", "log.csv", "result.json", "run.json", "times.csv"]
    assert sorted(path.name for path in finished.iterdir()) == names
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")
    rows = log(finished)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["learning_rate"] for row in rows] == pytest.approx([RECIPE.learning_rate] * 3)


@pytest.mark.parametrize(
    ("labels", "learnt"), [(None, ("annotations",)), ("annotations", ("annotations",)), ("teachers", TEACHERS)]
)
def test_annotations_are_the_labels_where_there_are_any(
    labels: str | None, learnt: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says whose labels it learnt, and the labels are those."""
    monkeypatch.setattr(architectures, "encode", shallow)
    store = write_store(tmp_path / "data")
    for i, track in enumerate(store.tracks):
        row = np.isin(np.arange(50), (i % 5, 7)).astype(np.float32)
        write_npy(store.root / f"labels/annotations/{track.id}.npy", np.tile(row, (3, 1)))
    result = train(dataclasses.replace(RECIPE, epochs=1), store.root, tmp_path / "run", QUIET, labels=labels)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["teachers"] == list(learnt)
    people = learnt == ("annotations",)
    assert "tagging" in result["validation"]
    assert ("agreement" in result["validation"]) == (not people)
    if people:
        assert result["train_positives"][LASTFM_50.tags[7]] == 11


def test_annotations_that_are_not_there_are_not_learnt(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no annotations by people"):
        train(RECIPE, data, tmp_path / "run", QUIET, labels="annotations")
    assert not (tmp_path / "run").exists()


def test_the_training_loss_falls(finished: Path) -> None:
    losses = [row["loss"] for row in log(finished)]
    assert losses[0] > max(losses[1:])  # epochs differ in their excerpts: see test_it_learns


def test_it_learns(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So few steps teach a shallow network more than a deep one, and little beyond the tags' priors: without them."""
    monkeypatch.setattr(architectures, "encode", shallow)
    monkeypatch.setattr(trainer, "start_at_priors", lambda *arguments: None)
    train(dataclasses.replace(RECIPE, learning_rate=0.002), data, tmp_path / "run", QUIET)
    rows = log(tmp_path / "run")
    assert rows[0]["loss"] > rows[1]["loss"] > rows[2]["loss"]
    assert rows[0]["val_loss"] > rows[2]["val_loss"]


def test_killed_and_resumed_is_as_if_nothing_had_happened(
    data: Path, finished: Path, killed: Path, tmp_path: Path
) -> None:
    """The same bits in the end."""
    out = shutil.copytree(killed, tmp_path / "run")
    resumed = train_elsewhere(RECIPE, data, out, 0)
    assert resumed.code == 0, resumed.errors
    for name in ("checkpoint.npz", "best.npz"):
        expected, got = arrays(finished / name), arrays(out / name)
        assert list(got) == list(expected)
        assert [key for key in expected if got[key].tobytes() != expected[key].tobytes()] == []
    for name in ("log.csv", "result.json", "run.json"):
        assert (out / name).read_text() == (finished / name).read_text()


def test_epochs_between_two_writes_are_repeated(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three epochs, written each, or the first and the last; stopped in the third; and resumed: the same bits."""
    monkeypatch.setattr(architectures, "encode", shallow)
    written: list[str] = []
    save = run.save_checkpoint
    monkeypatch.setattr(run, "save_checkpoint", lambda path, *rest: (written.append(path.name), save(path, *rest)))
    for name, seconds, expected in (("each", 0, 3), ("some", math.inf, 2)):
        monkeypatch.setattr(run_logger, "WRITE_EVERY_S", seconds)
        written.clear()
        train(RECIPE, data, tmp_path / name, QUIET)
        assert written.count("checkpoint.npz") == expected

    class Stopped(trainer.EpochProgress):
        steps = 0

        def step(self, loss: Any) -> None:
            self.steps += 1
            if self.steps == 2 * STEPS + 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "EpochProgress", Stopped)
        with pytest.raises(KeyboardInterrupt):
            train(RECIPE, data, tmp_path / "stopped", QUIET)
    assert [row["epoch"] for row in log(tmp_path / "stopped")] == [1]
    train(RECIPE, data, tmp_path / "stopped", QUIET)
    for name in ("some", "stopped"):
        for file in ("checkpoint.npz", "best.npz"):
            expected, got = arrays(tmp_path / "each" / file), arrays(tmp_path / name / file)
            assert [key for key in expected if got[key].tobytes() != expected[key].tobytes()] == []
        for file in ("log.csv", "result.json"):
            assert (tmp_path / name / file).read_text() == (tmp_path / "each" / file).read_text()


def test_two_devices_compute_what_one_does(data: Path, finished: Path, killed: Path, tmp_path: Path) -> None:
    """The second and third epoch, after one on a single device.

    The validation split has 12 excerpts, so each device has a part of its last batch of 4. Rounding differs,
    and Adam's first steps are as long for the smallest gradient as for any: hence the low learning rate. In so
    deep a network roundings still grow about tenfold an epoch; a shallow one keeps to 1e-6 (test_loop).
    """
    out = shutil.copytree(killed, tmp_path / "run")
    mirrored = train_elsewhere(RECIPE, data, out, 0, "deep", "cpu:2")
    assert mirrored.code == 0, mirrored.errors
    assert len(log(out)) == 3
    for expected, got, tolerance in zip(log(finished), log(out), (0, 1e-3, 1e-2), strict=True):
        assert got == pytest.approx(expected, rel=tolerance)


def test_a_finished_run_stays_as_it_is(data: Path, finished: Path, tmp_path: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    assert train(RECIPE, data, out, QUIET) == json.loads((finished / "result.json").read_text())
    for path in finished.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_a_run_can_be_finished_before_its_end(killed: Path, tmp_path: Path) -> None:
    """The run that was killed in its second epoch has one epoch, and that is its best."""
    out = shutil.copytree(killed, tmp_path / "run")
    result = finish_run(out)
    assert result == json.loads((out / "result.json").read_text())
    assert (result["epochs"], result["best_epoch"]) == (1, 1)
    assert result["validation"]["loss"] == log(killed)[0]["val_loss"]
    load_run(out)
    with pytest.raises(TrainingError, match=r"run\.json"):
        finish_run(tmp_path / "nothing")


def test_a_folder_holds_one_recipes_run(data: Path, finished: Path, tmp_path: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    with pytest.raises(TrainingError, match="a run of another recipe"):
        train(dataclasses.replace(RECIPE, learning_rate=0.1), data, out, QUIET)


def test_a_plain_model_by_the_other_optimiser_and_schedule(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four steps, of which the first is the warm-up: a third of the way down, then at the end."""
    monkeypatch.setattr(architectures, "encode", shallow)
    recipe = Recipe("classification", width=16, teachers=TEACHERS, batch=16, epochs=2, optimizer="adamw",
                    weight_decay=0.01, learning_rate=0.001, schedule="cosine", patience=1, reductions=0)  # fmt: skip
    train(recipe, data, tmp_path / "run", QUIET)
    assert [row["learning_rate"] for row in log(tmp_path / "run")] == pytest.approx([7.525e-4, 1e-5])
    _, card = load_run(tmp_path / "run")
    assert (dict(card.spaces), set(card.dimensions)) == ({"all": (0, 256)}, {"all"})


def test_a_run_that_diverges_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss may stay finite, since a ReLU makes 0 of NaN."""
    monkeypatch.setattr(architectures, "encode", shallow)
    store = write_store(tmp_path / "data", train=3, validation=1)
    log_mel = np.full((FRAMES, 128), np.nan, np.float16)
    write_npy(store.root / "logmel/0.npy", log_mel)
    with pytest.raises(TrainingError, match="Epoch 1: expected finite losses and weights"):
        train(RECIPE, store.root, tmp_path / "run", QUIET)
    assert not (tmp_path / "run" / "checkpoint.npz").exists()


def test_seconds_are_kept_from_one_start_to_the_next(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of epochs that are done; a damaged table is begun again."""
    monkeypatch.setattr(architectures, "encode", shallow)
    out, first = tmp_path / "run", dataclasses.replace(RECIPE, epochs=1)
    train(first, data, out, QUIET)
    (out / "times.csv").write_text("epoch,training_s,validation_s\n1,11.5,2.25\n2,7.0,3.0\n")
    settings = json.loads((out / "run.json").read_text())
    for epochs, kept in ((2, ["1", "11.5", "2.25"]), (3, None)):
        settings["recipe"]["epochs"] = epochs
        (out / "run.json").write_text(json.dumps(settings))
        train(dataclasses.replace(RECIPE, epochs=epochs), data, out, QUIET)
        rows = list(csv.reader((out / "times.csv").read_text().splitlines()))
        assert rows[0] == ["epoch", "training_s", "validation_s"]
        assert [row[0] for row in rows[1:]] == ([str(n + 1) for n in range(epochs)] if kept else ["3"])
        assert kept is None or rows[1] == kept
        assert all(float(value) > 0 for row in rows[1:] for value in row)
        (out / "times.csv").write_text("epoch,training_s\n1,eleven\n")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_computes_about_the_same(
    precision: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with float16, the scale of the loss is part of the checkpoint."""
    monkeypatch.setattr(architectures, "encode", shallow)
    logs = {}
    for each in ("float32", precision):
        recipe = dataclasses.replace(RECIPE, precision=each, epochs=2, clip_norm=0.5)
        train(recipe, data, tmp_path / each, QUIET)
        logs[each] = log(tmp_path / each)
    for mine, reference in zip(logs[precision], logs["float32"], strict=True):
        assert mine == pytest.approx(reference, rel=0.02)
        assert mine["loss"] != reference["loss"]
    kept = {path.name: arrays(path / "checkpoint.npz") for path in map(tmp_path.joinpath, logs)}
    assert len(kept[precision]) - len(kept["float32"]) >= (2 if precision == "float16" else 0)
    assert all(array.dtype != np.float16 for array in kept[precision].values())


def test_tensorboard_shows_what_the_log_says(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "encode", shallow)
    out = tmp_path / "run"
    train(dataclasses.replace(RECIPE, epochs=2), data, out, QUIET, tensorboard=True)
    shown: dict[int, dict[str, float]] = {}
    for file in (out / "tensorboard").iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                shown.setdefault(event.step, {})[value.tag] = float(tf.make_ndarray(value.tensor))
    assert sorted(shown) == [1, 2]
    for row in log(out):
        epoch = shown[int(row.pop("epoch"))]
        assert {name: epoch[name] for name in row} == pytest.approx(row)
        assert epoch.keys() - row.keys() == {"training_s", "validation_s"}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "clasification"}, UnknownNameError, "Did you mean 'classification'"),
        ({"width": 8}, InputError, "width"),
        ({"batch": 34}, DatasetError, "at least one batch of 34 excerpts, found 33"),
        ({"teachers": ("one", "three")}, DatasetError, "--teacher three"),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(
    changes: dict[str, object], error: type[Exception], message: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        train(dataclasses.replace(RECIPE, **changes), data, tmp_path / "run", QUIET)
    assert not (tmp_path / "run").exists()


def test_missing_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="musiczoo data prepare"):
        train(RECIPE, tmp_path / "data", tmp_path / "run", QUIET)
