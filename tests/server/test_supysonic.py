"""A real Subsonic server, from files to the answers that its plugins would get: supysonic, in a process of its own.

supysonic has relative paths, no logins with tokens, and returns nothing for a new playlist.
"""

import dataclasses
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("supysonic")
pytest.importorskip("waitress")
pytest.importorskip("mutagen")

import httpx
from serving import Server

from musiczoo.server.subsonic import Subsonic

SONGS = Path(__file__).parents[1] / "compatibility" / "data" / "songs"
USER, PASSWORD = "bob", "sésame & co"
PATIENCE_S = 60
CONFIG = "[base]\ndatabase_uri = sqlite:///{0}/s.db\n[webapp]\ncache_dir = {0}/cache\nlog_file =\n"

MAIN = "import sys; from supysonic.{0} import main; sys.argv[0] = 'supysonic'; sys.exit(main())"


class Supysonic:
    """A running supysonic with the songs of a folder."""

    def __init__(self, home: Path, music: Path) -> None:
        (home / "supysonic.conf").write_text(CONFIG.format(home))
        self._home = home
        self._environment = {**os.environ, "TMPDIR": str(home), "HOME": str(home)}
        self._run("user", "add", USER, "-p", PASSWORD)
        self._run("folder", "add", "Library", str(music))
        self._run("folder", "scan", "--foreground", "Library")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-c", MAIN.format("server"), "-S", "waitress", "-h", "127.0.0.1", "-p", str(port)]
        self.process = subprocess.Popen(
            command, cwd=home, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        last = time.monotonic() + PATIENCE_S
        while True:
            try:
                httpx.get(f"{self.url}/rest/ping", timeout=PATIENCE_S)
                return
            except httpx.TransportError:
                assert self.process.poll() is None
                assert time.monotonic() < last
                time.sleep(0.05)

    def _run(self, *words: str) -> None:
        command = [sys.executable, "-c", MAIN.format("cli"), *words]
        subprocess.run(
            command, cwd=self._home, env=self._environment, check=True, capture_output=True, timeout=PATIENCE_S
        )

    def ask(self, method: str, **parameters: str) -> Any:
        """Ask as a player of its own would."""
        login = {"u": USER, "p": PASSWORD, "v": "1.12.0", "c": "test", "f": "json"}
        answer = httpx.get(f"{self.url}/rest/{method}", params=login | parameters, timeout=PATIENCE_S)
        found = answer.json()["subsonic-response"]
        assert found["status"] == "ok", found
        return found


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six tagged songs and a file that is no audio."""
    return Path(shutil.copytree(SONGS, tmp_path_factory.mktemp("songs").resolve() / "music"))


@pytest.fixture(scope="module")
def supysonic(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supysonic]:
    server = Supysonic(tmp_path_factory.mktemp("supysonic"), music)
    yield server
    server.process.terminate()
    try:
        server.process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()


def musiczoo(*words: object, code: int = 0) -> Any:
    """Run a command of musiczoo with the password in the environment; return the JSON that it prints."""
    environment = {**os.environ, "MUSICZOO_SUBSONIC_PASSWORD": PASSWORD}
    command = [sys.executable, "-m", "musiczoo", *map(str, words), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


@pytest.fixture(scope="module")
def library(music: Path, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the songs, made by `musiczoo index`."""
    path = tmp_path_factory.mktemp("library").resolve() / "music.db"
    report = musiczoo("index", music, "--library", path, "--model", toy_folder)
    assert (report["added"], report["failed"]) == (6, 1)
    return path


@pytest.fixture(scope="module")
def synced(library: Path, supysonic: Supysonic) -> Any:
    """The report of `musiczoo library sync`."""
    return musiczoo("library", "sync", library, "--subsonic", supysonic.url, "--user", USER)


@pytest.fixture(scope="module")
def ids(supysonic: Supysonic) -> dict[str, str]:
    """Path below the music folder -> id, as supysonic itself tells them, page by page."""
    found = supysonic.ask("search3", query="", songCount="500", albumCount="0", artistCount="0")["searchResult3"][
        "song"
    ]
    return {song["path"]: song["id"] for song in found}


@pytest.fixture(scope="module")
def server(
    library: Path, synced: Any, serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """`musiczoo serve --sync`."""
    password = tmp_path_factory.mktemp("secret") / "password"
    password.write_text(PASSWORD + "\n")
    with serve(library, "--sync", "--password-file", password) as started:
        yield started


def test_sync_finds_every_id(synced: Any, library: Path, music: Path, ids: dict[str, str]) -> None:
    assert len(ids) == 6
    assert (synced["songs"], synced["tracks"], synced["matched"]) == (6, 6, 6)
    assert synced["rules"] == {"relative path": 6}
    assert synced["ambiguous"] == synced["unmatched"] == synced["missing"] == []
    (server,) = json.loads(Path(synced["file"]).read_text())["servers"].values()
    assert {song["id"]: song["path"] for song in server["songs"]} == {
        number: str(music / path) for path, number in ids.items()
    }
    assert {artist["name"] for artist in server["artists"]} == {"Anna", "Böhm", "Čapek"}
    assert PASSWORD not in Path(synced["file"]).read_text()


def test_the_report_has_the_fields_that_are_documented(synced: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    table = page.split("\n## musiczoo library sync\n")[1].split("\n## ")[0]
    names = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)))
    assert set(names) == set(synced)


def test_every_other_rule_finds_the_same(supysonic: Supysonic, library: Path, ids: dict[str, str], music: Path) -> None:
    """What supysonic says of a file is enough without its path: size and duration, or the names."""
    from musiczoo.library import Library
    from musiczoo.server.sync import match

    songs = list(Subsonic(supysonic.url, USER, PASSWORD).songs())
    with Library.open(library) as opened:
        tracks = list(opened.entries())
    expected = {number: str(music / path) for path, number in ids.items()}
    for rule, unknown in (("size and duration", {"path": None}), ("names", {"path": None, "size": None})):
        report = match([dataclasses.replace(song, **unknown) for song in songs], tracks)
        assert {found.song.id: found.path for found in report.matches} == expected
        assert {found.rule for found in report.matches} == {rule}
    container = [dataclasses.replace(song, path=f"/music/{song.path}") for song in songs]
    report = match(container, tracks, {"/music": str(music)})
    assert {found.song.id: found.path for found in report.matches} == expected
    assert {found.rule for found in report.matches} == {"path"}


def test_a_wrong_password_is_reported(supysonic: Supysonic, library: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong")
    words = ("library", "sync", library, "--subsonic", supysonic.url, "--user", USER)
    error = musiczoo(*words, "--password-file", tmp_path / "password", code=1)
    assert re.fullmatch(r"error: \S+/rest/ping: .*\(error 40\)\. Check user and password\.\n", error)


def test_plugins_get_the_ids_of_the_server(server: Server, ids: dict[str, str], supysonic: Supysonic) -> None:
    """Exactly the requests of Navidrome's plugin; each id that comes back is a song of supysonic."""
    one, other = ids["Anna/First/1.ogg"], ids["Capek/Third/6.ogg"]
    artist = supysonic.ask("getSong", id=one)["song"]["artistId"]
    ask = httpx.Client(base_url=server.url, timeout=10)  # what Navidrome grants
    similar = f"/api/similar_tracks?item_id={one}&n=10&eliminate_duplicates=true&radius_similarity=true"
    path = (
        f"/api/find_path?start_song_id={one}&end_song_id={other}&count=4&max_steps=4&path_fix_size=false&mood_pct=100"
    )
    artists = f"/api/similar_artists?artist={artist}&n=10&include_component_matches="
    found = {name: ask.get(url) for name, url in {
        "similar": similar, "path": path, "artists": f"{artists}false", "radio": f"{artists}true",
        "health": "/api/health", "tasks": "/api/active_tasks",
    }.items()}  # fmt: skip
    assert {name: answer.status_code for name, answer in found.items()} == dict.fromkeys(found, 200)
    songs = found["similar"].json()
    assert {song["item_id"] for song in songs} <= set(ids.values()) - {one}
    assert len(songs) == 5
    for song in songs:
        known = supysonic.ask("getSong", id=song["item_id"])["song"]
        assert (song["title"], song["author"], song["album"]) == (known["title"], known["artist"], known["album"])
        assert 0 <= song["distance"] <= 1
    steps = [song["item_id"] for song in found["path"].json()["path"]]
    assert (steps[0], steps[-1]) == (one, other)
    assert set(steps) <= set(ids.values())
    assert {artist["artist"] for artist in found["artists"].json()} == {"Böhm", "Čapek"}
    for similar_artist in found["radio"].json():
        known = supysonic.ask("getArtist", id=similar_artist["artist_id"])["artist"]
        assert known["name"] == similar_artist["artist"]
        (component,) = similar_artist["component_matches"]
        for key in ("artist1_representative_songs", "artist2_representative_songs"):
            assert {song["item_id"] for song in component[key]} <= set(ids.values())
            assert component[key]


def test_playlists_arrive_on_the_server(server: Server, ids: dict[str, str], supysonic: Supysonic) -> None:
    wanted = [ids["Capek/Third/5.flac"], ids["Anna/First/2.ogg"], ids["Bohm/Second/3.ogg"]]
    asked = {"playlist_name": "Evening", "track_ids": wanted}
    answer = httpx.post(f"{server.url}/api/create_playlist", json=asked, timeout=10)
    assert answer.status_code == 201, answer.text
    made = supysonic.ask("getPlaylist", id=answer.json()["playlist_id"])["playlist"]
    assert made["name"] == "Evening"
    assert [song["id"] for song in made["entry"]] == wanted

    # One that the page saves, and saves again under its name.
    rows = {Path(row["path"]).name: row["id"]
            for row in httpx.get(f"{server.url}/api/v1/tracks", timeout=10).json()["tracks"]}  # fmt: skip
    for names in (["1.ogg", "6.ogg"], ["6.ogg"]):
        saved = {"name": "Mine", "tracks": [rows[name] for name in names], "replace": True}
        answer = httpx.post(f"{server.url}/api/v1/playlists", json=saved, timeout=10)
        assert answer.status_code == 201, answer.text
        assert answer.json()["on_media_server"] == len(names)
        listed = supysonic.ask("getPlaylists")["playlists"]["playlist"]
        (number,) = [playlist["id"] for playlist in listed if playlist["name"] == "Mine"]
        entries = supysonic.ask("getPlaylist", id=number)["playlist"]["entry"]
        assert [Path(song["path"]).name for song in entries] == names


def test_many_songs_in_one_playlist(ids: dict[str, str], supysonic: Supysonic) -> None:
    songs = list(ids.values()) * 15
    number = Subsonic(supysonic.url, USER, PASSWORD).create_playlist("Long", songs)
    assert [song["id"] for song in supysonic.ask("getPlaylist", id=number)["playlist"]["entry"]] == songs


def test_serve_needs_a_sync_first(library: Path, tmp_path: Path, toy_folder: Path) -> None:
    copy = shutil.copy(library, tmp_path / "copy.db")
    command = [sys.executable, "-m", "musiczoo", "serve", str(copy), "--port", "0", "--sync"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert "musiczoo library sync" in done.stderr
