"""Music that no model here was trained on: styles by MMA, voices over backings (docs/engineering/results/heads.md).

    python benchmarks/held_out_music.py styles --out held_out/styles
    python benchmarks/held_out_music.py voices --out held_out/voices --styles held_out/styles --games data/open_music

Deterministic but for the versions of the tools. Needs the Debian packages mma, fluidsynth, fluid-soundfont-gm,
timgm6mb-soundfont and espeak-ng, the audio of klettres-data and asterisk-core-sounds-{it,fr}-wav (unpacked in
``--speech``, default /usr/share), and for voices the Python packages pyworld and scipy.
"""

import argparse
import random
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from musiczoo import audio
from musiczoo.datasets.open_music.definition import DEFINITION, read_definition

RATE = 22_050
GROOVES = Path("/usr/share/mma/lib/stdlib")
SOUNDFONTS = Path("/usr/share/sounds/sf2")

PROGRESSIONS = [
    "C Am F G", "Am F C G", "C F G C", "Dm7 G7 C Am7", "C G Am F", "C7 F7 C7 G7", "Em C G D", "F Em Dm C",
]  # fmt: skip
NOTES = ["c", "d", "e", "g", "a", "c+", "d+", "e+"]
INSTRUMENTS = [
    "Piano1",
    "NylonGuitar",
    "SteelGuitar",
    "JazzGuitar",
    "CleanGuitar",
    "OverdriveGuitar",
    "DistortionGuitar",
    "Violin",
    "Trumpet",
    "TenorSax",
    "Flute",
    "Strings",
    "SawWave",
    "SquareWave",
    "Organ1",
    "ChoirAahs",
    "VoiceOohs",
    "Harmonica",
    "Accordion",
]
LENGTHS = {0.5: "8", 1: "4", 2: "2"}
"""Beats -> MMA's name of a note of that length."""

WORDS = [
    "love",
    "me",
    "tonight",
    "under",
    "the",
    "moon",
    "we",
    "are",
    "running",
    "home",
    "all",
    "the",
    "way",
    "to",
    "the",
    "sea",
    "my",
    "heart",
    "is",
    "on",
    "fire",
    "and",
    "you",
    "are",
    "the",
    "one",
    "oh",
    "yeah",
    "baby",
]
SYNTHESIZERS = ("esp_en-029+f1", "esp_it+f4", "esp_pt+m5")
VOICE_S, RECORDINGS = 9, 44
STEPS = (0, 2, 4, 5, 7, 9, 12)

Floats = NDArray[np.float64]


def styles(out: Path) -> None:
    """One recording of at most 30 s for each groove file; every fourth is played by the other soundfont."""
    files = sorted(file for file in GROOVES.glob("*.mma") if not re.search("metronome|none|march", file.name))
    for number, file in enumerate(files):
        held = number % 4 == 3
        target = out / f"{'held' if held else 'train'}_{file.stem}.flac"
        if target.exists():
            continue
        rng = random.Random(number * 7 + 1)
        text = file.read_text(errors="replace")
        found = [line.split()[1] for line in text.splitlines() if line.strip().startswith("DefGroove")]
        grooves = [name for name in found if not re.search("Intro|End|Fill", name)] or found
        if not grooves:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            midi = _accompaniment(rng, rng.choice(grooves), Path(scratch))
            if midi is None:
                continue
            wav = Path(scratch) / "recording.wav"
            font = SOUNDFONTS / ("TimGM6mb.sf2" if held else "FluidR3_GM.sf2")
            command = ["fluidsynth", "-ni", "-g", "0.7", "-r", str(RATE), "-F", str(wav), str(font), str(midi)]
            subprocess.run(command, capture_output=True, check=True)
            samples, _ = soundfile.read(wav)
        mono = samples.mean(axis=1)[: 30 * RATE]
        loud = np.tanh(mono / max(1e-6, np.abs(mono).max()) * rng.uniform(1, 2.5))
        soundfile.write(target, (loud * 0.9 / np.abs(loud).max()).astype(np.float32), RATE)
        print(target.name, flush=True)


def _accompaniment(rng: random.Random, groove: str, scratch: Path) -> Path | None:
    """A recording as MIDI: random tempo, key and chords, and in most a melody; None if MMA refuses it."""
    tempo, key, chords = rng.randint(75, 165), rng.randint(-5, 6), rng.choice(PROGRESSIONS).split()
    lines = [f"Tempo {tempo}", f"Transpose {key}", f"Groove {groove}", "Solo Voice " + rng.choice(INSTRUMENTS)]
    lines += [f"Solo Octave {rng.choice([4, 5, 6])}", "Solo Volume mf"]
    bars, with_melody = max(8, int(28 / (4 * 60 / tempo)) + 1), rng.random() < 0.7
    for bar in range(bars):
        line = f"{bar + 1} {chords[bar % 4]}"
        if with_melody:
            notes, beats = [], 0.0
            while beats < 4:
                length = min(rng.choice([1, 1, 0.5, 0.5, 2]), 4 - beats)
                if length in LENGTHS:
                    notes.append(LENGTHS[length] + rng.choice([*NOTES, "r"]))
                else:
                    notes.append("4" + rng.choice(NOTES))
                    length = 1
                beats += length
            line += f" {{{';'.join(notes)};}}"
        lines.append(line)
    source, midi = scratch / "recording.mma", scratch / "recording.mid"
    for text in (lines, [line.split("{")[0] for line in lines if not line.startswith("Solo")]):
        source.write_text("\n".join(text) + "\n")
        subprocess.run(["mma", str(source), "-f", str(midi)], capture_output=True, check=False)
        if midi.exists():
            return midi
    return None


def voices(out: Path, style_folder: Path, games: Path, speech: Path) -> None:
    """Backings of 9 s with a voice and without: ``held_000_voice.flac`` and ``held_000_backing.flac``."""
    from scipy.signal import fftconvolve

    speakers = _speakers(speech)
    names = sorted(speakers)
    recordings = [games / "audio" / r.audio for r in read_definition(DEFINITION) if r.split == "validation"]
    styles = sorted(style_folder.glob("held_*.flac"))
    length = VOICE_S * RATE
    for number in range(RECORDINGS):
        mixed, backing = (out / f"held_{number:03d}_{kind}.flac" for kind in ("voice", "backing"))
        if mixed.exists() and backing.exists():
            continue
        rng = random.Random(f"held{number}")
        name = names[number % len(names)]
        source = rng.choice(styles) if rng.random() < 0.65 else rng.choice(recordings)
        music = audio.read(source, RATE, min(audio.probe(source).duration_s, 25)).astype(np.float64)
        start = rng.randint(0, max(0, len(music) - length))
        music = np.pad(music[start : start + length], (0, max(0, start + length - len(music))))
        voice = _melody(rng, speakers[name], name, length)
        tail = np.arange(RATE // 2) / RATE
        room = np.random.RandomState(number).randn(len(tail)) * np.exp(-9 * tail) * 0.02
        voice = voice + rng.random() * fftconvolve(voice, room)[:length]
        if rng.random() < 0.3:
            late = int(0.018 * RATE)
            voice[late:] += 0.7 * voice[:-late]
        level = rng.choice([-4, -1, 2, 5, 8])
        gain = np.sqrt((music**2).mean() + 1e-9) * 10 ** (level / 20) / (np.sqrt((voice**2).mean()) + 1e-9)
        both = music + gain * voice
        scale = 0.9 / max(np.abs(both).max(), np.abs(music).max(), 1e-6)
        soundfile.write(backing, (music * scale).astype(np.float32), RATE)
        soundfile.write(mixed, (both * scale).astype(np.float32), RATE)
        print(mixed.name, name, level, flush=True)


def _speakers(speech: Path) -> dict[str, list[Path]]:
    """Name -> recordings; those of a synthesizer are made when they are needed."""
    found: dict[str, list[Path]] = {name: [] for name in SYNTHESIZERS}
    for number, folder in enumerate(sorted((speech / "klettres").iterdir())):
        files = sorted(folder.glob("*/*.ogg"))
        if len(files) > 10 and number % 3 == 2:
            found[f"kl_{folder.name}"] = files
    for name in ("it_IT_m_Carlo", "fr_CA_f_June"):
        found[f"ast_{name}"] = sorted((speech / "asterisk/sounds" / name).rglob("*.wav"))
    return found


def _melody(rng: random.Random, files: list[Path], name: str, length: int) -> Floats:
    """A voice, spoken or made to sing, ``[length]``."""
    voice = np.zeros(length)
    spoken, position = rng.random() < 0.5, rng.random() * 0.3
    root = rng.choice([110, 130, 147, 165, 196, 220, 247, 294, 330])
    formant, rap, step = rng.choice([0.88, 1, 1, 1.1, 1.18]), rng.random() < 0.25, rng.randint(0, 4)
    while position < VOICE_S - 0.4:
        step = min(6, max(0, step + rng.choice([-2, -1, 0, 1, 1, 2])))
        seconds = rng.choice([0.2, 0.25, 0.35, 0.5] if rap else [0.3, 0.45, 0.6, 0.9, 1.4])
        syllable = _syllable(rng, files, name)
        if spoken:
            sound = soxr.resample(syllable, RATE, int(RATE / formant))
        else:
            sound = _sung(rng, syllable, root * 2 ** (STEPS[step] / 12), seconds, formant, rap)
        at = int(position * RATE)
        sound = (sound / (np.sqrt((sound**2).mean()) + 1e-9) * 0.1)[: length - at]
        fade = min(len(sound) // 4, 300)
        if fade:
            sound[:fade] *= np.linspace(0, 1, fade)
            sound[-fade:] *= np.linspace(1, 0, fade)
        voice[at : at + len(sound)] += sound
        position += seconds + rng.choice([0, 0, 0.05, 0.3])
    return voice


def _syllable(rng: random.Random, files: list[Path], name: str) -> Floats:
    """At most 0.8 s of a speaker, without the silence around it."""
    if files:
        samples, rate = soundfile.read(rng.choice(files), always_2d=True)
    else:
        words = " ".join(rng.sample(WORDS, rng.choice([1, 1, 2, 3])))
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            subprocess.run(["espeak-ng", "-v", name.removeprefix("esp_"), "-w", file.name, words], check=True)
            samples, rate = soundfile.read(file.name, always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate, RATE)
    loud = np.flatnonzero(np.abs(mono) > 0.03 * np.abs(mono).max())
    return np.asarray(mono[loud[0] : loud[-1] + 1][: int(0.8 * RATE)]) if len(loud) else mono


def _sung(rng: random.Random, syllable: Floats, hertz: float, seconds: float, formant: float, rap: bool) -> Floats:
    """A syllable as a note, by the vocoder WORLD (Morise et al., 2016): with vibrato, or a rap with its own melody."""
    import pyworld

    pitch, times = pyworld.dio(syllable, RATE, f0_floor=60, f0_ceil=600)
    pitch = pyworld.stonemask(syllable, pitch, times, RATE)
    spectrum = pyworld.cheaptrick(syllable, pitch, times, RATE)
    noise = pyworld.d4c(syllable, pitch, times, RATE)
    count = int(seconds / 0.005)
    frames = np.linspace(0, len(pitch) - 1, count).astype(int)
    bins = np.clip(np.arange(spectrum.shape[1]) / formant, 0, spectrum.shape[1] - 1).astype(int)
    voiced, time = pitch[frames] > 0, np.arange(count) * 0.005
    vibrato = 2 ** (0.35 / 12 * np.sin(2 * np.pi * 5.5 * time + rng.random() * 6) * (time > 0.15))
    usual = np.median(pitch[pitch > 0]) if (pitch > 0).any() else 150.0
    melody = pitch[frames] * hertz / max(60.0, usual) if rap else np.where(voiced, hertz * vibrato, 0.0)
    parts = (melody, spectrum[frames][:, bins], noise[frames])
    return np.asarray(pyworld.synthesize(*(np.ascontiguousarray(part) for part in parts), RATE, 5.0))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["styles", "voices"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--styles", type=Path, help="voices: folder of the styles.")
    parser.add_argument("--games", type=Path, help="voices: open_music, prepared.")
    parser.add_argument("--speech", type=Path, default=Path("/usr/share"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.what == "styles":
        styles(given.out)
    else:
        voices(given.out, given.styles, given.games, given.speech)


if __name__ == "__main__":
    main()
