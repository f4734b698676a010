"""``import musiczoo`` is cheap, and running a model needs no training framework."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import musiczoo

HEAVY = {"numpy", "onnxruntime", "soundfile", "soxr", "av", "rich", "typer"}
MAKE_ONLY = {"tensorflow", "keras", "librosa", "tf2onnx", "onnx", "scipy", "sklearn", "matplotlib"}


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running `code`."""
    script = f"{code}\nimport json, sys; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy() -> None:
    assert loaded_after("import musiczoo") & (HEAVY | MAKE_ONLY) == set()


def test_listing_models_runs_no_model() -> None:
    assert loaded_after("import musiczoo; musiczoo.list_models()") & (HEAVY | MAKE_ONLY) == set()


def test_running_a_model_needs_no_training_framework(toy_folder: Path, tmp_path: Path) -> None:
    code = f"""
import numpy, musiczoo
model = musiczoo.load({str(toy_folder)!r})
model.analyze(numpy.zeros(100_000), sample_rate=22050).tags.top(3)
"""
    loaded = loaded_after(code)
    assert "onnxruntime" in loaded
    assert loaded & MAKE_ONLY == set()


@pytest.mark.parametrize("name", musiczoo.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(musiczoo, name) is not None
    assert name in dir(musiczoo)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        musiczoo.nonsense  # noqa: B018
