"""The music that the notebooks find when they are tested: real, where it can be had.

In this order: what is there already, in the folder ``$MUSICZOO_TEST_MUSIC`` or in ``data/open_music/audio`` of the
checkout; what ``apt-get download`` fetches; parts of the bundled recording, of which each stands in for a recording.
Most recordings are cut to their first seconds, since a notebook that works on those works on all of them. Real music is
kept in the folder ``build`` for the next time.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import kept
import soundfile

from musiczoo import demo
from musiczoo._files import atomic_folder
from musiczoo.datasets.open_music import sampler
from musiczoo.datasets.open_music.definition import DEFINITION, Recording, read_definition
from musiczoo.errors import DatasetError

VARIABLE = "MUSICZOO_TEST_MUSIC"
ROOT = Path(__file__).parents[2]
CHECKOUT = ROOT / "data" / "open_music" / "audio"

_CLIP_S = 6
"""Seconds that are left of most recordings, two excerpts: what a notebook does takes time for each."""

_WHOLE = 30
"""One recording of this number stays whole, so that there are long songs too."""

_BLOCK = 16384  # libsndfile does not take long arrays at once when it writes Ogg Vorbis


def collect(folder: Path) -> Path:
    """Return a folder whose ``audio`` has the recordings of `sampler`: one of an earlier time, or `folder`, filled."""
    there = kept.folder("clips", Path(__file__).read_bytes(), Path(DEFINITION).read_bytes(), os.environ.get(VARIABLE))
    if there.is_dir():
        return there
    if not fill(folder):
        return folder
    with atomic_folder(there) as new:
        shutil.copytree(folder / "audio", new / "audio")
    return there


def fill(folder: Path) -> bool:
    """Fill ``folder/audio``; return whether all of it is real."""
    (folder / "audio").mkdir(parents=True)
    recordings = [recording for recording in read_definition() if recording.package in sampler.GAMES]
    there = Path(os.environ.get(VARIABLE) or CHECKOUT)
    for recording in recordings:
        if (there / recording.audio).is_file():
            (folder / "audio" / recording.audio).symlink_to((there / recording.audio).resolve())
    real = True
    try:
        sampler.fetch(folder)
    except DatasetError:
        cut(recordings, folder)
        real = False
    for i, recording in enumerate(recordings):
        if i % _WHOLE:
            shorten(folder / "audio" / recording.audio)
    return real


def shorten(path: Path) -> None:
    """Keep the first seconds of a recording; what a link leads to stays as it is."""
    short = path.with_stem(f"{path.stem}.short")
    with soundfile.SoundFile(path) as whole, soundfile.SoundFile(short, "w", whole.samplerate, whole.channels) as file:
        for block in whole.blocks(_BLOCK, frames=min(whole.frames, _CLIP_S * whole.samplerate)):
            file.write(block)
    short.replace(path)


def cut(recordings: Sequence[Recording], folder: Path) -> None:
    """Write a part of the bundled recording for each recording that is missing, no two of them the same."""
    samples, rate = soundfile.read(demo.PATH, dtype="float32")
    last = len(samples) - _CLIP_S * rate
    for i, recording in enumerate(recordings):
        path = folder / "audio" / recording.audio
        if not path.exists():
            start = i * last // len(recordings)
            with soundfile.SoundFile(path, "w", rate, samples.shape[1]) as file:
                for first in range(start, start + _CLIP_S * rate, _BLOCK):
                    file.write(samples[first : first + _BLOCK])
