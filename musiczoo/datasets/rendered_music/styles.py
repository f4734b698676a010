"""Compose and render short tracks in many styles: MMA accompanies, fluidsynth plays.

Conventions
-----------
- Everything follows from a seed: the same seed gives the same score, and the same versions of MMA, fluidsynth and
  soundfont give the same samples.
- Pitches are MIDI numbers (60 is middle C); times in scores are quarter notes from the start.
- Rendered audio is mono float32 at `RATE`, with a peak below 1.
"""

import random
import re
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ..._paths import scratch_folder
from ...errors import DatasetError, MissingDependencyError
from ..open_music.debian import require_tool

STYLES = Path(__file__).with_name("styles.toml")
GROOVES = Path(__file__).with_name("grooves.mma")

RATE = 44100
"""Hz of the rendered audio."""

TIMEOUT_S = 600
"""Seconds after which a program that renders a track is stopped."""

_NAMES = ("c", "c#", "d", "d#", "e", "f", "f#", "g", "g#", "a", "a#", "b")
_ROOTS = {name.upper(): i for i, name in enumerate(_NAMES)} | {"Bb": 10, "Eb": 3, "Ab": 8, "Db": 1, "Gb": 6}
_LENGTHS = {0.5: "8", 1.0: "4", 1.5: "4.", 2.0: "2", 3.0: "2.", 4.0: "1"}
_CHORD = re.compile(r"([A-G][b#]?)(.*)")
_MAJOR, _MINOR = (0, 2, 4, 7, 9), (0, 3, 5, 7, 10)
"""Pentatonic scales, in semitones above the root."""

_RHYTHMS = ((1.0, 1.0, 2.0), (2.0, 1.0, 0.5, 0.5), (1.5, 0.5, 2.0), (0.5, 0.5, 1.0, 0.5, 0.5, 1.0), (3.0, 1.0), (4.0,))
"""Lengths of the notes of a bar, in quarter notes."""


@dataclass(frozen=True)
class Family:
    """A family of styles.

    Attributes:
        name: Its name.
        grooves: Grooves of MMA.
        more: Grooves that are rendered once, for training alone. ``casio/techno:Techno`` is the groove Techno of a file
            in another library of MMA.
        tags: Genre tags that it aims at. They describe; labels come from teachers.
        tempo: Lowest and highest tempo in quarter notes per minute.
        progressions: Chords of one round, in C major or A minor.
        lead: Instruments of the melody, by MMA's names.
    """

    name: str
    grooves: tuple[str, ...]
    more: tuple[str, ...]
    tags: tuple[str, ...]
    tempo: tuple[int, int]
    progressions: tuple[tuple[str, ...], ...]
    lead: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """A note of a melody: when it starts, how long it lasts (quarter notes), and its pitch (None is a rest)."""

    start: float
    length: float
    pitch: int | None


@dataclass(frozen=True)
class Score:
    """A composition.

    Attributes:
        family: Name of its family.
        groove: Groove of MMA.
        tempo: Quarter notes per minute.
        chords: One for each bar.
        melody: Notes in order, without gaps.
        lead: Instrument of the melody; None leaves the melody to a singer.
        beats: Quarter notes in a bar.
        seed: Seed of the accompaniment's small deviations in time and loudness.
    """

    family: str
    groove: str
    tempo: int
    chords: tuple[str, ...]
    melody: tuple[Note, ...]
    lead: str | None
    beats: int
    seed: int

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last bar."""
        return len(self.chords) * self.beats * 60 / self.tempo


@cache
def families() -> tuple[Family, ...]:
    """Return all families of styles.

    Examples:
        >>> "jazz" in [family.name for family in families()]
        True
    """
    content = tomllib.loads(STYLES.read_text(encoding="utf-8"))
    chords = {name: tuple(value) for name, value in content["progressions"].items()}
    return tuple(
        Family(
            entry["name"],
            tuple(entry["grooves"]),
            tuple(entry.get("more", ())),
            tuple(entry["tags"]),
            (entry["tempo"][0], entry["tempo"][1]),
            tuple(chords[name] for name in entry["progressions"]),
            tuple(entry["lead"]),
        )
        for entry in content["family"]
    )


def transpose(chord: str, semitones: int) -> str:
    """Move a chord.

    Examples:
        >>> transpose("Bb7", 2)
        'C7'
        >>> transpose("Am7", -2)
        'Gm7'
    """
    match = _CHORD.fullmatch(chord)
    if match is None:
        raise ValueError(f"Expected a chord such as Am7, got {chord!r}.")
    root = (_ROOTS[match[1]] + semitones) % 12
    return _NAMES[root].upper() + match[2]


def compose(family: Family, groove: str, seed: int, seconds: float = 30.0, sung: bool = False) -> Score:
    """Compose a track.

    Args:
        family: The style.
        groove: One of its grooves.
        seed: Decides tempo, key, chords and melody.
        seconds: Approximate length.
        sung: Leave the melody to a singer: no instrument plays it.

    Examples:
        >>> score = compose(families()[0], "BasicRock", seed=1)
        >>> 25 < score.duration_s < 35
        True
        >>> score == compose(families()[0], "BasicRock", seed=1)
        True
    """
    dice = random.Random(f"{groove} {seed}")
    tempo, beats = dice.randint(*family.tempo), _beats(groove)
    key, progression = dice.randint(-5, 6), dice.choice(family.progressions)
    bars = max(4, round(seconds * tempo / 60 / beats))
    chords = tuple(transpose(progression[bar % len(progression)], key) for bar in range(bars))
    melody = _melody(dice, chords, beats)
    lead = None if sung else dice.choice(family.lead)
    return Score(family.name, groove, tempo, chords, melody, lead, beats, dice.randrange(1 << 30))


def _beats(groove: str) -> int:
    """Quarter notes in a bar of a groove: MMA's grooves say so by their names."""
    if "54" in groove:
        return 5
    return 3 if "Waltz" in groove or groove == "Lullaby" else 4


def _melody(dice: random.Random, chords: tuple[str, ...], beats: int) -> tuple[Note, ...]:
    """Two motifs that answer each other, moved to the scale of each chord, with rests between phrases."""
    motifs = [[(length, dice.randint(-2, 2)) for length in dice.choice(_RHYTHMS)] for _ in range(2)]
    notes: list[Note] = []
    step = dice.randint(2, 6)
    for bar, chord in enumerate(chords):
        match = _CHORD.fullmatch(chord)
        assert match is not None
        root = _ROOTS[match[1]]
        scale = _MINOR if match[2].startswith(("m", "5")) and not match[2].startswith("maj") else _MAJOR
        at, end = float(bar * beats), float((bar + 1) * beats)
        silent = bar % 8 == 7 or dice.random() < 0.1
        for length, move in motifs[(bar // 2) % 2]:
            if at >= end:
                break
            length = min(length, end - at)
            step = min(max(step + move, 0), 9)
            pitch = 55 + (root - 7) % 12 + scale[step % 5] + 12 * (step // 5)
            notes.append(Note(at, length, None if silent else pitch))
            at += length
        if at < end:
            notes.append(Note(at, end - at, None))
    return tuple(notes)


def source(score: Score) -> str:
    """Return a score as MMA reads it.

    Examples:
        >>> print(source(compose(families()[0], "BasicRock", seed=1)).splitlines()[2])
        Groove BasicRock
    """
    lines = [f"RndSeed {score.seed}", f"Tempo {score.tempo}", f"Groove {score.groove}"]
    if score.groove.startswith("Zoo"):
        lines.insert(0, f"Include {GROOVES}")
    if score.lead is not None:
        lines += [f"Solo Voice {score.lead}", "Solo Octave 5", "Solo Rtime 3", "Solo Rvolume 12", "Solo Volume mf"]
    for bar, chord in enumerate(score.chords, 1):
        first, last = (bar - 1) * score.beats, bar * score.beats
        notes = [note for note in score.melody if first <= note.start < last]
        solo = "".join(f"{_length(note.length)}{_name(note.pitch)};" for note in notes)
        lines.append(f"{bar} {chord}" + (f" {{{solo}}}" if score.lead is not None else ""))
    return "\n".join(lines) + "\n"


def _length(quarters: float) -> str:
    """Return a length in MMA's notation; several tied lengths where there is no single one."""
    parts = []
    for length in sorted(_LENGTHS, reverse=True):
        while quarters >= length:
            parts.append(_LENGTHS[length])
            quarters -= length
    return "+".join(parts)


def _name(pitch: int | None) -> str:
    """Return a pitch in MMA's notation, relative to the octave of middle C, which MMA counts as 5."""
    if pitch is None:
        return "r"
    octaves = pitch // 12 - 5
    return _NAMES[pitch % 12] + ("+" * octaves if octaves > 0 else "-" * -octaves)


def render(score: Score, soundfont: Path, folder: Path | None = None) -> NDArray[np.float32]:
    """Render a score.

    Args:
        score: The score.
        soundfont: File of the instruments (.sf2, .sf3).
        folder: Where to keep the score and the MIDI file; by default they are deleted.

    Returns:
        Mono samples at `RATE`, ``[frames]``, normalised to a peak of 0.9.

    Raises:
        MissingDependencyError: If MMA or fluidsynth is not installed.
        DatasetError: If one of them fails.
    """
    if folder is None:
        with scratch_folder("render") as scratch:
            return render(score, soundfont, scratch)
    text, midi, wav = folder / "score.mma", folder / "score.mid", folder / "score.wav"
    text.write_text(source(score), encoding="utf-8")
    _run([find_program("mma"), "-w", str(text), "-f", str(midi)], midi)
    settings = ["-g", "0.6", "-r", str(RATE), "-o", "synth.cpu-cores=1", "-F", str(wav)]
    _run([find_program("fluidsynth"), "-ni", *settings, str(soundfont), str(midi)], wav)
    samples, _ = soundfile.read(wav, dtype="float32", always_2d=True)
    mono: NDArray[np.float32] = samples.mean(axis=1)[: round(score.duration_s * RATE)]
    peak = float(np.abs(mono).max(initial=0.0))
    if peak < 1e-4:
        raise DatasetError(f"Groove {score.groove} with {soundfont.name} is silent. Choose another soundfont.")
    return mono * np.float32(0.9 / peak)


def find_program(name: str) -> str:
    """Return the path of a program.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        return require_tool(name)
    except (DatasetError, MissingDependencyError) as error:
        raise MissingDependencyError(
            f"Rendering music needs {name}, which is not installed. Install it with: apt-get install mma fluidsynth"
        ) from error


def _run(command: list[str], result: Path) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DatasetError(f"{Path(command[0]).name} did not finish within {TIMEOUT_S} s.") from error
    if not result.exists():
        message = (done.stdout + done.stderr).strip().splitlines()
        raise DatasetError(f"{Path(command[0]).name} failed: {message[-1] if message else 'no message'}")
