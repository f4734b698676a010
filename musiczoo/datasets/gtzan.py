"""GTZAN: 30-second clips of ten genres, with the fault-filtered split.

Source: Tzanetakis and Cook, "Musical genre classification of audio signals", IEEE Transactions on Speech and Audio
Processing 10(5), 2002: 1,000 clips, 100 per genre. Sturm ("The GTZAN dataset: Its contents, its faults, their effects
on evaluation, and its future use", arXiv:1306.1461) found repetitions, distortions and artists on both sides of random
splits. The fault-filtered lists of Kereliuk, Sturm and Larsen ("Deep Learning and Music Adversaries", IEEE Transactions
on Multimedia 17(11), 2015; repository coreyker/dnn-mgr) keep 930 clips, 443 / 197 / 290; no known artist is in two
splits.

Files
-----
::

    ROOT/train_filtered.txt                   one clip per line: blues/blues.00029.wav
    ROOT/valid_filtered.txt, test_filtered.txt
    ROOT/genres/blues/blues.00029.wav         or .au; also in ROOT/genres_original, ROOT/Data/genres_original, in ROOT
                                              itself, or in another folder

``jazz/jazz.00054.wav`` of the train list cannot be decoded in the usual copy: it is listed as a failure.
"""

import re
from pathlib import Path

from rich.console import Console

from ..errors import DatasetError
from .check import Report, check_dataset, missing_files
from .dataset import Dataset, Item, safe_id
from .downloads import read_text

NAME = "gtzan"
DIMENSION = "genre"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
LISTS = {"train": "train_filtered.txt", "validation": "valid_filtered.txt", "test": "test_filtered.txt"}
FOLDERS = ("genres", "genres_original", "Data/genres_original")
PUBLISHED = {"train": 443, "validation": 197, "test": 290}

SOURCE = (
    "Fetch GTZAN (Tzanetakis and Cook, 2002) and its fault-filtered lists train_filtered.txt, valid_filtered.txt and "
    "test_filtered.txt (Kereliuk et al., 2015; repository coreyker/dnn-mgr). Without lists, use the data set folder."
)

_CLIP = re.compile(rf"({'|'.join(GENRES)})/(\1\.[0-9]{{5}})\.(?:wav|au)")


def load(root: Path | str, audio: Path | str | None = None) -> Dataset:
    """Load the fault-filtered lists.

    Args:
        root: Folder with the three lists.
        audio: Folder with the ten folders of clips; by default the first of `FOLDERS` that exists in ``root``.

    Raises:
        DatasetError: If a list is missing or damaged, with the line.

    Example:
        >>> import tempfile
        >>> clips = ("blues/blues.00001.wav", "jazz/jazz.00002.wav", "pop/pop.00003.wav")
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name, clip in zip(LISTS.values(), clips):
        ...         _ = Path(root, name).write_text(clip)
        ...     music = load(root)
        >>> [(item.id, item.split, item.tags) for item in music.items]
        [('blues-00001', 'train', ('blues',)), ('jazz-00002', 'validation', ('jazz',)), ('pop-00003', 'test', ('pop',))]
    """
    root = Path(root)
    folder = _folder(root) if audio is None else Path(audio)
    items = []
    for split, name in LISTS.items():
        for line, text in _lines(root / name):
            found = _CLIP.fullmatch(text)
            if not found:
                raise DatasetError(
                    f"{root / name}, line {line}: expected a clip like blues/blues.00029.wav, got {text[:80]!r}. "
                    f"{SOURCE}"
                )
            genre, clip = found.groups()
            items.append(
                Item(
                    id=safe_id(clip.replace(".", "-")),
                    split=split,
                    audio=_locate(folder / genre, clip),
                    tags=(genre,),
                    genre=genre,
                )
            )
    return Dataset(NAME, root, GENRES, {DIMENSION: GENRES}, tuple(items))


def check(
    root: Path | str, audio: Path | str | None = None, quick: bool = False, console: Console | None = None
) -> Report:
    """Report missing and damaged files.

    Args:
        root: Folder with the three lists.
        audio: Folder with the ten folders of clips; by default as in `load`.
        quick: Only check that audio files exist, not that they can be decoded.
        console: Console for progress; standard error by default.

    Example:
        >>> report = check("gtzan")  # there is no such folder
        >>> [(found.what, found.count) for found in report.problems]
        [('every list and annotation', 3)]
    """
    root = Path(root)
    absent = missing_files([root / name for name in LISTS.values()], SOURCE)
    if absent:
        return Report(NAME, root, {}, tuple(absent))
    return check_dataset(NAME, root, lambda: load(root, audio), PUBLISHED, SOURCE, quick, console)


def _folder(root: Path) -> Path:
    if (root / GENRES[0]).is_dir():
        return root
    return next((root / name for name in FOLDERS if (root / name).is_dir()), root / FOLDERS[0])


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the non-empty lines with their numbers."""
    text = read_text(path, "a list of clips")
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _locate(folder: Path, clip: str) -> Path:
    """Return the clip as .wav, or as .au, the published format."""
    wav, au = folder / f"{clip}.wav", folder / f"{clip}.au"
    return au if not wav.is_file() and au.is_file() else wav
