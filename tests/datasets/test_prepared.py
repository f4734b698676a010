"""The folder on disk."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from musiczoo._files import write_npy
from musiczoo.datasets.prepared import ANNOTATIONS, Failure, Store, TrackEntry
from musiczoo.errors import DatasetError, InputError, UnknownNameError
from musiczoo.taxonomy import DIMENSION_TAGS, TAGS

FRONT_END = {"sample_rate": 22050, "hop": 512, "n_fft": 1024, "n_mels": 2, "gain": 10.0}


def entry(track_id: str, split: str = "train", duration_s: float = 12.5, frames: int = 4) -> TrackEntry:
    return TrackEntry(track_id, split, f"{track_id}.ogg", duration_s, frames, "Title", "", "", "CC0", "alpha")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two tracks; the first has a log-mel and the labels of two teachers."""
    store = Store(tmp_path / "data", "open_music", FRONT_END, (entry("a"), entry("b", "test")), (Failure("c", "why"),))
    store.save()
    write_npy(store.root / "logmel/a.npy", np.arange(8, dtype=np.float16).reshape(4, 2))
    nan = np.nan
    write_npy(store.root / "labels/one/a.npy", np.array([[0, 1], [0.2, 0.8], [0.4, 0.6], [1, 0]], np.float32))
    write_npy(store.root / "labels/two/a.npy", np.array([[nan, nan], [0, 0.4], [nan, nan], [1, 0.2]], np.float32))
    return store


def test_an_index_survives_being_written_and_read(store: Store) -> None:
    assert Store.open(store.root) == store
    assert Store.open(str(store.root)).tracks == store.tracks


def test_share_of_excerpts_that_were_labelled(store: Store) -> None:
    """All four by one teacher, two of four by the other: 6 of 8."""
    assert store.labelled_share("train", ["one"]) == 1
    assert store.labelled_share("train", ["one", "two"]) == 0.75
    with pytest.raises(DatasetError, match="label --teacher one"):
        store.labelled_share("test", ["one"])


def test_tracks_are_found_by_split_and_id(store: Store) -> None:
    assert [track.id for track in store.split("test")] == ["b"]
    assert store.track("a").title == "Title"
    assert store.audio("a") == store.root / "audio" / "a.ogg"
    with pytest.raises(UnknownNameError, match="Did you mean 'test'"):
        store.split("tset")
    with pytest.raises(UnknownNameError, match="track 'z'"):
        store.track("z")


@pytest.mark.parametrize(("duration_s", "excerpts"), [(0.1, 1), (2.99, 1), (3.0, 1), (5.99, 1), (6.0, 2), (608.0, 202)])
def test_a_track_has_as_many_labels_as_fit_and_one_at_least(duration_s: float, excerpts: int) -> None:
    assert entry("a", duration_s=duration_s).excerpts == excerpts


def test_log_mels_are_memory_mapped(store: Store) -> None:
    logmel = store.logmel("a")
    assert isinstance(logmel, np.memmap)
    assert logmel.dtype == np.float16
    assert logmel.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_labels_are_the_mean_over_teachers(store: Store) -> None:
    assert store.labels("a", ["one"]).tolist() == np.float32([[0, 1], [0.2, 0.8], [0.4, 0.6], [1, 0]]).tolist()
    # Teacher two: row 0 repeats row 1, row 2 lies half way between rows 1 and 3.
    mean = [[0, 0.7], [0.1, 0.6], [0.45, 0.45], [1, 0.1]]
    labels = store.labels("a", ["one", "two"])
    assert labels.dtype == np.float32
    np.testing.assert_allclose(labels, mean, atol=1e-7)


def test_missing_and_unfit_arrays_say_what_to_run(store: Store) -> None:
    with pytest.raises(DatasetError, match="musiczoo data prepare open_music --out"):
        store.logmel("b")
    with pytest.raises(DatasetError, match="musiczoo data label --teacher three"):
        store.labels("a", ["one", "three"])
    with pytest.raises(InputError, match="one or more teachers"):
        store.labels("a", [])
    for array in (np.zeros((3, 2)), np.zeros(4)):
        write_npy(store.root / "labels/one/a.npy", array)
        with pytest.raises(DatasetError, match="expected shape"):
            store.labels("a", ["one"])
    write_npy(store.root / "labels/one/a.npy", np.full((4, 2), np.nan))
    with pytest.raises(DatasetError, match="got only NaN"):
        store.labels("a", ["one"])
    for content in (b"", b"not an array"):
        (store.root / "logmel/a.npy").write_bytes(content)
        with pytest.raises(DatasetError, match=r"a\.npy"):
            store.logmel("a")


def test_no_index_says_to_prepare_the_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"Run: musiczoo data prepare open_music --out {tmp_path}"):
        Store.open(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "tracks": [{}]}', "\udcff"])
def test_a_broken_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DatasetError, match=r"index\.json"):
        Store.open(tmp_path)


def test_a_newer_index_says_to_update(store: Store) -> None:
    index = json.loads((store.root / "index.json").read_text())
    (store.root / "index.json").write_text(json.dumps({**index, "format": 2}))
    with pytest.raises(DatasetError, match="Update musiczoo"):
        Store.open(store.root)


def test_tags_and_dimensions_of_its_own_are_kept(store: Store) -> None:
    assert (store.tags, store.dimensions) == (TAGS, DIMENSION_TAGS)
    assert "tags" not in json.loads((store.root / "index.json").read_text())
    own = dataclasses.replace(store, tags=("sad", "rock"), dimensions={"mood": ("sad",), "genre": ("rock",)})
    own.save()
    assert Store.open(store.root) == own


def test_an_index_of_before_is_written_as_it_was(store: Store) -> None:
    index = json.loads((store.root / "index.json").read_text())
    assert list(index) == ["format", "dataset", "front_end", "tracks", "failures"]


def test_missing_annotations_say_to_prepare_again(store: Store) -> None:
    own = dataclasses.replace(store, dataset="folder")
    with pytest.raises(DatasetError, match=f"musiczoo data prepare folder --root DIR --out {store.root}"):
        own.labels("a", [ANNOTATIONS])


# === Joined data sets ===


def joined(store: Store, tmp_path: Path) -> Store:
    other = Store(tmp_path / "other", "more", FRONT_END, (entry("d"),), (Failure("e", "why"),))
    other.save()
    write_npy(other.root / "logmel/d.npy", np.ones((4, 2), np.float16))
    write_npy(other.root / "labels/one/d.npy", np.full((4, 2), 0.5, np.float32))
    return Store.open_all([store.root, other.root])


def test_joined_data_sets_read_the_files_of_each(store: Store, tmp_path: Path) -> None:
    both = joined(store, tmp_path)
    assert both.dataset == "open_music + more"
    assert both.roots == (store.root, tmp_path / "other")
    assert [track.id for track in both.split("train")] == ["a", "d"]
    assert [failure.id for failure in both.failures] == ["c", "e"]
    assert both.audio("d") == tmp_path / "other/audio/d.ogg"
    np.testing.assert_array_equal(both.logmel("a"), store.logmel("a"))
    np.testing.assert_array_equal(both.logmel("d"), np.ones((4, 2)))
    np.testing.assert_array_equal(both.labels("d", ["one"]), np.full((4, 2), 0.5))
    assert both.part_of("d").dataset == "more"
    with pytest.raises(DatasetError, match=r"other/labels/two/d\.npy"):
        both.labels("d", ["two"])


def test_data_sets_that_do_not_fit_are_not_joined(store: Store) -> None:
    with pytest.raises(InputError, match="such as 'a'"):
        Store.join([store, store])
    with pytest.raises(InputError, match="front_end differ"):
        Store.join([store, dataclasses.replace(store, front_end={}, tracks=())])
    with pytest.raises(InputError, match="--data"):
        Store.open_all([])
    assert Store.open_all([store.root]) == store


def test_hidden_layers_are_interpolated_and_side_by_side(store: Store) -> None:
    nan = np.nan
    write_npy(store.root / "features/one-0123456789ab/a.npy", np.array([[0], [nan], [4], [nan]], np.float32))
    write_npy(store.root / "features/two-0123456789ab/a.npy", np.arange(8, dtype=np.float32).reshape(4, 2))
    expected = [[0, 0, 1], [2, 2, 3], [4, 4, 5], [4, 6, 7]]
    np.testing.assert_array_equal(store.hidden("a", ["one", "two"]), expected)
    with pytest.raises(DatasetError, match="label --hidden --teacher three"):
        store.hidden("a", ["three"])
