"""Small copies of data sets, in exactly the form in which these are published."""

import csv
import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from toy import music, write_audio

from musiczoo.datasets import dim_sim, jamendo, msd
from musiczoo.taxonomy import TAGS

MSD_TRACKS = {
    "TRAAAAW128F429D538": ("train", ("rock", "60s")),
    "TRAAABD128F429CF47": ("train", ()),
    "TRAAADZ128F9348C2E": ("validation", ("Hip-Hop",)),
    "TRAADIN128F931D672": ("test", ("female vocalists", "sad", "happy")),
}
"""MSD id -> split, tags."""

MSD_PATHS = {"TRAAAAW128F429D538": "8/9/8947470.clip.mp3", "TRAADIN128F931D672": "3/6/36122424.clip.mp3"}
"""MSD id -> path by 7digital id, of those that are filed by it."""

MAGNATAGATUNE_TAGS = ("no voice", "singer", "guitar", "not rock")
MAGNATAGATUNE_CLIPS = (
    (2, "f/american_bach_soloists-j_s__bach-01-aria-30-59.mp3", "0010", "Aria", "American Bach Soloists"),
    (6, "0/strawdogs-songs-02-x-0-29.mp3", "1010", 'The "X"', "Strawdogs"),
    (10, "b/strawdogs-songs-03-y-0-29.mp3", "1000", "Y", "Strawdogs"),
    (11, "c/solace-rhythm-01-z-0-29.mp3", "0000", "Z", "Solace"),
    (12, "d/solace-rhythm-01-z-29-58.mp3", "0001", "Z", "Solace"),
    (35644, "6/norine_braun-now_and_zen-08-gently-117-146.mp3", "0010", "Gently", "Norine Braun"),
)
"""Clip, path, whether each tag applies, title and artist; the last has no audio."""

JAMENDO_ROWS = {
    "train": [
        ("track_0000214", "artist_000014", "album_000031", "14/214.mp3", "124.6", "genre---punkrock"),
        ("track_0000382", "artist_000020", "album_000046", "82/382.mp3", "211.1", "genre---classical",
         "instrument---voice", "mood/theme---happy"),
    ],
    "validation": [("track_0000773", "artist_000104", "album_000126", "73/773.mp3", "275.3", "genre---classical")],
    "test": [("track_0000808", "artist_000114", "album_000131", "08/808.mp3", "265.6", "mood/theme---happy")],
}  # fmt: skip


def write_table(path: Path, rows: Iterable[Sequence[object]], delimiter: str = ",", quoted: bool = False) -> Path:
    """A CSV or TSV file, with all cells quoted or those that need it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
        csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    return path


def write_sound(path: Path, seconds: float = 1.0, seed: int = 0) -> Path:
    """A second of sound, with any suffix: decoders identify the contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wav = path.with_suffix(".wav")
    write_audio(wav, music(seconds, seed=seed))
    return wav.replace(path)


def write_msd(root: Path, protocol: int = 0) -> Path:
    """The lists as Python 2 wrote them, with the audio of two tracks by 7digital id and of two by MSD id."""
    root.mkdir(parents=True, exist_ok=True)
    ids = list(MSD_TRACKS)
    vectors = {
        track: np.isin(np.array(TAGS), np.array(tags)).astype(np.float64)[:, None]
        for track, (_, tags) in MSD_TRACKS.items()
    }
    seven = {track: path.split("/")[-1].split(".")[0] for track, path in MSD_PATHS.items()}
    for name, value in {
        msd.TRAIN_LIST: ids[:3],
        msd.TEST_LIST: ids[3:],
        msd.TAG_VECTORS: vectors,
        msd.IDS: seven,
        msd.PATHS: {seven[track]: path for track, path in MSD_PATHS.items()},
    }.items():
        (root / name).write_bytes(pickle.dumps(value, protocol))
    (root / msd.TAG_LIST).write_text("\n".join(TAGS) + "\n", encoding="utf-8")
    for path in MSD_PATHS.values():
        write_sound(root / "audio" / path)
    write_sound(root / "audio" / "A" / "A" / "A" / f"{ids[1]}.mp3")
    write_sound(root / "audio" / f"{ids[2]}.mp3")
    return root


def write_magnatagatune(root: Path) -> Path:
    """The two tables and the clips."""
    header = ("clip_id", *MAGNATAGATUNE_TAGS, "mp3_path")
    rows = [(clip, *applies, path) for clip, path, applies, *_ in MAGNATAGATUNE_CLIPS]
    write_table(root / "annotations_final.csv", [header, *rows], "\t", quoted=True)
    header = ("clip_id", "track_number", "title", "artist", "album", "url", "segmentStart", "segmentEnd",
              "original_url", "mp3_path")  # fmt: skip
    rows = [(c, 1, title, artist, "", "", 0, 29, "", path) for c, path, _, title, artist in MAGNATAGATUNE_CLIPS]
    write_table(root / "clip_info_final.csv", [header, *rows], "\t")
    for _, path, *_ in MAGNATAGATUNE_CLIPS[:-1]:
        write_sound(root / "mp3" / path)
    (root / "mp3" / MAGNATAGATUNE_CLIPS[-1][1]).parent.mkdir()
    (root / "mp3" / MAGNATAGATUNE_CLIPS[-1][1]).touch()
    return root


def write_jamendo(root: Path) -> Path:
    """The tables of the first split's top 50 tags, and the audio, one track of it in the small version."""
    for split, rows in JAMENDO_ROWS.items():
        text = "\n".join("\t".join(row) for row in [tuple(jamendo.COLUMNS), *rows])
        path = root / "data" / "splits" / "split-0" / f"autotagging_top50tags-{split}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        for row in rows:
            write_sound(root / "audio" / row[3])
    (root / "audio" / "08" / "808.mp3").rename(root / "audio" / "08" / "808.low.mp3")
    return root


def judgement(number: int, votes: tuple[float, float] = (1, 0), **changes: object) -> dict[str, Any]:
    """A row of dim-sim, of tracks in `MSD_TRACKS`."""
    anchor, song1, song2, _ = MSD_TRACKS
    values = (number, anchor, 3.5, 77175, song1, 0.0, 0, song2, 12.25, 270112, 22050, 3.0, 66150, *votes)
    return {**dict(zip(dim_sim.COLUMNS, values, strict=True)), **changes}


def write_dim_sim(root: Path, rows: Sequence[Mapping[str, Any]], version: str = "clean", form: str = "csv") -> Path:
    """One version of dim-sim as CSV, or as JSON: rows listed or numbered, or columns numbered or listed."""
    root.mkdir(parents=True, exist_ok=True)
    if form == "csv":
        write_table(root / f"{version}-dim-sim.csv", [list(rows[0]), *(list(row.values()) for row in rows)])
        return root
    numbered = {str(number): row for number, row in enumerate(rows)}
    content = {
        "list": list(rows),
        "rows": numbered,
        "columns": {name: {number: row[name] for number, row in numbered.items()} for name in rows[0]},
        "cells": {name: [row[name] for row in rows] for name in rows[0]},
    }[form]
    (root / f"{version}-dim-sim.json").write_text(json.dumps(content), encoding="utf-8")
    return root
