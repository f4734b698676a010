"""Play histories: plays and ranks derived by hand, and properties against a search of the whole library."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searched import Shelf, clustered, filled, rows

from musiczoo.errors import AudioNotFoundError, InputError
from musiczoo.library.history import History, Play
from musiczoo.library.search import Hit, search

COUNT = 70
VECTORS = clustered(COUNT, seed=21, clusters=10)
DAY = 86400.0
NOW = 1_795_896_000.0  # 2026-11-28T20:00:00Z
PLAYS = st.lists(st.tuples(st.integers(0, COUNT - 1), st.floats(0, 400), st.floats(0, 40)), max_size=30)
"""Track, age in days, count."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    path = tmp_path_factory.mktemp("history") / "library.db"
    columns = {"artist": [f"Artist {i % 7}" for i in range(COUNT)], "title": [f"Title {i}" for i in range(COUNT)]}
    with filled(path, rows(VECTORS, **columns)) as database:
        yield Shelf(database)


def song(i: int) -> str:
    return f"/music/{i:03d}.wav"


def numbers(hits: list[Hit]) -> list[int]:
    return [int(hit.path[-7:-4]) for hit in hits]


def history(plays: list[tuple[int, float, float]], half_life: float = 7) -> History:
    return History([Play(NOW - age * DAY, song(i), count=count) for i, age, count in plays], half_life, NOW)


@given(PLAYS, st.floats(0.1, 100))
def test_plays_halve_with_each_half_life(plays: list[tuple[int, float, float]], half_life: float) -> None:
    """Against powers of e; and a half-life more halves them."""
    for track in range(COUNT):
        own = [(age, count) for i, age, count in plays if i == track]
        expected = sum(count * math.exp(-math.log(2) * age / half_life) for age, count in own)
        assert history(plays, half_life).plays_of([song(track)]) == pytest.approx(expected, abs=1e-9)
        older = [(i, age + half_life, count) for i, age, count in plays]
        assert history(older, half_life).plays_of([song(track)]) == pytest.approx(expected / 2, abs=1e-9)


@given(st.integers(0, COUNT - 1), PLAYS, st.integers(1, COUNT))
@settings(max_examples=40, deadline=None)
def test_the_order_is_that_of_the_whole_library(
    library: Shelf, row: int, plays: list[tuple[int, float, float]], k: int
) -> None:
    """Ranks of all tracks, each multiplied by 1 + its plays: the first k of these, however far down they were."""
    before = numbers(search(library, song(row), COUNT))
    recent = history(plays)
    moved = {track: rank * (1 + recent.plays_of([song(track)])) for rank, track in enumerate(before, 1)}
    hits = search(library, song(row), k, history=recent)
    assert numbers(hits) == sorted(moved, key=moved.__getitem__)[:k]
    scores = {hit.path: hit.score for hit in search(library, song(row), COUNT)}
    assert all(hit.score == scores[hit.path] for hit in hits)


@given(st.integers(0, COUNT - 1), PLAYS)
@settings(max_examples=15, deadline=None)
def test_properties(library: Shelf, row: int, plays: list[tuple[int, float, float]]) -> None:
    """Nothing appears or is lost; unplayed tracks keep their order; one more play never lifts a track."""
    before = numbers(search(library, song(row), COUNT))
    after = numbers(search(library, song(row), COUNT, history=history(plays)))
    assert sorted(after) == sorted(before)
    played = {i for i, _, count in plays if count}
    assert [i for i in after if i not in played] == [i for i in before if i not in played]
    track = before[0]
    again = numbers(search(library, song(row), COUNT, history=history([*plays, (track, 0.0, 1.0)])))
    assert again.index(track) >= after.index(track)


def test_one_play_just_now(library: Shelf) -> None:
    """The first of a search moves to rank 2 and, the second being there too, comes behind neither: 2 = 2, by rank."""
    first, second, third, fourth, *_ = numbers(search(library, song(0), 6))
    assert numbers(search(library, song(0), 4, history=history([(first, 0, 1)]))) == [first, second, third, fourth]
    assert numbers(search(library, song(0), 4, history=history([(first, 0, 1.5)]))) == [second, first, third, fourth]
    assert numbers(search(library, song(0), 3, history=history([(first, 0, 9)]))) == [second, third, fourth]
    later = history([(first, 7 * 10, 9)])  # ten half-lives ago: 9 / 1024
    assert numbers(search(library, song(0), 4, history=later)) == [first, second, third, fourth]


def test_no_history_changes_nothing(library: Shelf) -> None:
    assert search(library, song(0), 20, history=history([])) == search(library, song(0), 20)


def test_limits_and_variety_hold(library: Shelf) -> None:
    """Limits come before the history, the draw after it."""
    recent = history([(i, 0, 3) for i in range(0, COUNT, 2)])
    hits = search(library, song(0), 10, per_artist=2, history=recent)
    assert max(np.unique([hit.artist for hit in hits], return_counts=True)[1]) <= 2
    pool = numbers(search(library, song(0), 20, history=recent))
    drawn = numbers(search(library, song(0), 4, variety=1, seed=5, history=recent))
    assert len(drawn) == 4
    assert drawn == sorted(drawn, key=pool.index)


def test_rows_by_title_and_artist(library: Shelf) -> None:
    recent = History(
        [Play(NOW, title="TITLE 8", artist=" artist 1"), Play(NOW, title="Title 8", artist="Other")], 7, NOW
    )
    assert recent.plays_of([song(8)], "Title 8", ["Artist 1"]) == 1
    assert recent.plays_of([song(8)], "Title 8", ["Artist 1; Other", "Artist 1", "Other"]) == 2
    assert recent.plays_of([song(8)], "Title 80", ["Artist 1"]) == recent.plays_of([song(8)], None, ["Artist 1"]) == 0
    first = search(library, song(0), 1)[0]
    assert first.title
    assert first.artist
    named = History([Play(NOW, title=first.title.upper(), artist=first.artist, count=9)], 7, NOW)
    assert search(library, song(0), 1, history=named)[0] != first


def test_plays_of_copies_are_added(tmp_path: Path) -> None:
    """Two files of one recording are one hit, played twice: its rank 1 becomes 3, so that it comes third."""
    vectors = np.concatenate([VECTORS[:1], VECTORS[[0, 0]], VECTORS[:3]])
    vectors[3:] = VECTORS[[1, 2, 3]]
    entries = rows(vectors, hash=["a", "b", "b", "c", "d", "e"])
    with filled(tmp_path / "library.db", entries) as database:
        shelf = Shelf(database)
        before = search(shelf, song(0), 4)
        assert before[0].duplicates == (song(2),)
        after = search(shelf, song(0), 4, history=history([(1, 0, 1), (2, 0, 1.5)]))
        assert [hit.path for hit in after].index(song(1)) == 2


def test_plays_in_the_future_count_as_now() -> None:
    assert history([(1, -30, 2)]).plays_of([song(1)]) == 2


def test_reading(tmp_path: Path) -> None:
    """Times as ISO 8601 with and without a zone, or in seconds; extra columns and an order of one's own."""
    file = tmp_path / "plays.csv"
    file.write_text(
        "\ufeffplayer,played_at,path,count,title,artist\n"
        f"x,{NOW},/music/a.mp3,,,\n"
        "x,2026-11-28T20:00:00Z,/music/a.mp3,2,,\n"
        'x,2026-11-28T21:00:00+01:00,"/music/b, c.mp3",0.5,Ignored,Too\n'
        "x,2026-11-21 20:00,,4,Pastel,Nina\n",
        encoding="utf-8",
    )
    read = History.read(file, now=NOW)
    assert [play.played_at for play in read.plays] == [NOW, NOW, NOW, NOW - 7 * DAY]
    assert read.plays_of(["/music/a.mp3"]) == 3
    assert read.plays_of(["/music/b, c.mp3"], "Ignored", ["Too"]) == 0.5
    assert read.plays_of([], "Pastel", ["Nina"]) == 2


def test_relative_paths_and_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    recent = History([Play(NOW, "link/a.mp3")], 7, NOW)
    assert (
        recent.plays_of([str(tmp_path / "real" / "a.mp3")]) == recent.plays_of([str(tmp_path / "link" / "a.mp3")]) == 1
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns none. Expected played_at"),
        ("path,count\na,1\n", "has the columns path, count. Expected played_at"),
        ("played_at,title\n0,a\n", "Expected played_at, and path or title and artist"),
        ("played_at,path\nyesterday,a\n", "line 2: expected a time such as .*, got 'yesterday'"),
        ("played_at,path,count\n0,a,many\n", "line 2: expected a number for count, got 'many'"),
        ("played_at,path,title,artist\n0,,a,\n", "line 2: expected a path, or title and artist"),
        ("played_at,path\n0\n", "line 2: expected a path"),
        ("played_at,path,count\n0,a,-1\n", "count from 0"),
        ("played_at,path,count\n0,a,inf\n", "count from 0"),
        ("played_at,path\nnan,a\n", "needs a time"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plays.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        History.read(tmp_path / "plays.csv")


def test_other_errors(tmp_path: Path) -> None:
    with pytest.raises(AudioNotFoundError, match="No such history"):
        History.read(tmp_path / "none.csv")
    with pytest.raises(InputError, match="Cannot read the history"):
        History.read(tmp_path)
    half_lives: list[Any] = [0, -1, math.inf, math.nan]
    for half_life in half_lives:
        with pytest.raises(InputError, match="half_life_days must be a positive number"):
            History([], half_life)
