"""Scores, and what MMA and fluidsynth make of them."""

import shutil
import struct
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import missing

from musiczoo.datasets.rendered_music import styles
from musiczoo.datasets.rendered_music.styles import RATE, Score, compose, families, source, transpose
from musiczoo.errors import DatasetError

SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
LIBRARY = Path("/usr/share/mma/lib")
GROOVES = [(family, groove) for family in families() for groove in (*family.grooves, *family.more)]


def needs_programs(*names: str) -> None:
    for name in names:
        if shutil.which(name) is None:
            missing(name)


@given(st.sampled_from(GROOVES), st.integers(0, 10**6))
def test_a_melody_fills_the_bars_and_stays_near_its_chords(pair: tuple[styles.Family, str], seed: int) -> None:
    score = compose(*pair, seed)
    at = 0.0
    for note in score.melody:
        assert note.start == pytest.approx(at)
        at += note.length
        assert note.pitch is None or 48 <= note.pitch <= 90
    assert at == len(score.chords) * score.beats
    assert score.family == pair[0].name
    assert pair[0].tempo[0] <= score.tempo <= pair[0].tempo[1]


@given(st.sampled_from(["C", "F#m7", "Bb7", "Am7", "E5", "CM7", "Bm7b5"]), st.integers(-12, 12))
def test_transposing_there_and_back_gives_the_same_pitches(chord: str, semitones: int) -> None:
    assert transpose(transpose(chord, semitones), -semitones) == transpose(chord, 0)
    assert transpose(chord, 12) == transpose(chord, 0)


def midi_notes(data: bytes) -> dict[int, list[tuple[int, int]]]:
    """Channel -> (tick, pitch) of all notes that start, read from a standard MIDI file."""
    notes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    at = 14
    while at < len(data):
        assert data[at : at + 4] == b"MTrk"
        end = at + 8 + struct.unpack(">I", data[at + 4 : at + 8])[0]
        at, tick, status = at + 8, 0, 0

        def number() -> int:
            nonlocal at
            value = 0
            while True:
                byte = data[at]
                at += 1
                value = value << 7 | byte & 0x7F
                if byte < 0x80:
                    return value

        while at < end:
            tick += number()
            if data[at] >= 0x80:
                status, at = data[at], at + 1
            if status == 0xFF:
                at += 1
            if status in (0xFF, 0xF0, 0xF7):
                size = number()
                at += size
                continue
            first = data[at]
            if status & 0xF0 == 0x90 and data[at + 1]:
                notes[status & 0x0F].append((tick, first))
            at += 1 if status & 0xE0 == 0xC0 else 2
    return notes


@pytest.mark.parametrize("name", ["pop", "jazz", "metal", "progressive"])
def test_mma_plays_the_melody_that_was_composed(name: str, tmp_path: Path) -> None:
    needs_programs("mma")
    family = next(family for family in families() if family.name == name)
    score = compose(family, family.grooves[0], seed=4, seconds=15)
    (tmp_path / "a.mma").write_text(source(score))
    styles._run(["mma", "-w", str(tmp_path / "a.mma"), "-f", str(tmp_path / "a.mid")], tmp_path / "a.mid")
    expected = [note.pitch for note in score.melody if note.pitch is not None]
    played = [[pitch for _, pitch in sorted(notes)] for notes in midi_notes((tmp_path / "a.mid").read_bytes()).values()]
    assert expected in played


def defined(path: Path) -> dict[str, int]:
    """Groove of a file -> beats of a bar, read from its text."""
    beats, found = 4, {}
    for line in path.read_text(encoding="utf-8", errors="replace").lower().splitlines():
        match line.split():
            case ["time", time, *_] if time[0].isdigit():
                beats = int(time.split("/")[0])
            case ["defgroove", name, *_]:
                found[name] = beats
    return found


def test_grooves_are_defined_and_a_melody_fits_into_their_bars() -> None:
    needs_programs("mma")
    known = defined(styles.GROOVES)
    for path in LIBRARY.glob("*/*.mma"):
        library = "" if path.parent.name == "stdlib" else f"{path.parent.name}/{path.stem}:".lower()
        known |= {f"{library}{name}": beats for name, beats in defined(path).items()}
    for family, groove in GROOVES:
        assert compose(family, groove, 0).beats <= known[groove.lower()], groove


@pytest.mark.parametrize("library", sorted({groove.rpartition("/")[0] for _, groove in GROOVES}))
def test_mma_finds_the_grooves_of_each_library(library: str, tmp_path: Path) -> None:
    needs_programs("mma")
    mine = [groove for _, groove in GROOVES if groove.rpartition("/")[0] == library]
    text = [f"Include {styles.GROOVES}"]
    for number, groove in enumerate(mine[:: len(mine) // 5 or 1]):
        text += [f"Groove {groove}", f"{number + 1} C"]
    (tmp_path / "a.mma").write_text("\n".join(text) + "\n")
    styles._run(["mma", "-w", str(tmp_path / "a.mma"), "-f", str(tmp_path / "a.mid")], tmp_path / "a.mid")


@pytest.mark.parametrize("groove", ["SoftRock", "ZooHouse"])
def test_the_same_score_gives_the_same_samples(groove: str) -> None:
    needs_programs("mma", "fluidsynth")
    if not SOUNDFONT.exists():
        missing(str(SOUNDFONT))
    family = next(family for family in families() if groove in family.grooves)
    score = compose(family, groove, seed=1, seconds=5)
    one, two = (styles.render(score, SOUNDFONT) for _ in range(2))
    assert np.array_equal(one, two)
    assert len(one) == pytest.approx(score.duration_s * RATE, abs=RATE / 2)
    assert np.abs(one).max() == pytest.approx(0.9, abs=1e-6)


def test_a_groove_that_mma_does_not_know_is_an_error() -> None:
    needs_programs("mma", "fluidsynth")
    score = Score("x", "NoSuchGroove", 120, ("C",), (), None, 4, 0)
    with pytest.raises(DatasetError, match="mma failed"):
        styles.render(score, SOUNDFONT)
