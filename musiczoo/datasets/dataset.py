"""One interface for every source of tagged music: items with a split, a file and tags.

Conventions
-----------
- An item's id is also the name of its files, so it is plain: see `safe_id`.
- A tag is in exactly one dimension. Where nothing groups the tags, that is `musiczoo.taxonomy.PLAIN_SPACE`.
- An item may have no tag: then none applies.
- Loaders read what a publication ships and nothing else: the audio is neither opened nor looked for.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError, UnknownNameError
from ..taxonomy import PLAIN_SPACE
from .open_music.definition import slug
from .prepared import SPLITS

_SPLITS_AS_WRITTEN = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
"""Paths that need no look at their parts: `is_inside` is asked about hundreds of thousands."""

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")


@dataclass(frozen=True)
class Item:
    """One track.

    Attributes:
        id: Unique and safe as a file name.
        split: One of `musiczoo.datasets.prepared.SPLITS`.
        audio: Its file, which may be missing.
        tags: What people said of it, out of the data set's tags.
        title: As published, or empty.
        artist: As published, or empty.
        genre: As published, or empty.
        licence: Licence of the recording, or empty.
        package: Where it came from, or empty.
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
        root: Folder that it was read from.
        tags: All tags, in the order of the columns of labels.
        dimensions: Dimension -> its tags; each tag is in one.
        items: The tracks.
    """

    name: str
    root: Path
    tags: tuple[str, ...]
    dimensions: Mapping[str, tuple[str, ...]]
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        """Check the promises above.

        Raises:
            DatasetError: Naming the first broken one.
        """
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
                    f"{self.root}: expected ids that differ by more than case and are plain file names, received "
                    f"{item.id!r} for {item.audio}. Is it listed twice?"
                )
            seen.add(item.id.casefold())
            if item.split not in SPLITS:
                raise DatasetError(f"{item.id}: expected a split out of {SPLITS}, received {item.split!r}.")
            if not set(item.tags) <= self._column.keys():
                raise DatasetError(f"{item.id}: expected tags of the data set, received {item.tags}.")

    def split(self, name: str) -> tuple[Item, ...]:
        """The items of one split.

        Raises:
            UnknownNameError: If there is no such split.
        """
        if name not in SPLITS:
            raise UnknownNameError.of("split", name, SPLITS)
        return tuple(item for item in self.items if item.split == name)

    def audio(self, item_id: str) -> Path:
        """An item's file.

        Raises:
            UnknownNameError: If there is no such item.
        """
        if item_id not in self._by_id:
            raise UnknownNameError.of("track", item_id, self._by_id)
        return self._by_id[item_id].audio

    def positives(self, split: str) -> NDArray[np.bool_]:
        """Which tags apply to the items of a split: ``[items, tags]``.

        Raises:
            UnknownNameError: If there is no such split.
        """
        return np.array([self.row(item) for item in self.split(split)], bool).reshape(-1, len(self.tags))

    def row(self, item: Item) -> NDArray[np.bool_]:
        """Which tags apply to one item: ``[tags]``."""
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
        root: The person's copy of the data set.
        audio: The folder that the person names, if any: it is taken as it is.
        usual: Folder in `root` where the audio belongs.
        parts: Names of the folders that the audio consists of. Where `root` has one of them, and ``root/usual`` has
            none, the audio was unpacked right into `root`.
    """
    if audio is not None:
        return Path(audio)
    folder, names = root / usual, list(parts)
    return root if not _holds(folder, names) and _holds(root, names) else folder


def _holds(folder: Path, names: Iterable[str]) -> bool:
    return any(os.path.isdir(os.path.join(folder, name)) for name in names)


def ungrouped(tags: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The dimensions of tags that nothing groups: one."""
    return {PLAIN_SPACE: tuple(tags)}


def split_named(text: str) -> str | None:
    """The split that a publication calls train or training; validation, valid or val; test or testing; else None."""
    return _SPLITS_AS_WRITTEN.get(text.strip().lower())


def is_inside(path: str) -> bool:
    """Whether a path that a table names leads to something in the folder that it is relative to, by its parts alone."""
    if _PLAIN_PATH.fullmatch(path):
        return True
    for kind in (PurePosixPath, PureWindowsPath):
        pure = kind(path)
        if pure.drive or pure.root or not pure.parts or ".." in pure.parts:  # no parts: the folder itself
            return False
    return "\0" not in path


def safe_id(text: str) -> str:
    """An id that is safe as a file name: `text` itself where it is plain, else a slug of it and a short hash."""
    if _PLAIN.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{slug(text)[:80].strip('-')}-{digest}"
