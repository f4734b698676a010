"""Tagged music -> the folder that training reads."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from front_end import FIRST_SAMPLES, HOP, RATE
from interruption import interrupted
from published import write_sound
from rich.console import Console

from musiczoo import audio
from musiczoo.datasets import hard_tags, prepare
from musiczoo.datasets.dataset import Dataset, Item
from musiczoo.datasets.prepare import FrontEnd
from musiczoo.datasets.prepared import ANNOTATIONS, Store
from musiczoo.errors import DatasetError
from musiczoo.taxonomy import DIMENSION_TAGS, TAGS

TAGS_OF = {"long": ("rock", "sad"), "short": ("rock",), "silent": ()}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """7 s, 1 s and 1 s of sound, in one split each."""
    seconds = {"long": 7.0, "short": 1.0, "silent": 1.0}
    music = tmp_path / "music"
    items = tuple(
        Item(
            name, split, write_sound(music / f"{name} one.wav", seconds[name], seed), TAGS_OF[name], f"T {name}", "Ann"
        )
        for seed, (name, split) in enumerate(zip(TAGS_OF, ("train", "validation", "test"), strict=True))
    )
    return Dataset("folder", music, ("sad", "rock"), {"mood": ("sad",), "genre": ("rock",)}, items)


def run(dataset: Dataset, out: Path, copy: bool = False, front_end: FrontEnd = FIRST_SAMPLES) -> Store:
    """With a stand-in for the log-mel: the first 4 samples of each hop."""
    return prepare.prepare(dataset, out, front_end, copy, Console(file=io.StringIO()))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_audio_log_mels_labels_and_index_are_made(dataset: Dataset, tmp_path: Path) -> None:
    store = run(dataset, tmp_path / "out")
    assert Store.open(tmp_path / "out") == store
    assert (store.dataset, store.tags, store.dimensions) == ("folder", dataset.tags, dataset.dimensions)
    # 7 s are 154,350 samples, 301 hops of 512; 1 s is 43 hops.
    assert [(t.id, t.split, t.audio, t.duration_s, t.frames, t.title) for t in store.tracks] == [
        ("long", "train", "long.wav", 7.0, 301, "T long"),
        ("short", "validation", "short.wav", 1.0, 43, "T short"),
        ("silent", "test", "silent.wav", 1.0, 43, "T silent"),
    ]
    samples = audio.read(dataset.audio("short"), RATE)
    expected = samples[: 43 * HOP].reshape(43, HOP)[:, :4].astype(np.float16)
    np.testing.assert_array_equal(store.logmel("short"), expected)
    assert store.labels("long", [ANNOTATIONS]).tolist() == [[1, 1], [1, 1]]
    assert store.labels("silent", [ANNOTATIONS]).tolist() == [[0, 0]]
    assert np.load(tmp_path / "out/labels/annotations/short.npy").dtype == np.float32


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_annotations_are_the_hard_tags(dataset: Dataset, tmp_path: Path, split: str) -> None:
    store = run(dataset, tmp_path / "out")
    np.testing.assert_array_equal(hard_tags.of_split(store, split, [ANNOTATIONS]), dataset.positives(split))


def test_audio_is_linked_to_or_copied(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(dataset, out)
    assert (out / "audio/long.wav").readlink() == dataset.audio("long").resolve()
    made = (out / "logmel/long.npy").stat().st_mtime_ns
    run(dataset, out, copy=True)
    assert not (out / "audio/long.wav").is_symlink()
    assert (out / "audio/long.wav").read_bytes() == dataset.audio("long").read_bytes()
    assert (out / "logmel/long.npy").stat().st_mtime_ns == made
    run(dataset, out)
    assert (out / "audio/long.wav").is_symlink()
    assert dataset.audio("long").is_file()


def test_a_path_that_no_file_can_have_is_listed(dataset: Dataset, tmp_path: Path) -> None:
    items = (replace(dataset.items[0], audio=tmp_path / "a\0b.mp3"), *dataset.items[1:])
    assert [failure.id for failure in run(replace(dataset, items=items), tmp_path / "out").failures] == ["long"]


def test_missing_and_damaged_files_are_listed_and_stop_nothing(dataset: Dataset, tmp_path: Path) -> None:
    dataset.audio("long").unlink()
    dataset.audio("silent").write_bytes(b"not audio")
    printed = io.StringIO()
    store = prepare.prepare(dataset, tmp_path / "out", FIRST_SAMPLES, console=Console(file=printed, width=200))
    assert [track.id for track in store.tracks] == ["short"]
    assert [failure.id for failure in store.failures] == ["long", "silent"]
    assert "long one.wav" in store.failures[0].reason
    lines = printed.getvalue().splitlines()
    assert "left out 1 of 3 tracks: their audio is missing" in lines
    assert "left out 1 of 3 tracks: their audio cannot be read" in lines
    assert any(line.startswith("  silent: ") for line in lines)
    assert f"All are in {tmp_path / 'out/index.json'} under failures." in printed.getvalue()


@pytest.mark.parametrize("missing", [6, 1000])
def test_what_is_printed_does_not_grow_with_the_number_of_missing_tracks(
    dataset: Dataset, tmp_path: Path, missing: int
) -> None:
    absent = tuple(replace(dataset.items[0], id=f"gone{i}", audio=tmp_path / f"{i}.mp3") for i in range(missing))
    printed = io.StringIO()
    store = prepare.prepare(
        replace(dataset, items=dataset.items + absent),
        tmp_path / "out",
        FIRST_SAMPLES,
        console=Console(file=printed, width=200),
    )
    assert len(store.failures) == missing
    lines = printed.getvalue().splitlines()
    (start,) = [i for i, line in enumerate(lines) if line.startswith("left out")]
    assert lines[start] == f"left out {missing:,} of {missing + 3:,} tracks: their audio is missing"
    assert [line.split(":")[0] for line in lines[start + 1 : start + 6]] == [f"  gone{i}" for i in range(5)]
    assert lines[start + 6] == f"  ... and {missing - 5:,} more"
    assert len(lines) == start + 8


@pytest.mark.parametrize(("name", "option"), [("magnatagatune", "--audio DIR"), ("folder", "--root DIR")])
def test_if_all_audio_is_elsewhere_nothing_is_begun_and_the_option_is_named(
    dataset: Dataset, tmp_path: Path, name: str, option: str
) -> None:
    (tmp_path / "music").rename(tmp_path / "moved")
    with pytest.raises(DatasetError, match=f"None of the 3 audio files of {name} .*{option}"):
        run(replace(dataset, name=name), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("killed_at", range(1, 8))
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int, copy: bool
) -> None:
    run(dataset, tmp_path / "undisturbed", copy)
    # Three log-mels, three labels and the index are renamed into place; with copies, three of these before.
    with interrupted(monkeypatch, killed_at):
        run(dataset, tmp_path / "out", copy)
    assert not (tmp_path / "out/index.json").exists()
    (tmp_path / "out/logmel/long.npy.partial").write_bytes(b"half")
    run(dataset, tmp_path / "out", copy)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_a_second_run_writes_nothing_but_the_index(dataset: Dataset, tmp_path: Path) -> None:
    run(dataset, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.npy")}
    run(dataset, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.npy")} == before


def test_other_tags_are_taken_over(dataset: Dataset, tmp_path: Path) -> None:
    run(dataset, tmp_path / "out")
    items = (replace(dataset.items[0], tags=("sad",)), *dataset.items[1:])
    store = run(replace(dataset, items=items), tmp_path / "out")
    assert store.labels("long", [ANNOTATIONS]).tolist() == [[1, 0], [1, 0]]


def test_another_file_of_the_same_id_is_analysed_anew(dataset: Dataset, tmp_path: Path) -> None:
    run(dataset, tmp_path / "out")
    write_sound(dataset.audio("short"), 2.0, seed=9).rename(tmp_path / "music/other.wav")
    write_sound(dataset.audio("short"), 1.0, seed=1)
    items = tuple(
        replace(item, audio=tmp_path / "music/other.wav") if item.id == "short" else item for item in dataset.items
    )
    assert run(replace(dataset, items=items), tmp_path / "out").track("short").frames == 86


def test_the_tags_of_the_taxonomy_need_not_be_named(dataset: Dataset, tmp_path: Path) -> None:
    run(replace(dataset, tags=TAGS, dimensions=DIMENSION_TAGS), tmp_path / "out")
    assert '"tags"' not in (tmp_path / "out/index.json").read_text()
    assert Store.open(tmp_path / "out").tags == TAGS


def test_a_folder_of_something_else_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    run(dataset, tmp_path / "out")
    with pytest.raises(DatasetError, match="holds folder: expected msd"):
        run(replace(dataset, name="msd"), tmp_path / "out")
    other = FIRST_SAMPLES._replace(settings={**FIRST_SAMPLES.settings, "hop": 256})
    with pytest.raises(DatasetError, match="another front end"):
        run(dataset, tmp_path / "out", front_end=other)
