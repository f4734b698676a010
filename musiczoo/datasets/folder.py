"""A person's own music: a folder of audio and a table of tags.

The table is CSV (or has tabs between), UTF-8, with a header. It comes in two forms::

    path,tags                                    path,mood:happy,mood:sad,instrument:piano
    one.mp3,mood:happy; instrument:piano         one.mp3,1,0,1
    two/two.flac,mood:sad | mood:slow            two/two.flac,0,1,0

- *path* is relative to the folder, and leads nowhere else.
- Tags in one cell have ``;`` or ``|`` between them. A cell of the second form is 1, or 0 or empty.
- A tag may name its dimension before the first colon; then all do. Otherwise there is one dimension.
- Optional columns: *split* (train, validation or test), *group* (what must not be divided by the split, such as
  an album), *artist*, *title*, *genre*, *licence*.
- Without a split, a hash of the group, else of the artist, else of the path decides: 80 % are train, 10 %
  validation, 10 % test. A track stays where it is when others come or go.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console

from ..errors import DatasetError
from .check import Report, check_dataset, problem
from .dataset import Dataset, Item, is_inside, safe_id, ungrouped
from .store import SPLITS
from .tables import read_rows, read_table

NAME = "folder"
TABLE = "tags.csv"
OPTIONAL = ("split", "group", "artist", "title", "genre", "licence")
SEPARATORS = (";", "|")
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}

SOURCE = "Correct the table or the folder: docs/data.md says what the table looks like."


def load(root: Path | str, labels: Path | str | None = None) -> Dataset:
    """Read the table.

    Args:
        root: Folder with the audio.
        labels: The table; by default ``root/tags.csv``.

    Returns:
        The tracks in the order of the table. Tags are in the order of its columns, or alphabetical where they
        share a cell.

    Raises:
        DatasetError: If the table is missing or malformed, naming the line.
    """
    root = Path(root)
    table = root / TABLE if labels is None else Path(labels)
    delimiter, wide = _form(table)
    rows: list[tuple[int, dict[str, str], tuple[str, ...]]] = []
    for line, row in read_table(table, delimiter, ("path",) if wide else ("path", "tags")):
        path = row["path"].strip()
        if not path:
            raise DatasetError(f"{table}, line {line}: expected a path, received an empty cell.")
        if not is_inside(path):
            raise DatasetError(f"{table}, line {line}: expected a path inside the folder {root}, received {path!r}.")
        split = row.get("split", "").strip()
        if "split" in row and split not in SPLITS:
            raise DatasetError(f"{table}, line {line}: expected a split out of {SPLITS}, received {split!r}.")
        tags = _marked({tag: row[tag] for tag in wide}, table, line) if wide else _listed(row["tags"])
        rows.append((line, {**row, "path": path, "split": split}, tags))
    names = _names(wide or sorted({tag for *_, tags in rows for tag in tags}), table)
    lines: dict[str, int] = {}
    items = []
    for line, row, tags in rows:
        path = row["path"]
        if path in lines:
            raise DatasetError(f"{table}, line {line}: {path} is also in line {lines[path]}. Keep one of them.")
        lines[path] = line
        items.append(
            Item(
                id=safe_id(path),
                split=row["split"] or split_of(row.get("group") or row.get("artist") or path),
                audio=root / path,
                tags=tuple(dict.fromkeys(names[tag][1] for tag in tags)),
                **{name: row.get(name, "").strip() for name in ("title", "artist", "genre", "licence")},
            )
        )
    vocabulary = tuple(tag for _, tag in names.values())
    dimensions: dict[str, list[str]] = {}
    for dimension, tag in names.values():
        dimensions.setdefault(dimension, []).append(tag)
    grouped = (
        {name: tuple(tags) for name, tags in dimensions.items()} if "" not in dimensions else ungrouped(vocabulary)
    )
    return Dataset(NAME, root, vocabulary, grouped, tuple(items))


def split_of(key: str) -> str:
    """The split of a track, or of all tracks of an artist or a group, by a hash of its name."""
    share = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
    if share < SHARES["train"]:
        return "train"
    return "validation" if share < SHARES["train"] + SHARES["validation"] else "test"


def check(
    root: Path | str, labels: Path | str | None = None, quick: bool = False, console: Console | None = None
) -> Report:
    """Tell what is missing or damaged, and what in the tags looks like a slip.

    Args:
        root: Folder with the audio.
        labels: The table; by default ``root/tags.csv``.
        quick: Only look whether the audio is there, not whether it can be decoded.
        console: Where progress goes; standard error by default.
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
    return Report(
        NAME,
        report.root,
        report.counts,
        report.problems
        + tuple(problem("one spelling a tag", alike, SOURCE))
        + tuple(problem("tracks in each split", empty, "Add tracks, or a column `split` to the table.")),
    )


def _form(table: Path) -> tuple[str, list[str]]:
    """What is between the cells, and the columns that are tags (none: they share a cell)."""
    _, first = next(read_rows(table), (0, [""]))
    delimiter = "\t" if any("\t" in cell for cell in first) else ","
    _, header = next(read_rows(table, delimiter), (0, [""]))
    columns = [name.strip() for name in header]
    tags = [name for name in columns if name not in ("path", "tags", *OPTIONAL)]
    if "path" not in columns or ("tags" in columns) == bool(tags):
        raise DatasetError(
            f"{table}: expected a first line that names the columns: path and tags, or path and one column a tag; "
            f"beside them only {', '.join(OPTIONAL)}. Received {', '.join(columns)[:200] or 'nothing'}. "
            "If the table has no such line, put `path,tags` before its first."
        )
    return delimiter, tags


def _listed(cell: str) -> tuple[str, ...]:
    for separator in SEPARATORS[1:]:
        cell = cell.replace(separator, SEPARATORS[0])
    return tuple(tag.strip() for tag in cell.split(SEPARATORS[0]) if tag.strip())


def _marked(cells: Mapping[str, str], table: Path, line: int) -> tuple[str, ...]:
    for tag, cell in cells.items():
        if cell.strip() not in ("0", "1", ""):
            raise DatasetError(f"{table}, line {line}: expected 0 or 1 for {tag!r}, received {cell!r}.")
    return tuple(tag for tag, cell in cells.items() if cell.strip() == "1")


def _names(written: Iterable[str], table: Path) -> dict[str, tuple[str, str]]:
    """A tag as the table writes it -> its dimension, or empty, and its name."""
    names: dict[str, tuple[str, str]] = {}
    for text in written:
        dimension, colon, tag = text.partition(":")
        names[text] = (dimension.strip(), tag.strip()) if colon else ("", text.strip())
    tags = [tag for _, tag in names.values()]
    if not tags or not all(tags) or len({bool(dimension) for dimension, _ in names.values()}) > 1:
        raise DatasetError(
            f"{table}: expected tags that all name their dimension, like mood:happy, or none; received "
            f"{', '.join(names)[:200] or 'none'}."
        )
    twice = sorted({tag for tag in tags if tags.count(tag) > 1})
    if twice:
        raise DatasetError(
            f"{table}: expected each tag in one dimension, received several of {', '.join(twice)[:200]}."
        )
    return names
