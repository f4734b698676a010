"""FMA: tables of pandas with three rows of header."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import write_sound
from toy_genres import FMA_TRACKS, write_fma

from musiczoo.datasets import fma
from musiczoo.errors import DatasetError, UnknownNameError

SIZES = {"small": 4, "medium": 5, "large": 7, "full": 7}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_fma(tmp_path / "fma")


@pytest.fixture
def no_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fma, "PUBLISHED", {subset: {} for subset in fma.SUBSETS})
    monkeypatch.setattr(fma, "TOP_GENRES", {})


def tracks(root: Path) -> Path:
    return root / "fma_metadata" / "tracks.csv"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_subset_is_read(root: Path) -> None:
    dataset = fma.load(root)
    assert dataset.tags == ("Folk", "Hip-Hop", "Pop")
    assert dataset.dimensions == {"genre": ("Folk", "Hip-Hop", "Pop")}
    assert [(item.id, item.split, item.tags, item.genre) for item in dataset.items] == [
        ("000002", "train", ("Hip-Hop",), "Hip-Hop"),
        ("000005", "train", ("Hip-Hop",), "Hip-Hop"),
        ("000010", "validation", ("Pop",), "Pop"),
        ("000140", "test", ("Folk",), "Folk"),
    ]
    first = dataset.items[0]
    assert first.audio == root / "fma_small" / "000" / "000002.mp3"
    assert (first.title, first.artist, first.licence) == ("Food", "AWOL", "Attribution-NonCommercial 3.0")


@pytest.mark.parametrize("subset", fma.SUBSETS)
def test_subsets_contain_each_other(root: Path, subset: str) -> None:
    items = fma.load(root, subset=subset).items
    assert len(items) == SIZES[subset]
    assert [int(item.id) for item in items] == [row[0] for row in FMA_TRACKS[: SIZES[subset]]]
    if subset in ("large", "full"):
        assert items[-1].audio.parts[-2:] == ("200", "200017.mp3")
        assert (items[-1].artist, items[-1].tags) == ('Nobody, "somewhere"', ())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("genres", {"Experimental Pop", "Singer-Songwriter"}),
        ("genres_all", {"Folk", "Pop", "Experimental Pop", "Singer-Songwriter"}),
    ],
)
def test_genres_by_number_are_named(root: Path, kind: str, expected: set[str]) -> None:
    dataset = fma.load(root, subset="large", tags=kind)
    assert set(dataset.items[5].tags) == expected
    assert dataset.items[0].tags == ("Hip-Hop",)
    assert dataset.items[6].tags == ()


def test_genres_of_one_title_are_two_tags(root: Path) -> None:
    change(root / "fma_metadata" / "genres.csv", "Experimental Pop", "Pop")
    assert fma.load(root, subset="large", tags="genres_all").tags == (
        "Folk", "Hip-Hop", "Pop", "Pop (76)", "Singer-Songwriter",
    )  # fmt: skip


def test_audio_of_a_larger_subset_or_elsewhere_is_found(root: Path, tmp_path: Path) -> None:
    (root / "fma_small").rename(root / "fma_medium")
    assert fma.load(root).items[0].audio.is_file()
    assert fma.load(root, subset="full").items[0].audio == root / "fma_full" / "000" / "000002.mp3"
    assert fma.load(root, tmp_path).items[0].audio == tmp_path / "000" / "000002.mp3"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",training,small", ",dev,small", "line 6: expected a track's number, its split"),
        (",training,small", ",training,tiny", "'tiny'"),
        ("\n2,", "\n../2,", r"'\.\./2'"),
        ("\n2,", "\n\u0662,", "expected a track's number"),
        (",genre_top,", ",top,", "three header rows with track/genre_top"),
        ("track_id", "3", "three header rows with track_id"),
        ("Attribution-NonCommercial 3.0", "a,b", "expected 53 cells, got 54"),
    ],
)  # fmt: skip
def test_damage_is_named(root: Path, old: str, new: str, message: str) -> None:
    change(tracks(root), old, new)
    with pytest.raises(DatasetError, match=message) as caught:
        fma.load(root)
    assert "tracks.csv" in str(caught.value)


@pytest.mark.parametrize("cell", ["[999]", "76", "[76", "[76,]", "__import__('os')", "[-1]"])
def test_genres_that_are_no_numbers_are_named(root: Path, cell: str) -> None:
    change(tracks(root), '"[76, 103]"', f'"{cell}"')
    with pytest.raises(DatasetError, match=r"expected ids of genres\.csv"):
        fma.load(root, subset="large", tags="genres")


def test_a_web_page_and_a_cut_table_are_no_tables(root: Path) -> None:
    whole = tracks(root).read_text(encoding="utf-8")
    for text in (
        "",
        "<!DOCTYPE html>\n<html><body>404</body></html>\n",
        whole.split("\n")[0],
        whole[: whole.index("Kurt")],
    ):
        tracks(root).write_text(text, encoding="utf-8")
        with pytest.raises(DatasetError):
            fma.load(root)


def test_long_biographies_are_read(root: Path) -> None:
    change(tracks(root), "and there", "x" * 200_000)
    assert len(fma.load(root).items) == 4


def test_unknown_names_are_refused(root: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'small'"):
        fma.load(root, subset="smal")
    with pytest.raises(UnknownNameError, match="genre_top, genres"):
        fma.load(root, tags="moods")
    with pytest.raises(UnknownNameError):
        fma.check(root, subset="tiny")


def test_check_finds_cut_tables_short_clips_and_missing_audio(root: Path) -> None:
    (problem,) = fma.check(root).problems
    assert problem.examples == (
        "train: 2 tracks, not 6,400", "validation: 1 tracks, not 800", "test: 1 tracks, not 800", "tags: 3, not 8",
    )  # fmt: skip
    write_sound(root / "fma_small" / "000" / "000005.mp3", 1.6)
    (root / "fma_small" / "000" / "000010.mp3").unlink()
    (root / "fma_small" / "000" / "000140.mp3").write_bytes(b"")
    found = {problem.what: problem.examples for problem in fma.check(root).problems}
    assert found["audio of 3 s or more"] == (f"000005: 1.60 s, {root / 'fma_small/000/000005.mp3'}",)
    assert "000010.mp3" in found["a file for each track"][0]
    assert "000140.mp3" in found["files that are not empty"][0]
    tracks(root).unlink()
    assert "tracks.csv" in fma.check(root).problems[0].examples[0]


def test_a_good_copy_passes(root: Path, no_counts: None) -> None:
    report = fma.check(root)
    assert report.good
    assert report.counts == {"train": 2, "validation": 1, "test": 1, "all": 4}


@given(numbers=st.lists(st.integers(0, 999_999), min_size=1, max_size=5), spaces=st.booleans())
def test_brackets_are_read_as_python_writes_them(numbers: list[int], spaces: bool) -> None:
    row = fma._Row(
        "2", "training", "small", "", str(numbers) if spaces else str(numbers).replace(" ", ""), "", "", "", ""
    )
    names = {str(number): f"genre {number}" for number in numbers}
    assert fma._tags(row, "genres", names, "x") == tuple(dict.fromkeys(f"genre {number}" for number in numbers))
