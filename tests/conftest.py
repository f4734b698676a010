"""Tiers of tests, and shared fixtures, made with `toy`.

A test is in the tier of `make check` unless it is marked:

- ``slow``: by its folder, see `SLOW`.
- ``train``: needs TensorFlow. The module says so, ``pytestmark = pytest.mark.train``, or the test does. What forgets to
  fails in `make check`, where ``--no-tensorflow`` hides TensorFlow.
- ``web``: needs Chromium, Node, npm or a C++ compiler.
- ``scale``: needs a cluster or a database.
"""

import builtins
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import kept
import pytest
import soundfile
import warm
from files import make
from needs import missing
from toy import RATE, encoded, write_model

import musiczoo
from musiczoo._files import atomic_file
from musiczoo.registry import HOME_VARIABLE

# Tests see only the package's own models, and write none to the user's home folder.
os.environ[HOME_VARIABLE] = str(Path(__file__).parent / "no-such-home")
# No deadline for examples: the machine may be busy.
hypothesis.settings.register_profile("musiczoo", deadline=None)
hypothesis.settings.load_profile("musiczoo")

LARGE = 2**26
"""Bytes of a file that is made again each time."""

SLOW = (
    "audio/test_odd_files.py",
    "colab/",
    "datasets/rendered_music/",
    "docs/test_docstrings.py",
    "docs/test_json_page.py",
    "docs/test_pages.py",
    "examples/",
    "export/test_musicnn.py",
    "export/test_published_heads.py",
    "export/test_tensor_bundle.py",
    "faults/",
    "fuzz/",
    "library/test_crashes.py",
    "library/test_interruptions.py",
    "library/test_recordings.py",
    "scale/test_write_part.py",
    "server/test_openapi.py",
    "server/test_serve.py",
    "server/test_supysonic.py",
    "test_beets.py",
    "test_offline.py",
    "test_package.py",
)
"""Folders and files whose tests run notebooks, pages or examples, start servers and other programs, build wheels or
networks, render music or speech, trace system calls, inject faults, make damaged files by the dozen or fuzz."""

TENSORFLOW = ("tensorflow", "keras", "tf2onnx")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-tensorflow", action="store_true", help="run as if TensorFlow were not installed")


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(*warm.GARBAGE)
    if not hasattr(config, "workerinput"):  # with xdist, this process starts the workers
        warm.share()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; tests of Ctrl-C would hang
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("no_tensorflow"):
        sys.modules.update(dict.fromkeys(TENSORFLOW))  # their import fails; importorskip skips the module in no time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = tuple(f"tests/{name}" for name in SLOW)
    for item in items:
        if item.nodeid.startswith(slow):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a toy model with a proper card."""
    return write_model(tmp_path_factory.mktemp("zoo") / "toy")


@pytest.fixture(scope="session")
def toy(toy_folder: Path) -> musiczoo.Model:
    """The toy model, loaded."""
    return musiczoo.load(toy_folder)


@pytest.fixture
def song(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a file: ``song("a.flac", seconds=10, rate=44100, channels=2)``."""

    def make(name: str = "song.wav", seconds: float = 10, rate: int = RATE, channels: int | None = None) -> Path:
        path = tmp_path / name
        path.write_bytes(encoded(path.suffix, seconds, rate, channels))
        return path

    return make


@pytest.fixture(scope="session")
def odd_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that returns a file of `files.make` by its name: ``odd_file("chained.ogg")``.

    To encode all takes long, so they are kept in the folder ``build`` for the next time.
    """
    folder = tmp_path_factory.mktemp("files")
    tools = [shutil.which(tool) for tool in sorted({tool for entry in make.FILES.values() for tool in entry.tools})]
    rule = [Path(make.__file__).read_bytes(), soundfile.__libsndfile_version__]
    rule += [(tool, os.stat(tool).st_size, os.stat(tool).st_mtime_ns) for tool in tools if tool]
    there = kept.folder("files", *rule)
    there.mkdir(parents=True, exist_ok=True)

    def made(name: str) -> Path:
        path, entry = folder / name, make.FILES[name]
        if (there / name).exists():
            return there / name
        if not path.exists():
            for tool in entry.tools:
                if shutil.which(tool) is None:
                    missing(tool)
            entry.make(path)
            if path.stat().st_size < LARGE:
                with atomic_file(there / name) as file:
                    file.write(path.read_bytes())
        return path

    return made


@pytest.fixture
def no_av(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if PyAV were not installed."""
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "av":
            raise ImportError("No module named 'av'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
