"""Checkpoints: whole or refused."""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musiczoo.errors import TrainingError
from musiczoo.models import run

pytestmark = pytest.mark.train

STATE = {"epoch": 3, "best": math.inf, "history": [{"loss": 0.1}], "name": "Zoë"}


def variables(seed: int = 0) -> list[keras.Variable]:
    """More than ten, so that their order is not the alphabet's by accident; of several types."""
    random = np.random.default_rng(seed)
    floats = [keras.Variable(random.normal(size=(2, i)).astype(np.float32)) for i in range(1, 12)]
    extremes = np.array([1e-45, -0.0, 3.4e38, np.nan, np.inf], np.float32) if seed == 0 else np.zeros(5, np.float32)
    return [*floats, keras.Variable(extremes), keras.Variable(random.integers(9, size=()), dtype="int64")]


def bits(values: list[keras.Variable]) -> list[bytes]:
    return [value.numpy().tobytes() for value in values]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good checkpoint."""
    run.save_checkpoint(tmp_path / "run" / "checkpoint.npz", variables(), STATE)
    return tmp_path / "run" / "checkpoint.npz"


def test_restored_bit_for_bit(path: Path) -> None:
    others = variables(seed=1)
    assert bits(others) != bits(variables())
    assert run.restore_checkpoint(path, others) == STATE
    assert bits(others) == bits(variables())
    assert [value.dtype for value in others] == [value.dtype for value in variables()]


def test_nothing_else_is_left_in_the_folder(path: Path) -> None:
    run.save_checkpoint(path, variables(1), {})
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    run.save_checkpoint(path, variables(), STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    others = variables(1)
    with pytest.raises(TrainingError, match="Expected a checkpoint at"):
        run.restore_checkpoint(path, others)
    assert bits(others) == bits(variables(1))


def test_an_altered_file_is_refused(path: Path) -> None:
    """A bit of the first array flipped."""
    content = bytearray(path.read_bytes())
    at = content.index(variables()[0].numpy().tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="CRC"):
        run.restore_checkpoint(path, variables())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"])
def test_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(TrainingError, match=r"x\.npz"):
        run.restore_checkpoint(tmp_path / "x.npz", variables())


def test_a_lone_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(TrainingError, match=r"x\.npz"):
        run.restore_checkpoint(tmp_path / "x.npz", variables())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="No such file"):
        run.restore_checkpoint(tmp_path / "x.npz", variables())


def test_another_models_is_refused(path: Path) -> None:
    others = variables(1)
    with pytest.raises(TrainingError, match="of another recipe"):
        run.restore_checkpoint(path, others[:-1])
    swapped = [others[1], others[0], *others[2:]]
    with pytest.raises(TrainingError, match="other shapes"):
        run.restore_checkpoint(path, swapped)
    assert bits(others) == bits(variables(1))
