"""Indexing interrupted by Ctrl-C, by SIGKILL or by a full disk."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import kills
import pytest
from counting import fresh, run

from musiczoo.errors import LibraryError
from musiczoo.library.database import Database
from musiczoo.library.indexing import files_in_progress


def test_interrupt_keeps_what_was_done(empty: Database, model: Any, songs: Path, tmp_path: Path) -> None:
    add, done = empty.add, []

    def interrupted(entry: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        add(entry)
        done.append(entry)

    empty.add = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(empty, model, songs, workers=2)
    assert len(empty) == 2
    assert files_in_progress(empty) == {}
    empty.add = add  # type: ignore[method-assign]
    assert run(empty, model, songs) == {"added": 2, "unchanged": 2}
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_ctrl_c_ends_a_process_cleanly(tmp_path: Path, toy_folder: Path) -> None:
    folder, library = kills.write_music(tmp_path / "music", 300), tmp_path / "library.db"
    with subprocess.Popen(kills.command(folder, library, str(toy_folder), 2), stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            if library.exists():
                with Database.open(library) as database:
                    if len(database) > 1:
                        process.send_signal(signal.SIGINT)
                        break
            time.sleep(0.01)
        errors = process.communicate()[1].decode()
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert not Path(f"{library}-wal").exists()  # closed in order
    with Database.open(library) as database:
        assert 1 < len(database) < 301
        assert database.rows("PRAGMA integrity_check") == [("ok",)]
        assert files_in_progress(database) == {}


def test_kills_leave_what_an_undisturbed_run_leaves(tmp_path: Path, toy_folder: Path) -> None:
    """SIGKILL at random moments of the writing, several times for one library; `kills` does it more often."""
    folder, library, model = kills.write_music(tmp_path / "music"), tmp_path / "library.db", str(toy_folder)
    kills.run(folder, tmp_path / "undisturbed.db", model, 2)
    left = [kills.killed(folder, library, model, 2, tracks) for tracks in (3, 9, 17)]
    assert 3 <= left[0] <= left[1] <= left[2]  # nothing that was there is lost
    kills.run(folder, library, model, 1)
    assert kills.content(library) == kills.content(tmp_path / "undisturbed.db")


def test_full_disk_ends_the_run_with_what_was_done(empty: Database, model: Any, tmp_path: Path) -> None:
    folder = kills.write_music(tmp_path / "music", 24)
    empty._connection.execute("PRAGMA max_page_count = 16")
    with pytest.raises(LibraryError, match="Free disk space"):
        run(empty, model, folder)
    assert 0 < len(empty) < 25
    empty._connection.execute("PRAGMA max_page_count = 100000")
    run(empty, model, folder)
    assert len(empty) == 25
    assert files_in_progress(empty) == {}
