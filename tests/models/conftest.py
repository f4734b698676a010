"""One tiny training run, shared by the tests that look at it, and an encoder of one block for it.

A step of all six blocks takes most of its seconds to trace. A module that needs them says ``ALL_BLOCKS = True``.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest


def importable(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True


@pytest.fixture(scope="module", autouse=True)
def encoder_blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Build encoders of one block, unless the module needs all."""
    if getattr(request.module, "ALL_BLOCKS", False) or not importable("tensorflow"):
        yield
    else:
        from tiny_run import few_blocks

        with few_blocks():
            yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny prepared and labelled data set. Copy before changing anything."""
    from tiny_run import write_store

    return write_store(tmp_path_factory.mktemp("tiny") / "data").root


@pytest.fixture(scope="session")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run that nothing disturbed. Copy before changing anything."""
    from rich.console import Console
    from tiny_run import RECIPE, few_blocks

    from musiczoo.models.trainer import train

    out = tmp_path_factory.mktemp("finished") / "run"
    with few_blocks():  # fixtures of a session are made before those of a module
        train(RECIPE, data, out, Console(quiet=True))
    return out
