"""A folder like that of a reader: recordings, music, and a library of it."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import warm

from musiczoo import demo

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "models")]

SECONDS = 18
TAGS = ("mood:for dinner", "mood:for running; instrument:cello", "instrument:cello", "mood:for running")
SPLITS = [*["train"] * 8, *["validation"] * 2, *["test"] * 2]


def _recording(number: int, mono: bool = True) -> tuple[np.ndarray, int]:
    """One of several recordings that differ in tempo and pitch; of one channel where MP3 would take long to encode."""
    samples, rate = soundfile.read(demo.PATH, dtype="float32", always_2d=True)
    start = number * rate
    part = samples[start : start + SECONDS * rate]
    part = part.mean(axis=1) if mono else part
    return soxr.resample(part, rate, rate * (1 - 0.06 * number) if number % 2 else rate * (1 + 0.05 * number)), rate


def _track(number: int) -> tuple[np.ndarray, int]:
    """One of twelve: eight recordings, and four that begin as song.mp3 and end as b.mp3, so that they lie between.

    They differ in length: otherwise their common parts would make them one recording.
    """
    if number < 8:
        return _recording(number)
    (start, rate), (end, _) = _recording(0), _recording(2)
    share = (number - 7) / 5
    middle, length = int(len(end) * share), int(len(end) * (1.1 - share / 2))
    return np.concatenate([start[:middle], end[middle:length]]), rate


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """song.mp3, a.mp3, b.mp3, c.mp3, song.ogg, other.ogg; Music with twelve tracks and tags.csv; music.db."""
    import mutagen

    import musiczoo

    folder = tmp_path_factory.mktemp("reader")
    (folder / "Music").mkdir()
    for number, name in enumerate(("song.mp3", "a.mp3", "b.mp3", "c.mp3", "song.ogg", "other.ogg")):
        soundfile.write(folder / name, *_recording(number % 4, mono=name.endswith(".mp3")))
    rows = ["path,tags,split"]
    for number in range(12):
        path = folder / "Music" / f"{number}.mp3"
        soundfile.write(path, *_track(number))
        tags = mutagen.File(path, easy=True)
        tags["artist"], tags["album"] = f"Artist {number // 4}", f"Album {number // 2}"
        tags["title"], tags["date"] = f"Title {number}", str(1990 + number)
        tags.save()
        rows.append(f"{path.name},{TAGS[number % 4]},{SPLITS[number]}")
    (folder / "Music" / "tags.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    # By one worker, so that the ids that pages name are always those of the same tracks.
    with musiczoo.Library.build("disentangled-classification", folder / "Music", path=folder / "music.db", workers=1):
        pass
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of training: a small model, one epoch, on noise that is loud or quiet."""
    from rich.console import Console
    from tiny_run import few_blocks

    from musiczoo.datasets import folder
    from musiczoo.datasets.prepare import prepare
    from musiczoo.models.frontend import data_front_end
    from musiczoo.models.recipe import Recipe
    from musiczoo.models.trainer import train

    root = tmp_path_factory.mktemp("run")
    for i in range(40):
        path = root / "music" / ("loud" if i % 2 else "quiet") / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).normal(0, 0.1 if i % 2 else 0.01, 3 * 22_050)
        soundfile.write(path, noise, 22_050)
    quiet = Console(quiet=True)
    data = prepare(folder.load(root / "music"), root / "data", data_front_end(), console=quiet).root
    with few_blocks():
        train(Recipe("classification", width=16, batch=8, epochs=1), data, root / "run", console=quiet)
    return root / "run"


@pytest.fixture(autouse=True)
def eager(request: pytest.FixtureRequest) -> Iterator[None]:
    """The few steps of an example are not traced."""
    if request.node.get_closest_marker("train") is None:
        yield
        return
    from tiny_run import eagerly

    with eagerly():
        yield


@pytest.fixture
def reader(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder: working folder, home, and where published models go."""
    home = tmp_path / "home"
    shutil.copytree(music, home)
    monkeypatch.chdir(home)
    for name, value in {"HOME": home, "MUSICZOO_HOME": home / ".musiczoo", "TF_CPP_MIN_LOG_LEVEL": 3}.items():
        monkeypatch.setenv(name, str(value))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "musiczoo").write_text(f'#!/bin/sh\nexec {shlex.join(warm.command("-m", "musiczoo"))} "$@"\n')
    (programs / "musiczoo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{Path(sys.executable).parent}", prepend=":")
    return home
