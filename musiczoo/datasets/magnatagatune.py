"""MagnaTagATune: 29-second clips with tags by the players of a game.

Source: Law et al., "Evaluation of Algorithms Using Games: The Case of Music Tagging", ISMIR 2009. 25,863 clips,
188 tags. Its 16 folders, 0 to f, are split 12 : 1 : 3, and the 50 most frequent tags used, as Dieleman and
Schrauwen do, "End-to-end learning for music audio", ICASSP 2014. Clips that have none of these are kept.

Files
-----
::

    ROOT/annotations_final.csv   TSV: clip_id, 188 columns of 0 or 1 with a tag as header, mp3_path
    ROOT/clip_info_final.csv     TSV: clip_id, track_number, title, artist, album, url, ...; optional, for titles and
                                 artists
    AUDIO/f/<...>.mp3            the clips by mp3_path, in ROOT/mp3 or ROOT unless another folder is named

Three clips are empty in the publication and left out.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..errors import DatasetError
from .check import Report, check_dataset, missing_files
from .dataset import Dataset, Item, audio_folder, is_inside, safe_id, ungrouped
from .downloads import read_table

NAME = "magnatagatune"
ANNOTATIONS_FILE = "annotations_final.csv"
CLIPS_FILE = "clip_info_final.csv"
MOST_FREQUENT = 50

EMPTY = frozenset(("35644", "55753", "57881"))
"""Ids of the clips without audio in the publication."""

PUBLISHED = {
    "train": 18_706, "validation": 1_825, "test": 5_329, "all": 25_863 - len(EMPTY), "tags": MOST_FREQUENT,
    "train with a tag": 15_247, "validation with a tag": 1_529, "test with a tag": 4_332,
}  # fmt: skip
"""Counts of a complete copy. Papers that leave out clips without a tag use 21,108, the sum of the last three
(Won et al., "Evaluation of CNN-based Automatic Music Tagging Models", SMC 2020)."""

SPLIT_OF = dict.fromkeys("0123456789ab", "train") | {"c": "validation"} | dict.fromkeys("def", "test")
"""First letter of a clip's path, its folder -> split."""

DIMENSIONS = {
    "genre": (
        "classical", "techno", "electronic", "rock", "ambient", "indian", "opera", "pop", "classic", "new age", "dance",
        "country", "metal",
    ),
    "instrument": (
        "guitar", "strings", "drums", "piano", "beat", "violin", "synth", "harpsichord", "flute", "sitar", "solo",
        "beats", "harp", "cello",
    ),
    "voice": (
        "vocal", "female", "male", "singing", "vocals", "no vocals", "woman", "male vocal", "no vocal", "man", "choir",
        "voice", "male voice", "female vocal", "no voice", "female voice", "choral",
    ),
    "mood": ("slow", "fast", "loud", "quiet", "soft", "weird"),
}  # fmt: skip
"""Dimension -> tags, of the 50 most frequent. The publication has no groups: these are ours, so that disentangled
models can be trained. Other tags, as with another `top`, are in one dimension."""

SOURCE = (
    "Fetch annotations_final.csv, clip_info_final.csv and the three parts of mp3.zip of MagnaTagATune (Law et al., "
    "ISMIR 2009); join the parts before unpacking them."
)


def load(root: Path | str, audio: Path | str | None = None, top: int = MOST_FREQUENT) -> Dataset:
    """Load the clips and their tags.

    Args:
        root: Folder with the tables.
        audio: Folder with the clips; by default ``root/mp3``, or `root` if it contains the folders 0 to f.
        top: Number of tags to use: the most frequent over all clips, in this order; of equally frequent ones, the
            first in the table.

    Raises:
        DatasetError: If the annotations are missing, or a table is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     text = "clip_id\\tslow\\trock\\tmp3_path\\n2\\t0\\t1\\tf/song.mp3\\n"
        ...     _ = Path(root, ANNOTATIONS_FILE).write_text(text)
        ...     music = load(root)
        >>> music.items[0].split, music.items[0].tags
        ('test', ('rock',))
    """
    root = Path(root)
    folder = audio_folder(root, audio, "mp3", SPLIT_OF)
    about: dict[str, dict[str, str]] = {}
    if (root / CLIPS_FILE).exists():
        about = {row["clip_id"]: row for _, row in read_table(root / CLIPS_FILE, "\t", ("clip_id", "title", "artist"))}
    clips: list[tuple[str, str, list[str]]] = []
    counts: Counter[str] = Counter()
    for line, row in read_table(root / ANNOTATIONS_FILE, "\t", ("clip_id", "mp3_path")):
        clip, path = row.pop("clip_id"), row.pop("mp3_path")
        odd = set(row.values()) - {"0", "1"}
        if odd or path[:1] not in SPLIT_OF or not is_inside(path):
            raise DatasetError(
                f"{root / ANNOTATIONS_FILE}, line {line}: expected 0 or 1 for each tag and a path in a folder 0 to f, "
                f"got {str(sorted(odd)[:3])[:100]} and {path[:100]!r}. {SOURCE}"
            )
        if not counts:
            counts.update(dict.fromkeys(row, 0))  # in the order of the table, for ties
        tags = [tag for tag, value in row.items() if value == "1"]
        counts.update(tags)
        clips.append((clip, path, tags))
    vocabulary = tuple(tag for tag, _ in counts.most_common(top))
    used = set(vocabulary)
    items = tuple(
        Item(
            id=safe_id(clip),
            split=SPLIT_OF[path[0]],
            audio=folder / path,
            tags=tuple(tag for tag in tags if tag in used),
            title=about.get(clip, {}).get("title", ""),
            artist=about.get(clip, {}).get("artist", ""),
        )
        for clip, path, tags in clips
        if clip not in EMPTY
    )
    return Dataset(NAME, root, vocabulary, grouped(vocabulary), items)


def grouped(tags: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the tags by `DIMENSIONS`, in the given order; in one dimension if these lack any of them.

    Example:
        >>> grouped(["slow", "rock"])
        {'genre': ('rock',), 'mood': ('slow',)}
    """
    groups = {name: tuple(tag for tag in tags if tag in members) for name, members in DIMENSIONS.items()}
    if sum(map(len, groups.values())) < len(tags):
        return ungrouped(tags)
    return {name: members for name, members in groups.items() if members}


def check(
    root: Path | str, audio: Path | str | None = None, quick: bool = False, console: Console | None = None
) -> Report:
    """Report missing and damaged files.

    Args:
        root: Folder with the tables.
        audio: Folder with the clips; by default ``root/mp3``, or `root` if it contains the folders 0 to f.
        quick: Only check that audio files exist, not that they can be decoded.
        console: Console for progress; standard error by default.

    Example:
        >>> report = check("magnatagatune")  # there is no such folder
        >>> [(found.what, found.count) for found in report.problems]
        [('every list and annotation', 1)]
    """
    root = Path(root)
    absent = missing_files([root / ANNOTATIONS_FILE], SOURCE)
    if absent:
        return Report(NAME, root, {}, tuple(absent))
    return check_dataset(NAME, root, lambda: load(root, audio), PUBLISHED, SOURCE, quick, console)
