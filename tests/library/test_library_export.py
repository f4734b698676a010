"""Exports, read back by pyarrow, numpy and csv, against the records of the library."""

import csv
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shelf
from toy import CARD

from musiczoo.errors import InputError, LibraryError, MissingDependencyError, UnknownNameError, WriteError
from musiczoo.library import Library
from musiczoo.library.database import Database
from musiczoo.library.export import COLUMNS

NAMELESS = os.fsdecode(b"/music/\xff.wav")
"""A path that is not UTF-8."""
IDS = {
    "track_number": 3, "recording_mbid": "a" * 36, "release_mbid": "b" * 36, "artist_mbids": ("c" * 36, "d" * 36),
    "isrcs": ("DEA123456789",),
}  # fmt: skip


@pytest.fixture
def library(library_path: Path) -> Any:
    """The twelve tracks, and two more: one without metadata and with a bad name, one with several artists."""
    first = shelf.entries(Path("/music"))[0]
    with Database.open(library_path, write=True) as database:
        blank = {"title": None, "artist": None, "album": None, "genre": None, "year": None}
        for values in (
            {"path": NAMELESS, **blank},
            {"path": "/music/both.wav", "artists": ("Anna", 'B "Ö", C'), **IDS},
        ):
            database.add(dataclasses.replace(first, **values))
    with Library.open(library_path) as opened:
        yield opened


def expected(library: Library) -> list[dict[str, Any]]:
    """The columns of all tracks, written out."""
    rows = []
    for entry in library.entries():
        row = {name: getattr(entry, name) for name in COLUMNS}
        row["artists"] = "; ".join(entry.artists) if entry.artists else entry.artist
        row |= {name: "; ".join(row[name]) or None for name in ("artist_mbids", "album_artist_mbids", "isrcs")}
        row["path"] = "/music/\ufffd.wav" if entry.path == NAMELESS else entry.path
        rows.append(row)
    return rows


def test_parquet(library: Library, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert library.export(tmp_path / "a.parquet") == 14
    table = parquet.read_table(tmp_path / "a.parquet")
    rows = table.to_pylist()
    for row, wanted, entry in zip(rows, expected(library), library.entries(), strict=True):
        assert {name: row[name] for name in COLUMNS} == wanted
        assert np.array_equal(np.array(row["embedding"], np.float32), entry.embedding)
        assert np.array_equal(np.array(row["tags"], np.float32), entry.tags)
    config = json.loads(table.schema.metadata[b"musiczoo.library"])
    assert config == library.config.to_dict()
    assert tuple(config["tags"]) == CARD.tags


def test_npz(library: Library, tmp_path: Path) -> None:
    assert library.export(tmp_path / "a.npz") == 14
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        entries = list(library.entries())
        assert np.array_equal(arrays["embedding"], [entry.embedding for entry in entries])
        assert np.array_equal(arrays["tags"], [entry.tags for entry in entries])
        assert (arrays["embedding"].dtype, arrays["tags"].dtype) == (np.float32, np.float32)
        assert tuple(arrays["tag_names"].tolist()) == CARD.tags
        assert json.loads(arrays["config"].item()) == library.config.to_dict()
        for name, kind in COLUMNS.items():
            assert arrays[name].tolist() == [kind() if row[name] is None else row[name] for row in expected(library)]


def test_csv(library: Library, tmp_path: Path) -> None:
    assert library.export(tmp_path / "a.csv") == 14
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[len(COLUMNS) :] == [
        *(f"tag:{tag}" for tag in CARD.tags),
        *(f"embedding:{i}" for i in range(CARD.embedding_size)),
    ]
    for row, wanted, entry in zip(rows, expected(library), library.entries(), strict=True):
        assert {name: row[name] for name in COLUMNS} == {
            name: "" if value is None else str(value) for name, value in wanted.items()
        }
        tags = [np.float32(row[f"tag:{tag}"]) for tag in CARD.tags]
        embedding = [np.float32(row[f"embedding:{i}"]) for i in range(CARD.embedding_size)]
        assert np.array_equal(tags, entry.tags)
        assert np.array_equal(embedding, entry.embedding)


@pytest.mark.parametrize("format", ["parquet", "npz", "csv"])
def test_an_empty_library(tmp_path: Path, format: str) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    Database.create(tmp_path / "empty.db", shelf.CONFIG).close()
    with Library.open(tmp_path / "empty.db") as library:
        assert library.export(tmp_path / f"a.{format}") == 0
    if format == "npz":
        with np.load(tmp_path / "a.npz") as arrays:
            assert arrays["embedding"].shape == (0, CARD.embedding_size)
    if format == "csv":
        assert len((tmp_path / "a.csv").read_text().splitlines()) == 1


def test_the_format_is_an_argument_or_the_ending(library: Library, tmp_path: Path) -> None:
    (tmp_path / "tracks.txt").write_text("an earlier file")
    library.export(tmp_path / "tracks.txt", "csv")
    assert (tmp_path / "tracks.txt").read_text(encoding="utf-8").startswith("path,title,")
    with pytest.raises(UnknownNameError, match=r"txt.*parquet, npz, csv"):
        library.export(tmp_path / "tracks.txt")
    with pytest.raises(UnknownNameError, match="xls"):
        library.export(tmp_path / "tracks.csv", "xls")


def test_impossible_places_are_refused(library: Library, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        library.export(tmp_path, "csv")
    with pytest.raises(InputError, match="library itself"):
        library.export(library.path, "csv")
    with pytest.raises(WriteError):
        library.export(library.path / "a.csv")
    assert len(library) == 14


def test_a_damaged_track_leaves_no_half_file(library_path: Path, tmp_path: Path) -> None:
    with Database.open(library_path, write=True) as database:
        database.write("UPDATE tracks SET embedding = ? WHERE id = 7", (b"\0" * 12,))
    with Library.open(library_path) as library, pytest.raises(LibraryError, match="damaged"):
        library.export(tmp_path / "a.csv")
    assert not [path for path in tmp_path.iterdir() if "a.csv" in path.name]


def test_parquet_needs_pyarrow(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"musiczoo\[parquet\]"):
        library.export(tmp_path / "a.parquet")
