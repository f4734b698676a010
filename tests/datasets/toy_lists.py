"""Small copies of the lists of tagging benchmarks, in exactly the form in which these are published."""

import pickle
from pathlib import Path

import numpy as np
from published import MSD_TRACKS, write_sound

TAGS = ("guitar", "no voice", "slow")
CLIPS = {
    "train": (("f/bach-01-aria-30-59.mp3", (1, 0, 1)), ("0/straw dogs-02-x-0-29.mp3", (0, 1, 0))),
    "valid": (("c/solace-01-z-0-29.mp3", (0, 0, 1)),),
    "test": (("d/solace-01-z-29-58.mp3", (1, 1, 1)), ("e/norine-08-gently-117-146.mp3", (0, 0, 0))),
}
"""List -> path and row of each clip."""

MSD_TAGS = ("hip-hop", "metal", "jazz")
MSD_ROWS = {track: row for track, row in zip(MSD_TRACKS, ((1, 0, 1), (0, 1, 0), (0, 0, 1), (1, 1, 0)), strict=True)}


def write_clips(audio: Path) -> Path:
    """The sound of all clips."""
    for seed, (path, _) in enumerate(clip for clips in CLIPS.values() for clip in clips):
        write_sound(audio / path, 3.5, seed)
    return audio


def write_npy(root: Path, objects: bool = False, ending: str = ".mp3") -> Path:
    """split/mtat of sota-music-tagging-models, whose index counts all clips, also those of no list."""
    root.mkdir(parents=True, exist_ok=True)
    kind = object if objects else str
    binary = np.full((9, len(TAGS)), 0.0)
    index = 8
    for split, clips in CLIPS.items():
        lines = []
        for path, row in clips:
            binary[index] = row
            lines.append(f"{index}\t{path.removesuffix('.mp3')}{ending}")
            index -= 1
        np.save(root / f"{split}.npy", np.array(lines, kind))
    np.save(root / "binary.npy", binary)
    np.save(root / "tags.npy", np.array(TAGS, kind))
    return root


def write_pub(root: Path) -> Path:
    """MTAT_split of music_dataset_split: Python 2's pickles."""
    root.mkdir(parents=True, exist_ok=True)
    for split, clips in CLIPS.items():
        (root / f"{split}_list_pub.cP").write_bytes(pickle.dumps([path for path, _ in clips], 0))
        np.save(root / f"y_{split}_pub.npy", np.array([row for _, row in clips], np.int64))
    (root / "top50_tags.txt").write_text("".join(f"{tag}\n" for tag in TAGS), encoding="utf-8")
    return root


def write_ids(root: Path) -> Path:
    """data/splits of semi-supervised-music-tagging-transformer, beside its src/msd_config.py."""
    root.mkdir(parents=True, exist_ok=True)
    for name, written in (("train", "train"), ("valid", "validation"), ("test", "test")):
        tracks = [track for track, (split, _) in MSD_TRACKS.items() if split == written]
        np.save(root / f"{name}_ids.npy", np.array(tracks))
        np.save(root / f"{name}_binaries.npy", np.array([MSD_ROWS[track] for track in tracks], bool))
    tags = "".join(f"        {tag!r},\n" for tag in MSD_TAGS)
    (root / "msd_config.py").write_text(f"class MSDConfig:\n    tag_names = (\n{tags}    )\n", encoding="utf-8")
    return root


def write_tsv(root: Path) -> Path:
    """data/index/mtt of musicnn-training."""
    root.mkdir(parents=True, exist_ok=True)
    index = []
    number = 0
    for split, clips in CLIPS.items():
        lines = []
        for path, row in clips:
            number += 7
            index.append(f"{number}\t{path}\n")
            lines.append(f"{number}\t{[float(value) for value in row]}\n")
        name = "val" if split == "valid" else split
        (root / f"{name}_gt_mtt.tsv").write_text("".join(lines), encoding="utf-8")
    (root / "index_mtt.tsv").write_text("".join(index), encoding="utf-8")
    labels = f"# Output labels\nMTT_LABELS = {list(TAGS)}\n"
    (root / "output_labels_mtt.txt").write_text(labels, encoding="utf-8")
    return root
