"""The lists of tagging benchmarks: the split of each clip, and 0 or 1 for each tag.

Benchmarks publish lists for MagnaTagATune and the Million Song Dataset that differ from the data sets' own tables:
without clips that have no tag, with other tags or other splits. ROOT is a folder with one of these forms:

=============  ========================================================================================
npy            ``train.npy``, ``valid.npy``, ``test.npy``: texts ``index<tab>f/clip.mp3``; ``binary.npy``: a row of 0
               and 1 for each index; ``tags.npy``: texts. MagnaTagATune, in minzwon/sota-music-tagging-models
               (``split/mtat``; Won et al., SMC 2020); its ``training/data_loader/mtat_loader.py`` reads them.
pub            ``train_list_pub.cP``, ``valid_...``, ``test_...``: pickled lists of paths; ``y_train_pub.npy`` and so
               on: their rows; ``top50_tags.txt``: one tag per line. MagnaTagATune, in jongpillee/music_dataset_split
               (Lee and Nam, IEEE SPL 2017).
ids            ``train_ids.npy``, ``valid_ids.npy``, ``test_ids.npy``: MSD ids; ``train_binaries.npy`` and so on: their
               rows; ``msd_config.py``: the tags, read as quoted strings without executing the file. The
               split CALS, in minzwon/semi-supervised-music-tagging-transformer (Won et al., ISMIR 2021).
tsv            ``index_mtt.tsv``: id, tab, path; ``train_gt_mtt.tsv``, ``val_gt_mtt.tsv``, ``test_gt_mtt.tsv``: id, tab,
               ``[0.0, 1.0, ...]``; ``output_labels_mtt.txt``: the tags in quotes. MagnaTagATune and (``..._msd``) MSD,
               in jordipons/musicnn-training (``data/index``).
=============  ========================================================================================

The lists for MSD in the first of these repositories are those that `musiczoo.datasets.msd` reads, and those for
MTG-Jamendo are its own tables (`musiczoo.datasets.jamendo`).

Conventions
-----------
- A path is relative to the folder of audio. Some copies name the ``.npy`` file that a benchmark made from a clip: then,
  and if there is no such file, the clip is searched under the same name with another ending (`ENDINGS`). An MSD id is
  searched as A/A/D/TRAADIN128F931D672.mp3.
- Arrays of objects are pickles. They are read with `musiczoo.datasets.pickles`, which does not execute anything.
- Tags like ``genre---rock`` name their dimension; the 50 tags of `musiczoo.taxonomy` have its dimensions; other
  tags are in one dimension.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from ..errors import DatasetError
from ..taxonomy import DIMENSION_TAGS, TAGS
from .check import Report, check_dataset, problem
from .dataset import Dataset, Item, is_inside, safe_id, split_named, ungrouped
from .downloads import PACKED_SUFFIXES, read_rows, read_text
from .pickles import read_npy, read_pickle

NAME = "tagging_lists"
ENDINGS = (".mp3", ".wav", ".flac", ".ogg")
SEPARATOR = "---"
LISTED = ("train", "valid", "test")
"""Names of the splits in most benchmarks."""

SOURCE = (
    "Fetch the lists of one benchmark again: split/mtat of sota-music-tagging-models, MTAT_split of "
    "music_dataset_split, data/splits of semi-supervised-music-tagging-transformer (with src/msd_config.py), or "
    "data/index/mtt of musicnn-training."
)

_QUOTED = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"")


class _Clip(NamedTuple):
    """A clip of a list.

    Attributes:
        id: Its id in the list.
        split: Its split, from the name of the list's file.
        path: Path of its audio.
        row: 0 or 1 for each tag.
    """

    id: str
    split: str
    path: str
    row: Any


class _Form(NamedTuple):
    """A form of published lists.

    Attributes:
        name: Its name.
        files: Names, or patterns of names, of the required files.
        tags: Reads the tags.
        clips: Reads the clips.
        published: Tags' file -> split -> number of clips, if it is published.
    """

    name: str
    files: tuple[str, ...]
    tags: Callable[[Path], tuple[str, ...]]
    clips: Callable[[Path], Iterator[_Clip]]
    published: dict[str, dict[str, int]]


def load(root: Path | str, audio: Path | str | None = None) -> Dataset:
    """Load the lists, in any of the forms.

    Args:
        root: Folder with the lists of one benchmark.
        audio: Folder with the clips; by default ``root/audio``.

    Returns:
        The clips in the order of the lists, with the tags in the order of the columns.

    Raises:
        DatasetError: If the lists are missing, damaged, or do not fit each other.

    Example:
        >>> import tempfile
        >>> arrays = {"train": ["0\\tf/one.mp3"], "valid": ["1\\tf/two.mp3"], "test": [], "tags": ["rock", "sad"]}
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name, texts in arrays.items():
        ...         np.save(Path(root, f"{name}.npy"), np.array(texts, "U20"))
        ...     np.save(Path(root, "binary.npy"), np.array([[1, 0], [1, 1]]))
        ...     music = load(root)
        >>> [(item.split, item.tags) for item in music.items]
        [('train', ('rock',)), ('validation', ('rock', 'sad'))]
    """
    root = Path(root)
    folder = root / "audio" if audio is None else Path(audio)
    form = _form_of(root)
    tags = form.tags(root)
    if len(set(tags)) != len(tags) or not tags:
        raise DatasetError(f"{root}: expected distinct tags, got {', '.join(tags)[:200] or 'none'}. {SOURCE}")
    items = []
    for clip in form.clips(root):
        split = split_named(clip.split)
        if not is_inside(clip.path) or split is None:
            raise DatasetError(f"{root}: expected a path inside the folder of audio, got {clip.path[:80]!r}. {SOURCE}")
        items.append(Item(safe_id(clip.id), split, _locate(folder / clip.path), _tags_of(clip, tags, root)))
    return Dataset(NAME, root, tags, _dimensions(tags), tuple(items))


def check(
    root: Path | str, audio: Path | str | None = None, quick: bool = False, console: Console | None = None
) -> Report:
    """Report missing and damaged files.

    Args:
        root: Folder with the lists of one benchmark.
        audio: Folder with the clips; by default ``root/audio``.
        quick: Only check that audio files exist, not that they can be decoded.
        console: Console for progress; standard error by default.

    Example:
        >>> report = check("lists")  # there is no such folder
        >>> [(found.what, found.count) for found in report.problems]
        [('every list and annotation', 1)]
    """
    root = Path(root)
    try:
        form = _form_of(root)
    except DatasetError as error:
        return Report(NAME, root, {}, tuple(problem("every list and annotation", [str(error)], SOURCE)))
    published = next((counts for name, counts in form.published.items() if (root / name).is_file()), {})
    return check_dataset(NAME, root, lambda: load(root, audio), published, SOURCE, quick, console)


def _form_of(root: Path) -> _Form:
    for form in FORMS:
        if all(_find(root, name) for name in form.files):
            return form
    started = {form.name: [name for name in form.files if not _find(root, name)] for form in FORMS}
    nearest = min(FORMS, key=lambda form: len(started[form.name]) / len(form.files))
    lacking = started[nearest.name]
    missing = f": {', '.join(lacking)} missing" if len(lacking) < len(nearest.files) else ""
    packed = next((path for name in lacking for end in PACKED_SUFFIXES if (path := _find(root, name + end))), None)
    hint = f" {packed.name} exists: unpack it." if packed else ""
    raise DatasetError(
        f"Expected the lists of a tagging benchmark in {root}, found none that is complete{missing}.{hint} {SOURCE}"
    )


def _find(root: Path, pattern: str) -> Path | None:
    """Return the file with a name; if the name has a ``*``, the first match."""
    try:
        return next((path for path in sorted(root.glob(pattern)) if path.is_file()), None)
    except OSError as error:
        raise DatasetError(f"Expected a folder at {root}, got {error}.") from error


def _tags_of(clip: _Clip, tags: tuple[str, ...], root: Path) -> tuple[str, ...]:
    row = np.asarray(clip.row)
    if row.shape != (len(tags),) or row.dtype.kind not in "biuf" or not ((row == 0) | (row == 1)).all():
        raise DatasetError(
            f"{root}: expected {len(tags)} times 0 or 1 for {clip.id[:80]!r}, got {str(row.tolist())[:60]}. {SOURCE}"
        )
    return tuple(tags[column] for column in np.flatnonzero(row))


def _dimensions(tags: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    if set(tags) == set(TAGS):
        return DIMENSION_TAGS
    if not all(SEPARATOR in tag.strip("-") for tag in tags):
        return ungrouped(tags)
    grouped: dict[str, list[str]] = {}
    for tag in tags:
        grouped.setdefault(tag.partition(SEPARATOR)[0], []).append(tag)
    return {name: tuple(group) for name, group in grouped.items()}


def _locate(path: Path) -> Path:
    """Return the clip, with another ending if necessary; if there is none, the listed path, or .mp3 for .npy."""
    if path.suffix != ".npy" and os.path.isfile(path):
        return path
    others = [path.with_suffix(ending) for ending in ENDINGS]
    return next((other for other in others if os.path.isfile(other)), others[0] if path.suffix == ".npy" else path)


def _filed(track: str) -> str:
    return "/".join((*track[2:5], f"{track}.mp3"))


# === Reading one file ===


def _numbers(path: Path) -> NDArray[Any]:
    """Read ``[clips, tags]``."""
    array = read_npy(path)
    if array.ndim != 2:
        raise DatasetError(f"{path}: expected a row for each clip, got an array of shape {array.shape}. {SOURCE}")
    return array


def _texts(path: Path) -> list[str]:
    """Read an array or a pickled list of strings; those of Python 2 are bytes."""
    values = read_npy(path).ravel().tolist() if path.suffix == ".npy" else read_pickle(path)
    listed: list[Any] = values if isinstance(values, list) else [None]
    texts = [value.decode("latin1") if isinstance(value, bytes) else value for value in listed]
    if not all(isinstance(text, str) for text in texts):
        raise DatasetError(f"{path}: expected a list of strings, got other types. {SOURCE}")
    return [str(text).rstrip("\r\n") for text in texts]


def _quoted(path: Path) -> tuple[str, ...]:
    return tuple(single or double for single, double in _QUOTED.findall(read_text(path, "a list of tags")))


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for line, cells in read_rows(path, "\t"):
        if len(cells) != 2:
            raise DatasetError(f"{path}, line {line}: expected 2 cells, got {len(cells)}. {SOURCE}")
        yield cells[0].strip(), cells[1].strip()


def _matched(texts: list[str], rows: NDArray[Any], path: Path) -> Iterable[tuple[str, Any]]:
    if len(texts) != len(rows):
        raise DatasetError(
            f"{path}: expected {len(texts):,} rows, one for each clip listed, got {len(rows):,}. {SOURCE}"
        )
    return zip(texts, rows, strict=True)


# === The forms ===


def _npy_clips(root: Path) -> Iterator[_Clip]:
    rows = _numbers(root / "binary.npy")
    for split in LISTED:
        for text in _texts(root / f"{split}.npy"):
            index, tab, path = text.partition("\t")
            if not tab or not index.strip().isdecimal() or int(index) >= len(rows):
                raise DatasetError(
                    f"{root / split}.npy: expected an index below {len(rows):,}, a tab and a path, got {text[:80]!r}. "
                    f"{SOURCE}"
                )
            yield _Clip(path, split, path, rows[int(index)])


def _pub_clips(root: Path) -> Iterator[_Clip]:
    for split in LISTED:
        labels = root / f"y_{split}_pub.npy"
        for path, row in _matched(_texts(root / f"{split}_list_pub.cP"), _numbers(labels), labels):
            yield _Clip(path, split, path, row)


def _id_clips(root: Path) -> Iterator[_Clip]:
    for split in LISTED:
        labels = root / f"{split}_binaries.npy"
        for track, row in _matched(_texts(root / f"{split}_ids.npy"), _numbers(labels), labels):
            yield _Clip(track, split, _filed(track), row)


def _tsv_clips(root: Path) -> Iterator[_Clip]:
    paths = dict(_pairs(_there(root, "index_*.tsv")))
    for split in ("train", "val", "test"):
        truth = _there(root, f"{split}_gt_*.tsv")
        for clip, cell in _pairs(truth):
            if clip not in paths:
                raise DatasetError(f"{truth}: expected clips of the index, got {clip[:80]!r}. {SOURCE}")
            try:
                row = [float(part.strip(" \"'")) for part in cell.strip("[]").split(",")]
            except ValueError as error:
                raise DatasetError(
                    f"{truth}: expected 0 or 1 for each tag of {clip[:80]!r}, got {cell[:60]}. {SOURCE}"
                ) from error
            yield _Clip(clip, split, paths[clip], row)


def _there(root: Path, pattern: str) -> Path:
    path = _find(root, pattern)
    if path is None:
        raise DatasetError(f"Expected {pattern} in {root}, found none. {SOURCE}")
    return path


def _each(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.format(split) for split in LISTED)


FORMS = (
    _Form(
        "npy",
        (*_each("{}.npy"), "binary.npy", "tags.npy"),
        lambda root: tuple(_texts(root / "tags.npy")),
        _npy_clips,
        {},
    ),
    _Form(
        "pub",
        (*_each("{}_list_pub.cP"), *_each("y_{}_pub.npy"), "top50_tags.txt"),
        lambda root: tuple(
            line.strip() for line in read_text(root / "top50_tags.txt", "a list of tags").splitlines() if line.strip()
        ),
        _pub_clips,
        {},
    ),
    _Form(
        "ids",
        (*_each("{}_ids.npy"), *_each("{}_binaries.npy"), "msd_config.py"),
        lambda root: _quoted(root / "msd_config.py"),
        _id_clips,
        {"msd_config.py": {"train": 163_504, "validation": 34_730, "test": 34_913}},
    ),
    _Form(
        "tsv",
        ("index_*.tsv", "train_gt_*.tsv", "val_gt_*.tsv", "test_gt_*.tsv", "output_labels_*.txt"),
        lambda root: _quoted(_there(root, "output_labels_*.txt")),
        _tsv_clips,
        {
            "output_labels_mtt.txt": {"train": 18_706, "validation": 1_825, "test": 5_329},
            "output_labels_msd.txt": {"train": 201_680, "validation": 11_774, "test": 28_435},
        },
    ),
)
"""All forms."""
