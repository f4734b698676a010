"""`musiczoo serve` as a process: its signals, its token, and a folder that it watches."""

import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import shelf
from asking import BEARER, TOKEN
from serving import PATIENCE_S, Server, command
from toy import music, write_audio

from musiczoo.cli.serve import _listen
from musiczoo.library import Library
from musiczoo.library.database import Database

Start = Callable[..., Server]


@pytest.fixture
def copy(shelves: Path, tmp_path: Path) -> Path:
    """A copy of the library, beside which a server may write."""
    return Path(shutil.copy(shelves / "music.db", tmp_path))


def test_it_answers_until_it_is_told_to_end(serve: Start, copy: Path, shelves: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with serve(copy, "--token-file", tmp_path / "token", "--playlists", tmp_path) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{server.url}/api/v1/tracks").status_code == 401
        found = httpx.post(f"{server.url}/api/v1/search", json={"seeds": [1], "k": 3}, headers=BEARER)
        assert len(found.json()["hits"]) == 3
        part = httpx.get(f"{server.url}/api/v1/tracks/3/audio", headers=BEARER | {"range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, shelf.paths(shelves / "music")[2].read_bytes()[10:20])
        for code in ("x", "%2e%2e/%2e%2e/etc/passwd", "..%2fmusic.db"):
            assert httpx.get(f"{server.url}/{code}", headers=BEARER).status_code == 404
        assert server.stop(signal.SIGTERM) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order(serve: Start, copy: Path, tmp_path: Path, number: int) -> None:
    """A request in progress is answered, and no connection is accepted any more."""
    song = write_audio(tmp_path / "long.wav", music(400, seed=1), 22050)
    with serve(copy, "--watch", tmp_path) as server:
        wait_for(lambda: httpx.get(f"{server.url}/api/v1/tracks?q=long").json()["total"] == 1)
        found = httpx.get(f"{server.url}/api/v1/tracks?q=long").json()["tracks"][0]
        assert found["path"] == str(song.resolve())
        connection = connected(server)
        connection.request("GET", f"/api/v1/tracks/{found['id']}/tags-over-time")
        assert server.stop(number)[0] == 0
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(json.loads(answer.read())["times_s"]) == 133
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url)


def test_it_does_not_wait_for_long_analyses(serve: Start, copy: Path, tmp_path: Path) -> None:
    """A recording of 69 hours, which takes many minutes; its file is sparse."""
    song = tmp_path.resolve() / "long.wav"
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 2 * 10**9 + 36, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8,
                         b"data", 2 * 10**9)  # fmt: skip
    song.write_bytes(header)
    os.truncate(song, 2 * 10**9 + len(header))
    with Database.open(copy, write=True) as database:
        database.write("UPDATE tracks SET path = ? WHERE id = 1", [str(song)])
    with serve(copy) as server:
        connection = connected(server)
        connection.request("GET", "/api/v1/tracks/1/tags-over-time")
        assert server.stop()[0] == 0


def test_it_indexes_what_arrives(serve: Start, copy: Path, shelves: Path, tmp_path: Path) -> None:
    folder = tmp_path / "arriving"
    folder.mkdir()
    write_audio(folder / "first.flac", music(4, seed=1), 22050)
    with serve(copy, "--watch", folder) as server:

        def tracks() -> list[str]:
            found = httpx.get(f"{server.url}/api/v1/tracks?limit=100").json()["tracks"]
            return [Path(track["path"]).name for track in found[12:]]

        wait_for(lambda: tracks() == ["first.flac"])
        (folder / "album").mkdir()
        write_audio(folder / "album" / "second.flac", music(4, seed=2), 22050)
        wait_for(lambda: tracks() == ["first.flac", "second.flac"])
        (folder / "first.flac").unlink()
        wait_for(lambda: tracks() == ["second.flac"])
        code, error = server.stop()
    assert code == 0
    # The server may end before the last run of the index has said what it did.
    assert error.splitlines()[:2] == ["WARNING:  Indexed: 1 added"] * 2
    with Library.open(copy) as library:
        assert len(library) == 13


def connected(server: Server) -> http.client.HTTPConnection:
    """A connection that the server has accepted: what is sent on it before a signal arrives before the signal."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=PATIENCE_S)
    connection.request("GET", "/api/v1/health")
    assert connection.getresponse().read()
    return connection


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def failing(*words: Any) -> str:
    """Run a command that fails at once; return its error line."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_other_machines_need_a_token(copy: Path) -> None:
    line = failing(*command(copy, "--host", "0.0.0.0"))
    assert line.startswith("error: Other machines can reach the address '0.0.0.0', so requests need a token.")


def test_a_port_in_use(copy: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = failing(*command(copy, "--port", port))
    assert line == f"error: Cannot listen on '127.0.0.1', port {port}: Address already in use. Choose another --port."


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_answers_do_not_wait_for_confirmations(host: str) -> None:
    """Nagle's algorithm would hold back the body of an answer until the client confirms its headers: 40 ms."""
    with _listen(host, 0) as listener, socket.create_connection(listener.getsockname()[:2], PATIENCE_S):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_folders_that_do_not_exist(copy: Path, tmp_path: Path) -> None:
    assert "No such folder" in failing(*command(copy, "--playlists", tmp_path / "none"))
    assert str(tmp_path / "none") in failing(*command(copy, "--watch", tmp_path / "none"))
    assert "No such library" in failing(*command(tmp_path / "none.db"))
