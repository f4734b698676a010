"""`musiczoo search`: output for people, programs and players."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from command_line import plain, records, run
from hypothesis import given
from hypothesis import strategies as st
from toy import CARD, music, write_audio, write_model

import musiczoo
from musiczoo.cli import search as module
from musiczoo.library.database import Database
from musiczoo.library.query import Query
from musiczoo.library.records import Entry, LibraryConfig

COUNT = 8


def entry(path: Path, track: musiczoo.Track, i: int) -> Entry:
    named = {"title": f"Piece {i}", "artist": "Anna" if i % 2 else "Böhm", "album": "One"} if i < 6 else {}
    return Entry(
        str(path),
        1,
        1,
        f"{i:032x}",
        100.0 + 10 * i,
        1,
        track.embedding,
        track.tags.probabilities,
        year=1990 + i,
        **named,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, toy: musiczoo.Model) -> tuple[Path, list[Path]]:
    """A library of eight songs whose files are there, two of them without titles."""
    folder = tmp_path_factory.mktemp("music")
    paths = [write_audio(folder / f"{i}.wav", music(3 + i, seed=i) * (1 - i / 10)) for i in range(COUNT - 1)]
    paths.append(write_audio(folder / "copy of [0].wav", music(3, seed=0)))
    with Database.create(folder / "library.db", LibraryConfig.from_card(CARD)) as database:
        for i, path in enumerate(paths):
            database.add(entry(path, toy.analyze(path), i))
    return folder / "library.db", paths


@pytest.fixture
def search(made: tuple[Path, list[Path]], toy_folder: Path) -> Any:
    """Calls the command on that library."""
    return lambda *args: run("search", made[0], "--model", toy_folder, *args)


@pytest.fixture
def songs(made: tuple[Path, list[Path]]) -> list[Path]:
    return made[1]


def found(result: Any) -> list[str]:
    assert result.exit_code == 0, result.output
    return [record["path"] for record in records(result)]


def test_json_is_one_object_a_hit(search: Any, songs: list[Path], made: tuple[Path, list[Path]], toy: Any) -> None:
    result = search(songs[0], "--weights", "genre=1, mood=2", "-k", 3, "--json")
    with musiczoo.library.Library.open(made[0], toy) as library:
        hits = library.search(songs[0], 3, {"genre": 1, "mood": 2})
    assert records(result) == [hit.as_dict(rank) for rank, hit in enumerate(hits, 1)]
    assert len(hits) == 3
    for record in records(result):
        assert list(record)[:5] == ["rank", "path", "score", "dimensions", "shared_tags"]
        near = record["dimensions"]
        assert record["score"] == pytest.approx((near["genre"] + 2 * near["mood"]) / 3, abs=2e-6)


def test_a_song_from_outside_is_heard(search: Any, songs: list[Path], tmp_path: Path, toy: Any) -> None:
    new = write_audio(tmp_path / "new.wav", music(6, seed=40))
    hits = records(search(new, "--json", "--unfolded"))
    assert len(hits) == COUNT
    vector = toy.analyze(new).embedding
    near = {str(song): float(vector @ toy.analyze(song).embedding) for song in songs}
    assert [hit["score"] for hit in hits] == pytest.approx(sorted(near.values(), reverse=True), abs=1e-5)
    assert {hit["path"]: hit["score"] for hit in hits} == pytest.approx(near, abs=1e-5)


def test_options_of_the_query_are_those_of_query(
    search: Any, songs: list[Path], made: tuple[Path, list[Path]], toy: Any
) -> None:
    cases: list[tuple[list[object], Query]] = [
        ([songs[0], songs[1]], Query(songs[:2])),
        ([songs[0], "--like", songs[1], "--like", songs[2], "--each"], Query(songs[:3], combine="each")),
        (["--genre-of", songs[1], "--era-of", songs[2]], Query(of={"genre": songs[1], "era": songs[2]})),
        (["--mood-of", songs[1], "--instrument-of", songs[2]], Query(of={"mood": songs[1], "instrument": songs[2]})),
        (["--of", f"genre={songs[1]}", "--of", f"era={songs[2]}"], Query(of={"genre": songs[1], "era": songs[2]})),
        (["--of", f"genre={songs[1]}", "--era-of", songs[2]], Query(of={"genre": songs[1], "era": songs[2]})),
        ([songs[3], "--unlike", songs[1], "--unlike", songs[2]], Query(songs[3:4], unlike=songs[1:3])),
    ]
    with musiczoo.library.Library.open(made[0], toy) as library:
        for options, query in cases:
            expected = [hit.as_dict(rank) for rank, hit in enumerate(library.search(query), 1)]
            assert records(search(*options, "--json")) == expected


def test_filters(search: Any, songs: list[Path]) -> None:
    def names(*options: object) -> set[str]:
        return {Path(path).name for path in found(search(songs[6], "--json", "--unfolded", *options))}

    everything = {song.name for song in songs} - {"6.wav"}
    assert names() == everything
    assert names("--artist", "anna") == {"1.wav", "3.wav", "5.wav"}
    assert names("--album", "one") == {f"{i}.wav" for i in range(6)}
    assert names("--path", "copy*") == {songs[7].name}
    assert names("--year", "1991-1993") == {"1.wav", "2.wav", "3.wav"}
    assert names("--year", "1995-") == {"5.wav", songs[7].name}
    assert names("--year", "-1990") == {"0.wav"}
    assert names("--year", "1992") == {"2.wav"}
    assert names("--duration", "115.5-135") == {"2.wav", "3.wav"}
    assert len(names("--per-artist", 1)) == 3
    assert len(names("--per-album", 2)) == 3


def test_having(search: Any, songs: list[Path], toy: Any) -> None:
    probability = {song.name: toy.analyze(song).tags for song in songs[:6]}
    tag = max(CARD.tags, key=lambda tag: float(np.std([tags[tag] for tags in probability.values()])))
    middle = float(np.median([tags[tag] for tags in probability.values()]))
    expected = {name for name, tags in probability.items() if tags[tag] >= middle and tags["rock"] >= 0.5}
    hits = found(search(songs[6], "--json", "--album", "One", "--having", f"{tag.upper()}>={middle:.9f},rock"))
    assert {Path(path).name for path in hits} == expected


def test_tags_are_points(search: Any, toy_folder: Path, monkeypatch: pytest.MonkeyPatch, toy: Any) -> None:
    points = np.zeros((50, 256), np.float32)
    points[CARD.tags.index("jazz"), 0] = points[CARD.tags.index("Mellow"), 64] = 1
    monkeypatch.setattr(musiczoo.Model, "tag_points", lambda model: points)
    hits = records(search("--tags", "jazz, mellow", "--json", "--unfolded"))
    assert len(hits) == COUNT
    for hit in hits:
        vector = toy.analyze(hit["path"]).embedding
        assert hit["dimensions"] == pytest.approx({"genre": 2 * vector[0], "mood": 2 * vector[64]}, abs=1e-5)


def test_the_table_says_why(search: Any, songs: list[Path]) -> None:
    result = search(songs[1], "-k", 2)
    assert result.exit_code == 0, result.output
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    expected = records(search(songs[1], "-k", 2, "--json"))
    ranked = [row for row in rows if row[0]]
    assert [row[0] for row in ranked] == ["1", "2"]
    for row, hit in zip(ranked, expected, strict=True):
        assert row[1] == f"{hit['score']:.3f}"
        assert row[2:6] == [f"{near:.2f}" for near in hit["dimensions"].values()]
    # Nearest of all is the query itself; then comes the first hit, in a library this small.
    under = rows[rows.index(ranked[0]) + 1]
    assert {cell[-1] for cell in under[2:6]} == {"%"}
    assert min(int(cell[:-1]) for cell in under[2:6]) >= round(100 * 2 / COUNT)
    assert "genre" in result.stdout


def test_names_are_shown_as_they_are(search: Any, songs: list[Path]) -> None:
    result = search(songs[2], "--unfolded")
    assert "Anna - Piece 3" in result.stdout
    assert "Böhm - Piece 0" in result.stdout
    assert "6.wav" in result.stdout
    assert "copy of [0].wav" in result.stdout


def test_duplicates_stand_under_their_hit(
    made: tuple[Path, list[Path]], tmp_path: Path, toy: Any, toy_folder: Path
) -> None:
    with Database.create(tmp_path / "library.db", LibraryConfig.from_card(CARD)) as database:
        for i, path in enumerate(made[1][:3]):
            database.add(entry(path, toy.analyze(path), i))
        database.add(entry(tmp_path / "again.mp3", toy.analyze(made[1][1]), 1))
    options = ("search", tmp_path / "library.db", made[1][0], "--model", toy_folder)
    result = run(*options, COLUMNS="400")
    assert f"= {tmp_path / 'again.mp3'}" in result.stdout
    (hit,) = [hit for hit in records(run(*options, "--json")) if "duplicates" in hit]
    assert {hit["path"], *hit["duplicates"]} == {str(made[1][1]), str(tmp_path / "again.mp3")}
    assert len(records(run(*options, "--json", "--unfolded"))) == 3


def test_many_duplicates_are_counted(made: tuple[Path, list[Path]], tmp_path: Path, toy: Any, toy_folder: Path) -> None:
    with Database.create(tmp_path / "library.db", LibraryConfig.from_card(CARD)) as database:
        database.add(entry(made[1][0], toy.analyze(made[1][0]), 0))
        for i in range(9):
            database.add(entry(tmp_path / f"copy {i}.mp3", toy.analyze(made[1][1]), 1))
    options = ("search", tmp_path / "library.db", made[1][0], "--model", toy_folder)
    result = run(*options, COLUMNS="400")
    assert result.stdout.count("= /") == 5
    assert "= 3 more files: see --json" in result.stdout
    assert len(records(run(*options, "--json"))[0]["duplicates"]) == 8


def test_a_playlist_of_the_hits(search: Any, songs: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "mix.m3u8"
    paths = found(search(songs[0], "--json", "--m3u", file, "-k", 4))
    lines = file.read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if not line.startswith("#")]
    assert [os.path.normpath(tmp_path / line) for line in entries] == paths
    assert not any(os.path.isabs(line) for line in entries)
    assert any(line.startswith("#EXTINF:-1,Anna - Piece") for line in lines)


def test_nothing_found_is_no_failure(search: Any, songs: list[Path]) -> None:
    result = search(songs[0], "--artist", "nobody")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No track matches.\n")
    assert search(songs[0], "--artist", "nobody", "--json").output == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "tracks or tags"),
        (["missing.wav"], "No such file"),
        (["--tags", "jaz"], "Did you mean 'jazz'"),
        (["--tags", "jazz"], "--having 'jazz'"),
        (["--of", "moood=a.wav"], "Unknown dimension 'moood'. Did you mean 'mood'? Available: genre, mood, instrument"),
        (["--of", "mood/theme=a=b.wav"], "Unknown dimension 'mood/theme'."),
    ],
)
def test_errors_are_one_line(search: Any, options: list[str], said: str) -> None:
    result = search(*options)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "option",
    [
        ("--weights", "genre"),
        ("--weights", "genre=much"),
        ("--of", "mood"),
        ("--of", "mood="),
        ("--year", "-"),
        ("--year", "nineties"),
        ("--duration", "1:00-"),
        ("--having", "jazz>lots"),
        ("-k", "0"),
        ("--per-artist", "0"),
    ],
)
def test_options_that_cannot_be_read_are_named(search: Any, songs: list[Path], option: tuple[str, str]) -> None:
    result = search(songs[0], *option)
    assert result.exit_code == 2
    assert option[0] in plain(result.stderr)


def test_dimensions_of_any_name(tmp_path: Path) -> None:
    groups = dict(
        zip(
            (
                "mood/theme",
                "a=b",
                "Tempo (BPM)",
                "all=",
            ),
            CARD.dimensions.values(),
            strict=True,
        )
    )
    spaces = dict(zip(groups, CARD.spaces.values(), strict=True))
    card = dataclasses.replace(CARD, name="odd", space_id="odd-1", dimensions=groups, spaces=spaces)
    folder = write_model(tmp_path / "odd", card)
    model = musiczoo.load(folder)
    paths = [write_audio(tmp_path / f"{name}.wav", music(3, seed=i)) for i, name in enumerate(("x", "y=z", "b=w"))]
    with Database.create(tmp_path / "library.db", LibraryConfig.from_card(card)) as database:
        for i, path in enumerate(paths):
            database.add(entry(path, model.analyze(path), i))
    for name in groups:
        options = ("search", tmp_path / "library.db", "--model", folder, "--of", f"{name}={paths[1]}", "--json")
        result = run(*options)
        assert result.exit_code == 0, result.output
        with musiczoo.library.Library.open(tmp_path / "library.db", model) as library:
            hits = library.search(Query(of={name: paths[1]}))
        assert records(result) == [hit.as_dict(rank) for rank, hit in enumerate(hits, 1)]
        assert all(list(record["dimensions"]) == [name] for record in records(result))
    result = run("search", tmp_path / "library.db", "--model", folder, "--of", f"mood={paths[0]}")
    assert (
        "Unknown dimension 'mood'. Did you mean 'mood/theme'? Available: mood/theme, a=b, Tempo (BPM), all="
        in result.stderr
    )


NAME = st.text(st.characters(codec="utf-8", exclude_characters="="), min_size=1).filter(
    lambda text: text == text.strip()
)


@given(st.lists(NAME, min_size=1, max_size=4, unique=True), st.text(min_size=1).filter(str.strip), st.data())
def test_the_first_sign_after_a_dimension_divides(names: list[str], song: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(names))
    assert module._of([f"{name}={song}"], {}, names) == {name: song}
    assert module._of([f" {name} ={song}"], {"x=y": None, "z=": "a"}, names) == {"z=": "a", name: song}


def test_the_shortest_dimension_that_fits_is_meant() -> None:
    assert module._of(["a=b=c"], {}, ["a", "a=b"]) == {"a": "b=c"}
    assert module._of(["a=b=c"], {}, ["a=b"]) == {"a=b": "c"}
    with pytest.raises(typer.BadParameter, match="one song for a, got 'b' and 'c'"):
        module._of(["a=c"], {"a": "b"}, ["a"])


def test_a_path_is_that_of_the_library(
    made: tuple[Path, list[Path]], toy_folder: Path, toy: Any, tmp_path: Path
) -> None:
    """JSON, playlist and table of `musiczoo path`."""
    songs, options = made[1], ("--through", made[1][2], "--weights", "genre=1,mood=2", "-k", 4)
    with musiczoo.library.Library.open(made[0], toy) as library:
        steps = library.path_between(songs[1], songs[4], 4, [songs[2]], {"genre": 1, "mood": 2})
    assert [step.path for step in steps if step.named] == [str(songs[i]) for i in (1, 2, 4)]
    result = run(
        "path", made[0], songs[1], songs[4], *options, "--model", toy_folder, "--json", "--m3u", tmp_path / "a.m3u8"
    )
    assert result.exit_code == 0, result.output
    assert records(result) == [step.as_dict(position) for position, step in enumerate(steps, 1)]
    lines = [line for line in (tmp_path / "a.m3u8").read_text().splitlines() if not line.startswith("#")]
    assert [str((tmp_path / line).resolve()) for line in lines] == [step.path for step in steps]
    result = run("path", made[0], songs[1], songs[4], *options, "--model", toy_folder)
    assert result.exit_code == 0, result.output
    assert "Progress" in result.stdout
    assert "100%" in result.stdout
    result = run("path", made[0], songs[1], songs[1], "--model", toy_folder)
    assert result.exit_code == 1
    assert "names each track once" in result.stderr


def test_playlists_and_variety(
    search: Any, songs: list[Path], made: tuple[Path, list[Path]], toy: Any, toy_folder: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.m3u8"
    old.write_text(f"#EXTM3U\n{songs[2]}\n{os.path.relpath(songs[3], tmp_path)}\ngone.mp3\n")
    with musiczoo.library.Library.open(made[0], toy) as library:
        left_out = [hit.path for hit in library.search(songs[0], exclude=songs[2:4])]
        alike = [hit.path for hit in library.search(Query(like=songs[2:4]))]
        each = [hit.path for hit in library.search(Query(like=songs[2:4], combine="each"))]
        drawn = [hit.path for hit in library.search(songs[0], 2, variety=1, seed=7)]
        way = [step.path for step in library.path_between(songs[0], songs[4], 3, exclude=songs[2:4])]
    assert found(search(songs[0], "--not-in", old, "--json")) == left_out
    assert not {str(song) for song in songs[2:4]} & set(left_out)
    result = search("--like-m3u", old, "--json")
    assert found(result) == alike
    assert "neither in the library nor a file" in result.stderr
    assert found(search("--like-m3u", old, "--each", "--json")) == each
    assert found(search(songs[0], "-k", 2, "--variety", 1, "--seed", 7, "--json")) == drawn
    result = run("path", made[0], songs[0], songs[4], "-k", 3, "--not-in", old, "--model", toy_folder, "--json")
    assert found(result) == way
    old.write_text("gone.mp3\n")
    result = search("--like-m3u", old)
    assert result.exit_code == 1
    assert "No track of" in result.stderr
    assert search("--like-m3u", tmp_path / "none.m3u8").exit_code == 1
    assert search(songs[0], "--variety", 2).exit_code == 2
