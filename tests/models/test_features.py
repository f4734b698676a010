"""Cached features of a frozen encoder: against the toy encoder in numpy; computed once, resumed, and kept apart."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("tensorflow")

from rich.console import Console
from toy import RATE, SIZE, music, toy_answer, write_audio, write_model

from musiczoo._files import write_npy
from musiczoo.card import CARD_FILE, MODEL_FILE, read_card, sha256
from musiczoo.datasets.prepared import FEATURES, Store, TrackEntry
from musiczoo.errors import DatasetError
from musiczoo.models import features
from musiczoo.models.features import FeatureExcerpts
from musiczoo.models.frozen_encoder import Encoder, open_encoder
from musiczoo.models.sampling import Positions
from musiczoo.taxonomy import TAGS

pytestmark = pytest.mark.train

SECONDS = (10.0, 2.0, 6.5)
"""Three excerpts and a rest; less than one; two and a rest."""

QUIET = Console(quiet=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "data" / "audio").mkdir(parents=True)
    tracks = []
    for i, seconds in enumerate(SECONDS):
        write_audio(tmp_path / "data" / "audio" / f"{i}.wav", music(seconds, seed=i))
        tracks.append(TrackEntry(f"{i}", "train", f"{i}.wav", seconds, 0, "", "", "", "CC0", "toy"))
    store = Store(tmp_path / "data", "toy", {}, tuple(tracks))
    random = np.random.default_rng(0)
    for track in tracks:
        write_npy(
            store.root / "labels" / "one" / f"{track.id}.npy", random.random((track.excerpts, 50)).astype(np.float32)
        )
    store.save()
    return store


@pytest.fixture
def encoder(toy_folder: Path) -> Encoder:
    return open_encoder(toy_folder)


def test_features_are_the_encoders(store: Store, encoder: Encoder) -> None:
    """On the excerpts from 0, 3, 6 ... s, with zeros after the end of a short track."""
    features.compute(encoder, store, store.tracks, console=QUIET)
    found = features.read(encoder, store, store.tracks)
    assert [len(rows) for rows in found] == [3, 1, 2]
    for i, rows in enumerate(found):
        audio = np.zeros(30 * RATE, np.float32)
        samples = music(SECONDS[i], seed=i)
        audio[: len(samples)] = samples
        excerpts = np.stack([audio[k * SIZE : (k + 1) * SIZE] for k in range(len(rows))])
        np.testing.assert_allclose(rows, toy_answer(excerpts)[0], atol=1e-4)  # WAV has 16 bits


def test_interrupted_work_is_resumed(store: Store, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are there are not made again; damaged ones and those of another shape are."""
    features.compute(encoder, store, store.tracks[:1], console=QUIET)
    paths = [store.root / FEATURES / encoder.id / f"{i}.npy" for i in range(3)]
    assert [path.exists() for path in paths] == [True, False, False]
    first = paths[0].stat().st_mtime_ns
    paths[1].write_bytes(b"damaged")
    write_npy(paths[2], np.zeros((1, encoder.size), np.float32))
    with pytest.raises(DatasetError, match=r"1\.npy is missing or of another shape"):
        features.read(encoder, store, store.tracks)
    features.compute(encoder, store, store.tracks, console=QUIET)
    assert paths[0].stat().st_mtime_ns == first
    assert [len(rows) for rows in features.read(encoder, store, store.tracks)] == [3, 1, 2]
    monkeypatch.setattr(type(encoder), "features", None)  # nothing is left to run it for
    features.compute(encoder, store, store.tracks, console=QUIET)


def test_another_layer_or_encoder_has_a_folder_of_its_own(store: Store, encoder: Encoder, tmp_path: Path) -> None:
    features.compute(encoder, store, store.tracks, console=QUIET)
    other = open_encoder(write_model(tmp_path / "other" / "toy"), "pooled")
    features.compute(other, store, store.tracks, console=QUIET)
    assert len(list((store.root / FEATURES).iterdir())) == 2
    assert features.read(other, store, store.tracks)[0].shape == (3, 150)


def test_a_track_that_cannot_be_decoded_is_named(store: Store, encoder: Encoder) -> None:
    store.audio("1").write_bytes(b"no audio")
    with pytest.raises(DatasetError, match="No features of 1:"):
        features.compute(encoder, store, store.tracks, console=QUIET)


def test_places_take_the_nearest_excerpt(store: Store, encoder: Encoder) -> None:
    features.compute(encoder, store, store.tracks, console=QUIET)
    excerpts = FeatureExcerpts.open(encoder, store, "train", ("one",))
    assert excerpts.shape == (256,)
    rows, labels = excerpts.at(Positions(np.array([0, 0, 1, 2]), np.array([-0.4, 1.7, 0.4, 5.0])))
    found = features.read(encoder, store, store.tracks)
    expected = [found[0][0], found[0][2], found[1][0], found[2][1]]
    np.testing.assert_array_equal(rows, expected)
    kept = [store.labels(f"{i}", ("one",)) for i in range(3)]
    np.testing.assert_array_equal(labels, [kept[0][0], kept[0][2], kept[1][0], kept[2][1]])
    assert labels.shape == (4, len(TAGS))
    np.testing.assert_array_equal(excerpts.ready(rows), rows)


def test_a_teacher_gives_its_tags_and_its_hidden_layer(toy_folder: Path, tmp_path: Path) -> None:
    """The toy network, with the name that hidden layers have: its tags are those of numpy, made of that layer."""
    folder = tmp_path / "teacher"
    shutil.copytree(toy_folder, folder)
    proto = onnx.load(folder / MODEL_FILE)
    for node in proto.graph.node:
        node.input[:] = ["features" if name == "pooled" else name for name in node.input]
        node.output[:] = ["features" if name == "pooled" else name for name in node.output]
    onnx.save(proto, folder / MODEL_FILE)
    card = dataclasses.replace(read_card(folder), files={MODEL_FILE: sha256(folder / MODEL_FILE)})
    (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    teacher = features.Teacher.open(str(folder))
    excerpts = np.stack([music(3, seed=seed) for seed in range(3)])
    tags, hidden = teacher.run(excerpts)
    np.testing.assert_allclose(tags, toy_answer(excerpts)[1], atol=1e-6)
    np.testing.assert_allclose(hidden, np.abs(excerpts).reshape(3, -1, 441).mean(axis=2), atol=1e-6)
    assert (teacher.id, teacher.size) == (open_encoder(folder).id, 150)


def test_features_with_rows_left_out_are_computed_again(store: Store, encoder: Encoder) -> None:
    """Labelling every other excerpt leaves NaN, which no head can learn from."""
    path = store.root / "features" / encoder.id / "0.npy"
    write_npy(path, np.full((3, encoder.size), np.nan, np.float32))
    features.compute(encoder, store, store.tracks, console=QUIET)
    assert np.isfinite(np.load(path)).all()
