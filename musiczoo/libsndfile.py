"""Files through libsndfile (the `soundfile` package): WAV, FLAC, Ogg, Opus, MP3 and their like."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import mp3
from .sound import BLOCK, Block, Sound, average

SUFFIXES = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp1", ".mp2", ".mp3", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".spx", ".w64", ".wav", ".wave"),
)
"""Of files that libsndfile opens."""

_VALUES = 8 * BLOCK
"""In a block at most, whatever its channels are: a file may have a thousand."""

_MPEG_1 = 32_000
"""Its lowest rate in Hz; lower ones are MPEG-2's."""


def open_file(path: Path) -> Sound | None:
    """A file's sound, or None if libsndfile does not know what it is."""
    import soundfile

    try:
        with soundfile.SoundFile(_name(path)) as file:
            rate, channels, frames, format_ = file.samplerate, file.channels, file.frames, file.format
    except (soundfile.LibsndfileError, TypeError):  # TypeError: it would take a name ending in .raw at its word
        return None
    counted = mp3.scan(path) if format_ == "MP3" else None
    # An encoder's delay and padding, which libsndfile leaves out, are no more than 4,096 samples.
    corrected = counted if counted and counted.frames > frames + 4096 else None
    reusable, idle = format_ == "MP3" and channels == 2 and rate >= _MPEG_1, list[Any]()

    def opened() -> Any:
        return _reader()(mp3.Corrected(path, corrected) if corrected else _name(path))

    def decode(start: int) -> Iterator[Block]:
        try:
            with _borrowed(idle, opened) if start and reusable else opened() as file:
                if start:
                    file.seek(min(start, file.frames))
                length = min(BLOCK, file.frames, _VALUES // channels)
                buffer = np.empty((length, channels), np.float32)  # for all: new memory for each takes time
                while len(block := file.read(out=buffer)):
                    yield average(block)
        except (soundfile.LibsndfileError, ValueError, OSError):
            return  # damaged from here on, or gone; ValueError: it counts less than nothing that is left

    sound = Sound(str(path), rate, channels, frames, 0.02, decode)
    if counted is None:
        return sound
    sound.warn_if_truncated(counted.frames)
    return replace(sound, frames=counted.frames if corrected else min(frames, counted.frames))


@cache
def _reader() -> Any:
    """soundfile's class without the seek to where it is that follows each read, and makes decoders start anew."""
    import soundfile

    class Reader(soundfile.SoundFile):  # type: ignore[misc]  # a class that mypy sees no types of
        def seekable(self) -> bool:
            return False

    return Reader


@contextmanager
def _borrowed(idle: list[Any], opened: Callable[[], Any]) -> Iterator[Any]:
    """A file in which places were sought before, or a new one: in an MP3, a decoder that knows the way walks less.

    Not for Vorbis: where libsndfile has been somewhere else before, it comes out up to a block away from its goal. Nor
    for mono MP3 and those of MPEG-2: there mpg123 rounds the last bits as the number of frames decoded before has it.
    """
    try:
        file = idle.pop()
    except IndexError:
        file = opened()
    try:
        yield file
    except GeneratorExit:  # nobody wants to hear more
        idle.append(file)
        raise
    except BaseException:
        file.close()
        raise
    idle.append(file)


def _name(path: Path) -> bytes | str:
    """What libsndfile takes: bytes where names are bytes, as some are no UTF-8."""
    return str(path) if os.name == "nt" else os.fsencode(path)
