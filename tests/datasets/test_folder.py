"""A person's own music and table of tags."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import write_sound, write_table

from musiczoo.datasets import folder
from musiczoo.errors import DatasetError

TOGETHER = "path,tags\none.mp3,rock; sad ;rock\ntwo/two.flac,sad|jazz\nthree.mp3,\n"
APART = "path,sad,rock,jazz\none.mp3,1,1,0\ntwo/two.flac,1,,1\nthree.mp3,0,0,0\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i, name in enumerate(("one.mp3", "two/two.flac", "three.mp3")):
        write_sound(tmp_path / name, seed=i)
    return tmp_path


def load(root: Path, text: str) -> folder.Dataset:
    (root / "tags.csv").write_text(text, encoding="utf-8")
    return folder.load(root)


@pytest.mark.parametrize("text", [TOGETHER, APART, TOGETHER.replace(",", "\t"), "\ufeff" + TOGETHER, TOGETHER + "\n\n"])
def test_both_forms_are_read(root: Path, text: str) -> None:
    dataset = load(root, text)
    assert dataset.tags == (("sad", "rock", "jazz") if text == APART else ("jazz", "rock", "sad"))
    assert dataset.dimensions == {"all": dataset.tags}
    assert [set(item.tags) for item in dataset.items] == [{"rock", "sad"}, {"sad", "jazz"}, set()]
    assert [item.audio for item in dataset.items] == [root / "one.mp3", root / "two/two.flac", root / "three.mp3"]
    assert len({item.id for item in dataset.items}) == 3


@pytest.mark.parametrize(
    "text",
    ["path,tags\none.mp3,mood:sad; genre:rock\n", "path,genre:rock,mood:sad\none.mp3,1,1\n"],
)
def test_tags_may_name_their_dimension(root: Path, text: str) -> None:
    dataset = load(root, text)
    assert dataset.tags == ("rock", "sad")
    assert dataset.dimensions == {"genre": ("rock",), "mood": ("sad",)}
    assert set(dataset.items[0].tags) == {"rock", "sad"}


def test_other_columns_are_kept(root: Path) -> None:
    text = 'path,split,artist,title,licence,tags\none.mp3,test,Ann,"A, B",CC0,x\ntwo/two.flac,validation,,,,x\n'
    first, second = load(root, text).items
    assert (first.split, first.artist, first.title, first.licence) == ("test", "Ann", "A, B", "CC0")
    assert second.split == "validation"


def test_a_table_elsewhere_is_read(root: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "elsewhere" / "my.csv", [["path", "tags"], ["one.mp3", "x"]])
    assert folder.load(root, table).items[0].audio == root / "one.mp3"


@given(st.text(min_size=1, max_size=10))
def test_the_split_of_a_name_never_changes(key: str) -> None:
    assert folder.split_of(key) == folder.split_of(key)


def test_splits_have_their_shares() -> None:
    counts = Counter(folder.split_of(f"track {i}") for i in range(10_000))
    # Binomial: 4 standard deviations are 160 of 8,000 and 120 of 1,000.
    assert abs(counts["train"] - 8000) < 160
    assert abs(counts["validation"] - 1000) < 120
    assert abs(counts["test"] - 1000) < 120


@pytest.mark.parametrize("column", ["artist", "group"])
def test_artists_and_groups_are_not_divided(root: Path, column: str) -> None:
    rows = "".join(f"{i}.mp3,x,Band {i % 40}\n" for i in range(400))
    splits: dict[str, set[str]] = {}
    for i, item in enumerate(load(root, f"path,tags,{column}\n{rows}").items):
        splits.setdefault(f"Band {i % 40}", set()).add(item.split)
    assert all(len(found) == 1 for found in splits.values())
    assert len(set.union(*splits.values())) == 3


def test_a_track_stays_in_its_split_when_others_come(root: Path) -> None:
    few = load(root, "path,tags\none.mp3,x\nthree.mp3,x\n")
    more = load(root, "path,tags\nzero.mp3,y\none.mp3,x\ntwo/two.flac,z\nthree.mp3,x\n")
    found = {item.id: item.split for item in more.items}
    assert all(found[item.id] == item.split for item in few.items)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty file"),
        ("\n", "insert `path,tags` as its first"),
        ("one.mp3,rock\ntwo.mp3,sad\n", r"Got one\.mp3, rock.*insert `path,tags`"),
        ("path\none.mp3\n", "path and tags, or path and one column per tag"),
        ("path,tags,rock\none.mp3,x,1\n", "path and tags, or path and one column per tag"),
        ("path,tags,tags\none.mp3,x,x\n", "distinct columns"),
        ("path,tags\none.mp3\n", "line 2: expected 2 cells, got 1"),
        ("path,tags\none.mp3,x\none.mp3,y\n", r"line 3: one\.mp3 is also in line 2"),
        ("path,tags\n ,x\n", "line 2: expected a path"),
        ("path,rock\none.mp3,yes\n", "line 2: expected 0 or 1 for 'rock', got 'yes'"),
        ("path,tags,split\none.mp3,x,dev\n", "line 2: expected one of the splits"),
        ("path,tags\none.mp3,mood:sad;rock\n", "all name their dimension"),
        ("path,tags\none.mp3,:sad\ntwo.mp3,mood:\n", "all name their dimension"),
        ("path,tags\none.mp3,mood:slow;tempo:slow\n", "several of slow"),
        ("path,tags\none.mp3,\n", "got none"),
        ('path,tags\none.mp3,"x\n', r"tags\.csv"),
    ],
)
def test_what_is_wrong_is_named(root: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load(root, text)


def test_other_encodings_are_refused(root: Path) -> None:
    (root / "tags.csv").write_bytes("path,tags\nä.mp3,x\n".encode("latin1"))
    with pytest.raises(DatasetError, match="Save it as UTF-8"):
        folder.load(root)


def test_check_finds_missing_files_slips_and_empty_splits(root: Path) -> None:
    rows = [["path", "tags", "split"], ["one.mp3", "Hip-Hop", "train"], ["two/two.flac", "hip hop", "validation"]]
    write_table(root / "tags.csv", [*rows, ["three.mp3", "jazz", "test"]])
    (problem,) = folder.check(root).problems
    assert problem.examples == ("Hip-Hop / hip hop",)
    write_table(root / "tags.csv", [*rows, ["four.mp3", "jazz", "train"]])
    found = {problem.what: problem.examples for problem in folder.check(root).problems}
    assert found["tracks in each split"] == ("test",)
    assert "four.mp3" in found["a file for each track"][0]
    (root / "tags.csv").unlink()
    (problem,) = folder.check(root).problems
    assert "tags.csv" in problem.examples[0]


def test_ids_name_files_wherever_they_are(root: Path) -> None:
    text = "id,tags,split\none,x;y,training\ntwo,y,valid\nthree,x,test\nfour,x,val\n"
    dataset = load(root, text)
    assert [item.audio for item in dataset.items] == [
        root / "one.mp3", root / "two" / "two.flac", root / "three.mp3", root / "four",
    ]  # fmt: skip
    assert [item.id for item in dataset.items] == ["one", "two", "three", "four"]
    assert [item.split for item in dataset.items] == ["train", "validation", "test", "validation"]
    (problem,) = folder.check(root).problems
    assert problem.examples == (f"four: {root / 'four'}",)


def test_an_id_of_two_files_is_refused(root: Path) -> None:
    write_sound(root / "two" / "one.wav")
    with pytest.raises(DatasetError, match=r"line 2: expected one file for the id 'one', found .*one.* and .*one"):
        load(root, "id,tags\none,x\n")
    dataset = load(root, "path,id,tags\none.mp3,first,x\ntwo/one.wav,second,x\n")
    assert [(item.id, item.audio) for item in dataset.items] == [
        ("first", root / "one.mp3"), ("second", root / "two" / "one.wav"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["../one", "/one", "a/../../one"])
def test_ids_lead_nowhere_else(root: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="id inside the folder"):
        load(root, f"id,tags\n{name},x\n")


def tree(root: Path, *paths: str) -> Path:
    for seed, path in enumerate(paths):
        write_sound(root / path, 0.1, seed)
    return root


def test_folders_name_tags(tmp_path: Path) -> None:
    tree(tmp_path, "happy/b.mp3", "happy/a.MP3", "sad/album/c.wav", "sad/.hidden/d.wav", "loose.wav", "notes/e.txt")
    dataset = folder.load(tmp_path)
    assert dataset.tags == ("happy", "sad")
    assert [(item.audio.relative_to(tmp_path).as_posix(), item.tags) for item in dataset.items] == [
        ("happy/a.MP3", ("happy",)), ("happy/b.mp3", ("happy",)), ("sad/album/c.wav", ("sad",)),
    ]  # fmt: skip
    assert [item.split for item in dataset.items] == [
        folder.split_of("happy/a.MP3"), folder.split_of("happy/b.mp3"), folder.split_of("sad/album"),
    ]  # fmt: skip


def test_check_names_audio_without_a_tag(tmp_path: Path) -> None:
    tree(tmp_path, "train/a/1.wav", "val/a/2.wav", "test/b/3.wav", "test/4.wav", "train/b/5.wav")
    (problem,) = folder.check(tmp_path).problems
    assert (problem.what, problem.examples) == ("audio in a folder named after its tag", ("test/4.wav",))
    (tmp_path / "test" / "4.wav").unlink()
    assert folder.check(tmp_path).good


def test_folders_may_name_splits_and_dimensions(tmp_path: Path) -> None:
    tree(tmp_path, "train/mood:sad/a.wav", "valid/mood:sad/b.wav", "test/genre:pop/x/c.wav", "train/loose.wav")
    dataset = folder.load(tmp_path)
    assert dataset.dimensions == {"genre": ("pop",), "mood": ("sad",)}
    assert {(item.audio.name, item.split, item.tags) for item in dataset.items} == {
        ("a.wav", "train", ("sad",)), ("b.wav", "validation", ("sad",)), ("c.wav", "test", ("pop",)),
    }  # fmt: skip


def test_an_album_is_not_divided(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{tag}/album {i}/{j}.wav" for tag in "ab" for i in range(12) for j in range(3)))
    splits: dict[Path, set[str]] = {}
    for item in folder.load(tmp_path).items:
        splits.setdefault(item.audio.parent, set()).add(item.split)
    assert len(splits) == 24
    assert all(len(found) == 1 for found in splits.values())


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    tree(tmp_path / "music", "a/one.wav", "b/two.wav")
    (tmp_path / "music" / "a" / "again").symlink_to(tmp_path / "music")
    assert len(folder.load(tmp_path / "music").items) == 2


def test_fewer_than_two_folders_are_no_tags(tmp_path: Path) -> None:
    for paths, message in (
        ((), "neither"),
        (("one.wav",), "neither"),
        (("a/one.wav",), "found a"),
        (("train/a/one.wav", "test/a/b.wav"), "found a"),
    ):
        root = tree(tmp_path / str(len(paths)) / (paths or ("none",))[0].replace("/", "-"), *paths)
        root.mkdir(parents=True, exist_ok=True)
        with pytest.raises(DatasetError, match=rf"Expected tags\.csv in .*, or two or more folders.*{message}"):
            folder.load(root)
    with pytest.raises(DatasetError, match="No such file"):
        folder.load(tmp_path / "nowhere")
    tree(tmp_path / "music", "a/one.wav", "b/two.wav")
    with pytest.raises(DatasetError, match=r"mine\.csv"):
        folder.load(tmp_path / "music", tmp_path / "mine.csv")
