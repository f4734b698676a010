"""Encoders and embeddings that are no musiczoo model's, beside a zoo model."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepared import SECONDS, excerpts
from rich.console import Console
from toy import CARD, music, toy_answer, write_audio

import musiczoo
from musiczoo.datasets import hard_tags
from musiczoo.datasets.dim_sim import Clip
from musiczoo.datasets.prepared import Store
from musiczoo.errors import DatasetError, InputError, UnknownNameError
from musiczoo.evaluation import benchmark
from musiczoo.evaluation.foreign import Embeddings, Encoder, as_model, load_encoder
from musiczoo.evaluation.ground_truth import Settings
from musiczoo.evaluation.metrics.triplets import Triplets, accuracy

TRACKS = [f"song{i}" for i in range(6)]
SMALL = Settings(ks=(1, 2), triplets_per_dimension=200, track_triplets=100)


class ToyAsForeign:
    """What the toy model computes, by numpy, as somebody else's encoder of another scale."""

    name = "theirs"
    sample_rate = CARD.sample_rate
    excerpt_seconds = 3.0
    tags = CARD.tags

    def __init__(self, with_tags: bool = True) -> None:
        self.with_tags = with_tags

    def __call__(self, waveforms: Any) -> Any:
        embedding, tags = toy_answer(waveforms)
        return {"embedding": 7 * embedding, "tags": tags} if self.with_tags else 7 * embedding


def levels(waveforms: Any) -> Any:
    """Ten levels over time."""
    return np.abs(waveforms).reshape(len(waveforms), 10, -1).mean(axis=2)


levels.sample_rate, levels.excerpt_seconds = 8000, 1.5  # type: ignore[attr-defined]


def evaluate(models: list[Any], store: Store, tasks: str, **options: Any) -> Any:
    options = {"settings": SMALL, "console": Console(quiet=True), **options}
    return benchmark.evaluate(models, store, ["noise", "other"], tasks=tasks.split(","), **options)


def test_an_encoder_that_computes_the_same_has_the_same_metrics(toy: musiczoo.Model, store: Store) -> None:
    """All that differs is the space: the toy's four are compared as one."""
    tasks = "tagging,retrieval,triplets,agreement"
    ours, theirs = evaluate([toy, ToyAsForeign()], store, tasks)["models"]
    assert (theirs["name"], theirs["spaces"], theirs["parameters"]) == ("theirs", ["all"], None)
    assert theirs["skipped"] == {}
    assert theirs["tagging"]["roc_auc"] == ours["tagging"]["roc_auc"]
    assert theirs["agreement"] == ours["agreement"]
    assert theirs["triplets"]["track"]["value"] == pytest.approx(ours["triplets"]["track"]["value"], abs=0.02)
    embeddings = np.stack([toy_answer(excerpts(i))[0].mean(axis=0) for i in range(6)]).astype(np.float64)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    near = np.argmax(unit @ unit.T - 2 * np.eye(6), axis=1)
    positives = hard_tags.of_split(store, "test", ["noise", "other"])
    expected = np.mean([(positives[i] & positives[near[i]]).sum() / positives[i].sum() for i in range(6)])
    assert theirs["retrieval"]["all"]["recall"]["1"]["value"] == pytest.approx(expected)


def test_a_function_without_tags_is_measured_at_its_own_rate(toy: musiczoo.Model, store: Store, tmp_path: Path) -> None:
    clip = Clip(write_audio(tmp_path / "clip.wav", music(3, seed=1)), 0.0)
    report = evaluate([toy, levels], store, "tagging,retrieval,triplets", human=[(clip, clip, clip)])
    theirs = report["models"][1]
    assert theirs["name"] == "levels"
    assert list(theirs["skipped"]) == ["tagging"]
    assert "which lacks 50 of them" in theirs["skipped"]["tagging"]
    assert list(theirs["triplets"]) == ["whole", "track", "dim_sim"]
    model = as_model(levels)
    assert (model.card.sample_rate, model.card.excerpt_samples, model.card.embedding_size) == (8000, 12_000, 10)


def test_track_is_the_mean_of_unit_excerpts(tmp_path: Path) -> None:
    """8 kHz, so that nothing is resampled."""
    samples = music(4.5, rate=8000)
    track = as_model(levels).analyze(samples, 8000, hop=1.5)
    rows = levels(samples.reshape(3, 12_000)).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(track.embeddings, rows, rtol=1e-5)
    mean = rows.mean(axis=0)
    np.testing.assert_allclose(track.embedding, mean / np.linalg.norm(mean), rtol=1e-5)
    assert len(track.tags) == 0
    assert track.tags.top(3) == []


@pytest.mark.filterwarnings("ignore::musiczoo.SilentAudioWarning")
def test_silent_songs_are_zeros_as_those_of_models() -> None:
    assert not as_model(levels).analyze(np.zeros(20_000), 8000).embedding.any()


def test_copies_hold_the_encoder() -> None:
    """scikit-learn copies the parameters of what it cross-validates."""
    model = copy.deepcopy(as_model(levels))
    assert model.analyze(music(2, rate=8000), 8000).embedding.shape == (10,)


def test_protocol_is_a_callable_with_two_attributes() -> None:
    assert isinstance(levels, Encoder)
    assert isinstance(ToyAsForeign(), Encoder)
    assert not isinstance(len, Encoder)


def with_attributes(rate: Any, seconds: Any, answer: Any) -> Any:
    def encoder(waveforms: Any) -> Any:
        return answer

    encoder.sample_rate, encoder.excerpt_seconds = rate, seconds  # type: ignore[attr-defined]
    return encoder


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (len, r"'len': expected a callable with the attributes sample_rate"),
        (with_attributes(0, 3, np.ones((1, 2))), "got function with 0 and 3"),
        (with_attributes(22_050, "3", np.ones((1, 2))), "with 22050 and '3'"),
        (with_attributes(22_050, 3, np.ones(2)), r"expected embeddings \[1, E\] of one excerpt, got \[2\]"),
        (with_attributes(22_050, 3, np.ones((1, 0))), r"got \[1, 0\]"),
        (with_attributes(22_050, 3, {"vector": np.ones((1, 2))}), "'embedding' among the outputs"),
    ],
)
def test_other_callables_are_refused(encoder: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_model(encoder)


def test_one_that_fails_is_left_out_and_the_others_are_measured(toy: musiczoo.Model, store: Store) -> None:
    wrong = with_attributes(22_050, 3, np.full((1, 2), np.nan))
    report = evaluate([toy, wrong, len], store, "retrieval")
    assert [model["name"] for model in report["models"]] == ["toy"]
    reasons = {failure["name"]: failure["reason"] for failure in report["models_left_out"]}
    assert "with NaN or infinity" in reasons["encoder"]
    assert "'len'" in reasons["len"]


FILE = """
import numpy as np

class Levels:
    sample_rate, excerpt_seconds = 8000, 1.5

    def __call__(self, waveforms):
        return np.abs(waveforms).mean(axis=1, keepdims=True)

ready = Levels()
"""


def test_encoder_out_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    for name in ("Levels", "ready"):
        model = load_encoder(f"{tmp_path / 'mine.py'}:{name}")
        assert (model.name, model.card.embedding_size) == (name, 1)


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("mine.py", InputError, "FILE.py:NAME"),
        ("mine.py:", InputError, "FILE.py:NAME"),
        ("package.module:name", InputError, "FILE.py:NAME"),
        ("{}/mine.py:a b", InputError, "FILE.py:NAME"),
        ("{}/none.py:name", InputError, "No such file"),
        ("{}/mine.py:redy", UnknownNameError, "Did you mean 'ready'"),
        ("{}/mine.py:np", InputError, "expected a callable"),
    ],
)
def test_other_references_are_refused(reference: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    with pytest.raises(error, match=message):
        load_encoder(reference.format(tmp_path))


def write_embeddings(path: Path, **replaced: Any) -> Path:
    """The toy's embeddings of both excerpts of each track, of another length, and of a track that is nowhere."""
    rows = np.concatenate([*(3 * toy_answer(excerpts(i))[0] for i in range(6)), np.ones((1, 256))])
    arrays = {"ids": np.array([*np.repeat(TRACKS, 2), "elsewhere"]), "embeddings": rows}
    np.savez(path, **{**arrays, **replaced})
    return path


def test_embeddings_of_a_file_equal_those_of_the_encoder(store: Store, tmp_path: Path) -> None:
    """The audio files of the data set are not even there."""
    (theirs,) = evaluate([ToyAsForeign(with_tags=False)], store, "retrieval,triplets")["models"]
    stored = Embeddings.read(write_embeddings(tmp_path / "theirs.npz"))
    for path in (store.root / "audio").iterdir():
        path.unlink()
    (model,) = evaluate([stored], store, "retrieval,triplets")["models"]
    assert model["retrieval"] == theirs["retrieval"]
    for space in ("whole", "track"):  # the songs of the toy are so alike that rounding decides a few triplets
        parts = (found["triplets"][space] for found in (model, theirs))
        mine, reference = (part.get("overall", part) for part in parts)
        assert mine["count"] == reference["count"]
        assert mine["value"] == pytest.approx(reference["value"], abs=0.02)


def test_track_of_a_file_is_the_mean_of_its_unit_rows(store: Store, tmp_path: Path) -> None:
    rows = np.array([[3.0, 0.0], [0.0, 5.0], [0.0, 0.0], [-2.0, 0.0]])
    path = write_embeddings(tmp_path / "x.npz", ids=np.array(["song1", "song0", "song2", "song1"]), embeddings=rows)
    found = Embeddings.read(path).outputs([store.track(track_id) for track_id in ("song0", "song1", "song2")])
    assert found.ids == ("song0", "song1", "song2")
    assert found.vectors.tolist() == [[0, 1], [0, 0], [0, 0]]
    assert found.excerpts[1].tolist() == [[1, 0], [-1, 0]]
    assert found.tags.shape == (3, 0)


def test_one_row_a_track_leaves_out_the_triplets_of_excerpts(store: Store, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(6, 8))
    path = write_embeddings(tmp_path / "x.npz", ids=np.array(TRACKS), embeddings=rows)
    (model,) = evaluate([Embeddings.read(path)], store, "triplets,tagging")["models"]
    assert "track" not in model["triplets"]
    assert model["triplets"]["track_left_out"] == "Expected 12 rows, one for each excerpt, got 6."
    assert list(model["skipped"]) == ["tagging"]


def test_embeddings_must_have_all_tracks(toy: musiczoo.Model, store: Store, tmp_path: Path) -> None:
    path = write_embeddings(tmp_path / "x.npz", ids=np.array(TRACKS[1:]), embeddings=np.eye(5))
    report = evaluate([toy, Embeddings.read(path)], store, "retrieval")
    (failure,) = report["models_left_out"]
    assert failure["name"] == "x"
    assert "got none of 1 of them (song0)" in failure["reason"]


@pytest.mark.parametrize(
    "replaced",
    [
        {"ids": np.arange(13)},
        {"ids": np.array(["a"])},
        {"embeddings": np.ones(13)},
        {"embeddings": np.full((13, 2), np.inf)},
        {"embeddings": np.ones((13, 0))},
        {"embeddings": np.array(["x"] * 13)},
        {"ids": np.array([{}] * 13)},
    ],
    ids=str,
)
def test_other_arrays_are_refused(replaced: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"x\.npz: expected"):
        Embeddings.read(write_embeddings(tmp_path / "x.npz", **replaced))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"nothing")
    for path in (tmp_path / "x.npz", tmp_path / "missing.npz"):
        with pytest.raises(DatasetError, match="arrays ids and embeddings"):
            Embeddings.read(path)
    np.savez(tmp_path / "y.npz", ids=np.array(["a"]))
    with pytest.raises(DatasetError, match="arrays ids and embeddings"):
        Embeddings.read(tmp_path / "y.npz")


HEADER = "dimension,anchor,positive,negative\n"


def test_triplets_of_a_csv_file_are_counted(toy: musiczoo.Model, store: Store, tmp_path: Path) -> None:
    """In the space that is named like the dimension, and in the whole one."""
    file = tmp_path / "people.csv"
    lines = ["mood,song0,song1,song2", "mood,song3,song2,song1", "taste,song5,song0,song1", "taste,lesson0,song0,song1"]
    file.write_text(HEADER + "\n".join(lines) + "\n")
    (model,) = evaluate([toy], store, "triplets", triplet_file=file)["models"]
    found = model["triplets"]
    assert {name: part["count"] for name, part in found["whole"].items()} == {"mood": 2, "taste": 1, "overall": 3}
    assert set(found["sub-space"]) == {"mood", "overall"}
    assert found["track"]["count"] == 100
    answers = np.stack([toy_answer(excerpts(i))[0].astype(np.float64).mean(axis=0) for i in range(6)])
    start, stop = CARD.spaces["mood"]
    mood = answers[:, start:stop] / np.linalg.norm(answers[:, start:stop], axis=1, keepdims=True)
    expected = accuracy(mood, Triplets.of([[0, 1, 2], [3, 2, 1]]))
    assert found["sub-space"]["mood"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the columns"),
        ("anchor,positive,negative\na,b,c\n", "got no dimension"),
        (HEADER, "got none among 0 lines"),
        (HEADER + "mood,song0,song1,elsewhere\nmood,song0,song0,song1\nmood,song0\n", "got none among 3 lines"),
        (HEADER + 'mood,"song0', "expected a CSV file"),
    ],
)
def test_other_tables_are_refused(text: str, message: str, store: Store, tmp_path: Path, toy: musiczoo.Model) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        evaluate([toy], store, "triplets", triplet_file=tmp_path / "x.csv")
    with pytest.raises(DatasetError, match="expected a CSV file"):
        evaluate([toy], store, "triplets", triplet_file=tmp_path / "missing.csv")


def test_length_of_the_tracks_is_that_of_the_data_set(store: Store) -> None:
    """What comes after the used seconds of a file is not part of the data set."""
    seen = []

    def watching(waveforms: Any) -> Any:
        seen.append(waveforms.shape)
        return np.ones((len(waveforms), 1)) * np.arange(1, len(waveforms) + 1)[:, None]

    watching.sample_rate, watching.excerpt_seconds = 22_050, 3.0  # type: ignore[attr-defined]
    evaluate([watching], store, "retrieval")
    assert SECONDS > 6
    assert sum(shape[0] for shape in seen) == 1 + 6 * 2  # once for the size of the embedding
