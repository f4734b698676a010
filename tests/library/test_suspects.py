"""Files that were under way when a process died: guilty or not, they do not stop the next run."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import kills
import poison
import pytest
from listening import FACTS, fresh, run
from toy import CARD, music, write_audio, write_model

from musiczoo.library import underway
from musiczoo.library.database import Database
from musiczoo.library.hearing import look
from musiczoo.library.library import Library
from musiczoo.library.worker import Job


@pytest.fixture
def killer(songs: Path) -> Path:
    """A file that kills its decoder, among four songs."""
    return write_audio(songs / "a" / "poison.wav", music(5, seed=11))


@pytest.fixture
def alone(toy_folder: Path) -> Job:
    """Processes that listen, and die of poison."""
    return Job(str(toy_folder), FACTS, poison.hear)


def suspect(database: Database, *paths: Path, deaths: int = 1) -> None:
    """Leave what processes leave that die while they hear these."""
    for path in paths * deaths:
        underway.begin(database, look(str(path)))


def index_dying(songs: Path, library: Path, model: Path) -> int:
    """A run of which poison is the death; its exit code."""
    command = [sys.executable, poison.__file__, str(songs), str(library), str(model)]
    return subprocess.run(command, capture_output=True).returncode


def test_a_run_after_a_crash_ends_as_if_nothing_had_been(
    songs: Path, killer: Path, toy_folder: Path, model: Any, tmp_path: Path
) -> None:
    path = tmp_path / "library.db"
    assert index_dying(songs, path, toy_folder) == -signal.SIGSEGV
    with Library.open(path) as library:
        left = underway.suspects(library.database)
        assert str(killer) in {seen.path for seen in left}
        assert set(left.values()) == {1}
        assert library.stats()["tracks"] == len(library) < 5
        assert library.verify() == library.failures() == []
    assert (
        index_dying(songs, path, toy_folder) == 0
    )  # it still dies of poison, but leaves it to a child, which does not
    assert kills.content(path) == fresh(tmp_path, model, songs)
    assert len(kills.content(path)["tracks"]) == 5


def test_poison_becomes_a_failure_and_is_left_alone(
    empty: Database, model: Any, songs: Path, killer: Path, alone: Job, tmp_path: Path
) -> None:
    suspect(empty, killer, songs / "b" / "3.ogg")
    assert run(empty, model, songs, alone=alone) == {"added": 4, "failed": 1}
    assert sorted(model.heard) == ["1.flac", "2.wav", "4.flac"]  # the others by children
    (failure,) = empty.failures()
    assert (failure.path, failure.size, failure.kind) == (str(killer), killer.stat().st_size, "DecoderDied")
    assert "SIGSEGV" in failure.reason
    assert underway.suspects(empty) == {}
    assert run(empty, model, songs) == {"unchanged": 4, "failed": 1}
    killer.unlink()
    assert run(empty, model, songs) == {"unchanged": 4}
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_suspects_that_are_known_are_not_heard(
    empty: Database, model: Any, songs: Path, killer: Path, alone: Job, tmp_path: Path
) -> None:
    run(empty, model, songs)
    model.heard.clear()
    copy, moved = songs / "b" / "poison.wav", songs / "b" / "moved.flac"
    shutil.copy(killer, copy)
    (songs / "a" / "1.flac").rename(moved)
    os.utime(songs / "a" / "2.wav", ns=(10**18, 10**18))
    suspect(empty, copy, moved, songs / "a" / "2.wav")
    assert run(empty, model, songs, alone=alone) == {"added": 1, "moved": 1, "unchanged": 4}
    assert model.heard == []
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_a_loaded_model_hears_suspects_here_and_last_until_three_have_died(
    empty: Database, model: Any, songs: Path, tmp_path: Path
) -> None:
    once, twice, thrice = songs / "a" / "2.wav", songs / "a" / "1.flac", songs / "b" / "3.ogg"
    suspect(empty, once)
    suspect(empty, twice, deaths=2)
    suspect(empty, thrice, deaths=3)
    assert run(empty, model, songs, workers=1) == {"added": 3, "failed": 1}
    assert model.heard == ["4.flac", "2.wav", "1.flac"]
    (failure,) = empty.failures()
    assert (failure.path, failure.kind) == (str(thrice), "DecoderDied")
    assert "3 processes died" in failure.reason
    os.utime(thrice)
    assert run(empty, model, songs) == {"added": 1, "unchanged": 3}
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_a_file_that_was_replaced_is_not_suspected(empty: Database, model: Any, songs: Path, tmp_path: Path) -> None:
    suspect(empty, songs / "a" / "1.flac", deaths=3)
    write_audio(songs / "a" / "1.flac", music(6, seed=12))
    assert run(empty, model, songs) == {"added": 4}
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_ctrl_c_makes_nobody_more_suspect(empty: Database, model: Any, songs: Path) -> None:
    class Interrupted:
        card = model.card

        def analyze(self, path: str, **options: Any) -> Any:
            raise KeyboardInterrupt

    suspect(empty, songs / "a" / "1.flac")
    for folder in (songs / "a", songs / "b"):
        with pytest.raises(KeyboardInterrupt):
            run(empty, Interrupted(), folder, workers=2)
    assert underway.suspects(empty) == {look(str(songs / "a" / "1.flac")): 1}
    (songs / "a" / "2.wav").unlink()
    with pytest.raises(KeyboardInterrupt):
        run(empty, Interrupted(), songs / "a")
    assert underway.suspects(empty) == {look(str(songs / "a" / "1.flac")): 1}


def test_suspects_are_forgotten_where_somebody_looked(empty: Database, model: Any, songs: Path) -> None:
    run(empty, model, songs)
    write_audio(songs / "a" / "gone.wav", music(3))
    suspect(empty, songs / "a" / "gone.wav", songs / "a" / "1.flac", songs / "b" / "3.ogg")
    (songs / "a" / "gone.wav").unlink()
    assert run(empty, model, songs / "a") == {"unchanged": 2}
    assert [seen.path for seen in underway.suspects(empty)] == [str(songs / "b" / "3.ogg")]


def test_names_that_are_no_text_can_be_suspected(empty: Database, model: Any, songs: Path) -> None:
    name = Path(os.fsdecode(os.fsencode(songs) + b"/\xff.wav"))
    (songs / "a" / "2.wav").rename(name)
    suspect(empty, name)
    assert list(underway.suspects(empty)) == [look(str(name))]
    assert run(empty, model, songs) == {"added": 4}
    assert underway.suspects(empty) == {}


def test_a_new_version_of_the_model_hears_suspects(toy_folder: Path, songs: Path, tmp_path: Path) -> None:
    newer = write_model(tmp_path / "newer", dataclasses.replace(CARD, version="2"))
    Library.begin(tmp_path / "library.db", toy_folder).close()
    with Database.open(tmp_path / "library.db", write=True) as database:
        suspect(database, songs / "a" / "1.flac")
    with Library.open(tmp_path / "library.db") as library:
        assert library.index(songs / "a", model=newer, progress=False).added == 2
