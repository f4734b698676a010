"""MTG-Jamendo: full tracks under Creative Commons licences, with tags by their uploaders.

Source: Bogdanov et al., "The MTG-Jamendo Dataset for Automatic Music Tagging", Machine Learning for Music
Discovery Workshop, ICML 2019. Its tags name their dimension, ``genre---rock``, ``mood/theme---happy``,
``instrument---piano``, and are kept as they are. It has five splits; no artist is in two parts of one.

Files
-----
::

    ROOT/data/splits/split-0/autotagging_top50tags-train.tsv        and -validation, -test; other subsets and splits
    AUDIO/14/214.mp3, or 14/214.low.mp3                             in ROOT/audio or ROOT unless another is named

The tables are TSV: TRACK_ID, ARTIST_ID, ALBUM_ID, PATH, DURATION and TAGS, one tag per cell. ROOT is a copy of the data
set's repository, or contains the tables of one split.
"""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from ..errors import DatasetError, InputError, UnknownNameError
from .check import Report, check_dataset, missing_files
from .dataset import Dataset, Item, audio_folder, is_inside, safe_id
from .downloads import read_rows
from .prepared import SPLITS

NAME = "jamendo"
COLUMNS = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
SEPARATOR = "---"
FOLDS = 5
"""Number of published splits."""

SUBSETS = {
    "all": "autotagging",
    "top50tags": "autotagging_top50tags",
    "genre": "autotagging_genre",
    "instrument": "autotagging_instrument",
    "moodtheme": "autotagging_moodtheme",
}
"""Tags to use -> prefix of the tables."""

PUBLISHED = {
    "all": {"all": 55_525, "tags": 183},
    "top50tags": {"all": 54_380, "tags": 50},
    "genre": {"all": 55_094, "tags": 87},
    "instrument": {"all": 24_976, "tags": 40},
    "moodtheme": {"all": 17_982, "tags": 56},
}
"""Subset -> tracks and tags of each of its five splits, train, validation and test together.

Each split has all tracks: those of a subset are the same in all five. Sources: README.md of the data set's repository
(55,525 tracks with 87 + 40 + 56 tags; 54,380), where the counts of the other three are of the tables before tags were
discarded; those are in Doh et al., "Toward Universal Text-to-Music Retrieval", ICASSP 2023, as its repository says
(music-semantic-understanding-benchmark, README.md).
"""

PUBLISHED_PARTS = {("moodtheme", 0): {"test": 4_231}}
"""Subset and fold -> known counts: the test set of MediaEval 2019 to 2021 (its task description)."""

_FOLDERS = tuple(f"{number:02}" for number in range(100))
"""Names of the folders of audio: the last two digits of the ids."""

SOURCE = (
    "Fetch the repository of the MTG-Jamendo data set (Bogdanov et al., ML4MD at ICML 2019), and with its download "
    "script the audio of raw_30s, or audio-low, unpacked into one folder."
)


def load(root: Path | str, audio: Path | str | None = None, subset: str = "top50tags", fold: int = 0) -> Dataset:
    """Load one split of a subset.

    Args:
        root: A copy of the data set's repository.
        audio: Folder with the audio; by default ``root/audio``, or `root` if it contains the folders 00 to 99.
        subset: One of `SUBSETS`.
        fold: Number of the published split, 0 to 4.

    Returns:
        The tracks with any of the subset's tags; tags are in alphabetical order.

    Raises:
        UnknownNameError: If there is no such subset.
        InputError: If there is no such split.
        DatasetError: If a table is missing or damaged.

    Example:
        >>> import tempfile
        >>> row = ("track_0000214", "artist_000014", "album_000031", "14/214.mp3", "124.6", "genre---rock")
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for split in SPLITS:
        ...         rows = [COLUMNS, row] if split == "train" else [COLUMNS]
        ...         text = "\\n".join(map("\\t".join, rows))
        ...         _ = Path(root, f"autotagging_genre-{split}.tsv").write_text(text)
        ...     music = load(root, subset="genre")
        >>> music.items[0].id, music.items[0].tags, dict(music.dimensions)
        ('track_0000214', ('genre---rock',), {'genre': ('genre---rock',)})
    """
    root = Path(root)
    folder = audio_folder(root, audio, "audio", _FOLDERS)
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
    """Report missing and damaged files.

    Args:
        root: A copy of the data set's repository.
        audio: Folder with the audio; by default ``root/audio``, or `root` if it contains the folders 00 to 99.
        subset: One of `SUBSETS`.
        fold: Number of the published split, 0 to 4.
        quick: Only check that audio files exist, not that they can be decoded.
        console: Console for progress; standard error by default.

    Raises:
        UnknownNameError: If there is no such subset.
        InputError: If there is no such split.

    Example:
        >>> report = check("jamendo", subset="genre")  # there is no such folder
        >>> [(found.what, found.count) for found in report.problems]
        [('every list and annotation', 3)]
    """
    root = Path(root)
    absent = missing_files(_tables(root, subset, fold).values(), SOURCE)
    if absent:
        return Report(NAME, root, {}, tuple(absent))
    published = PUBLISHED[subset] | PUBLISHED_PARTS.get((subset, fold), {})
    return check_dataset(NAME, root, lambda: load(root, audio, subset, fold), published, SOURCE, quick, console)


def _tables(root: Path, subset: str, fold: int) -> dict[str, Path]:
    """Return split -> table."""
    if subset not in SUBSETS:
        raise UnknownNameError.of("subset", subset, SUBSETS)
    if fold not in range(FOLDS):
        raise InputError(f"Expected a fold from 0 to {FOLDS - 1}, got {fold}.")
    folder = root / "data" / "splits" / f"split-{fold}"
    if not folder.is_dir() and (root / f"{SUBSETS[subset]}-train.tsv").is_file():
        folder = root  # benchmarks copy one split
    return {split: folder / f"{SUBSETS[subset]}-{split}.tsv" for split in SPLITS}


def _rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a table: five cells and one or more tags each."""
    rows = read_rows(path, "\t")
    _, header = next(rows, (0, []))
    if header != COLUMNS:
        raise DatasetError(
            f"{path}: expected the columns {', '.join(COLUMNS)}, got {', '.join(header)[:100] or 'none'}. {SOURCE}"
        )
    for line, row in rows:
        tags = row[len(COLUMNS) - 1 :]
        if not tags or not all(SEPARATOR in tag for tag in tags) or not is_inside(row[3]):
            raise DatasetError(
                f"{path}, line {line}: expected three ids, a path, a duration and tags like genre{SEPARATOR}rock, "
                f"got {len(row)} cells: {', '.join(row)[:100]}. {SOURCE}"
            )
        yield row


def _locate(folder: Path, path: str) -> Path:
    """Return the full version of a track's audio, or else the small one."""
    full = folder / path
    small = full.with_suffix(f".low{full.suffix}")
    return small if not full.is_file() and small.is_file() else full
