"""`musiczoo map`: the page, and the messages."""

import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import plain, run
from toy import CARD

from musiczoo.library.database import Database
from musiczoo.library.records import Entry, LibraryConfig


@pytest.fixture
def library_path(tmp_path: Path) -> Path:
    """A library of five tracks whose files are not there."""
    random = np.random.default_rng(0)
    with Database.create(tmp_path / "my music.db", LibraryConfig.from_card(CARD)) as database:
        for i in range(5):
            vector = random.standard_normal(256).astype(np.float32)
            tags = random.random(50, np.float32)
            database.add(Entry(str(tmp_path / f"{i}.mp3"), 1, 1, f"{i:032x}", 60.0, 1, vector, tags))
    return tmp_path / "my music.db"


def test_writes_a_page(library_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.html"
    result = run("map", library_path, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{out}: 5 tracks, ")
    assert "<title>Map of my music.db</title>" in out.read_text(encoding="utf-8")


def test_says_how_many_are_left_out(library_path: Path, tmp_path: Path) -> None:
    result = run("map", library_path, "--out", tmp_path / "map.html", "--limit", 2)
    assert result.exit_code == 0, result.output
    assert "warning: 2 of 5 tracks are drawn" in result.stderr


def test_mistakes_are_one_line(library_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "map.html"
    for arguments, words in (
        (["map", tmp_path / "no.db", "--out", out], "musiczoo index"),
        (["map", library_path, "--out", out, "--method", "tsen"], "Did you mean 'tsne'?"),
        (["map", library_path, "--out", tmp_path], "folder"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
        assert words in result.stderr
    assert run("map", library_path, "--out", out, "--limit", 0).exit_code == 2
    assert run("map", library_path).exit_code == 2
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "musiczoo.library.map.page", raising=False)
    assert "musiczoo[library]" in plain(run("map", library_path, "--out", out).stderr)
    assert not out.exists()
