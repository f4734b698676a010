"""Words are found as a loop over all tracks finds them."""

import dataclasses
from pathlib import Path

import pytest
import shelf
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.library.database import Database
from musiczoo.server.catalog import Catalog, _Words

LINES = st.text("ab \né", max_size=8)
"""Few letters, so that many lines have a word."""


@given(
    st.dictionaries(st.integers(1, 2**40), LINES, max_size=12),
    st.lists(st.text("abé\0", min_size=1, max_size=3), max_size=3),
)
def test_lines_with_all_words_are_found(lines: dict[int, str], words: list[str]) -> None:
    expected = [number for number in sorted(lines) if all(word in lines[number] for word in words)]
    found = _Words.of(lines)
    assert found.find(words).tolist() == expected
    assert dict(found.lines()) == lines


@pytest.fixture
def catalog(shelves: Path, tmp_path: Path) -> tuple[Catalog, Database]:
    """The catalog of the twelve, and their database, open for changes."""
    path = tmp_path / "music.db"
    path.write_bytes((shelves / "music.db").read_bytes())
    database = Database.open(path, write=True)
    return Catalog(database), database


def test_changes_are_read(catalog: tuple[Catalog, Database], tmp_path: Path) -> None:
    words, database = catalog
    with database:
        everything = words.find("")
        assert everything.tolist() == database.ids().tolist()
        assert words.find("nesmysl").tolist() == []
        new = dataclasses.replace(shelf.entries(tmp_path)[0], hash="f" * 32, title="Noc", artist="Nesmýsl")
        database.add(new)
        database.remove(int(everything[0]))
        (number,) = words.find("NOC nesmysl")
        assert number not in everything
        assert words.find("").tolist() == [*everything[1:].tolist(), number]


def test_a_title_cannot_end_its_line(catalog: tuple[Catalog, Database], tmp_path: Path) -> None:
    words, database = catalog
    with database:
        database.add(dataclasses.replace(shelf.entries(tmp_path)[0], hash="f" * 32, title="sea\0shore"))
        assert len(words.find("sea shore")) == 1
        assert words.find("sea\0shore").tolist() == []
        assert words.find("").tolist() == database.ids().tolist()
