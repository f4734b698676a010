"""Text from files is printed as it is, without control characters for the terminal."""

import io
from pathlib import Path

from rich.console import Console
from typer.testing import CliRunner

from musiczoo.cli import app
from musiczoo.cli._console import printable
from musiczoo.cli.tables import hit_table
from musiczoo.library.search import Hit

EVIL = "\x1b]0;renamed\x07\x1b[2J\x9b31m[red]"


def test_controls_become_marks() -> None:
    assert printable("a\x1b[31mb\rc\x9bd\x7f") == "a\ufffd[31mb\ufffdc\ufffdd\ufffd"
    assert printable("caf\udce9 \u266b\n\tx") == "caf\ufffd \u266b\n\tx"


def test_titles_do_not_control_the_terminal() -> None:
    hit = Hit("/a/b.mp3", 1.0, {"genre": 1.0}, ("rock" + EVIL,), title="T" + EVIL, artist=EVIL)
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None, width=200).print(hit_table([hit]))
    assert "\x07" not in out.getvalue()
    assert "\x1b" not in out.getvalue()
    assert "[red]" in out.getvalue()


def test_errors_do_not_either(tmp_path: Path) -> None:
    (tmp_path / f"a{EVIL}.mp3").write_bytes(b"no music")
    for arguments in (["tag", str(tmp_path / f"a{EVIL}.mp3")], ["library", "stats", f"a{EVIL}"]):
        done = CliRunner().invoke(app, arguments, color=True)
        assert done.exit_code == 1
        assert "\x1b" not in done.output
        assert "renamed" in done.output
