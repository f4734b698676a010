"""Fixtures, made with `shelf`."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import shelf
from counting import CONFIG, Counting
from toy import music, write_audio

import musiczoo
from musiczoo.library.database import Database


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """faiss's threads wait for each other in a loop: on a busy machine, that is most of what they do."""
    if find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(1)


@pytest.fixture
def music_folder(tmp_path: Path) -> Path:
    """A folder with the twelve as short audio files, and one that is not audio."""
    shelf.write_music(tmp_path / "music")
    return tmp_path / "music"


@pytest.fixture
def library_path(tmp_path: Path) -> Path:
    """A library of the twelve, whose files do not exist unless `music_folder` is requested first."""
    return shelf.write_library(tmp_path / "library.db", tmp_path / "music")


@pytest.fixture
def database(library_path: Path) -> Iterator[Database]:
    """That library, opened for writing."""
    with Database.open(library_path, write=True) as opened:
        yield opened


@pytest.fixture
def model(toy: musiczoo.Model) -> Any:
    return Counting(toy)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Four songs in two folders."""
    folder = tmp_path / "songs"
    for i, name in enumerate(("a/1.flac", "a/2.wav", "b/3.ogg", "b/4.flac")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_audio(folder / name, music(4 + 3 * i, seed=i))
    return folder


@pytest.fixture
def empty(tmp_path: Path) -> Any:
    """A library without tracks."""
    with Database.create(tmp_path / "library.db", CONFIG) as opened:
        yield opened
