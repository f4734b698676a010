"""MTG-Jamendo, out of its published tables."""

from pathlib import Path

import pytest
from published import write_jamendo

from musiczoo.datasets import jamendo
from musiczoo.errors import DatasetError, InputError, UnknownNameError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_jamendo(tmp_path / "mtg-jamendo-dataset")


def table(root: Path, split: str = "train") -> Path:
    return root / "data/splits/split-0" / f"autotagging_top50tags-{split}.tsv"


def test_tracks_tags_and_dimensions_are_read(root: Path) -> None:
    dataset = jamendo.load(root)
    assert dataset.tags == ("genre---classical", "genre---punkrock", "instrument---voice", "mood/theme---happy")
    assert dataset.dimensions == {
        "genre": ("genre---classical", "genre---punkrock"),
        "instrument": ("instrument---voice",),
        "mood/theme": ("mood/theme---happy",),
    }
    assert [(item.id, item.split, item.tags) for item in dataset.items] == [
        ("track_0000214", "train", ("genre---punkrock",)),
        ("track_0000382", "train", ("genre---classical", "instrument---voice", "mood/theme---happy")),
        ("track_0000773", "validation", ("genre---classical",)),
        ("track_0000808", "test", ("mood/theme---happy",)),
    ]
    assert dataset.items[0].artist == "artist_000014"


def test_small_versions_of_the_audio_will_do(root: Path) -> None:
    paths = [item.audio.relative_to(root).as_posix() for item in jamendo.load(root).items]
    assert paths == ["audio/14/214.mp3", "audio/82/382.mp3", "audio/73/773.mp3", "audio/08/808.low.mp3"]


def test_other_subsets_and_splits_are_other_tables(root: Path) -> None:
    (root / "data/splits/split-0").rename(root / "data/splits/split-3")
    for path in list((root / "data/splits/split-3").iterdir()):
        path.rename(path.with_name(path.name.replace("_top50tags", "")))
    assert len(jamendo.load(root, subset="all", fold=3).items) == 4
    with pytest.raises(DatasetError, match=r"split-0.autotagging_top50tags-train\.tsv"):
        jamendo.load(root)
    with pytest.raises(UnknownNameError, match="Did you mean 'top50tags'"):
        jamendo.load(root, subset="top50")
    with pytest.raises(InputError, match="0 to 4, got 5"):
        jamendo.load(root, fold=5)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("track_1\tartist_1\talbum_1\t14/1.mp3\t1.0", "line 4.*5 cells"),
        ("track_1\tartist_1\talbum_1\t14/1.mp3\t1.0\trock", "line 4.*genre---rock"),
        ("track_1\tartist_1\talbum_1\t../1.mp3\t1.0\tgenre---rock", "line 4"),
        ("track_1\tartist_1\talbum_1\t/1.mp3\t1.0\tgenre---rock", "line 4"),
        ("track_0000808\tartist_1\talbum_1\t1.mp3\t1.0\tgenre---rock", "listed twice"),
        ("x", "line 4"),
    ],
)
def test_a_bad_row_is_named(root: Path, row: str, message: str) -> None:
    with table(root).open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    with pytest.raises(DatasetError, match=message):
        jamendo.load(root)


def test_another_header_is_refused(root: Path) -> None:
    table(root).write_text("TRACK_ID\tTAGS\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="expected the columns TRACK_ID, ARTIST_ID"):
        jamendo.load(root)


def test_check_tells_a_copy_from_the_publication(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = jamendo.check(root).problems
    assert problem.examples == ("all: 4 tracks, not 54,380", "tags: 4, not 50")
    monkeypatch.setattr(jamendo, "PUBLISHED", {"top50tags": {"all": 4, "tags": 4}})
    assert jamendo.check(root).counts == {"train": 2, "validation": 1, "test": 1, "all": 4}
    assert jamendo.check(root).good
    (root / "audio/14/214.mp3").unlink()
    table(root, "test").unlink()
    assert jamendo.check(root).problems[0].examples == (str(table(root, "test")),)
    table(root, "test").write_text(table(root, "validation").read_text().replace("_0000773", "_9"))
    (problem,) = jamendo.check(root).problems
    assert problem.count == 1
    assert "14/214.mp3" in problem.examples[0]


@pytest.mark.parametrize("subset", jamendo.SUBSETS)
@pytest.mark.parametrize("fold", range(jamendo.FOLDS))
def test_a_cut_table_is_found_in_each_subset_and_fold(
    root: Path, subset: str, fold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"all", "tags"} <= jamendo.PUBLISHED[subset].keys()
    monkeypatch.setattr(jamendo, "PUBLISHED", {subset: {"all": 4, "tags": 4}})
    monkeypatch.setattr(jamendo, "PUBLISHED_PARTS", {})
    tables = jamendo._tables(root, subset, fold)
    for split, path in tables.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(table(root, split).read_bytes())
    assert jamendo.check(root, subset=subset, fold=fold).good
    whole = tables["train"].read_text()
    tables["train"].write_text("\n".join(whole.splitlines()[:-1]))
    (problem,) = jamendo.check(root, subset=subset, fold=fold).problems
    assert problem.examples == ("all: 3 tracks, not 4", "tags: 3, not 4")
    tables["train"].write_text(whole.rstrip()[:-2])  # mood/theme---hap: as many rows, but a tag that nobody published
    (problem,) = jamendo.check(root, subset=subset, fold=fold).problems
    assert problem.examples == ("tags: 5, not 4",)


def test_a_part_whose_size_was_published_is_held_against_it(root: Path) -> None:
    for split in ("train", "validation", "test"):
        table(root, split).rename(table(root, split).with_name(f"autotagging_moodtheme-{split}.tsv"))
    (problem,) = jamendo.check(root, subset="moodtheme").problems
    assert problem.examples == ("all: 4 tracks, not 17,982", "tags: 4, not 56", "test: 1 tracks, not 4,231")


def test_audio_is_found_in_the_root_too(root: Path) -> None:
    expected = [item.audio.relative_to(root / "audio") for item in jamendo.load(root).items]
    for part in list((root / "audio").iterdir()):
        part.rename(root / part.name)
    items = jamendo.load(root).items
    assert [item.audio.relative_to(root) for item in items] == expected
    assert all(item.audio.is_file() for item in items)


def test_tables_that_a_benchmark_copied_are_read(root: Path) -> None:
    expected = jamendo.load(root)
    for path in (root / "data" / "splits" / "split-0").iterdir():
        path.rename(root / path.name)
    path.parent.rmdir()
    assert jamendo.load(root) == expected
