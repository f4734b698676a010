"""Your own music: a folder of audio with a table of tags, or with folders named after tags.

The table is CSV or TSV, UTF-8, with a header, in one of two forms::

    path,tags                                    path,mood:happy,mood:sad,instrument:piano
    one.mp3,mood:happy; instrument:piano         one.mp3,1,0,1
    two/two.flac,mood:sad | mood:slow            two/two.flac,0,1,0

- *path* is relative to the folder and stays inside it. Instead of it, *id* may name a file without its ending, anywhere
  below the folder. If a table has both, *path* is the file and *id* the name of the track.
- Tags in one cell are separated by ``;`` or ``|``. A cell of the second form is 1, 0 or empty.
- A tag may name its dimension before the first colon; then all tags must. Otherwise there is one dimension.
- Optional columns: *split* (train, validation or test), *group* (tracks that must be in the same split, such as an
  album), *artist*, *title*, *genre*, *licence*.
- Without a split, a hash of the group, or else of the artist or the path, decides: 80 % are train, 10 % validation,
  10 % test. A track keeps its split when other tracks are added or removed.

Without a table, the names of two or more folders are the tags of the audio in them::

    happy/one.mp3                                train/happy/one.mp3
    sad/album/two.flac                           test/sad/two.flac

- If all folders are named after splits, the folders in them are the tags.
- Otherwise a hash decides as above; the tracks of a folder inside a tag's folder (an album) get the same split.
- Audio outside these folders is left out.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rich.console import Console

from ..audio import SUFFIXES
from ..errors import DatasetError
from .check import Report, check_dataset, problem
from .dataset import Dataset, Item, is_inside, safe_id, split_named, ungrouped
from .downloads import read_rows, read_table, unpack_hint
from .prepared import SPLITS

NAME = "folder"
TABLE = "tags.csv"
OPTIONAL = ("split", "group", "artist", "title", "genre", "licence")
SEPARATORS = (";", "|")

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}

SOURCE = "Correct the table or the folder: docs/guides/data.md describes the table."


def load(root: Path | str, labels: Path | str | None = None) -> Dataset:
    """Load the table, or the names of the folders.

    Args:
        root: Folder with the audio.
        labels: The table; by default ``root/tags.csv``, or if it does not exist the names of the folders in ``root``.

    Returns:
        The tracks in the order of the table, or of their paths. Tags are in the order of the table's columns, or
        alphabetical if they share a cell or are folders.

    Raises:
        DatasetError: If the table is missing or malformed, with the line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     _ = Path(root, "tags.csv").write_text("path,tags,split\\none.mp3,mood:sad; mood:slow,train\\n")
        ...     music = load(root)
        >>> music.items[0].tags, dict(music.dimensions)
        (('sad', 'slow'), {'mood': ('sad', 'slow')})
    """
    root = Path(root)
    table = root / TABLE if labels is None else Path(labels)
    if labels is None and not _has_table(root):
        return _from_folders(root)
    delimiter, wide, key = _form(table)
    files = {} if key == "path" else _by_stem(root)
    rows: list[tuple[int, dict[str, str], tuple[str, ...]]] = []
    for line, row in read_table(table, delimiter, (key,) if wide else (key, "tags")):
        name = row[key].strip()
        if not name:
            raise DatasetError(f"{table}, line {line}: expected a {key}, got an empty cell.")
        if not is_inside(name):
            raise DatasetError(f"{table}, line {line}: expected a {key} inside the folder {root}, got {name!r}.")
        split = split_named(row.get("split", "train"))
        if split is None:
            raise DatasetError(f"{table}, line {line}: expected one of the splits {SPLITS}, got {row['split']!r}.")
        found = files.get(name, [])
        if len(found) > 1:
            raise DatasetError(
                f"{table}, line {line}: expected one file for the id {name!r}, found {found[0]} and {found[1]}. "
                "Name the file in a column path."
            )
        path = name if key == "path" else str(found[0] if found else name)
        tags = _marked({tag: row[tag] for tag in wide}, table, line) if wide else _listed(row["tags"])
        rows.append((line, {**row, "path": path, "split": split if "split" in row else ""}, tags))
    names = _names(wide or sorted({tag for *_, tags in rows for tag in tags}), str(table))
    lines: dict[str, int] = {}
    items = []
    for line, row, tags in rows:
        path = row["path"]
        if path in lines:
            raise DatasetError(f"{table}, line {line}: {path} is also in line {lines[path]}. Keep one of them.")
        lines[path] = line
        items.append(
            Item(
                id=safe_id(row.get("id", "").strip() or path),
                split=row["split"] or split_of(row.get("group") or row.get("artist") or path),
                audio=root / path,
                tags=tuple(dict.fromkeys(names[tag][1] for tag in tags)),
                **{name: row.get(name, "").strip() for name in ("title", "artist", "genre", "licence")},
            )
        )
    return _dataset(root, names, items)


def _has_table(root: Path) -> bool:
    """Return whether there is a table, even a broken link or a packed file."""
    return os.path.lexists(root / TABLE) or bool(unpack_hint(root / TABLE))


def _dataset(root: Path, names: Mapping[str, tuple[str, str]], items: Iterable[Item]) -> Dataset:
    vocabulary = tuple(tag for _, tag in names.values())
    dimensions: dict[str, list[str]] = {}
    for dimension, tag in names.values():
        dimensions.setdefault(dimension, []).append(tag)
    grouped = (
        {name: tuple(tags) for name, tags in dimensions.items()} if "" not in dimensions else ungrouped(vocabulary)
    )
    return Dataset(NAME, root, vocabulary, grouped, tuple(items))


def _from_folders(root: Path) -> Dataset:
    """Return the tracks of a folder without a table."""
    paths = [path for path in _audio(root) if len(path.parts) > 1]
    tops = {path.parts[0]: split_named(path.parts[0]) for path in paths}
    at = 1 if tops and all(tops.values()) else 0  # which part of a path is the tag
    paths = [path for path in paths if len(path.parts) > at + 1]
    folders = sorted({path.parts[at] for path in paths})
    if len(folders) < 2:
        raise DatasetError(
            f"Expected {TABLE} in {root}, or two or more folders named after a tag with audio in them, found "
            f"{', '.join(folders) or 'neither'}. Pass the table with --labels if it is in another folder."
        )
    names = _names(folders, str(root))

    def split(path: Path) -> str:
        group = path.parent if len(path.parts) > at + 2 else path
        return (tops[path.parts[0]] if at else None) or split_of(group.as_posix())

    items = (
        Item(id=safe_id(path.as_posix()), split=split(path), audio=root / path, tags=(names[path.parts[at]][1],))
        for path in paths
    )
    return _dataset(root, names, items)


def _audio(root: Path) -> Iterator[Path]:
    """Yield the audio files below a folder, relative to it and in order, without hidden files and repeated folders."""

    def refuse(error: OSError) -> None:
        raise DatasetError(f"Expected a folder that can be read at {error.filename}, got {error.strerror}.") from error

    seen: set[str] = set()
    for folder, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        if real in seen:
            continue
        seen.add(real)
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):
                yield Path(folder, name).relative_to(root)


def _by_stem(root: Path) -> dict[str, list[Path]]:
    """Return file name without ending -> files with this name."""
    found: dict[str, list[Path]] = {}
    for path in _audio(root):
        found.setdefault(path.stem, []).append(path)
    return found


def split_of(key: str) -> str:
    """Return the split of a track, or of all tracks of an artist or a group, by a hash of its name.

    Example:
        >>> split_of("one.mp3")
        'train'
    """
    share = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
    if share < SHARES["train"]:
        return "train"
    return "validation" if share < SHARES["train"] + SHARES["validation"] else "test"


def check(
    root: Path | str, labels: Path | str | None = None, quick: bool = False, console: Console | None = None
) -> Report:
    """Report missing and damaged files, and possible mistakes in the tags.

    Args:
        root: Folder with the audio.
        labels: The table; by default ``root/tags.csv``.
        quick: Only check that audio files exist, not that they can be decoded.
        console: Console for progress; standard error by default.

    Example:
        >>> report = check("Music")
        >>> report.good, report.counts
        (True, {'train': 8, 'validation': 2, 'test': 2, 'all': 12})
    """
    report = check_dataset(NAME, Path(root), lambda: load(root, labels), {}, SOURCE, quick, console)
    if not report.counts:
        return report
    dataset = load(root, labels)
    spellings: dict[str, list[str]] = {}
    for tag in dataset.tags:
        spellings.setdefault("".join(filter(str.isalnum, tag.casefold())), []).append(tag)
    alike = [" / ".join(tags) for tags in spellings.values() if len(tags) > 1]
    empty = [split for split in SPLITS if not dataset.split(split)]
    named = {item.audio for item in dataset.items}
    table = labels is not None or _has_table(Path(root))
    loose = [] if table else [str(path) for path in _audio(Path(root)) if Path(root) / path not in named]
    return Report(
        NAME,
        report.root,
        report.counts,
        report.problems
        + tuple(problem("one spelling per tag", alike, SOURCE))
        + tuple(problem("audio in a folder named after its tag", loose, SOURCE))
        + tuple(problem("tracks in each split", empty, "Add tracks, or a column `split` to the table.")),
    )


def _form(table: Path) -> tuple[str, list[str], str]:
    """Return the delimiter, the columns that are tags (none if they share a cell), and the column that names files."""
    _, first = next(read_rows(table), (0, [""]))
    delimiter = "\t" if any("\t" in cell for cell in first) else ","
    _, header = next(read_rows(table, delimiter), (0, [""]))
    columns = [name.strip() for name in header]
    tags = [name for name in columns if name not in ("path", "id", "tags", *OPTIONAL)]
    key = "path" if "path" in columns else "id"
    if key not in columns or ("tags" in columns) == bool(tags):
        raise DatasetError(
            f"{table}: expected a first line that names the columns: path and tags, or path and one column per tag; "
            f"other columns may be id (also instead of path), {', '.join(OPTIONAL)}. "
            f"Got {', '.join(columns)[:200] or 'nothing'}. "
            "If the table has no such line, insert `path,tags` as its first."
        )
    return delimiter, tags, key


def _listed(cell: str) -> tuple[str, ...]:
    for separator in SEPARATORS[1:]:
        cell = cell.replace(separator, SEPARATORS[0])
    return tuple(tag.strip() for tag in cell.split(SEPARATORS[0]) if tag.strip())


def _marked(cells: Mapping[str, str], table: Path, line: int) -> tuple[str, ...]:
    for tag, cell in cells.items():
        if cell.strip() not in ("0", "1", ""):
            raise DatasetError(f"{table}, line {line}: expected 0 or 1 for {tag!r}, got {cell!r}.")
    return tuple(tag for tag, cell in cells.items() if cell.strip() == "1")


def _names(written: Iterable[str], table: str) -> dict[str, tuple[str, str]]:
    """Return tag as it is written -> its dimension, or empty, and its name."""
    names: dict[str, tuple[str, str]] = {}
    for text in written:
        dimension, colon, tag = text.partition(":")
        names[text] = (dimension.strip(), tag.strip()) if colon else ("", text.strip())
    tags = [tag for _, tag in names.values()]
    if not tags or not all(tags) or len({bool(dimension) for dimension, _ in names.values()}) > 1:
        raise DatasetError(
            f"{table}: expected tags that all name their dimension, like mood:happy, or none; got "
            f"{', '.join(names)[:200] or 'none'}."
        )
    twice = sorted({tag for tag in tags if tags.count(tag) > 1})
    if twice:
        raise DatasetError(f"{table}: expected each tag in one dimension, got several of {', '.join(twice)[:200]}.")
    return names
