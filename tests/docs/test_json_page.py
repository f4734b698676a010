"""docs/reference/json.md: its tables name the fields that the commands print."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json.md"

COMMANDS = {
    "tag": "song.mp3 --excerpts 1",
    "search": "music.db song.mp3 -k 1",
    "path": "music.db a.mp3 b.mp3 -k 2",
    "artists": "music.db 'Artist 0' -k 1",
    "albums": "music.db 'Album 0' -k 1",
    "index": "Music --library music.db",
    "library stats": "music.db",
    "library failures": "music.db",
    "library verify": "music.db",
    "models": "",
    "data list": "",
    "data check": "folder --root Music --quick",
}

SOMETIMES = {"library stats": {"source"}}
"""Fields that are printed only where they apply."""


def fields(command: str) -> set[str]:
    """The fields of a command's table."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## musiczoo {command}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("command", COMMANDS)
def test_table_names_the_fields(command: str, reader: Path) -> None:
    if command == "library failures":
        (reader / "Music" / "broken.mp3").write_bytes(b"no music")
        subprocess.run(["musiczoo", "index", "Music", "--library", "music.db"], check=True, capture_output=True)
    words = [*command.split(), *shlex.split(COMMANDS[command])]
    done = subprocess.run(["musiczoo", *words, "--json"], check=True, capture_output=True, text=True)
    printed = json.loads(done.stdout.splitlines()[0])
    printed = set(printed) - ({"duplicates"} if command == "search" else set())
    assert printed | SOMETIMES.get(command, set()) == fields(command)


def test_every_command_with_json_has_a_table() -> None:
    listed = set(re.findall(r"^## musiczoo (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {*COMMANDS, "evaluate", "library sync"}  # the latter: tests/server/test_supysonic.py
