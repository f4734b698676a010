"""What is open in a process, used in its children: forked with threads about, or spawned."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shelf
from toy import CARD, SIZE, music, toy_answer, write_audio, write_model

import musiczoo
from musiczoo.errors import LibraryError, ModelFileError
from musiczoo.library.database import Database
from musiczoo.library.engines import FLAT, PQ, build
from musiczoo.library.library import Library

EXCERPTS = np.stack([music(3, seed=seed) for seed in range(4)])

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def in_a_fork(check: Callable[[], object]) -> None:
    """Call it in a fork, which may take a minute: then it hangs."""
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.alarm(60)
            check()
            code = 0
        finally:
            if code:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def alone(function: Callable[..., None], *arguments: object) -> None:
    """Call it in a new process: a fork of this one takes long, since it may have loaded TensorFlow."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(function, arguments)


@contextmanager
def elsewhere(work: Callable[[], object]) -> Iterator[None]:
    """Another thread does something all the time."""
    stop, begun = threading.Event(), threading.Event()

    def again() -> None:
        while not stop.is_set():
            work()
            begun.set()

    thread = threading.Thread(target=again)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def embedded(model: musiczoo.Model) -> Any:
    return model.embed(EXCERPTS)


@forks
@pytest.mark.parametrize("name", ["toy", "disentangled-classification"])
def test_a_model_in_a_fork(name: str, toy_folder: Path, tmp_path: Path) -> None:
    model = musiczoo.load(toy_folder if name == "toy" else name, threads=2)
    song = write_audio(tmp_path / "song.flac", music(20))
    expected, track = embedded(model), model.analyze(song)

    def check() -> None:
        assert np.array_equal(embedded(model), expected)
        assert np.array_equal(model.analyze(song).embedding, track.embedding)

    in_a_fork(check)
    with elsewhere(lambda: embedded(model)):
        for _ in range(5):
            in_a_fork(check)


@pytest.mark.parametrize("way", [way for way in ("fork", "spawn") if way in multiprocessing.get_all_start_methods()])
def test_a_model_in_a_pool(way: str, toy: musiczoo.Model) -> None:
    with multiprocessing.get_context(way).Pool(2) as pool:
        for answer in pool.map_async(embedded, [toy] * 4).get(120):
            assert np.abs(answer - toy_answer(EXCERPTS)[0]).max() < 1e-5


def test_a_pickled_model_is_the_same_or_none(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "toy")
    model = musiczoo.load(folder, threads=1)
    pickled = pickle.dumps(model)
    assert len(pickled) < 50_000  # its files stay where they are
    again = pickle.loads(pickled)
    assert again.card == model.card
    assert np.array_equal(embedded(again), embedded(model))
    write_model(folder, CARD, SIZE)  # as it was
    pickle.loads(pickled)
    write_model(folder, musiczoo.ModelCard.from_json(CARD.to_json().replace('"version": "1"', '"version": "2"')))
    with pytest.raises(ModelFileError, match=r"expected version 1 .* got version 2"):
        pickle.loads(pickled)


@forks
def test_a_library_in_a_fork(tmp_path: Path) -> None:
    """Also while one thread is inside SQLite to read, and another to open and close."""
    alone(search_in_forks, tmp_path)


def search_in_forks(folder: Path) -> None:
    path, music_folder = shelf.write_library(folder / "library.db", folder / "music"), folder / "music"
    query = str(shelf.paths(music_folder)[0])
    with Library.open(path) as library:

        def found() -> Any:
            return [(hit.path, hit.score) for hit in library.search(query, k=5)]

        expected = found()

        def check() -> None:
            assert found() == expected
            library.close()

        in_a_fork(check)
        with elsewhere(found), elsewhere(lambda: Database.open(path).close()):
            for _ in range(100):
                in_a_fork(check)
        assert found() == expected


@forks
def test_the_writer_stays_who_it_was(tmp_path: Path) -> None:
    path = shelf.write_library(tmp_path / "library.db", tmp_path / "music")
    with Database.open(path, write=True) as database:

        def check() -> None:
            assert len(database) == len(shelf.SONGS)
            with pytest.raises(LibraryError, match="opened for reading"):
                database.remove(1)
            with pytest.raises(LibraryError, match=f"process {os.getppid()} is writing"):
                Database.open(path, write=True)
            database.close()

        with database.transaction():
            database.remove(2)
            in_a_fork(check)
        assert len(database) == len(shelf.SONGS) - 1
        assert database.rows("PRAGMA integrity_check") == [("ok",)]


@forks
@pytest.mark.parametrize("name", [FLAT, PQ])
def test_faiss_in_a_fork(name: str) -> None:
    """With the threads that it had in the parent."""
    pytest.importorskip("faiss")
    alone(candidates_in_forks, name)


def candidates_in_forks(name: str) -> None:
    import faiss

    faiss.omp_set_num_threads(2)
    matrix = np.random.default_rng(0).standard_normal((50_000, 64)).astype(np.float32)
    engine = build(name, matrix)
    expected = np.sort(engine.candidates(matrix[0], 10))

    def check() -> None:
        assert np.array_equal(np.sort(engine.candidates(matrix[0], 10)), expected)
        build(name, matrix[::-1].copy()).candidates(matrix[0], 10)

    in_a_fork(check)
    assert faiss.omp_get_max_threads() == 2
