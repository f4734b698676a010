"""The definition of open_music: a CSV with one recording of a Debian package per row.

Conventions
-----------
- A *member* is a path in the package; ``a.zip!/b`` is the file b in the zip a; ``mix:folder`` is the sum of the stems
  ``folder/song.ogg`` and ``folder/guitar.ogg``.
- *sha256* is the hash of the member's bytes, or of the concatenated bytes of a mix's stems.
- *use_s* is shorter than *duration_s* where a file repeats itself: only its first use_s seconds are used.
- Rows of the split `DROP` are not used (variants of other rows).
"""

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import DatasetError
from ..dataset import Item, slug
from ..downloads import read_text
from ..prepared import SPLITS
from .debian import ZIP_MARK

DEFINITION = Path(__file__).with_name("open_music.csv")

DROP = "drop"
MIX = "mix:"
STEMS = ("song.ogg", "guitar.ogg")


@dataclass(frozen=True)
class Recording:
    """One row of the definition.

    Attributes:
        split: One of `musiczoo.datasets.prepared.SPLITS`, or `DROP`.
        package: Name of the Debian package.
        version: Version of the package.
        member: Path in the package; see the module's conventions.
        sha256: Hex hash of the member.
        duration_s: Duration of the whole file in seconds.
        use_s: Seconds to use, from the start.
        licence: Licence of the recording.
        title: As published, or empty.
        artist: As published, or empty.
        genre: As published, or empty.
        note: Anything else to know.
    """

    split: str
    package: str
    version: str
    member: str
    sha256: str
    duration_s: float
    use_s: float
    licence: str
    title: str = ""
    artist: str = ""
    genre: str = ""
    note: str = ""

    @property
    def id(self) -> str:
        """Package and file name, in lower-case letters, digits and hyphens."""
        return f"{self.package}-{slug(PurePosixPath(self.member.removeprefix(MIX)).stem)}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Members of the package that it consists of."""
        if self.member.startswith(MIX):
            return tuple(f"{self.member.removeprefix(MIX)}/{stem}" for stem in STEMS)
        return (self.member,)

    @property
    def audio(self) -> str:
        """Name of its file in the folder ``audio``."""
        return self.id + (".flac" if self.member.startswith(MIX) else PurePosixPath(self.member).suffix)

    @property
    def limit_s(self) -> float | None:
        """Seconds to use from the start, or None for the whole file."""
        return self.use_s if self.use_s < self.duration_s else None

    def item(self, folder: Path) -> Item:
        """Return the recording as an item of a data set, with its file in a folder."""
        return Item(
            id=self.id,
            split=self.split,
            audio=folder / self.audio,
            tags=(),
            title=self.title,
            artist=self.artist,
            genre=self.genre,
            licence=self.licence,
            package=self.package,
        )


def read_definition(path: Path = DEFINITION) -> tuple[Recording, ...]:
    """Read the recordings of a definition, including rows of the split `DROP`.

    Args:
        path: The CSV; by default that of open_music.

    Raises:
        DatasetError: If it is malformed, with the line.

    Example:
        >>> sorted({recording.split for recording in read_definition()})
        ['drop', 'test', 'train', 'validation']
    """
    text = read_text(path, "a definition (CSV)")
    columns = tuple(field.name for field in fields(Recording))
    reader = csv.DictReader(io.StringIO(text), strict=True)
    lines: dict[str, int] = {}
    recordings: list[Recording] = []
    try:
        if tuple(reader.fieldnames or ()) != columns:
            raise DatasetError(f"{path}: expected the columns {columns}, got {str(reader.fieldnames)[:200]}.")
        for row in reader:
            try:
                recording = _recording(row)
            except (ValueError, TypeError, AttributeError) as error:
                raise DatasetError(f"{path}, line {reader.line_num}: {error}.") from error
            if recording.id in lines:
                raise DatasetError(
                    f"{path}, line {reader.line_num}: expected distinct file names in a package, got a second "
                    f"{recording.id!r} (first in line {lines[recording.id]})."
                )
            lines[recording.id] = reader.line_num
            recordings.append(recording)
    except csv.Error as error:
        raise DatasetError(f"{path}, line {reader.line_num}: expected CSV, got {error}.") from error
    return tuple(recordings)


def _recording(row: Mapping[str, str]) -> Recording:
    if None in row.values():
        raise ValueError("expected a value in every column, got a short row")
    recording = Recording(**{**row, "duration_s": float(row["duration_s"]), "use_s": float(row["use_s"])})  # type: ignore[arg-type]
    expected: dict[str, Callable[[Any], object]] = {
        "split": (*SPLITS, DROP).__contains__,
        "package": re.compile(r"[a-z0-9][a-z0-9+.-]+").fullmatch,
        "version": re.compile(r"[0-9][A-Za-z0-9.+:~-]*").fullmatch,
        "sha256": re.compile(r"[0-9a-f]{64}").fullmatch,
        "member": _is_safe,
        "audio": re.compile(r"[a-z0-9][a-z0-9+.-]*\.[A-Za-z0-9]+").fullmatch,
        "use_s": lambda seconds: 0 < seconds <= recording.duration_s,
        "licence": str.strip,
    }
    for name, valid in expected.items():
        if not valid(getattr(recording, name)):
            raise ValueError(f"expected a valid {name}, got {getattr(recording, name)!r}")
    return recording


def _is_safe(member: str) -> bool:
    parts = member.removeprefix(MIX).replace(ZIP_MARK, "/").split("/")
    return all(part not in ("", ".", "..") for part in parts) and "\\" not in member and "\0" not in member
