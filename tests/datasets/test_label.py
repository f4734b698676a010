"""Labels from a teacher: the toy model, whose answers `toy_answer` gives independently."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from toy import CARD, RATE, SIZE, music, toy_answer, write_audio, write_model

from musiczoo.datasets import label as labelling
from musiczoo.datasets.label import excerpts_of, label
from musiczoo.datasets.prepared import Failure, Store, TrackEntry
from musiczoo.errors import DatasetError, InputError, UnknownNameError

SECONDS = {"long": 10.4, "short": 1.0, "measured": 6.0}


def entry(name: str, split: str) -> TrackEntry:
    return TrackEntry(name, split, f"{name}.wav", SECONDS[name], 1, "", "", "", "CC0", "alpha")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three tracks: 10.4 s (3 excerpts) and 1 s (1, padded) to train on, 6 s (2) to measure on."""
    tracks = entry("long", "train"), entry("short", "train"), entry("measured", "validation")
    store = Store(tmp_path, "open_music", {}, tracks)
    (tmp_path / "audio").mkdir()
    for i, (name, seconds) in enumerate(SECONDS.items()):
        write_audio(tmp_path / "audio" / f"{name}.wav", music(seconds, RATE, seed=i), subtype="FLOAT")
    store.save()
    return store


def run(store: Store, teacher: Path, train_every: int = 1) -> tuple[Failure, ...]:
    return label(store.root, [str(teacher)], train_every, threads=1, console=Console(file=io.StringIO()))


def answers(name: str) -> np.ndarray:
    """The toy model's tags on the track's excerpts, cut by hand."""
    samples = music(SECONDS[name], RATE, seed=list(SECONDS).index(name))
    if name == "short":
        return toy_answer(np.concatenate([samples, np.zeros(SIZE - len(samples), np.float32)])[None])[1]
    count = {"long": 3, "measured": 2}[name]
    return toy_answer(samples[: count * SIZE].reshape(count, SIZE))[1]


def test_each_excerpt_is_labelled(store: Store, toy_folder: Path) -> None:
    assert run(store, toy_folder) == ()
    for name in SECONDS:
        labels = np.load(store.root / "labels" / "toy" / f"{name}.npy")
        assert labels.dtype == np.float32
        np.testing.assert_allclose(labels, answers(name), atol=1e-5)
        np.testing.assert_array_equal(store.labels(name, ["toy"]), labels)


def test_measuring_splits_come_first(store: Store, toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = labelling.write_npy
    monkeypatch.setattr(labelling, "write_npy", lambda path, array: (written.append(path.stem), write(path, array)))
    run(store, toy_folder)
    assert written == ["measured", "long", "short"]


def test_a_second_run_does_what_is_missing(store: Store, toy_folder: Path) -> None:
    run(store, toy_folder)
    folder = store.root / "labels" / "toy"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "short.npy").unlink()
    kept = (folder / "long.npy").stat().st_mtime_ns
    run(store, toy_folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert (folder / "long.npy").stat().st_mtime_ns == kept


def test_every_second_training_excerpt_can_be_left_for_later(store: Store, toy_folder: Path) -> None:
    run(store, toy_folder, train_every=2)
    folder = store.root / "labels" / "toy"
    assert np.isnan(np.load(folder / "long.npy")).all(axis=1).tolist() == [False, True, False]
    assert not np.isnan(np.load(folder / "measured.npy")).any()
    first, _, last = answers("long")
    np.testing.assert_allclose(store.labels("long", ["toy"])[1], (first + last) / 2, atol=1e-5)
    run(store, toy_folder)
    np.testing.assert_allclose(np.load(folder / "long.npy"), answers("long"), atol=1e-5)


def test_teachers_are_kept_apart(store: Store, toy_folder: Path, tmp_path: Path) -> None:
    # A teacher at half the rate, whose excerpts are 0.04 s shorter than 3 s.
    size = 33075 - 441
    card = dataclasses.replace(CARD, name="slow", sample_rate=11025, excerpt_samples=size)
    slow = write_model(tmp_path / "slow", card, size)
    assert label(store.root, [str(toy_folder), str(slow)], console=Console(file=io.StringIO())) == ()
    for name, rows in {"long": 3, "short": 1, "measured": 2}.items():
        assert np.load(store.root / "labels" / "toy" / f"{name}.npy").shape == (rows, 50)
        assert np.load(store.root / "labels" / "slow" / f"{name}.npy").shape == (rows, 50)


def test_a_bad_file_is_reported_and_stops_nothing(store: Store, toy_folder: Path) -> None:
    (store.root / "audio" / "measured.wav").write_bytes(b"not audio")
    failures = run(store, toy_folder)
    assert [failure.id for failure in failures] == ["measured"]
    assert sorted(path.stem for path in (store.root / "labels" / "toy").iterdir()) == ["long", "short"]


def test_bad_arguments_are_refused(store: Store, toy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one or more teachers"):
        label(store.root, [])
    with pytest.raises(InputError, match="train_every of 1 or more"):
        run(store, toy_folder, train_every=0)
    with pytest.raises(UnknownNameError):
        label(store.root, ["no-such-teacher"])
    with pytest.raises(DatasetError, match="musiczoo data prepare"):
        label(tmp_path / "none", [str(toy_folder)])


def test_excerpts_start_every_three_seconds() -> None:
    # At 2 Hz: starts at 0, 6 and 12; the third has one sample left and four zeros.
    cut = excerpts_of(np.arange(13, dtype=np.float32), 3, 2, 5)
    assert cut.tolist() == [[0, 1, 2, 3, 4], [6, 7, 8, 9, 10], [12, 0, 0, 0, 0]]


class Showing:
    """A teacher whose hidden layer is the excerpt's first two samples, and whose tags are their sum."""

    id, size = "toy-0123456789ab", 2

    def __init__(self) -> None:
        self.excerpts = 0

    def run(self, excerpts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.excerpts += len(excerpts)
        hidden = excerpts[:, :2]
        return np.repeat(hidden.sum(axis=1, keepdims=True), 50, axis=1), hidden


def test_hidden_layers_are_stored_in_the_same_pass(store: Store, toy_folder: Path) -> None:
    showing = Showing()
    console = Console(file=io.StringIO())
    for every, total in ((2, 5), (1, 6), (1, 6)):  # 10.4 s: rows 0 and 2 first; then row 1; then nothing
        assert label(store.root, [str(toy_folder)], every, 1, console, lambda _: showing) == ()
        assert showing.excerpts == total
        hidden = np.load(store.root / "features" / showing.id / "long.npy")
        assert np.isnan(hidden[:, 0]).tolist() == [False, every == 2, False]
    samples = music(SECONDS["long"], RATE, seed=0)
    starts = [round(3 * i * RATE) for i in range(3)]
    np.testing.assert_allclose(hidden, [samples[start : start + 2] for start in starts], atol=1e-4)
    labels = np.load(store.root / "labels" / "toy" / "long.npy")
    np.testing.assert_allclose(labels[:, 7], hidden.sum(axis=1), atol=1e-6)
