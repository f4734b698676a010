"""SIGTERM ends a command in order: what was done is kept, what was begun is taken back."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import kills
import pytest

from musiczoo.library.database import Database
from musiczoo.library.indexing import files_in_progress
from musiczoo.library.locks import WriterLock


def terminated(ready: Callable[[], bool], *arguments: object, before: str = "pass") -> str:
    """Run a command until it is `ready`, and terminate it: what it says last.

    Args:
        ready: Asked again and again.
        arguments: Of the command.
        before: Code to run before it.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; {before}; from musiczoo.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not ready():
            time.sleep(0.01)
        process.terminate()
        _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "Traceback" not in errors
    return errors.splitlines()[-1]


def test_index(tmp_path: Path, toy_folder: Path) -> None:
    music, library = kills.write_music(tmp_path / "music", 100), tmp_path / "library.db"

    def some() -> bool:
        if not library.exists():
            return False
        with Database.open(library) as database:
            return len(database) > 1

    arguments = ("index", music, "--library", library, "--model", toy_folder)
    assert terminated(some, *arguments) == "Terminated."
    assert not Path(f"{library}-wal").exists()  # closed in order
    with Database.open(library) as database:
        assert 1 < len(database) < 101
        assert files_in_progress(database) == {}
        assert database.rows("PRAGMA integrity_check") == [("ok",)]


def test_index_that_waits_for_another(tmp_path: Path, toy_folder: Path) -> None:
    music, library = kills.write_music(tmp_path / "music", 4), tmp_path / "library.db"
    lock = WriterLock(library)
    waiting = time.monotonic() + 4
    arguments = ("index", music, "--library", library, "--model", toy_folder, "--wait")
    assert terminated(lambda: time.monotonic() > waiting, *arguments) == "Terminated."
    lock.release()
    assert not library.exists()


@pytest.mark.train
def test_train(tmp_path: Path) -> None:
    """A run without end, in its second epoch or a later one."""
    pytest.importorskip("tensorflow")
    import tiny_run

    from musiczoo.models.run import read_checkpoint

    data, run = tiny_run.write_store(tmp_path / "data").root, tmp_path / "run"
    recipe = tmp_path / "recipe.toml"
    teachers = ", ".join(f'"{name}"' for name in tiny_run.TEACHERS)
    recipe.write_text(f'model = "classification"\nwidth = 16\nbatch = 8\nepochs = 9999\nteachers = [{teachers}]\n')
    shallow = "import tiny_run; from musiczoo.models import architectures; architectures.encode = tiny_run.shallow"
    arguments = ("train", "--data", data, "--out", run, "--recipe", recipe)
    assert terminated((run / "checkpoint.npz").exists, *arguments, before=shallow) == "Terminated."
    _, state = read_checkpoint(run / "checkpoint.npz")
    assert len(state["history"]) >= 1
    assert list(run.glob("*.partial")) == []
    assert not (run / "result.json").exists()
