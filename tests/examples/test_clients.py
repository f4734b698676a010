"""The clients in examples/, which know nothing of musiczoo, say what it says."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from needs import missing
from offline import environment, files
from toy import CARD, music, write_audio, write_model

import musiczoo
from musiczoo import Model, audio, demo, registry

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PACKAGES = ROOT / "build" / "examples-node"
"""Where the npm package is kept between runs."""

MODELS = ["", *musiczoo.list_models()]
"""The toy model and all that are published."""

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=MODELS, ids=[name or "toy" for name in MODELS])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder."""
    return registry.find(request.param) if request.param else write_model(tmp_path_factory.mktemp("toy") / "toy")


def compare(answer: str, model: Model, song: Path) -> None:
    said, track = json.loads(answer), model.analyze(song)
    assert list(said["tags"]) == list(model.card.tags)
    np.testing.assert_allclose(list(said["tags"].values()), track.tags.probabilities, atol=TOLERANCE)
    np.testing.assert_allclose(said["embedding"], track.embedding, atol=TOLERANCE)


@pytest.mark.parametrize(
    "seconds", [10.5, pytest.param(1.0, marks=pytest.mark.filterwarnings("ignore:.*shorter than"))]
)
def test_python_bare(folder: Path, tmp_path: Path, seconds: float) -> None:
    song = write_audio(tmp_path / "song.flac", audio.read(demo.PATH, 44_100, seconds), 44_100)
    command = [sys.executable, EXAMPLES / "python-bare" / "tag.py", folder / "model.onnx", song]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    compare(answer, musiczoo.load(folder), song)


def test_python_bare_leaves_nothing_with_the_user(tmp_path: Path) -> None:
    model, song = write_model(tmp_path / "toy") / "model.onnx", write_audio(tmp_path / "song.flac", music(4))
    command = [sys.executable, EXAMPLES / "python-bare" / "tag.py", model, song]
    subprocess.run(command, capture_output=True, check=True, env=environment(tmp_path / "user"))
    assert files(tmp_path / "user") == []


def test_python_bare_does_without_musiczoo() -> None:
    assert "musiczoo" not in [
        line.split()[1].split(".")[0]
        for line in (EXAMPLES / "python-bare" / "tag.py").read_text().splitlines()
        if line.startswith(("import ", "from "))
    ]


@pytest.fixture(scope="session")
def script() -> Path:
    """The Node example beside its package, which npm fetches once."""
    if not (shutil.which("node") and shutil.which("npm")):
        missing("node and npm")
    PACKAGES.mkdir(parents=True, exist_ok=True)
    for name in ("tag.mjs", "folder.mjs", "package.json"):
        shutil.copyfile(EXAMPLES / "node" / name, PACKAGES / name)
    if not (PACKAGES / "node_modules" / "onnxruntime-node").is_dir():
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=PACKAGES, capture_output=True, text=True)
        if done.returncode:
            missing(f"onnxruntime-node, which npm cannot fetch: {done.stderr[-300:]}")
    return PACKAGES / "tag.mjs"


@pytest.mark.parametrize(
    "seconds", [10.5, pytest.param(1.0, marks=pytest.mark.filterwarnings("ignore:.*shorter than"))]
)
@pytest.mark.web
def test_node(script: Path, folder: Path, tmp_path: Path, seconds: float) -> None:
    model = musiczoo.load(folder)
    rate = model.card.sample_rate
    song = write_audio(tmp_path / "song.wav", audio.read(demo.PATH, rate, seconds), rate, "FLOAT")
    done = subprocess.run(["node", script, folder, song], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    compare(done.stdout, model, song)


@pytest.mark.web
def test_node_leaves_nothing_with_the_user(script: Path, toy_folder: Path, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "song.wav", music(4, CARD.sample_rate), CARD.sample_rate, "FLOAT")
    command = ["node", script, toy_folder, song]
    subprocess.run(command, capture_output=True, check=True, env=environment(tmp_path / "user"))
    assert files(tmp_path / "user") == []


@pytest.mark.web
def test_node_refuses_another_rate(script: Path, toy_folder: Path, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "song.wav", music(1, 44_100), 44_100, "FLOAT")
    done = subprocess.run(["node", script, toy_folder, song], capture_output=True, text=True)
    assert done.returncode
    assert f"mono, at {CARD.sample_rate} Hz" in done.stderr


@pytest.mark.web
def test_node_folder(script: Path, toy_folder: Path, toy: Model, tmp_path: Path) -> None:
    songs = ["a.wav", "b.WAV", "inner/c.wav"]
    (tmp_path / "songs" / "inner").mkdir(parents=True)
    for seed, name in enumerate(songs):
        write_audio(tmp_path / "songs" / name, music(4, CARD.sample_rate, seed=seed), CARD.sample_rate, "FLOAT")
    write_audio(tmp_path / "songs" / "inner" / "fast.wav", music(1, 44_100), 44_100, "FLOAT")
    (tmp_path / "songs" / "notes.txt").write_text("no song")
    command = ["node", script.with_name("folder.mjs"), toy_folder, tmp_path / "songs"]
    done = subprocess.run(command, capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["song"] for answer in answers] == [*songs, "inner/fast.wav"]
    for answer, name in zip(answers, songs, strict=False):
        compare(json.dumps(answer), toy, tmp_path / "songs" / name)
    assert f"mono, at {CARD.sample_rate} Hz" in answers[-1]["error"]
    assert done.returncode == 1
    assert "1 of 4 songs failed" in done.stderr
