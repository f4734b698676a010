"""What more costs: time and memory of `musiczoo` against the length and number of songs, threads and batch size.

    python benchmarks/curves.py [CURVE ...] --json build/bench/curves.json --plot curves.png

Conventions
-----------
- Each length is analyzed by a separate process, whose peak of resident memory counts; loading is not timed.
- A long song is a real one again and again, as FLAC; many songs are cuts of 5 s of real ones, as FLAC.
- Times are fitted by power laws, memory by lines (see `fit`).
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table
from songs import BLOCK, prepare
from speed import MODEL, PEERS, ROOT

import musiczoo
from musiczoo import audio

LENGTHS_S = (10, 30, 60, 240, 600, 3600, 36_000)
NUMBERS = (1, 10, 100, 1000, 10_000)
BATCHES = (1, 2, 4, 8, 16, 32)
CUT_S = 5
"""Seconds of each of many songs."""

TURNS = 5
"""Of which the median counts, for what takes less than a second."""

THREADS = (1, 2)
COLOURS = {1: "#9aa0a6", 2: "#2a78c2"}
LABELS = {"length": "seconds of music", "number": "songs of 5 s", "batch": "excerpts in a run"}
FITTED_FROM = {"length": 60, "number": 100}
"""Below, what is done once for each song, or once for a library, counts."""

Row = dict[str, float]
Curves = dict[int, list[Row]]
"""Threads -> the rows of a curve."""


def length(songs: Sequence[Path], work: Path) -> Curves:
    """Seconds and megabytes of one song of each length."""
    curves: Curves = {threads: [] for threads in THREADS}
    for seconds in LENGTHS_S:
        song = work / f"{seconds}.flac"
        repeat(songs[0], song, seconds)
        turns = TURNS if seconds < LENGTHS_S[-2] else 0
        for threads, rows in curves.items():
            # The first one warms up.
            runs = _answers("musiczoo_model.py", [str(threads), "float32", "0"], [song] * (1 + turns))[min(turns, 1) :]
            median = statistics.median(answer["seconds"] for answer in runs)
            rows.append({"x": seconds, "seconds": median, "peak_mb": runs[-1]["peak_mb"]})
        song.unlink()
    return curves


def number(songs: Sequence[Path], work: Path) -> Curves:
    """Seconds to index this number of songs, and megabytes of the process that does it."""
    curves: Curves = {workers: [] for workers in THREADS}
    folder = work / "many"
    folder.mkdir()
    made = 0
    for count in NUMBERS:
        while made < count:
            cut(songs[made % len(songs)], folder / f"{made:05d}.flac", made // len(songs))
            made += 1
        for workers, rows in curves.items():
            rows.append({"x": count, **_answers("musiczoo_index.py", [str(workers)], [folder])[0]})
    return curves


def batch(songs: Sequence[Path], work: Path) -> Curves:
    """Milliseconds an excerpt, for each number of excerpts in a run of the graph."""
    curves: Curves = {threads: [] for threads in THREADS}
    for threads, rows in curves.items():
        model = musiczoo.load(MODEL, threads=threads)
        excerpts = np.stack([x for _, x in audio.excerpts(songs[0], model.card, count=2 * max(BATCHES))])
        taken: dict[int, list[float]] = {size: [] for size in BATCHES}
        for _ in range(1 + TURNS):  # the first one warms up
            for size, times in taken.items():
                sized = dataclasses.replace(model, _batch=size)
                began = time.perf_counter()
                sized.embed(excerpts)
                times.append(1e3 * (time.perf_counter() - began) / len(excerpts))
        rows += [{"x": size, "ms": statistics.median(times[1:])} for size, times in taken.items()]
    return curves


def repeat(song: Path, to: Path, seconds: int) -> None:
    """A song of this length: one song repeated."""
    with soundfile.SoundFile(song) as old, soundfile.SoundFile(to, "w", old.samplerate, old.channels) as new:
        left = seconds * old.samplerate
        while left > 0:
            block = old.read(min(BLOCK, left), dtype="int16", always_2d=True)
            if not len(block):
                old.seek(0)
            new.write(block)
            left -= len(block)


def cut(song: Path, to: Path, number: int) -> None:
    """Five seconds of a song: no two are the same."""
    with soundfile.SoundFile(song) as old:
        size = CUT_S * old.samplerate
        old.seek(number * size // 11 % (old.frames - size))
        soundfile.write(to, old.read(size, dtype="int16"), old.samplerate)


def fit(rows: Sequence[Row], key: str, above: float) -> Row:
    """The law of the rows from `above` on, by least squares, and its largest relative error.

    Of seconds a power law, ``factor * x ** exponent``, fitted to the logarithms; of memory a line, ``factor * x +
    offset``.
    """
    x, y = (np.array([row[name] for row in rows if row["x"] >= above]) for name in ("x", key))
    if key == "seconds":
        exponent, logarithm = np.polyfit(np.log(x), np.log(y), 1)
        law = {"factor": float(np.exp(logarithm)), "exponent": float(exponent), "offset": 0.0}
    else:
        factor, offset = np.polyfit(x, y, 1)
        law = {"factor": float(factor), "exponent": 1.0, "offset": float(offset)}
    return law | {"from": above, "largest_error": float(np.abs(fitted(law, x) / y - 1).max())}


def fitted(law: Row, x: Any) -> Any:
    """What a law says for values of x."""
    return law["factor"] * np.asarray(x) ** law["exponent"] + law["offset"]


def said(law: Row) -> str:
    """A law as people write it."""
    power = f" x^{law['exponent']:.2f}" if law["exponent"] != 1 else " x"
    return (f"{law['offset']:.0f} + " if law["offset"] else "") + f"{law['factor']:.2g}" + power


def _answers(script: str, arguments: Sequence[str], asked: Sequence[Path]) -> list[Row]:
    """What a new process of `peers` says of each path."""
    command = [sys.executable, str(PEERS / script), MODEL, *arguments]
    lines = "".join(f"{path}\n" for path in asked)
    done = subprocess.run(
        command, input=lines, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    answers = map(json.loads, done.stdout.splitlines()[1:])
    return [{"seconds": answer["seconds"], "peak_mb": answer["peak_mb"]} for answer in answers]


def fits(name: str, curves: Curves) -> dict[int, dict[str, Row]]:
    """The power laws of a curve, by number of threads, for what is wanted of it."""
    above = FITTED_FROM.get(name)
    return {n: {key: fit(rows, key, above) for key in ("seconds", "peak_mb")} for n, rows in curves.items() if above}


def show(name: str, curves: Curves, console: Console) -> None:
    """A table, and the laws."""
    keys = [key for key in curves[1][0] if key != "x"]
    table = Table(LABELS[name], *(f"{key}, {n} thread{'s' * (n > 1)}" for n in THREADS for key in keys))
    for one, two in zip(*curves.values(), strict=True):
        table.add_row(f"{one['x']:g}", *(f"{row[key]:.3f}" for row in (one, two) for key in keys))
    console.print(table)
    for n, laws in fits(name, curves).items():
        for key, law in laws.items():
            text = f"{said(law)} from {law['from']:g} on, within {100 * law['largest_error']:.0f} %"
            console.print(f"{n} thread{'s' * (n > 1)}, {key}: {text}")


def plot(found: dict[str, Curves], path: Path) -> None:
    """Time and memory against length and number, and time against batch size, with the fitted lines."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
    shown = [("length", 0, "seconds"), ("length", 1, "peak_mb"), ("number", 0, "seconds"), ("number", 1, "peak_mb")]
    for name, row, key in [*shown, ("batch", 0, "ms")]:
        axes = panels[row, list(LABELS).index(name)]
        for n, curve in found.get(name, {}).items():
            x, y = ([point[which] for point in curve] for which in ("x", key))
            label = f"{n} thread{'s' * (n > 1)}"
            axes.plot(x, y, "o" if name in FITTED_FROM else "o-", color=COLOURS[n], label=label)
            if law := fits(name, {n: curve}).get(n, {}).get(key):
                line = [value for value in x if value >= law["from"]]
                if key != "seconds":
                    line = np.geomspace(min(line), max(line), 100).tolist()
                axes.plot(line, fitted(law, line), color=COLOURS[n], label=said(law))
        axes.set(xscale="log", xlabel=LABELS[name], ylabel=key.replace("_", " "))
        axes.set(yscale="log") if key == "seconds" else axes.set(ylim=(0, 1.3 * axes.get_ylim()[1]))
        axes.legend(frameon=False)
    panels[0, 2].set_xticks(BATCHES, [str(size) for size in BATCHES])
    panels[1, 2].set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure, print tables, write what was asked for."""
    measures = {"length": length, "number": number, "batch": batch}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("curves", nargs="*", metavar="CURVE", help=f"out of {', '.join(measures)}; default: all")
    parser.add_argument("--music", type=Path, default=ROOT / "data/open_music/audio", help="of open_music")
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench", help="for the songs; takes 4 GB for a while")
    parser.add_argument("--json", type=Path, help="write the results here, beside those of other curves")
    parser.add_argument("--plot", type=Path, help="draw them here, with those that are in the JSON file")
    options = parser.parse_args()
    songs = prepare(options.music, options.work)["songs"]
    found: dict[str, Curves] = {}
    if options.json and options.json.exists():
        known = json.loads(options.json.read_text(encoding="utf-8"))
        found = {name: {int(n): rows for n, rows in curves.items()} for name, curves in known.items()}
    for name in options.curves or measures:
        with TemporaryDirectory(dir=options.work) as scratch:
            found[name] = measures[name](songs, Path(scratch))
        show(name, found[name], Console(width=150))
        if options.json:
            options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
