"""The Million Song Dataset with its 50 most frequent Last.fm tags, in the split that tagging papers use.

Source: Bertin-Mahieux et al., "The Million Song Dataset", ISMIR 2011. The "MSD split for tagging" is of Choi
et al., "Convolutional Recurrent Neural Networks for Music Classification", ICASSP 2017; restricted to previews
of more than 29.1 s and published as the files below by Lee and Nam, "Multi-Level and Multi-Scale Feature
Aggregation Using Pre-trained Convolutional Neural Networks for Music Auto-tagging", IEEE SPL 2017. The two
papers that this package builds on use it: 201,680 / 11,774 / 28,435 tracks.

Files
-----
::

    ROOT/filtered_list_train.cP    list of MSD ids: the first 201,680 are train, the rest validation
    ROOT/filtered_list_valid.cP    only where a copy has it: then it is validation, and all of the above train
    ROOT/filtered_list_test.cP     list of MSD ids
    ROOT/msd_id_to_tag_vector.cP   MSD id -> 50 numbers, 0 or 1
    ROOT/50tagList.txt             the 50 tags, one a line
    ROOT/MSD_id_to_7D_id.pkl       MSD id -> 7digital id
    ROOT/7D_id_to_path.pkl         7digital id -> path, like 8/9/8947470.clip.mp3
    AUDIO/                         the previews, in ROOT/audio unless another folder is named

The last two lists are needed only where the audio is filed by 7digital id. It is looked for there, then as
A/A/D/TRAADIN128F931D672.mp3 (the third to fifth letter of the id) and as TRAADIN128F931D672.mp3.

The pickles are read with `musiczoo.datasets.pickles`, which runs nothing.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ..errors import DatasetError
from ..taxonomy import DIMENSION_TAGS, TAGS
from .check import Report, check_dataset, missing_files
from .dataset import Dataset, Item, is_inside, safe_id
from .pickles import read_pickle

NAME = "msd"
TRAIN_TRACKS = 201_680
"""Ids of the training list that are train; the others are validation."""

PUBLISHED = {"train": TRAIN_TRACKS, "validation": 11_774, "test": 28_435}

TRAIN_LIST = "filtered_list_train.cP"
VALIDATION_LIST = "filtered_list_valid.cP"
TEST_LIST = "filtered_list_test.cP"
TAG_VECTORS = "msd_id_to_tag_vector.cP"
TAG_LIST = "50tagList.txt"
IDS = "MSD_id_to_7D_id.pkl"
PATHS = "7D_id_to_path.pkl"

SOURCE = (
    "The lists belong to the MSD split for tagging (Lee and Nam, IEEE SPL 2017); the audio is the 7digital previews "
    "of the Million Song Dataset (ISMIR 2011), which have to be asked for."
)


def load(root: Path | str, audio: Path | str | None = None) -> Dataset:
    """Read the split and the tags.

    Args:
        root: Folder with the lists.
        audio: Folder with the previews; by default ``root/audio``.

    Raises:
        DatasetError: If a list is missing, damaged, or does not fit the others.
    """
    root = Path(root)
    _check_tags(root / TAG_LIST)
    vectors = _read(root / TAG_VECTORS, dict)
    locate = locator(root, audio)
    items = tuple(
        Item(id=safe_id(track), split=split, audio=locate(track), tags=_tags(vectors, track, root / TAG_VECTORS))
        for split, tracks in _lists(root).items()
        for track in tracks
    )
    return Dataset(NAME, root, TAGS, DIMENSION_TAGS, items)


def locator(root: Path | str, audio: Path | str | None = None) -> Callable[[str], Path]:
    """A function from an MSD id to where its audio is, or should be; also for tracks outside the split.

    Args:
        root: Folder with the lists.
        audio: Folder with the previews; by default ``root/audio``.

    Raises:
        DatasetError: If one of the two lists of 7digital is damaged.
    """
    root = Path(root)
    folder = root / "audio" if audio is None else Path(audio)
    ids, paths = (_read(root / name, dict) if (root / name).is_file() else {} for name in (IDS, PATHS))
    paths = {str(key): path for key, path in paths.items() if isinstance(key, str | int)}

    def candidates(track: str) -> Iterator[Path]:
        number = ids.get(track)
        filed = paths.get(str(number)) if isinstance(number, str | int) else None
        if isinstance(filed, str) and is_inside(filed):
            yield folder / filed
        name = f"{safe_id(track)}.mp3"
        yield folder.joinpath(*name[2:5], name)
        yield folder / name

    def locate(track: str) -> Path:
        possible = list(candidates(track))
        return next((path for path in possible if os.path.isfile(path)), possible[0])

    return locate


def check(
    root: Path | str, audio: Path | str | None = None, quick: bool = False, console: Console | None = None
) -> Report:
    """Tell what is missing or damaged.

    Args:
        root: Folder with the lists.
        audio: Folder with the previews; by default ``root/audio``.
        quick: Only look whether the audio is there, not whether it can be decoded.
        console: Where progress goes; standard error by default.
    """
    root = Path(root)
    absent = missing_files([root / name for name in (TRAIN_LIST, TEST_LIST, TAG_VECTORS, TAG_LIST)], SOURCE)
    if absent:
        return Report(NAME, root, {}, tuple(absent))
    return check_dataset(NAME, root, lambda: load(root, audio), PUBLISHED, SOURCE, quick, console)


def _lists(root: Path) -> Mapping[str, list[str]]:
    train, test = _read(root / TRAIN_LIST, list), _read(root / TEST_LIST, list)
    if (root / VALIDATION_LIST).is_file():
        validation = _read(root / VALIDATION_LIST, list)
    else:
        train, validation = train[:TRAIN_TRACKS], train[TRAIN_TRACKS:]
    lists = {"train": train, "validation": validation, "test": test}
    for split, tracks in lists.items():
        if not all(isinstance(track, str) for track in tracks):
            raise DatasetError(f"{root}: expected the list of {split} tracks to hold ids, received other things.")
    return lists


def _tags(vectors: Mapping[str, Any], track: str, source: Path) -> tuple[str, ...]:
    try:
        said = vectors[track]
        vector = np.fromiter(np.ravel(said) if isinstance(said, np.ndarray) else said, float)
    except (KeyError, ValueError, TypeError) as error:
        raise DatasetError(f"{source}: expected {len(TAGS)} numbers for {track}, received none. {SOURCE}") from error
    if vector.shape != (len(TAGS),) or not np.isin(vector, (0, 1)).all():
        raise DatasetError(f"{source}: expected {len(TAGS)} times 0 or 1 for {track}, received something else.")
    return tuple(TAGS[column] for column in np.flatnonzero(vector))


def _check_tags(path: Path) -> None:
    try:
        tags = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"Expected the list of tags at {path}, received {error}. {SOURCE}") from error
    if tags != TAGS:
        raise DatasetError(f"{path}: expected the {len(TAGS)} tags of musiczoo.taxonomy in their order. {SOURCE}")


def _read(path: Path, kind: type) -> Any:
    value = read_pickle(path)
    if not isinstance(value, kind):
        raise DatasetError(f"{path}: expected a {kind.__name__}, received a {type(value).__name__}. {SOURCE}")
    return value
