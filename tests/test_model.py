"""Loading and running a model: a toy one, whose answers plain numpy knows, and each one in the zoo."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from toy import CARD, RATE, SIZE, music, toy_answer, write_audio, write_model

import musiczoo
from musiczoo import Model, audio, demo, load
from musiczoo.card import CARD_FILE, MODEL_FILE, POINTS_FILE, read_card, sha256
from musiczoo.errors import (
    AudioError,
    AudioNotFoundError,
    CardError,
    InputError,
    ModelFileError,
    UnknownNameError,
)


@pytest.fixture(scope="module")
def excerpts() -> np.ndarray:
    """[20, SIZE], different ones."""
    return np.stack([music(3, seed=i) * (i + 1) / 20 for i in range(20)])


def test_embed_and_tag_say_what_the_weights_say(toy: Model, excerpts: np.ndarray) -> None:
    embedding, tags = toy_answer(excerpts)
    np.testing.assert_allclose(toy.embed(excerpts), embedding, atol=1e-6)
    np.testing.assert_allclose(toy.tag(excerpts), tags, atol=1e-6)


def test_any_batch_gives_the_same(toy: Model, excerpts: np.ndarray) -> None:
    together = toy.embed(excerpts)
    for size in (1, 3, 8, 19):
        apart = [toy.embed(excerpts[i : i + size]) for i in range(0, len(excerpts), size)]
        np.testing.assert_allclose(np.concatenate(apart), together, atol=1e-6)
    assert toy.embed(excerpts[:0]).shape == (0, 256)
    assert toy.tag(excerpts[:0]).shape == (0, 50)


def test_types_of_excerpts(toy: Model, excerpts: np.ndarray) -> None:
    as_int16 = np.round(excerpts[:2] * 32768).astype(np.int16)
    expected = toy.embed(as_int16.astype(np.float32) / 32768)
    np.testing.assert_array_equal(toy.embed(as_int16), expected)
    np.testing.assert_allclose(toy.embed(excerpts[:2].astype(np.float64)), toy.embed(excerpts[:2]), atol=1e-7)
    np.testing.assert_allclose(toy.embed(excerpts[:1].tolist()), toy.embed(excerpts[:1]), atol=1e-7)
    np.testing.assert_array_equal(toy.embed(excerpts[:4:2]), toy.embed(excerpts[:4:2].copy()))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(SIZE, np.float32), r"Add an axis: x\[np.newaxis\]"),
        (np.zeros((1, 1000), np.float32), r"\[N, 66150\], 3 s mono at 22050 Hz, got \[1, 1000\]"),
        (np.zeros((1, 2, SIZE), np.float32), r"got \[1, 2, 66150\]"),
        (np.zeros((1, SIZE), np.int32), "int32"),
        (np.zeros((1, SIZE), bool), "bool"),
        (np.float32(0), "shape"),
        ("song.mp3", r"got the path 'song\.mp3'\. Use Model\.analyze for files"),
        (Path("song.mp3"), r"got the path 'song\.mp3'"),
        (np.zeros(10 * SIZE), r"got \[661500\]\. Use Model\.analyze\(samples, sample_rate=\.\.\.\) for whole songs"),
        (["song.mp3"], "got <U8"),
    ],
)
def test_excerpts_of_another_shape_or_type(toy: Model, value: Any, message: str) -> None:
    for method in (toy.embed, toy.tag):
        with pytest.raises(InputError, match=message):
            method(value)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_excerpts_that_are_not_finite(toy: Model, value: float) -> None:
    batch = np.zeros((10, SIZE))
    batch[9, RATE] = value
    with pytest.raises(AudioError, match=r"in excerpt 9 at 1\.000 s"):
        toy.embed(batch)


def test_samples_too_loud_for_an_answer(toy: Model) -> None:
    with pytest.raises(AudioError, match=r"magnitudes up to 3e\+38"):
        toy.tag(np.full((1, SIZE), 3e38, np.float32))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "opus"])
def test_analyze_a_file(toy: Model, song: Callable[..., Path], suffix: str) -> None:
    path = song(f"a.{suffix}", seconds=10, rate=48000, channels=2)
    track = toy.analyze(path)
    assert (track.path, track.model, track.space_id, track.padded) == (str(path), "toy", "toy-1", False)
    assert track.duration_s == pytest.approx(10, abs=0.01)
    assert track.times.tolist() == [0, 3, 6]
    whole = audio.read(path, RATE)
    embedding, tags = toy_answer(np.stack([whole[i : i + SIZE] for i in (0, SIZE, 2 * SIZE)]))
    np.testing.assert_allclose(track.embeddings, embedding, atol=1e-6)
    np.testing.assert_allclose(track.taggram, tags, atol=1e-6)
    np.testing.assert_allclose(track.tags.probabilities, tags.mean(axis=0), atol=1e-6)
    for dimension, (start, stop) in CARD.spaces.items():
        mean = embedding[:, start:stop].mean(axis=0)
        np.testing.assert_allclose(track.space(dimension), mean / np.linalg.norm(mean), atol=1e-5)


def test_analyze_samples_as_it_analyses_the_file(toy: Model, tmp_path: Path) -> None:
    samples = music(8, 44100, channels=2)
    path = write_audio(tmp_path / "a.wav", samples, 44100, subtype="FLOAT")
    expected = toy.analyze(str(path))
    for source in (samples, samples.astype(np.float64), samples.tolist()):
        track = toy.analyze(source, sample_rate=44100)
        assert track.path is None
        np.testing.assert_array_equal(track.taggram, expected.taggram)
    np.testing.assert_array_equal(toy.analyze(path).embedding, expected.embedding)  # and twice the same


def test_analyze_int16_samples(toy: Model) -> None:
    samples = np.round(music(4) * 32768).astype(np.int16)
    expected = toy.analyze(samples / 32768, sample_rate=RATE)
    np.testing.assert_allclose(toy.analyze(samples, sample_rate=RATE).embedding, expected.embedding, atol=1e-6)


def test_hop(toy: Model, song: Callable[..., Path]) -> None:
    path = song(seconds=30)
    assert toy.analyze(path, hop=1.5).times.tolist() == [1.5 * i for i in range(19)]
    assert toy.analyze(path, hop=10).times.tolist() == [0, 10, 20]
    assert toy.analyze(path, hop=None).times.tolist() == [3 * i for i in range(10)]
    for hop in (0, -1, float("nan")):
        with pytest.raises(InputError, match="hop"):
            toy.analyze(path, hop=hop)


def test_some_excerpts_hear_what_all_of_them_hear_there(toy: Model, song: Callable[..., Path]) -> None:
    path = song("a.ogg", seconds=60, rate=44100)
    track = toy.analyze(path, excerpts=4)
    assert len(track.times) == 4
    whole = audio.read(path, RATE)
    starts = [round(start * RATE) for start in track.times]
    embedding, tags = toy_answer(np.stack([whole[start : start + SIZE] for start in starts]))
    np.testing.assert_allclose(track.embeddings, embedding, atol=1e-4)
    np.testing.assert_allclose(track.taggram, tags, atol=1e-4)


@pytest.mark.parametrize("seconds", [0.1, 2.9])
@pytest.mark.parametrize("count", [None, 3])
def test_short_songs_are_padded_and_say_so(
    toy: Model, song: Callable[..., Path], seconds: float, count: int | None
) -> None:
    path = song("a.flac", seconds=seconds)
    with pytest.warns(musiczoo.ShortAudioWarning, match=rf"a\.flac: {seconds:.2f} s is shorter"):
        track = toy.analyze(path, excerpts=count)
    assert track.padded
    assert track.duration_s == pytest.approx(seconds, abs=1e-4)
    samples = audio.read(path, RATE)
    _, tags = toy_answer(np.pad(samples, (0, SIZE - len(samples)))[None])
    np.testing.assert_allclose(track.taggram, tags, atol=1e-6)


def test_bad_input_to_analyze(toy: Model, tmp_path: Path) -> None:
    with pytest.raises(AudioNotFoundError):
        toy.analyze(tmp_path / "absent.mp3")
    with pytest.raises(AudioError, match="folder"):
        toy.analyze(tmp_path)
    with pytest.raises(AudioError, match=r"it ends at 0\.00 s"):
        toy.analyze(np.zeros(0), sample_rate=RATE)
    with pytest.raises(AudioError, match=r"nan at 1\.000 s"):
        toy.analyze(np.where(np.arange(4 * RATE) == RATE, np.nan, 0), sample_rate=RATE)
    with pytest.raises(InputError, match="sample_rate"):
        toy.analyze(np.zeros(9))
    with pytest.raises(InputError, match="excerpts"):
        toy.analyze(np.zeros(9), sample_rate=RATE, excerpts=0)


def test_unknown_model() -> None:
    with pytest.raises(UnknownNameError, match="Unknown model 'disentangled'"):
        musiczoo.load("disentangled")


@pytest.mark.parametrize("excerpts", [None, 5])
def test_threads_do_not_change_a_bit(toy_folder: Path, excerpts: int | None) -> None:
    alone, many = (musiczoo.load(toy_folder, threads=n).analyze(demo.PATH, excerpts=excerpts) for n in (1, 3))
    np.testing.assert_array_equal(alone.times, many.times)
    np.testing.assert_array_equal(alone.embeddings, many.embeddings)
    np.testing.assert_array_equal(alone.taggram, many.taggram)


def test_load_with_threads_and_providers(toy_folder: Path, excerpts: np.ndarray, toy: Model) -> None:
    for model in (musiczoo.load(toy_folder, threads=1), musiczoo.load(toy_folder, ["CPUExecutionProvider"])):
        np.testing.assert_allclose(model.embed(excerpts), toy.embed(excerpts), atol=1e-6)
    with pytest.raises(InputError, match=r"CPUExecutionProvider.*got 'NoExecutionProvider'"):
        musiczoo.load(toy_folder, providers=["NoExecutionProvider"])
    with pytest.raises(InputError, match="list of providers"):
        musiczoo.load(toy_folder, providers="CPUExecutionProvider")
    for threads in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="threads"):
            musiczoo.load(toy_folder, threads=threads)  # type: ignore[arg-type]


def edit_card(folder: Path, **values: Any) -> None:
    text = (folder / CARD_FILE).read_text()
    (folder / CARD_FILE).write_text(json.dumps({**json.loads(text), **values}))


def test_load_refuses_a_folder_that_is_not_what_its_card_says(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"card\.json"):
        musiczoo.load(tmp_path)
    folder = write_model(tmp_path / "toy")
    (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="altered"):
        musiczoo.load(folder)
    edit_card(folder, files={MODEL_FILE: sha256(folder / MODEL_FILE)})
    (folder / MODEL_FILE).unlink()
    with pytest.raises(ModelFileError, match="No such file"):
        musiczoo.load(folder)
    edit_card(folder, files={})
    with pytest.raises(ModelFileError, match=r"sha256 of model\.onnx"):
        musiczoo.load(folder)
    edit_card(folder, format=2)
    with pytest.raises(CardError, match="newer"):
        musiczoo.load(folder)


@pytest.mark.parametrize("content", [b"", b"not a graph", bytes(100)])
def test_load_refuses_what_is_no_graph(tmp_path: Path, content: bytes) -> None:
    folder = write_model(tmp_path / "toy")
    (folder / MODEL_FILE).write_bytes(content)
    edit_card(folder, files={MODEL_FILE: sha256(folder / MODEL_FILE)})
    with pytest.raises(ModelFileError, match="expected"):
        musiczoo.load(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"excerpt_samples": 66151}, r"waveform as tensor\(float\) \[N, 66151\].*\['N', 66150\]"),
        ({"sample_rate": 16000}, "musiczoo.sample_rate 16000 in its metadata, got 22050"),
        ({"tags": [*CARD.tags[1:], CARD.tags[0]]}, "musiczoo.tags"),
        ({"space_id": "another"}, "musiczoo.space_id"),
    ],
)
def test_load_refuses_a_card_that_contradicts_the_graph(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    folder = write_model(tmp_path / "toy")
    edit_card(folder, **values)
    with pytest.raises(ModelFileError, match=message):
        musiczoo.load(folder)


def test_load_refuses_a_graph_with_other_names(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "toy")
    model = onnx.load(folder / MODEL_FILE)
    model.graph.node.append(helper.make_node("Identity", ["embedding"], ["vector"]))
    model.graph.output[0].name = "vector"
    onnx.save(model, folder / MODEL_FILE)
    edit_card(folder, files={MODEL_FILE: sha256(folder / MODEL_FILE)})
    with pytest.raises(ModelFileError, match=r"expected embedding as .* got nothing"):
        musiczoo.load(folder)


def test_other_rates_and_lengths(tmp_path: Path, song: Callable[..., Path]) -> None:
    """A model of half the rate, like the teachers: nothing of ours is fixed to 22,050 Hz."""
    small = dataclasses.replace(CARD, sample_rate=11025, excerpt_samples=SIZE // 2)
    model = musiczoo.load(write_model(tmp_path / "half", small, SIZE // 2))
    assert model.analyze(song(seconds=10)).times.tolist() == [0, 3, 6]


# === Points of tags ===


def with_points(folder: Path, points: np.ndarray) -> Path:
    """A toy model whose card names a file of points."""
    write_model(folder)
    np.save(folder / POINTS_FILE, points)
    card = read_card(folder)
    files = {**card.files, POINTS_FILE: sha256(folder / POINTS_FILE)}
    (folder / CARD_FILE).write_text(dataclasses.replace(card, files=files).to_json(), encoding="utf-8")
    return folder


def test_tag_points_are_unit_vectors(tmp_path: Path, toy: Model) -> None:
    points = np.random.default_rng(0).normal(size=(50, 256)).astype(np.float16)
    points[3] = 0  # a tag that no training track had
    got = load(with_points(tmp_path / "model", points)).tag_points()
    assert got is not None
    exact = points.astype(float)
    exact[3] = 1
    expected = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    expected[3] = 0
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert toy.tag_points() is None


@pytest.mark.parametrize("points", [np.ones((50, 255), np.float16), np.full((50, 256), np.nan, np.float16)])
def test_load_refuses_points_of_another_shape_or_not_finite(tmp_path: Path, points: np.ndarray) -> None:
    with pytest.raises(ModelFileError, match=r"expected finite points \[50, 256\], got"):
        load(with_points(tmp_path / "model", points))


def test_load_refuses_points_that_are_no_array(tmp_path: Path) -> None:
    folder = with_points(tmp_path / "model", np.array([{"pickled": "object"}], object))
    with pytest.raises(ModelFileError, match=r"tag_points.npy: expected an array, got"):
        load(folder)
