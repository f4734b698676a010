"""Each reader of a published data set: from a copy to the folder that training and evaluation read."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from front_end import FIRST_SAMPLES
from published import write_jamendo, write_magnatagatune, write_msd, write_sound
from rich.console import Console
from toy_genres import write_fma, write_gtzan
from toy_lists import write_clips, write_ids, write_npy

from musiczoo.datasets import catalogue, msd, prepare
from musiczoo.datasets.prepared import ANNOTATIONS, SPLITS, Store


def _lists(root: Path) -> Path:
    write_clips(root / "audio")
    return write_npy(root)


COPIES: dict[str, Callable[[Path], Path]] = {
    "fma": write_fma,
    "gtzan": write_gtzan,
    "jamendo": write_jamendo,
    "magnatagatune": write_magnatagatune,
    "msd": write_msd,
    "tagging_lists": _lists,
}


def test_there_is_a_copy_of_each() -> None:
    assert {*COPIES, "folder"} == set(catalogue.TAGGED)


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_prepared(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msd, "TRAIN_TRACKS", 2)
    dataset = catalogue.load(name, COPIES[name](tmp_path / "copy"))
    prepare.prepare(dataset, tmp_path / "out", FIRST_SAMPLES, console=Console(file=io.StringIO()))
    store = Store.open(tmp_path / "out")
    assert (store.dataset, store.tags, dict(store.dimensions)) == (name, dataset.tags, dict(dataset.dimensions))
    failed = {failure.id for failure in store.failures}
    assert failed == ({"jazz-00054"} if name == "gtzan" else set())
    for split in SPLITS:
        items = [item for item in dataset.split(split) if item.id not in failed]
        tracks = store.split(split)
        assert [track.id for track in tracks] == [item.id for item in items]
        assert tracks
        for track, item in zip(tracks, items, strict=True):
            labels = store.labels(track.id, [ANNOTATIONS])
            np.testing.assert_array_equal(labels, np.tile(dataset.row(item), (track.excerpts, 1)))


def test_each_missing_file_is_a_failure(tmp_path: Path) -> None:
    root = write_ids(tmp_path / "copy")
    write_sound(root / "audio" / "A" / "A" / "A" / "TRAAAAW128F429D538.mp3")
    dataset = catalogue.load("tagging_lists", root)
    store = prepare.prepare(dataset, tmp_path / "out", FIRST_SAMPLES, console=Console(file=io.StringIO()))
    assert [track.id for track in store.tracks] == ["TRAAAAW128F429D538"]
    assert len(store.failures) == 3
