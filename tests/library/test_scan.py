"""Scanning of folders, and comparison with a library."""

import os
import socket
from pathlib import Path

import pytest

from musiczoo.audio import SUFFIXES
from musiczoo.errors import LibraryError
from musiczoo.library.records import Failure, KnownTrack
from musiczoo.library.scan import PASSED_OVER, Unreadable, check_not_empty, compare, is_gone, scan


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(folder: Path, *more: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path in scan([folder, *more]).files]


def known(found: dict[str, object]) -> dict[str, KnownTrack]:
    return {
        path: KnownTrack(i, seen.size, seen.mtime_ns, "h")  # type: ignore[attr-defined]
        for i, (path, seen) in enumerate(found.items(), 1)
    }


def test_audio_is_recognized_by_its_name(tmp_path: Path) -> None:
    wanted = ["A.FLAC", "b.mp3", "c.Opus", "d.m4a", "e/f.wav", "g.mp4"]
    left_out = ["cover.jpg", "list.m3u8", "notes.txt", "noext", "mp3", ".mp3", "library.db", "x.mp3.part"]
    touch(*(tmp_path / name for name in wanted + left_out))
    assert sorted(names(tmp_path)) == wanted


def test_audio_that_cannot_be_decoded_is_counted(tmp_path: Path) -> None:
    names_ = ["a.dsf", "b.DSF", "c/d.shn", "e.mp+", "f.mp3", "f.cue", "cover.jpg", "g.mid", ".hidden.dsf"]
    touch(*(tmp_path / name for name in names_))
    assert scan([tmp_path]).passed_over == {".dsf": 2, ".shn": 1, ".mp+": 1, ".cue": 1}
    assert not PASSED_OVER & SUFFIXES


def test_endings_are_those_that_the_decoders_have() -> None:
    """libsndfile's major formats, by their usual endings, and what only FFmpeg opens."""
    assert {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".au", ".caf", ".w64"} <= SUFFIXES
    assert {".m4a", ".wma", ".aac", ".ape", ".wv", ".webm"} <= SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
    assert not SUFFIXES & {".jpg", ".png", ".m3u", ".m3u8", ".cue", ".txt", ".db", ".pdf", ".log", ".nfo", ".lrc"}


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp3", tmp_path / "._a.mp3", tmp_path / ".hidden.mp3", tmp_path / ".trash" / "b.mp3")
    touch(tmp_path / "c" / "._d.flac")
    assert names(tmp_path) == ["a.mp3"]


def test_hidden_folder_that_is_named_is_looked_into(tmp_path: Path) -> None:
    touch(tmp_path / ".music" / "a.mp3")
    assert names(tmp_path / ".music") == ["a.mp3"]


def test_loops_of_links_end_and_each_file_is_met_once(tmp_path: Path) -> None:
    touch(tmp_path / "music" / "a.mp3", tmp_path / "music" / "sub" / "b.mp3", tmp_path / "far" / "c.mp3")
    (tmp_path / "music" / "sub" / "up").symlink_to(tmp_path / "music")
    (tmp_path / "music" / "again.mp3").symlink_to(tmp_path / "music" / "a.mp3")
    (tmp_path / "music" / "self.mp3").symlink_to(tmp_path / "music" / "self.mp3")
    (tmp_path / "music" / "dead.mp3").symlink_to(tmp_path / "nowhere.mp3")
    (tmp_path / "music" / "far").symlink_to(tmp_path / "far")
    (tmp_path / "music" / "other.mp3").symlink_to(tmp_path / "far" / "c.mp3")
    (tmp_path / "alias").symlink_to(tmp_path / "music")
    expected = ["far/c.mp3", "music/a.mp3", "music/sub/b.mp3"]
    for folders in (["music"], ["music", "music/sub", "alias"], ["alias", "far"]):
        found = scan([tmp_path / folder for folder in folders])
        assert sorted(os.path.relpath(path, tmp_path) for path in found.files) == expected


def test_only_files_are_found(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    (tmp_path / "folder.mp3").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.mp3"))
        assert names(tmp_path) == []


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    touch(tmp_path / "Music" / "a.mp3")
    assert list(scan(["~/Music"]).files) == [str(tmp_path / "Music" / "a.mp3")]


def test_missing_folder_is_an_error_unless_it_is_to_be_forgotten(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="mounted"):
        scan([tmp_path / "gone"])
    found = scan([tmp_path / "gone"], forget=True)
    path = str(tmp_path / "gone" / "a.mp3")
    assert compare(found, {path: KnownTrack(1, 1, 1, "h")}, []).gone == {path: 1}
    touch(tmp_path / "a.mp3")
    with pytest.raises(LibraryError, match="Not a directory"):
        scan([tmp_path / "a.mp3"])


def test_an_empty_folder_is_refused_only_where_tracks_are_known(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    found = scan([tmp_path / "disk"])
    check_not_empty(found, [])
    check_not_empty(found, [str(tmp_path / "other" / "a.mp3")])
    with pytest.raises(LibraryError, match="mounted"):
        check_not_empty(found, [str(tmp_path / "disk" / "a.mp3")])


def test_changes(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.mp3" for name in "abcdef"]
    touch(*paths)
    found = scan([tmp_path])
    before = known(dict(found.files))
    del before[str(paths[0])]
    os.utime(paths[1], ns=(5, 5))
    paths[2].write_bytes(b"longer")
    os.utime(paths[2], ns=(before[str(paths[2])].mtime_ns,) * 2)
    paths[3].unlink()
    elsewhere = {"/elsewhere/a.mp3": KnownTrack(99, 1, 1, "h"), f"{tmp_path}x/a.mp3": KnownTrack(98, 1, 1, "h")}
    changes = compare(scan([tmp_path]), before | elsewhere, [])
    assert [seen.path for seen in changes.new] == [str(paths[0])]
    assert [seen.path for seen in changes.changed] == [str(paths[1]), str(paths[2])]
    assert changes.gone == {str(paths[3]): 4}
    assert changes.unchanged == 2


def test_failures_are_tried_again_when_they_changed_or_may_have_passed(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.mp3" for name in "abc"]
    touch(*paths)
    found = scan([tmp_path])

    def failure(path: Path, kind: str, size: int = 1) -> Failure:
        mtime = found.files[str(path)].mtime_ns if path.exists() else 0
        return Failure(str(path), size, mtime, kind, "", "")

    failures = [
        failure(paths[0], "AudioError"),
        failure(paths[1], "AudioError", size=2),
        failure(paths[2], "MissingDependencyError"),
        failure(tmp_path / "gone.mp3", "AudioError"),
        failure(Path("/elsewhere/d.mp3"), "AudioError"),
    ]
    changes = compare(found, {}, failures)
    assert [seen.path for seen in changes.new] == [str(paths[1]), str(paths[2])]
    assert changes.failed == 1
    assert changes.settled == (str(tmp_path / "gone.mp3"),)
    assert changes.unchanged == 0


def test_nothing_is_gone_below_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a" / "a.mp3", tmp_path / "b" / "b.mp3")
    before = known(dict(scan([tmp_path]).files))
    (tmp_path / "b" / "b.mp3").unlink()
    real = os.scandir

    def refuse(folder: str) -> object:
        if os.fspath(folder).endswith("/a"):
            raise PermissionError(13, "Permission denied", folder)
        return real(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = scan([tmp_path])
    assert [folder.path for folder in found.unreadable] == [str(tmp_path / "a")]
    assert isinstance(found.unreadable[0], Unreadable)
    assert list(compare(found, before, []).gone) == [str(tmp_path / "b" / "b.mp3")]


def test_only_paths_of_this_machine_can_be_gone(tmp_path: Path) -> None:
    assert is_gone(str(tmp_path / "nothing.mp3"))
    assert not is_gone(str(tmp_path))
    assert not is_gone("s3://bucket/song.mp3")
