"""From a store to batches."""

import dataclasses
from pathlib import Path

import librosa
import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from numpy.typing import NDArray
from tiny_run import TEACHERS, write_store
from toy import music

from musiczoo.datasets.store import Store, write_array
from musiczoo.errors import DatasetError
from musiczoo.models.pipeline import Augmentation, Excerpts, augment, training, validation

pytestmark = pytest.mark.train

ROWS = 5
FRAMES = 646  # 15 s at 22,050 Hz: 5 excerpts of 129.2 frames
STILL = Augmentation(gain_db=0, time_mask=0, mel_mask=0)


def numbered(tracks: int = 4) -> Excerpts:
    """Each frame holds its track and its number; each label its track and its row, over 100."""
    frames, rows = np.arange(FRAMES, dtype=np.float32)[:, None], np.arange(ROWS, dtype=np.float32)[:, None]
    log_mels = [np.repeat(1000 * t + frames, 128, axis=1) for t in range(tracks)]
    labels = [np.repeat((10 * t + rows) / 100, 50, axis=1) for t in range(tracks)]
    where = np.array([(t, row) for t in range(tracks) for row in range(ROWS)])
    return Excerpts(log_mels, labels, where)


def noise() -> Excerpts:
    """One track whose log-mel is in the range of music's."""
    random = np.random.default_rng(0)
    log_mel, labels = random.uniform(0, 2, (FRAMES, 128)), random.uniform(size=(ROWS, 50))
    where = np.array([(0, row) for row in range(ROWS)])
    return Excerpts([log_mel.astype(np.float32)], [labels.astype(np.float32)], where)


def places(log_mels: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Track and first frame of numbered excerpts, which must be whole."""
    first = log_mels[:, :1, :1]
    assert np.array_equal(log_mels - first, np.broadcast_to(np.arange(129.0)[:, None], log_mels.shape))
    return [divmod(int(number), 1000) for number in first.ravel()]


# === crops ===


def test_a_crop_between_two_labels_takes_its_share_of_each() -> None:
    """66,150 / 512 frames a label: the crop at frame 100 begins 51,200 / 66,150 into the first."""
    excerpts = numbered(2)
    log_mel, tags = excerpts.crop(1, 100)
    assert places(log_mel[None]) == [(1, 100)]
    share = 51200 / 66150
    np.testing.assert_allclose(tags, (1 - share) * 0.10 + share * 0.11, rtol=1e-5)


def test_each_tag_is_interpolated_by_itself() -> None:
    excerpts = Excerpts([np.zeros((400, 128), np.float16)], [np.eye(3, dtype=np.float32)], np.zeros((1, 2), int))
    np.testing.assert_allclose(excerpts.crop(0, 0)[1], [1, 0, 0])
    np.testing.assert_allclose(excerpts.crop(0, 194)[1], [0, 1 - 0.50155, 0.50155], atol=1e-5)


@pytest.mark.parametrize(("start", "moved"), [(-50, 0), (0, 0), (517, 517), (518, 517), (5000, 517)])
def test_a_crop_stays_inside_its_track(start: int, moved: int) -> None:
    log_mel, tags = numbered().crop(3, start)
    assert places(log_mel[None]) == [(3, moved)]
    np.testing.assert_allclose(tags, 0.30 if moved == 0 else 0.34, rtol=1e-5)


def test_a_short_track_ends_in_silence() -> None:
    """log10(1 + 10 * 0) = 0."""
    track = np.random.default_rng(0).uniform(1, 2, (50, 128)).astype(np.float16)
    excerpts = Excerpts([track], [np.full((1, 50), 0.7, np.float32)], np.zeros((1, 2), int))
    log_mel, tags = excerpts.crop(0, 30)
    assert log_mel.shape == (129, 128)
    assert np.array_equal(log_mel[:50], track.astype(np.float32))
    assert not log_mel[50:].any()
    np.testing.assert_allclose(tags, 0.7)


# === batches ===


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    excerpts = numbered()
    once = [excerpts.random_batch(step, 4, seed=7) for step in range(10)]
    for step in (9, 0, 5):
        again = numbered().random_batch(step, 4, seed=7)
        assert all(np.array_equal(a, b) for a, b in zip(again, once[step], strict=True))
    assert not np.array_equal(excerpts.random_batch(5, 4, seed=8)[0], once[5][0])


@pytest.mark.parametrize("seed", range(5))
def test_an_epoch_visits_each_excerpt_once(seed: int) -> None:
    """4 batches of 5: in each track a crop near each of its 5 rows, half an excerpt away at most."""
    excerpts = numbered()
    assert excerpts.steps(5) == 4
    epochs = []
    for epoch in range(3):
        log_mels = [excerpts.random_batch(4 * epoch + i, 5, seed)[0] for i in range(4)]
        epochs.append(places(np.concatenate(log_mels)))
        in_order = np.array(sorted(epochs[-1]))
        assert in_order[:, 0].tolist() == np.repeat(range(4), ROWS).tolist()
        assert np.all(np.abs(in_order[:, 1].reshape(4, ROWS) - 129.2 * np.arange(ROWS)) < 65.2)
    assert sorted(epochs[0]) != sorted(epochs[1]) != sorted(epochs[2])  # other places, not only another order


def test_what_does_not_fill_a_batch_is_left_out_of_an_epoch() -> None:
    """20 excerpts in batches of 3: 6 batches, and no excerpt twice."""
    excerpts = numbered()
    assert excerpts.steps(3) == 6
    starts = places(np.concatenate([excerpts.random_batch(i, 3, seed=1)[0] for i in range(6)]))
    assert len({(track, round(start / 129.2)) for track, start in starts}) == 18


def test_crops_move_by_up_to_half_an_excerpt() -> None:
    excerpts = numbered()
    starts = [start for step in range(200) for _, start in places(excerpts.random_batch(step, 4, 0)[0])]
    inner = np.array([start for start in starts if 0 < start < 517]) / (66150 / 512)
    assert np.min(inner) < 0.1
    assert np.histogram(inner % 1, bins=10)[0].min() > 20


def test_labels_go_with_the_crops() -> None:
    log_mels, tags = numbered().random_batch(3, 8, seed=1)
    for (track, start), label in zip(places(log_mels), tags, strict=True):
        np.testing.assert_allclose(label, (10 * track + min(start * 512 / 66150, 4)) / 100, rtol=1e-5)


def test_training_can_begin_at_any_step() -> None:
    """As a run does that is resumed."""
    whole = list(training(noise(), 4, 1, Augmentation(), 0, 7))
    rest = list(training(noise(), 4, 1, Augmentation(), 4, 7))
    assert (len(whole), len(rest)) == (7, 3)
    for (x, t), (y, u) in zip(whole[4:], rest, strict=True):
        assert np.array_equal(x, y)
        assert np.array_equal(t["tags"], u["tags"])


def test_training_standardises() -> None:
    ((log_mel, tags),) = training(noise(), 4, 1, STILL, 2, 3)
    expected = noise().random_batch(2, 4, 1)
    np.testing.assert_allclose(log_mel, (expected[0] - 0.2) / 0.25, atol=1e-4)
    assert np.array_equal(tags["tags"], expected[1])


@pytest.mark.parametrize(("devices", "sizes"), [(1, [8, 8, 4]), (2, [8, 8, 4]), (8, [8, 8])])
def test_validation_gives_all_in_order(devices: int, sizes: list[int]) -> None:
    """Save what no device would get an equal share of."""
    batches = list(validation(numbered(), 8, devices))
    assert [len(log_mel) for log_mel, _ in batches] == sizes
    log_mels = np.concatenate([log_mel for log_mel, _ in batches]) * 0.25 + 0.2
    grid = [(track, start) for track in range(4) for start in (0, 129, 258, 388, 517)]
    assert places(np.rint(log_mels)) == grid[: sum(sizes)]
    rows = np.concatenate([tags["tags"] for _, tags in batches])[:, 0] * 100
    np.testing.assert_allclose(rows, [10 * t + r for t in range(4) for r in range(5)][: sum(sizes)], atol=0.01)


# === augmentation ===


def test_gain_is_that_of_the_waveform() -> None:
    """The log-mel of louder or softer audio, by librosa; each excerpt by another gain."""
    audio = music(3)

    def log_mel(gain_db: float) -> NDArray[np.float64]:
        scaled = audio.astype(float) * 10 ** (gain_db / 20)
        power = librosa.feature.melspectrogram(
            y=scaled, sr=22050, n_fft=1024, hop_length=512, n_mels=128, pad_mode="constant"
        )
        return np.log10(1 + 10 * power).T[:129]

    same = np.repeat(log_mel(0)[None].astype(np.float32), 16, axis=0)
    varied = np.asarray(augment(tf.constant(same), tf.constant([3, 4]), Augmentation(6, 0, 0)), float)
    at = np.unravel_index(np.argmax(same[0]), same[0].shape)
    gains = [10 * np.log10((10 ** v[at] - 1) / (10 ** log_mel(0)[at] - 1)) for v in varied]
    assert max(np.abs(gains)) <= 6.001
    assert np.ptp(gains) > 6
    for gain, received in zip(gains, varied, strict=True):
        np.testing.assert_allclose(received, log_mel(gain), atol=1e-3)


@pytest.mark.parametrize(("axis", "augmentation"), [(1, Augmentation(0, 20, 0)), (2, Augmentation(0, 0, 16))])
def test_masks_silence_one_run(axis: int, augmentation: Augmentation) -> None:
    longest = max(augmentation.time_mask, augmentation.mel_mask)
    varied = np.asarray(augment(tf.ones((1000, 129, 128)), tf.constant([0, 1]), augmentation))
    silent = np.all(varied == 0, axis=3 - axis)
    np.testing.assert_allclose(varied.sum(axis=3 - axis)[~silent], varied.shape[3 - axis], rtol=1e-4)
    lengths = silent.sum(axis=1)
    assert set(lengths) == set(range(longest + 1))
    for row in silent[lengths > 0]:
        where = np.flatnonzero(row)
        assert where[-1] - where[0] + 1 == len(where)
    assert silent.any(axis=0).all()  # no place is spared


def test_same_seed_same_augmentation() -> None:
    log_mel = tf.random.stateless_uniform((4, 129, 128), [0, 0])
    first, again, other = (augment(log_mel, tf.constant(seed), Augmentation()) for seed in ([1, 2], [1, 2], [1, 3]))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_augmentation_changes_nothing() -> None:
    log_mel = tf.random.stateless_uniform((4, 129, 128), [0, 0], maxval=3.0)
    np.testing.assert_allclose(augment(log_mel, tf.constant([1, 2]), STILL), log_mel, atol=1e-5)


# === from a store ===


def test_excerpts_of_a_store(tmp_path: Path) -> None:
    """A teacher that skipped an excerpt: its score there is the mean of its neighbours'."""
    store = write_store(tmp_path / "data", train=2, validation=1)
    one, two = (np.load(tmp_path / f"data/labels/{teacher}/1.npy") for teacher in TEACHERS)
    one[1] = np.nan
    write_array(tmp_path / "data/labels/one/1.npy", one)
    excerpts = Excerpts.of(store, "train", TEACHERS)
    assert excerpts.where.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
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


def test_less_than_a_batch_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"one batch of 21 excerpts, found 20\. Use a smaller batch"):
        numbered().steps(21)
