"""A library's file: an SQLite database that somebody else may have made."""

import random
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path

import havoc
import numpy as np

from musiczoo.errors import LibraryError
from musiczoo.library import Filters, Library, Query, sqlite
from musiczoo.library.database import Database
from musiczoo.library.map.content import page_content
from musiczoo.library.map.page import render
from musiczoo.library.records import Entry, Failure, LibraryConfig

from .card import CARD

PAGE = 512
HEADER = (*range(16, 22), *range(24, 76, 4), *(92, 96, 100, 101, 103, 105, 107))
"""Where the numbers of a file's header, and of its first page's, lie."""
COLUMNS = [
    "path", "size", "mtime_ns", "hash", "duration_s", "heard", "embedding", "tags", "title", "artist", "album",
    "genre", "year", "revision", "album_artist", "artists", "warnings", "fingerprint", "track_number",
    "recording_mbid", "release_mbid", "artist_mbids", "album_artist_mbids", "isrcs",
]  # fmt: skip
KEYS = [
    "spaces", "tags", "dimensions", "thresholds", "normalized", "revision", "excerpts", "hop_s", "model",
    "space_id",
]  # fmt: skip
VALUES = (
    *["NULL", "''", "'x'", "x''", "x'00'", "x'ff'", "0", "-1", "0.5", "9223372036854775807", "1e999", "-1e999"],
    *["zeroblob(180)", "x'0000c07f' || zeroblob(176)", "char(10, 10, 13, 8232)", "'a;b;;' || char(10) || ';'"],
    *["zeroblob(16)", "zeroblob(7)", "char(0)", "'/a'"],
    *["x'0000c07f0000c07f0000c07f0000c07f'", "'../../etc/passwd'", "zeroblob(60000)", "'[]'", "'{}'", "'null'"],
    *["'1e400'", "'[[0,4]]'"],
    *["'-1'", "'true'", "'NaN'", "'\"x\"'", "'{\"a\":[0,4]}'", "'{\"a\":[0,1000000000000]}'"],
    *["'{\"a\":[4,0]}'", "'[\"x\"]'"],
)
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS"
LOADING = "SELECT path, size, mtime_ns, hash AS kind, load_extension('x') AS reason, '' AS failed_at FROM tracks"
TRICKS = (
    "CREATE TRIGGER t1 AFTER UPDATE ON tracks BEGIN DELETE FROM tracks; END",
    "CREATE TRIGGER t2 AFTER INSERT ON underway BEGIN DELETE FROM tracks; END",
    f"DROP TABLE tracks; CREATE VIEW tracks AS {ENDLESS} id FROM c",
    f"DROP TABLE library; CREATE VIEW library AS {ENDLESS} key, x AS value FROM c",
    f"DROP TABLE failures; CREATE VIEW failures AS {LOADING}",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'TEXT', 'BLOB')",
    "ALTER TABLE tracks ADD COLUMN more TEXT AS (zeroblob(1000000000))",
    *(
        "CREATE TABLE more(x)",
        "DROP INDEX tracks_hash",
        "DROP TABLE library",
        "CREATE INDEX odd ON tracks(zeroblob(year))",
    ),
    *("PRAGMA user_version = 0", "PRAGMA journal_mode = WAL", "PRAGMA encoding = 'UTF-16le'"),
    *("DELETE FROM tracks", "DELETE FROM library"),
)


def seeds() -> list[bytes]:
    """A library of three tracks and a failure, in pages of 512 bytes; one in WAL mode; and one of each older format."""
    return [_file("delete"), _file("wal"), *(_of_format(i, _file("delete")) for i in range(1, sqlite.FORMAT))]


def _file(mode: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "l.db")
        with Database.create(file, LibraryConfig.from_card(CARD, excerpts=2)) as database:
            for i in range(3):
                unit = np.array([1, 0, 0, 1] if i else [0, 1, 1, 0], np.float32) / np.float32(2**0.5)
                analyzed = f"{i:032x}", 60.0 + i, 2, unit, np.array([0.9, 0.1], np.float32)
                tags = f"T{i}", "A; C", "B", "rock", 1990 + i, "V", ("A", "C"), ("It is short.",), bytes(180)
                database.add(Entry(f"/m/{i}.mp3", 10, 20, *analyzed, *tags))
            database.add_failure(Failure("/m/bad.mp3", 1, 2, "AudioError", "It is text.", "2024-01-02T03:04:05+00:00"))
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("PRAGMA journal_mode = delete")
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.close()
        return file.read_bytes()


def _of_format(version: int, data: bytes) -> bytes:
    """The same tracks as older versions of musiczoo wrote them."""
    old = sqlite3.connect(":memory:", isolation_level=None)
    old.execute(f"PRAGMA page_size = {PAGE}")
    old.executescript(sqlite.script(version))
    new = sqlite3.connect(":memory:", isolation_level=None)
    new.deserialize(data)
    for table in ("library", "tracks", "failures"):
        names = [row[1] for row in old.execute(f"PRAGMA table_info({table})")]
        rows = new.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
        old.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})", rows)
    return bytes(old.serialize())


def run(data: bytes) -> None:
    """Open it, search it, look through it, draw its map, and write into it."""
    file = Path("l.db")
    file.write_bytes(data)
    with Library.open(file) as library:
        for ask in (_search, _look, _draw):
            with suppress(LibraryError):
                ask(library)
        path = next(iter(library.database.known()), "/m/1.mp3")
        for hit in library.search(path, k=2, filters=Filters(having={"x": 0.1}, years=(1900, None))):
            hit.as_dict(1)
    with Database.open(file, write=True) as database:
        database.remove(1)
        database.add_failure(Failure("/m/2.mp3", 1, 2, "AudioError", "It is text.", "2024-01-02T03:04:05+00:00"))
        database.vacuum()


def _search(library: Library) -> None:
    for hit in library.search(Query(songs=("/m/1.mp3",)), k=2, per_artist=1, per_album=1, filters=Filters(artist="a")):
        assert np.isfinite(hit.score)
        assert isinstance(hit.path, str)


def _look(library: Library) -> None:
    library.stats()
    library.verify()
    library.failures()
    library.warnings()
    for ending in ("csv", "npz"):
        library.export(Path.cwd() / f"tracks.{ending}")


def _draw(library: Library) -> None:
    entries = list(library.database.entries())
    if entries:
        page = render("t", "l", page_content(library.config, entries, Path.cwd() / "map.html", "pca"))
        assert "<script" in page


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A cell replaced, the schema changed, or bytes of the file, its header or a page."""
    kind = dice.randrange(10)
    if kind < 5:
        return _through_sql(data, dice) or havoc.mutate(data, dice)
    if kind < 6 and len(data) > 100:
        return havoc.overwritten(data, dice.choice(HEADER), havoc.number(dice.choice((1, 2, 4)), True, dice))
    if kind < 8 and len(data) > PAGE:
        at = PAGE * dice.randrange(len(data) // PAGE) + dice.randrange(40)
        return havoc.overwritten(data, at, havoc.number(dice.choice((1, 2)), True, dice))
    return havoc.mutate(data, dice)


def _through_sql(data: bytes, dice: random.Random) -> bytes | None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 20)
    connection.set_progress_handler(lambda: 1, 1 << 20)
    try:
        connection.deserialize(data)
        if dice.random() < 0.2:
            connection.executescript(dice.choice(TRICKS))
        elif dice.random() < 0.4:
            connection.execute(f"UPDATE library SET value = {dice.choice(VALUES)} WHERE key = '{dice.choice(KEYS)}'")
        else:
            cell, track = f"{dice.choice(COLUMNS)} = {dice.choice(VALUES)}", dice.randint(1, 3)
            connection.execute(f"UPDATE OR IGNORE tracks SET {cell} WHERE id = {track}")
        return bytes(connection.serialize())
    except (sqlite3.Error, OverflowError, MemoryError, ValueError):
        return None
    finally:
        connection.close()
