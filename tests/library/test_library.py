"""`Library` as a user uses it: build, resume, search, maintain."""

import dataclasses
import json
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shelf
from toy import CARD, music, write_audio, write_model

import musiczoo
from musiczoo.errors import InputError, LibraryError, SpaceMismatchError, UnknownNameError
from musiczoo.library.database import Database
from musiczoo.library.library import Library
from musiczoo.library.records import EXCERPTS


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Three songs."""
    (tmp_path / "songs").mkdir()
    for i in range(3):
        write_audio(tmp_path / "songs" / f"{i}.wav", music(4 + 3 * i, seed=i))
    return tmp_path / "songs"


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A model of another space."""
    return write_model(tmp_path / "stranger", dataclasses.replace(CARD, name="stranger", space_id="stranger-9"))


def test_build_open_and_search(toy_folder: Path, songs: Path, tmp_path: Path) -> None:
    with Library.build(toy_folder, songs, path=tmp_path / "l.db", progress=False) as library:
        assert len(library) == 3
        assert "3 tracks, model='toy'" in repr(library)
    with Library.open(tmp_path / "l.db", model=toy_folder) as library:
        assert library.config.excerpts == EXCERPTS
        hits = library.search(str(songs / "0.wav"), fold_duplicates=False)
        assert sorted(os.path.basename(hit.path) for hit in hits) == ["1.wav", "2.wav"]
        vectors = {Path(entry.path).name: entry.embedding for entry in library.database.entries()}
        for hit in hits:
            expected = float(vectors["0.wav"] @ vectors[Path(hit.path).name])  # equal weights: the whole's cosine
            assert hit.score == pytest.approx(expected, abs=1e-5)


def test_build_takes_a_loaded_model(toy: musiczoo.Model, songs: Path, tmp_path: Path) -> None:
    with Library.build(toy, songs, path=tmp_path / "l.db", progress=False) as library:
        assert library.model() is toy


def test_build_resumes(toy_folder: Path, songs: Path, tmp_path: Path) -> None:
    with Library.build(toy_folder, songs, path=tmp_path / "l.db", excerpts=2, progress=False) as library:
        revision = library.database.revision()
    write_audio(songs / "new.wav", music(7, seed=9))
    with Library.build(toy_folder, songs, path=tmp_path / "l.db", progress=False) as library:
        assert len(library) == 4
        assert library.config.excerpts == 2
        assert library.database.revision() == revision + 1
    with pytest.raises(LibraryError, match=r"has 2 excerpts.*got 3"):
        Library.build(toy_folder, songs, path=tmp_path / "l.db", excerpts=3, progress=False)


def test_the_number_of_excerpts_is_respected(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    write_audio(tmp_path / "songs" / "long.wav", music(45))
    for excerpts, count in ((None, EXCERPTS), (4, 4), (0, 15)):
        path = tmp_path / f"{excerpts}.db"
        with Library.build(toy_folder, tmp_path / "songs", path=path, excerpts=excerpts, progress=False) as library:
            assert [entry.excerpts for entry in library.database.entries()] == [count]
            assert library.config.excerpts == (count if excerpts != 0 else None)
    for excerpts in (-1, 1.5, True):
        with pytest.raises(InputError, match="0 for whole tracks"):
            Library.open_or_create(tmp_path / "never.db", toy_folder, excerpts)  # type: ignore[arg-type]
    assert not (tmp_path / "never.db").exists()


def test_another_space_is_refused_everywhere(toy_folder: Path, stranger: Path, songs: Path, tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    Library.build(toy_folder, songs, path=path, progress=False).close()
    write_audio(songs / "new.wav", music(7, seed=9))
    model = musiczoo.load(stranger)
    with pytest.raises(SpaceMismatchError, match=r"toy-1.*stranger-9"):
        Library.build(stranger, songs, path=path, progress=False)
    with pytest.raises(SpaceMismatchError, match=r"toy-1.*stranger-9"):
        Library.open(path, model=model)
    with Library.open(path) as library:
        with pytest.raises(SpaceMismatchError, match=r"toy-1.*stranger-9"):
            library.index(songs, model=model, progress=False)
        with pytest.raises(SpaceMismatchError, match=r"toy-1.*stranger-9"):
            library.search(model.analyze(songs / "new.wav"))
        assert len(library) == 3
        library.index(songs, model=toy_folder, progress=False)
        assert len(library) == 4


def test_model_of_a_library_is_found_by_its_name(
    toy_folder: Path, stranger: Path, songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Library.build(toy_folder, songs, path=tmp_path / "l.db", progress=False).close()
    with Library.open(tmp_path / "l.db") as library, pytest.raises(UnknownNameError, match="'toy'"):
        library.model()
    (tmp_path / "home" / "zoo").mkdir(parents=True)
    monkeypatch.setenv("MUSICZOO_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "zoo" / "toy").symlink_to(stranger)
    with Library.open(tmp_path / "l.db") as library, pytest.raises(SpaceMismatchError, match="stranger-9"):
        library.model()
    (tmp_path / "home" / "zoo" / "toy").unlink()
    (tmp_path / "home" / "zoo" / "toy").symlink_to(toy_folder)
    with Library.open(tmp_path / "l.db") as library:
        assert library.model().name == "toy"
        assert library.index(songs, progress=False).unchanged == 3


def test_misspelt_folder_makes_no_library(toy_folder: Path, songs: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="No such folder"):
        Library.build(toy_folder, tmp_path / "musik", path=tmp_path / "l.db")
    with pytest.raises(UnknownNameError, match="unknown-model"):
        Library.build("unknown-model", songs, path=tmp_path / "l.db")
    with pytest.raises(InputError, match="Pass its name"):
        Library.open_or_create(tmp_path / "l.db")
    with pytest.raises(LibraryError, match="musiczoo index"):
        Library.open(tmp_path / "l.db")
    assert not (tmp_path / "l.db").exists()


@pytest.mark.parametrize("wait", [False, True])
def test_a_library_that_another_process_makes_meanwhile_is_opened(
    wait: bool, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Database.create

    def too_late(path: Path, *rest: Any) -> Database:
        create(path, *rest).close()  # the other process
        return create(path, *rest)

    monkeypatch.setattr(Database, "create", too_late)
    with Library.open_or_create(tmp_path / "l.db", toy_folder, 3, wait) as library:
        assert library.config.excerpts == 3
    with pytest.raises(LibraryError, match="has 3 excerpts"):
        Library.open_or_create(tmp_path / "l.db", toy_folder, 4, wait)


def test_home_is_expanded(toy_folder: Path, songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Library.build(toy_folder, "~/songs", path="~/l.db", progress=False).close()
    with Library.open("~/l.db") as library:
        assert len(library) == 3
    assert (tmp_path / "l.db").is_file()


def test_an_open_library_sees_what_is_indexed(toy_folder: Path, songs: Path, tmp_path: Path) -> None:
    with Library.build(toy_folder, songs, path=tmp_path / "l.db", progress=False) as library:
        assert len(library.search(str(songs / "0.wav"), fold_duplicates=False)) == 2
        write_audio(songs / "new.wav", music(7, seed=9))
        assert library.index(songs, progress=False).added == 1
        assert len(library) == 4
        assert len(library.search(str(songs / "0.wav"), fold_duplicates=False)) == 3
        (songs / "1.wav").unlink()
        assert library.index(songs, progress=False).removed == 1
        assert len(library.search(str(songs / "0.wav"), fold_duplicates=False)) == 2


def test_one_file_is_left_when_all_is_closed(toy_folder: Path, songs: Path, tmp_path: Path) -> None:
    """A copy of library.db is complete without other files."""
    (tmp_path / "here").mkdir()
    Library.build(toy_folder, songs, path=tmp_path / "here" / "l.db", progress=False).close()
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["l.db", "l.db.lock"]


def test_readers_do_not_mind_a_writer(database: Database, library_path: Path) -> None:
    with Library.open(library_path) as library:
        assert len(library) == 12
        with pytest.raises(LibraryError, match=f"process {os.getpid()}"):
            library.vacuum()


def test_stats(library_path: Path) -> None:
    with Library.open(library_path) as library:
        stats = library.stats()
    seconds = sum(100 + 10 * i for i in range(12))
    assert stats["tracks"] == 12
    assert stats["hours"] == pytest.approx(seconds / 3600, abs=1e-3)
    assert stats["excerpts_heard"] == 120
    assert (stats["artists"], stats["albums"], stats["failures"]) == (3, 6, 1)
    assert (stats["model"], stats["space_id"], stats["excerpts"]) == ("toy", "toy-1", 10)
    assert stats["dimensions"] == list(CARD.spaces)
    assert stats["search"]["engine"] == "exact"
    assert stats["bytes"] >= library_path.stat().st_size > 12 * 4 * (256 + 50)
    assert json.loads(json.dumps(stats)) == stats


def test_empty_library_has_stats_and_finds_nothing(toy: musiczoo.Model, songs: Path, tmp_path: Path) -> None:
    with Library.open_or_create(tmp_path / "l.db", toy) as library:
        assert library.stats()["tracks"] == 0
        assert library.verify() == []
        assert library.search(str(songs / "0.wav")) == []


def test_verify_finds_no_problems_after_indexing(toy_folder: Path, songs: Path, tmp_path: Path) -> None:
    with Library.build(toy_folder, songs, path=tmp_path / "l.db", progress=False) as library:
        assert library.verify() == []
        (songs / "0.wav").unlink()
        write_audio(songs / "1.wav", music(8, seed=8))
        gone, changed = library.verify()
    assert str(songs / "0.wav") in gone
    assert "gone" in gone
    assert str(songs / "1.wav") in changed
    assert "changed" in changed


@pytest.mark.parametrize(
    ("column", "blob", "said"),
    [
        ("embedding", np.full(256, 0.5, "<f4").tobytes(), "length 4.000, not 0.500"),
        ("embedding", np.full(256, math.nan, "<f4").tobytes(), "not finite"),
        ("embedding", b"\0" * 12, "wrong size"),
        ("tags", np.full(50, 1.5, "<f4").tobytes(), "from 0 to 1"),
    ],
)
def test_verify_finds_invalid_vectors(
    music_folder: Path, library_path: Path, column: str, blob: bytes, said: str
) -> None:
    connection = sqlite3.connect(library_path)
    connection.execute(f"UPDATE tracks SET {column} = ? WHERE id = 5", (blob,))
    connection.commit()
    connection.close()
    with Library.open(library_path) as library:
        problems = library.verify()
    assert problems
    assert all(str(shelf.paths(music_folder)[4]) in problem for problem in problems)
    assert said in problems[0]


def test_vacuum_returns_the_bytes_freed(library_path: Path) -> None:
    with Database.open(library_path, write=True) as database, database.transaction():
        template = shelf.entries(Path("/m"))[0]
        for i in range(200):
            database.add(dataclasses.replace(template, path=f"/m/{i}.wav"))
        for number in database.select_ids("path GLOB '/m/[0-9]*'").tolist():
            database.remove(number)
    with Library.open(library_path) as library:
        before = library_path.stat().st_size
        gained = library.vacuum()
        assert gained > 100_000
        assert library_path.stat().st_size < before
        assert len(library) == 12


def test_failures_are_listed(library_path: Path) -> None:
    with Library.open(library_path) as library:
        (failure,) = library.failures()
    assert Path(failure.path).name == shelf.BAD


def test_the_public_names_import_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, musiczoo.library\n"
        "from musiczoo.library import Library, Filters, Hit, Query\n"
        "heavy = {'onnxruntime', 'mutagen', 'faiss', 'pyarrow', 'rich', 'tensorflow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_progress_bar_reports_failures_on_stderr(toy_folder: Path, songs: Path, tmp_path: Path, capfd: Any) -> None:
    (songs / "bad [red]name.ogg").write_text("not music")
    Library.build(toy_folder, songs, path=tmp_path / "l.db").close()
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("warning: ")
    assert "bad [red]name.ogg" in err
