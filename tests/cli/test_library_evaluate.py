"""`musiczoo library evaluate`: artists and albums of a library."""

import json
from pathlib import Path

import pytest
from command_line import plain, run
from toy import music, write_audio, write_model

from musiczoo.library.library import Library
from musiczoo.registry import HOME_VARIABLE

mutagen = pytest.importorskip("mutagen")
from mutagen.flac import FLAC  # noqa: E402


@pytest.fixture
def library(tmp_path: Path, toy_folder: Path) -> Path:
    """Two artists with two albums of two tracks each; alike in an artist; a copy, a silent and a bare file."""
    folder = tmp_path / "songs"
    for artist in ("Ann", "Bob"):
        for album in ("One", "Two"):
            for track in range(2):
                path = folder / artist / album / f"{track}.flac"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_audio(path, music(6, seed=ord(artist[0])) * (0.5 + 0.1 * track + 0.2 * (album == "Two")))
                tags = FLAC(path)
                tags.update({"artist": artist, "album": album, "title": str(track)})
                tags.save()
    (folder / "copy.flac").write_bytes((folder / "Ann" / "One" / "0.flac").read_bytes())
    write_audio(folder / "silent.wav", 0 * music(6))
    write_audio(folder / "bare.wav", music(6, seed=99))
    path = tmp_path / "music.db"
    assert run("index", folder, "--library", path, "--model", toy_folder).exit_code == 0
    return path


def first_is_the_artists(library: Path) -> float:
    """The share of tracks whose nearest other is by their artist, by a loop."""
    with Library.open(library) as opened:
        tracks = [e for e in opened.database.entries() if e.embedding.any() and Path(e.path).name != "copy.flac"]
    hits = []
    for track in tracks:
        others = [other for other in tracks if other is not track]
        best = max(others, key=lambda other: float(track.embedding.astype(float) @ other.embedding.astype(float)))
        if track.artist:
            hits.append(best.artist == track.artist)
    return sum(hits) / len(hits)


def test_one_model(library: Path, monkeypatch: pytest.MonkeyPatch, toy_folder: Path) -> None:
    """By hand: eight tracks are queries for their artist; the silent one is left out, the copy counts once."""
    monkeypatch.setenv(HOME_VARIABLE, str(toy_folder.parent.parent))
    result = run("library", "evaluate", library, "--models", toy_folder, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["tracks"] == 9
    assert [Path(path).name for path in report["left_out"]] == ["silent.wav"]
    (model,) = report["models"]
    assert model["artist"]["queries"] == model["album"]["queries"] == model["artist, other albums"]["queries"] == 8
    assert model["artist"]["precision_at_1"]["value"] == pytest.approx(first_is_the_artists(library))
    assert model["artist"]["chance"] == pytest.approx(3 / 8)
    assert model["artist, other albums"]["chance"] == pytest.approx(2 / 7)
    assert model["album"]["chance"] == pytest.approx(1 / 8)


def test_another_model_analyzes_the_files(library: Path, toy_folder: Path, tmp_path: Path) -> None:
    import dataclasses

    from toy import CARD

    other = write_model(tmp_path / "other", dataclasses.replace(CARD, name="other", space_id="other-1"))
    picture = tmp_path / "a.png"
    result = run("library", "evaluate", library, "--models", f"{toy_folder},{other}", "--plot", picture)
    assert result.exit_code == 0, result.output
    assert "silent" in result.stderr
    text = plain(result.stdout)
    assert "Same artist: 8 of 9 tracks are queries" in text
    assert text.count("other") >= 3
    assert "P@5" in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_models_of_one_name_are_refused(library: Path, toy_folder: Path) -> None:
    result = run("library", "evaluate", library, "--models", f"{toy_folder},{toy_folder}")
    assert result.exit_code == 1
    assert "different names" in result.stderr
