"""Indexing: the records depend only on the files, not on interruptions."""

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kills
import numpy as np
import pytest
from counting import CONFIG, Counting, fresh, run
from toy import CARD, music, write_audio

import musiczoo
from musiczoo import audio
from musiczoo.errors import AudioError, LibraryError, MissingDependencyError
from musiczoo.library import indexing, metadata, status
from musiczoo.library.database import Database, LibraryConfig
from musiczoo.library.fingerprint import fingerprint
from musiczoo.track import Track


def test_entries_equal_the_model(empty: Database, model: Any, toy: musiczoo.Model, songs: Path) -> None:
    assert run(empty, model, songs) == {"added": 4}
    for entry in empty.entries():
        track = toy.analyze(entry.path, excerpts=3)
        np.testing.assert_array_equal(entry.embedding, track.embedding)
        np.testing.assert_array_equal(entry.tags, track.tags.probabilities)
        assert entry.duration_s == track.duration_s == audio.probe(entry.path).duration_s
        assert entry.excerpts == len(track.times)
        status = os.stat(entry.path)
        assert (entry.size, entry.mtime_ns) == (status.st_size, status.st_mtime_ns)
        expected = subprocess.run(["b2sum", "-l", "128", entry.path], capture_output=True, text=True, check=True)
        assert entry.hash == expected.stdout.split()[0]


def test_metadata_are_read(empty: Database, model: Any, songs: Path) -> None:
    mutagen = pytest.importorskip("mutagen")
    file = mutagen.File(songs / "a" / "1.flac")
    file["artist"], file["date"] = "Anna", "1999"
    file.save()
    run(empty, model, songs)
    entry = empty.find(songs / "a" / "1.flac")
    assert entry is not None
    assert (entry.artist, entry.year, entry.title) == ("Anna", 1999, None)


def test_nothing_is_analyzed_twice(empty: Database, model: Any, songs: Path) -> None:
    run(empty, model, songs)
    before = empty.revision()
    assert run(empty, model, songs) == {"unchanged": 4}
    assert len(model.analyzed) == 4
    assert empty.revision() == before


def test_new_changed_moved_and_gone_files(empty: Database, model: Any, songs: Path, tmp_path: Path) -> None:
    run(empty, model, songs)
    moved_id = empty.find(songs / "a" / "2.wav").id  # type: ignore[union-attr]
    model.analyzed.clear()
    write_audio(songs / "new.flac", music(5, seed=9))
    write_audio(songs / "a" / "1.flac", music(6, seed=10))
    (songs / "a" / "2.wav").rename(songs / "b" / "moved.wav")
    (songs / "b" / "3.ogg").unlink()
    assert run(empty, model, songs) == {"added": 1, "changed": 1, "moved": 1, "removed": 1, "unchanged": 1}
    assert sorted(model.analyzed) == ["1.flac", "new.flac"]
    assert empty.find(songs / "b" / "moved.wav").id == moved_id  # type: ignore[union-attr]
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_touched_and_copied_files_are_not_analyzed(empty: Database, model: Any, songs: Path, tmp_path: Path) -> None:
    run(empty, model, songs)
    model.analyzed.clear()
    os.utime(songs / "a" / "1.flac", ns=(10**18, 10**18))
    shutil.copy(songs / "a" / "2.wav", songs / "copy.wav")
    assert run(empty, model, songs) == {"added": 1, "unchanged": 4}
    assert model.analyzed == []
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_files_that_swap_places(empty: Database, model: Any, songs: Path, tmp_path: Path) -> None:
    run(empty, model, songs)
    one, four, aside = songs / "a" / "1.flac", songs / "b" / "4.flac", tmp_path / "aside"
    one.rename(aside)
    four.rename(one)
    aside.rename(four)
    os.utime(one, ns=(10**18, 10**18))
    os.utime(four, ns=(10**18, 10**18))
    assert run(empty, model, songs) == {"changed": 2, "unchanged": 2}
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_file_moved_over_another(empty: Database, model: Any, songs: Path, tmp_path: Path) -> None:
    run(empty, model, songs)
    os.replace(songs / "a" / "1.flac", songs / "b" / "4.flac")
    assert run(empty, model, songs) == {"moved": 1, "unchanged": 2}
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_other_folders_are_left_alone(empty: Database, model: Any, songs: Path) -> None:
    run(empty, model, songs / "a")
    run(empty, model, songs / "b")
    assert len(empty) == 4
    shutil.rmtree(songs / "a")
    assert run(empty, model, songs / "b") == {"unchanged": 2}
    assert len(empty) == 4
    with pytest.raises(LibraryError, match="mounted"):
        run(empty, model, songs / "a", songs / "b")
    (songs / "a").mkdir()
    with pytest.raises(LibraryError, match="mounted"):
        run(empty, model, songs / "a")
    assert len(empty) == 4
    assert run(empty, model, songs / "a", forget=True) == {"removed": 2}
    assert len(empty) == 2


def test_folders_that_overlap_give_each_file_once(empty: Database, model: Any, songs: Path) -> None:
    (songs.parent / "link").symlink_to(songs / "a")
    (songs / "b" / "again.wav").symlink_to(songs / "a" / "2.wav")
    assert run(empty, model, songs, songs / "a", songs.parent / "link") == {"added": 4}
    assert empty.find(songs.parent / "link" / "2.wav") is not None
    assert empty.find(songs / "b" / "again.wav") is not None


def test_bad_files_become_failures_and_do_not_stop_the_run(empty: Database, model: Any, songs: Path) -> None:
    (songs / "empty.mp3").write_bytes(b"")
    (songs / "text.flac").write_text("not music")
    (songs / "cut.flac").write_bytes((songs / "b" / "4.flac").read_bytes()[:60])
    assert run(empty, model, songs) == {"added": 4, "failed": 3}
    failures = {Path(failure.path).name: failure for failure in empty.failures()}
    assert sorted(failures) == ["cut.flac", "empty.mp3", "text.flac"]
    for name, failure in failures.items():
        assert failure.kind == "AudioError"
        assert str(songs / name) in failure.reason
        assert failure.reason.endswith(".")
        assert datetime.now(UTC) - datetime.fromisoformat(failure.failed_at) < timedelta(minutes=5)
    model.analyzed.clear()
    assert run(empty, model, songs) == {"unchanged": 4, "failed": 3}
    assert model.analyzed == []
    shutil.copy(songs / "a" / "1.flac", songs / "text.flac")  # repaired
    (songs / "cut.flac").unlink()
    assert run(empty, model, songs) == {"added": 1, "unchanged": 4, "failed": 1}
    assert [Path(failure.path).name for failure in empty.failures()] == ["empty.mp3"]


def test_a_track_whose_file_breaks_becomes_a_failure(empty: Database, model: Any, songs: Path, tmp_path: Path) -> None:
    run(empty, model, songs)
    (songs / "a" / "1.flac").write_bytes(b"fLaC and then nothing")
    assert run(empty, model, songs) == {"failed": 1, "unchanged": 3}
    assert len(empty) == 3
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


@pytest.mark.parametrize(
    ("raised", "kind", "again"),
    [
        (AudioError("a.flac: it is bad."), "AudioError", False),
        (PermissionError(13, "Permission denied"), "PermissionError", True),
        (OSError(5, "Input/output error"), "OSError", True),
        (MissingDependencyError("It needs av."), "MissingDependencyError", True),
        (MemoryError(), "MemoryError", True),
    ],
)
def test_temporary_failures_are_tried_again(
    empty: Database,
    model: Any,
    songs: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    kind: str,
    again: bool,
) -> None:
    def fail(path: str) -> str:
        raise raised

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "content_hash", fail)
        assert run(empty, model, songs / "a") == {"failed": 2}
    assert {failure.kind for failure in empty.failures()} == {kind}
    assert all(failure.reason.endswith(".") for failure in empty.failures())
    assert run(empty, model, songs / "a") == ({"added": 2} if again else {"failed": 2})


def _while_hearing(model: Any, name: str, act: Callable[[Path], object]) -> Any:
    """The model, but something happens to a file while it is analyzed."""

    class Disturbed:
        card = model.card

        def analyze(self, path: str, **options: Any) -> Track:
            track: Track = model.analyze(path, **options)
            if path.endswith(name):
                act(Path(path))
            return track

    return Disturbed()


def test_file_that_vanishes_while_it_is_read(empty: Database, model: Any, songs: Path) -> None:
    assert run(empty, _while_hearing(model, "1.flac", Path.unlink), songs) == {"added": 3, "failed": 1}
    (failure,) = empty.failures()
    assert failure.kind == "FileNotFoundError"
    assert "No such file" in failure.reason
    assert run(empty, model, songs) == {"unchanged": 3}
    assert empty.failures() == []


def test_file_that_changes_while_it_is_read(empty: Database, model: Any, songs: Path) -> None:
    def write(path: Path) -> None:
        write_audio(path, music(9, seed=77))

    assert run(empty, _while_hearing(model, "1.flac", write), songs) == {"added": 3, "failed": 1}
    assert "changed while it was read" in empty.failures()[0].reason
    assert run(empty, model, songs) == {"added": 1, "unchanged": 3}


def test_folder_that_cannot_be_read_is_a_failure_and_loses_nothing(
    empty: Database, model: Any, songs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(empty, model, songs)
    real = os.scandir

    def refuse(folder: Any) -> Any:
        if os.fspath(folder).endswith("/b"):
            raise PermissionError(13, "Permission denied", folder)
        return real(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert run(empty, model, songs) == {"unchanged": 2, "failed": 1}
        assert len(empty) == 4
        assert [failure.path for failure in empty.failures()] == [str(songs / "b")]
    assert run(empty, model, songs) == {"unchanged": 4}
    assert empty.failures() == []


def test_missing_mutagen_warns_once(empty: Database, model: Any, songs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mutagen", None)
    with pytest.warns(indexing.MetadataWarning, match=r"musiczoo\[library\]") as caught:
        assert run(empty, model, songs) == {"added": 4}
    assert len(caught) == 1
    assert not metadata.available()


def test_short_songs_give_no_warnings(empty: Database, model: Any, tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    write_audio(tmp_path / "songs" / "short.wav", music(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(empty, model, tmp_path / "songs") == {"added": 1, "warned": 1}


def test_the_cost_of_identical_files_is_linear(toy: musiczoo.Model, tmp_path: Path) -> None:
    """Rows read while copies of one file are written: twice as many for twice the copies."""
    read = []
    for count in (40, 80):
        folder = tmp_path / f"songs {count}"
        folder.mkdir()
        write_audio(folder / "0.wav", music(1))
        for i in range(1, count):
            shutil.copy(folder / "0.wav", folder / f"{i}.wav")
        with Database.create(tmp_path / f"{count}.db", CONFIG) as database:
            rows, real = [0], database.rows

            def counted(*question: Any, rows: list[int] = rows, real: Any = real) -> list[Any]:
                found = real(*question)
                rows[0] += len(found)
                return list(found)

            database.rows = counted  # type: ignore[method-assign]
            model = Counting(toy)
            assert run(database, model, folder, workers=2)["added"] == count
            assert len(model.analyzed) <= 4  # those in progress at a time
            read.append(rows[0])
    assert read[1] <= 2.2 * read[0]


def test_many_copies_that_moved(empty: Database, model: Any, tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    songs.mkdir()
    write_audio(songs / "0.wav", music(4))
    for i in range(1, 12):
        shutil.copy(songs / "0.wav", songs / f"{i}.wav")
    run(empty, model, songs)
    ids = set(empty.ids().tolist())
    model.analyzed.clear()
    for i in range(0, 12, 2):
        (songs / f"{i}.wav").rename(songs / f"moved {i}.wav")
    shutil.copy(songs / "1.wav", songs / "new.wav")
    assert run(empty, model, songs) == {"added": 1, "moved": 6, "unchanged": 6}
    assert model.analyzed == []
    assert ids <= set(empty.ids().tolist())
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)


def test_a_rescan_finds_changes_of_unchanged_size_and_time(
    empty: Database, model: Any, songs: Path, tmp_path: Path
) -> None:
    """A tag edited in place, with the time put back, and a row from before the metadata were read."""
    mutagen = pytest.importorskip("mutagen")
    for name in ("1.flac", "2.wav"):
        status = os.stat(songs / "a" / name)
        file = mutagen.File(songs / "a" / name)
        if file.tags is None:
            file.add_tags()
        if name == "1.flac":
            file["artist"] = "Anna"
        else:
            file.tags.add(mutagen.id3.TPE1(text=["Anna"]))
        file.save()
        os.utime(songs / "a" / name, ns=(status.st_mtime_ns, status.st_mtime_ns))
    run(empty, model, songs)
    status = os.stat(songs / "a" / "1.flac")
    file = mutagen.File(songs / "a" / "1.flac")
    file["artist"] = "Böhm"
    file.save()
    assert os.stat(songs / "a" / "1.flac").st_size == status.st_size  # there was room
    os.utime(songs / "a" / "1.flac", ns=(status.st_mtime_ns, status.st_mtime_ns))
    empty.write("UPDATE tracks SET artist = NULL WHERE path LIKE '%2.wav'")
    model.analyzed.clear()
    assert run(empty, model, songs) == {"unchanged": 4}
    assert run(empty, model, songs, rescan=True) == {"changed": 2, "unchanged": 2}
    assert model.analyzed == ["1.flac"]
    assert {empty.find(songs / "a" / n).artist for n in ("1.flac", "2.wav")} == {"Anna", "Böhm"}  # type: ignore[union-attr]
    assert kills.content(empty.path) == fresh(tmp_path, model, songs)
    revision = empty.revision()
    assert run(empty, model, songs, rescan=True) == {"unchanged": 4}
    assert empty.revision() == revision


def test_a_rescan_without_mutagen_forgets_nothing(
    empty: Database, model: Any, songs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(empty, model, songs)
    empty.write("UPDATE tracks SET artist = 'Anna'")
    monkeypatch.setitem(sys.modules, "mutagen", None)
    with pytest.warns(indexing.MetadataWarning):
        assert run(empty, model, songs, rescan=True) == {"unchanged": 4}
    assert empty.rows("SELECT DISTINCT artist FROM tracks") == [("Anna",)]


def test_warnings_are_kept_with_the_track(empty: Database, model: Any, songs: Path) -> None:
    """Without the path, which may become another; a copy has them, too."""
    data = (songs / "b" / "4.flac").read_bytes()
    (songs / "cut.flac").write_bytes(data[: len(data) // 2])
    write_audio(songs / "short.wav", music(1))
    assert run(empty, model, songs) == {"added": 6, "warned": 2}
    shutil.copy(songs / "cut.flac", songs / "copy.flac")
    (songs / "cut.flac").rename(songs / "moved.flac")
    assert run(empty, model, songs) == {"added": 1, "moved": 1, "unchanged": 5}
    found = status.warnings(empty)
    assert [Path(path).name for path, _ in found] == ["copy.flac", "moved.flac", "short.wav"]
    assert all("cut.flac" not in message and message.endswith(".") for _, message in found)
    assert found[0][1] == found[1][1]
    assert "only" in found[0][1]
    assert status.stats(empty)["with_warnings"] == 3
    assert status.problems(empty) == []


def test_fingerprints_are_those_of_the_track(empty: Database, model: Any, toy: musiczoo.Model, tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    path = write_audio(tmp_path / "songs" / "a.wav", music(40))
    with Database.create(tmp_path / "ten.db", LibraryConfig.from_card(CARD, excerpts=10)) as database:
        run(database, model, tmp_path / "songs")
        found = next(database.entries())
        track = toy.analyze(path, excerpts=10)
        assert found.fingerprint == fingerprint(track.times, track.embeddings) != b""
    run(empty, model, tmp_path / "songs")
    assert next(empty.entries()).fingerprint == b""  # of three excerpts, nothing can be told
