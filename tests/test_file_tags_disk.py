"""Files on a disk: links, rights, names, crashes and others at work."""

import os
import stat
from pathlib import Path

import pytest

pytest.importorskip("mutagen")
pytest.importorskip("av")

import mutagen
from tagged import TRACK, WRITTEN, make, others

from musiczoo import file_tags
from musiczoo.errors import AudioError, AudioNotFoundError, InputError


def test_mode_stays_and_the_time_is_the_change_s(tmp_path: Path) -> None:
    path = make(tmp_path, "flac")
    path.chmod(0o640)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    file_tags.write(path, TRACK)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_mtime > 1_500_000_000


def test_links_stay_links(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    path = make(tmp_path / "store", "ogg")
    link = tmp_path / "link to it.ogg"
    link.symlink_to("store/song.ogg")
    assert file_tags.write(link, TRACK)
    assert link.is_symlink()
    assert file_tags.read(path) == WRITTEN
    assert not path.is_symlink()


@pytest.mark.parametrize(
    "name", ["100% of #1? [a] 'b' \"c\".flac", "söng ♪.mp3", "-n.wav", "a\nb.ogg", "x" * 250 + ".wav"]
)
def test_unusual_file_names(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, name.rsplit(".")[-1]).rename(tmp_path / name)
    assert file_tags.write(path, TRACK)
    assert file_tags.read(path) == WRITTEN


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname == "Darwin", reason="names are text there")
def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9.wav"))
    make(tmp_path, "wav").rename(path)
    assert file_tags.write(path, TRACK)
    assert file_tags.read(path) == WRITTEN


def refused(path: Path, error: type[Exception], match: str) -> None:
    """Writing fails with this error, and leaves the folder as it was."""
    before = {entry: entry.read_bytes() for entry in path.parent.iterdir() if entry.is_file()}
    with pytest.raises(error, match=match):
        file_tags.write(path, TRACK)
    assert {entry: entry.read_bytes() for entry in path.parent.iterdir() if entry.is_file()} == before


def test_read_only_and_linked_files_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path, "flac")
    path.chmod(0o444)
    refused(path, InputError, "read-only")
    path.chmod(0o644)
    os.link(path, tmp_path / "second name.flac")
    refused(path, InputError, "2 hard links")


def test_files_that_are_not_audio_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "vanished.mp3", AudioNotFoundError, "No such file")
    (tmp_path / "loop.mp3").symlink_to("loop.mp3")
    with pytest.raises((InputError, AudioNotFoundError)):
        file_tags.write(tmp_path / "loop.mp3", TRACK)
    (tmp_path / "loop.mp3").unlink()
    (tmp_path / "folder.mp3").mkdir()
    refused(tmp_path / "folder.mp3", AudioError, "folder")
    (tmp_path / "text.txt").write_text("no music")
    refused(tmp_path / "text.txt", AudioError, "not an audio file")
    (tmp_path / "empty.flac").touch()
    refused(tmp_path / "empty.flac", AudioError, r"empty\.flac")
    make(tmp_path, "flac")
    cut = tmp_path / "cut.flac"
    cut.write_bytes((tmp_path / "song.flac").read_bytes()[:20])
    refused(cut, AudioError, r"cut\.flac")


def test_a_crash_in_the_middle_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, "ogg")

    def fail(*names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    refused(path, InputError, "No space left")


def test_a_file_that_another_program_changes_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, "wav")
    theirs = path.read_bytes() + b"more"
    keep = file_tags._keep_status

    def interrupted(copy: Path, target: Path, before: os.stat_result) -> None:
        keep(copy, target, before)
        path.write_bytes(theirs)

    monkeypatch.setattr(file_tags, "_keep_status", interrupted)
    with pytest.raises(InputError, match="another program"):
        file_tags.write(path, TRACK)
    assert path.read_bytes() == theirs
    assert [entry.name for entry in tmp_path.iterdir()] == ["song.wav"]


def test_a_change_that_loses_another_field_is_discarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, "mp3")
    others(path)
    save = file_tags._store

    def careless(song: mutagen.FileType, copy: Path, **options: object) -> None:
        del song.tags["TIT2"]
        save(song, copy, **options)

    monkeypatch.setattr(file_tags, "_store", careless)
    refused(path, AudioError, "keep its other tags")
