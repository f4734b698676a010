"""Indexing of files by their paths, as the beets plugin does, and changes to files that leave the audio alone."""

import os
from pathlib import Path
from typing import Any

import pytest
from counting import run

from musiczoo.errors import InputError
from musiczoo.library.database import Database
from musiczoo.library.indexing import update_file
from musiczoo.library.scan import scan


def test_files_alone_are_added_and_nothing_is_removed(empty: Database, model: Any, songs: Path) -> None:
    run(empty, model, songs)
    (songs / "a" / "1.flac").unlink()
    first, second = songs / "b" / "3.ogg", songs / "b" / "4.flac"
    second.rename(songs / "b" / "no audio by its name")
    moved = songs / "b" / "no audio by its name"
    model.analyzed.clear()
    assert run(empty, model, files=[first, moved]) == {"unchanged": 1, "moved": 1}
    assert model.analyzed == []
    assert len(empty) == 4
    assert empty.find(moved) is not None


def test_files_and_folders_together(empty: Database, model: Any, songs: Path) -> None:
    assert run(empty, model, songs / "a", files=[songs / "a" / "1.flac", songs / "b" / "3.ogg"]) == {"added": 3}


def test_links_and_relative_paths_are_real_paths(songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link.flac").symlink_to(songs / "a" / "1.flac")
    monkeypatch.chdir(tmp_path)
    found = scan((), files=["link.flac", "songs/a/1.flac"])
    assert list(found.files) == [str((songs / "a" / "1.flac").resolve())]


def test_a_missing_file_becomes_a_failure(empty: Database, model: Any, songs: Path) -> None:
    assert run(empty, model, files=[songs / "a" / "1.flac", songs / "missing.flac"]) == {"added": 1, "failed": 1}
    assert [os.path.basename(failure.path) for failure in empty.failures()] == ["missing.flac"]


def test_again_analyzes_also_what_is_known(empty: Database, model: Any, songs: Path) -> None:
    path = songs / "a" / "1.flac"
    run(empty, model, songs)
    before = empty.find(path)
    assert before is not None
    model.analyzed.clear()
    assert run(empty, model, files=[path], again=True) == {"changed": 1}
    assert model.analyzed == ["1.flac"]
    after = empty.find(path)
    assert after is not None
    assert (after.id, after.hash, after.tags.tolist()) == (before.id, before.hash, before.tags.tolist())


def test_a_change_of_metadata_is_noted_without_analysis(empty: Database, model: Any, songs: Path) -> None:
    mutagen = pytest.importorskip("mutagen")
    path = str((songs / "a" / "1.flac").resolve())
    run(empty, model, songs)
    with update_file(empty, path):
        song = mutagen.File(path)
        song["title"] = "A title"
        song.save()
    model.analyzed.clear()
    assert run(empty, model, songs) == {"unchanged": 4}
    assert model.analyzed == []
    entry = empty.find(path)
    assert entry is not None
    assert entry.title == "A title"


def test_a_track_that_was_out_of_date_stays_so(empty: Database, model: Any, songs: Path) -> None:
    path = songs / "a" / "2.wav"
    run(empty, model, songs)
    content = (songs / "a" / "1.flac").read_bytes()
    path.write_bytes(content)  # by somebody else, before
    with update_file(empty, str(path.resolve())):
        path.write_bytes(content + b"\0")
    before = empty.find(path)
    assert before is not None
    assert before.size != path.stat().st_size


def test_a_change_that_fails_notes_nothing(empty: Database, model: Any, songs: Path) -> None:
    path = songs / "a" / "2.wav"
    run(empty, model, songs)
    before = empty.revision()
    with pytest.raises(InputError), update_file(empty, str(path.resolve())):
        raise InputError("read-only")
    with update_file(empty, str(path.resolve())):
        pass
    assert empty.revision() == before
