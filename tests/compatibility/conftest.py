"""Fixtures: the data, in the working folder of a test, and the models of the time when they were made."""

from pathlib import Path

import golden
import pytest

from musiczoo import registry

WEIGHTS = golden.DATA / "weights"
"""Models whose weights have been replaced since."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder: the paths in the golden answers are relative to it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def weights_of_then(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models that come with musiczoo, with their weights of version 0.1.0."""
    zoo = tmp_path_factory.mktemp("then") / "zoo"
    zoo.mkdir()
    for folder in registry.packaged_zoo().iterdir():
        if folder.is_dir():
            (zoo / folder.name).symlink_to(next(path for path in (WEIGHTS / folder.name, folder) if path.is_dir()))
    monkeypatch.setattr(registry, "packaged_zoo", lambda: zoo)
