"""Export a library's embeddings, tag probabilities and metadata for other programs: Parquet, npz or CSV.

Conventions
-----------
- One row a track, by id. All formats have the columns `COLUMNS`, the embedding, and the probability of each tag.
- Parquet: ``embedding`` and ``tags`` are fixed-size lists of float; the file's metadata hold, under the key
  ``musiczoo.library``, the library's configuration as JSON, with the names of the tags and the columns of each space.
- npz: ``embedding`` is ``[N, E]`` float32, ``tags`` ``[N, T]`` float32, ``tag_names`` ``[T]``, ``config`` the
  configuration as JSON, and there is one array ``[N]`` for each column; missing text is "", a missing number 0.
- CSV (UTF-8, with a header): one column for each number, ``tag:<name>`` and ``embedding:<i>``; missing values are
  empty. Numbers have as many digits as it takes to read the same float32 back.
- Names that are not UTF-8 have replacement characters. Several artists, MusicBrainz ids or ISRCs
  are joined by "; ".
"""

import csv
import io
import json
import os
from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from .._files import atomic_file
from .._paths import absolute, as_text
from ..errors import InputError, MissingDependencyError, UnknownNameError
from .database import Database
from .records import Entry

PARQUET, NPZ, CSV = "parquet", "npz", "csv"
FORMATS = (PARQUET, NPZ, CSV)

COLUMNS = {
    **dict.fromkeys(("path", "title", "artist", "artists", "album", "album_artist", "genre"), str),
    **{"year": int, "duration_s": float, "excerpts": int, "hash": str, "track_number": int},
    **dict.fromkeys(("recording_mbid", "release_mbid", "artist_mbids", "album_artist_mbids", "isrcs"), str),
}
"""Column -> its type: the fields of `records.Entry` that every format has, besides the embedding and the tags."""

_BATCH = 1024
"""Rows of a Parquet row group."""


def export(database: Database, path: str | os.PathLike[str], format: str | None = None) -> int:
    """Write all tracks to a file: see `musiczoo.Library.export`, which has the errors.

    Args:
        database: The library's file.
        path: The file to write; it is replaced if it exists.
        format: One of `FORMATS`; by default the ending of the path.

    Returns:
        Number of tracks written.
    """
    target = absolute(path)
    chosen = target.suffix.lstrip(".").lower() if format is None else format
    if chosen not in _WRITERS:
        raise UnknownNameError.of("export format", chosen, FORMATS)
    if os.path.isdir(target):
        raise InputError(f"Cannot export to the folder {target}. Pass a file name, such as {target}/music.{chosen}.")
    if os.path.exists(target) and os.path.samefile(target, database.path):
        raise InputError(f"Cannot export to {target}: it is the library itself. Choose another file.")
    return _WRITERS[chosen](database, target)


def _write_parquet(database: Database, path: Path) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "Export to Parquet needs pyarrow, which is not installed. Install it with: pip install 'musiczoo[parquet]'"
        ) from error
    config = database.config
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    fields = [(name, types[kind]) for name, kind in COLUMNS.items()]
    fields += [("embedding", pa.list_(pa.float32(), config.embedding_size))]
    fields += [("tags", pa.list_(pa.float32(), len(config.tags)))]
    schema = pa.schema(fields, metadata={"musiczoo.library": _config(database)})
    count, remaining = 0, database.entries()
    with atomic_file(path) as file, parquet.ParquetWriter(file, schema) as writer:
        while batch := list(islice(remaining, _BATCH)):
            rows = [_values(entry) | {"embedding": entry.embedding, "tags": entry.tags} for entry in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(batch)
    return count


def _write_npz(database: Database, path: Path) -> int:
    entries = list(database.entries())
    rows = [_values(entry) for entry in entries]
    arrays: dict[str, Any] = {
        name: np.array([kind() if row[name] is None else row[name] for row in rows], kind)
        for name, kind in COLUMNS.items()
    }
    config = database.config
    arrays["embedding"] = np.array([entry.embedding for entry in entries], np.float32).reshape(
        -1, config.embedding_size
    )
    arrays["tags"] = np.array([entry.tags for entry in entries], np.float32).reshape(-1, len(config.tags))
    arrays |= {"tag_names": np.array(config.tags), "config": np.array(_config(database))}
    with atomic_file(path) as file:
        np.savez(file, **arrays)
    return len(entries)


def _write_csv(database: Database, path: Path) -> int:
    config = database.config
    count = 0
    with atomic_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        tags = (f"tag:{tag}" for tag in config.tags)
        writer.writerow([*COLUMNS, *tags, *(f"embedding:{i}" for i in range(config.embedding_size))])
        for entry in database.entries():
            numbers = np.concatenate([entry.tags, entry.embedding]).astype(np.float32)
            writer.writerow(chain(_values(entry).values(), numbers.astype(str)))
            count += 1
        text.detach()  # writes what is left, and leaves the file open
    return count


_WRITERS: dict[str, Callable[[Database, Path], int]] = {PARQUET: _write_parquet, NPZ: _write_npz, CSV: _write_csv}


def _values(entry: Entry) -> dict[str, Any]:
    """Return the columns of a track."""
    values = {name: getattr(entry, name) for name in COLUMNS}
    values = {name: "; ".join(value) or None if isinstance(value, tuple) else value for name, value in values.items()}
    values["artists"] = values["artists"] or entry.artist
    return {name: as_text(value) if isinstance(value, str) else value for name, value in values.items()}


def _config(database: Database) -> str:
    return json.dumps(database.config.to_dict(), ensure_ascii=False)
