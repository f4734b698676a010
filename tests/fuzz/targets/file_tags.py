"""Our tags, written into audio files that somebody else made, and taken out again."""

import random
import tempfile
from pathlib import Path

import mutagen
import numpy as np

from musiczoo import file_tags
from musiczoo.errors import MusicZooError
from musiczoo.track import summarise

from . import audio
from .card import CARD

TRACK = summarise(
    CARD, np.zeros(1), np.ones((1, 4), np.float32), np.array([[0.9, 0.1]], np.float32), path=None, duration_s=3.0
)


def seeds() -> list[bytes]:
    """Each format, and those that mutagen knows beside, with tags in them."""
    found = [data for data in audio.seeds() if data[0] < len(audio.SUFFIXES)]
    return found + [tagged for data in found if (tagged := _tagged(data))]


def _tagged(data: bytes) -> bytes | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{audio.SUFFIXES[data[0]]}")
        path.write_bytes(data[1:])
        try:
            song = mutagen.File(path, easy=True)
            if song.tags is None:
                song.add_tags()
            song["title"] = ["A title"]
            song.save()
        except (mutagen.MutagenError, AttributeError, TypeError):  # of those that hold no tags, or no easy ones
            return None
        return data[:1] + path.read_bytes()


WORDS = {"mood": ["Happy"], "genre": ["Drum and Bass", "R&B"]}


def run(data: bytes) -> None:
    """A file is changed as asked, or it is as it was; nothing else is left in the folder."""
    first, content = (data[0], data[1:]) if data else (0, b"")
    path = Path(f"a{audio.SUFFIXES[first % len(audio.SUFFIXES)]}")
    path.write_bytes(content)
    changes = (lambda: file_tags.write(path, TRACK), ["x"]), (lambda: file_tags.write(path, words=WORDS), ["x"])
    for change, tags in (*changes, (lambda: file_tags.remove(path), None)):
        before = path.read_bytes()
        try:
            change()
            assert file_tags.read(path).get(file_tags.TAGS) == tags
            assert not change()
        except MusicZooError:
            assert path.read_bytes() == before
            raise
        finally:
            assert not list(Path().glob(".musiczoo-*"))  # copies


def mutate(data: bytes, dice: random.Random) -> bytes:
    """As for decoders."""
    return audio.mutate(data, dice)
