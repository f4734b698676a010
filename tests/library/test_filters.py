"""Filters: against a predicate in plain Python."""

import fnmatch
from collections.abc import Iterator
from pathlib import Path

import pytest
import searched
import shelf
from hypothesis import given
from hypothesis import strategies as st
from toy import CARD

from musiczoo.errors import InputError, UnknownNameError
from musiczoo.library.database import Database
from musiczoo.library.filters import Filters, Range, match_name
from musiczoo.library.records import Entry

BARE = Entry("/music/bare.wav", 1, 1, "0" * 32, 50.0, 1, shelf.vectors()[0], shelf.probabilities()[0])


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The twelve, and one without metadata."""
    folder = tmp_path_factory.mktemp("filters")
    with Database.open(shelf.write_library(folder / "library.db", Path("/music")), write=True) as database:
        database.add(BARE)
        yield database


def within(value: float | None, bounds: Range | None) -> bool:
    low, high = bounds or (None, None)
    if bounds is None or (low is None and high is None):
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def passes(filters: Filters, entry: Entry) -> bool:
    """The same as a predicate, from the documentation."""
    pattern = filters.path
    if pattern is not None and not pattern.startswith(("*", "/")):
        pattern = f"*/{pattern}"
    probability = dict(zip(CARD.tags, entry.tags.tolist(), strict=True))
    return (
        (pattern is None or fnmatch.fnmatchcase(entry.path, pattern))
        and (filters.artist is None or (entry.artist or "").casefold() == filters.artist.casefold())
        and (filters.album is None or (entry.album or "").casefold() == filters.album.casefold())
        and within(entry.year, filters.years)
        and within(entry.duration_s, filters.durations)
        and all(probability[t] >= (CARD.thresholds[t] if p is None else p) for t, p in filters.having.items())
    )


def ranges(low: int, high: int) -> st.SearchStrategy[Range | None]:
    bound = st.none() | st.integers(low, high)
    return st.none() | st.tuples(bound, bound).filter(lambda r: None in r or r[0] <= r[1])


@given(
    st.builds(
        Filters,
        path=st.sampled_from([None, None, "*", "*.flac", "Anna/*", "/music/*", "Song [12].*", "/music/Anna", "S?ng*"]),
        artist=st.sampled_from([None, None, "Anna", "aNNa", "Böhm", "Nobody", ""]),
        album=st.sampled_from([None, None, "ANNA'S FIRST", "Böhm's second"]),
        years=ranges(1965, 2015),
        durations=ranges(40, 220),
        having=st.dictionaries(st.sampled_from(CARD.tags), st.none() | st.floats(0, 1), max_size=2),
    )
)
def test_filters_agree_with_a_predicate(opened: Database, filters: Filters) -> None:
    found = opened.select_ids(*filters.where(opened.config)).tolist()
    if filters.artist == "":
        assert found == []
    else:
        assert found == [entry.id for entry in opened.entries() if passes(filters, entry)]


def test_no_conditions_are_no_filter(opened: Database) -> None:
    assert not Filters()
    assert Filters(artist="Anna")
    assert len(opened.select_ids(*Filters().where(opened.config))) == 13


def test_a_tag_may_be_written_in_any_case(opened: Database) -> None:
    found = [
        opened.select_ids(*Filters(having={tag: 0.5}).where(opened.config)).tolist() for tag in ("Mellow", "mellow")
    ]
    assert found[0] == found[1] != []


def test_a_probability_just_above_is_not_reached(opened: Database) -> None:
    value = float(BARE.tags[CARD.tags.index("jazz")])
    assert 13 in opened.select_ids(*Filters(having={"jazz": value}).where(opened.config))
    assert 13 not in opened.select_ids(*Filters(having={"jazz": value + 1e-7}).where(opened.config))


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, opened: Database) -> None:
    monkeypatch.setenv("HOME", "/music")
    assert len(opened.select_ids(*Filters(path="~/Anna/*").where(opened.config))) == 4


def test_names_that_are_not_utf8_match_too(tmp_path: Path) -> None:
    paths = ["/music/caf\udce9.mp3", "/music/cafe.mp3"]
    with searched.filled(tmp_path / "library.db", searched.rows(shelf.vectors(2), path=paths)) as database:
        for pattern, expected in (("caf?.mp3", [1, 2]), ("caf\udce9*", [1]), ("/music/*", [1, 2]), ("*e.mp3", [2])):
            assert database.select_ids(*Filters(path=pattern).where(database.config)).tolist() == expected
        assert database.select_ids(*Filters(artist="caf\udce9").where(database.config)).tolist() == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("Böhm", [1, 2, 3, 4]),
        ("BO\u0308HM", [1, 2, 3, 4]),  # as macOS writes it
        ("anna", [1, 3]),
        ("Anna feat. Böhm", [3]),
        ("anna;  böhm", [1]),  # the field as it is shown
        ("Strauß", [5]),
        ("STRAUSS", [5]),
        ("AC", []),
        ("ac/dc", [6]),
        ("", []),
        (";", []),
    ],
)
def test_each_of_several_artists_passes(tmp_path: Path, asked: str, expected: list[int]) -> None:
    artist = ["Anna; Böhm", "bo\u0308hm", "Anna feat. Böhm", "Böhm", "Strauß", "AC/DC", None]
    artists = [(), (), ("Anna", "Böhm"), (), (), (), ()]
    with searched.filled(
        tmp_path / "l.db", searched.rows(shelf.vectors(7), artist=artist, artists=artists)
    ) as database:
        found = database.select_ids(*Filters(artist=asked).where(database.config)).tolist()
        assert found == expected


def test_text_is_never_sql(opened: Database) -> None:
    assert opened.select_ids(*Filters(artist="' OR 1 --").where(opened.config)).tolist() == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"years": (1999, 1990)},
        {"durations": (float("nan"), None)},
        {"having": {"jazz": 1.5}},
        {"having": {"jazz": float("nan")}},
    ],
)
def test_impossible_filters_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"must be from .*, got"):
        Filters(**arguments)  # type: ignore[arg-type]


def test_unknown_tags_are_refused(opened: Database) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'jazz'"):
        Filters(having={"jaz": None}).where(opened.config)


def test_names_that_differ_in_case_alone_must_be_exact() -> None:
    assert match_name("tag", "House", ("house", "House")) == "House"
    with pytest.raises(UnknownNameError):
        match_name("tag", "HOUSE", ("house", "House"))
