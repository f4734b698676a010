"""The records of Milvus: a track as fields of a collection, and filters as expressions.

Fields
------
``id`` (int64, a hash of the path), ``path``, ``path_hex`` (the path's bytes, if they are not UTF-8), one FLOAT_VECTOR a
space, ``space_genre`` and so on, ``tags`` (an array of floats), the other columns of
`musiczoo.library.records.ENTRY_COLUMNS` (``artists`` and ``warnings`` one line each, ``fingerprint`` in hexadecimal),
and ``artist_keys`` and ``album_keys``, hashes of the names by which filters find a track, separated by spaces. Track
numbers, MusicBrainz ids and ISRCs are left out: collections made by older versions have no fields for them.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._paths import as_text, to_bytes
from ..errors import InputError
from ..library.filters import Filters
from ..library.fingerprint import MOST, RECORD
from ..library.metadata import normalize_name, split_names
from ..library.records import Entry, LibraryConfig, field_value, fields_of
from ..library.vectors import units

PATH_BYTES, TEXT_BYTES = 4096, 1024
"""Most bytes of a text; longer titles and names are cut."""

_TEXTS = ("title", "artist", "album", "genre", "album_artist")
_MORE = {"artists": TEXT_BYTES, "warnings": TEXT_BYTES, "fingerprint": 2 * MOST * RECORD.itemsize}
"""Field -> most bytes of its text."""
_KEYS = {"artist": "artist_keys", "album": "album_keys"}
_KEY = 32
"""Characters of the hash of a name."""
_NAMES = 64
"""Most artists of a track that filters find."""
_NUMBERS = {"size": "INT64", "mtime_ns": "INT64", "duration_s": "DOUBLE", "heard": "INT32", "year": "INT32"}


def schema(client: Any, config: LibraryConfig) -> Any:
    """Return the schema of a collection."""
    from pymilvus import DataType

    made = client.create_schema(auto_id=False, enable_dynamic_field=False)
    made.add_field("id", DataType.INT64, is_primary=True)
    made.add_field("path", DataType.VARCHAR, max_length=PATH_BYTES)
    made.add_field("path_hex", DataType.VARCHAR, max_length=2 * PATH_BYTES, nullable=True)
    made.add_field("hash", DataType.VARCHAR, max_length=64)
    for name, most in (dict.fromkeys(_TEXTS, TEXT_BYTES) | _MORE).items():
        made.add_field(name, DataType.VARCHAR, max_length=most, nullable=True)
    for name in _KEYS.values():
        made.add_field(name, DataType.VARCHAR, max_length=_NAMES * (_KEY + 1), nullable=True)
    for name, kind in _NUMBERS.items():
        made.add_field(name, DataType[kind], nullable=name == "year")
    made.add_field("tags", DataType.ARRAY, element_type=DataType.FLOAT, max_capacity=len(config.tags))
    for space, (start, stop) in config.spaces.items():
        made.add_field(vector_field(space), DataType.FLOAT_VECTOR, dim=stop - start)
    return made


def vector_field(space: str) -> str:
    """Return the field of a space's vectors; the field ``genre`` itself is the genre in the metadata."""
    return f"space_{space}"


def track_id(path: str) -> int:
    """Return the id of a track."""
    return int.from_bytes(hashlib.blake2b(to_bytes(path), digest_size=8).digest(), signed=True)


def to_record(entry: Entry, config: LibraryConfig) -> dict[str, Any]:
    """Return a track as fields of Milvus."""
    raw = to_bytes(entry.path)
    path = raw.decode("utf-8", "replace")
    values: dict[str, Any] = {"id": track_id(entry.path), "path": path, "hash": entry.hash}
    values["path_hex"] = None if path.encode() == raw else raw.hex()
    values |= {name: _cut(getattr(entry, name)) for name in _TEXTS}
    values |= {name: _cut("\n".join(getattr(entry, name)) or None) for name in ("artists", "warnings")}
    values["fingerprint"] = entry.fingerprint.hex()[: _MORE["fingerprint"]] or None
    values["artist_keys"] = _keys(entry.artist, entry.artists)
    values["album_keys"] = _keys(entry.album)
    values |= {name: field_value(entry, name) for name in _NUMBERS}
    values["tags"] = entry.tags.tolist()
    for space, (start, stop) in config.spaces.items():
        values[vector_field(space)] = units(entry.embedding[start:stop]).astype(np.float32).tolist()
    return values


def from_record(values: Mapping[str, Any], config: LibraryConfig) -> Entry:
    """Return the inverse of `to_record`: each space of the embedding has length 1 / sqrt(number of spaces), or is 0."""
    path = values["path"] if values.get("path_hex") is None else os.fsdecode(bytes.fromhex(values["path_hex"]))
    kept: dict[str, Any] = {name: values.get(name) for name in ("hash", "id", *_TEXTS, *_NUMBERS)}
    kept |= {name: values.get(name) for name in ("artists", "warnings")}
    kept["fingerprint"] = bytes.fromhex(values.get("fingerprint") or "")
    vectors: dict[str, Any] = {"embedding": embedding(values, config), "tags": np.asarray(values["tags"], np.float32)}
    return Entry(path=path, **vectors, **fields_of(kept))


def embedding(values: Mapping[str, Any], config: LibraryConfig) -> NDArray[np.float32]:
    """Return the embedding ``[E]``, from the fields of all spaces."""
    vector = np.zeros(config.embedding_size, np.float32)
    for space, (start, stop) in config.spaces.items():
        vector[start:stop] = np.asarray(values[vector_field(space)], np.float32) * np.float32(
            len(config.spaces) ** -0.5
        )
    return vector


def where(filters: Filters, config: LibraryConfig) -> str:
    """Return filters as a boolean expression of Milvus.

    Raises:
        InputError: If a path has brackets, which Milvus cannot match.
        UnknownNameError: If the model does not have a tag.
    """
    terms: list[str] = []
    if filters.path is not None:
        terms.append(f"path like {_quoted(_like(as_text(filters.glob())))}")
    for name, key in _KEYS.items():
        text = getattr(filters, name)
        if text is not None:
            terms.append(f"{key} like {_quoted(f'%{_key(text)}%')}")
    for name, bounds in (("year", filters.years), ("duration_s", filters.durations)):
        for sign, bound in zip((">=", "<="), bounds or (), strict=False):
            if bound is not None:
                terms.append(f"{name} {sign} {bound!r}")
    for tag, least in filters.least_probabilities(config):
        terms.append(f"tags[{config.tags.index(tag)}] >= {least!r}")
    return " and ".join(terms)


def _like(glob: str) -> str:
    """Return a glob as a pattern of LIKE."""
    if "[" in glob:
        raise InputError(f"Cannot match the path {glob!r}: Milvus supports * and ?, but no brackets.")
    return glob.replace("%", r"\%").replace("_", r"\_").replace("*", "%").replace("?", "_")


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def _keys(text: str | None, names: Iterable[str] = ()) -> str | None:
    """Return hashes of the names that `musiczoo.library.metadata.is_named` finds in a field."""
    keys = [_key(name) for name in (text or "", *split_names(text, names)) if normalize_name(name)]
    return " ".join(list(dict.fromkeys(keys))[:_NAMES]) or None


def _key(name: str) -> str:
    return hashlib.blake2b(normalize_name(name).encode("utf-8", "surrogatepass"), digest_size=_KEY // 2).hexdigest()


def _cut(text: str | None) -> str | None:
    """Return text cut to `TEXT_BYTES`, in valid UTF-8."""
    if text is None:
        return None
    return as_text(text).encode()[:TEXT_BYTES].decode("utf-8", "ignore")
