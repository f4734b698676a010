"""The lists of tagging benchmarks."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import write_sound
from toy_lists import CLIPS, MSD_ROWS, MSD_TAGS, TAGS, write_clips, write_ids, write_npy, write_pub, write_tsv

from musiczoo import taxonomy
from musiczoo.datasets import tagging_lists
from musiczoo.errors import DatasetError

Write = Callable[[Path], Path]
SPLITS = {"train": "train", "valid": "validation", "test": "test"}
EXPECTED = [
    (SPLITS[split], path, tuple(tag for tag, applies in zip(TAGS, row, strict=True) if applies))
    for split, clips in CLIPS.items()
    for path, row in clips
]
WRITERS = [write_npy, lambda root: write_npy(root, objects=True), write_pub, write_tsv]


@pytest.mark.parametrize("write", WRITERS, ids=["npy", "objects", "pub", "tsv"])
def test_each_form_is_read(tmp_path: Path, write: Write) -> None:
    root, audio = write(tmp_path / "lists"), write_clips(tmp_path / "mp3")
    dataset = tagging_lists.load(root, audio)
    assert dataset.tags == TAGS
    assert dataset.dimensions == {"all": TAGS}
    assert [(item.split, item.audio, item.tags) for item in dataset.items] == [
        (split, audio / path, tags) for split, path, tags in EXPECTED
    ]
    assert tagging_lists.check(root, audio).counts == {"train": 2, "validation": 1, "test": 2, "all": 5}


def test_ids_of_msd_are_found_by_their_letters(tmp_path: Path) -> None:
    root = write_ids(tmp_path)
    track = "TRAADIN128F931D672"
    write_sound(root / "audio" / "A" / "A" / "D" / f"{track}.wav")
    dataset = tagging_lists.load(root)
    assert dataset.tags == MSD_TAGS
    found = {item.id: item for item in dataset.items}
    assert found[track].audio == root / "audio" / "A" / "A" / "D" / f"{track}.wav"
    assert found["TRAAABD128F429CF47"].audio == root / "audio" / "A" / "A" / "A" / "TRAAABD128F429CF47.mp3"
    for name, row in MSD_ROWS.items():
        np.testing.assert_array_equal(dataset.row(found[name]), np.array(row, bool))


def test_paths_to_arrays_lead_to_the_clip(tmp_path: Path) -> None:
    audio = write_clips(tmp_path / "mp3")
    (audio / "c/solace-01-z-0-29.mp3").rename(audio / "c/solace-01-z-0-29.flac")
    items = tagging_lists.load(write_npy(tmp_path, ending=".npy"), audio).items
    assert all(item.audio.is_file() for item in items)
    assert [item.audio.suffix for item in items] == [".mp3", ".mp3", ".flac", ".mp3", ".mp3"]
    missing = tagging_lists.load(write_npy(tmp_path, ending=".npy"), tmp_path / "none").items
    assert all(item.audio.suffix == ".mp3" for item in missing)


@pytest.mark.parametrize(
    ("tags", "dimensions"),
    [
        (("genre---rock", "mood/theme---happy", "genre---pop"),
         {"genre": ("genre---rock", "genre---pop"), "mood/theme": ("mood/theme---happy",)}),
        (("genre---rock", "happy", "pop"), None),
        (("---a", "b---", "c"), None),
    ],
)  # fmt: skip
def test_tags_may_name_their_dimension(
    tmp_path: Path, tags: tuple[str, ...], dimensions: dict[str, tuple[str, ...]] | None
) -> None:
    np.save(write_npy(tmp_path) / "tags.npy", np.array(tags))
    assert tagging_lists.load(tmp_path).dimensions == (dimensions or {"all": tags})


def test_the_fifty_tags_have_their_dimensions(tmp_path: Path) -> None:
    write_tsv(tmp_path)
    names = list(taxonomy.TAGS)
    (tmp_path / "output_labels_mtt.txt").write_text(f"MSD_LABELS = {names}\n", encoding="utf-8")
    for path in tmp_path.glob("*_gt_*.tsv"):
        path.write_text(path.read_text(encoding="utf-8").replace("]", ", 0.0" * 47 + "]"), encoding="utf-8")
    assert tagging_lists.load(tmp_path).dimensions == taxonomy.DIMENSION_TAGS


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("ran",))


def test_arrays_of_objects_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(write_npy(tmp_path) / "test.npy", np.array([_Runs(), "1\tb"], object))
    with pytest.raises(DatasetError, match=r"mkdir', which was not run"):
        tagging_lists.load(tmp_path)
    (write_pub(tmp_path / "pub") / "test_list_pub.cP").write_bytes(pickle.dumps([_Runs()], 0))
    with pytest.raises(DatasetError, match=r"mkdir', which was not run"):
        tagging_lists.load(tmp_path / "pub")
    (write_ids(tmp_path / "ids") / "msd_config.py").write_text("open('ran', chr(119)); t = ('b', 'c')")
    tagging_lists.load(tmp_path / "ids", tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    ["9\ta.mp3", "-1\ta.mp3", "x\ta.mp3", "1 a.mp3", "1\t../a.mp3", "1\t/a.mp3", "1\t", "\u00b2\ta.mp3", "1\ta\0.mp3"],
)
def test_lines_that_do_not_fit_are_refused(tmp_path: Path, text: str) -> None:
    np.save(write_npy(tmp_path) / "test.npy", np.array([text, "0\tb.mp3"], object))
    with pytest.raises(DatasetError):
        tagging_lists.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("binary.npy", np.zeros((9, 4))), ("binary.npy", np.full((9, 3), 0.5)), ("binary.npy", np.full((9, 3), np.nan)),
        ("binary.npy", np.zeros(9)), ("binary.npy", np.full((9, 3), "1")), ("binary.npy", np.zeros((1, 3))),
        ("tags.npy", np.array(["a", "a", "b"])), ("tags.npy", np.array([1, 2, 3])), ("tags.npy", np.array([], str)),
        ("train.npy", np.zeros((2, 2))), ("train.npy", np.array([["a", None]], object)),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, name: str, value: np.ndarray) -> None:
    np.save(write_npy(tmp_path) / name, value)
    with pytest.raises(DatasetError, match=str(tmp_path)):
        tagging_lists.load(tmp_path)


def test_lists_of_unequal_lengths_and_unknown_ids_are_refused(tmp_path: Path) -> None:
    np.save(write_pub(tmp_path / "pub") / "y_test_pub.npy", np.zeros((1, 3), int))
    with pytest.raises(DatasetError, match=r"y_test_pub\.npy: expected 2 rows, one for each clip listed, got 1"):
        tagging_lists.load(tmp_path / "pub")
    truth = write_tsv(tmp_path / "tsv") / "val_gt_mtt.tsv"
    for text, message in (("99\t[0.0]\n", "clips of the index"), ("21\t[a]\n", "0 or 1"), ("21\n", "2 cells")):
        truth.write_text(text, encoding="utf-8")
        with pytest.raises(DatasetError, match=message):
            tagging_lists.load(tmp_path / "tsv")


@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html><html>404</html>", b"version https://git-lfs.github.com/spec/v1\n"]
)
@pytest.mark.parametrize("name", ["train.npy", "binary.npy", "tags.npy"])
def test_damaged_downloads_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (write_npy(tmp_path) / name).write_bytes(content)
    with pytest.raises(DatasetError, match=name):
        tagging_lists.load(tmp_path)
    assert tagging_lists.check(tmp_path).problems


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (write_npy(tmp_path) / "binary.npy").unlink()
    with pytest.raises(DatasetError, match=r"found none that is complete: binary\.npy missing"):
        tagging_lists.load(tmp_path)
    (problem,) = tagging_lists.check(tmp_path / "none").problems
    assert "found none that is complete. Fetch" in problem.examples[0]


def test_check_knows_the_stated_counts(tmp_path: Path) -> None:
    found = {
        problem.what: problem.examples for problem in tagging_lists.check(write_tsv(tmp_path), quick=True).problems
    }
    assert found["as much as was published"] == (
        "train: 2 tracks, not 18,706", "validation: 1 tracks, not 1,825", "test: 2 tracks, not 5,329",
    )  # fmt: skip
    assert len(found["a file for each track"]) == 5


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6), st.booleans())
def test_rows_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list[list[bool]], objects: bool) -> None:
    root = tmp_path_factory.mktemp("lists")
    write_npy(root)
    np.save(root / "binary.npy", np.array(rows, np.float64))
    lines = [f"{index}\ta/{index}.mp3" for index in range(len(rows))]
    for name, part in (("train", lines), ("valid", ["0\tb/0.mp3"]), ("test", ["0\tc/0.mp3"])):
        np.save(root / f"{name}.npy", np.array(part, object if objects else str))
    assert tagging_lists.load(root).positives("train").tolist() == rows
