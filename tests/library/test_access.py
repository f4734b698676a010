"""Access to a library's file: refused files, concurrent writers, and disk errors."""

import dataclasses
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import shelf

from musiczoo.errors import LibraryError
from musiczoo.library.database import Database
from musiczoo.library.sqlite import FORMAT


def test_files_that_are_not_libraries_are_refused(tmp_path: Path, library_path: Path) -> None:
    with pytest.raises(LibraryError, match="musiczoo index"):
        Database.open(tmp_path / "nothing.db")
    with pytest.raises(LibraryError, match="a folder"):
        Database.open(tmp_path)
    text = tmp_path / "text.db"
    text.write_text("This is a text, and long enough to hold what SQLite would look for in its header." * 20)
    with pytest.raises(LibraryError, match="not a database"):
        Database.open(text, write=True)
    assert text.read_text().startswith("This is a text")
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE t(x)").connection.close()
    for path in (other, tmp_path / "empty.db"):
        path.touch()
        with pytest.raises(LibraryError, match="another database"):
            Database.open(path)
    connection = sqlite3.connect(library_path)
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    with pytest.raises(LibraryError, match=rf"newer than {FORMAT}.*Update musiczoo"):
        Database.open(library_path)
    with pytest.raises(LibraryError, match="exists already"):
        Database.create(library_path, shelf.CONFIG)


def test_reader_may_not_write(library_path: Path) -> None:
    with Database.open(library_path) as database:
        with pytest.raises(LibraryError, match="opened for reading"):
            database.remove(1)
        assert len(database) == 12


def test_readers_see_what_a_writer_has_committed(database: Database, library_path: Path) -> None:
    with Database.open(library_path) as reader:
        database.remove(1)
        assert len(reader) == 11
        with database.transaction():
            database.remove(2)
            assert len(reader) == 11
        assert len(reader) == 10


def test_library_on_a_read_only_disk_can_be_read(library_path: Path) -> None:
    (library_path.parent / f"{library_path.name}.lock").unlink()
    library_path.chmod(0o444)
    library_path.parent.chmod(0o555)
    try:
        with Database.open(library_path) as database:
            assert len(database) == 12
        if not os.access(library_path.parent, os.W_OK):  # the system's administrator may write all the same
            with pytest.raises(LibraryError, match="writ"):
                Database.open(library_path, write=True)
    finally:
        library_path.parent.chmod(0o755)


_HOLD = """
import sys
from musiczoo.library.database import Database
from musiczoo.library.sqlite import FORMAT
with Database.open(sys.argv[1], write=True):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_gets_the_name_of_the_first_or_waits(library_path: Path) -> None:
    with pytest.raises(LibraryError, match=f"process {os.getpid()} "), Database.open(library_path, write=True):
        Database.open(library_path, write=True)
    command = [sys.executable, "-c", _HOLD, str(library_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        with pytest.raises(LibraryError, match=f"process {holder.pid} is writing to it"):
            Database.open(library_path, write=True)
        with Database.open(library_path) as reader:
            assert len(reader) == 12
        entered = threading.Event()

        def wait() -> None:
            with Database.open(library_path, write=True, wait=True):
                entered.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not entered.wait(0.2)
        holder.kill()  # its lock dies with it
        assert entered.wait(20)
        waiter.join()


def test_creation_succeeds_after_an_interrupted_one(tmp_path: Path) -> None:
    (tmp_path / "library.db.partial").write_bytes(b"half a library")
    (tmp_path / "library.db.partial-journal").write_bytes(b"and its journal")
    with Database.create(tmp_path / "library.db", shelf.CONFIG) as database:
        assert len(database) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library.db", "library.db.lock"]


@pytest.mark.parametrize("name", ["a?b %41#c.db", "ünï.db", "no\udcffutf8.db", "noending"])
def test_a_library_may_have_any_name(tmp_path: Path, name: str) -> None:
    shelf.write_library(tmp_path / name, tmp_path / "music")
    with Database.open(tmp_path / name) as database:
        assert len(database) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}.lock"])


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="No such file"):
        Database.create(tmp_path / "missing" / "library.db", shelf.CONFIG)


def test_a_full_disk_is_reported_and_loses_nothing(tmp_path: Path) -> None:
    """SQLite's own limit on the pages of a file gives the same error as a full disk."""
    template = shelf.entries(tmp_path)[0]
    with Database.create(tmp_path / "library.db", shelf.CONFIG) as database:
        database.add(template)
        database._connection.execute("PRAGMA max_page_count = 12")

        def fill() -> None:
            for i in range(100):
                database.add(dataclasses.replace(template, path=f"/m/{i}.wav"))

        with pytest.raises(LibraryError, match=r"full.*Free disk space.*tracks already written are kept"):
            fill()
        kept = len(database)
        assert kept > 1
        assert database.rows("PRAGMA integrity_check") == [("ok",)]
    with Database.open(tmp_path / "library.db") as database:
        assert len(database) == kept


def test_a_damaged_file_is_reported(library_path: Path) -> None:
    raw = bytearray(library_path.read_bytes())
    raw[4096 : 4096 * 4] = os.urandom(4096 * 3)
    library_path.write_bytes(raw)
    with pytest.raises(LibraryError, match="restore it from a copy"):
        Database.open(library_path)
