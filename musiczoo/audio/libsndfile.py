"""Files through libsndfile (the `soundfile` package): WAV, FLAC, Ogg, Opus, MP3 and their like.

libsndfile trusts headers, reads only the first of several streams, and stops at the first damage. So `wav`, `mp3`,
`ogg` and `flac` find out first what a file really holds. Where that differs, libsndfile gets a view of it (`views`).
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from . import flac, mp3, ogg, wav
from .source import (
    BLOCK,
    LONGEST_GAP_S,
    Block,
    DamagedAudioWarning,
    LengthWarning,
    Part,
    Sound,
    average,
    in_order,
    join,
    silence,
)
from .views import Span, open_view

SUFFIXES = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp1", ".mp2", ".mp3", ".oga", ".ogg", ".opus"),
    *(".rf64", ".snd", ".spx", ".w64", ".wav", ".wave"),
)
"""Suffixes of files that libsndfile opens."""

_VALUES = 8 * BLOCK
"""Most values in a block: a file may have a thousand channels."""

_UNKNOWN = 1 << 50
"""Lengths in frames from this on mean an unknown length."""

_PADDING = 4096
"""Most samples of an encoder's delay and padding, which libsndfile leaves out."""

_TRIES = 2000
"""Most attempts to open a FLAC while looking for intact frames after damage."""

_STEP, _HALVINGS = 1024, 4
"""After damage, intact frames are looked for about this many frames ahead, then twice as far each time, then halfway
back. The places are multiples of the distances: those that read the same damage from elsewhere share what was found."""


@dataclass(frozen=True)
class Opened:
    """Result of opening a file with libsndfile.

    Attributes:
        sound: The sound; None if libsndfile cannot read the file.
        codec: Name of the codec, if the file really holds one that libsndfile cannot read; else "".
    """

    sound: Sound | None
    codec: str = ""


def open_file(path: Path) -> Opened:
    """Open a file by its content, not by its name.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"RIFF":
        return _open_wav(path)
    if head == b"OggS":
        return Opened(_open_ogg(path))
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0") or path.suffix.lower() == ".mp3":
        stretches = mp3.scan(path)
        if stretches:
            return Opened(_open_mp3(path, stretches))
        if mp3.is_aac(path):
            return Opened(None, "AAC")
        if head[:1] in (b"I", b"\xff") and not mp3.is_other_layer(path):
            return Opened(None)  # mpg123 would print to standard error
    if head == b"fLaC":
        return Opened(_open_flac(path))
    return Opened(_open(path))


def _open(path: Path, spans: list[Span] | None = None) -> Sound | None:
    """Open a file, or a view of it, with libsndfile."""
    import soundfile

    def opened() -> Any:
        return _reader()(_name(path) if spans is None else open_view(path, spans))

    try:
        with opened() as file:
            rate, channels, frames, format_ = file.samplerate, file.channels, file.frames, file.format
            if format_ == "OGG" and not len(file.read(1)):
                return None  # seeking in a Vorbis stream that does not decode would kill the process
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a name ending in .raw, without a format
        return None
    frames = 0 if frames >= _UNKNOWN else frames
    lost: list[tuple[int, int]] = []
    intact = cache(partial(_decodes, opened, frames))

    def decode(start: int) -> Iterator[Block]:
        if format_ == "FLAC" and frames:
            return _past_damage(opened, start, frames, lost, intact)
        return _until_damage(opened, start)

    return Sound(str(path), rate, channels, frames, 0.02, decode, lost=lost)


def _until_damage(opened: Callable[[], Any], start: int, stop: int | None = None) -> Iterator[Block]:
    """Yield blocks from one frame to before another, or to the end; stop early at damage, or if the file is gone."""
    import soundfile

    try:
        file = opened()
        if start:
            try:
                file.seek(min(start, file.frames))
            except soundfile.LibsndfileError:  # this codec cannot seek
                file.close()
                file = opened()
                for _ in _read(file, start):
                    pass
        with file:
            yield from _read(file, None if stop is None else stop - start)
    except (soundfile.LibsndfileError, ValueError, OSError):
        return  # ValueError: soundfile computes a negative number of remaining frames


def _read(file: Any, frames: int | None) -> Iterator[Block]:
    """Yield the next frames of an open file, or all if None."""
    length = min(BLOCK, file.frames, _VALUES // file.channels)
    buffer = np.empty((length, file.channels), np.float32)  # reused: new memory for each block takes time
    left = file.frames if frames is None else frames
    while left > 0 and len(block := file.read(out=buffer if left >= length else buffer[:left])):
        left -= len(block)
        yield average(block)


def _past_damage(
    opened: Callable[[], Any], start: int, stop: int, lost: list[tuple[int, int]], intact: Callable[[int], bool]
) -> Iterator[Block]:
    """Yield blocks of a FLAC from a frame to before another, with silence where it is damaged.

    After an error, libsndfile decodes nothing more, not even elsewhere: the file is opened again.
    """
    at, tries = start, 0
    while at < stop:
        for block in _until_damage(opened, at, stop):
            at += len(block)
            yield block
        if at >= stop:
            return
        for block in _in_steps(opened, at, stop):  # what precedes the damage in its block
            at += len(block)
            yield block
        bad, step, place = at, _STEP, -(-(at + _STEP) // _STEP) * _STEP
        while not intact(place):
            bad, step, tries = place, 2 * step, tries + 1
            place = min(-(-(at + step) // step) * step, (bad + stop) // 2)
            if place - bad < _STEP or tries > _TRIES:
                return
        for _ in range(_HALVINGS):  # bisect between damaged and intact
            middle = (bad + place) // 2
            bad, place = (bad, middle) if intact(middle) else (middle, place)
        lost.append((at, place))
        yield from silence(place - at)
        at = place


def _decodes(opened: Callable[[], Any], stop: int, at: int) -> bool:
    """Return whether there are intact frames at a position."""
    return next(_in_steps(opened, at, stop), None) is not None


def _in_steps(opened: Callable[[], Any], start: int, stop: int) -> Iterator[Block]:
    """Yield blocks of a few frames, so that little is lost with each."""
    import soundfile

    try:
        with opened() as file:
            file.seek(start)
            while start < stop and len(block := file.read(min(_STEP, stop - start), dtype="float32", always_2d=True)):
                start += len(block)
                yield average(block)
    except (soundfile.LibsndfileError, ValueError, OSError):
        return


def _open_wav(path: Path) -> Opened:
    found = wav.scan(path)
    if found is None:
        return Opened(_open(path))
    wrong = found.size > found.declared
    sound = (_open(path, found.with_true_size()) if wrong else None) or _open(path)
    codec = found.codec() or ("MP3" if found.is_pcm and mp3.starts(found.beginning) else "")
    if sound is None or codec:
        return Opened(sound, codec)
    seconds = sound.frames / sound.sample_rate
    if found.cut:
        replace(sound, frames=round(sound.frames / (1 - found.cut))).warn_if_truncated(sound.frames)
    elif found.extra > max(found.declared // 4, 1 << 16) and not wrong:
        sound.warnings.append(
            LengthWarning(
                f"{path}: the header declares {seconds:.2f} s, but {found.extra / 1e6:.1f} MB follow that are not a "
                f"chunk of a WAV file. Only the {seconds:.2f} s are read. Repair the header if they are audio."
            )
        )
    return Opened(sound)


def _open_flac(path: Path) -> Sound | None:
    sounds = [sound for part in flac.streams(path) if (sound := _open(path, [part])) and sound.frames]
    if len(sounds) > 1:
        return join(str(path), in_order(sounds))
    sound = _open(path)
    if sound is None or not sound.frames or not flac.is_longer_than_stated(path):
        return sound
    whole = _open(path, flac.without_length(path))
    if whole is None:
        return sound
    seconds = sound.frames / sound.sample_rate
    warning = f"{path}: the header declares {seconds:.2f} s, but the file is far larger. All of it is read."
    whole.warnings.append(LengthWarning(warning))
    return whole


def _open_ogg(path: Path) -> Sound | None:
    streams = ogg.streams(path)
    sounds = [sound for start, length in streams if (sound := _open_stream(path, start, length))]
    if len(sounds) > 1:
        whole = join(str(path), in_order(sounds))
        if len(sounds) < len(streams):
            missing = f"{path}: {len(streams) - len(sounds)} of its {len(streams)} streams cannot be decoded."
            whole.warnings.append(DamagedAudioWarning(missing))
        return whole
    return _open_stream(path)


def _open_stream(path: Path, start: int = 0, length: int | None = None) -> Sound | None:
    """Open a stream of an Ogg file. Read from its start, it has silence in place of damaged pages.

    Only then are all pages checked, and not for a few excerpts of an intact file.
    """
    spans = ogg.mend_opus(path, start, length) or (None if length is None else [(start, length)])
    sound = _open(path, spans)
    if sound is None:
        return _without_damage(path, start, length)

    @cache
    def repaired() -> Sound | None:
        return _without_damage(path, start, length)

    lost: list[tuple[int, int]] = []

    def decode(first: int) -> Iterator[Block]:
        try:
            whole = None if first else repaired()
        except OSError:
            return  # the file is gone
        if whole is None:
            yield from sound.decode(first)
            return
        yield from whole.decode(0)
        lost.extend(whole.lost)

    return replace(sound, decode=decode, lost=lost)


def _without_damage(path: Path, start: int, length: int | None) -> Sound | None:
    """Join what remains of a damaged stream of an Ogg file; return None if it is intact, or nothing remains."""
    parts: list[Part] = []
    origin = 0
    for run in ogg.runs(path, start, length):
        sound = _open(path, run.spans)
        frames = sum(len(block) for block in sound.decode(0)) if sound else 0
        if sound is None or not frames:
            continue
        sound = replace(sound, frames=frames)
        begins = run.end - frames - origin
        if not parts:
            origin, begins = begins, 0
        after = parts[-1].start + parts[-1].sound.frames if parts else 0
        plausible = after <= begins <= after + LONGEST_GAP_S * sound.sample_rate
        parts.append(Part(begins if plausible else after, sound))
    return join(str(path), parts) if parts else None


def _open_mp3(path: Path, stretches: list[mp3.Stretch]) -> Sound | None:
    sounds = [sound for stretch in stretches if (sound := _open_stretch(path, stretch, len(stretches) == 1))]
    if not sounds:
        return None
    return sounds[0] if len(sounds) == 1 else join(str(path), in_order(sounds))


def _open_stretch(path: Path, stretch: mp3.Stretch, only: bool) -> Sound | None:
    """Open frames of one kind: from the file itself if mpg123 can read all of it, else from a view of it."""
    begins = stretch.offset - len(stretch.info)
    stated, size = stretch.stated
    direct = (
        only
        and len(stretch.runs) == 1
        and not stretch.lost
        and (begins == 0 or os.name != "nt")
        and stated in (0, stretch.count)
        and (not size or abs(path.stat().st_size - begins - size) < size // 128)
    )

    def from_file() -> Any:
        if not begins:
            return _reader()(_name(path))
        descriptor = os.open(path, os.O_RDONLY)  # libsndfile starts at the current position, after the tag
        os.lseek(descriptor, begins, os.SEEK_SET)
        return _reader()(descriptor, closefd=True)

    def from_view() -> Any:
        return _reader()(open_view(path, mp3.view(path, stretch, True)))

    opened, head = (from_file, bool(stated)) if direct else (from_view, True)
    declared = _frames_of(opened)
    if declared is not None and declared[0] + _PADDING < stretch.frames:  # an estimate, as no header states the length
        opened, head = from_view, True
        declared = _frames_of(opened)
    if declared is None:
        return None
    frames, rate, channels = declared
    frames = min(frames, stretch.frames)

    @cache
    def delay() -> int:
        """Samples that mpg123 drops after our header, but not in the file itself."""
        return 0 if head else stretch.frames - (_frames_of(from_view) or (0,))[0]

    def decode(start: int) -> Iterator[Block]:
        if not start:
            yield from _until_damage(opened, 0, frames)
            return
        try:
            spans, first = mp3.view_from(path, stretch, start, True)
            skip = start - first - (delay() if first else 0)
            view = partial(_reader(), open_view(path, spans)) if first else opened
        except (OSError, ValueError):
            return  # the file is gone, or another file by now
        if first == 0:
            yield from _from(_until_damage(view, 0, frames), start)
        else:
            yield from _from(_until_damage(view, 0, frames - start + skip), skip)

    sound = Sound(str(path), rate, channels, frames, 0.02, decode, lost=stretch.lost)
    if only and stated:
        replace(sound, frames=stated * stretch.frames // stretch.count).warn_if_truncated(stretch.frames)
    seconds = stretch.junk * 1152 / mp3.frame_length(stretch.header) / rate
    if seconds > 0.1 and not any(run.filled for run in stretch.runs):
        text = f"{path}: {stretch.junk} bytes, about {seconds:.2f} s, are damaged or not audio, and were skipped."
        sound.warnings.append(DamagedAudioWarning(text))
    return sound


def _from(blocks: Iterator[Block], skip: int) -> Iterator[Block]:
    """Yield the blocks without the first frames."""
    for block in blocks:
        if skip < len(block):
            yield block[skip:]
        skip = max(skip - len(block), 0)


def _frames_of(opened: Callable[[], Any]) -> tuple[int, int, int] | None:
    """Return frames, rate and channels; None if the file cannot be opened."""
    import soundfile

    try:
        with opened() as file:
            return file.frames, file.samplerate, file.channels
    except (soundfile.LibsndfileError, OSError, ValueError):
        return None  # ValueError: it is another file by now than the one that was scanned


@cache
def _reader() -> Any:
    """Return soundfile's class, silent, and without the seek after each read that makes decoders restart."""
    import soundfile

    class Reader(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            with without_c_stderr():
                super().__init__(*args, **kwargs)

        def seekable(self) -> bool:
            return False

        def read(self, *args: Any, **kwargs: Any) -> Any:
            with without_c_stderr() if self.format == "MP3" else nullcontext():
                return super().read(*args, **kwargs)

        def seek(self, *args: Any, **kwargs: Any) -> Any:
            with without_c_stderr() if self.format == "MP3" else nullcontext():
                return super().seek(*args, **kwargs)

    return Reader


def _name(path: Path) -> bytes | str:
    """Return the name for libsndfile: bytes where file names are bytes, since some are not UTF-8."""
    return str(path) if os.name == "nt" else os.fsencode(path)


# === mpg123's standard error ===
#
# mpg123, the MP3 decoder inside libsndfile, prints a line for each frame that it cannot decode. libsndfile cannot turn
# that off, and only decoding shows whether a frame decodes; `mp3` removes what can be known before. So C's variable
# `stderr` points at the null device while libsndfile works on an MP3. File descriptor 2 is untouched: Python, C++, the
# C library and other processes still write there. Only what other C libraries print through the same variable in those
# moments is lost.

_STDERR = "__stderrp" if sys.platform == "darwin" else "stderr"

_lock = threading.Lock()
_users = 0
_kept: int | None = None


@contextmanager
def without_c_stderr() -> Iterator[None]:
    """Discard what C code prints to `stderr`, in any thread. Without such a variable, nothing changes."""
    global _users, _kept
    variable = _stderr_variable()
    if variable is None:
        yield
        return
    with _lock:
        if _users == 0:
            _kept, variable[0].value = variable[0].value, variable[1]
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                variable[0].value = _kept


@cache
def _stderr_variable() -> tuple[Any, int] | None:
    """Return C's variable, and an open null device for it to point at."""
    try:
        library = ctypes.CDLL(None)
        variable = ctypes.c_void_p.in_dll(library, _STDERR)
        library.fopen.restype = ctypes.c_void_p
        null = library.fopen(os.devnull.encode(), b"we")
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return (variable, null) if null and variable.value else None


def _restore_stderr() -> None:
    """Restore the variable in a forked child, where no thread is left to do it."""
    global _lock, _users
    _lock = threading.Lock()
    if _users and (variable := _stderr_variable()):
        variable[0].value = _kept
    _users = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_stderr)
