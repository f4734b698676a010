"""Several workers: they overlap, do not run ahead of the writer, and do not change the result."""

import random
import threading
import time
from pathlib import Path
from typing import Any

import kills
import pytest
from counting import CONFIG, run

import musiczoo
from musiczoo._parallel import AHEAD
from musiczoo.errors import InputError
from musiczoo.library.database import Database
from musiczoo.track import Track


def test_result_depends_neither_on_workers_nor_on_their_order(tmp_path: Path, toy: musiczoo.Model) -> None:
    folder = kills.write_music(tmp_path / "music", 12)
    moments = random.Random(1)

    class Unpunctual:
        card = toy.card

        def analyze(self, path: str, **options: Any) -> Track:
            time.sleep(moments.uniform(0, 0.02))
            return toy.analyze(path, **options)

    contents = []
    for i, (workers, model) in enumerate([(1, toy), (2, toy), (5, Unpunctual()), (16, Unpunctual())]):
        with Database.create(tmp_path / f"{i}.db", CONFIG) as database:
            assert run(database, model, folder, workers=workers) == {"added": 13, "failed": 3}
        contents.append(kills.content(tmp_path / f"{i}.db"))
    assert all(content == contents[0] for content in contents)


def test_few_files_are_in_progress_at_a_time(empty: Database, tmp_path: Path, toy: musiczoo.Model) -> None:
    """While the writer waits, the workers do not run ahead."""
    folder = kills.write_music(tmp_path / "music", 24)
    started: list[str] = []
    ahead = 0

    class Model:
        card = toy.card

        def analyze(self, path: str, **options: Any) -> Track:
            started.append(path)
            return toy.analyze(path, **options)

    add = empty.add

    def slow(entry: Any) -> None:
        nonlocal ahead
        time.sleep(0.01)
        ahead = max(ahead, len(started) - len(empty))
        add(entry)

    empty.add = slow  # type: ignore[method-assign]
    run(empty, Model(), folder, workers=2)
    assert ahead <= AHEAD * 2 + len(kills.BROKEN)


def test_analysis_of_one_runs_beside_that_of_another(empty: Database, songs: Path, toy: musiczoo.Model) -> None:
    """Two workers meet: each waits in the model until the other is there, too."""
    both = threading.Barrier(2, timeout=20)

    class Model:
        card = toy.card

        def analyze(self, path: str, **options: Any) -> Track:
            both.wait()
            return toy.analyze(path, **options)

    assert run(empty, Model(), songs, workers=2) == {"added": 4}


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2"])
def test_workers_are_a_positive_number(empty: Database, model: Any, songs: Path, workers: Any) -> None:
    with pytest.raises(InputError, match="workers from 1"):
        run(empty, model, songs, workers=workers)
