"""Ten thousand songs into one library in one go, with an eye on memory and file descriptors.

    python benchmarks/faults/soak.py data/open_music/audio --json soak.json --plot docs/engineering/reliability/soak.png

The songs are excerpts of 3 to 8 s of real songs, re-encoded (Ogg Vorbis, FLAC, MP3, Opus, WAV in turn). They
are made first, in the folder --songs, where those of an earlier run are used again. Linux only.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import soundfile
from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path[:0] = [str(TESTS / folder) for folder in ("faults", "library", ".")]

from sharing import resident  # noqa: E402 - its folder is known now
from toy import write_audio  # noqa: E402

from musiczoo.library.library import Library  # noqa: E402

SUFFIXES = ("ogg", "flac", "mp3", "opus", "wav")
SECONDS = (3.0, 8.0)
BEGINNING_S = 90


def cut(source: Path, folder: Path, numbers: Sequence[int]) -> None:
    """Write excerpts of one song's beginning, mono."""
    paths = {number: folder / f"{number:05d} {source.stem}.{SUFFIXES[number % len(SUFFIXES)]}" for number in numbers}
    if all(path.exists() for path in paths.values()):
        return
    with soundfile.SoundFile(source) as file:
        rate = file.samplerate
        samples = file.read(BEGINNING_S * rate, dtype="float32", always_2d=True).mean(axis=1)
    for number, path in paths.items():
        chance = random.Random(number)
        length = round(chance.uniform(*SECONDS) * rate)
        start = chance.randrange(max(1, len(samples) - length))
        partial = path.with_name(f".{number}{path.suffix}")
        # Opus takes few rates: another one makes a slower or faster song, which is a song, too.
        write_audio(partial, samples[start : start + length], 48000 if path.suffix == ".opus" else rate)
        partial.rename(path)


def make(sources: Sequence[Path], folder: Path, count: int) -> None:
    """Write all excerpts, about equally many of each song."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [range(i, count, len(sources)) for i in range(len(sources))]
    with ProcessPoolExecutor() as pool:
        list(pool.map(cut, sources, [folder] * len(sources), parts))


def soak(songs: Path, library: Path, model: str, workers: int | None, every_s: float = 1.0) -> dict[str, Any]:
    """Index, and look at the process meanwhile.

    Returns:
        ``{"report": of the indexing, "seconds", "looks": [[seconds, songs, MB, descriptors]]}``.
    """
    looks, stop, begun = list[list[float]](), threading.Event(), time.monotonic()

    def look() -> None:
        while not library.exists() and not stop.wait(0.05):
            pass
        with Library.open(library) as reader:
            while True:
                known = reader.database.rows("SELECT (SELECT count(*) FROM tracks) + (SELECT count(*) FROM failures)")
                descriptors = len(os.listdir("/proc/self/fd"))
                looks.append(
                    [round(time.monotonic() - begun, 1), known[0][0], round(resident() / 2**20, 1), descriptors]
                )
                if stop.wait(every_s):
                    return

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with Library.open_or_create(library, model) as opened:
            report = opened.index(songs, workers=workers, progress=False)
    finally:
        stop.set()
        watcher.join()
    return {"report": asdict(report), "seconds": round(time.monotonic() - begun, 1), "looks": looks}


def growth(looks: Sequence[Sequence[float]], column: int) -> tuple[float, float, float]:
    """Of a column: the mean of the second tenth of the songs, that of the last tenth, and the highest."""
    total = looks[-1][1]
    parts = [[row[column] for row in looks if low <= row[1] / total <= high] for low, high in ((0.1, 0.2), (0.9, 1.0))]
    early, late = (sum(part) / len(part) if part else float("nan") for part in parts)
    return early, late, max(row[column] for row in looks)


def plot(looks: Sequence[Sequence[float]], path: Path) -> None:
    """Memory and descriptors over songs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    memory, descriptors = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    songs = [row[1] for row in looks]
    for axes, column, label in ((memory, 2, "resident memory, MB"), (descriptors, 3, "file descriptors")):
        values = [row[column] for row in looks]
        axes.plot(songs, values, linewidth=1)
        axes.set_ylim(0, 1.15 * max(values))
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    descriptors.set_xlabel("songs in the library")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def table(report: dict[str, Any]) -> Table:
    """The report for people."""
    counts, looks = report["report"], report["looks"]
    title = f"{counts['added']:,} songs added, {counts['failed']} failed, in {report['seconds']:.0f} s"
    shown = Table(title=f"{title} ({counts['added'] / report['seconds']:.0f} songs/s)")
    for name in ("", "from 10 to 20 % of the songs", "last 10 %", "highest"):
        shown.add_column(name, justify="right" if name else "left")
    for name, column in (("memory, MB", 2), ("file descriptors", 3)):
        shown.add_row(name, *(f"{value:.1f}" for value in growth(looks, column)))
    return shown


def main() -> None:
    """Read the options, make songs, index, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path, help="a folder of real songs")
    parser.add_argument("--count", type=int, default=10_000, help="number of excerpts")
    parser.add_argument(
        "--songs", type=Path, default=Path(tempfile.gettempdir()) / "musiczoo-soak", help="where to make them"
    )
    parser.add_argument("--only-make", action="store_true", help="make the songs and stop")
    parser.add_argument("--model", default="disentangled-classification")
    parser.add_argument("--workers", type=int, help="songs analyzed in parallel (default: one per core)")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--plot", type=Path, help="draw it here")
    options = parser.parse_args()
    make(sorted(path for path in options.music.iterdir() if path.is_file()), options.songs, options.count)
    if options.only_make:
        return
    with tempfile.TemporaryDirectory(prefix="musiczoo-faults-") as folder:
        report = soak(options.songs, Path(folder, "library.db"), options.model, options.workers)
    Console().print(table(report))
    if options.json:
        options.json.write_text(json.dumps(report) + "\n", encoding="utf-8")
    if options.plot:
        plot(report["looks"], options.plot)


if __name__ == "__main__":
    main()
