"""The common interface of all data sets of tagged music: items with a split, a file and tags.

Conventions
-----------
- An item's id is also the name of its files, so it contains only plain characters: see `safe_id`.
- Each tag is in exactly one dimension. Tags without groups are in `musiczoo.taxonomy.PLAIN_SPACE`.
- An item may have no tags.
- Loaders read only the published lists and tables. They neither open nor look for the audio.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError, UnknownNameError
from ..taxonomy import PLAIN_SPACE
from .prepared import SPLITS

_SPLITS_AS_WRITTEN = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
"""Paths whose parts need no check: `is_inside` is called for hundreds of thousands."""

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")


@dataclass(frozen=True)
class Item:
    """One track.

    Attributes:
        id: Unique and safe as a file name.
        split: One of `musiczoo.datasets.prepared.SPLITS`.
        audio: Its file, which need not exist.
        tags: Its annotated tags, out of the data set's tags.
        title: As published, or empty.
        artist: As published, or empty.
        genre: As published, or empty.
        licence: Licence of the recording, or empty.
        package: Its source, such as an album or a game, or empty.

    Example:
        >>> song = Item("song", "train", Path("song.mp3"), ("sad", "slow"), artist="Artist")
        >>> song.tags, song.title
        (('sad', 'slow'), '')
    """

    id: str
    split: str
    audio: Path
    tags: tuple[str, ...]
    title: str = ""
    artist: str = ""
    genre: str = ""
    licence: str = ""
    package: str = ""


@dataclass(frozen=True)
class Dataset:
    """Tagged music.

    Attributes:
        name: Name of the loader.
        root: Folder of the lists.
        tags: All tags, in the order of the columns of labels.
        dimensions: Dimension -> its tags; each tag is in one.
        items: The tracks.

    Raises:
        DatasetError: If tags, dimensions or items contradict each other.

    Example:
        >>> items = [Item("a", "train", Path("a.mp3"), ("sad",)), Item("b", "test", Path("b.mp3"), ())]
        >>> music = Dataset("folder", Path("."), ("sad", "happy"), {"mood": ("sad", "happy")}, tuple(items))
        >>> music.positives("train")
        array([[ True, False]])
    """

    name: str
    root: Path
    tags: tuple[str, ...]
    dimensions: Mapping[str, tuple[str, ...]]
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        """Check tags, dimensions and items."""
        grouped = [tag for tags in self.dimensions.values() for tag in tags]
        if not self.tags or sorted(grouped) != sorted(set(self.tags)) or len(self.tags) != len(grouped):
            raise DatasetError(
                f"{self.root}: expected one or more distinct tags, each in one dimension, got "
                f"{str(self.tags)[:200]} and dimensions {str(dict(self.dimensions))[:200]}."
            )
        seen: set[str] = set()
        for item in self.items:
            if item.id.casefold() in seen or not _FILE_NAME.fullmatch(item.id):
                raise DatasetError(
                    f"{self.root}: expected ids that are plain file names and differ by more than case, got "
                    f"{item.id!r} for {item.audio}. Is it listed twice?"
                )
            seen.add(item.id.casefold())
            if item.split not in SPLITS:
                raise DatasetError(f"{item.id}: expected one of the splits {SPLITS}, got {item.split!r}.")
            if not set(item.tags) <= self._column.keys():
                raise DatasetError(f"{item.id}: expected tags of the data set, got {item.tags}.")

    def split(self, name: str) -> tuple[Item, ...]:
        """Return the items of one split.

        Raises:
            UnknownNameError: If there is no such split.
        """
        if name not in SPLITS:
            raise UnknownNameError.of("split", name, SPLITS)
        return tuple(item for item in self.items if item.split == name)

    def audio(self, item_id: str) -> Path:
        """Return the file of an item.

        Raises:
            UnknownNameError: If there is no such item.
        """
        if item_id not in self._by_id:
            raise UnknownNameError.of("track", item_id, self._by_id)
        return self._by_id[item_id].audio

    def positives(self, split: str) -> NDArray[np.bool_]:
        """Return which tags the items of a split have: ``[items, tags]``.

        Raises:
            UnknownNameError: If there is no such split.
        """
        return np.array([self.row(item) for item in self.split(split)], bool).reshape(-1, len(self.tags))

    def row(self, item: Item) -> NDArray[np.bool_]:
        """Return which tags one item has: ``[tags]``."""
        row = np.zeros(len(self.tags), bool)
        row[[self._column[tag] for tag in item.tags]] = True
        return row

    @cached_property
    def _column(self) -> dict[str, int]:
        return {tag: column for column, tag in enumerate(self.tags)}

    @cached_property
    def _by_id(self) -> dict[str, Item]:
        return {item.id: item for item in self.items}


def audio_folder(root: Path, audio: Path | str | None, usual: str, parts: Iterable[str]) -> Path:
    """Return the folder with the audio of a data set.

    Args:
        root: The copy of the data set.
        audio: The folder that the user names, if any, which is returned as it is.
        usual: Name of the folder in `root` where the audio belongs.
        parts: Names of the folders of the audio. If `root` has one of them and ``root/usual`` has none, the audio was
            unpacked directly into `root`.

    Example:
        >>> audio_folder(Path("gtzan"), None, "genres", ["blues", "jazz"]).as_posix()
        'gtzan/genres'
    """
    if audio is not None:
        return Path(audio)
    folder, names = root / usual, list(parts)
    return root if not _holds(folder, names) and _holds(root, names) else folder


def _holds(folder: Path, names: Iterable[str]) -> bool:
    return any(os.path.isdir(os.path.join(folder, name)) for name in names)


def ungrouped(tags: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the dimensions of tags without groups: a single one.

    Example:
        >>> ungrouped(["rock", "sad"])
        {'all': ('rock', 'sad')}
    """
    return {PLAIN_SPACE: tuple(tags)}


def split_named(text: str) -> str | None:
    """Return the split with a published name (train, training, validation, valid, val, test, testing), or None.

    Example:
        >>> split_named("Valid"), split_named("rock")
        ('validation', None)
    """
    return _SPLITS_AS_WRITTEN.get(text.strip().lower())


def is_inside(path: str) -> bool:
    """Return whether a relative path stays inside its folder, judged by its parts without looking at the disk.

    Example:
        >>> is_inside("album/one.mp3"), is_inside("../one.mp3")
        (True, False)
    """
    if _PLAIN_PATH.fullmatch(path):
        return True
    for kind in (PurePosixPath, PureWindowsPath):
        pure = kind(path)
        if pure.drive or pure.root or not pure.parts or ".." in pure.parts:  # no parts: the folder itself
            return False
    return "\0" not in path


def safe_id(text: str) -> str:
    """Return an id that is safe as a file name: `text` itself if it is plain, else a slug of it and a short hash.

    Example:
        >>> safe_id("TRAAAAW128F429D538"), safe_id("Über/one.mp3")
        ('TRAAAAW128F429D538', 'uber-one-mp3-6094949ef5')
    """
    if _PLAIN.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{slug(text)[:80].strip('-')}-{digest}"


def slug(text: str) -> str:
    """Return text as lower-case ASCII letters and digits with single hyphens between them, never empty.

    Example:
        >>> slug("Über den Wolken!")
        'uber-den-wolken'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "track"
