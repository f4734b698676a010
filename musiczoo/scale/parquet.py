"""Parts: the Parquet files that shards become, and how they become a library. Needs the extra [parquet].

Schema
------
One row a file, in the order of the shard's paths; E and T are the model's embedding size and number of tags::

    path        string not null             absolute path, or URL (bytes that are no UTF-8 shown as U+FFFD)
    path_bytes  binary                      the path's own bytes, if they are no UTF-8
    size        int64 not null              bytes of the file; 0 if it could not be read
    mtime_ns    int64 not null              its time of modification; 0 if its store does not tell
    hash        string                      hex blake2b (16 bytes) of all its bytes
    duration_s  double                      length of the audio
    heard       int32                       excerpts heard
    embedding   fixed_size_list<float>[E]
    tags        fixed_size_list<float>[T]   probabilities
    title, artist, album, genre  string     from the file's metadata
    year        int32
    album_artist  string                    as the next, since format 2
    artists, warnings  string               several: a line each
    fingerprint  binary                     see `musiczoo.library.fingerprint`
    model, version, space_id  string not null   what made the numbers
    error_kind  string                      class of the error; null in rows that are fine
    error       string                      a sentence; null in rows that are fine

A row either has an error, or hash, duration_s, heard, embedding and tags. The file's metadata hold, under the key
``musiczoo``, a JSON object: ``format`` (2; format 1 is read, too), ``facts`` (`musiczoo.library.records.Facts`) and
``shard``, the digest of the shard (see `manifest`).
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
from ..library.records import Entry, Facts, Failure, Known, column, several, usable
from . import remote_files

try:
    import pyarrow as pa
    from pyarrow import parquet
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "Parts are written with pyarrow, which is not installed. Install it with: pip install 'musiczoo[parquet]'"
    ) from error

FORMAT = 2
"""Of the schema: raised when it changes."""

SUFFIX = ".parquet"

Row = Entry | Failure
"""What became of a file."""

_DAMAGED = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
"""What pyarrow raises at damaged files."""

_KEY = b"musiczoo"
_VECTORS = ("embedding", "tags")
_SHARED = ("size", "mtime_ns")
_ENTRY = ("hash", "duration_s", "heard", "title", "artist", "album", "genre", "year")
_ADDED = ("album_artist", "artists", "warnings", "fingerprint")
"""Fields that format 1 does not have."""
_STATES = ("hash", "size", "mtime_ns")


@dataclass(frozen=True)
class Part:
    """What stands in the footer of a part.

    Attributes:
        facts: What its numbers mean.
        shard: Digest of its shard.
        rows: Files in it.
        failed: Those that could not be heard.
        format: Of the schema.
    """

    facts: Facts
    shard: str
    rows: int
    failed: int
    format: int = FORMAT


@dataclass(frozen=True)
class ImportReport:
    """What an import did: songs added, changed, found as they were, and files that could not be heard."""

    added: int
    changed: int
    unchanged: int
    failed: int


def schema(facts: Facts, version: int = FORMAT) -> Any:
    """The pyarrow schema of the parts of a format that a model makes."""

    def text(name: str, nullable: bool = True) -> Any:
        return pa.field(name, pa.string(), nullable)

    added = [text("album_artist"), text("artists"), text("warnings"), pa.field("fingerprint", pa.binary())]
    return pa.schema(
        [
            text("path", False), pa.field("path_bytes", pa.binary()),
            pa.field("size", pa.int64(), False), pa.field("mtime_ns", pa.int64(), False),
            text("hash"), pa.field("duration_s", pa.float64()), pa.field("heard", pa.int32()),
            pa.field("embedding", pa.list_(pa.float32(), facts.embedding_size)),
            pa.field("tags", pa.list_(pa.float32(), len(facts.tags))),
            text("title"), text("artist"), text("album"), text("genre"), pa.field("year", pa.int32()),
            *(added if version > 1 else ()),
            text("model", False), text("version", False), text("space_id", False),
            text("error_kind"), text("error"),
        ]
    )  # fmt: skip


def encode(rows: Sequence[Row], facts: Facts, shard: str) -> bytes:
    """The bytes of a part."""
    failed = sum(isinstance(row, Failure) for row in rows)
    about = {"format": FORMAT, "facts": facts.plain(), "shard": shard, "failed": failed}
    table = pa.Table.from_pylist([_plain(row, facts) for row in rows], schema(facts))
    sink = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata({_KEY: json.dumps(about)}), sink)
    return sink.getvalue()


def inspect(place: str | os.PathLike[str]) -> Part:
    """A part's footer, without reading its rows.

    Raises:
        LibraryError: If it is missing, cut short, no part, or of a newer format.
    """
    with _opened(place) as file:
        return _part(file.metadata, os.fspath(place))


def read(place: str | os.PathLike[str]) -> Iterator[Row]:
    """A part's rows. Failures bear the time at which they are read.

    Raises:
        LibraryError: If it is missing, cut short, no part, or of a newer format.
    """
    with _opened(place) as file:
        part = _part(file.metadata, os.fspath(place))
        facts, expected = part.facts, schema(part.facts, part.format)
        if not file.schema_arrow.equals(expected):
            raise _no_part(place, "other columns")
        try:
            for batch in file.iter_batches(batch_size=1024):
                columns = {name: batch.column(name).to_pylist() for name in expected.names if name not in _VECTORS}
                vectors = {name: _matrix(batch.column(name)) for name in _VECTORS}
                for i in range(batch.num_rows):
                    yield _row({name: values[i] for name, values in (columns | vectors).items()}, facts)
        except _DAMAGED as error:
            raise _no_part(place, error) from error


def find_parts(places_: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Full names of the parts among files, folders and URLs, sorted.

    Raises:
        InputError: If there is none at one of them.
    """
    found: set[str] = set()
    for place in places_:
        parts = [name for name in remote_files.files(place) if name.endswith(SUFFIX)]
        if not parts:
            raise InputError(f"Expected a Parquet part, or a folder of them, received {os.fspath(place)} without any.")
        found.update(parts)
    return sorted(found)


def import_parts(
    library: str | os.PathLike[str], parts: Sequence[str | os.PathLike[str]], wait: bool = False
) -> ImportReport:
    """Bring parts into a library: the same tracks as if their files had been indexed into it. Idempotent.

    Args:
        library: Its file; made if there is none.
        parts: Parts, or folders or URLs of parts. All are checked before the first is written; each is then one
            transaction, so that an import that was killed is simply started again.
        wait: Wait for another writer to end, instead of raising.

    Raises:
        InputError: If there is no part at one of the places.
        LibraryError: If one is no part, or was made with other settings than the library or the other parts; or if
            the library cannot be opened or written.
        SpaceMismatchError: If its embeddings are of another space.
    """
    names = find_parts(parts)
    facts = [inspect(name).facts for name in names]
    if not names:
        raise InputError("Expected one or more parts to import, received none.")
    with _open_or_create(library, facts[0], wait) as database:
        for name, received in zip(names, facts, strict=True):
            _same(name, database.facts, received)
        known = database.known()
        failures = {failure.path: failure for failure in database.failures()}
        counts = dict.fromkeys((f.name for f in dataclasses.fields(ImportReport)), 0)
        for name in names:
            with database.transaction():
                for row in read(name):
                    counts[_store(database, row, known, failures)] += 1
    return ImportReport(**counts)


def _store(database: Database, row: Row, known: dict[str, Known], failures: dict[str, Failure]) -> str:
    """Write a row where it differs from what the library knows; which count to raise."""
    if isinstance(row, Failure):
        before = failures.get(row.path)
        if before is None or dataclasses.replace(before, failed_at=row.failed_at) != row:
            database.fail(row)
        return "failed"
    track = known.get(row.path)
    if track and all(getattr(track, name) == getattr(row, name) for name in _STATES):
        return "unchanged"
    database.add(row)
    return "changed" if track else "added"


def _open_or_create(library: str | os.PathLike[str], facts: Facts, wait: bool) -> Database:
    if os.path.exists(library):
        return Database.open(library, write=True, wait=wait)
    return Database.create(library, facts, wait=wait)


def _same(name: str, expected: Facts, received: Facts) -> None:
    """Refuse a part that was made with other settings."""
    expected.check(name, received.space_id)
    for setting in ("version", "excerpts", "hop_s", "tags"):
        wanted, got = getattr(expected, setting), getattr(received, setting)
        if wanted != got:
            raise LibraryError(
                f"{name}: expected a part made with {setting} {wanted!r}, as the library is, received one made with "
                f"{got!r}. Make it again with the library's settings, or import it into another library."
            )


def _opened(place: str | os.PathLike[str]) -> Any:
    fs, path = remote_files.system(place)
    try:
        return parquet.ParquetFile(path, filesystem=fs, pre_buffer=False)
    except _DAMAGED as error:
        raise _no_part(place, error) from error


def _no_part(place: str | os.PathLike[str], received: object) -> LibraryError:
    return LibraryError(f"{os.fspath(place)}: expected a Parquet part, received {received}. Delete it and index again.")


def _part(metadata: Any, name: str) -> Part:
    try:
        about = json.loads((metadata.metadata or {})[_KEY])
        version, facts = about["format"], Facts.from_plain(about["facts"])
        if not isinstance(version, int) or version < 1:
            raise TypeError("a format that is no number")
        part = Part(facts, str(about["shard"]), metadata.num_rows, int(about["failed"]), version)
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise LibraryError(f"{name}: expected a part made by musiczoo, received another Parquet file.") from error
    if version > FORMAT:
        raise LibraryError(
            f"{name}: part format {version} is newer than {FORMAT}, the newest that this musiczoo reads. "
            "Update musiczoo: pip install -U musiczoo"
        )
    return part


def _plain(row: Row, facts: Facts) -> dict[str, Any]:
    """A row as pyarrow takes it."""
    raw = to_bytes(row.path)
    path = raw.decode("utf-8", "replace")
    values = {"path": path, "path_bytes": raw if path.encode() != raw else None}
    values |= {name: getattr(row, name) for name in _SHARED}
    values |= {"model": facts.model, "version": facts.version, "space_id": facts.space_id}
    if isinstance(row, Failure):
        return values | {"error_kind": row.kind, "error": _text(row.reason)}
    values |= {name: _text(getattr(row, name)) for name in _ENTRY}
    values |= {name: _text(column(row, name)) for name in _ADDED}
    return values | {name: np.asarray(getattr(row, name), np.float32) for name in _VECTORS}


def _text(value: Any) -> Any:
    """Text that Parquet takes: no surrogates."""
    return as_text(value) if isinstance(value, str) else value


def _matrix(column: Any) -> Any:
    """``[rows, n]`` float32 of a column of fixed-size lists, of which some may be null."""
    width = column.type.list_size
    filled = column.fill_null([0.0] * width) if column.null_count else column
    return filled.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)


def _row(values: dict[str, Any], facts: Facts) -> Row:
    needed = {"path", "size", "mtime_ns"} | (
        {"error_kind"} if values["error"] is not None else {"hash", "duration_s", "heard"}
    )
    missing = sorted(name for name in needed if values[name] is None)
    if missing:
        raise ValueError(f"a row without {', '.join(missing)}")
    path = os.fsdecode(values["path_bytes"]) if values["path_bytes"] is not None else values["path"]
    shared: dict[str, Any] = {"path": path} | {name: values[name] for name in _SHARED}
    if values["error"] is not None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Failure(**shared, kind=values["error_kind"], reason=values["error"], failed_at=now)
    shared |= {name: values[name] for name in (*_ENTRY, *_VECTORS)}
    return usable(Entry(**shared | several({name: values.get(name) for name in _ADDED})), facts)
