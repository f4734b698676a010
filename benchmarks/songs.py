"""Twenty real songs of 2 to 5 minutes, stereo at 44.1 kHz, as Ogg Vorbis, MP3 and FLAC, and clips of 30 s of them.

    python benchmarks/songs.py data/open_music/audio build/bench

Conventions
-----------
- They are recordings of `open_music` (musiczoo data prepare open_music), spread over its packages by name. A third
  stays as it is, Ogg Vorbis; the others are encoded anew by libsndfile, as MP3 (LAME, variable bit rate) and as FLAC.
- A clip is the second half minute of a song, in the format of that.
- What is there already is left as it is.
"""

import argparse
import math
import shutil
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import soundfile

COUNT, RATE, CHANNELS, SECONDS = 20, 44_100, 2, (120, 300)
FORMATS = {".ogg": "OGG", ".mp3": "MP3", ".flac": "FLAC"}
BLOCK = 1 << 14
CLIP_S = 30


def choose(music: Path, count: int = COUNT) -> list[Path]:
    """Recordings that fit, spread over all by name."""
    fitting = [path for path in sorted(music.glob("*.ogg")) if _fits(path)]
    return [fitting[i * len(fitting) // count] for i in range(count)]


def prepare(music: Path, out: Path) -> dict[str, list[Path]]:
    """``"songs"`` and ``"clips"``: their files in folders of these names, made where they are not there yet."""
    made: dict[str, list[Path]] = {"songs": [], "clips": []}
    for name in made:
        (out / name).mkdir(parents=True, exist_ok=True)
    for i, source in enumerate(choose(music)):
        suffix = list(FORMATS)[i % len(FORMATS)]
        song, clip = (out / name / f"{source.stem}{suffix}" for name in made)
        if not song.exists():
            _made(song, partial(shutil.copyfile if suffix == source.suffix else encode, source))
        if not clip.exists():
            _made(clip, partial(encode, source, start=CLIP_S, seconds=CLIP_S))
        made["songs"].append(song)
        made["clips"].append(clip)
    return made


def encode(source: Path, to: Path, start: int = 0, seconds: float = math.inf) -> None:
    """A file, or some seconds of it, in the format that the other's name says, block by block."""
    kind = FORMATS[to.suffix]
    with (
        soundfile.SoundFile(source) as old,
        soundfile.SoundFile(to, "w", old.samplerate, old.channels, format=kind) as new,
    ):
        old.seek(start * old.samplerate)
        left = min(old.frames, seconds * old.samplerate)
        while left > 0 and len(block := old.read(min(BLOCK, int(left)), dtype="float32", always_2d=True)):
            new.write(block)
            left -= len(block)


def _made(path: Path, write: Callable[[Path], Any]) -> None:
    """A file that is there as a whole, or not at all."""
    part = path.with_stem(f"{path.stem}-part")
    write(part)
    part.rename(path)


def _fits(path: Path) -> bool:
    info = soundfile.info(path)
    return (info.samplerate, info.channels) == (RATE, CHANNELS) and SECONDS[0] <= info.duration <= SECONDS[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("music", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    for path in chain(*prepare(options.music, options.out).values()):
        print(path)
