"""The Million Song Dataset with its 50 most frequent Last.fm tags, in the split that tagging papers use.

Source: Bertin-Mahieux et al., "The Million Song Dataset", ISMIR 2011. The "MSD split for tagging" is of Choi
et al., "Convolutional Recurrent Neural Networks for Music Classification", ICASSP 2017; restricted to previews
of more than 29.1 s and published as the files below by Lee and Nam, "Multi-Level and Multi-Scale Feature
Aggregation Using Pre-trained Convolutional Neural Networks for Music Auto-tagging", IEEE SPL 2017. The two
papers that this package builds on use it: 201,680 / 11,774 / 28,435 tracks.

Files
-----
::

    ROOT/filtered_list_train.cP    list of MSD ids: the first 201,680 are train, the others validation
    ROOT/filtered_list_valid.cP    optional: then it is validation, and all of the above train
    ROOT/filtered_list_test.cP     list of MSD ids
    ROOT/msd_id_to_tag_vector.cP   MSD id -> 50 numbers, 0 or 1
    ROOT/50tagList.txt             the 50 tags, one per line
    ROOT/MSD_id_to_7D_id.pkl       MSD id -> 7digital id
    ROOT/7D_id_to_path.pkl         7digital id -> path, like 8/9/8947470.clip.mp3
    AUDIO/                         the previews, in ROOT/audio or ROOT unless another folder is named

The last two lists are only needed if the audio is filed by 7digital id. Audio is searched there, then as
A/A/D/TRAADIN128F931D672.mp3 (the third to fifth letters of the id) and as TRAADIN128F931D672.mp3.

The pickles are read with `musiczoo.datasets.pickles`, which does not execute anything.
"""

import os
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from ..errors import DatasetError
from ..taxonomy import DIMENSION_TAGS, TAGS
from .check import Report, check_dataset, missing_files
from .dataset import Dataset, Item, audio_folder, is_inside, safe_id
from .downloads import read_text
from .pickles import read_pickle

NAME = "msd"
TRAIN_TRACKS = 201_680
"""Number of ids of the training list that are train; the others are validation."""

PUBLISHED = {"train": TRAIN_TRACKS, "validation": 11_774, "test": 28_435}

TRAIN_LIST = "filtered_list_train.cP"
VALIDATION_LIST = "filtered_list_valid.cP"
TEST_LIST = "filtered_list_test.cP"
TAG_VECTORS = "msd_id_to_tag_vector.cP"
TAG_LIST = "50tagList.txt"
IDS = "MSD_id_to_7D_id.pkl"
PATHS = "7D_id_to_path.pkl"

_FOLDERS = (*"0123456789", *string.ascii_uppercase)
"""Names of the top folders of previews, by 7digital id or by MSD id."""

SOURCE = (
    "The lists belong to the MSD split for tagging (Lee and Nam, IEEE SPL 2017); the audio is the 7digital previews "
    "of the Million Song Dataset (ISMIR 2011), which have to be asked for."
)


def load(root: Path | str, audio: Path | str | None = None) -> Dataset:
    """Load the split and the tags.

    Args:
        root: Folder with the lists.
        audio: Folder with the previews; by default ``root/audio``, or `root` if they are there.

    Raises:
        DatasetError: If a list is missing, damaged, or does not fit the others.

    Example:
        >>> import pickle, tempfile
        >>> lists = {
        ...     TRAIN_LIST: ["TRAAAAW128F429D538"], TEST_LIST: [],
        ...     TAG_VECTORS: {"TRAAAAW128F429D538": [1, 0, 1] + 47 * [0]},
        ... }
        >>> with tempfile.TemporaryDirectory() as root:
        ...     _ = Path(root, TAG_LIST).write_text("\\n".join(TAGS))
        ...     for name, content in lists.items():
        ...         _ = Path(root, name).write_bytes(pickle.dumps(content))
        ...     music = load(root)
        >>> music.items[0].split, music.items[0].tags
        ('train', ('rock', 'alternative'))
    """
    root = Path(root)
    _check_tags(root / TAG_LIST)
    vectors = _read(root / TAG_VECTORS, dict)
    locate = locator(root, audio)
    lists = _lists(root)
    tags = iter(_tags(vectors, [track for tracks in lists.values() for track in tracks], root / TAG_VECTORS))
    items = tuple(
        Item(id=safe_id(track), split=split, audio=locate(track), tags=next(tags))
        for split, tracks in lists.items()
        for track in tracks
    )
    return Dataset(NAME, root, TAGS, DIMENSION_TAGS, items)


def locator(root: Path | str, audio: Path | str | None = None) -> Callable[[str], Path]:
    """Return a function from an MSD id to its audio file, which need not exist; also for tracks outside the split.

    Args:
        root: Folder with the lists.
        audio: Folder with the previews; by default ``root/audio``, or `root` if they are there.

    Raises:
        DatasetError: If one of the two lists of 7digital is damaged.

    Example:
        >>> locator("msd")("TRAADIN128F931D672").as_posix()  # without the lists of 7digital
        'msd/audio/A/A/D/TRAADIN128F931D672.mp3'
    """
    root = Path(root)
    folder = str(audio_folder(root, audio, "audio", _FOLDERS))
    ids, paths = (_read(root / name, dict) if (root / name).is_file() else {} for name in (IDS, PATHS))
    if int in set(map(type, paths)):
        paths = {str(key): path for key, path in paths.items()}
    there = os.path.isdir(folder)

    def candidates(track: str) -> Iterator[str]:
        number = ids.get(track)
        filed = paths.get(str(number)) if isinstance(number, str | int) else None
        if isinstance(filed, str) and is_inside(filed):
            yield os.path.join(folder, filed)
        name = f"{safe_id(track)}.mp3"
        yield os.path.join(folder, *name[2:5], name)
        yield os.path.join(folder, name)

    def locate(track: str) -> Path:
        first = next(candidates(track))
        if there and not os.path.isfile(first):
            return Path(next(filter(os.path.isfile, candidates(track)), first))
        return Path(first)

    return locate


def check(
    root: Path | str, audio: Path | str | None = None, quick: bool = False, console: Console | None = None
) -> Report:
    """Report missing and damaged files.

    Args:
        root: Folder with the lists.
        audio: Folder with the previews; by default ``root/audio``, or `root` if they are there.
        quick: Only check that audio files exist, not that they can be decoded.
        console: Console for progress; standard error by default.

    Example:
        >>> report = check("msd")  # there is no such folder
        >>> [(found.what, found.count) for found in report.problems]
        [('every list and annotation', 4)]
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
            raise DatasetError(f"{root}: expected a list of ids of {split} tracks, got other types.")
    return lists


def _tags(vectors: Mapping[str, Any], tracks: Sequence[str], source: Path) -> Iterator[tuple[str, ...]]:
    """Yield the tags of each track.

    Raises:
        DatasetError: With the first track without a vector, or with one that is not 50 times 0 or 1.
    """
    rows = [_vector(vectors, track, source) for track in tracks]
    matrix = np.concatenate(rows).reshape(-1, len(TAGS)) if rows else np.empty((0, len(TAGS)))
    odd = np.flatnonzero(~np.isin(matrix, (0, 1)).all(axis=1))
    if odd.size:
        raise DatasetError(f"{source}: expected {len(TAGS)} times 0 or 1 for {tracks[odd[0]]}, got something else.")
    columns = np.nonzero(matrix)[1].tolist()
    start = 0
    for count in np.count_nonzero(matrix, axis=1).tolist():
        yield tuple(TAGS[column] for column in columns[start : start + count])
        start += count


def _vector(vectors: Mapping[str, Any], track: str, source: Path) -> NDArray[Any]:
    try:
        found = vectors[track]
        vector = found.view(np.ndarray) if isinstance(found, np.ndarray) else np.fromiter(found, float)
    except (KeyError, ValueError, TypeError) as error:
        raise DatasetError(f"{source}: expected {len(TAGS)} numbers for {track}, got none. {SOURCE}") from error
    if vector.size != len(TAGS) or vector.dtype.kind not in "biuf":
        raise DatasetError(f"{source}: expected {len(TAGS)} times 0 or 1 for {track}, got something else.")
    return vector.ravel()


def _check_tags(path: Path) -> None:
    tags = tuple(line.strip() for line in read_text(path, "the list of tags").splitlines() if line.strip())
    if tags != TAGS:
        raise DatasetError(f"{path}: expected the {len(TAGS)} tags of musiczoo.taxonomy in their order. {SOURCE}")


def _read(path: Path, kind: type) -> Any:
    """Return a pickled list or dict; byte strings, which Python 2 strings become in Python 3, are decoded."""
    value = read_pickle(path)
    if not issubclass(type(value), kind):
        raise DatasetError(f"{path}: expected a {kind.__name__}, got a {type(value).__name__}. {SOURCE}")
    if kind is list:
        return [_text(item) for item in value]
    texts = bytes not in {*map(type, value), *map(type, value.values())}
    return value if texts else {_text(key): _text(item) for key, item in value.items()}


def _text(value: Any) -> Any:
    return value.decode("latin1") if isinstance(value, bytes) else value
