"""FMA, the Free Music Archive: tracks under Creative Commons licences, with genres chosen by their artists.

Source: Defferrard et al., "FMA: A Dataset for Music Analysis", ISMIR 2017 (arXiv:1612.01840); formats as its
repository (mdeff/fma) describes and reads them. 106,574 tracks, a tree of 163 genres with 16 top genres. No artist is
in two splits.

Files
-----
::

    ROOT/tracks.csv                      from fma_metadata.zip, also in ROOT/fma_metadata
    ROOT/genres.csv                      from the same archive, only for the tags "genres" and "genres_all"
    AUDIO/000/000002.mp3                 in ROOT/fma_small, fma_medium, fma_large or fma_full, or another folder

``tracks.csv`` is a pandas table with two levels of columns and three header rows::

    ,album,album,...,set,set,track,...
    ,comments,date_created,...,split,subset,...,genre_top,genres,...
    track_id,,,...

Cells may contain line breaks (in biographies). Split is training, validation or test; subset is small, medium or large,
each contained in the next. ``genre_top`` is a name, or empty in the large subset; ``genres`` and ``genres_all`` (with
their parents) are ids in brackets, whose names are in ``genres.csv``.

A few of the published clips are empty or shorter than an excerpt of 3 s. They differ between archives: `check` lists
them by their length, and `musiczoo.datasets.prepare` leaves out those that cannot be decoded.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from ..errors import DatasetError, UnknownNameError
from .check import Report, check_dataset, missing_files
from .dataset import Dataset, Item, split_named
from .downloads import read_rows, read_table
from .prepared import EXCERPT_S

NAME = "fma"
TRACKS_FILE = "tracks.csv"
GENRES_FILE = "genres.csv"
DIMENSION = "genre"

LEVELS = ("small", "medium", "large")
"""Subsets in the table: each track has the smallest one that it is in."""

SUBSETS = (*LEVELS, "full")
"""Full has the tracks of large, complete instead of 30 seconds."""

TAGS = ("genre_top", "genres", "genres_all")
"""Columns that can be used as tags."""

PUBLISHED = {
    "small": {"train": 6_400, "validation": 800, "test": 800},
    "medium": {"train": 19_922, "validation": 2_505, "test": 2_573},
    "large": {"all": 106_574},
    "full": {"all": 106_574},
}
"""Subset -> split -> tracks, as far as they are published."""

TOP_GENRES = {"small": 8, "medium": 16}
"""Subset -> number of genres, if each track has one."""

SOURCE = (
    "Fetch fma_metadata.zip and the audio of the subset (fma_small.zip, fma_medium.zip, fma_large.zip or fma_full.zip) "
    "of FMA (Defferrard et al., ISMIR 2017) and unpack them into one folder."
)

_IDS = re.compile(r"\[(?:[0-9]+(?:, *[0-9]+)*)?\]")


class _Row(NamedTuple):
    """The cells of a track that are used."""

    track: str
    split: str
    subset: str
    genre_top: str
    genres: str
    genres_all: str
    title: str
    artist: str
    licence: str


_CELLS = {
    "split": ("set", "split"),
    "subset": ("set", "subset"),
    "genre_top": ("track", "genre_top"),
    "genres": ("track", "genres"),
    "genres_all": ("track", "genres_all"),
    "title": ("track", "title"),
    "artist": ("artist", "name"),
    "licence": ("track", "license"),
}
"""Field of a row -> its two header levels."""


def load(root: Path | str, audio: Path | str | None = None, subset: str = "small", tags: str = "genre_top") -> Dataset:
    """Load the tracks of one subset with their genres.

    Args:
        root: Folder with the tables, or with the folder ``fma_metadata``.
        audio: Folder with the audio; by default the smallest of ``root/fma_small`` and so on that exists and contains
            the subset.
        subset: One of `SUBSETS`.
        tags: One of `TAGS`.

    Returns:
        The tracks in the order of the table. Tags are the genres that occur, in alphabetical order.

    Raises:
        UnknownNameError: If there is no such subset, or no such tags.
        DatasetError: If a table is missing or damaged.

    Example:
        >>> import tempfile
        >>> rows = [[group for group, _ in _CELLS.values()], [name for _, name in _CELLS.values()], [""] * 8]
        >>> rows.append(["training", "small", "Rock", "[12]", "[12]", "A title", "An artist", "CC BY"])
        >>> with tempfile.TemporaryDirectory() as root:
        ...     lines = [",".join([first, *row]) for first, row in zip(("", "", "track_id", "2"), rows)]
        ...     _ = Path(root, TRACKS_FILE).write_text("\\n".join(lines))
        ...     music = load(root)
        >>> music.items[0].id, music.items[0].split, music.items[0].tags
        ('000002', 'train', ('Rock',))
    """
    root = Path(root)
    if subset not in SUBSETS:
        raise UnknownNameError.of("subset", subset, SUBSETS)
    if tags not in TAGS:
        raise UnknownNameError.of("kind of tags", tags, TAGS)
    folder = _folder(root, subset) if audio is None else Path(audio)
    names = {} if tags == "genre_top" else _names(_table(root, GENRES_FILE))
    path = _table(root, TRACKS_FILE)
    used = LEVELS[: SUBSETS.index(subset) + 1]
    items = []
    for line, row in _rows(path):
        split = split_named(row.split)
        if not _is_id(row.track) or split is None or row.subset not in LEVELS:
            raise DatasetError(
                f"{path}, line {line}: expected a track's number, its split and a subset of {', '.join(LEVELS)}, "
                f"got {row.track[:40]!r}, {row.split[:40]!r} and {row.subset[:40]!r}. {SOURCE}"
            )
        if row.subset not in used:
            continue
        number = f"{int(row.track):06d}"
        items.append(
            Item(
                id=number,
                split=split,
                audio=folder / number[:3] / f"{number}.mp3",
                tags=_tags(row, tags, names, f"{path}, line {line}"),
                title=row.title,
                artist=row.artist,
                genre=row.genre_top,
                licence=row.licence,
            )
        )
    vocabulary = tuple(sorted({tag for item in items for tag in item.tags}))
    return Dataset(NAME, root, vocabulary, {DIMENSION: vocabulary}, tuple(items))


def check(
    root: Path | str,
    audio: Path | str | None = None,
    subset: str = "small",
    tags: str = "genre_top",
    quick: bool = False,
    console: Console | None = None,
) -> Report:
    """Report missing and damaged files, and clips that are shorter than an excerpt.

    Args:
        root: Folder with the tables, or with the folder ``fma_metadata``.
        audio: Folder with the audio; by default as in `load`.
        subset: One of `SUBSETS`.
        tags: One of `TAGS`.
        quick: Only look whether the audio is there, not whether it can be decoded, or how long they are.
        console: Console for progress; standard error by default.

    Raises:
        UnknownNameError: If there is no such subset, or no such tags.

    Example:
        >>> report = check("fma")  # there is no such folder
        >>> [(found.what, found.count) for found in report.problems]
        [('every list and annotation', 1)]
    """
    root = Path(root)
    if subset not in SUBSETS:
        raise UnknownNameError.of("subset", subset, SUBSETS)
    absent = missing_files([_table(root, TRACKS_FILE)], SOURCE)
    if absent:
        return Report(NAME, root, {}, tuple(absent))
    published = dict(PUBLISHED[subset])
    if tags == "genre_top" and subset in TOP_GENRES:
        published["tags"] = TOP_GENRES[subset]
    return check_dataset(
        NAME, root, lambda: load(root, audio, subset, tags), published, SOURCE, quick, console, EXCERPT_S
    )


def _table(root: Path, name: str) -> Path:
    inner, outer = root / "fma_metadata", root / name
    return outer if outer.is_file() or not inner.is_dir() else inner / name


def _folder(root: Path, subset: str) -> Path:
    """Return the folder of the subset, or else of a larger one that contains it."""
    holding = SUBSETS[LEVELS.index(subset) : -1] if subset in LEVELS else (subset,)
    folders = [root / f"fma_{name}" for name in holding]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _rows(path: Path) -> Iterator[tuple[int, _Row]]:
    rows = read_rows(path, line_breaks=True)
    groups, names, index = (next(rows, (0, [""]))[1] for _ in range(3))
    columns = {pair: number for number, pair in enumerate(zip(groups, names, strict=False))}
    absent = ["/".join(pair) for pair in _CELLS.values() if pair not in columns]
    if absent or index[0] != "track_id":
        raise DatasetError(
            f"{path}: expected three header rows with {', '.join(absent) or 'track_id'}, got "
            f"{', '.join(groups)[:60]} / {', '.join(names)[:60]} / {index[0][:20]}. {SOURCE}"
        )
    at = [columns[_CELLS[field]] for field in _Row._fields[1:]]
    for line, cells in rows:
        if len(cells) != len(groups):
            raise DatasetError(f"{path}, line {line}: expected {len(groups)} cells, got {len(cells)}. {SOURCE}")
        yield line, _Row(cells[0], *(cells[column].strip() for column in at))


def _names(path: Path) -> dict[str, str]:
    """Return genre id -> title, made unique."""
    names: dict[str, str] = {}
    for line, row in read_table(path, ",", ("genre_id", "title")):
        title = row["title"].strip()
        if not _is_id(row["genre_id"]) or not title:
            raise DatasetError(f"{path}, line {line}: expected a genre's number and title, got {row}. {SOURCE}")
        names[row["genre_id"]] = title if title not in names.values() else f"{title} ({row['genre_id']})"
    return names


def _tags(row: _Row, column: str, names: Mapping[str, str], place: str) -> tuple[str, ...]:
    cell: str = getattr(row, column)
    if column == "genre_top":
        return (cell,) if cell else ()
    ids = re.findall("[0-9]+", cell)
    if not _IDS.fullmatch(cell) or not all(number in names for number in ids):
        raise DatasetError(
            f"{place}: expected ids of {GENRES_FILE} in brackets as {column}, got {cell[:80]!r}. {SOURCE}"
        )
    return tuple(dict.fromkeys(names[number] for number in ids))


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6
