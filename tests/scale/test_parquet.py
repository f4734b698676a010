"""Parts: what is written is read, and imported into a library."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from catalogue import CONFIG, entry, same
from pyarrow import parquet as pq

from musiczoo.errors import InputError, LibraryError, SpaceMismatchError
from musiczoo.library.database import Database
from musiczoo.library.records import Entry, Failure, LibraryConfig
from musiczoo.scale import parquet, remote_files

FAILURE = Failure("/music/bad.mp3", 7, 8, "AudioError", "It is text.", "2024-01-01T00:00:00+00:00")
ROWS = [
    entry(
        "/music/a.flac",
        1,
        title="A",
        artist="Ä; Ö",
        album="B",
        genre="Jazz",
        year=1999,
        album_artist="Various",
        artists=("Ä", "Ö"),
        warnings=("It ends early.", "It is short."),
        fingerprint=bytes(range(180)),
        track_number=3,
        recording_mbid="a" * 36,
        release_mbid="b" * 36,
        artist_mbids=("c" * 36, "d" * 36),
        album_artist_mbids=("e" * 36,),
        isrcs=("DEA123456789", "USB123456789"),
    ),
    FAILURE,
    entry("s3://bucket/b.mp3", 2),
    entry("/music/\udcff.mp3", 3, title="bad \udcff title"),  # a name that is no UTF-8
]


def write(path: Path, rows: list[Entry | Failure], config: LibraryConfig = CONFIG) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet.encode(rows, config, "digest"))
    return str(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    part = write(tmp_path / "a.parquet", ROWS)
    expected = [*ROWS[:3], dataclasses.replace(ROWS[3], title="bad \ufffd title")]
    assert all(same(a, b) for a, b in zip(parquet.read(part), expected, strict=True))
    assert parquet.inspect(part) == parquet.Part(CONFIG, "digest", rows=4, failed=1)


def test_other_tools_read_the_schema_that_is_documented(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "a.parquet", ROWS))
    documented = [name.strip() for line in parquet.__doc__.split("::\n")[1].split("\n\nA row")[0].splitlines()
                  for name in line.strip().split("  ")[0].split(",") if name]  # fmt: skip
    assert table.schema.names == documented
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 256)
    assert table.schema.field("tags").type == pa.list_(pa.float32(), 50)
    assert table.column("path").to_pylist() == ["/music/a.flac", FAILURE.path, "s3://bucket/b.mp3", "/music/\ufffd.mp3"]
    assert table.column("path_bytes").to_pylist() == [None, None, None, b"/music/\xff.mp3"]
    assert table.column("error").to_pylist() == [None, "It is text.", None, None]
    assert table.column("embedding").null_count == table.column("hash").null_count == 1
    np.testing.assert_array_equal(np.stack(table.column("tags").to_pylist()[2:]), [ROWS[2].tags, ROWS[3].tags])
    assert set(table.column("space_id").to_pylist()) == {"toy-1"}


def test_a_part_of_failures_alone(tmp_path: Path) -> None:
    part = write(tmp_path / "a.parquet", [FAILURE])
    assert same(next(parquet.read(part)), FAILURE)


@pytest.mark.parametrize("keep", [0, 4, 500])
def test_a_truncated_part_is_reported(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet.encode(ROWS, CONFIG, "digest")[:keep])
    with pytest.raises(LibraryError, match=r"a\.parquet is not a complete Parquet part"):
        parquet.inspect(path)


def test_other_parquet_files_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(LibraryError, match="made by musiczoo"):
        parquet.inspect(tmp_path / "a.parquet")


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "FORMAT", 4)
    part = write(tmp_path / "a.parquet", ROWS)
    monkeypatch.undo()
    with pytest.raises(LibraryError, match="newer than 3"):
        parquet.inspect(part)


def test_parts_of_format_1_are_read(tmp_path: Path) -> None:
    """files/format-1.parquet was made by the last version of musiczoo that wrote format 1."""
    part = Path(__file__).parent / "files" / "format-1.parquet"
    assert parquet.inspect(part) == parquet.Part(CONFIG, "digest", rows=3, failed=1, format=1)
    said = {"title": "A", "artist": "Anna; Böhm", "album": "B", "genre": "Jazz", "year": 1999}
    expected = [entry("/music/a.flac", 1, **said), FAILURE, entry("/music/b.mp3", 2)]
    assert all(same(a, b) for a, b in zip(parquet.read(part), expected, strict=True))
    assert parquet.import_parts(tmp_path / "library.db", [part]) == parquet.ImportReport(2, 0, 0, 1)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_part_with_the_columns_of_another_format_is_refused(tmp_path: Path, version: int) -> None:
    about = {"format": version, "facts": CONFIG.to_dict(), "shard": "", "failed": 0}
    table = parquet.schema(CONFIG, version % 3 + 1).empty_table()
    pq.write_table(table.replace_schema_metadata({b"musiczoo": json.dumps(about)}), tmp_path / "a.parquet")
    with pytest.raises(LibraryError, match="other columns"):
        list(parquet.read(tmp_path / "a.parquet"))


def test_parts_become_a_library(tmp_path: Path) -> None:
    parts = [write(tmp_path / "parts" / "a.parquet", ROWS[:2]), write(tmp_path / "parts" / "b.parquet", ROWS[2:])]
    library = tmp_path / "library.db"
    assert parquet.import_parts(library, [tmp_path / "parts"]) == parquet.ImportReport(3, 0, 0, 1)
    with Database.open(library) as database:
        expected = {row.path: row for row in ROWS if isinstance(row, Entry)}
        assert {row.path for row in database.entries()} == set(expected)
        assert all(same(dataclasses.replace(row, title=None), dataclasses.replace(expected[row.path], title=None))
                   for row in database.entries())  # fmt: skip
        assert [same(a, FAILURE) for a in database.failures()] == [True]
        assert database.config == CONFIG
        revision, failed_at = database.revision(), database.failures()[0].failed_at
    # Again: nothing changes.
    assert parquet.import_parts(library, parts) == parquet.ImportReport(0, 0, 3, 1)
    with Database.open(library) as database:
        assert (database.revision(), database.failures()[0].failed_at) == (revision, failed_at)


def test_changed_songs_replace_what_the_library_knows(tmp_path: Path) -> None:
    library = tmp_path / "library.db"
    parquet.import_parts(library, [write(tmp_path / "a.parquet", [ROWS[0], FAILURE])])
    mended, broken = entry(FAILURE.path, 5), dataclasses.replace(FAILURE, path=ROWS[0].path)
    changed = [broken, mended, entry("s3://bucket/b.mp3", 2)]
    assert parquet.import_parts(library, [write(tmp_path / "b.parquet", changed)]) == parquet.ImportReport(2, 0, 0, 1)
    again = [entry(FAILURE.path, 6)]
    assert parquet.import_parts(library, [write(tmp_path / "c.parquet", again)]) == parquet.ImportReport(0, 1, 0, 0)
    with Database.open(library) as database:
        assert {row.path for row in database.entries()} == {FAILURE.path, "s3://bucket/b.mp3"}
        assert [failure.path for failure in database.failures()] == [ROWS[0].path]


def test_parts_of_another_space_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    library = tmp_path / "library.db"
    other = dataclasses.replace(CONFIG, space_id="toy-2")
    write(tmp_path / "parts" / "a.parquet", ROWS[:1])
    write(tmp_path / "parts" / "b.parquet", ROWS[2:3], other)
    with pytest.raises(SpaceMismatchError, match=r"b\.parquet.*'toy-1'.*'toy-2'"):
        parquet.import_parts(library, [tmp_path / "parts"])
    with Database.open(library) as database:
        assert len(database) == 0


@pytest.mark.parametrize(("setting", "value"), [("excerpts", 5), ("version", "2"), ("hop_s", 1.5)])
def test_parts_made_with_other_settings_are_refused(tmp_path: Path, setting: str, value: object) -> None:
    write(tmp_path / "a.parquet", ROWS[:1])
    parquet.import_parts(tmp_path / "library.db", [tmp_path / "a.parquet"])
    part = write(tmp_path / "b.parquet", ROWS[:1], dataclasses.replace(CONFIG, **{setting: value}))
    with pytest.raises(LibraryError, match=setting):
        parquet.import_parts(tmp_path / "library.db", [part])


def test_places_without_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No Parquet parts"):
        parquet.import_parts(tmp_path / "library.db", [tmp_path])
    with pytest.raises(InputError, match="No parts to import"):
        parquet.import_parts(tmp_path / "library.db", [])
    assert not (tmp_path / "library.db").exists()


def test_parts_in_an_object_store(tmp_path: Path) -> None:
    fs, folder = remote_files.system("memory://catalogue")
    remote_files.write(fs, f"{folder}/a.parquet", parquet.encode(ROWS[:2], CONFIG, "digest"))
    remote_files.write(fs, f"{folder}/a.parquet", parquet.encode(ROWS, CONFIG, "digest"))  # again, over the first
    assert remote_files.files("memory://catalogue") == ["memory:///catalogue/a.parquet"]
    report = parquet.import_parts(tmp_path / "library.db", ["memory://catalogue"])
    assert report == parquet.ImportReport(3, 0, 0, 1)
    fs.rm(folder, recursive=True)
