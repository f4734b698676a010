"""One tiny training run, shared by the tests that look at it."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny prepared and labelled data set. Copy before changing anything."""
    from tiny_run import write_store

    return write_store(tmp_path_factory.mktemp("tiny") / "data").root


@pytest.fixture(scope="session")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run that nothing disturbed. Copy before changing anything."""
    from rich.console import Console
    from tiny_run import RECIPE

    from musiczoo.models.trainer import train

    out = tmp_path_factory.mktemp("finished") / "run"
    train(RECIPE, data, out, Console(quiet=True))
    return out
