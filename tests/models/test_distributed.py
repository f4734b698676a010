"""Several devices, and several processes: chosen, and of one result."""

import dataclasses
import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
import tiny_run
from rich.console import Console
from tiny_run import RECIPE, STEPS, arrays, log, shallow
from workers import Output, alone, together

from musiczoo.errors import InputError
from musiczoo.models import architectures, distributed
from musiczoo.models.recipe import Recipe
from musiczoo.models.trainer import train

pytestmark = pytest.mark.train

BRIEF = dataclasses.replace(RECIPE, epochs=2)


def plain(recipe: Recipe) -> str:
    return json.dumps(recipe.plain())


def work(recipe: Recipe, data: Path, out: Path, die_at: int = 0) -> list[Output]:
    """Train as two workers, of which the second dies after a number of steps."""
    common = (plain(recipe), data, out)
    first, second = ((*common, step, "shallow", "multiworker") for step in (0, die_at))
    return together(tiny_run.__file__, first, second)


def assert_same(expected: Path, got: Path, absolute: float = 1e-4) -> None:
    """The same log and weights but for rounding, which Adam's first steps magnify."""
    for mine, reference in zip(log(got), log(expected), strict=True):
        assert mine == pytest.approx(reference, abs=absolute)
    mine, reference = arrays(got / "best.npz"), arrays(expected / "best.npz")
    for name in reference.keys() - {"state"}:
        np.testing.assert_allclose(mine[name], reference[name], atol=10 * absolute, err_msg=name)


@pytest.fixture(scope="module")
def one_device(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the shallow network. Copy before changing anything."""
    out = tmp_path_factory.mktemp("one") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(architectures, "encode", shallow)
        train(BRIEF, data, out, Console(quiet=True))
    return out


@pytest.fixture(scope="module")
def two_workers(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, by two processes. Copy before changing anything."""
    out = tmp_path_factory.mktemp("two") / "run"
    outputs = work(BRIEF, data, out)
    assert [output.code for output in outputs] == [0, 0], outputs
    assert "epoch 2: loss" in outputs[0].errors
    assert "epoch 2: loss" not in outputs[1].errors
    return out


def test_two_workers_compute_what_one_device_does(one_device: Path, two_workers: Path) -> None:
    assert_same(one_device, two_workers)
    assert {path.name for path in two_workers.iterdir()} == {path.name for path in one_device.iterdir()}


def test_what_computed_a_run_is_written_down(one_device: Path, two_workers: Path) -> None:
    begun = [json.loads((run / "run.json").read_text()) for run in (one_device, two_workers)]
    assert [run["environment"]["replicas"] for run in begun] == [1, 2]
    assert [run["environment"]["strategy"] for run in begun] == ["auto", "multiworker"]
    assert "strategy" not in begun[0]["recipe"]
    assert begun[0]["recipe"] == begun[1]["recipe"]


def test_a_worker_killed_ends_the_other_and_both_resume(data: Path, two_workers: Path, tmp_path: Path) -> None:
    """In the middle of the second epoch; in the end it is as if nothing had happened."""
    out = tmp_path / "run"
    chief, lost = work(BRIEF, data, out, die_at=STEPS + 2)
    assert lost.code == -signal.SIGKILL, lost.errors
    assert chief.code == 1, chief.errors
    assert "TrainingError: A worker was lost. Start all workers again" in chief.errors
    assert [row["epoch"] for row in log(out)] == [1]
    assert not (out / "result.json").exists()
    outputs = work(BRIEF, data, out)
    assert [output.code for output in outputs] == [0, 0], outputs
    assert_same(two_workers, out, absolute=1e-6)


def test_two_devices_compute_the_explicit_triplets_of_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the samples of a dimension are not shared out evenly."""
    recipe = dataclasses.replace(BRIEF, model="disentangled-triplet-track", mining="explicit", batch=4)
    monkeypatch.setattr(architectures, "encode", shallow)
    train(recipe, data, tmp_path / "one", Console(quiet=True))
    output = alone(tiny_run.__file__, plain(recipe), data, tmp_path / "two", 0, "shallow", "cpu:2")
    assert output.code == 0, output.errors
    assert_same(tmp_path / "one", tmp_path / "two")


def test_two_devices_mine_triplets_each(data: Path, tmp_path: Path) -> None:
    """Not what one device computes: each forms the triplets of its own half of the batch."""
    recipe = dataclasses.replace(BRIEF, model="disentangled-triplet-track", mining="all", epochs=1)
    output = alone(tiny_run.__file__, plain(recipe), data, tmp_path / "run", 0, "shallow", "cpu:2")
    assert output.code == 0, output.errors
    assert 0 < log(tmp_path / "run")[0]["loss"] < 1


def test_auto_is_the_one_device_there_is() -> None:
    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("several GPUs")
    chosen = distributed.choose("auto")
    assert chosen.num_replicas_in_sync == 1
    assert not isinstance(chosen, tf.distribute.MirroredStrategy)
    assert distributed.is_chief(chosen)


@pytest.mark.parametrize("name", ["", "cpu", "cpu:", "cpu:0", "cpu:-1", "cpu:two", "gpu:1", "Auto"])
def test_unknown_strategies_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=re.escape(repr(name))):
        distributed.choose(name)


def test_a_process_keeps_the_devices_it_began_with() -> None:
    assert tf.config.list_logical_devices("CPU")
    with pytest.raises(InputError, match="in a new process"):
        distributed.choose("cpu:7")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}',
             '{"cluster": {"worker": ["127.0.0.1:1"]}}', '{"cluster": {"worker": ["127.0.0.1:1"]}, "task": {}}'],
)  # fmt: skip
def test_workers_need_each_others_addresses(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="TF_CONFIG"):
        distributed.choose("multiworker")


def test_batches_divide_by_the_devices(data: Path, tmp_path: Path) -> None:
    recipe = plain(dataclasses.replace(RECIPE, batch=7))
    refused = alone(tiny_run.__file__, recipe, data, tmp_path / "run", 0, "shallow", "cpu:2")
    assert refused.code == 1
    assert "InputError: Expected a batch that divides by the 2 devices, got 7." in refused.errors
    assert not (tmp_path / "run").exists()
