"""A song as Milvus holds it, and what is asked of it in Milvus' language.

Fields
------
``id`` (int64, a hash of the path), ``path``, ``path_hex`` (the path's bytes, if they are no UTF-8), one FLOAT_VECTOR a
space, ``space_genre`` and so on, ``tags`` (an array of floats), the other fields of `musiczoo.library.records.Entry` by
their names (``artists`` and ``warnings`` a line each, ``fingerprint`` in hexadecimal), and ``artist_keys`` and
``album_keys``, hashes of the names by which filters find a song (see `musiczoo.library.names`), with spaces between.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._paths import as_text, to_bytes
from ..errors import InputError
from ..library.filters import Filters, known
from ..library.fingerprint import MOST, RECORD
from ..library.names import folded, names_of
from ..library.records import Entry, Facts, several
from ..library.vectors import units

PATH_BYTES, TEXT_BYTES = 4096, 1024
"""Longest texts; longer titles and names are cut."""

_TEXTS = ("title", "artist", "album", "genre", "album_artist")
_MORE = {"artists": TEXT_BYTES, "warnings": TEXT_BYTES, "fingerprint": 2 * MOST * RECORD.itemsize}
"""Field -> its longest text."""
_KEYS = {"artist": "artist_keys", "album": "album_keys"}
_KEY = 32
"""Characters of the hash of a name."""
_NAMES = 64
"""Artists of a song that filters find, at most."""
_NUMBERS = {"size": "INT64", "mtime_ns": "INT64", "duration_s": "DOUBLE", "heard": "INT32", "year": "INT32"}


def schema(client: Any, facts: Facts) -> Any:
    """The schema of a collection."""
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
    made.add_field("tags", DataType.ARRAY, element_type=DataType.FLOAT, max_capacity=len(facts.tags))
    for space, (start, stop) in facts.spaces.items():
        made.add_field(vector_field(space), DataType.FLOAT_VECTOR, dim=stop - start)
    return made


def vector_field(space: str) -> str:
    """The field of a space's vectors: there is a genre that metadata tell, and one that the model hears."""
    return f"space_{space}"


def number(path: str) -> int:
    """The id of a song."""
    return int.from_bytes(hashlib.blake2b(to_bytes(path), digest_size=8).digest(), signed=True)


def plain(entry: Entry, facts: Facts) -> dict[str, Any]:
    """A song as Milvus takes it."""
    raw = to_bytes(entry.path)
    path = raw.decode("utf-8", "replace")
    values: dict[str, Any] = {"id": number(entry.path), "path": path, "hash": entry.hash}
    values["path_hex"] = None if path.encode() == raw else raw.hex()
    values |= {name: _cut(getattr(entry, name)) for name in _TEXTS}
    values |= {name: _cut("\n".join(getattr(entry, name)) or None) for name in ("artists", "warnings")}
    values["fingerprint"] = entry.fingerprint.hex()[: _MORE["fingerprint"]] or None
    values["artist_keys"] = _keys(entry.artist, entry.artists)
    values["album_keys"] = _keys(entry.album)
    values |= {name: getattr(entry, name) for name in _NUMBERS}
    values["tags"] = entry.tags.tolist()
    for space, (start, stop) in facts.spaces.items():
        values[vector_field(space)] = units(entry.embedding[start:stop]).astype(np.float32).tolist()
    return values


def entry(values: Mapping[str, Any], facts: Facts) -> Entry:
    """The inverse of `plain`: each space of the embedding has length 1 / sqrt(number of spaces), or is zero."""
    path = values["path"] if values.get("path_hex") is None else os.fsdecode(bytes.fromhex(values["path_hex"]))
    kept: dict[str, Any] = {name: values.get(name) for name in ("hash", "id", *_TEXTS, *_NUMBERS)}
    more = several({name: values.get(name) for name in ("artists", "warnings")} | {"fingerprint": b""})
    more["fingerprint"] = bytes.fromhex(values.get("fingerprint") or "")
    vectors: dict[str, Any] = {"embedding": embedding(values, facts), "tags": np.asarray(values["tags"], np.float32)}
    return Entry(path=path, **vectors, **kept, **more)


def embedding(values: Mapping[str, Any], facts: Facts) -> NDArray[np.float32]:
    """``[E]``, from the fields of all spaces."""
    vector = np.zeros(facts.embedding_size, np.float32)
    for space, (start, stop) in facts.spaces.items():
        vector[start:stop] = np.asarray(values[vector_field(space)], np.float32) * np.float32(len(facts.spaces) ** -0.5)
    return vector


def where(filters: Filters, facts: Facts) -> str:
    """Filters as a boolean expression of Milvus.

    Raises:
        InputError: If a path holds brackets, which Milvus cannot match.
        UnknownNameError: If the model does not know a tag.
    """
    terms: list[str] = []
    if filters.path is not None:
        pattern = dataclasses.replace(Filters(), path=filters.path).where(facts)[1][0]  # from any folder on
        terms.append(f"path like {_quoted(_like(pattern))}")
    for name, key in _KEYS.items():
        text = getattr(filters, name)
        if text is not None:
            terms.append(f"{key} like {_quoted(f'%{_key(text)}%')}")
    for name, bounds in (("year", filters.years), ("duration_s", filters.durations)):
        for sign, bound in zip((">=", "<="), bounds or (), strict=False):
            if bound is not None:
                terms.append(f"{name} {sign} {bound!r}")
    for tag, least in filters.having.items():
        name = known("tag", tag, facts.tags)
        terms.append(f"tags[{facts.tags.index(name)}] >= {facts.thresholds[name] if least is None else least!r}")
    return " and ".join(terms)


def _like(glob: str) -> str:
    """A glob in the words of LIKE."""
    if "[" in glob:
        raise InputError(f"Expected a path of characters, * and ? (Milvus knows no others), received {glob!r}.")
    return glob.replace("%", r"\%").replace("_", r"\_").replace("*", "%").replace("?", "_")


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def _keys(text: str | None, names: Iterable[str] = ()) -> str | None:
    """Hashes of the names that `musiczoo.library.names.is_named` finds in a field."""
    keys = [_key(name) for name in (text or "", *names_of(text, names)) if folded(name)]
    return " ".join(list(dict.fromkeys(keys))[:_NAMES]) or None


def _key(name: str) -> str:
    return hashlib.blake2b(folded(name).encode("utf-8", "surrogatepass"), digest_size=_KEY // 2).hexdigest()


def _cut(text: str | None) -> str | None:
    """Text that fits, in valid UTF-8."""
    if text is None:
        return None
    return as_text(text).encode()[:TEXT_BYTES].decode("utf-8", "ignore")
