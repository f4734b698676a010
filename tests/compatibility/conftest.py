"""Fixtures: the data, in the working folder of a test."""

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder: the paths in the golden answers are relative to it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
