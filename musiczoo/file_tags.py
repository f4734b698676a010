"""What a model heard, written into the song's own file, and taken out again.

Conventions
-----------
- Only fields of our own are written: those of `FIELDS`. They are ``TXXX:MUSICZOO_TAGS`` and so on in ID3 (mp3, wav,
  aiff), ``MUSICZOO_TAGS`` in Vorbis comments (flac, ogg, opus), APEv2 and ASF (wma), and
  ``----:org.musiczoo:TAGS`` in MP4 (m4a). Genre and all that others wrote stay as they are, ID3's version and an
  ID3v1 tag included; a change after which any of it reads differently is thrown away.
- A file is never changed in place. A copy beside it is changed, checked, flushed to the disk and put in its place,
  so that a crash leaves the old file or the new one (and at worst a hidden ``.musiczoo-`` copy).
- Kept: mode, owner, extended attributes. The modification time becomes now, as for any change, so that backups see
  it. A symbolic link stays one and its target is changed. A file with several hard links is refused, since they
  would part; so is a read-only one.
- Nothing is written where nothing would change.

Needs mutagen (extra ``musiczoo[library]``).
"""

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

from .errors import AudioError, AudioNotFoundError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from .track import Track

try:
    import mutagen
    from mutagen.apev2 import APEv2
    from mutagen.id3 import ID3, TXXX
    from mutagen.mp4 import AtomDataType, MP4FreeForm, MP4Tags
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "Tags in files need mutagen, which is not installed. Install it with: pip install 'musiczoo[library]'"
    ) from error

PREFIX = "MUSICZOO_"
TAGS, PROBABILITIES, MODEL, SPACE = (f"{PREFIX}{name}" for name in ("TAGS", "PROBABILITIES", "MODEL", "SPACE"))
FIELDS = (TAGS, PROBABILITIES, MODEL, SPACE)
"""Our fields: tags above their thresholds, highest first, a value each; their probabilities in the same order;
name and version of the model; id of its embedding space."""

ID3V1_BYTES = 128
_UTF8, _UTF16 = 3, 1  # ID3's text encodings; 2.3 does not know UTF-8
_DAMAGE = (
    *(mutagen.MutagenError, ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError),
    *(RuntimeError, TypeError, ValueError, struct.error),
)
"""What mutagen raises on files that are not what they seem."""

Fields = dict[str, list[str]]


def read(path: str | os.PathLike[str]) -> Fields:
    """Our fields in a file: field -> its values; empty if there are none.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If it is no audio file that can hold fields.
    """
    return _ours(_open(_target(path)))


def write(path: str | os.PathLike[str], track: "Track") -> bool:
    """Write a track's tags above their thresholds into a file, in place of those that we wrote before.

    Returns:
        Whether the file was changed: it is not if it holds the same already.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioError: If it is no audio file that can hold fields, or others' could not be kept as they are.
        InputError: If the file may not be changed, has several hard links, or was changed by another program.
    """
    tags = track.tags.above_threshold()
    fields = {
        TAGS: [tag.name for tag in tags],
        PROBABILITIES: [f"{tag.probability:.3f}" for tag in tags],
        MODEL: [f"{track.model} {track.card.version}"],
        SPACE: [track.space_id],
    }
    return _change(path, {name: values for name, values in fields.items() if values})


def remove(path: str | os.PathLike[str]) -> bool:
    """Take our fields out of a file, and nothing else.

    Returns and raises the same as `write`.
    """
    return _change(path, {})


# === The kinds of tags ===


@dataclass(frozen=True)
class _Kind:
    """How a kind of tags spells our fields: the key of one, values -> what is stored there, and back."""

    key: Callable[[str], str]
    pack: Callable[[Any, str, list[str]], Any] = lambda tags, name, values: values
    unpack: Callable[[Any], Sequence[str]] = lambda stored: [str(value) for value in stored]


_FRAME: Any = TXXX  # mutagen's constructors have no types
_FREE_FORM: Any = MP4FreeForm


def _txxx(tags: Any, name: str, values: list[str]) -> Any:
    return _FRAME(encoding=_UTF16 if tags.version[:2] == (2, 3) else _UTF8, desc=name, text=values)


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
    """The file as mutagen sees it, with its fields as they are: none converted or merged."""
    try:
        song: Any = mutagen.File(path)
        if song is not None and song.tags is None:
            song.add_tags()
        if song is not None and isinstance(song.tags, ID3):
            song = type(song)(path, translate=False, load_v1=False)
            if song.tags is None:
                song.add_tags()
    except NotImplementedError as error:
        raise AudioError(f"{path}: expected a kind of file that can hold fields, received one that cannot.") from error
    except _DAMAGE as error:
        raise AudioError(f"{path}: expected an audio file with readable fields, received {error!r}.") from error
    if song is None:
        raise AudioError(f"{path}: expected an audio file that can hold fields, received another kind of file.")
    if isinstance(song.tags, ID3) and song.tags.version < (2, 3):
        raise AudioError(
            f"{path}: expected ID3 tags of version 2.3 or 2.4, received 2.2, which cannot be kept as they are. "
            "Convert them first with a tag editor."
        )
    return song


def _ours(song: Any) -> Fields:
    kind = _kind(song.tags)
    return {name: list(kind.unpack(song.tags[kind.key(name)])) for name in FIELDS if kind.key(name) in song.tags}


def _others(song: Any) -> tuple[dict[str, Any], list[bytes]]:
    """All fields but ours: those that mutagen knows, and those it keeps without."""
    ours = {_kind(song.tags).key(name).casefold() for name in FIELDS}
    fields = {key: value for key, value in dict(song.tags).items() if key.casefold() not in ours}
    return fields, list(getattr(song.tags, "unknown_frames", ()))


def _save(path: Path, wanted: Mapping[str, list[str]]) -> None:
    """Make `wanted` our fields in this file.

    Raises:
        AudioError: If that cannot be done without touching others' fields.
    """
    song = _open(path)
    others = _others(song)
    kind = _kind(song.tags)
    for name in FIELDS:
        if kind.key(name) in song.tags:
            del song.tags[kind.key(name)]
    for name, values in wanted.items():
        song.tags[kind.key(name)] = kind.pack(song.tags, name, values)
    try:
        if isinstance(song.tags, ID3):
            with _without_id3v1(path):
                _store(song, path, v2_version=song.tags.version[1], v23_sep=None)
        else:
            _store(song, path)
    except _DAMAGE as error:
        raise AudioError(f"{path}: expected a file whose fields can be changed, received {error!r}.") from error
    changed = _open(path)
    if _ours(changed) != dict(wanted) or _others(changed) != others:
        raise AudioError(f"{path}: expected to keep all other fields as they are, and could not. Nothing was changed.")


def _store(song: Any, path: Path, **options: Any) -> None:
    """Save; a tag of a kind that files may lack goes when it is empty, since it may have come with us."""
    unknown = getattr(song.tags, "unknown_frames", ())
    if isinstance(song.tags, ID3 | APEv2) and not song.tags and not unknown:
        song.delete(path)
    else:
        song.save(path, **options)


@contextmanager
def _without_id3v1(path: Path) -> Iterator[None]:
    """Set the ID3v1 tag at the end of a file aside, which mutagen would write anew, less of it."""
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
    """The file that a path leads to."""
    try:
        target = Path(path).resolve(strict=True)
        regular = target.is_file()
    except OSError as error:
        raise AudioNotFoundError(f"{os.fspath(path)}: expected a file, received {error}.") from error
    except (RuntimeError, ValueError) as error:  # links in a circle; a zero byte
        raise InputError(f"{os.fspath(path)!r}: expected the path of a file, received {error}.") from error
    if not regular:
        raise AudioError(f"{target}: expected a file, received a folder or a device.")
    return target


def _change(path: str | os.PathLike[str], wanted: Mapping[str, list[str]]) -> bool:
    target = _target(path)
    try:
        before = target.stat()
        if _ours(_open(target)) == dict(wanted):
            return False
        _check_changeable(target, before)
        _replace(target, before, wanted)
    except FileNotFoundError as error:
        raise AudioNotFoundError(f"{target}: expected a file, which has vanished meanwhile: {error}.") from error
    except OSError as error:
        raise InputError(f"{target}: expected a file that can be changed, received {error}.") from error
    return True


def _check_changeable(target: Path, before: os.stat_result) -> None:
    if not before.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(target, os.W_OK):
        raise InputError(f"{target}: expected a file that may be changed, received a read-only one. Nothing was done.")
    if before.st_nlink > 1:
        raise InputError(
            f"{target}: expected a file with one name, received one with {before.st_nlink} hard links, of which only "
            "this one would change. Replace it by a copy first."
        )


def _replace(target: Path, before: os.stat_result, wanted: Mapping[str, list[str]]) -> None:
    """Change a copy and put it in the file's place."""
    number, name = tempfile.mkstemp(dir=target.parent, prefix=".musiczoo-", suffix=target.suffix)
    copy = Path(name)
    try:
        os.close(number)
        shutil.copyfile(target, copy)
        try:
            _save(copy, wanted)
        except AudioError as error:
            raise AudioError(str(error).replace(str(copy), str(target))) from error
        _keep_status(copy, target, before)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())
        now = target.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
            raise InputError(f"{target}: another program changed it meanwhile. Nothing was done; try again.")
        os.replace(copy, target)
    finally:
        copy.unlink(missing_ok=True)
    if os.name == "posix":  # a folder's entries are flushed on their own
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _keep_status(copy: Path, target: Path, before: os.stat_result) -> None:
    """Give the copy the file's owner, mode and extended attributes; the time of the change stays."""
    made = copy.stat()
    if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
        os.chown(copy, before.st_uid, before.st_gid)
    shutil.copystat(target, copy)
    os.utime(copy)
