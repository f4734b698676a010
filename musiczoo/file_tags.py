"""Write predicted tags into audio files, and remove them.

Conventions
-----------
- Tags are written to the fields of `FIELDS`: ``TXXX:MUSICZOO_TAGS`` and so on in ID3 (mp3, wav, aiff),
  ``MUSICZOO_TAGS`` in Vorbis comments (flac, ogg, opus), APEv2 and ASF (wma), and ``----:org.musiczoo:TAGS`` in MP4
  (m4a).
- Words of mood and genre are written, if asked for, to the standard fields: see `musiczoo.standard_fields`. Their old
  values go to a field ``MUSICZOO_UNDO_MOOD`` or ``MUSICZOO_UNDO_GENRE`` (JSON), from which `remove` restores them. A
  standard field that was changed after that belongs to whoever changed it, and is kept.
- All other fields stay as they are, including ID3's version and an ID3v1 tag. A change after which any of them reads
  differently is discarded.
- A file is never changed in place. A copy beside it is changed, checked, flushed to the disk and put in its place, so
  that a crash leaves the old file or the new one (and at worst a hidden ``.musiczoo-`` copy).
- Mode, owner and extended attributes are kept. The modification time becomes the current time, so that backups notice.
  The target of a symbolic link is changed, and the link stays. Read-only files are refused, and so are files with
  several hard links, since the other names would keep the old content.
- Nothing is written if nothing would change.

Needs mutagen (extra ``musiczoo[library]``).
"""

import json
import os
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import AudioError, AudioNotFoundError, InputError, MissingDependencyError, UnknownNameError
from .tag_map import FIELDS as STANDARD_FIELDS
from .tag_map import check_word

if TYPE_CHECKING:
    from .track import Track

try:
    import mutagen
    from mutagen.apev2 import APEv2
    from mutagen.id3 import ID3, TXXX
    from mutagen.mp4 import AtomDataType, MP4FreeForm, MP4Tags

    from . import standard_fields
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "Tags in files need mutagen, which is not installed. Install it with: pip install 'musiczoo[library]'"
    ) from error

PREFIX = "MUSICZOO_"
TAGS, PROBABILITIES, MODEL, SPACE = (f"{PREFIX}{name}" for name in ("TAGS", "PROBABILITIES", "MODEL", "SPACE"))
FIELDS = (TAGS, PROBABILITIES, MODEL, SPACE)
"""The fields: predicted tags, most probable first, one value each; their probabilities in the same order; name and
version of the model; id of its embedding space."""

UNDO = {field: f"{PREFIX}UNDO_{field.upper()}" for field in STANDARD_FIELDS}
"""Standard field -> the field with its old values: ``{"words": [what was written], "old": [stored values]}``."""

CHOICES = ("tags", *STANDARD_FIELDS)
"""What can be written and removed: the fields of `FIELDS`, and the standard ones."""

ID3V1_BYTES = 128
_DAMAGE = (
    *(mutagen.MutagenError, ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError),
    *(RuntimeError, TypeError, ValueError, struct.error),
)
"""What mutagen raises for damaged files."""

Fields = dict[str, list[str]]


def read(path: str | os.PathLike[str]) -> Fields:
    """Return the musiczoo fields in a file, field -> values; empty if there are none.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If the file is not an audio file that can hold fields.
    """
    return _ours(_open(_target(path)))


def read_words(path: str | os.PathLike[str]) -> Fields:
    """Return the values of the standard fields in a file, ``"mood"`` and ``"genre"``, whoever wrote them.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If the file is not an audio file that can hold fields.
    """
    tags = _open(_target(path)).tags
    return {field: standard_fields.words(tags, field) for field in STANDARD_FIELDS}


def write(
    path: str | os.PathLike[str],
    track: "Track | None" = None,
    words: Mapping[str, Sequence[str]] | None = None,
) -> bool:
    """Write a track's predicted tags into a file, replacing earlier musiczoo fields; and words of standard fields.

    Args:
        path: The file.
        track: Result of analyzing it; None writes only words.
        words: Standard field -> its words, such as `musiczoo.tag_map.words_of` returns. They replace the values of the
            field, which `remove` restores. A field without words gets back the values that it had.

    Returns:
        Whether the file was changed. It is not if it holds the same fields already.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If the file is not an audio file that can hold fields, or other fields could not be kept.
        InputError: If the file is read-only, has several hard links, or was changed by another program meanwhile; or
            if a word cannot be written.
        UnknownNameError: If a standard field does not exist.

    Example:
        >>> import shutil, tempfile
        >>> from pathlib import Path
        >>> import musiczoo
        >>> from musiczoo import demo, file_tags
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     song = Path(shutil.copy(demo.PATH, folder))
        ...     track = musiczoo.load("disentangled-classification").analyze(song)
        ...     changed = file_tags.write(song, track, words={"mood": ["Calm"]})
        ...     fields, words = file_tags.read(song), file_tags.read_words(song)
        ...     removed = file_tags.remove(song)
        ...     words_before = file_tags.read_words(song)
        >>> changed, fields["MUSICZOO_TAGS"] == [tag.name for tag in track.tags.above_threshold()], removed
        (True, True, True)
        >>> words["mood"], words_before["mood"]
        (['Calm'], [])
    """
    checked = {}
    for field, texts in (words or {}).items():
        if field not in STANDARD_FIELDS:
            raise UnknownNameError.of("field", field, STANDARD_FIELDS)
        checked[field] = list(dict.fromkeys(check_word(field, text) for text in texts))
    return _change(path, _Change(None if track is None else _fields_of(track), checked))


def remove(path: str | os.PathLike[str], fields: Sequence[str] = CHOICES) -> bool:
    """Remove the musiczoo fields from a file, restore the standard fields, and change nothing else.

    Args:
        path: The file.
        fields: What to remove or restore: ``"tags"``, ``"mood"``, ``"genre"``; by default all.

    Returns:
        Whether the file was changed.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If the file is not an audio file that can hold fields, or other fields could not be kept.
        InputError: If the file is read-only, has several hard links, or was changed by another program meanwhile.
        UnknownNameError: If one of `fields` does not exist.
    """
    for field in fields:
        if field not in CHOICES:
            raise UnknownNameError.of("field", field, CHOICES)
    restored: Fields = {field: [] for field in STANDARD_FIELDS if field in fields}
    return _change(path, _Change({} if "tags" in fields else None, restored))


@dataclass(frozen=True)
class _Change:
    """What a file shall hold.

    Attributes:
        ours: Values of the musiczoo fields; None to leave them.
        words: Standard field -> words, or none to restore it. Other standard fields are left.
    """

    ours: Mapping[str, list[str]] | None
    words: Mapping[str, list[str]]


def _fields_of(track: "Track") -> Fields:
    tags = track.tags.above_threshold()
    fields = {
        TAGS: [tag.name for tag in tags],
        PROBABILITIES: [f"{tag.probability:.3f}" for tag in tags],
        MODEL: [f"{track.model} {track.card.version}"],
        SPACE: [track.space_id],
    }
    return {name: values for name, values in fields.items() if values}


# === The kinds of tags ===


@dataclass(frozen=True)
class _Kind:
    """How a kind of tags stores the fields: field -> key, values -> stored object, and stored object -> values."""

    key: Callable[[str], str]
    pack: Callable[[Any, str, list[str]], Any] = lambda tags, name, values: values
    unpack: Callable[[Any], Sequence[str]] = lambda stored: [str(value) for value in stored]


_FRAME: Any = TXXX  # mutagen's constructors have no types
_FREE_FORM: Any = MP4FreeForm


def _txxx(tags: Any, name: str, values: list[str]) -> Any:
    old = tags.version[:2] == (2, 3)
    return _FRAME(encoding=standard_fields.UTF16 if old else standard_fields.UTF8, desc=name, text=values)


_ID3 = _Kind(lambda name: f"TXXX:{name}", _txxx, lambda frame: [str(value) for value in frame.text])
_MP4 = _Kind(
    lambda name: f"----:org.musiczoo:{name.removeprefix(PREFIX)}",
    lambda tags, name, values: [_FREE_FORM(value.encode(), AtomDataType.UTF8) for value in values],
    lambda stored: [bytes(value).decode("utf-8", "replace") for value in stored],
)
_PLAIN = _Kind(lambda name: name)


def _kind(tags: Any) -> _Kind:
    return _ID3 if isinstance(tags, ID3) else _MP4 if isinstance(tags, MP4Tags) else _PLAIN


# === One file ===


def _open(path: Path) -> Any:
    """Open a file with mutagen, with its fields as they are: not converted or merged."""
    try:
        song: Any = mutagen.File(path)
        if song is not None and song.tags is None:
            song.add_tags()
        if song is not None and isinstance(song.tags, ID3):
            song = type(song)(path, translate=False, load_v1=False)
            if song.tags is None:
                song.add_tags()
    except NotImplementedError as error:
        raise AudioError(f"Cannot write tags to {str(path)!r}: files of this format cannot hold them.") from error
    except _DAMAGE as error:
        raise AudioError(f"Cannot read the tags of {str(path)!r}: {error!r}.") from error
    if song is None:
        raise AudioError(f"Cannot read the tags of {str(path)!r}: it is not an audio file that can hold any.")
    if isinstance(song.tags, ID3) and song.tags.version < (2, 3):
        raise AudioError(
            f"{path}: expected ID3 tags of version 2.3 or 2.4, got 2.2, which cannot be kept as they are. Convert them "
            "first with a tag editor."
        )
    return song


def _ours(song: Any, names: Sequence[str] = FIELDS) -> Fields:
    kind = _kind(song.tags)
    return {name: list(kind.unpack(song.tags[kind.key(name)])) for name in names if kind.key(name) in song.tags}


def _all(song: Any) -> tuple[dict[str, Any], list[bytes]]:
    """Return all fields: those that mutagen parses, and those it keeps as bytes."""
    return dict(song.tags), list(getattr(song.tags, "unknown_frames", ()))


def _others(song: Any, change: _Change) -> tuple[dict[str, Any], list[bytes]]:
    """Return all fields that a change leaves alone."""
    names = [*(FIELDS if change.ours is not None else ()), *(UNDO[field] for field in change.words)]
    ours = {_kind(song.tags).key(name).casefold() for name in names}
    fields, unknown = _all(song)
    kept = {
        key: value
        for key, value in fields.items()
        if key.casefold() not in ours
        and not any(standard_fields.is_key(song.tags, field, key) for field in change.words)
    }
    return kept, unknown


def _apply(song: Any, change: _Change) -> None:
    """Make a change to the fields of an opened file."""
    if change.ours is not None:
        for name in FIELDS:
            _put(song, name, change.ours.get(name, []))
    for field, words in change.words.items():
        _restore(song, field)
        if words and words != standard_fields.words(song.tags, field):
            old = standard_fields.stored(song.tags, field)
            if "\N{REPLACEMENT CHARACTER}" in "".join(standard_fields.words(song.tags, field)):
                raise AudioError(f"The {field} of this file has invalid bytes, which could not be restored.")
            standard_fields.put(song.tags, field, words)
            _put(song, UNDO[field], [json.dumps({"words": words, "old": old})])


def _restore(song: Any, field: str) -> None:
    """Give a standard field the values that it had before `write`, unless it was changed since."""
    record = "".join(_ours(song, (UNDO[field],)).get(UNDO[field], ()))
    if not record:
        return
    try:
        content = json.loads(record)
        if content["words"] == standard_fields.words(song.tags, field):
            standard_fields.replace(song.tags, field, content["old"])
    except (*_DAMAGE, RecursionError) as error:
        raise AudioError(
            f"The old values in the field {UNDO[field]} are damaged. Remove that field with a tag editor."
        ) from error
    _put(song, UNDO[field], [])


def _put(song: Any, name: str, values: list[str]) -> None:
    """Set a musiczoo field; remove it if there are no values."""
    kind = _kind(song.tags)
    if kind.key(name) in song.tags:
        del song.tags[kind.key(name)]
    if values:
        song.tags[kind.key(name)] = kind.pack(song.tags, name, values)


def _save(path: Path, change: _Change) -> None:
    """Make a change to this file.

    Raises:
        AudioError: If that would change other fields.
    """
    song = _open(path)
    others = _others(song, change)
    _apply(song, change)
    wanted = _all(song)
    try:
        if isinstance(song.tags, ID3):
            with _without_id3v1(path):
                _store(song, path, v2_version=song.tags.version[1], v23_sep=None)
        else:
            _store(song, path)
    except _DAMAGE as error:
        raise AudioError(f"Cannot change the tags of {str(path)!r}: {error!r}.") from error
    changed = _open(path)
    if _all(changed) != wanted or _others(changed, change) != others:
        raise AudioError(f"Cannot write to {str(path)!r} and keep its other tags as they are. Nothing was changed.")


def _store(song: Any, path: Path, **options: Any) -> None:
    """Save the tags; remove an empty ID3 or APEv2 tag, since it may have been added by `write`."""
    unknown = getattr(song.tags, "unknown_frames", ())
    if isinstance(song.tags, ID3 | APEv2) and not song.tags and not unknown:
        song.delete(path)
    else:
        song.save(path, **options)


@contextmanager
def _without_id3v1(path: Path) -> Iterator[None]:
    """Set the ID3v1 tag at the end of a file aside: mutagen would rewrite it with fewer fields."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - ID3V1_BYTES))
        end = file.read()
        if not end.startswith(b"TAG"):
            end = b""
        file.truncate(size - len(end))
    yield
    with path.open("ab") as file:
        file.write(end)


# === Files on a disk ===


def _target(path: str | os.PathLike[str]) -> Path:
    """Return the file that a path leads to."""
    try:
        target = Path(path).resolve(strict=True)
        regular = target.is_file()
    except OSError as error:
        raise AudioNotFoundError(f"No such file: {os.fspath(path)!r}.") from error
    except (RuntimeError, ValueError) as error:  # a circle of links; a zero byte
        raise InputError(f"Expected the path of a file, got {os.fspath(path)!r}: {error}.") from error
    if not regular:
        raise AudioError(f"Expected a file, got the folder or device {str(target)!r}.")
    return target


def _change(path: str | os.PathLike[str], change: _Change) -> bool:
    target = _target(path)
    try:
        before = target.stat()
        song = _open(target)
        fields = _all(song)
        try:
            _apply(song, change)
        except AudioError as error:
            raise AudioError(f"Cannot change {str(target)!r}: {error}") from error
        if _all(song) == fields:
            return False
        _check_changeable(target, before)
        _replace(target, before, change)
    except FileNotFoundError as error:
        raise AudioNotFoundError(f"No such file: {str(target)!r}. It was removed meanwhile.") from error
    except OSError as error:
        raise InputError(f"Cannot change {str(target)!r}: {error}.") from error
    return True


def _check_changeable(target: Path, before: os.stat_result) -> None:
    if not before.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(target, os.W_OK):
        raise InputError(f"Cannot change {str(target)!r}: it is read-only. Nothing was changed.")
    if before.st_nlink > 1:
        raise InputError(
            f"Cannot change {str(target)!r}: it has {before.st_nlink} hard links, of which only this one would change. "
            "Replace it by a copy first."
        )


def _replace(target: Path, before: os.stat_result, change: _Change) -> None:
    """Change a copy and put it in the place of the file."""
    number, name = tempfile.mkstemp(dir=target.parent, prefix=".musiczoo-", suffix=target.suffix)
    copy = Path(name)
    try:
        os.close(number)
        shutil.copyfile(target, copy)
        try:
            _save(copy, change)
        except AudioError as error:
            raise AudioError(str(error).replace(str(copy), str(target))) from error
        _keep_status(copy, target, before)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())
        now = target.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
            raise InputError(
                f"Cannot change {str(target)!r}: another program changed it meanwhile. Nothing was done; try again."
            )
        os.replace(copy, target)
    finally:
        copy.unlink(missing_ok=True)
    if os.name == "posix":  # the folder's entries are flushed separately
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _keep_status(copy: Path, target: Path, before: os.stat_result) -> None:
    """Give the copy the owner, mode and extended attributes of the file; its modification time is now."""
    made = copy.stat()
    if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
        os.chown(copy, before.st_uid, before.st_gid)
    shutil.copystat(target, copy)
    os.utime(copy)
