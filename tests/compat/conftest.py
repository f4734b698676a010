"""`make compat` runs these tests, in environments of older TensorFlows; `make test` passes them by."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

collect_ignore_glob = [] if importlib.util.find_spec("tensorflow_io") else ["test_*.py"]

REFERENCE = Path(__file__).parents[2] / "build" / "compat"
"""What `reference.py` wrote with a current TensorFlow."""


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray]:
    """Excerpts, and what the current environment makes of them."""
    with np.load(REFERENCE / "reference.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def saved_model() -> Path:
    """A SavedModel that the current environment exported."""
    return REFERENCE / "saved_model"
