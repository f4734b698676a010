"""Servers of the library of twelve (tests/library/shelf.py): in this process, and as `musiczoo serve`."""

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import musiczoo
from musiczoo.library import Library

if TYPE_CHECKING:
    from asking import Client
    from serving import Server

sys.path.append(str(Path(__file__).parents[1] / "library"))

if not all(map(find_spec, ("fastapi", "httpx", "uvicorn", "watchfiles"))):
    collect_ignore_glob = ["test_*.py"]  # the extra [serve] is not installed


@pytest.fixture(scope="session")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the twelve as audio files in ``music``, and their library ``music.db``. Read only."""
    import shelf

    folder = tmp_path_factory.mktemp("shelves").resolve()
    shelf.write_music(folder / "music")
    shelf.write_library(folder / "music.db", folder / "music")
    return folder


@pytest.fixture(scope="session")
def library(shelves: Path, toy: musiczoo.Model) -> Iterator[Library]:
    """Their library, opened as the server opens it."""
    with Library.open(shelves / "music.db", toy) as opened:
        yield opened


@pytest.fixture(scope="session")
def ask(library: Library) -> "Client":
    """A client of a server without a token."""
    from asking import client

    return client(library)


@pytest.fixture(scope="session")
def serve(toy_folder: Path) -> "Callable[..., Server]":
    """A function that starts `musiczoo serve`: ``with serve(library, "--token-file", file) as server:``."""
    from serving import serving

    def start(library: Path, *options: object) -> Any:
        return serving(library, "--model", toy_folder, *options)

    return start
