"""Libraries of older formats: read as they are, migrated when written to, complete even if that is interrupted.

files/format-1.db was made by the last version of musiczoo that wrote format 1: the twelve of `shelf` and a thirteenth.
files/format-2.db is the same library, migrated by the last version that wrote format 2.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shelf
from toy import music, write_audio

from musiczoo.errors import LibraryError
from musiczoo.library import Filters, Library, sqlite
from musiczoo.library.database import Database
from musiczoo.library.records import Entry

FILES = Path(__file__).parent / "files"
OLD_FORMATS = (1, 2)
NEW_FIELDS = {
    "album_artist": None, "artists": (), "warnings": (), "fingerprint": b"", "track_number": None,
    "recording_mbid": None, "release_mbid": None, "artist_mbids": (), "album_artist_mbids": (), "isrcs": (),
}  # fmt: skip


@pytest.fixture(params=OLD_FORMATS)
def made_by(request: pytest.FixtureRequest) -> int:
    """The format of the old library."""
    return int(request.param)


@pytest.fixture
def old(tmp_path: Path, made_by: int) -> Path:
    return Path(shutil.copy(FILES / f"format-{made_by}.db", tmp_path / "library.db"))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_rows(database: Database) -> None:
    """All that format 1 holds is there, and nothing else."""
    found = list(database.entries())
    assert [entry.id for entry in found] == list(range(1, 14))
    for entry, expected in zip(found, shelf.entries(Path("/music")), strict=False):
        for name in ("path", "hash", "duration_s", "excerpts", "title", "artist", "album", "genre", "year"):
            assert getattr(entry, name) == getattr(expected, name)
        np.testing.assert_array_equal(entry.embedding, expected.embedding)
        np.testing.assert_array_equal(entry.tags, expected.tags)
    for entry in found:
        assert {name: getattr(entry, name) for name in NEW_FIELDS} == NEW_FIELDS
    assert (found[12].path, found[12].artist, found[12].title) == ("/music/\udcff.mp3", "Anna; Böhm", None)
    assert database.revision() == 13
    assert [failure.reason for failure in database.failures()] == ["It is text."]
    assert database.rows("SELECT path, begun FROM underway") == [("/music/next.mp3", 1)]
    assert database.rows("PRAGMA integrity_check") == [("ok",)]


def use(path: Path) -> list[str]:
    """What a reader does with a library; the paths that a search gives."""
    with Library.open(path) as library:
        stats = library.stats()
        assert (stats["tracks"], stats["failures"], stats["with_warnings"]) == (13, 1, 0)
        assert library.warnings() == []
        assert all("gone" in problem for problem in library.verify())
        query = str(shelf.paths(Path("/music"))[0])
        assert len(library.search(query, filters=Filters(artist="BÖHM"))) == 5  # one of two artists counts, too
        return [hit.path for hit in library.search(query, per_artist=1, per_album=1)]


def test_it_is_of_that_format(made_by: int) -> None:
    file = FILES / f"format-{made_by}.db"
    with closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as connection:
        assert sqlite.format_of(connection) == made_by
        assert sqlite.objects(connection) == sqlite.expected_objects(made_by) != sqlite.expected_objects(made_by + 1)


def test_readers_do_not_change_it(old: Path, made_by: int) -> None:
    before = old.read_bytes()
    with Database.open(old) as database:
        check_rows(database)
    use(old)
    assert version(old) == made_by
    assert old.read_bytes() == before


def test_a_writer_migrates_it(old: Path) -> None:
    found = use(old)
    with Database.open(old, write=True) as database:
        check_rows(database)
    assert version(old) == 3
    with Database.open(old) as database:
        check_rows(database)
    assert use(old) == found
    with closing(sqlite3.connect(old)) as connection:
        assert sqlite.objects(connection) == sqlite.expected_objects(3)


def test_new_columns_are_written_to_a_migrated_file(old: Path) -> None:
    said: dict[str, Any] = {
        "album_artist": "Ä", "artists": ("Anna", "Bo\nhm"), "warnings": ("It ends early.",), "fingerprint": b"\0\1",
        "track_number": 7, "recording_mbid": "a" * 36, "release_mbid": "b" * 36, "artist_mbids": ("c" * 36, "d" * 36),
        "album_artist_mbids": ("e" * 36,), "isrcs": ("DEA123456789",),
    }  # fmt: skip
    entry = shelf.entries(Path("/music"))[2]
    with Database.open(old, write=True) as database:
        database.add(Entry(**{name: getattr(entry, name) for name in entry.__slots__} | said))
    with Database.open(old) as database:
        found = database.find(entry.path)
        assert found is not None
        assert {name: getattr(found, name) for name in said} == said | {"artists": ("Anna", "Bo hm")}
        assert len(database) == 13


def test_a_reader_continues_while_another_process_migrates_it(old: Path) -> None:
    with Database.open(old) as reader:
        check_rows(reader)
        code = f"from musiczoo.library.database import Database; Database.open({str(old)!r}, write=True).close()"
        subprocess.run([sys.executable, "-c", code], check=True)
        assert version(old) == 3
        check_rows(reader)


def test_an_open_library_sees_what_it_indexes_itself(old: Path, toy_folder: Path, tmp_path: Path) -> None:
    """Its connection was opened when the file was of format 1."""
    (tmp_path / "songs").mkdir()
    write_audio(tmp_path / "songs" / "short.wav", music(1))
    with Library.open(old, toy_folder) as library:
        assert library.index(tmp_path / "songs", progress=False).added == 1
        ((path, message),) = library.warnings()
        assert (Path(path).name, version(old)) == ("short.wav", 3)
        assert message.endswith(".")


class Interrupted(BaseException):
    pass


def test_an_interrupted_migration_leaves_it_as_it_was(old: Path, made_by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    columns_added = sqlite.columns_added

    class Failing(dict[str, str]):
        """Raises after a number of columns."""

        def items(self) -> Iterator[tuple[str, str]]:  # type: ignore[override]
            yield from list(super().items())[:2]
            raise Interrupted

    sqlite.expected_objects(made_by)  # it is cached: only the migration is to fail
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "columns_added", lambda *formats: Failing(columns_added(*formats)))
        with pytest.raises(Interrupted):
            Database.open(old, write=True)
    assert version(old) == made_by
    with Database.open(old, write=True) as database:  # the lock is free again
        check_rows(database)


_KILLED = """
import os, signal, sqlite3, sys
from musiczoo.library import sqlite
from musiczoo.library.database import Database
columns_added, left = sqlite.columns_added, int(sys.argv[2])
class Deadly(dict):
    def items(self):
        for i, item in enumerate(super().items()):
            if i == left:
                os.kill(os.getpid(), signal.SIGKILL)
            yield item
sqlite.expected_objects(int(sys.argv[3]))
sqlite.columns_added = lambda *formats: Deadly(columns_added(*formats))
Database.open(sys.argv[1], write=True)
"""


@pytest.mark.parametrize(
    ("made_by", "after"),
    [(made_by, after) for made_by in OLD_FORMATS for after in range(len(sqlite.columns_added(made_by)))],
    indirect=["made_by"],
)
def test_a_killed_migration_leaves_it_as_it_was(old: Path, made_by: int, after: int) -> None:
    killed = [sys.executable, "-c", _KILLED, str(old), str(after), str(made_by)]
    assert subprocess.run(killed, check=False).returncode == -9
    use(old)
    assert version(old) == made_by
    with Database.open(old, write=True) as database:
        check_rows(database)
    assert version(old) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_no_obstacle(old: Path) -> None:
    old.chmod(0o444)
    old.parent.chmod(0o555)
    try:
        with Database.open(old) as database:
            check_rows(database)
        with pytest.raises(LibraryError):
            Database.open(old, write=True)
    finally:
        old.parent.chmod(0o755)


def test_a_disk_that_refuses_writing_is_no_obstacle(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, too: the first connection fails as SQLite does on a read-only disk, and the immutable one is used."""
    from musiczoo.library import sqlite as library_sqlite

    real = library_sqlite._open

    def refuse(uri: str) -> sqlite3.Connection:
        opened = real(uri)
        if "mode=rw" in uri:
            opened.close()
            return _Refusing(":memory:")
        return opened

    monkeypatch.setattr(library_sqlite, "_open", refuse)
    with Database.open(old) as database:
        check_rows(database)
    assert not Path(f"{old}-wal").exists()


class _Refusing(sqlite3.Connection):
    def execute(self, *_: Any) -> Any:
        raise sqlite3.OperationalError("attempt to write a readonly database")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE tracks ADD COLUMN isrcs TEXT",  # of no format
        "PRAGMA user_version = 3",
        "PRAGMA user_version = 0",
        "CREATE TRIGGER t AFTER UPDATE ON tracks BEGIN DELETE FROM tracks; END",
        "ALTER TABLE tracks RENAME COLUMN year TO jahr",
    ],
)
def test_another_schema_is_refused_in_all_formats(old: Path, statement: str) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute(statement)
    before = old.read_bytes()
    for write in (False, True):
        with pytest.raises(LibraryError, match=r"its tables differ|another database"):
            Database.open(old, write=write)
    assert old.read_bytes() == before
