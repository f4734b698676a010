"""`musiczoo library sync` as people call it, against a server of our own; supysonic is in test_supysonic.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shelf
from fake_subsonic import API_KEY, PASSWORD, USER, FakeServer
from typer.testing import CliRunner, Result

from musiczoo.cli import app, sync
from musiczoo.server.sync import read_ids

Run = Callable[..., Result]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return shelf.write_library(tmp_path / "music.db", tmp_path / "music")


@pytest.fixture
def run(library: Path) -> Run:
    """Run `musiczoo library sync` on the twelve, with environment variables."""

    def call(*words: object, **environment: str) -> Result:
        runner = CliRunner(env={"COLUMNS": "200", sync.PASSWORD: "", sync.API_KEY: "", **environment})
        return runner.invoke(app, ["library", "sync", str(library), *map(str, words)])

    return call


def children(folder: Path, start: int = 0, stop: int = 12) -> list[dict[str, Any]]:
    """The twelve, as a server in a container has them."""
    paths = [path.relative_to(folder / "music") for path in shelf.paths(folder / "music")]
    return [
        {"id": f"s{i}", "title": shelf.SONGS[i][3], "artist": shelf.SONGS[i][0], "path": f"/data/{paths[i]}"}
        for i in range(start, stop)
    ]


def test_the_report_for_people(run: Run, library: Path, tmp_path: Path) -> None:
    odd = {"id": "x", "title": "Else\x1b[2J", "artist": "Nobody", "path": "/data/else.mp3"}
    with FakeServer([*children(tmp_path, 1), odd]) as server:
        words = ("--subsonic", server.url, "--user", USER, "--path-prefix", f"/data={tmp_path / 'music'}")
        result = run(*words, **{sync.PASSWORD: PASSWORD})
    assert result.exit_code == 0, result.output
    assert result.output.startswith("11 of 12 songs matched (11 by path); 12 tracks\n")
    assert "\x1b" not in result.output
    lines = {line.split("  ")[1].strip(): line for line in result.output.splitlines() if "not " in line}
    assert "Nobody – Else" in lines["not in the library"]
    assert shelf.paths(tmp_path / "music")[0].name in lines["not on the server"]
    (ids,) = read_ids(library).values()
    assert (ids.url, ids.user, len(ids.songs)) == (server.url, USER, 11)


def test_the_report_for_programs(run: Run, tmp_path: Path) -> None:
    """Without the prefix and the paths, two songs of one size and duration are ambiguous."""
    first = shelf.entries(tmp_path / "music")[0]
    twins = [{"id": f"t{i}", "size": first.size, "duration": round(first.duration_s), "artist": "A"} for i in range(2)]
    with FakeServer([*children(tmp_path, 4), *twins]) as server:
        (tmp_path / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
        words = ("--subsonic", server.url, "--user", USER, "--password-file", tmp_path / "password", "--json")
        result = run(*words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["songs"], found["tracks"], found["matched"], found["rules"]) == (10, 12, 0, {})
    none = {"title": None, "album": None, "path": None, "artist": "A", "rule": "size and duration"}
    assert found["ambiguous"] == [{"id": f"t{i}", "candidates": [first.path], **none} for i in range(2)]
    assert [song["id"] for song in found["unmatched"]] == [f"s{i}" for i in range(4, 12)]
    assert len(found["missing"]) == 11


def test_long_lists_are_cut(run: Run, tmp_path: Path) -> None:
    many = [{"id": f"x{i}", "title": f"Else {i}"} for i in range(30)]
    with FakeServer(many) as server:
        result = run("--subsonic", server.url, "--user", USER, **{sync.PASSWORD: PASSWORD})
    assert result.output.count("not in the library") == 21
    assert "10 more not in the library: see --json" in result.output


def test_an_api_key_in_place_of_a_user(run: Run, library: Path, tmp_path: Path) -> None:
    with FakeServer(children(tmp_path)) as server:
        result = run("--subsonic", server.url, **{sync.API_KEY: API_KEY})
    assert result.exit_code == 0, result.output
    assert read_ids(library)[server.url].user is None


def test_the_password_is_asked_for(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.prompt", lambda *_, **options: PASSWORD if options["hide_input"] else "")
    monkeypatch.setattr(sync.sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    with FakeServer(children(tmp_path)) as server:
        assert sync.log_in(server.url, USER).user == USER


def test_a_table(run: Run, library: Path, tmp_path: Path) -> None:
    rows = [f"{child['id']},{child['path']}" for child in children(tmp_path)]
    (tmp_path / "songs.csv").write_text("\n".join(["id,path", *rows]) + "\n", encoding="utf-8")
    result = run("--table", tmp_path / "songs.csv", "--path-prefix", f"/data={tmp_path / 'music'}")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("12 of 12 songs matched (12 by path); 12 tracks\n")
    (ids,) = read_ids(library).values()
    assert ids.url == (tmp_path / "songs.csv").as_uri()
    runner = CliRunner().invoke(app, ["serve", str(library), "--port", "0", "--sync"])
    assert runner.exit_code == 1
    assert "--subsonic" in runner.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Which songs?"),
        (["--subsonic", "http://127.0.0.1:9", "--table", "a.csv"], "Which songs?"),
        (["--subsonic", "http://127.0.0.1:9"], "Which user?"),
        (["--subsonic", "http://127.0.0.1:9", "--user", "anna"], "No password"),
        (["--subsonic", "http://127.0.0.1:9", "--user", "anna", "--password-file", "no-such-file"], "no-such-file"),
        (["--subsonic", "no address", "--user", "anna"], "Expected the address"),
        (["--subsonic", "http://127.0.0.1:9", "--user", "anna", "--path-prefix", "/music"], "SERVER=LOCAL"),
        (["--table", "no.csv"], "no.csv"),
    ],
)
def test_what_is_missing_or_malformed(run: Run, words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
