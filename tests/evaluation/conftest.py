"""Fixtures: see `prepared`."""

from pathlib import Path

import pytest
from prepared import write_store

from musiczoo.datasets.prepared import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A small prepared data set, made for each test."""
    return write_store(tmp_path / "data")
