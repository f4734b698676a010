"""A library and its Parquet parts, made before version 0.1.0: they open, and every search gives the same numbers.

Libraries of the older format 1 are in `library/test_migration.py`, parts of format 1 in `scale/test_parquet.py`.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import golden
import pytest
from make_old_files import QUERIES

import musiczoo

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the paths in it are a Unix system's")


def check_searches(library: str) -> None:
    for name, query in QUERIES.items():
        found, expected = golden.run("search", library, *query, "--json"), golden.load(f"cli/search-{name}.json")
        golden.check(found, expected)
        assert [hit["path"] for hit in found] == [hit["path"] for hit in expected], name


def test_searches_give_the_same_hits_and_scores(here: Path) -> None:
    path = golden.copy("library.db", here)
    before = path.read_bytes()
    check_searches("library.db")
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", ["stats", "failures", "evaluate"])
def test_commands_say_the_same(here: Path, command: str) -> None:
    golden.copy("library.db", here)
    golden.check(golden.run("library", command, "library.db", "--json"), golden.load(f"cli/library-{command}.json"))


def test_moved_songs_are_recognised_and_not_analyzed_again(here: Path) -> None:
    golden.copy("library.db", here)
    golden.copy("songs", here)
    with closing(sqlite3.connect("library.db")) as connection:
        before = connection.execute("SELECT hash, embedding, tags FROM tracks ORDER BY hash").fetchall()
    report = golden.run("index", "songs", "--library", "library.db", "--json")
    assert (report["moved"], report["added"], report["changed"], report["tracks"]) == (6, 0, 0, 6)
    golden.check(golden.run("library", "verify", "library.db", "--json"), golden.load("cli/library-verify.json"))
    with closing(sqlite3.connect("library.db")) as connection:
        assert connection.execute("SELECT hash, embedding, tags FROM tracks ORDER BY hash").fetchall() == before
    with musiczoo.Library.open("library.db") as library:
        assert sorted(hit.path for hit in library.search("songs/Anna/First/1.ogg")) == [
            str(here.resolve() / "songs" / name) for name in golden.SONGS[1:]
        ]


def test_the_same_songs_indexed_today_give_the_same_library(here: Path) -> None:
    golden.copy("songs", here)
    golden.check(
        golden.run("index", "songs", "--library", "new.db", "--workers", "1", "--json"), golden.load("cli/index.json")
    )
    found = golden.run("search", "new.db", "songs/Anna/First/1.ogg", "--json")
    golden.check(found, golden.load("cli/search-song.json"))


def test_parts_are_imported_and_found_to_be_the_same_library(here: Path) -> None:
    pytest.importorskip("pyarrow")
    golden.copy("parts", here)
    report = golden.run("library", "import", "parts", "--library", "imported.db", "--json")
    assert report == golden.load("cli/import.json")
    check_searches("imported.db")
    golden.copy("library.db", here)
    again = golden.run("library", "import", "parts", "--library", "library.db", "--json")
    assert again == {"added": 0, "changed": 0, "unchanged": 6, "failed": 1}
