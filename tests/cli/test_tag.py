"""`musiczoo tag` and `demo`: output for people and programs."""

import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import Song, plain, records, run
from toy import CARD, toy_answer

import musiczoo
from musiczoo import audio, demo, taxonomy
from musiczoo.registry import HOME_VARIABLE


def test_json_is_one_object_with_every_tag(toy_folder: Path, song: Song) -> None:
    path = song(seconds=7)
    result = run("tag", path, "--model", toy_folder, "--json")
    assert result.exit_code == 0, result.output
    (record,) = records(result)
    assert list(record) == ["path", "model", "duration_s", "tags", "above_threshold", "dimensions", "warnings"]
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


def test_json_with_embeddings_holds_the_same_float32(toy_folder: Path, toy: musiczoo.Model, song: Song) -> None:
    path = song(seconds=7)
    (record,) = records(run("tag", path, "--model", toy_folder, "--json", "--embedding"))
    track = toy.analyze(path)
    assert np.array_equal(np.array(record["embedding"], np.float32), track.embedding)
    assert record["space_id"] == track.card.space_id
    assert list(record["spaces"]) == list(track.card.spaces)
    for name, vector in record["spaces"].items():
        assert np.array_equal(np.array(vector, np.float32), track.space(name))
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    refused = run("tag", path, "--model", toy_folder, "--embedding")
    assert refused.exit_code == 2
    assert "--embedding needs --json" in plain(refused.stderr)


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
