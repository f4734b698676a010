"""A folder like that of a reader: recordings, music, and a library of it."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from musiczoo import demo

sys.path.append(str(Path(__file__).parent))

SECONDS = 18
TAGS = ("mood:for dinner", "mood:for running; instrument:cello", "instrument:cello", "mood:for running")
SPLITS = [*["train"] * 8, *["validation"] * 2, *["test"] * 2]


def _recording(number: int) -> tuple[np.ndarray, int]:
    """One of several recordings that differ in tempo and pitch."""
    samples, rate = soundfile.read(demo.PATH, dtype="float32", always_2d=True)
    start = number * rate
    part = samples[start : start + SECONDS * rate]
    return soxr.resample(part, rate, rate * (1 - 0.06 * number) if number % 2 else rate * (1 + 0.05 * number)), rate


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """song.mp3, a.mp3, b.mp3, c.mp3, song.ogg, other.ogg; Music with twelve tracks and tags.csv; music.db."""
    import mutagen

    import musiczoo

    folder = tmp_path_factory.mktemp("reader")
    (folder / "Music").mkdir()
    for number, name in enumerate(("song.mp3", "a.mp3", "b.mp3", "c.mp3", "song.ogg", "other.ogg")):
        soundfile.write(folder / name, *_recording(number % 4))
    rows = ["path,tags,split"]
    for number in range(12):
        path = folder / "Music" / f"{number}.mp3"
        soundfile.write(path, *_recording(number))
        tags = mutagen.File(path, easy=True)
        tags["artist"], tags["album"] = f"Artist {number // 4}", f"Album {number // 2}"
        tags["title"], tags["date"] = f"Title {number}", str(1990 + number)
        tags.save()
        rows.append(f"{path.name},{TAGS[number % 4]},{SPLITS[number]}")
    (folder / "Music" / "tags.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    with musiczoo.Library.build("disentangled-classification", folder / "Music", path=folder / "music.db"):
        pass
    return folder


@pytest.fixture
def reader(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder: working folder, home, and where published models go."""
    home = tmp_path / "home"
    shutil.copytree(music, home)
    monkeypatch.chdir(home)
    for name, value in {"HOME": home, "MUSICZOO_HOME": home / ".musiczoo", "TF_CPP_MIN_LOG_LEVEL": 3}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    return home
