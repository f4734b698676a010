"""`musiczoo tag --write` and `--unwrite`: the files' own fields."""

import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import Song, records, run
from toy import RATE, write_audio

pytest.importorskip("mutagen")

import mutagen

from musiczoo import file_tags, tag_map
from musiczoo.card import read_card


def test_write_tags_and_writes_unwrite_takes_it_back(toy_folder: Path, song: Song) -> None:
    path = song("a.flac", seconds=4)
    before = path.read_bytes()
    (told,) = records(run("tag", path, "--model", toy_folder, "--json", "--write"))
    assert told["written"] is True
    assert path.read_bytes() != before
    found = file_tags.read(path)
    assert found["MUSICZOO_TAGS"] == told["above_threshold"]
    assert found["MUSICZOO_PROBABILITIES"] == [f"{told['tags'][tag]:.3f}" for tag in told["above_threshold"]]
    assert found["MUSICZOO_MODEL"] == ["toy 1"]
    (again,) = records(run("tag", path, "--model", toy_folder, "--json", "--write"))
    assert again["written"] is False
    assert records(run("tag", path, "--unwrite", "--json")) == [{"path": str(path), "removed": True}]
    assert file_tags.read(path) == {}
    assert records(run("tag", path, "--unwrite", "--json")) == [{"path": str(path), "removed": False}]


def test_files_are_not_touched_unless_asked(toy_folder: Path, song: Song) -> None:
    path = song("a.ogg")
    before = path.read_bytes(), path.stat().st_mtime_ns
    (told,) = records(run("tag", path, "--model", toy_folder, "--json"))
    assert "written" not in told
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_people_are_told(toy_folder: Path, song: Song) -> None:
    path = song("a.wav")
    result = run("tag", path, "--model", toy_folder, "--write")
    count = len(file_tags.read(path)["MUSICZOO_TAGS"])
    assert f"Wrote {count} tags to {path}" in result.stdout.replace("\n", "")
    assert "already in" in run("tag", path, "--model", toy_folder, "--write").stdout
    assert run("tag", path, "--unwrite").stdout == f"Removed the tags from {path}\n"
    assert run("tag", path, "--unwrite").stdout == f"No tags of musiczoo in {path}\n"


@pytest.mark.parametrize("option", ["--write", "--unwrite"])
def test_bad_files_do_not_stop_the_others(toy_folder: Path, song: Song, tmp_path: Path, option: str) -> None:
    good, also_good, locked = song("a.wav"), song("z.flac"), song("locked.flac")
    if option == "--unwrite":
        assert run("tag", good, also_good, locked, "--model", toy_folder, "--write").exit_code == 0
    locked.chmod(0o444)
    text = tmp_path / "text.mp3"
    text.write_text("not music")
    paths = [good, tmp_path / "missing.wav", text, tmp_path, locked, also_good]
    model = ["--model", toy_folder] if option == "--write" else []
    result = run("tag", *paths, *model, "--json", option)
    assert result.exit_code == 1
    told = records(result)
    assert [record["path"] for record in told] == [str(path) for path in paths]
    assert ["error" in record for record in told] == [False, True, True, True, True, False]
    assert "read-only" in told[4]["error"]
    for path in (good, also_good):
        assert bool(file_tags.read(path)) == (option == "--write")
    assert sorted(tmp_path.glob(".musiczoo-*")) == []


def test_unwriting_listens_to_nothing(song: Song, tmp_path: Path) -> None:
    path = song("a.wav")
    assert run("tag", path, "--unwrite", "--write").exit_code == 2
    assert run("tag", path, "--unwrite", "--plot", tmp_path / "t.png").exit_code == 2
    assert run("tag", path, "--unwrite", "--map", tmp_path / "m.toml").exit_code == 2
    assert run("tag", path, "--unwrite", "--model", "no such model").exit_code == 0


def test_a_missing_mutagen_is_named_before_the_work(
    toy_folder: Path, song: Song, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mutagen", None)
    monkeypatch.delitem(sys.modules, "musiczoo.file_tags", raising=False)
    monkeypatch.delattr("musiczoo.file_tags", raising=False)
    for option in ("--write", "--unwrite"):
        result = run("tag", song("a.wav"), "--model", toy_folder, option)
        assert result.exit_code == 1
        assert "musiczoo[library]" in result.stderr
        assert result.stdout == ""


def test_tag_writes_no_tags_for_silence(toy_folder: Path, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", np.zeros(7 * RATE, np.float32))
    result = run("tag", path, "--model", toy_folder, "--write", "--json")
    assert result.exit_code == 0, result.output
    (record,) = records(result)
    assert record["above_threshold"] == []
    assert len(record["warnings"]) == 1
    assert record["warnings"][0] in result.stderr
    fields = file_tags.read(path)
    assert file_tags.TAGS not in fields
    assert file_tags.PROBABILITIES not in fields


@pytest.fixture
def everything(toy_folder: Path, tmp_path: Path) -> Path:
    """A map in which every mood has a word, and one genre, whatever the model predicts."""
    card = read_card(toy_folder)
    lines = ["[mood]", *(f'"{tag}" = {{word = "W {tag}", threshold = 0}}' for tag in card.dimensions["mood"])]
    lines += ["[genre]", f'"{card.dimensions["genre"][0]}" = {{word = "Everything", threshold = 0}}']
    path = tmp_path / "map.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_standard_fields_are_written_if_asked_for_and_come_back(toy_folder: Path, song: Song, everything: Path) -> None:
    path = song("a.flac")
    opened = mutagen.File(path)
    opened["genre"] = "My Genre"
    opened.save()
    options = ("--model", toy_folder, "--map", everything, "--json", "--write", "--fields")
    (told,) = records(run("tag", path, *options, "mood, genre"))
    moods = sorted(read_card(toy_folder).dimensions["mood"], key=lambda tag: -told["tags"][tag])
    assert told["words"]["mood"] == [f"W {tag}" for tag in moods]
    assert told["words"]["genre"] == ["Everything"]
    assert told["written"] is True
    assert mutagen.File(path)["mood"] == told["words"]["mood"]
    assert mutagen.File(path)["genre"] == ["Everything"]
    assert file_tags.read(path) == {}
    (again,) = records(run("tag", path, *options, "mood,genre"))
    assert again["written"] is False
    assert records(run("tag", path, "--unwrite", "--fields", "genre", "--json")) == [
        {"path": str(path), "removed": True}
    ]
    assert mutagen.File(path)["genre"] == ["My Genre"]
    assert "mood" in mutagen.File(path)
    assert run("tag", path, "--unwrite").exit_code == 0
    assert set(mutagen.File(path)) == {"genre"}


def test_all_fields_in_one_go(toy_folder: Path, song: Song, everything: Path) -> None:
    path = song("a.ogg")
    options = ("--model", toy_folder, "--map", everything, "--write", "--fields")
    result = run("tag", path, *options, "tags,genre")
    count = len(file_tags.read(path)["MUSICZOO_TAGS"])
    assert f"Wrote {count} tags, genre Everything to {path}" in result.stdout.replace("\n", "")
    assert file_tags.read_words(path) == {"mood": [], "genre": ["Everything"]}
    assert "already in" in run("tag", path, *options, "tags,genre").stdout


def test_plain_write_leaves_mood_and_genre_alone(toy_folder: Path, song: Song) -> None:
    path = song("a.mp3")
    run("tag", path, "--model", toy_folder, "--write")
    assert file_tags.read_words(path) == {"mood": [], "genre": []}


def test_the_printed_map_is_the_default(toy_folder: Path, song: Song, tmp_path: Path) -> None:
    printed = run("tag", "--print-map", "--model", toy_folder)
    assert printed.exit_code == 0
    path = tmp_path / "mine.toml"
    path.write_text(printed.stdout, encoding="utf-8")
    card = read_card(toy_folder)
    assert tag_map.read(path, card.tags) == tag_map.default(card.dimensions)
    first, second = song("a.flac"), song("b.flac")
    options = ("--model", toy_folder, "--write", "--fields", "mood,genre")
    assert run("tag", first, *options).exit_code == run("tag", second, *options, "--map", path).exit_code == 0
    assert file_tags.read_words(first) == file_tags.read_words(second)


@pytest.mark.parametrize(
    "options",
    [["--fields", "mood"], ["--map", "m.toml"], ["--write", "--map", "m.toml"], ["--write", "--fields", ","],
     ["--write", "--fields", "tags", "--map", "m.toml"]],
)  # fmt: skip
def test_options_that_do_not_belong_together_are_refused(song: Song, options: list[str]) -> None:
    assert run("tag", song("a.wav"), *options).exit_code == 2


def test_a_song_is_needed() -> None:
    result = run("tag")
    assert result.exit_code == 2
    assert "SONG" in result.output


def test_unknown_fields_get_a_suggestion(song: Song) -> None:
    for option in ("--write", "--unwrite"):
        result = run("tag", song("a.wav"), option, "--fields", "moods")
        assert result.exit_code == 1
        assert "Did you mean 'mood'" in result.stderr


def test_a_malformed_map_ends_the_command_before_the_work(toy_folder: Path, song: Song, tmp_path: Path) -> None:
    path = song("a.wav")
    content = path.read_bytes()
    (tmp_path / "m.toml").write_text('[mood]\nhapy = "Happy"\n')
    result = run("tag", path, "--model", toy_folder, "--write", "--fields", "mood", "--map", tmp_path / "m.toml")
    assert result.exit_code == 1
    assert "Did you mean 'happy'" in result.stderr
    assert path.read_bytes() == content
