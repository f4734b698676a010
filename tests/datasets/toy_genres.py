"""Small copies of FMA and GTZAN, in exactly the form in which these are published."""

import csv
from pathlib import Path

from published import write_sound, write_table

ALBUM = (
    "comments", "date_created", "date_released", "engineer", "favorites", "id", "information", "listens", "producer",
    "tags", "title", "tracks", "type",
)  # fmt: skip
ARTIST = (
    "active_year_begin", "active_year_end", "associated_labels", "bio", "comments", "date_created", "favorites", "id",
    "latitude", "location", "longitude", "members", "name", "related_projects", "tags", "website", "wikipedia_page",
)  # fmt: skip
TRACK = (
    "bit_rate", "comments", "composer", "date_created", "date_recorded", "duration", "favorites", "genre_top", "genres",
    "genres_all", "information", "interest", "language_code", "license", "listens", "lyricist", "number", "publisher",
    "tags", "title",
)  # fmt: skip
COLUMNS = [
    *(("album", name) for name in ALBUM),
    *(("artist", name) for name in ARTIST),
    ("set", "split"),
    ("set", "subset"),
    *(("track", name) for name in TRACK),
]
"""All 52 columns of tracks.csv."""

FMA_TRACKS = (
    (2, "training", "small", "Hip-Hop", "[21]", "[21]", "Food", "AWOL"),
    (5, "training", "small", "Hip-Hop", "[21]", "[21]", "This World", "AWOL"),
    (10, "validation", "small", "Pop", "[10]", "[10]", "Freeway", "Kurt Vile"),
    (140, "test", "small", "Folk", "[17]", "[17]", "Queen Of The Wires", "Alec K. Redfearn & the Eyesores"),
    (134, "training", "medium", "Hip-Hop", "[21]", "[21]", "Street Music", "AWOL"),
    (20, "training", "large", "", "[76, 103]", "[17, 10, 76, 103]", "Spiritual Level", "Nicky Cook"),
    (200017, "test", "large", "", "[]", "[]", "No genre", 'Nobody, "somewhere"'),
)
"""Id, split, subset, top genre, genres, all genres, title, artist."""

FMA_GENRES = ((10, 13845, 0, "Pop", 10), (17, 12706, 0, "Folk", 17), (21, 8389, 0, "Hip-Hop", 21),
              (76, 432, 10, "Experimental Pop", 10), (103, 3277, 17, "Singer-Songwriter", 17))  # fmt: skip
"""Id, number of tracks, parent, title, top level."""


def write_fma(root: Path, subset: str = "small", seconds: float = 3.5) -> Path:
    """The tables and the audio of the tracks that the subset adds to, with a biography of several lines."""
    header = [["", *(group for group, _ in COLUMNS)], ["", *(name for _, name in COLUMNS)]]
    rows: list[list[object]] = [*header, ["track_id", *[""] * len(COLUMNS)]]
    for number, split, size, top, genres, all_genres, title, artist in FMA_TRACKS:
        cells: dict[tuple[str, str], object] = {
            ("artist", "bio"): '<p>From "here",\nand there</p>\n',
            ("artist", "name"): artist,
            ("set", "split"): split,
            ("set", "subset"): size,
            ("track", "genre_top"): top,
            ("track", "genres"): genres,
            ("track", "genres_all"): all_genres,
            ("track", "license"): "Attribution-NonCommercial 3.0",
            ("track", "title"): title,
            ("track", "duration"): 168,
        }
        rows.append([number, *(cells.get(column, "") for column in COLUMNS)])
    metadata = root / "fma_metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    with (metadata / "tracks.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    write_table(metadata / "genres.csv", [("genre_id", "#tracks", "parent", "title", "top_level"), *FMA_GENRES])
    sizes = ("small", "medium", "large")
    for seed, (number, _, size, *_) in enumerate(FMA_TRACKS):
        if subset == "full" or sizes.index(size) <= sizes.index(subset):
            write_sound(root / f"fma_{subset}" / f"{number:06d}"[:3] / f"{number:06d}.mp3", seconds, seed)
    return root


GTZAN_LISTS = {
    "train_filtered.txt": ("blues/blues.00029.wav", "jazz/jazz.00054.wav", "rock/rock.00010.wav"),
    "valid_filtered.txt": ("blues/blues.00000.wav",),
    "test_filtered.txt": ("blues/blues.00012.wav", "hiphop/hiphop.00000.wav"),
}


def write_gtzan(root: Path, folder: str = "genres", ending: str = ".wav", seconds: float = 3.5) -> Path:
    """The lists, and the audio with the damaged clip as the usual copy has it: no sound file at all."""
    for name, clips in GTZAN_LISTS.items():
        root.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(clips) + "\n", encoding="utf-8")
        for seed, clip in enumerate(clips):
            path = (root / folder / clip).with_suffix(ending)
            write_sound(path, seconds, seed)
            if "jazz.00054" in clip:
                path.write_bytes(b"\xde\xad\xbe\xef" * 5000)
    return root
