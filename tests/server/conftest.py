"""Servers of the library of twelve (tests/library/shelf.py): in this process, and as `musiczoo serve`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", exc_type=ImportError)
pytest.importorskip("httpx")

sys.path.append(str(Path(__file__).parents[1] / "library"))

import shelf
from asking import Client, client
from serving import Server, serving

import musiczoo
from musiczoo.library import Library


@pytest.fixture(scope="session")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the twelve as audio files in ``music``, and their library ``music.db``. Read only."""
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
def ask(library: Library) -> Client:
    """A client of a server without a token."""
    return client(library)


@pytest.fixture(scope="session")
def serve(toy_folder: Path) -> Callable[..., Server]:
    """A function that starts `musiczoo serve`: ``with serve(library, "--token-file", file) as server:``."""

    def start(library: Path, *options: object) -> Server:
        return serving(library, "--model", toy_folder, *options)

    return start
