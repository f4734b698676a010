"""GTZAN and its fault-filtered lists."""

import io
from pathlib import Path

import pytest
from front_end import FIRST_SAMPLES
from rich.console import Console
from toy_genres import write_gtzan

from musiczoo.datasets import gtzan, prepare
from musiczoo.errors import DatasetError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_gtzan(tmp_path / "gtzan")


def test_the_lists_are_read(root: Path) -> None:
    dataset = gtzan.load(root)
    assert dataset.tags == gtzan.GENRES
    assert dataset.dimensions == {"genre": gtzan.GENRES}
    assert [(item.id, item.split, item.tags) for item in dataset.items] == [
        ("blues-00029", "train", ("blues",)),
        ("jazz-00054", "train", ("jazz",)),
        ("rock-00010", "train", ("rock",)),
        ("blues-00000", "validation", ("blues",)),
        ("blues-00012", "test", ("blues",)),
        ("hiphop-00000", "test", ("hiphop",)),
    ]
    assert dataset.items[0].audio == root / "genres" / "blues" / "blues.00029.wav"


@pytest.mark.parametrize("folder", ["genres", "genres_original", "Data/genres_original", "."])
@pytest.mark.parametrize("ending", [".wav", ".au"])
def test_audio_is_found_where_copies_have_it(tmp_path: Path, folder: str, ending: str) -> None:
    dataset = gtzan.load(write_gtzan(tmp_path, folder, ending))
    assert all(item.audio.is_file() for item in dataset.items)
    elsewhere = gtzan.load(tmp_path, tmp_path / folder)
    assert all(item.audio.is_file() for item in elsewhere.items)


def test_the_damaged_clip_is_one_failure(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gtzan, "PUBLISHED", {})
    (problem,) = gtzan.check(root).problems
    assert problem.what == "audio that can be decoded"
    assert problem.count == 1
    assert "jazz.00054.wav" in problem.examples[0]
    store = prepare.prepare(gtzan.load(root), tmp_path / "out", FIRST_SAMPLES, console=Console(file=io.StringIO()))
    assert [failure.id for failure in store.failures] == ["jazz-00054"]
    assert len(store.tracks) == 5


@pytest.mark.parametrize(
    "line",
    [
        "../blues/blues.00001.wav", "blues/jazz.00001.wav", "blues.00001.wav", "polka/polka.00001.wav",
        "blues/blues.1.wav", "blues/blues.00001.wav.exe", "<html>", "/blues/blues.00001.wav",
        "blues/blues.\u0660\u0660\u0660\u0660\u0661.wav",
    ],
)  # fmt: skip
def test_other_lines_are_refused(root: Path, line: str) -> None:
    with (root / "valid_filtered.txt").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(DatasetError, match=r"valid_filtered\.txt, line 2: expected a clip"):
        gtzan.load(root)


def test_windows_line_ends_and_empty_lines_are_read(root: Path) -> None:
    (root / "valid_filtered.txt").write_bytes(b"\xef\xbb\xbfblues/blues.00000.wav\r\n\r\n")
    assert len(gtzan.load(root).split("validation")) == 1


def test_check_knows_the_counts_and_the_lists(root: Path) -> None:
    found = {problem.what: problem.examples for problem in gtzan.check(root, quick=True).problems}
    assert found == {
        "as much as was published": (
            "train: 3 tracks, not 443", "validation: 1 tracks, not 197", "test: 2 tracks, not 290",
        )
    }  # fmt: skip
    (root / "test_filtered.txt").unlink()
    (problem,) = gtzan.check(root).problems
    assert problem.examples == (str(root / "test_filtered.txt"),)
    assert "folder" in problem.remedy
    with pytest.raises(DatasetError, match="Expected a list of clips"):
        gtzan.load(root)
