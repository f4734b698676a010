"""What `data/` holds, brought to a folder of the test's own, and how answers of today are compared with it."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from musiczoo.cli import app

DATA = Path(__file__).parent / "data"
SONGS = ("Anna/First/1.ogg", "Anna/First/2.ogg", "Bohm/Second/3.ogg", "Bohm/Second/4.ogg", "Capek/Third/5.flac",
         "Capek/Third/6.ogg")  # fmt: skip
TOLERANCE = 1e-5
"""Of probabilities and cosines: another processor rounds otherwise."""

TEXTS = {"error", "reason", "warning", "warnings", "what", "remedy", "labels", "engine_because", "bibtex"}
"""Keys of sentences for people, which may be rewritten."""

VOLATILE = {"seconds", "failed_at", "bytes", "loaded", "path", "root", "parts", "mtime_ns"}
"""Keys of what differs from run to run or folder to folder; tests compare paths themselves, where they matter."""

RESAMPLED = {"interval"}
"""Keys of confidence intervals: another generator of random numbers draws others."""


def load(name: str) -> Any:
    """A JSON file of the data."""
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def run_text(*args: object, code: int = 0) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, (args, result.output, result.exception)
    return result.stdout


def run(*args: object, code: int = 0) -> Any:
    """What a command prints as JSON: an object, or a list where it prints several lines."""
    lines = [json.loads(line) for line in run_text(*args, code=code).splitlines()]
    return lines[0] if len(lines) == 1 else lines


def check(found: Any, expected: Any, key: str = "") -> None:
    """Whether an answer still has all that the golden one has: keys may be added, numbers differ by `TOLERANCE`."""
    if key in VOLATILE:
        assert type(found) is type(expected), key
    elif key in TEXTS:
        assert bool(found) == bool(expected), key
    elif key in RESAMPLED:
        assert found is None or len(found) == 2, key
    elif isinstance(expected, dict):
        assert expected.keys() <= found.keys(), key
        for name, value in expected.items():
            check(found[name], value, name)
    elif isinstance(expected, list):
        assert len(found) == len(expected), key
        for one, other in zip(found, expected, strict=True):
            check(one, other, key)
    elif isinstance(expected, float):
        assert abs(found - expected) <= TOLERANCE, (key, found, expected)
    else:
        assert found == expected, key


def copy(name: str, folder: Path) -> Path:
    """A file or folder of the data, in a folder that may be written to."""
    source = DATA / name
    return Path(shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder))


def unpack(name: str, folder: Path) -> Path:
    """An archive of the data, unpacked into a folder of its name."""
    with zipfile.ZipFile(DATA / f"{name}.zip") as archive:
        for member in archive.namelist():
            path = folder / name / member
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))
    return folder / name


def prepared(folder: Path) -> Path:
    """The prepared data set, with the songs as its audio."""
    root = copy("prepared", folder)
    (root / "audio").mkdir()
    for track, song in zip(load("prepared/index.json")["tracks"], SONGS, strict=True):
        shutil.copy(DATA / "songs" / song, root / "audio" / track["audio"])
    return root
