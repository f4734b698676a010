"""MagnaTagATune, out of its published tables."""

from pathlib import Path

import pytest
from published import write_magnatagatune

from musiczoo.datasets import magnatagatune
from musiczoo.errors import DatasetError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_magnatagatune(tmp_path / "magnatagatune")


def test_clips_tags_and_splits_are_read(root: Path) -> None:
    dataset = magnatagatune.load(root, top=3)
    # Counted over all six clips: no voice 2, singer 0, guitar 3, not rock 1.
    assert dataset.tags == ("guitar", "no voice", "not rock")
    assert dataset.dimensions == {"all": dataset.tags}
    assert [(item.id, item.split, item.tags) for item in dataset.items] == [
        ("2", "test", ("guitar",)),
        ("6", "train", ("no voice", "guitar")),
        ("10", "train", ("no voice",)),
        ("11", "validation", ()),
        ("12", "test", ("not rock",)),
    ]
    assert (dataset.items[1].title, dataset.items[1].artist) == ('The "X"', "Strawdogs")
    assert all(item.audio.is_file() for item in dataset.items)


def test_of_equally_frequent_tags_the_first_column_wins(root: Path) -> None:
    path = root / magnatagatune.ANNOTATIONS_FILE
    header, *_ = path.read_text(encoding="utf-8").splitlines()
    path.write_text(header + '\n"1"\t"1"\t"1"\t"1"\t"1"\t"f/a.mp3"\n', encoding="utf-8")
    assert magnatagatune.load(root, top=2).tags == ("no voice", "singer")
    assert magnatagatune.load(root).tags == ("no voice", "singer", "guitar", "not rock")


@pytest.mark.parametrize("letter", "0123456789abcdef")
def test_folders_are_split_12_1_3(letter: str) -> None:
    expected = {"c": "validation", "d": "test", "e": "test", "f": "test"}.get(letter, "train")
    assert magnatagatune.SPLIT_OF[letter] == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1\t0\t0\t2\t0\tf/a.mp3", r"line 8.*'2'"),
        ("1\t0\t0\t1\t0\tg/a.mp3", r"line 8.*g/a\.mp3"),
        ("1\t0\t0\t1\t0\tf/../../a.mp3", "line 8"),
        ("1\t0\t0\t1\t0\t", "line 8"),
        ("1\t0\t0\t1\tf/a.mp3", "line 8: expected 6 cells, got 5"),
        ("2\t0\t0\t1\t0\tf/a.mp3", "listed twice"),
    ],
)
def test_a_bad_row_is_named(root: Path, row: str, message: str) -> None:
    with (root / magnatagatune.ANNOTATIONS_FILE).open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    with pytest.raises(DatasetError, match=message):
        magnatagatune.load(root)


@pytest.mark.parametrize("content", [b"", b"clip_id,mp3_path\n", b"\xff\xfe", b"clip_id\tclip_id\tmp3_path\n"])
def test_what_is_no_table_is_refused(root: Path, content: bytes) -> None:
    (root / magnatagatune.ANNOTATIONS_FILE).write_bytes(content)
    with pytest.raises(DatasetError, match=r"annotations_final\.csv"):
        magnatagatune.load(root)


def test_titles_and_artists_may_be_missing(root: Path) -> None:
    expected = [(item.id, item.split, item.audio, item.tags) for item in magnatagatune.load(root).items]
    (root / magnatagatune.CLIPS_FILE).unlink()
    items = magnatagatune.load(root).items
    assert [(item.id, item.split, item.audio, item.tags) for item in items] == expected
    assert {(item.title, item.artist) for item in items} == {("", "")}


@pytest.mark.parametrize("folder", ["mp3", ".", "elsewhere"])
def test_audio_is_found_in_the_root_too(root: Path, folder: str) -> None:
    (root / "mp3").rename(root / "clips")
    if folder == ".":
        for part in list((root / "clips").iterdir()):
            part.rename(root / part.name)
    else:
        (root / "clips").rename(root / folder)
    dataset = magnatagatune.load(root, audio=root / "elsewhere" if folder == "elsewhere" else None)
    assert all(item.audio.is_file() for item in dataset.items)


def test_a_missing_folder_of_audio_is_looked_for_where_it_belongs(root: Path) -> None:
    (root / "mp3").rename(root / "clips")
    assert magnatagatune.load(root).items[0].audio.parent == root / "mp3" / "f"
    (problem,) = [found for found in magnatagatune.check(root).problems if found.what == "a file for each track"]
    assert "None of the audio files exists" in problem.remedy
    assert "--audio DIR" in problem.remedy


def test_the_published_numbers_fit_each_other() -> None:
    published = magnatagatune.PUBLISHED
    assert published["train"] + published["validation"] + published["test"] == published["all"] == 25_860
    assert sum(count for what, count in published.items() if what.endswith("with a tag")) == 21_108


def test_check_tells_a_copy_from_the_publication(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = magnatagatune.check(root).problems
    assert problem.examples[:3] == (
        "train: 2 tracks, not 18,706",
        "validation: 1 tracks, not 1,825",
        "test: 2 tracks, not 5,329",
    )
    assert problem.count == 8
    monkeypatch.setattr(
        magnatagatune,
        "PUBLISHED",
        {"train": 2, "validation": 1, "test": 2, "all": 5, "tags": 4, "validation with a tag": 0, "all with a tag": 4},
    )
    assert magnatagatune.check(root).good
    assert magnatagatune.check(root, audio=root / "nowhere").problems[0].count == 5
    lines = (root / magnatagatune.ANNOTATIONS_FILE).read_text(encoding="utf-8").splitlines(keepends=True)
    (root / magnatagatune.ANNOTATIONS_FILE).write_text("".join(lines[:-2]), encoding="utf-8")  # one clip has no audio
    (problem,) = magnatagatune.check(root).problems
    assert problem.examples == ("test: 1 tracks, not 2", "all: 4 tracks, not 5", "all with a tag: 3 tracks, not 4")
    (root / magnatagatune.ANNOTATIONS_FILE).unlink()
    (problem,) = magnatagatune.check(root).problems
    assert problem.examples == (str(root / magnatagatune.ANNOTATIONS_FILE),)
    assert "Law et al., ISMIR 2009" in problem.remedy
