"""`musiczoo index` and `musiczoo library`: output for people and programs."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import plain, records, run
from toy import CARD, music, write_audio, write_model

from musiczoo.library.database import Database
from musiczoo.registry import HOME_VARIABLE


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Two songs and a file that is not audio."""
    folder = tmp_path / "songs"
    folder.mkdir()
    for i in range(2):
        write_audio(folder / f"{i}.wav", music(4 + 3 * i, seed=i))
    (folder / "text.ogg").write_text("not music")
    return folder


@pytest.fixture
def indexed(songs: Path, toy_folder: Path, tmp_path: Path) -> Path:
    """Their library."""
    path = tmp_path / "music.db"
    result = run("index", songs, "--library", path, "--model", toy_folder, "--json")
    assert result.exit_code == 0, result.output
    return path


def test_index_says_what_it_did(songs: Path, toy_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "music.db"
    result = run("index", songs, "--library", path, "--model", toy_folder, "--workers", 2)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("2 added, 1 failed in ")
    assert result.stdout.endswith(f"s; {path}: 2 tracks\n")
    warning, advice = result.stderr.splitlines()
    assert warning.startswith(f"warning: Cannot decode {str(songs / 'text.ogg')!r}: ")
    assert advice.endswith(f"musiczoo library failures {path}")
    write_audio(songs / "new.wav", music(5, seed=7))
    again = run("index", songs, "--library", path, "--model", toy_folder)
    assert again.stdout.startswith("1 added, 1 failed, 2 unchanged in ")


def test_index_for_programs(songs: Path, indexed: Path, toy_folder: Path) -> None:
    (songs / "0.wav").rename(songs / "moved.wav")
    (songs / "1.wav").unlink()
    (record,) = records(run("index", songs, "--library", indexed, "--model", toy_folder, "--json"))
    assert record.pop("seconds") > 0
    expected = {"added": 0, "changed": 0, "moved": 1, "removed": 1, "failed": 1, "unchanged": 0, "tracks": 1}
    expected |= {"warned": 0, "passed_over": {}}
    assert record == expected


def test_index_finds_the_model_of_the_library(indexed: Path, songs: Path, home: Path) -> None:
    """Not the default model, which has another embedding space."""
    result = run("index", songs, "--library", indexed, **{HOME_VARIABLE: str(home)})
    assert result.exit_code == 0, result.output
    assert "2 unchanged" in result.stdout


def test_index_refuses_another_model(indexed: Path, songs: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", dataclasses.replace(CARD, name="other", space_id="other-1"))
    result = run("index", songs, "--library", indexed, "--model", other)
    assert result.exit_code == 1
    assert "'toy-1'" in result.stderr
    assert "'other-1'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_excerpts_are_kept_to(songs: Path, toy_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "music.db"
    assert run("index", songs, "--library", path, "--model", toy_folder, "--excerpts", 1).exit_code == 0
    with Database.open(path) as database:
        assert [entry.excerpts for entry in database.entries()] == [1, 1]
    result = run("index", songs, "--library", path, "--model", toy_folder, "--excerpts", 0)
    assert result.exit_code == 1
    assert "has 1 excerpts" in result.stderr


def test_missing_folder_is_an_error_unless_it_is_to_be_forgotten(indexed: Path, songs: Path, toy_folder: Path) -> None:
    songs.rename(songs.parent / "elsewhere")
    result = run("index", songs, "--library", indexed, "--model", toy_folder)
    assert result.exit_code == 1
    assert "mounted" in result.stderr
    result = run("index", songs, "--library", indexed, "--model", toy_folder, "--forget")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("2 removed in ")


def test_misspelt_folder_makes_no_library(toy_folder: Path, tmp_path: Path) -> None:
    assert run("index", tmp_path / "musik", "--library", tmp_path / "l.db", "--model", toy_folder).exit_code == 1
    assert list(tmp_path.glob("l.db*")) == []


def test_second_writer_is_told(indexed: Path, songs: Path, toy_folder: Path) -> None:
    with Database.open(indexed, write=True):
        result = run("index", songs, "--library", indexed, "--model", toy_folder)
    assert result.exit_code == 1
    assert "is writing to it" in result.stderr
    assert "--wait" in result.stderr


def test_missing_mutagen_is_one_line(
    songs: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mutagen", None)
    result = run("index", songs, "--library", tmp_path / "l.db", "--model", toy_folder)
    assert result.exit_code == 0
    assert [line for line in result.stderr.splitlines() if "musiczoo[library]" in line and ".py" not in line]


def test_interrupt_is_one_line(songs: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Database, "add", interrupt)
    result = run("index", songs, "--library", tmp_path / "l.db", "--model", toy_folder)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "Interrupted."


def test_stats(indexed: Path) -> None:
    (stats,) = records(run("library", "stats", indexed, "--json"))
    assert (stats["tracks"], stats["failures"], stats["model"], stats["excerpts"]) == (2, 1, "toy", 10)
    assert stats["search"]["vectors"] == 2
    lines = run("library", "stats", indexed).stdout.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("tracks ")] == ["2"]
    assert [line.split("  ")[-1].strip() for line in lines if line.startswith("dimensions ")] == [
        ", ".join(CARD.spaces)
    ]


def test_failures(indexed: Path, songs: Path) -> None:
    result = run("library", "failures", indexed)
    assert result.stdout.count("\n") == 1
    assert result.stdout.startswith(f"Cannot decode {str(songs / 'text.ogg')!r}: ")
    (record,) = records(run("library", "failures", indexed, "--json"))
    assert record["path"] == str(songs / "text.ogg")
    assert list(record) == ["path", "size", "mtime_ns", "kind", "reason", "failed_at"]


def test_verify(indexed: Path, songs: Path) -> None:
    result = run("library", "verify", indexed)
    assert result.exit_code == 0
    assert result.stdout.endswith(": 2 tracks, no problems\n")
    (songs / "0.wav").unlink()
    result = run("library", "verify", indexed)
    assert result.exit_code == 1
    assert "gone" in result.stdout
    result = run("library", "verify", indexed, "--json")
    assert result.exit_code == 1
    (record,) = records(result)
    assert record["tracks"] == 2
    assert len(record["problems"]) == 1


def test_warnings_about_audio_are_counted_and_listed(songs: Path, toy_folder: Path, tmp_path: Path) -> None:
    write_audio(songs / "short.wav", music(1))
    path = tmp_path / "music.db"
    result = run("index", songs, "--library", path, "--model", toy_folder)
    assert f"Warnings about the audio of 1 track: musiczoo library verify {path}" in result.stderr.splitlines()
    result = run("library", "verify", path)
    assert result.exit_code == 0  # the library is in order
    first, last = result.stdout.splitlines()
    assert first.startswith(f"warning: {songs / 'short.wav'}: ")
    assert last.endswith(": 3 tracks, no problems")
    (record,) = records(run("library", "verify", path, "--json"))
    assert (record["tracks"], record["problems"]) == (3, [])
    (warning,) = record["warnings"]
    assert warning["path"] == str(songs / "short.wav")
    assert f"warning: {warning['path']}: {warning['warning']}" == first


def test_unsupported_audio_is_reported(songs: Path, toy_folder: Path, tmp_path: Path) -> None:
    for name in ("a.dsf", "b.dsf", "c.shn", "0.cue"):
        (songs / name).write_bytes(b"x")
    result = run("index", songs, "--library", tmp_path / "l.db", "--model", toy_folder)
    lines = result.stderr.splitlines()
    assert any(line.startswith("Skipped audio files: 2 .dsf, 1 .shn.") for line in lines)
    assert any(line.startswith("Ignored 1 CUE sheet") for line in lines)
    (record,) = records(run("index", songs, "--library", tmp_path / "l.db", "--model", toy_folder, "--json"))
    assert record["passed_over"] == {".cue": 1, ".dsf": 2, ".shn": 1}


def test_files_that_need_an_extra_are_reported(
    songs: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (songs / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    result = run("index", songs, "--library", tmp_path / "l.db", "--model", toy_folder)
    assert 'To decode 1 of them: pip install "musiczoo[av]"' in result.stderr.splitlines()


def test_rescan(songs: Path, indexed: Path, toy_folder: Path) -> None:
    with Database.open(indexed, write=True) as database:
        database.write("UPDATE tracks SET artist = 'Anna' WHERE id = 1")
    options = ("index", songs, "--library", indexed, "--model", toy_folder)
    assert run(*options).stdout.startswith("1 failed, 2 unchanged in ")
    assert run(*options, "--rescan").stdout.startswith("1 changed, 1 failed, 1 unchanged in ")


def test_vacuum(indexed: Path) -> None:
    result = run("library", "vacuum", indexed)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("bytes freed\n")


def test_export(indexed: Path, tmp_path: Path) -> None:
    result = run("library", "export", indexed, "--out", tmp_path / "tracks.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{tmp_path / 'tracks.csv'}: 2 tracks, ")
    assert len((tmp_path / "tracks.csv").read_text(encoding="utf-8").splitlines()) == 3
    result = run("library", "export", indexed, "--to", "npz")
    assert result.exit_code == 0, result.output
    assert indexed.with_suffix(".npz").exists()
    result = run("library", "export", indexed, "--to", "xls")
    assert result.exit_code == 1
    assert "Available: parquet, npz, csv" in result.stderr


@pytest.mark.parametrize("command", ["stats", "failures", "verify", "vacuum"])
def test_what_is_no_library_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "text.db").write_text("This is no library.")
    text, missing = tmp_path / "text.db", tmp_path / "missing.db"
    for path, error in ((text, f"Cannot use the library {text}: "), (missing, f"No such library: {missing}. Make one")):
        result = run("library", command, path)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith(f"error: {error}")
        assert result.stderr.count("\n") == 1


def test_names_that_are_no_text(songs: Path, toy_folder: Path, tmp_path: Path) -> None:
    folder = Path(str(tmp_path / "m\udcff"))
    songs.rename(folder)
    path = tmp_path / "music.db"
    assert run("index", folder, "--library", path, "--model", toy_folder).exit_code == 0
    assert "m\ufffd/text.ogg" in run("library", "failures", path).stdout
    (record,) = records(run("library", "failures", path, "--json"))
    assert record["path"] == f"{folder}/text.ogg"


def test_cluster_options_go_together(songs: Path, tmp_path: Path) -> None:
    for options in (["--engine", "dask"], ["--engine", "spark"], ["--parts", "x"], ["--scheduler", "tcp://x:1"]):
        result = run("index", songs, "--library", tmp_path / "l.db", *options)
        assert result.exit_code == 1
        assert "--parts" in result.stderr
    assert list(tmp_path.glob("l.db*")) == []


def test_cluster_makes_parts_that_import_reads(
    songs: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine has its own tests; this one covers the arguments and the output."""
    dask = pytest.importorskip("musiczoo.scale.dask", exc_type=ImportError)
    parquet = pytest.importorskip("musiczoo.scale.parquet", exc_type=ImportError)
    asked: list[Any] = []

    def index(sources: Any, out: Any, model: Any, **options: Any) -> Any:
        asked.append((sources, out, model, options))
        return dask.PartsReport(("a", "b"), tracks=2, failed=1, skipped=1, seconds=2.5)

    def import_parts(library: Any, parts: Any, wait: bool = False) -> Any:
        asked.append((library, parts, wait))
        return parquet.ImportReport(2, 0, 0, 1)

    monkeypatch.setattr(dask, "index", index)
    monkeypatch.setattr(parquet, "import_parts", import_parts)
    result = run("index", songs, "--engine", "dask", "--parts", "s3://b/p", "--model", toy_folder, "--workers", 3)
    assert result.exit_code == 0, result.output
    options = {"excerpts": 10, "scheduler": None, "workers": 3}
    assert asked.pop() == ([str(songs)], "s3://b/p", str(toy_folder), options)
    assert "2 tracks, 1 failed in 2.5 s; 2 parts, 1 of them already there" in result.stdout
    assert "musiczoo library import s3://b/p" in result.stdout
    result = run("library", "import", "s3://b/p", "--library", tmp_path / "l.db", "--json")
    assert asked.pop() == (tmp_path / "l.db", ["s3://b/p"], False)
    assert json.loads(result.stdout) == {"added": 2, "changed": 0, "unchanged": 0, "failed": 1}


def test_help_tells_how_to_resume() -> None:
    text = plain(run("index", "--help").stdout)
    assert "to resume an interrupted run" in text
    assert "musiczoo library failures" in text
