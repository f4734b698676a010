"""Files in progress when a process died: they do not stop the next run, whether they caused the crash or not."""

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
from counting import CONFIG, fresh, run
from toy import CARD, music, write_audio, write_model

from musiczoo.library.database import Database
from musiczoo.library.indexing import files_in_progress, start_file
from musiczoo.library.library import Library
from musiczoo.library.worker import Job, stat_file


@pytest.fixture
def killer(songs: Path) -> Path:
    """A file that crashes its decoder, among four songs."""
    return write_audio(songs / "a" / "poison.wav", music(5, seed=11))


@pytest.fixture
def isolated(toy_folder: Path) -> Job:
    """Worker processes that die of poison."""
    return Job(str(toy_folder), CONFIG, poison.analyze)


def leave_in_progress(database: Database, *paths: Path, deaths: int = 1) -> None:
    """Leave files in progress, as processes do that die while they analyze them."""
    for path in paths * deaths:
        start_file(database, stat_file(str(path)))


def index_dying(songs: Path, library: Path, model: Path) -> int:
    """Run an index that dies of poison, and return its exit code."""
    command = [sys.executable, poison.__file__, str(songs), str(library), str(model)]
    return subprocess.run(command, capture_output=True).returncode


def test_a_run_after_a_crash_gives_the_same_library(
    songs: Path, killer: Path, toy_folder: Path, model: Any, tmp_path: Path
) -> None:
    path = tmp_path / "library.db"
    assert index_dying(songs, path, toy_folder) == -signal.SIGSEGV
    with Library.open(path) as library:
        left = files_in_progress(library.database)
        assert str(killer) in {seen.path for seen in left}
        assert set(left.values()) == {1}
        assert library.stats()["tracks"] == len(library) < 5
        assert library.verify() == library.failures() == []
    assert (
        index_dying(songs, path, toy_folder) == 0
    )  # it still dies of poison, but leaves it to a child, which does not
    assert kills.content(path) == fresh(tmp_path, model, songs)
    assert len(kills.content(path)["tracks"]) == 5


def test_a_file_that_crashes_the_decoder_becomes_a_failure(
    empty: Database, model: Any, songs: Path, killer: Path, isolated: Job, tmp_path: Path
) -> None:
    leave_in_progress(empty, killer, songs / "b" / "3.ogg")
    assert run(empty, model, songs, isolated=isolated) == {"added": 4, "failed": 1}
    assert sorted(model.analyzed) == ["1.flac", "2.wav", "4.flac"]  # the others by children
    (failure,) = empty.failures()
    assert (failure.path, failure.size, failure.kind) == (str(killer), killer.stat().st_size, "DecoderDied")
    assert "SIGSEGV" in failure.reason
    assert files_in_progress(empty) == {}
    assert run(empty, model, songs) == {"unchanged": 4, "failed": 1}
    killer.unlink()
    assert run(empty, model, songs) == {"unchanged": 4}
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_files_in_progress_that_are_known_are_not_analyzed(
    empty: Database, model: Any, songs: Path, killer: Path, isolated: Job, tmp_path: Path
) -> None:
    run(empty, model, songs)
    model.analyzed.clear()
    copy, moved = songs / "b" / "poison.wav", songs / "b" / "moved.flac"
    shutil.copy(killer, copy)
    (songs / "a" / "1.flac").rename(moved)
    os.utime(songs / "a" / "2.wav", ns=(10**18, 10**18))
    leave_in_progress(empty, copy, moved, songs / "a" / "2.wav")
    assert run(empty, model, songs, isolated=isolated) == {"added": 1, "moved": 1, "unchanged": 4}
    assert model.analyzed == []
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_without_a_worker_files_in_progress_come_last_and_fail_after_three_crashes(
    empty: Database, model: Any, songs: Path, tmp_path: Path
) -> None:
    once, twice, thrice = songs / "a" / "2.wav", songs / "a" / "1.flac", songs / "b" / "3.ogg"
    leave_in_progress(empty, once)
    leave_in_progress(empty, twice, deaths=2)
    leave_in_progress(empty, thrice, deaths=3)
    assert run(empty, model, songs, workers=1) == {"added": 3, "failed": 1}
    assert model.analyzed == ["4.flac", "2.wav", "1.flac"]
    (failure,) = empty.failures()
    assert (failure.path, failure.kind) == (str(thrice), "DecoderDied")
    assert "3 processes died" in failure.reason
    os.utime(thrice)
    assert run(empty, model, songs) == {"added": 1, "unchanged": 3}
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_a_replaced_file_is_not_in_progress(empty: Database, model: Any, songs: Path, tmp_path: Path) -> None:
    leave_in_progress(empty, songs / "a" / "1.flac", deaths=3)
    write_audio(songs / "a" / "1.flac", music(6, seed=12))
    assert run(empty, model, songs) == {"added": 4}
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_ctrl_c_leaves_no_files_in_progress(empty: Database, model: Any, songs: Path) -> None:
    class Interrupted:
        card = model.card

        def analyze(self, path: str, **options: Any) -> Any:
            raise KeyboardInterrupt

    leave_in_progress(empty, songs / "a" / "1.flac")
    for folder in (songs / "a", songs / "b"):
        with pytest.raises(KeyboardInterrupt):
            run(empty, Interrupted(), folder, workers=2)
    assert files_in_progress(empty) == {stat_file(str(songs / "a" / "1.flac")): 1}
    (songs / "a" / "2.wav").unlink()
    with pytest.raises(KeyboardInterrupt):
        run(empty, Interrupted(), songs / "a")
    assert files_in_progress(empty) == {stat_file(str(songs / "a" / "1.flac")): 1}


def test_files_in_progress_are_cleared_in_scanned_folders(empty: Database, model: Any, songs: Path) -> None:
    run(empty, model, songs)
    write_audio(songs / "a" / "gone.wav", music(3))
    leave_in_progress(empty, songs / "a" / "gone.wav", songs / "a" / "1.flac", songs / "b" / "3.ogg")
    (songs / "a" / "gone.wav").unlink()
    assert run(empty, model, songs / "a") == {"unchanged": 2}
    assert [seen.path for seen in files_in_progress(empty)] == [str(songs / "b" / "3.ogg")]


def test_names_that_are_not_text_can_be_in_progress(empty: Database, model: Any, songs: Path) -> None:
    name = Path(os.fsdecode(os.fsencode(songs) + b"/\xff.wav"))
    (songs / "a" / "2.wav").rename(name)
    leave_in_progress(empty, name)
    assert list(files_in_progress(empty)) == [stat_file(str(name))]
    assert run(empty, model, songs) == {"added": 4}
    assert files_in_progress(empty) == {}


def test_a_new_version_of_the_model_analyzes_files_in_progress(toy_folder: Path, songs: Path, tmp_path: Path) -> None:
    newer = write_model(tmp_path / "newer", dataclasses.replace(CARD, version="2"))
    Library.open_or_create(tmp_path / "library.db", toy_folder).close()
    with Database.open(tmp_path / "library.db", write=True) as database:
        leave_in_progress(database, songs / "a" / "1.flac")
    with Library.open(tmp_path / "library.db") as library:
        assert library.index(songs / "a", model=newer, progress=False).added == 2
