"""musiczoo calls nobody, and writes nowhere but where it is asked to.

Each program here runs as a new user's would: see `offline`. It loads a model, tags, indexes, searches, and idles.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from offline import environment, files, trace
from toy import music, write_audio

IDLE_S = float(os.environ.get("MUSICZOO_TEST_IDLE_S", "4"))
"""What sends events does so after a while. With 60: MUSICZOO_TEST_IDLE_S=60 pytest tests/test_offline.py"""

WORK = f"""
import time
import musiczoo
model = musiczoo.load("disentangled-classification")
model.analyze("music/a.flac")
library = musiczoo.Library.build(model, "music", path="music.db", progress=False)
library.search("music/a.flac", k=1)
time.sleep({IDLE_S})
"""

HOOK = """
import json, sys
EVENTS = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.")
def hook(event, args):
    if event.startswith(EVENTS):
        print(json.dumps([event, repr(args)]), file=sys.stderr, flush=True)
sys.addaudithook(hook)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two songs."""
    (tmp_path / "work" / "music").mkdir(parents=True)
    for i, name in enumerate(("a.flac", "b.wav")):
        write_audio(tmp_path / "work" / "music" / name, music(10 + i, 44100), 44100)
    return tmp_path / "work"


def test_no_file_is_left_with_the_user_and_python_opens_no_socket(folder: Path, tmp_path: Path) -> None:
    user = tmp_path / "user"
    done = subprocess.run(
        [sys.executable, "-c", HOOK + WORK],
        cwd=folder,
        env=environment(user),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert files(user) == []
    assert {path.name for path in files(folder) if not path.name.startswith("music.db")} == {"a.flac", "b.wav"}


@pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")
@pytest.mark.parametrize("program", ["library", "tag", "index"])
def test_nothing_is_called_and_nothing_is_written_elsewhere(folder: Path, tmp_path: Path, program: str) -> None:
    """All threads and processes, native code as well."""
    user = tmp_path / "user"
    command = {
        "library": [sys.executable, "-c", WORK],
        "tag": [sys.executable, "-m", "musiczoo", "tag", "music/a.flac", "music/b.wav"],
        "index": [sys.executable, "-m", "musiczoo", "index", "music", "--library", "music.db"],
    }[program]
    traced = trace(command, environment(user), folder, tmp_path / "strace.log")
    assert traced.calls == []
    assert [
        path for path in traced.written if not path.is_relative_to(folder) and not path.is_relative_to(user / "tmp")
    ] == []
    assert files(user) == []


@pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")
def test_what_is_called_and_written_would_be_seen(tmp_path: Path) -> None:
    work, user = tmp_path / "work", tmp_path / "user"
    work.mkdir()
    code = (
        "import os, pathlib, socket, sqlite3\n"
        "socket.socket().connect_ex(('127.0.0.1', 9))\n"
        "pathlib.Path.home().joinpath('.app').mkdir()\n"
        "sqlite3.connect(pathlib.Path.home() / '.app' / 'events.db').execute('create table a (b)')\n"
        "os.rename(pathlib.Path.home() / '.app' / 'events.db', 'moved.db')\n"
    )
    traced = trace([sys.executable, "-c", code], environment(user), work, tmp_path / "strace.log")
    assert any("127.0.0.1" in call for call in traced.calls)
    assert {user / "home" / ".app", user / "home" / ".app" / "events.db", work / "moved.db"} <= set(traced.written)


def test_a_users_own_setting_stays(tmp_path: Path) -> None:
    ask = "import os, musiczoo; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, expected in (({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")):
        env = environment(tmp_path / expected) | given
        done = subprocess.run([sys.executable, "-c", ask], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
