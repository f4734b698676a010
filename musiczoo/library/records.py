"""The records of a library: its configuration, its tracks, its failures, and how SQLite stores them.

Conventions
-----------
- Paths are absolute. In Python, a name that is not UTF-8 is a `str` with surrogates, as the os module makes it
  (`os.fsdecode`). SQLite stores such a name as a BLOB of its bytes, and all others as TEXT: see `encode_path`.
- A column has the name of its field, except for those in `COLUMNS`.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._paths import AnyPath, as_text, to_bytes
from ..card import LIMITS, ModelCard, check_spaces, check_tags, check_types, read_card
from ..errors import CardError, InputError, LibraryError, SpaceMismatchError
from ..hub import Address, source_of
from ..registry import find

if TYPE_CHECKING:
    from ..model import Model


@dataclass(frozen=True, slots=True)
class LibraryConfig:
    """The model and the settings that made a library's embeddings and tags.

    Attributes:
        model: Name of the model, as `musiczoo.load` takes it.
        version: Version of its weights.
        space_id: Id of its embedding space. Only embeddings of the same space may be compared.
        spaces: Space -> (start, stop) columns of the embedding.
        tags: Names of the columns of the tag probabilities.
        dimensions: Dimension -> its tags.
        thresholds: Tag -> lowest probability at which it is predicted.
        normalized: Whether each space of an embedding has length 1 / sqrt(number of spaces).
        excerpts: Excerpts analyzed of each track; None for the whole track.
        hop_s: Seconds from one excerpt to the next where the whole track is analyzed; None for back to back.
        source: Pinned address of the model, ``hf://user/model@commit``, if it came from the Hugging Face Hub.
    """

    model: str
    version: str
    space_id: str
    spaces: Mapping[str, tuple[int, int]]
    tags: tuple[str, ...]
    dimensions: Mapping[str, tuple[str, ...]]
    thresholds: Mapping[str, float]
    normalized: bool
    excerpts: int | None = None
    hop_s: float | None = None
    source: str | None = dataclasses.field(default=None, compare=False)

    @property
    def embedding_size(self) -> int:
        """Number of columns of the embedding."""
        return max(stop for _, stop in self.spaces.values())

    @classmethod
    def from_card(
        cls, card: ModelCard, excerpts: int | None = None, hop_s: float | None = None, source: str | None = None
    ) -> "LibraryConfig":
        """Return the configuration of a library made with the model of a card."""
        shared = {f.name for f in dataclasses.fields(cls)} - {"model", "excerpts", "hop_s", "source"}
        fields = {name: getattr(card, name) for name in shared}
        return cls(model=card.name, excerpts=excerpts, hop_s=hop_s, source=source, **fields)

    @classmethod
    def of(cls, model: "Model | AnyPath", excerpts: int | None = None) -> "LibraryConfig":
        """Return the configuration of a library made with a model, given its name, its folder or the model."""
        if not isinstance(model, str | os.PathLike):
            return cls.from_card(model.card, excerpts, source=model.source)
        folder = find(model)
        return cls.from_card(read_card(folder), excerpts, source=source_of(folder))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as types that JSON has."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        if self.source is None:
            del values["source"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LibraryConfig":
        """Return the inverse of `to_dict`; other keys are ignored.

        Raises:
            LibraryError: If a field is missing, has another type, or contradicts another.
        """
        try:
            fields = {f.name: values[f.name] for f in dataclasses.fields(cls) if f.name != "source"}
            fields["source"] = values.get("source")
            json.dumps(fields, ensure_ascii=False).encode()  # refuses lone surrogates
            check_types(fields)
            fields["spaces"] = {name: (a, b) for name, (a, b) in fields["spaces"].items()}
            fields["tags"] = tuple(fields["tags"])
            fields["dimensions"] = {name: tuple(tags) for name, tags in fields["dimensions"].items()}
            config = cls(**fields)
            check_tags(config.tags, config.dimensions, config.thresholds)
            check_spaces(config.spaces, min(config.embedding_size, LIMITS["embedding_size"]))
            for name in ("excerpts", "hop_s"):
                value = getattr(config, name)
                if not (value is None or (type(value) in (int, float) and 0 < value < 1e9)):
                    raise CardError(f"Expected a positive number for {name}, got {value!r}.")
            if config.source is not None and not Address.parse(config.source).pinned:
                raise CardError(f"Expected a pinned address for source, got {config.source!r}.")
        except (KeyError, TypeError, ValueError) as error:  # ValueError: also a CardError
            raise LibraryError(
                f"Cannot read the configuration of the library: {error} Restore it from a copy, or index again."
            ) from error
        return config

    def check(self, what: str, space_id: str) -> None:
        """Refuse embeddings of another space.

        Args:
            what: Where the embeddings come from; it begins the message.
            space_id: Id of their space.

        Raises:
            SpaceMismatchError: If the library has another space.
        """
        if space_id != self.space_id:
            raise SpaceMismatchError.of(what, self.space_id, space_id, self.source)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One track of a library: a row of the table ``tracks``.

    Attributes:
        path: Absolute path of the file.
        size: Bytes of the file when it was analyzed.
        mtime_ns: Time of modification then, in nanoseconds.
        hash: Hex blake2b (16 bytes) of all its bytes.
        duration_s: Length of the audio in seconds.
        excerpts: Number of excerpts analyzed.
        embedding: ``[E]`` float32.
        tags: ``[T]`` float32 probabilities.
        title: From the file's metadata, as the fields that follow; None if it has none.
        artist: Artist of the track; several are joined by "; ".
        album: Title of the album.
        genre: Genre in the file's metadata, not predicted.
        year: Year of the release, 4 digits.
        album_artist: Artist of the album, if the file names one.
        artists: Each artist of the track, if the file names several.
        warnings: Warnings about the audio, such as that it ends early; a sentence each.
        fingerprint: See `musiczoo.library.fingerprint`. Empty if the track is too short for one, or was written by
            musiczoo 0.1 (format 1).
        track_number: Number of the track on its disc.
        recording_mbid: MusicBrainz id (MBID) of the recording.
        release_mbid: MBID of the release.
        artist_mbids: MBIDs of the artists.
        album_artist_mbids: MBIDs of the album's artists.
        isrcs: International standard recording codes, 12 characters each.
        id: Number of the row; 0 before it is written.
        revision: Revision of the library when the row was last changed.
    """

    path: str
    size: int
    mtime_ns: int
    hash: str
    duration_s: float
    excerpts: int
    embedding: NDArray[np.float32]
    tags: NDArray[np.float32]
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    genre: str | None = None
    year: int | None = None
    album_artist: str | None = None
    artists: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    fingerprint: bytes = b""
    track_number: int | None = None
    recording_mbid: str | None = None
    release_mbid: str | None = None
    artist_mbids: tuple[str, ...] = ()
    album_artist_mbids: tuple[str, ...] = ()
    isrcs: tuple[str, ...] = ()
    id: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """One file that could not be analyzed: a row of the table ``failures``.

    Attributes:
        path: Absolute path of the file.
        size: Bytes of the file then. It is tried again when its size or its time of modification has changed.
        mtime_ns: Time of modification then, in nanoseconds.
        kind: Class of the error.
        reason: The error message.
        failed_at: Time of the failure, in UTC, as ISO 8601.
    """

    path: str
    size: int
    mtime_ns: int
    kind: str
    reason: str
    failed_at: str


@dataclass(frozen=True, slots=True)
class KnownTrack:
    """The fields of `Entry` that a scan compares with the files."""

    id: int
    size: int
    mtime_ns: int
    hash: str


# === Excerpts ===

EXCERPTS = 10
"""Excerpts analyzed of each track of a new library, by default.

Ten of 3 s, from the middles of ten equal parts, are an eighth of a track of four minutes, and so of the work. On 48
tracks of open_music, compared with whole tracks: mean cosine 0.9988, lowest 0.9963 (5 excerpts: 0.9970 and 0.9852; 20:
0.9996 and 0.9986), and 91 % of the five nearest neighbors are the same (87 %; 95 %).
"""


def excerpts_of(setting: int | None) -> int | None:
    """Return the number of excerpts that a setting means in a new library.

    Args:
        setting: Number of excerpts; 0 for whole tracks, None for the default.

    Returns:
        Number of excerpts; None for whole tracks.

    Example:
        >>> from musiczoo.library.records import excerpts_of
        >>> excerpts_of(None), excerpts_of(5), excerpts_of(0)
        (10, 5, None)
    """
    return EXCERPTS if setting is None else setting or None


def check_excerpts(setting: int | None) -> None:
    """Refuse a setting that is not a number of excerpts.

    Raises:
        InputError: If it is neither None nor a whole number from 0.
    """
    if setting is not None and (isinstance(setting, bool) or not isinstance(setting, int) or setting < 0):
        raise InputError(f"excerpts must be a whole number, or 0 for whole tracks, got {setting!r}.")


# === Columns ===

COLUMNS = {"excerpts": "heard"}
"""Field of `Entry` -> its column in SQLite, Parquet and Milvus, where the two differ: files of 0.1 have these names."""

FIELDS = {column: field for field, column in COLUMNS.items()}
"""The inverse of `COLUMNS`."""

ENTRY_COLUMNS = tuple(COLUMNS.get(f.name, f.name) for f in dataclasses.fields(Entry))
"""Columns of ``tracks``, in the order of the fields of `Entry`."""

_BLOBS = ("embedding", "tags")
_LINES = ("artists", "warnings", "artist_mbids", "album_artist_mbids", "isrcs")
"""Fields of several texts, stored as one line each."""

_TYPES: dict[str, Any] = {
    **{"path": str | bytes, "duration_s": float | int},
    **dict.fromkeys(("year", "track_number"), int | None),
    **dict.fromkeys(("size", "mtime_ns", "heard", "id", "revision"), int),
    **dict.fromkeys(("hash", "kind", "reason", "failed_at"), str),
    **dict.fromkeys(_BLOBS, bytes),
    **dict.fromkeys(("title", "artist", "album", "genre", "album_artist"), str | None),
    **dict.fromkeys(("recording_mbid", "release_mbid", *_LINES), str | None),
    "fingerprint": bytes | None,
}
"""Column -> its type in Python. SQLite takes any type in any column, so a file of another origin has to be checked."""


def encode_path(path: str) -> str | bytes:
    """Return a path as SQLite stores it: TEXT, or a BLOB of its bytes if they are not UTF-8, whatever the locale."""
    name = to_bytes(path)
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name


def decode_path(path: str | bytes) -> str:
    """Return the inverse of `encode_path`."""
    return os.fsdecode(path if isinstance(path, bytes) else to_bytes(path))


def column_value(row: Entry | Failure, column: str) -> Any:
    """Return the value of a column as SQLite stores it."""
    value = field_value(row, column)
    if column == "path":
        return encode_path(value)
    if column in _BLOBS:
        return np.ascontiguousarray(value, "<f4").tobytes()
    if column in _LINES:
        return "\n".join(" ".join(_text(line).splitlines()) for line in value) or None
    if column == "fingerprint":
        return value or None
    return _text(value) if isinstance(value, str) else value


def field_value(row: Entry | Failure, column: str) -> Any:
    """Return the field that a column stores, as Python has it."""
    return getattr(row, FIELDS.get(column, column))


def fields_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns as the fields of an `Entry`: renamed, with tuples and bytes where a column is NULL or missing."""
    lines = {name: tuple((values.get(name) or "").splitlines()) for name in _LINES}
    found = {**values, **lines, "fingerprint": values.get("fingerprint") or b""}
    return {FIELDS.get(column, column): value for column, value in found.items()}


def checked_columns(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """Return the columns of a row by name, with the path decoded.

    Raises:
        LibraryError: If one has a type that musiczoo does not write.
    """
    values = dict(zip(names, row, strict=True))
    for name, value in values.items():
        if not isinstance(value, _TYPES[name]):
            raise LibraryError(_damaged(f"column {name} has the type {type(value).__name__}"))
    return values | {"path": decode_path(values["path"])}


def read_entry(row: Sequence[Any]) -> Entry:
    """Return the `Entry` of a row with the columns `ENTRY_COLUMNS`.

    Raises:
        LibraryError: If a column has a type that musiczoo does not write.
    """
    values = checked_columns(ENTRY_COLUMNS, row)
    if not 0 <= values["duration_s"] < 1e9 or any(len(values[name]) % 4 for name in _BLOBS):
        raise LibraryError(_damaged(f"the duration or the vectors of {values['path']!r} are invalid"))
    return Entry(**fields_of(values) | {name: np.frombuffer(values[name], "<f4") for name in _BLOBS})


def check_vectors(entry: Entry, config: LibraryConfig) -> Entry:
    """Return the entry if its embedding and tags have the model's sizes and are finite.

    Raises:
        LibraryError: If not.
    """
    sizes = (config.embedding_size, len(config.tags))
    if (len(entry.embedding), len(entry.tags)) != sizes or not (
        np.isfinite(entry.embedding).all() and np.isfinite(entry.tags).all()
    ):
        raise LibraryError(
            _damaged(f"the embedding or the tags of {entry.path!r} have the wrong size or are not finite")
        )
    return entry


def read_embeddings(blobs: Sequence[Any], config: LibraryConfig) -> NDArray[np.float32]:
    """Return the embeddings ``[N, E]`` of N rows.

    Raises:
        LibraryError: If one is missing, has another size, or is not finite.
    """
    size = 4 * config.embedding_size
    if not all(isinstance(blob, bytes) and len(blob) == size for blob in blobs):
        raise LibraryError(_damaged("an embedding has the wrong size"))
    vectors = np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), -1)
    if not np.isfinite(vectors).all():
        raise LibraryError(_damaged("an embedding is not finite"))
    return vectors


def read_config(rows: Sequence[Any]) -> LibraryConfig:
    """Return the configuration in the rows (key, JSON) of the table ``library``.

    Raises:
        LibraryError: If it is missing or malformed.
    """
    try:
        values = {key: json.loads(value) for key, value in rows}
    except (ValueError, TypeError, RecursionError) as error:
        raise LibraryError(_damaged(f"its configuration is not JSON ({error})")) from error
    return LibraryConfig.from_dict(values)


def _damaged(what: str) -> str:
    return f"The library is damaged: {what}. Run musiczoo library verify."


def _text(value: str) -> str:
    """Return text that SQLite can store: no surrogates, and no zero characters, at which C strings end."""
    return as_text(value).replace("\0", " ")
