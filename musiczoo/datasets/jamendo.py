"""MTG-Jamendo: full tracks under Creative Commons licences, with the tags of those who uploaded them.

Source: Bogdanov et al., "The MTG-Jamendo Dataset for Automatic Music Tagging", Machine Learning for Music
Discovery Workshop, ICML 2019. Its tags name their dimension, ``genre---rock``, ``mood/theme---happy``,
``instrument---piano``, and are kept as they are. It has five ways to split, none of which divides an artist.

Files
-----
::

    ROOT/data/splits/split-0/autotagging_top50tags-train.tsv        and -validation, -test; other subsets and splits
    AUDIO/14/214.mp3, or 14/214.low.mp3                             in ROOT/audio unless another folder is named

The tables have tabs between TRACK_ID, ARTIST_ID, ALBUM_ID, PATH, DURATION and TAGS, of which there may be many,
each in a cell of its own. ROOT is a copy of the data set's repository.
"""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from ..errors import DatasetError, InputError, UnknownNameError
from .check import Report, check_dataset, missing_files
from .dataset import Dataset, Item, is_inside, safe_id
from .store import SPLITS
from .tables import read_rows

NAME = "jamendo"
COLUMNS = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
SEPARATOR = "---"
FOLDS = 5
"""Ways to split that are published."""

SUBSETS = {
    "all": "autotagging",
    "top50tags": "autotagging_top50tags",
    "genre": "autotagging_genre",
    "instrument": "autotagging_instrument",
    "moodtheme": "autotagging_moodtheme",
}
"""Tags to use -> how the names of the tables begin."""

PUBLISHED = {"all": {"all": 55_525}, "top50tags": {"all": 54_380}}

SOURCE = (
    "Fetch the repository of the MTG-Jamendo data set (Bogdanov et al., ML4MD at ICML 2019), and with its download "
    "script the audio of raw_30s, or audio-low, unpacked into one folder."
)


def load(root: Path | str, audio: Path | str | None = None, subset: str = "top50tags", fold: int = 0) -> Dataset:
    """Read one split of a subset.

    Args:
        root: A copy of the data set's repository.
        audio: Folder with the audio; by default ``root/audio``.
        subset: One of `SUBSETS`.
        fold: Which of the published splits, 0 to 4.

    Returns:
        The tracks that have one of the subset's tags; the tags are in alphabetical order.

    Raises:
        UnknownNameError: If there is no such subset.
        InputError: If there is no such split.
        DatasetError: If a table is missing or damaged.
    """
    root = Path(root)
    folder = root / "audio" if audio is None else Path(audio)
    items = tuple(
        Item(
            id=safe_id(row[0]),
            split=split,
            audio=_locate(folder, row[3]),
            tags=tuple(row[5:]),
            artist=row[1],
            package=row[2],
        )
        for split, path in _tables(root, subset, fold).items()
        for row in _rows(path)
    )
    tags = tuple(sorted({tag for item in items for tag in item.tags}))
    dimensions: dict[str, list[str]] = {}
    for tag in tags:
        dimensions.setdefault(tag.partition(SEPARATOR)[0], []).append(tag)
    return Dataset(NAME, root, tags, {name: tuple(group) for name, group in dimensions.items()}, items)


def check(
    root: Path | str,
    audio: Path | str | None = None,
    subset: str = "top50tags",
    fold: int = 0,
    quick: bool = False,
    console: Console | None = None,
) -> Report:
    """Tell what is missing or damaged.

    Args:
        root: A copy of the data set's repository.
        audio: Folder with the audio; by default ``root/audio``.
        subset: One of `SUBSETS`.
        fold: Which of the published splits, 0 to 4.
        quick: Only look whether the audio is there, not whether it can be decoded.
        console: Where progress goes; standard error by default.

    Raises:
        UnknownNameError: If there is no such subset.
        InputError: If there is no such split.
    """
    root = Path(root)
    absent = missing_files(_tables(root, subset, fold).values(), SOURCE)
    if absent:
        return Report(NAME, root, {}, tuple(absent))
    published = PUBLISHED.get(subset, {})
    return check_dataset(NAME, root, lambda: load(root, audio, subset, fold), published, SOURCE, quick, console)


def _tables(root: Path, subset: str, fold: int) -> dict[str, Path]:
    """Split -> its table."""
    if subset not in SUBSETS:
        raise UnknownNameError.of("subset", subset, SUBSETS)
    if fold not in range(FOLDS):
        raise InputError(f"Expected a fold from 0 to {FOLDS - 1}, received {fold}.")
    folder = root / "data" / "splits" / f"split-{fold}"
    return {split: folder / f"{SUBSETS[subset]}-{split}.tsv" for split in SPLITS}


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of a table: five cells and one or more tags each."""
    rows = read_rows(path, "\t")
    _, header = next(rows, (0, []))
    if header != COLUMNS:
        raise DatasetError(f"{path}: expected the columns {', '.join(COLUMNS)}, received {', '.join(header)}. {SOURCE}")
    for line, row in rows:
        tags = row[len(COLUMNS) - 1 :]
        if not tags or not all(SEPARATOR in tag for tag in tags) or not is_inside(row[3]):
            raise DatasetError(
                f"{path}, line {line}: expected three ids, a path, a duration and tags like genre{SEPARATOR}rock, "
                f"received {len(row)} cells: {', '.join(row)[:100]}. {SOURCE}"
            )
        yield row


def _locate(folder: Path, path: str) -> Path:
    """The full or else the small version of a track's audio."""
    full = folder / path
    small = full.with_suffix(f".low{full.suffix}")
    return small if not full.is_file() and small.is_file() else full
