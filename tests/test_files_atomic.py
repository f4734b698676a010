"""Files and folders are replaced as a whole; folders by one process at a time, also after a process has died."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from musiczoo import _files
from musiczoo._files import atomic_file, atomic_folder, read_json, write_json, write_npy
from musiczoo.errors import InputError, MusicZooError, WriteError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"

    def interrupted() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert list(path.parent.iterdir()) == []
    with atomic_file(path) as file:
        file.write(b"whole")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(WriteError, match=r"No space left on device\. Make room"), atomic_file(path):
        raise OSError(28, "No space left on device")
    with pytest.raises(WriteError, match="File exists"), atomic_file(path / "below"):
        pass
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_array_and_json_are_read_as_written(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    write_npy(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npy(tmp_path / "b.npy", np.array([{}], object))
    content = {"é": [1, 2.5, None]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == json.loads((tmp_path / "a.json").read_bytes()) == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npy"]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"\xff\xfe{\x00}\x00"])
def test_damaged_json_is_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(_files.UNREADABLE):
        read_json(tmp_path / "a.json")


def write(target: Path, text: str, name: str = "file") -> None:
    with atomic_folder(target) as new:
        (new / name).write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_new_folder_and_one_in_its_place(tmp_path: Path) -> None:
    write(tmp_path / "zoo" / "a", "1")
    assert content(tmp_path) == {"zoo/a/file": "1"}
    write(tmp_path / "zoo" / "a", "2", "other")
    assert content(tmp_path) == {"zoo/a/other": "2"}
    assert list((tmp_path / "zoo").iterdir()) == [tmp_path / "zoo" / "a"]


def test_the_folder_exists_at_all_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system can exchange two folders, none is renamed away first."""
    write(tmp_path / "a", "1")
    if not hasattr(_files.ctypes.CDLL(None), "renameat2"):
        pytest.skip("this system cannot exchange folders")
    monkeypatch.setattr(os, "replace", None)
    write(tmp_path / "a", "2")
    assert content(tmp_path) == {"a/file": "2"}


def test_two_renames_where_the_system_cannot_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files.sys, "platform", "plan9")
    write(tmp_path / "a", "1")
    write(tmp_path / "a", "2")
    assert content(tmp_path) == {"a/file": "2"}


def test_leftovers_of_a_dead_process_are_removed(tmp_path: Path) -> None:
    for leftover in ("new", "old"):
        (tmp_path / ".a.partial" / leftover).mkdir(parents=True)
        (tmp_path / ".a.partial" / leftover / "half").write_text("x")
    (tmp_path / "a").mkdir()
    write(tmp_path / "a", "1")
    assert content(tmp_path) == {"a/file": "1"}


def test_the_old_folder_is_restored_after_a_crash_between_two_renames(tmp_path: Path) -> None:
    (tmp_path / ".a.partial" / "old").mkdir(parents=True)
    (tmp_path / ".a.partial" / "old" / "file").write_text("1")
    with pytest.raises(InputError), atomic_folder(tmp_path / "a"):
        raise InputError("not this time")
    assert content(tmp_path) == {"a/file": "1"}


def test_an_error_leaves_all_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "a", "1")
    with pytest.raises(WriteError, match=r"No space left on device\. Make room"), atomic_folder(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    assert content(tmp_path) == {"a/file": "1"}
    with pytest.raises(FileNotFoundError, match="ours"), atomic_folder(tmp_path / "a"):
        raise OwnError("ours")
    assert content(tmp_path) == {"a/file": "1"}


class OwnError(MusicZooError, FileNotFoundError):
    """An error made on purpose that is also one of the system's."""


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".a.partial").write_text("somebody's")
    with pytest.raises(WriteError, match="File exists"), atomic_folder(tmp_path / "a"):
        pass
    assert (tmp_path / ".a.partial").read_text() == "somebody's"


def test_a_folder_that_vanishes_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mkdir` finds it there, and then nobody does: its holder has ended in between."""
    make, refused = os.mkdir, []

    def mkdir(path: str | Path, mode: int = 0o777) -> None:
        if not refused:
            refused.append(path)
            raise FileExistsError(17, "File exists")
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with atomic_folder(tmp_path / "a") as new:
        (new / "file").write_text("1")
    assert refused == [tmp_path / ".a.partial"]
    assert content(tmp_path) == {"a/file": "1"}


def test_one_waits_for_another(tmp_path: Path) -> None:
    """Eight threads, each with a separate lock, as processes have: no file of one is in the folder of another."""
    ends: list[dict[str, str]] = []

    def fill(name: str) -> None:
        with atomic_folder(tmp_path / "a") as new:
            for i in range(20):
                (new / f"{name}{i}").write_text(name)
            ends.append(content(new))

    threads = [threading.Thread(target=fill, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(end) for end in ends] == [20] * 8
    assert all(len(set(end.values())) == 1 for end in ends)
    assert len(content(tmp_path)) == 20
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
