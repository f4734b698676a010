"""One recording in several files, and several recordings of one voice: with a real model and real encoders."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from needs import missing

from musiczoo.library import Library

MODEL = "disentangled-classification"
CHAPTERS = 8
WORDS = (
    *("the", "of", "and", "house", "river", "mountain", "evening", "captain", "letter", "window", "garden", "winter"),
    *("silver", "quiet", "road", "answer", "morning", "village", "lantern", "shadow", "music", "distant", "harbour"),
    *("forgotten", "bridge", "slowly", "whispered", "beyond", "silence", "kingdom", "sister", "sailor", "stone"),
)

ENCODINGS = {
    "flac": ["-c:a", "flac"],
    "48k.flac": ["-ar", "48000", "-c:a", "flac"],
    "mp3": ["-c:a", "libmp3lame", "-b:a", "64k"],
    "ogg": ["-c:a", "libvorbis", "-q:a", "0"],
    "opus": ["-c:a", "libopus", "-b:a", "48k"],
    "delayed.flac": ["-af", "adelay=50:all=1", "-c:a", "flac"],
}
"""Ending -> ffmpeg's options; all have lost their metadata."""


def tool(*command: str) -> None:
    if not shutil.which(command[0]):
        missing(command[0])
    subprocess.run(command, check=True, capture_output=True)


def speak(folder: Path) -> list[Path]:
    """Eight chapters of some 60 s, each with different sentences, read by one voice."""
    chance = np.random.default_rng(5)
    made = []
    for number in range(1, CHAPTERS + 1):
        said = ". ".join(" ".join(chance.choice(WORDS, 9)) for _ in range(18))
        made.append(folder / f"chapter {number}.wav")
        tool("espeak-ng", "-w", str(made[-1]), f"Chapter {number}. {said}.")
    return made


def encode(source: Path, endings: Sequence[str]) -> list[Path]:
    made = [source.with_suffix(f".{ending}") for ending in endings]
    for path, ending in zip(made, endings, strict=True):
        options = ENCODINGS[ending]
        tool("ffmpeg", "-v", "error", "-i", str(source), "-map_metadata", "-1", *options, str(path))
    return made


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, list[Path], list[Path]]:
    """A library of eight chapters, of which the first lies there in all encodings; and the paths of both."""
    folder = tmp_path_factory.mktemp("book")
    chapters = speak(folder)
    encodings = encode(chapters[0], list(ENCODINGS))
    return Library.build(MODEL, folder, path=folder / "book.db", progress=False), chapters, encodings


@pytest.mark.parametrize("number", range(CHAPTERS))
def test_a_chapter_has_all_others_of_its_voice_as_hits(
    book: tuple[Library, list[Path], list[Path]], number: int
) -> None:
    library, chapters, encodings = book
    files = {str(path) for path in (chapters[0], *encodings)}  # of one recording
    hits = library.search(chapters[number])
    others = {str(path) for path in chapters[1:]} - {str(chapters[number])}
    assert {hit.path for hit in hits} - files == others
    folded = [{hit.path, *hit.duplicates} for hit in hits if hit.path in files]
    assert folded == [files - {str(chapters[number])}]
    assert all(not hit.duplicates for hit in hits if hit.path not in files)


def test_a_common_jingle_makes_no_common_recording(tmp_path: Path, demo_song: Path) -> None:
    """Episodes of one voice with the same music at the start and at the end."""
    (tmp_path / "episodes").mkdir()
    for i, chapter in enumerate(speak(tmp_path)[:3]):
        inputs = [argument for part in (demo_song, chapter, demo_song) for argument in ("-i", str(part))]
        cut = "[0:a]atrim=5:15[a];[1:a]aresample=22050,atrim=0:60[b];[2:a]atrim=25:35[c];[a][b][c]concat=n=3:v=0:a=1"
        tool("ffmpeg", "-v", "error", *inputs, "-filter_complex", cut, str(tmp_path / "episodes" / f"{i}.flac"))
    with Library.build(MODEL, tmp_path / "episodes", path=tmp_path / "l.db", progress=False) as library:
        assert len(library.search(tmp_path / "episodes" / "0.flac")) == 2


@pytest.fixture
def demo_song(tmp_path: Path) -> Path:
    import musiczoo.demo

    found = [path for path in Path(musiczoo.demo.__path__[0]).iterdir() if path.suffix in (".ogg", ".flac", ".mp3")]
    return found[0]


def test_files_of_one_piece_of_music_fold(tmp_path: Path, demo_song: Path) -> None:
    (tmp_path / "music").mkdir()
    source = Path(shutil.copy(demo_song, tmp_path / "music" / f"original{demo_song.suffix}"))
    made = encode(source, [ending for ending in ENCODINGS if not source.name.endswith(f"original.{ending}")])
    with Library.build(MODEL, tmp_path / "music", path=tmp_path / "l.db", progress=False) as library:
        (hit,) = library.search(source)
        assert {hit.path, *hit.duplicates} == {str(path) for path in made}
        assert len(library.search(source, fold_duplicates=False)) == len(made)
