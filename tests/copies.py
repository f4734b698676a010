"""Copies of data sets of any size, in the exact formats in which these are published, with audio that fits the tags.

`published` holds the same formats in a few rows with every oddity; here are copies that models can be trained on. Each
tag is a different tone, so there is something to learn.

What the real files look like
-----------------------------
- MSD: pickles that Python 2 wrote with protocol 0. Strings are byte strings (``S'TRA...'``), numpy is
  ``numpy.core.multiarray``, a tag vector is ``float64 (50, 1)`` under a byte string as key.
- MagnaTagATune: tables with tabs, every cell quoted, lines that end with CR LF.
- MTG-Jamendo: tables with tabs, nothing quoted, as many cells more as a track has tags.
"""

import csv
import pickle
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from musiczoo.datasets import dim_sim, jamendo, magnatagatune, msd
from musiczoo.datasets.pickles import read_pickle
from musiczoo.taxonomy import TAGS

RATE = 22050
SPLITS = ("train", "validation", "test")
COUNTS = (16, 8, 10)
"""Tracks of each split."""

MAGNATAGATUNE_TAGS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
    "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
    "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man",
    "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello", "no voice",
    "weird", "country", "metal", "female voice", "choral",
)  # fmt: skip
"""The 50 most frequent of the 188 published tags."""

MSD_USED = ("rock", "jazz", "House", "sad", "happy", "chill", "guitar", "instrumental", "60s", "80s")
MAGNATAGATUNE_USED = ("rock", "classical", "pop", "guitar", "piano", "flute", "slow", "loud", "vocal", "male")
"""The tags of the tracks here: few enough for each to be on several."""

JAMENDO_TAGS = (
    "genre---ambient", "genre---pop", "genre---rock", "instrument---guitar", "instrument---piano", "mood/theme---happy",
    "mood/theme---sad",
)  # fmt: skip


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Protocol 0 as Python 2 wrote it: strings are strings of bytes."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if not isinstance(obj, str | bytes):
            super().save(obj, save_persistent_id)
        elif known := self.memo.get(id(obj)):
            self.write(self.get(known[0]))
        else:
            text = repr(obj.encode("latin1") if isinstance(obj, str) else obj)[1:]
            self.write(b"S" + text.encode("ascii") + b"\n")
            self.memoize(obj)


def python2_pickle(value: Any) -> bytes:
    """What Python 2's ``pickle.dump(value, file)`` writes."""
    file = BytesIO()
    _Python2Pickler(file, protocol=0).dump(value)
    return file.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def write_tones(path: Path, columns: Sequence[int], seconds: float, seed: int) -> Path:
    """An MP3 with a tone for each number in `columns`, and noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * RATE)) / RATE
    sound = 0.01 * np.random.default_rng(seed).standard_normal(len(t))
    for column in columns:
        sound += 0.1 * np.sin(2 * np.pi * 100 * 1.08**column * t)
    with soundfile.SoundFile(path, "w", RATE, 1, format="MP3") as file:
        for start in range(0, len(sound), 4096):
            file.write(sound[start : start + 4096])
    return path


def assign(tags: Sequence[int], counts: Sequence[int] = COUNTS, most: int = 4) -> dict[str, list[tuple[int, ...]]]:
    """Split -> the tags of each of its tracks, 1 to `most` of `tags`, and none for the first track of the split.

    They go round, so that a split of some tracks has each tag on several of them and lacks it on others.
    """
    result: dict[str, list[tuple[int, ...]]] = {}
    for split, count in zip(SPLITS, counts, strict=True):
        rows: list[tuple[int, ...]] = [()]
        for i in range(1, count):
            rows.append(tuple(sorted({tags[(3 * i + 4 * k) % len(tags)] for k in range(1 + i % most)})))
        result[split] = rows
    return result


def write_msd(root: Path, counts: Sequence[int] = COUNTS, seconds: float = 6.5) -> Path:
    """The lists and the previews, filed by 7digital id; a copy that has a list of validation tracks."""
    vectors: dict[str, Any] = {}
    lists: dict[str, list[str]] = {}
    seven, paths = {}, {}
    number = 0
    for split, tracks in assign([TAGS.index(tag) for tag in MSD_USED], counts).items():
        for columns in tracks:
            number += 1
            track, digital = (
                f"TRAAA{chr(65 + number % 26)}{chr(65 + number // 26)}128F{number:07d}",
                str(8_947_000 + number),
            )
            vector = np.zeros((len(TAGS), 1))
            vector[list(columns)] = 1
            path = f"{digital[0]}/{digital[1]}/{digital}.clip.mp3"
            vectors[track], seven[track], paths[digital] = vector, digital, path
            lists.setdefault(split, []).append(track)
            write_tones(root / "audio" / path, columns, seconds, number)
    for name, value in {
        msd.TRAIN_LIST: lists["train"],
        msd.VALIDATION_LIST: lists["validation"],
        msd.TEST_LIST: lists["test"],
        msd.TAG_VECTORS: vectors,
        msd.IDS: seven,
        msd.PATHS: paths,
    }.items():
        (root / name).write_bytes(python2_pickle(value))
    (root / msd.TAG_LIST).write_text("\n".join(TAGS) + "\n", encoding="utf-8")
    return root


def write_dim_sim(root: Path, copy: Path, version: str = "clean") -> Path:
    """Judgements about the test tracks of a copy of MSD, as published: a CSV with every column."""
    tracks = read_pickle(copy / msd.TEST_LIST)
    rows = []
    for number in range(len(tracks) - 2):
        places = [(tracks[number + i], 0.5 * i, round(0.5 * i * RATE)) for i in range(3)]
        votes = (1, 0) if number % 2 else (0, 1)
        rows.append((number, *(cell for place in places for cell in place), RATE, 3.0, 3 * RATE, *votes))
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{version}-dim-sim.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([dim_sim.COLUMNS, *rows])
    return root


def write_magnatagatune(root: Path, counts: Sequence[int] = COUNTS, seconds: float = 6.5) -> Path:
    """The two tables and the clips, in folders that say the split."""
    folders = {"train": "0", "validation": "c", "test": "d"}
    table: list[Sequence[object]] = [("clip_id", *MAGNATAGATUNE_TAGS, "mp3_path")]
    about: list[Sequence[object]] = [
        ("clip_id", "track_number", "title", "artist", "album", "url", "segmentStart", "segmentEnd", "original_url",
         "mp3_path"),
    ]  # fmt: skip
    number = 1
    for split, tracks in assign([MAGNATAGATUNE_TAGS.index(tag) for tag in MAGNATAGATUNE_USED], counts).items():
        for columns in tracks:
            number += 1
            path = f"{folders[split]}/artist_{number}-album-01-title_{number}-0-29.mp3"
            table.append((number, *(int(i in columns) for i in range(len(MAGNATAGATUNE_TAGS))), path))
            about.append((number, 1, f"Title {number}", f'The "Artist" {number}', "Album", "http://example.org/", 0, 29,
                          "http://example.org/a.mp3", path))  # fmt: skip
            write_tones(root / "mp3" / path, columns, seconds, number)
    for name, rows in {magnatagatune.ANNOTATIONS_FILE: table, magnatagatune.CLIPS_FILE: about}.items():
        with (root / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return root


def write_jamendo(root: Path, counts: Sequence[int] = COUNTS, seconds: float = 6.5) -> Path:
    """The tables of the first split of the 50 most frequent tags, and the audio; every track has a tag."""
    number = 0
    for split, tracks in assign(range(len(JAMENDO_TAGS)), counts).items():
        lines = ["\t".join(jamendo.COLUMNS)]
        for columns in tracks:
            number += 1
            path = f"{number % 100:02d}/{number}.mp3"
            tags = [JAMENDO_TAGS[i] for i in columns or (0,)]
            lines.append("\t".join(
                (f"track_{number:07d}", f"artist_{number:06d}", f"album_{number:06d}", path, f"{seconds}", *tags)
            ))  # fmt: skip
            write_tones(root / "audio" / path, columns or (0,), seconds, number)
        table = root / "data" / "splits" / "split-0" / f"{jamendo.SUBSETS['top50tags']}-{split}.tsv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root
