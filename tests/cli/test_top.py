"""Behaviour that all commands share: help, errors, exit codes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import Song, plain, run

import musiczoo
from musiczoo import cli
from musiczoo.cli import app


def _helps(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of every command and group, as lists of words."""
    yield words
    for name, child in getattr(command, "commands", {}).items():
        yield from _helps(child, (*words, name))


BANNED = re.compile(
    r"<bool>|<list|\b(hears?|heard|hearing|listens?|listened|received|figures?|acquit|suspects?|pieces?|whatever)\b"
    r"|becomes? of|goes on from|told (apart|from)|under way|so many|of its own|of one's own",
    re.IGNORECASE,
)
"""Words that our documentation does not use, and types that help does not show."""


@pytest.mark.parametrize("words", list(_helps(typer.main.get_command(app))), ids=" ".join)
def test_help_is_plain_and_has_an_example(words: tuple[str, ...]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    text = " ".join(plain(result.stdout).split())
    assert BANNED.search(text) is None
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    assert getattr(command, "commands", None) or f"Example: musiczoo {' '.join(words)}" in text
    assert "( )" not in text
    assert "()" not in text


def test_version() -> None:
    assert run("--version").stdout == f"{musiczoo.__version__}\n"


def test_no_command_prints_the_help() -> None:
    assert "Commands" in run().output


@pytest.mark.parametrize(
    "command",
    [["train", "--data", "x", "--out", "y"], ["export", "x", "--out", "y"]],
    ids=lambda command: command[0],
)
def test_missing_training_stack_is_one_line_that_names_the_extra(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorflow", "keras", "tf2onnx"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith(("musiczoo.models", "musiczoo.export"))]:
        monkeypatch.delitem(sys.modules, name)
    result = run(*command)
    assert result.exit_code == 1
    assert "musiczoo[train]" in result.stderr
    assert result.stderr.count("\n") == 1


def test_import_without_onnx_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    for name in [name for name in sys.modules if name.startswith("musiczoo.export")]:
        monkeypatch.delitem(sys.modules, name)
    result = run("import", "musicnn", "--wheel", "x.whl")
    assert result.exit_code == 1
    assert "'onnx'" in result.stderr
    assert "musiczoo[import]" in result.stderr


def test_unknown_data_set_lists_those_there_are(tmp_path: Path) -> None:
    result = run("data", "prepare", "open_musik", "--out", tmp_path)
    assert result.exit_code == 1
    assert "Did you mean 'open_music'?" in result.stderr


@pytest.mark.parametrize("command", [["data", "label", "{}", "--teacher", "x"], ["evaluate", "--data", "{}"]])
def test_folder_that_is_no_data_set_is_one_line(command: list[str], tmp_path: Path) -> None:
    result = run(*[part.format(tmp_path) for part in command])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Expected a prepared data set")
    assert result.stderr.count("\n") == 1


def test_interrupt_exits_130_without_a_traceback(toy_folder: Path, song: Song, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(musiczoo.Model, "analyze_many", interrupted)
    result = run("tag", song(), "--model", toy_folder)
    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_bar_never_enters_the_output(toy_folder: Path, song: Song) -> None:
    """With a terminal as stderr and a file as stdout, JSON goes to the file and the bar to the terminal."""
    import pty

    paths = [str(song(f"{i}.wav")) for i in range(3)]
    terminal, stderr = pty.openpty()
    command = [sys.executable, "-m", "musiczoo", "tag", *paths, "--model", str(toy_folder), "--json"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, "TERM": "xterm"}, check=True
    )
    os.close(stderr)
    seen = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == paths
    assert "Tagging" in seen
    assert '"tags"' not in seen


def test_no_memory_outside_of_a_command_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Printing an error may need memory, too."""

    def full(**_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    monkeypatch.setattr(cli, "app", full)
    monkeypatch.setattr(cli._console, "prepare_streams", lambda: None)
    monkeypatch.setattr(cli._console, "limit_threads", lambda: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: Cannot allocate memory")
