"""A zoo to call the command line in."""

from pathlib import Path

import pytest


@pytest.fixture
def home(toy_folder: Path, tmp_path: Path) -> Path:
    """A home whose zoo holds the toy model."""
    (tmp_path / "home" / "zoo").mkdir(parents=True)
    (tmp_path / "home" / "zoo" / "toy").symlink_to(toy_folder)
    return tmp_path / "home"
