"""The Million Song Dataset's tagging split, out of its published pickles."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from published import MSD_TRACKS, write_msd

from musiczoo.datasets import msd
from musiczoo.errors import DatasetError
from musiczoo.taxonomy import DIMENSION_TAGS, TAGS


@pytest.fixture(autouse=True)
def two_train_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the published list is cut into train and validation, scaled down."""
    monkeypatch.setattr(msd, "TRAIN_TRACKS", 2)
    monkeypatch.setattr(msd, "PUBLISHED", {"train": 2, "validation": 1, "test": 1})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_msd(tmp_path / "msd")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_splits_and_tags_are_read(tmp_path: Path, protocol: int) -> None:
    dataset = msd.load(write_msd(tmp_path, protocol))
    assert (dataset.tags, dataset.dimensions) == (TAGS, DIMENSION_TAGS)
    assert {item.id: (item.split, set(item.tags)) for item in dataset.items} == {
        track: (split, set(tags)) for track, (split, tags) in MSD_TRACKS.items()
    }
    assert dataset.items[0].tags == ("rock", "60s")


def test_audio_is_found_in_three_layouts(root: Path) -> None:
    found = [item.audio.relative_to(root / "audio").as_posix() for item in msd.load(root).items]
    assert found == [
        "8/9/8947470.clip.mp3",
        "A/A/A/TRAAABD128F429CF47.mp3",
        "TRAAADZ128F9348C2E.mp3",
        "3/6/36122424.clip.mp3",
    ]
    assert all(item.audio.is_file() for item in msd.load(root).items)


def test_audio_may_be_elsewhere_and_missing(root: Path, tmp_path: Path) -> None:
    (root / msd.IDS).unlink()
    locate = msd.locator(root, tmp_path / "previews")
    assert locate("TRAADIN128F931D672") == tmp_path / "previews/A/A/D/TRAADIN128F931D672.mp3"


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", 5])
def test_audio_stays_in_its_folder(root: Path, path: object) -> None:
    (root / msd.PATHS).write_bytes(pickle.dumps({"8947470": path}))
    assert msd.locator(root)("TRAAAAW128F429D538") == root / "audio/A/A/A/TRAAAAW128F429D538.mp3"


def test_numbers_serve_as_7digital_ids_too(root: Path) -> None:
    (root / msd.IDS).write_bytes(pickle.dumps({"TRAAAAW128F429D538": 8947470}))
    assert msd.locator(root)("TRAAAAW128F429D538").name == "8947470.clip.mp3"


def test_a_validation_list_of_its_own_is_used(root: Path) -> None:
    (root / msd.TRAIN_LIST).write_bytes(pickle.dumps(list(MSD_TRACKS)[:1]))
    (root / msd.VALIDATION_LIST).write_bytes(pickle.dumps(list(MSD_TRACKS)[1:3]))
    dataset = msd.load(root)
    assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == [1, 2, 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (msd.TRAIN_LIST, pickle.dumps({}), "expected a list, got a dict"),
        (msd.TRAIN_LIST, pickle.dumps([1, 2]), "list of ids of train tracks"),
        (msd.TRAIN_LIST, pickle.dumps(["TRAAAAW128F429D538"] * 2), "listed twice"),
        (msd.TRAIN_LIST, pickle.dumps(["TRB"]), "for TRB, got none"),
        (msd.TRAIN_LIST, b"cos\nsystem\n.", "'os'.'system', which was not run"),
        (msd.TAG_VECTORS, pickle.dumps({}), "50 numbers for TRAAAAW128F429D538"),
        (msd.TAG_VECTORS, pickle.dumps(dict.fromkeys(MSD_TRACKS, np.zeros(49))), "50 times 0 or 1"),
        (msd.TAG_VECTORS, pickle.dumps(dict.fromkeys(MSD_TRACKS, np.full(50, 0.5))), "50 times 0 or 1"),
        (msd.TAG_VECTORS, pickle.dumps(dict.fromkeys(MSD_TRACKS, "text")), "50 numbers"),
        (msd.TAG_LIST, b"rock\npop\n", "the 50 tags of musiczoo.taxonomy"),
        (msd.TAG_LIST, b"\xff", "50tagList"),
        (msd.PATHS, pickle.dumps([]), "expected a dict"),
    ],
)
def test_what_does_not_fit_is_named(root: Path, name: str, content: bytes, message: str) -> None:
    (root / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        msd.load(root)


def test_a_good_copy_passes(root: Path) -> None:
    report = msd.check(root)
    assert report.good, report
    assert report.counts == {"train": 2, "validation": 1, "test": 1, "all": 4}


def test_what_is_missing_or_damaged_is_told(root: Path) -> None:
    (root / msd.TEST_LIST).write_bytes(pickle.dumps([]))
    (root / "audio/8/9/8947470.clip.mp3").unlink()
    (root / "audio/TRAAADZ128F9348C2E.mp3").write_bytes(b"")
    (root / "audio/A/A/A/TRAAABD128F429CF47.mp3").write_bytes(b"not audio")
    found = {problem.what: (problem.count, problem.examples[0]) for problem in msd.check(root).problems}
    assert [count for count, _ in found.values()] == [1, 1, 1, 1]
    assert found["as much as was published"][1] == "test: 0 tracks, not 1"
    assert "8947470.clip.mp3" in found["a file for each track"][1]
    assert "TRAAADZ128F9348C2E" in found["files that are not empty"][1]
    assert "TRAAABD128F429CF47" in found["audio that can be decoded"][1]
    assert "audio that can be decoded" not in {problem.what for problem in msd.check(root, quick=True).problems}


def test_missing_lists_are_told_before_anything_is_read(root: Path) -> None:
    for name in (msd.TEST_LIST, msd.TAG_VECTORS):
        (root / name).unlink()
    (problem,) = msd.check(root).problems
    assert (problem.count, [Path(path).name for path in problem.examples]) == (2, [msd.TEST_LIST, msd.TAG_VECTORS])
    assert "Lee and Nam" in problem.remedy


def test_byte_strings_are_ids_too(root: Path) -> None:
    """What Python 3 makes of Python 2's strings, if it is told to keep them as bytes."""
    expected = msd.load(root)
    for name in (msd.TRAIN_LIST, msd.TEST_LIST, msd.TAG_VECTORS, msd.IDS, msd.PATHS):
        value = pickle.loads((root / name).read_bytes())
        if isinstance(value, list):
            value = [track.encode() for track in value]
        else:
            value = {key.encode(): v.encode() if isinstance(v, str) else v for key, v in value.items()}
        (root / name).write_bytes(pickle.dumps(value, 4))
    assert msd.load(root) == expected


def test_previews_are_found_in_the_root_too(root: Path) -> None:
    expected = [item.audio.relative_to(root / "audio") for item in msd.load(root).items]
    for part in list((root / "audio").iterdir()):
        part.rename(root / part.name)
    (root / "audio").rmdir()
    items = msd.load(root).items
    assert [item.audio.relative_to(root) for item in items] == expected
    assert all(item.audio.is_file() for item in items)


def test_if_no_preview_is_there_the_option_is_named(root: Path, tmp_path: Path) -> None:
    (problem,) = msd.check(root, audio=tmp_path / "nowhere").problems
    assert problem.count == 4
    assert "--audio DIR" in problem.remedy


def test_a_cut_list_is_a_problem_and_no_crash(root: Path) -> None:
    whole = (root / msd.TAG_VECTORS).read_bytes()
    (root / msd.TAG_VECTORS).write_bytes(whole[: len(whole) // 2])
    (problem,) = msd.check(root).problems
    assert msd.TAG_VECTORS in problem.examples[0]
