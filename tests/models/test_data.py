"""From a store to batches."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from numpy.typing import NDArray
from tiny_run import TEACHERS, write_store

from musiczoo._files import write_npy
from musiczoo.datasets.prepared import ANNOTATIONS, Store
from musiczoo.errors import DatasetError, InputError
from musiczoo.models import data
from musiczoo.models.data import Augmentation, Batches, Excerpts, Objective, in_order, training, validation
from musiczoo.models.miners import MINERS
from musiczoo.taxonomy import LASTFM_50

pytestmark = pytest.mark.train

ROWS = 5
FRAMES = 646  # 15 s at 22,050 Hz: 5 excerpts of 129.2 frames
STILL = Augmentation(gain_db=0, time_mask=0, mel_mask=0)

SOFT = Objective()
TRIPLETS = [Objective(mining, weight) for mining in MINERS for weight in (0.0, 0.5)]
all_objectives = pytest.mark.parametrize("objective", [SOFT, *TRIPLETS], ids=str)
of_triplets = pytest.mark.parametrize("objective", TRIPLETS, ids=str)


def numbered(tracks: int = 4) -> Excerpts:
    """Each frame holds its track and its number; each label its track and its row, over 100."""
    frames, rows = np.arange(FRAMES, dtype=np.float32)[:, None], np.arange(ROWS, dtype=np.float32)[:, None]
    log_mels = [np.repeat(1000 * t + frames, 128, axis=1) for t in range(tracks)]
    labels = [np.repeat((10 * t + rows) / 100, 50, axis=1) for t in range(tracks)]
    return Excerpts(log_mels, labels, hard(tracks), LASTFM_50.tag_dimensions)


def hard(tracks: int) -> NDArray[np.bool_]:
    """Tags of which each is had by some and lacked by others, from three tracks on."""
    return (np.arange(50) + np.arange(tracks)[:, None]) % 3 == 0


def noise(tracks: int = 3) -> Excerpts:
    """Log-mels in the range of music's."""
    random = np.random.default_rng(0)
    log_mels = [random.uniform(0, 2, (FRAMES, 128)).astype(np.float32) for _ in range(tracks)]
    labels = [random.uniform(size=(ROWS, 50)).astype(np.float32) for _ in range(tracks)]
    return Excerpts(log_mels, labels, hard(tracks), LASTFM_50.tag_dimensions)


def positions(log_mels: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Track and first frame of numbered excerpts, which must be whole."""
    first = log_mels[:, :1, :1]
    assert np.array_equal(log_mels - first, np.broadcast_to(np.arange(129.0)[:, None], log_mels.shape))
    return [divmod(int(number), 1000) for number in first.ravel()]


# === crops ===


def test_a_crop_between_two_labels_takes_its_share_of_each() -> None:
    """66,150 / 512 frames a label: the crop at frame 100 begins 51,200 / 66,150 into the first."""
    excerpts = numbered(2)
    log_mel, tags = excerpts.crop(1, 100)
    assert positions(log_mel[None]) == [(1, 100)]
    share = 51200 / 66150
    np.testing.assert_allclose(tags, (1 - share) * 0.10 + share * 0.11, rtol=1e-5)


def test_each_tag_is_interpolated_by_itself() -> None:
    tags, dimensions = np.ones((1, 3), bool), ("genre", "genre", "mood")
    excerpts = Excerpts([np.zeros((400, 128), np.float16)], [np.eye(3, dtype=np.float32)], tags, dimensions)
    np.testing.assert_allclose(excerpts.crop(0, 0)[1], [1, 0, 0])
    np.testing.assert_allclose(excerpts.crop(0, 194)[1], [0, 1 - 0.50155, 0.50155], atol=1e-5)


@pytest.mark.parametrize(("start", "moved"), [(-50, 0), (0, 0), (517, 517), (518, 517), (5000, 517)])
def test_a_crop_stays_inside_its_track(start: int, moved: int) -> None:
    log_mel, tags = numbered().crop(3, start)
    assert positions(log_mel[None]) == [(3, moved)]
    np.testing.assert_allclose(tags, 0.30 if moved == 0 else 0.34, rtol=1e-5)


def test_a_short_track_ends_in_silence() -> None:
    """log10(1 + 10 * 0) = 0."""
    track = np.random.default_rng(0).uniform(1, 2, (50, 128)).astype(np.float16)
    excerpts = Excerpts([track], [np.full((1, 50), 0.7, np.float32)], hard(1), LASTFM_50.tag_dimensions)
    log_mel, tags = excerpts.crop(0, 30)
    assert log_mel.shape == (129, 128)
    assert np.array_equal(log_mel[:50], track.astype(np.float32))
    assert not log_mel[50:].any()
    np.testing.assert_allclose(tags, 0.7)


# === batches ===


def batches(size: int, objective: Objective = SOFT, seed: int = 7) -> Batches:
    """Of the numbered excerpts, 20 in all."""
    return Batches(numbered(), size, seed, objective)


@all_objectives
def test_a_batch_depends_on_seed_and_step_alone(objective: Objective) -> None:
    once = [batches(4, objective).batch(step) for step in range(10)]
    same = batches(4, objective)
    for step in (9, 0, 5):
        log_mels, targets = same.batch(step)
        assert np.array_equal(log_mels, once[step][0])
        assert set(targets) == set(once[step][1])
        assert all(np.array_equal(targets[name], once[step][1][name]) for name in targets)
    assert not np.array_equal(batches(4, objective, seed=8).batch(5)[0], once[5][0])


@pytest.mark.parametrize("size", [4, 5])
@all_objectives
def test_the_shape_is_that_of_each_batch(objective: Objective, size: int) -> None:
    """Odd sizes too, which do not divide into pairs."""
    rows = {("explicit", 0): 3 * size, ("explicit", 0.5): 5 * size}.get(
        (objective.mining, objective.track_weight), size
    )
    shapes = {"tags": (rows, 50)} | ({"tracks": (rows,)} if objective.track_weight else {})
    one = batches(size, objective)
    assert one.steps == 20 // size
    assert (one.rows, one.targets) == (rows, tuple(shapes))
    for step in (0, one.steps - 1, one.steps):
        log_mels, targets = one.batch(step)
        assert (log_mels.shape, log_mels.dtype) == ((rows, 129, 128), np.float32)
        assert {name: target.shape for name, target in targets.items()} == shapes
        assert {target.dtype for target in targets.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("seed", range(3))
def test_an_epoch_visits_each_excerpt_once(seed: int) -> None:
    """4 batches of 5: in each track a crop near each of its 5 rows, half an excerpt away at most."""
    one = batches(5, seed=seed)
    assert one.steps == 4
    epochs = []
    for epoch in range(3):
        log_mels = [one.batch(4 * epoch + i)[0] for i in range(4)]
        epochs.append(positions(np.concatenate(log_mels)))
        in_order = np.array(sorted(epochs[-1]))
        assert in_order[:, 0].tolist() == np.repeat(range(4), ROWS).tolist()
        assert np.all(np.abs(in_order[:, 1].reshape(4, ROWS) - 129.2 * np.arange(ROWS)) < 65.2)
    assert sorted(epochs[0]) != sorted(epochs[1]) != sorted(epochs[2])  # other positions, not only another order


def test_soft_labels_go_with_the_crops() -> None:
    log_mels, targets = batches(8).batch(3)
    for (track, start), label in zip(positions(log_mels), targets["tags"], strict=True):
        np.testing.assert_allclose(label, (10 * track + min(start * 512 / 66150, 4)) / 100, rtol=1e-5)


@pytest.mark.parametrize("track_weight", [0.0, 0.5])
@pytest.mark.parametrize("mining", ["all", "semihard", "hardest"])
def test_in_batch_targets_are_hard_tags_and_track(mining: str, track_weight: float) -> None:
    log_mels, targets = batches(8, Objective(mining, track_weight)).batch(3)
    found = positions(log_mels)
    assert np.array_equal(targets["tags"], [hard(4)[track] for track, _ in found])
    if track_weight:
        assert targets["tracks"].tolist() == [track for track, _ in found]
        for (track, start), (other, elsewhere) in zip(found[::2], found[1::2], strict=True):
            assert track == other
            assert abs(start - elsewhere) >= 64  # frames: half an excerpt, rounded


@pytest.mark.parametrize(("track_weight", "rows"), [(0.0, 3), (0.5, 5)])
def test_explicit_batches_hold_triplets(track_weight: float, rows: int) -> None:
    log_mels, targets = batches(6, Objective("explicit", track_weight)).batch(2)
    found, tags = positions(log_mels), hard(4)
    for first in range(0, 6 * rows, rows):
        (a, start), (p, _), (n, _) = found[first : first + 3]
        (chosen,) = {tuple(target) for target in targets["tags"][first : first + rows]}
        z = chosen.index(1)
        assert sum(chosen) == 1
        assert tags[a, z]
        assert tags[p, z]
        assert not tags[n, z]
        if track_weight:
            (same, elsewhere), (stranger, _) = found[first + 3 : first + 5]
            assert (same, stranger != a) == (a, True)
            assert abs(start - elsewhere) >= 64


@pytest.mark.parametrize("objective", [SOFT, Objective("explicit", 0.5), Objective("all", 0.5)], ids=str)
def test_training_can_begin_at_any_step(objective: Objective) -> None:
    """As a run does that is resumed, with the same augmentation too."""
    source = Batches(noise(), 4, 1, objective)
    whole, rest = (list(training(source, Augmentation(), first, 7)) for first in (3, 5))
    assert (len(whole), len(rest)) == (4, 2)
    for (x, t), (y, u) in zip(whole[2:], rest, strict=True):
        assert np.all(np.isfinite(x))
        assert np.array_equal(x, y)
        assert set(t) == set(u) == set(source.targets)
        assert all(np.array_equal(t[name], u[name]) for name in t)


def test_training_standardises() -> None:
    source = Batches(noise(), 4, 1, SOFT)
    ((log_mel, tags),) = training(source, STILL, 2, 3)
    expected = source.batch(2)
    np.testing.assert_allclose(log_mel, (expected[0] - 0.2) / 0.25, atol=1e-4)
    assert np.array_equal(tags["tags"], expected[1]["tags"])


@pytest.mark.parametrize(("devices", "sizes"), [(1, [8, 8, 4]), (2, [8, 8, 4]), (8, [8, 8])])
def test_validation_on_soft_tags_gives_all_in_order(devices: int, sizes: list[int]) -> None:
    """Save what no device would get an equal share of."""
    got = list(validation(batches(8), devices))
    assert [len(log_mel) for log_mel, _ in got] == sizes
    log_mels = np.concatenate([log_mel for log_mel, _ in got]) * 0.25 + 0.2
    grid = [(track, start) for track in range(4) for start in (0, 129, 258, 388, 517)]
    assert positions(np.rint(log_mels)) == grid[: sum(sizes)]
    rows = np.concatenate([tags["tags"] for _, tags in got])[:, 0] * 100
    np.testing.assert_allclose(rows, [10 * t + r for t in range(4) for r in range(5)][: sum(sizes)], atol=0.01)


@pytest.mark.parametrize("objective", [SOFT, TRIPLETS[-1]], ids=str)
def test_no_thread_tunes_the_pipeline(objective: Objective) -> None:
    """When an iterator is deleted, it waits for that thread, up to a minute."""
    source = batches(8, objective)
    for dataset in (training(source, STILL, 0, 3), validation(source)):
        assert not dataset.options().autotune.enabled


def test_in_order_goes_through_tracks_of_any_length() -> None:
    """Of 2 excerpts, 1 and 3, two at a time."""
    frames = [np.full((130 * n, 128), n, np.float32) for n in (2, 1, 3)]
    labels = [np.repeat(np.arange(n, dtype=np.float32)[:, None], 50, axis=1) for n in (2, 1, 3)]
    got = list(in_order(Excerpts(frames, labels, hard(3), LASTFM_50.tag_dimensions), 2))
    tracks = np.concatenate([log_mel for log_mel, _ in got])[:, 0, 0] * 0.25 + 0.2
    np.testing.assert_allclose(tracks, [2, 2, 1, 3, 3, 3], rtol=1e-5)
    np.testing.assert_allclose(np.concatenate([t["tags"] for _, t in got])[:, 0], [0, 1, 0, 0, 1, 2], atol=0.01)


@of_triplets
def test_validation_on_triplets_is_always_the_same(objective: Objective) -> None:
    """The batches of the first epoch, as they are."""
    source = batches(8, objective)
    dataset = validation(source)
    first, again = list(dataset), list(dataset)
    assert len(first) == source.steps == 2
    for step, ((x, t), (y, u)) in enumerate(zip(first, again, strict=True)):
        assert np.array_equal(x, y)
        log_mels, targets = source.batch(step)
        assert set(t) == set(u) == set(targets)
        np.testing.assert_allclose(x, (log_mels - 0.2) / 0.25, rtol=1e-6)
        for name, target in targets.items():
            assert np.array_equal(t[name], target)
            assert np.array_equal(u[name], target)


@pytest.mark.parametrize("objective", [SOFT, TRIPLETS[-1]], ids=str)
def test_less_than_a_batch_is_refused(objective: Objective) -> None:
    with pytest.raises(DatasetError, match=r"one batch of 21 excerpts, found 20\. Use a smaller batch"):
        _ = batches(21, objective).steps


# === from a store ===


def test_excerpts_of_a_store(tmp_path: Path) -> None:
    """A teacher that skipped an excerpt: its score there is the mean of its neighbours'."""
    store = write_store(tmp_path / "data", train=2, validation=1)
    one, two = (np.load(tmp_path / f"data/labels/{teacher}/1.npy") for teacher in TEACHERS)
    one[1] = np.nan
    write_npy(tmp_path / "data/labels/one/1.npy", one)
    excerpts = Excerpts.of(store, "train", TEACHERS)
    assert excerpts.grid.rows.tolist() == [3, 3]
    assert tuple(excerpts.tag_dimensions) == LASTFM_50.tag_dimensions
    np.testing.assert_allclose(excerpts.labels[1][1], ((one[0] + one[2]) / 2 + two[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(excerpts.labels[1][2], (one[2] + two[2]) / 2, atol=1e-6)
    expected = np.load(tmp_path / "data/logmel/1.npy")[100:229].astype(np.float32)
    assert np.array_equal(excerpts.crop(1, 100)[0], expected)


def test_a_split_without_tracks_is_refused(data: Path) -> None:
    with pytest.raises(DatasetError, match="Expected tracks in the split 'test'"):
        Excerpts.of(Store.open(data), "test", TEACHERS)


def test_log_mels_of_another_front_end_are_refused(data: Path) -> None:
    store = Store.open(data)
    other = dataclasses.replace(store, front_end={**store.front_end, "gain": 1.0})
    with pytest.raises(DatasetError, match="Expected log-mels made with"):
        Excerpts.of(other, "train", TEACHERS)


def test_annotations_are_the_hard_tags(tmp_path: Path) -> None:
    """As people gave them, in the order of the split."""
    store = write_store(tmp_path / "data", train=2, validation=3)
    given = np.random.default_rng(0).uniform(size=(5, 50)) < 0.2
    for i in range(5):
        write_npy(tmp_path / f"data/labels/{ANNOTATIONS}/{i}.npy", np.tile(given[i], (3, 1)).astype(np.float32))
    assert np.array_equal(Excerpts.of(store, "validation", (ANNOTATIONS,)).tags, given[2:])


def test_tracks_without_a_tag_can_be_left_out(tmp_path: Path) -> None:
    store = write_store(tmp_path / "data", train=4, validation=1)
    for i, tags in enumerate([(), (3,), (), (3, 7), ()]):
        row = np.isin(np.arange(50), tags).astype(np.float32)
        write_npy(tmp_path / f"data/labels/{ANNOTATIONS}/{i}.npy", np.tile(row, (3, 1)))
    whole, some = (Excerpts.of(store, "train", (ANNOTATIONS,), drop) for drop in (False, True))
    assert len(whole.log_mels) == len(whole.labels) == len(whole.tags) == 4
    assert some.tags.sum(axis=1).tolist() == [1, 2]
    for i, track in enumerate(("1", "3")):
        assert np.array_equal(some.log_mels[i], store.logmel(track))
        assert np.array_equal(some.labels[i], store.labels(track, (ANNOTATIONS,)))
    with pytest.raises(DatasetError, match="tracks with a tag in the split 'validation'"):
        Excerpts.of(store, "validation", (ANNOTATIONS,), drop_untagged=True)


def test_annotations_and_teachers_are_not_averaged(tmp_path: Path) -> None:
    store = write_store(tmp_path / "data", train=1, validation=1)
    with pytest.raises(InputError, match="Annotations cannot be averaged"):
        Excerpts.of(store, "train", (ANNOTATIONS, *TEACHERS))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc, which lists the open files")
def test_few_log_mels_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set may have more tracks than a process may have open files."""
    monkeypatch.setattr(data.LogMels, "OPEN", 3)
    store = write_store(tmp_path / "data", train=11, validation=1)
    excerpts = Excerpts.of(store, "train", TEACHERS)

    def opened() -> int:
        targets = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return sum(target.startswith(str(tmp_path / "data" / "logmel")) for target in targets)

    assert opened() == 0
    for _ in range(2):
        for i in range(11):
            assert np.array_equal(excerpts.log_mels[i], np.load(tmp_path / f"data/logmel/{i}.npy"))
    assert opened() <= 3


def test_a_log_mel_that_is_missing_is_noticed_at_once(tmp_path: Path) -> None:
    store = write_store(tmp_path / "data", train=3, validation=1)
    (tmp_path / "data" / "logmel" / "2.npy").unlink()
    with pytest.raises(DatasetError, match=r"2\.npy"):
        Excerpts.of(store, "train", TEACHERS)


def test_scores_become_hard_tags_by_the_prior_of_training_tracks(tmp_path: Path) -> None:
    """At least 1.5 times the mean over the training tracks, or else the highest ratio; ten at most."""
    store = write_store(tmp_path / "data", train=4, validation=3)
    means = [
        np.mean([np.load(tmp_path / f"data/labels/{teacher}/{i}.npy").mean(axis=0) for teacher in TEACHERS], axis=0)
        for i in range(7)
    ]
    prior = np.mean(means[:4], axis=0)
    got = Excerpts.of(store, "validation", TEACHERS).tags
    for row, scores in zip(got, means[4:], strict=True):
        best = np.argsort(-scores / prior)
        kept = [z for z in best[:10] if scores[z] / prior[z] >= 1.5] or [best[0]]
        assert sorted(kept) == np.flatnonzero(row).tolist()


def test_dimensions_are_those_of_the_store(data: Path) -> None:
    tags = LASTFM_50.tags
    grouped = dataclasses.replace(Store.open(data), dimensions={"odd": tags[1::2], "even": tags[::2]})
    excerpts = Excerpts.of(grouped, "train", TEACHERS)
    assert list(excerpts.tag_dimensions) == ["even", "odd"] * 25
    assert Batches(excerpts, 4, 0, Objective("explicit")).batch(0)[1]["tags"].shape == (12, 50)
