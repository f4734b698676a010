"""Parquet parts: their schema, writing and reading them, and importing them. Needs the extra [parquet].

Schema
------
One row a file, in the order of the shard's paths; E is the size of the embedding, T the number of tags::

    path        string not null             absolute path, or URL (U+FFFD in place of bytes that are not UTF-8)
    path_bytes  binary                      the path's bytes, if they are not UTF-8
    size        int64 not null              bytes of the file; 0 if it could not be read
    mtime_ns    int64 not null              its time of modification; 0 if its store has none
    hash        string                      hex blake2b (16 bytes) of all its bytes
    duration_s  double                      length of the audio
    heard       int32                       number of excerpts analyzed
    embedding   fixed_size_list<float>[E]
    tags        fixed_size_list<float>[T]   probabilities
    title, artist, album, genre  string     from the file's metadata
    year        int32
    album_artist  string                    as the next, since format 2
    artists, warnings  string               one line each
    fingerprint  binary                     see `musiczoo.library.fingerprint`
    track_number  int32                     as the next, since format 3
    recording_mbid, release_mbid  string    MusicBrainz ids
    artist_mbids, album_artist_mbids, isrcs  string   one line each
    model, version, space_id  string not null   the model of the embedding
    error_kind  string                      class of the error; null without an error
    error       string                      its message; null without an error

A row either has an error, or hash, duration_s, heard, embedding and tags. The file's metadata hold, under the key
``musiczoo``, a JSON object: ``format`` (3; 1 and 2 are read, too), ``facts`` (the fields of
`musiczoo.library.records.LibraryConfig`) and ``shard``, the digest of the shard (see `shards`).
"""

import dataclasses
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from .._paths import as_text, to_bytes
from ..errors import InputError, LibraryError, MissingDependencyError
from ..library.database import Database
from ..library.records import (
    Entry,
    Failure,
    KnownTrack,
    LibraryConfig,
    check_vectors,
    column_value,
    field_value,
    fields_of,
)
from ..library.sqlite import columns_added
from . import remote_files

try:
    import pyarrow as pa
    from pyarrow import parquet
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "Parts are written with pyarrow, which is not installed. Install it with: pip install 'musiczoo[parquet]'"
    ) from error

FORMAT = 3
"""Version of the schema."""

SUFFIX = ".parquet"

Row = Entry | Failure
"""The record of a file."""

_DAMAGED = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
"""Exceptions that pyarrow raises for damaged files."""

_KEY = b"musiczoo"
_VECTORS = ("embedding", "tags")
_SHARED = ("size", "mtime_ns")
_ENTRY = ("hash", "duration_s", "heard", "title", "artist", "album", "genre", "year")
_ADDED = {"TEXT": pa.string(), "BLOB": pa.binary(), "INTEGER": pa.int32()}
"""Type of a column that a format added, in SQLite and here."""
_STATES = ("hash", "size", "mtime_ns")


@dataclass(frozen=True)
class Part:
    """The footer of a part.

    Attributes:
        config: The model and the settings of its embeddings.
        shard: Digest of its shard.
        rows: Number of files in it.
        failed: Number of those that could not be analyzed.
        format: Version of the schema.

    Example:
        >>> config = LibraryConfig.from_card(musiczoo.load("disentangled-classification").card)
        >>> Part(config, "9f86d081884c7d65", rows=256, failed=1).format
        3
    """

    config: LibraryConfig
    shard: str
    rows: int
    failed: int
    format: int = FORMAT


@dataclass(frozen=True)
class ImportReport:
    """The numbers of tracks that an import added, changed and left unchanged, and of files that had failed.

    Attributes:
        added: Number of tracks that were not in the library.
        changed: Number of tracks whose records differed.
        unchanged: Number of tracks that were in the library already.
        failed: Number of files that could not be analyzed.

    Example:
        >>> ImportReport(added=254, changed=0, unchanged=1, failed=1).added
        254
    """

    added: int
    changed: int
    unchanged: int
    failed: int


def schema(config: LibraryConfig, version: int = FORMAT) -> Any:
    """Return the pyarrow schema of the parts of a model and a format.

    Args:
        config: Gives the sizes of the embedding and of the tags.
        version: The format, from 1.

    Example:
        >>> config = LibraryConfig.from_card(musiczoo.load("disentangled-classification").card)
        >>> schema(config).field("embedding").type.list_size
        256
    """

    def text(name: str, nullable: bool = True) -> Any:
        return pa.field(name, pa.string(), nullable)

    added = [pa.field(name, _ADDED[kind]) for name, kind in columns_added(1, version).items()]
    return pa.schema(
        [
            text("path", False), pa.field("path_bytes", pa.binary()),
            pa.field("size", pa.int64(), False), pa.field("mtime_ns", pa.int64(), False),
            text("hash"), pa.field("duration_s", pa.float64()), pa.field("heard", pa.int32()),
            pa.field("embedding", pa.list_(pa.float32(), config.embedding_size)),
            pa.field("tags", pa.list_(pa.float32(), len(config.tags))),
            text("title"), text("artist"), text("album"), text("genre"), pa.field("year", pa.int32()),
            *added,
            text("model", False), text("version", False), text("space_id", False),
            text("error_kind"), text("error"),
        ]
    )  # fmt: skip


def encode(rows: Sequence[Row], config: LibraryConfig, shard: str) -> bytes:
    """Return the bytes of a part.

    Args:
        rows: The records, in the order of the shard's paths.
        config: The model and the settings of their embeddings.
        shard: Digest of the shard.

    Example:
        >>> from musiczoo.scale.shards import analyze_remote
        >>> model = musiczoo.load("disentangled-classification")
        >>> config = LibraryConfig.from_card(model.card, excerpts=1)
        >>> row = analyze_remote(model, config, os.path.abspath("song.ogg"))
        >>> encode([row], config, "9f86d081884c7d65")[:4]
        b'PAR1'
    """
    failed = sum(isinstance(row, Failure) for row in rows)
    about = {"format": FORMAT, "facts": config.to_dict(), "shard": shard, "failed": failed}
    table = pa.Table.from_pylist([_plain(row, config) for row in rows], schema(config))
    sink = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata({_KEY: json.dumps(about)}), sink)
    return sink.getvalue()


def inspect(place: str | os.PathLike[str]) -> Part:
    """Read the footer of a part, but not its rows.

    Raises:
        LibraryError: If the file is missing, truncated, not a part, or of a newer format.

    Example:
        >>> config = LibraryConfig.from_card(musiczoo.load("disentangled-classification").card)
        >>> with open("empty.parquet", "wb") as file:
        ...     _ = file.write(encode([], config, "9f86d081884c7d65"))
        >>> part = inspect("empty.parquet")
        >>> part.config.model, part.shard, part.rows
        ('disentangled-classification', '9f86d081884c7d65', 0)
    """
    with _opened(place) as file:
        return _part(file.metadata, os.fspath(place))


def read(place: str | os.PathLike[str]) -> Iterator[Row]:
    """Yield the records of a part. The time of a failure is the time of reading.

    Raises:
        LibraryError: If the file is missing, truncated, not a part, or of a newer format.

    Example:
        >>> from musiczoo.scale.shards import analyze_remote
        >>> model = musiczoo.load("disentangled-classification")
        >>> config = LibraryConfig.from_card(model.card, excerpts=1)
        >>> row = analyze_remote(model, config, os.path.abspath("song.ogg"))
        >>> with open("song.parquet", "wb") as file:
        ...     _ = file.write(encode([row], config, "9f86d081884c7d65"))
        >>> [os.path.basename(entry.path) for entry in read("song.parquet")]
        ['song.ogg']
    """
    with _opened(place) as file:
        part = _part(file.metadata, os.fspath(place))
        config, expected = part.config, schema(part.config, part.format)
        if not file.schema_arrow.equals(expected):
            raise _not_a_part(place, "it has other columns")
        try:
            for batch in file.iter_batches(batch_size=1024):
                columns = {name: batch.column(name).to_pylist() for name in expected.names if name not in _VECTORS}
                vectors = {name: _matrix(batch.column(name)) for name in _VECTORS}
                for i in range(batch.num_rows):
                    yield _row({name: values[i] for name, values in (columns | vectors).items()}, config)
        except _DAMAGED as error:
            raise _not_a_part(place, error) from error


def find_parts(places: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the full names of the parts among files, folders and URLs, sorted.

    Raises:
        InputError: If there is no part at one of them.

    Example:
        >>> config = LibraryConfig.from_card(musiczoo.load("disentangled-classification").card)
        >>> with open("empty.parquet", "wb") as file:
        ...     _ = file.write(encode([], config, "9f86d081884c7d65"))
        >>> [os.path.basename(name) for name in find_parts(["."])]  # other files are ignored
        ['empty.parquet']
    """
    found: set[str] = set()
    for place in places:
        parts = [name for name in remote_files.files(place) if name.endswith(SUFFIX)]
        if not parts:
            raise InputError(
                f"No Parquet parts in {os.fspath(place)}. Pass parts made by musiczoo index --engine dask."
            )
        found.update(parts)
    return sorted(found)


def import_parts(
    library: str | os.PathLike[str], parts: Sequence[str | os.PathLike[str]], wait: bool = False
) -> ImportReport:
    """Import parts into a library: the result is the same as if their files had been indexed. Idempotent.

    Args:
        library: The library's file, which is created if it does not exist.
        parts: Parts, or folders or URLs of parts. All are checked before the first is written. Each is one transaction:
            start an interrupted import again.
        wait: Wait for another writer to finish, instead of raising.

    Returns:
        The numbers of tracks that were added, changed and left unchanged, and of failed files.

    Raises:
        InputError: If there is no part at one of the places.
        LibraryError: If a file is not a part, or was made with other settings than the library or the other parts; or
            if the library cannot be opened or written.
        SpaceMismatchError: If a part has embeddings of another space.

    Example:
        >>> from musiczoo.scale.shards import analyze_remote, find_audio
        >>> model = musiczoo.load("disentangled-classification")
        >>> config = LibraryConfig.from_card(model.card, excerpts=1)
        >>> rows = [analyze_remote(model, config, name) for name in find_audio(["a.mp3", "b.mp3"])]
        >>> with open("songs.parquet", "wb") as file:
        ...     _ = file.write(encode(rows, config, "9f86d081884c7d65"))
        >>> import_parts("imported.db", ["songs.parquet"])
        ImportReport(added=2, changed=0, unchanged=0, failed=0)
        >>> import_parts("imported.db", ["songs.parquet"])
        ImportReport(added=0, changed=0, unchanged=2, failed=0)
    """
    names = find_parts(parts)
    configs = [inspect(name).config for name in names]
    if not names:
        raise InputError("No parts to import. Pass one or more.")
    with _open_or_create(library, configs[0], wait) as database:
        for name, config in zip(names, configs, strict=True):
            _check_settings(name, database.config, config)
        known = database.known()
        failures = {failure.path: failure for failure in database.failures()}
        counts = dict.fromkeys((f.name for f in dataclasses.fields(ImportReport)), 0)
        for name in names:
            with database.transaction():
                for row in read(name):
                    counts[_import(database, row, known, failures)] += 1
    return ImportReport(**counts)


def _import(database: Database, row: Row, known: dict[str, KnownTrack], failures: dict[str, Failure]) -> str:
    """Write a record if it differs from that of the library; return the count to raise."""
    if isinstance(row, Failure):
        before = failures.get(row.path)
        if before is None or dataclasses.replace(before, failed_at=row.failed_at) != row:
            database.add_failure(row)
        return "failed"
    track = known.get(row.path)
    if track and all(getattr(track, name) == getattr(row, name) for name in _STATES):
        return "unchanged"
    database.add(row)
    return "changed" if track else "added"


def _open_or_create(library: str | os.PathLike[str], config: LibraryConfig, wait: bool) -> Database:
    if os.path.exists(library):
        return Database.open(library, write=True, wait=wait)
    return Database.create(library, config, wait=wait)


def _check_settings(name: str, expected: LibraryConfig, config: LibraryConfig) -> None:
    """Refuse a part that was made with other settings."""
    expected.check(name, config.space_id)
    for setting in ("version", "excerpts", "hop_s", "tags"):
        wanted, got = getattr(expected, setting), getattr(config, setting)
        if wanted != got:
            raise LibraryError(
                f"Cannot import {name}: it was made with {setting} {got!r}, the library with {wanted!r}. Make it "
                "again with the library's settings, or import it into another library."
            )


def _opened(place: str | os.PathLike[str]) -> Any:
    fs, path = remote_files.system(place)
    try:
        return parquet.ParquetFile(path, filesystem=fs, pre_buffer=False)
    except _DAMAGED as error:
        raise _not_a_part(place, error) from error


def _not_a_part(place: str | os.PathLike[str], reason: object) -> LibraryError:
    return LibraryError(f"{os.fspath(place)} is not a complete Parquet part: {reason}. Delete it and index again.")


def _part(metadata: Any, name: str) -> Part:
    try:
        about = json.loads((metadata.metadata or {})[_KEY])
        version, config = about["format"], LibraryConfig.from_dict(about["facts"])
        if not isinstance(version, int) or version < 1:
            raise TypeError("the format is not a number")
        part = Part(config, str(about["shard"]), metadata.num_rows, int(about["failed"]), version)
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise LibraryError(f"{name} is a Parquet file that was not made by musiczoo. Choose another.") from error
    if version > FORMAT:
        raise LibraryError(
            f"Cannot read {name}: its format {version} is newer than {FORMAT}, the newest that this musiczoo reads. "
            "Update musiczoo: pip install -U musiczoo"
        )
    return part


def _plain(row: Row, config: LibraryConfig) -> dict[str, Any]:
    """Return a record as columns for pyarrow."""
    raw = to_bytes(row.path)
    path = raw.decode("utf-8", "replace")
    values = {"path": path, "path_bytes": raw if path.encode() != raw else None}
    values |= {name: getattr(row, name) for name in _SHARED}
    values |= {"model": config.model, "version": config.version, "space_id": config.space_id}
    if isinstance(row, Failure):
        return values | {"error_kind": row.kind, "error": _text(row.reason)}
    values |= {name: _text(field_value(row, name)) for name in _ENTRY}
    values |= {name: _text(column_value(row, name)) for name in columns_added(1, FORMAT)}
    return values | {name: np.asarray(getattr(row, name), np.float32) for name in _VECTORS}


def _text(value: Any) -> Any:
    """Return text that Parquet can store: no surrogates."""
    return as_text(value) if isinstance(value, str) else value


def _matrix(column: Any) -> Any:
    """Return a column of fixed-size lists, some of which may be null, as ``[rows, n]`` float32."""
    width = column.type.list_size
    filled = column.fill_null([0.0] * width) if column.null_count else column
    return filled.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)


def _row(values: dict[str, Any], config: LibraryConfig) -> Row:
    needed = {"path", "size", "mtime_ns"} | (
        {"error_kind"} if values["error"] is not None else {"hash", "duration_s", "heard"}
    )
    missing = sorted(name for name in needed if values[name] is None)
    if missing:
        raise ValueError(f"a row has no {', '.join(missing)}")
    path = os.fsdecode(values["path_bytes"]) if values["path_bytes"] is not None else values["path"]
    shared: dict[str, Any] = {"path": path} | {name: values[name] for name in _SHARED}
    if values["error"] is not None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Failure(**shared, kind=values["error_kind"], reason=values["error"], failed_at=now)
    shared |= {name: values[name] for name in (*_ENTRY, *_VECTORS)}
    added = {name: values[name] for name in columns_added(1, FORMAT) if name in values}
    return check_vectors(Entry(**fields_of(shared | added)), config)
