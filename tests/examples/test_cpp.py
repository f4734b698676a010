"""The C++ example, which knows docs/onnx.md alone, gives Python's numbers."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from needs import missing
from offline import environment, files
from toy import CARD, music, write_audio, write_model

import musiczoo
from musiczoo import audio, demo, registry
from musiczoo.card import MODEL_FILE

pytestmark = pytest.mark.web

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples" / "cpp"
HEADERS = ROOT / "build" / "examples-cpp" / "include"
"""Where the headers are kept between runs."""

TOLERANCE = 1e-5


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built with the headers of Debian's package and the library of Python's."""
    for tool in ("cmake", "c++", "apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            missing(tool)
    if not (HEADERS / "onnxruntime_cxx_api.h").exists():
        done = subprocess.run([SOURCE / "get-headers", HEADERS], capture_output=True, text=True)
        if done.returncode:
            missing(f"libonnxruntime-dev, which apt cannot fetch: {done.stderr[-300:]}")
    libraries = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not libraries:
        missing("an onnxruntime whose package holds a shared library")
    folder = tmp_path_factory.mktemp("cpp")
    settings = [f"-DONNXRUNTIME_INCLUDE={HEADERS}", f"-DONNXRUNTIME_LIBRARY={libraries[0]}"]
    flags = "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"
    for command in (["cmake", "-S", SOURCE, "-B", folder, *settings, flags], ["cmake", "--build", folder]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert not done.returncode, done.stdout + done.stderr
    return folder / "tag"


def tag(program: Path, *arguments: Any) -> dict[str, Any]:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def fails(program: Path, *arguments: Any) -> str:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


def compare(answer: dict[str, Any], track: musiczoo.Track) -> None:
    assert list(answer["tags"]) == list(track.card.tags)
    np.testing.assert_allclose(list(answer["tags"].values()), track.tags.probabilities, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(answer["embedding"], track.embedding, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["", *musiczoo.list_models()], ids=lambda name: name or "toy")
def test_numbers_are_those_of_python(program: Path, tmp_path: Path, name: str) -> None:
    """Tags, embedding, cosines and weighted score of two songs, in both formats of samples."""
    folder = registry.find(name) if name else write_model(tmp_path / "toy")
    model = musiczoo.load(folder)
    rate, spaces = model.card.sample_rate, list(model.card.spaces)
    samples = audio.read(demo.PATH, rate, 14)
    half = len(samples) // 2
    first = write_audio(tmp_path / "first.wav", samples[:half], rate, "FLOAT")
    stereo = np.stack([samples[half:], 0.5 * samples[half:]], axis=1)
    second = write_audio(tmp_path / "second.wav", stereo, rate, "PCM_16")
    x, y = model.analyze(first), model.analyze(second)
    compare(tag(program, folder / MODEL_FILE, second), y)

    weights = [1, 0.5, 0, 2][: len(spaces)]
    answer = tag(program, folder / MODEL_FILE, first, second, *weights)
    compare(answer, x)
    if model.card.normalized:
        cosines = [float(x.space(space) @ y.space(space)) for space in spaces]
    else:
        cosines = [float(x.embedding @ y.embedding)]
    assert list(answer["cosines"]) == spaces
    np.testing.assert_allclose(list(answer["cosines"].values()), cosines, rtol=TOLERANCE, atol=TOLERANCE)
    assert answer["score"] == pytest.approx(np.average(cosines, weights=weights), rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.filterwarnings("ignore:.*shorter than", "ignore:.*silent")
@pytest.mark.parametrize("seconds", [1.0, 3.0, 7.1])
def test_songs_of_any_length(
    program: Path, toy_folder: Path, toy: musiczoo.Model, tmp_path: Path, seconds: float
) -> None:
    song = write_audio(tmp_path / "song.wav", music(seconds), CARD.sample_rate, "FLOAT")
    compare(tag(program, toy_folder / MODEL_FILE, song), toy.analyze(song))


@pytest.mark.filterwarnings("ignore:.*silent")
def test_silence_does_not_count(program: Path, toy_folder: Path, toy: musiczoo.Model, tmp_path: Path) -> None:
    sound = music(6)
    partly = write_audio(tmp_path / "partly.wav", np.concatenate([0 * sound, sound]), CARD.sample_rate, "FLOAT")
    silence = write_audio(tmp_path / "silence.wav", 0 * sound, CARD.sample_rate, "PCM_16")
    compare(tag(program, toy_folder / MODEL_FILE, partly), toy.analyze(sound, CARD.sample_rate))
    answer = tag(program, toy_folder / MODEL_FILE, silence, partly)
    assert not any([*answer["tags"].values(), *answer["embedding"], answer["score"]])


def test_without_weights_the_score_is_the_inner_product(
    program: Path, toy_folder: Path, toy: musiczoo.Model, tmp_path: Path
) -> None:
    songs = [write_audio(tmp_path / f"{seed}.wav", music(6, seed=seed), CARD.sample_rate, "FLOAT") for seed in (1, 2)]
    x, y = (toy.analyze(song).embedding for song in songs)
    assert tag(program, toy_folder / MODEL_FILE, *songs)["score"] == pytest.approx(float(x @ y), abs=TOLERANCE)


def test_errors_say_what_is_expected(program: Path, toy_folder: Path, tmp_path: Path) -> None:
    model = toy_folder / MODEL_FILE
    good = write_audio(tmp_path / "good.wav", music(4), CARD.sample_rate, "FLOAT")
    fast = write_audio(tmp_path / "fast.wav", music(1, 44_100), 44_100, "FLOAT")
    deep = write_audio(tmp_path / "deep.wav", music(1), CARD.sample_rate, "PCM_24")
    bad = write_audio(tmp_path / "nan.wav", np.full(5000, np.nan, np.float32), CARD.sample_rate, "FLOAT")
    cut = tmp_path / "cut.wav"
    cut.write_bytes(good.read_bytes()[:22])
    empty = write_audio(tmp_path / "empty.wav", np.zeros(0, np.float32), CARD.sample_rate, "FLOAT")
    for song in (fast, deep, empty):
        assert f"32-bit floats at {CARD.sample_rate} Hz" in fails(program, model, song)
    assert "no WAV file" in fails(program, model, tmp_path / "missing.wav")
    assert "no WAV file" in fails(program, model, model)
    assert "no WAV file" in fails(program, model, cut)
    assert "finite" in fails(program, model, bad)
    assert "usage" in fails(program, model)
    assert "expected 4 weights" in fails(program, model, good, good, 1, 2)


def test_a_file_that_ends_early_is_read_up_to_there(
    program: Path, toy_folder: Path, toy: musiczoo.Model, tmp_path: Path
) -> None:
    sound = music(6)
    song = write_audio(tmp_path / "song.wav", sound, CARD.sample_rate, "FLOAT")
    song.write_bytes(song.read_bytes()[: -4 * CARD.sample_rate - 2])
    expected = toy.analyze(sound[: -CARD.sample_rate - 1], CARD.sample_rate)
    compare(tag(program, toy_folder / MODEL_FILE, song), expected)


def test_a_model_without_metadata_is_refused(program: Path, toy_folder: Path, tmp_path: Path) -> None:
    import onnx

    proto = onnx.load_model(str(toy_folder / MODEL_FILE))
    del proto.metadata_props[:]
    onnx.save(proto, str(tmp_path / "bare.onnx"))
    assert "no musiczoo.format" in fails(program, tmp_path / "bare.onnx", "song.wav")


def test_nothing_is_left_with_the_user(program: Path, toy_folder: Path, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "song.wav", music(4), CARD.sample_rate, "FLOAT")
    command = [program, toy_folder / MODEL_FILE, song]
    subprocess.run(command, capture_output=True, check=True, env=environment(tmp_path / "user"))
    assert files(tmp_path / "user") == []


def test_it_has_no_copy_of_a_fact_and_fewer_than_150_lines() -> None:
    source = (SOURCE / "tag.cpp").read_text(encoding="utf-8")
    assert len(source.splitlines()) < 150
    code = "\n".join(line for line in source.splitlines() if not line.startswith("//"))
    for fact in (CARD.sample_rate, CARD.excerpt_samples, CARD.embedding_size, *CARD.spaces, *CARD.tags):
        assert f'"{fact}"' not in code
        assert not (isinstance(fact, int) and str(fact) in code), fact
