"""The command line: output for people and programs, exit codes, and what a failure looks like."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy import CARD, music, toy_answer, write_audio
from typer.testing import CliRunner

import musiczoo
from musiczoo import audio, demo, taxonomy
from musiczoo.cli import app
from musiczoo.cli.defaults import DEFAULT_MODEL
from musiczoo.datasets.store import Store, TrackEntry
from musiczoo.registry import HOME_VARIABLE

Song = Callable[..., Path]

COMMANDS = [
    ["tag"], ["demo"], ["models"], ["import", "musicnn"], ["data", "prepare"], ["data", "label"], ["train"],
    ["evaluate"], ["export"], ["publish"],
]  # fmt: skip


def run(*args: object, **env: str) -> Any:
    return CliRunner(env={"COLUMNS": "120", **env}).invoke(app, [str(arg) for arg in args])


def records(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def plain(text: str) -> str:
    """Help text without the frame and the line breaks that a narrow terminal makes."""
    return " ".join(re.sub(r"[│╭╮╰╯─]|\x1b\[[0-9;]*m", " ", text).split())


@pytest.fixture
def home(toy_folder: Path, tmp_path: Path) -> Path:
    """A home whose zoo holds the toy model."""
    (tmp_path / "home" / "zoo").mkdir(parents=True)
    (tmp_path / "home" / "zoo" / "toy").symlink_to(toy_folder)
    return tmp_path / "home"


# === musiczoo tag ===


def test_json_is_one_object_with_every_tag(toy_folder: Path, song: Song) -> None:
    path = song(seconds=7)
    result = run("tag", path, "--model", toy_folder, "--json")
    assert result.exit_code == 0, result.output
    (record,) = records(result)
    assert list(record) == ["path", "model", "duration_s", "tags", "above_threshold", "dimensions"]
    assert record["path"] == str(path)
    assert record["model"] == "toy"
    assert record["duration_s"] == 7
    excerpts = audio.read(path, CARD.sample_rate)[: 2 * CARD.excerpt_samples].reshape(2, -1)
    expected = toy_answer(excerpts)[1].mean(axis=0)
    assert list(record["tags"]) == list(taxonomy.TAGS)
    assert list(record["tags"].values()) == pytest.approx(expected.tolist(), abs=1e-5)
    above = [tag for tag, p in zip(taxonomy.TAGS, expected, strict=True) if p >= 0.5]
    assert set(record["above_threshold"]) == set(above)
    assert list(record["dimensions"]) == list(taxonomy.DIMENSIONS)
    flat = {tag: p for tags in record["dimensions"].values() for tag, p in tags.items()}
    assert flat == record["tags"]


def test_bad_files_do_not_stop_the_others(toy_folder: Path, song: Song, tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("not music")
    paths = [tmp_path / "missing.wav", song("a.wav"), tmp_path, text, song("b.flac")]
    result = run("tag", *paths, "--model", toy_folder, "--json")
    assert result.exit_code == 1
    got = records(result)
    assert [record["path"] for record in got] == [str(path) for path in paths]
    assert [set(record) == {"path", "error"} for record in got] == [True, False, True, True, False]
    assert "folder" in got[2]["error"]
    assert result.stderr == ""


def test_table_shows_the_likeliest_tags_of_each_dimension(toy_folder: Path, song: Song) -> None:
    path = song("a [bold]name $x$.wav", seconds=65)
    result = run("tag", path, "--model", toy_folder, "--top", 2)
    assert result.exit_code == 0, result.output
    assert "a [bold]name $x$.wav  1:05" in result.stdout
    (record,) = records(run("tag", path, "--model", toy_folder, "--json"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert len(rows) == 8
    for (dimension, tags), pair in zip(
        record["dimensions"].items(), [rows[i : i + 2] for i in (0, 2, 4, 6)], strict=True
    ):
        best = sorted(tags, key=lambda tag: -tags[tag])[:2]
        marked = [f"{tag} *" if tag in record["above_threshold"] else tag for tag in best]
        assert [row[0] for row in pair] == [dimension, ""]
        assert [row[1] for row in pair] == marked
        assert [row[3] for row in pair] == [f"{tags[tag]:.0%}" for tag in best]


def test_failure_for_people_is_one_line_on_stderr(toy_folder: Path, tmp_path: Path) -> None:
    result = run("tag", tmp_path, "--model", toy_folder)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert str(tmp_path) in result.stderr
    assert result.stderr.count("\n") == 1


def test_warnings_are_single_lines_on_stderr(toy_folder: Path, song: Song) -> None:
    path = song(seconds=1)
    result = run("tag", path, "--model", toy_folder, "--json")
    assert result.exit_code == 0
    assert len(records(result)) == 1
    assert result.stderr.startswith("warning: ")
    assert str(path) in result.stderr
    assert result.stderr.count("\n") == 1
    assert ".py" not in result.stderr


def test_excerpts_limits_what_is_heard(toy_folder: Path, song: Song) -> None:
    path = song(seconds=12)
    (whole,) = records(run("tag", path, "--model", toy_folder, "--json"))
    (middle,) = records(run("tag", path, "--model", toy_folder, "--json", "--excerpts", 1))
    expected = musiczoo.load(toy_folder).analyze(path, excerpts=1).tags
    assert middle["tags"] == pytest.approx(dict(expected), abs=1e-5)
    assert middle["tags"] != whole["tags"]
    assert middle["duration_s"] == whole["duration_s"] == 12


def test_unknown_model_suggests_the_nearest(home: Path, song: Song) -> None:
    result = run("tag", song(), "--model", "toi", **{HOME_VARIABLE: str(home)})
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "Did you mean 'toy'?" in result.stderr


@pytest.mark.parametrize("arguments", [["--top", "0"], ["--excerpts", "0"], ["--excerpts", "many"], ["--nonsense"]])
def test_wrong_options_are_usage_errors(toy_folder: Path, song: Song, arguments: list[str]) -> None:
    assert run("tag", song(), "--model", toy_folder, *arguments).exit_code == 2


def test_plot_takes_one_song(toy_folder: Path, song: Song, tmp_path: Path) -> None:
    result = run("tag", song("a.wav"), song("b.wav"), "--model", toy_folder, "--plot", tmp_path / "t.png")
    assert result.exit_code == 2
    assert "one song" in plain(result.stderr)


def test_plot_writes_a_picture(toy_folder: Path, song: Song, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "taggram.png"
    assert run("tag", song(), "--model", toy_folder, "--plot", picture).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plot_names_the_extra_when_matplotlib_is_missing(
    toy_folder: Path, song: Song, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.colors", None)
    monkeypatch.delitem(sys.modules, "musiczoo.plots", raising=False)
    result = run("tag", song(), "--model", toy_folder, "--plot", tmp_path / "t.png")
    assert result.exit_code == 1
    assert "musiczoo[plot]" in result.stderr
    assert result.stdout == ""


def test_demo_tags_the_bundled_piece(toy_folder: Path) -> None:
    result = run("demo", "--model", toy_folder)
    assert result.exit_code == 0, result.output
    assert f"{demo.PATH.name}  0:30" in result.stdout
    assert all(dimension in result.stdout for dimension in taxonomy.DIMENSIONS)


# === musiczoo models ===


def test_models_lists_what_loads(home: Path) -> None:
    got = records(run("models", "--json", **{HOME_VARIABLE: str(home)}))
    assert [record["name"] for record in got] == sorted({"toy", *musiczoo.list_models()})
    toy = next(record for record in got if record["name"] == "toy")
    assert list(toy) == ["name", "version", "licence", "parameters", "spaces", "metric", "path"]
    assert toy["spaces"] == list(taxonomy.DIMENSIONS)
    assert toy["path"] == str(home / "zoo" / "toy")
    table = run("models", **{HOME_VARIABLE: str(home)})
    assert table.exit_code == 0
    assert str(home / "zoo" / "toy") in table.stdout


def test_models_survives_a_broken_card(home: Path) -> None:
    (home / "zoo" / "broken").mkdir()
    (home / "zoo" / "broken" / "card.json").write_text("{")
    result = run("models", "--json", **{HOME_VARIABLE: str(home)})
    assert result.exit_code == 1
    got = {record["name"]: record for record in records(result)}
    assert set(got["broken"]) == {"name", "error"}
    assert got["toy"]["licence"] == "MIT"
    assert run("models", **{HOME_VARIABLE: str(home)}).stderr.startswith("error: ")


# === Making and shipping ===


def test_labels_of_a_model_and_its_evaluation_agree(toy_folder: Path, tmp_path: Path) -> None:
    """A model held against its own labels agrees perfectly: 5 of its 5 highest tags are shared."""
    (tmp_path / "audio").mkdir()
    tracks = []
    for i in range(3):
        write_audio(tmp_path / "audio" / f"{i}.wav", music(6, seed=i))
        tracks.append(TrackEntry(str(i), "test", f"{i}.wav", 6.0, 0, "", "", "", "CC0", ""))
    Store(tmp_path, "open_music", {}, tuple(tracks)).save()
    label = ("data", "label", tmp_path, "--teacher", toy_folder)
    assert run(*label).exit_code == 0
    report = tmp_path / "report.json"
    result = run("evaluate", "--data", tmp_path, "--model", toy_folder, "--out", report)
    assert result.exit_code == 0, result.output
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert figures["teachers"] == ["toy"]
    assert figures["top_k_overlap"]["value"] == 5
    row = next(line for line in result.stdout.splitlines() if "top_k_overlap" in line)
    assert "5.000" in row


def test_evaluate_without_labels_says_how_to_make_them(toy_folder: Path, tmp_path: Path) -> None:
    Store(tmp_path, "open_music", {}, ()).save()
    result = run("evaluate", "--data", tmp_path, "--model", toy_folder)
    assert result.exit_code == 1
    assert "musiczoo data label" in result.stderr


def test_published_model_loads_by_name(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    result = run("publish", toy_folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "zoo" / "toy")
    assert musiczoo.load("toy").card.name == "toy"


# === All commands ===


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_and_no_markup_is_lost(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    text = plain(result.stdout)
    assert f"Example: musiczoo {' '.join(command)}" in text
    assert "( )" not in text
    assert "()" not in text


def test_version() -> None:
    assert run("--version").stdout == f"{musiczoo.__version__}\n"


def test_no_command_prints_the_help() -> None:
    assert "Commands" in run().output


@pytest.mark.parametrize(
    "command",
    [["train", "--data", "x", "--out", "y"], ["export", "x", "--out", "y"], ["import", "musicnn", "x.whl"]],
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

    monkeypatch.setattr(musiczoo.Model, "analyze", interrupted)
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


# === musiczoo train ===


@pytest.mark.train
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"model": DEFAULT_MODEL}),
        (
            ["--model", "classification", "--epochs", "3"],
            {"model": "classification", "epochs": 3, "batch": 64},
        ),
        (["--recipe", "{}", "--seed", "5"], {"model": "classification", "width": 8, "seed": 5, "epochs": 2}),
        (["--recipe", "{}", "--model", DEFAULT_MODEL], {"model": DEFAULT_MODEL, "width": 8, "seed": 1}),
    ],
)
def test_train_options_go_before_the_recipe(
    options: list[str], expected: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import musiczoo.models.train

    received: list[tuple[Any, ...]] = []
    monkeypatch.setattr(musiczoo.models.train, "train", lambda *args: received.append(args))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('model = "classification"\nwidth = 8\nseed = 1\nepochs = 2\n')
    result = run("train", "--data", "d", "--out", "o", *(option.format(recipe) for option in options))
    assert result.exit_code == 0, result.output
    ((settings, data, out),) = received
    assert (str(data), str(out)) == ("d", "o")
    assert {name: getattr(settings, name) for name in expected} == expected
