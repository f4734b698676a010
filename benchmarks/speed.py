"""Songs in, tags out: musiczoo beside its peers, all in one run. `make bench` calls it.

    python benchmarks/speed.py --json build/bench/speed.json --plot docs/engineering/performance/speed.png

Conventions
-----------
- Each peer is a process in a separate environment (see `peers`), which loads once and then tags song after song.
  They take turns, song by song, so that what the machine does meanwhile strikes all. Only the tagging is timed. Who is
  not at turn is stopped: some leave threads that keep spinning.
- Before the first song each tags the bundled recording, so that compilation and warm-up are not timed.
- The work is whole songs, and clips of 30 s of them, where what a peer does once for each file weighs more.
- A result is the sum over all files, as seconds for 30 s of music; a ratio is of two such sums of the same run.
- Each peer may use all cores, but for those called "one core".
- `analyze_many` gets all songs at once, when the others are done with them; each has its share of that time by length.
- `cold` is a whole process, from the shell's point of view, on the bundled recording of 30 s: the median of several.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
from rich.console import Console
from rich.progress import track
from rich.table import Table
from songs import CLIP_S, prepare

from musiczoo import demo
from musiczoo.card import MODEL_FILE, TAGS_NAME, read_card
from musiczoo.registry import find

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).resolve().parent / "peers"
MODEL, TEACHER = "disentangled-classification", "musicnn-msd"
ROUNDS = {"songs": 1, "clips": 3}
"""How often each file has its turn."""

COLD = 7
"""Processes whose median is the time of a cold start."""

OURS, ONE_CORE = "musiczoo", "musiczoo, one core"
MANY = "musiczoo, analyze_many"
FEW, FEW_ONE_CORE = "musiczoo, 10 excerpts", "musiczoo, 10 excerpts, one core"
DECODING = "decoding and resampling alone, one core"
MUSICNN, SAME_NETWORK = "musicnn", "musicnn's network behind librosa, onnxruntime"

TARGETS = (
    ("clips", "times as fast as musicnn as its users run it", MUSICNN, OURS, 25),
    ("clips", "times as fast as musicnn's network behind librosa in onnxruntime", SAME_NETWORK, OURS, 6),
    ("clips", "analyze_many: times as fast as musicnn's network behind librosa in onnxruntime", SAME_NETWORK, MANY, 7),
    ("songs", "analyze_many: of decoding and resampling alone, at most", MANY, DECODING, -0.65),
    ("clips", "of decoding and resampling alone, at most", OURS, DECODING, -1.5),
    ("songs", "of decoding and resampling alone, at most", OURS, DECODING, -1.5),
    ("songs", "10 excerpts: times as fast as the whole song", OURS, FEW, 5),
    ("songs", "two cores: times as fast as one", ONE_CORE, OURS, 1.8),
)
"""On what, in words, dividend, divisor, and what the ratio should at least be; at most, if it is negative."""


@dataclass(frozen=True)
class Peer:
    """A program that tags songs: the arguments of its process, and whether it takes them all at once."""

    name: str
    command: tuple[str, ...]
    at_once: bool = False


def peers(work: Path) -> list[Peer]:
    """All those whose environments are there."""
    work.mkdir(parents=True, exist_ok=True)
    found = [
        Peer(DECODING, _command(sys.executable, "decoding.py")),
        Peer(OURS, _ours(os.cpu_count() or 1)),
        Peer(ONE_CORE, _ours(1)),
        Peer(MANY, _command(sys.executable, "musiczoo_many.py", MODEL, str(os.cpu_count() or 1)), at_once=True),
        Peer("musiczoo int8", _ours(os.cpu_count() or 1, "int8")),
        Peer("musiczoo int8, one core", _ours(1, "int8")),
        Peer(FEW, _ours(os.cpu_count() or 1, excerpts=10)),
        Peer(FEW_ONE_CORE, _ours(1, excerpts=10)),
    ]
    if librosa := _environment("librosa"):
        for name, called in ((MODEL, "our encoder behind librosa, onnxruntime"), (TEACHER, SAME_NETWORK)):
            found.append(Peer(called, _command(librosa, "librosa_onnx.py", *network(name, work))))
    if musicnn := _environment("musicnn"):
        found.append(Peer(MUSICNN, _command(musicnn, "musicnn_own.py")))
        if essentia := _environment("essentia"):
            graph = work / "musicnn.pb"
            if not graph.exists():
                subprocess.run(_command(musicnn, "freeze.py", str(graph)), check=True, capture_output=True)
            found.append(Peer("musicnn's network in Essentia", _command(essentia, "essentia_musicnn.py", str(graph))))
    return found


def network(name: str, work: Path) -> tuple[str, str]:
    """A model from its log-mel on, as an ONNX file in `work`, and the JSON that says how the log-mel is computed."""
    import onnx
    from onnx.utils import Extractor

    folder = find(name)
    card, path = read_card(folder), work / f"{name}.onnx"
    whole = onnx.shape_inference.infer_shapes(onnx.load(folder / MODEL_FILE))
    onnx.save(Extractor(whole).extract_model(["log_mel"], [TAGS_NAME]), path)
    hop = card.front_end.n_fft // 2
    how = {
        "sample_rate": card.sample_rate, "excerpt_samples": card.excerpt_samples, "tags": card.tags,
        "hop_length": hop, "frames": card.excerpt_samples // hop,
        **{key: getattr(card.front_end, key) for key in ("n_fft", "n_mels", "gain", "mean", "std")},
    }  # fmt: skip
    return str(path), json.dumps(how)


def measure(chosen: Sequence[Peer], songs: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """What each peer answers for each song."""
    answers: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in chosen}
    with ExitStack() as stack:
        running = {peer.name: stack.enter_context(_running(peer)) for peer in chosen}
        for name, process in running.items():
            if not process.stdout or not process.stdout.readline():
                raise SystemExit(f"{name} does not start: {' '.join(process.args)}")
            _ask(process, demo.PATH)
        single = [peer for peer in chosen if not peer.at_once]
        for i, song in enumerate(track(songs, "Songs", console=Console(stderr=True))):
            turn = i % len(single)
            for peer in (*single[turn:], *single[:turn]):
                answers[peer.name].append(_ask(running[peer.name], song))
        lengths = [soundfile.info(song).duration for song in songs]
        for peer in (peer for peer in chosen if peer.at_once):
            answer = _ask(running[peer.name], *songs)
            shares = [answer["seconds"] * length / sum(lengths) for length in lengths]
            answers[peer.name] = [answer | {"seconds": share} for share in shares]
    return answers


def cold() -> dict[str, float]:
    """Median seconds of whole processes: ours, and one that only imports what ours cannot do without."""
    tag = [str(Path(sys.executable).parent / "musiczoo"), "tag", str(demo.PATH)]
    imports = [sys.executable, "-c", "import numpy, onnxruntime, soundfile, soxr"]
    taken: dict[str, list[float]] = {"musiczoo tag": [], "the imports alone": []}
    for _ in range(COLD):
        for name, command in zip(taken, (tag, imports), strict=True):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def summary(answers: dict[str, list[dict[str, Any]]], songs: Sequence[Path]) -> dict[str, Any]:
    """Of one kind of work: what each peer took, in all and by format, in seconds for a clip's length."""
    lengths = [soundfile.info(song).duration for song in songs]
    formats = sorted({song.suffix for song in songs})

    def clip(name: str, suffix: str = "") -> float:
        chosen = [i for i, song in enumerate(songs) if song.suffix.endswith(suffix)]
        return sum(answers[name][i]["seconds"] for i in chosen) / sum(lengths[i] for i in chosen) * CLIP_S

    return {
        "files": len(songs),
        "hours": sum(lengths) / 3600,
        "peers": {
            name: {
                "seconds_a_clip": clip(name),
                "realtime": CLIP_S / clip(name),
                "beside_ours": clip(name) / clip(OURS),
                "by_format": {suffix: clip(name, suffix) for suffix in formats},
                "peak_mb": max(answer["peak_mb"] for answer in of),
            }
            for name, of in answers.items()
        },
    }


def targets(work: dict[str, Any]) -> list[dict[str, Any]]:
    """What was wanted of the ratios, and what they are."""
    found = []
    for kind, what, above, below, wanted in TARGETS:
        rows = work[kind]["peers"]
        if {above, below} <= rows.keys():
            top, bottom = rows[above], rows[below]
            by_format = {suffix: value / bottom["by_format"][suffix] for suffix, value in top["by_format"].items()}
            measured = top["seconds_a_clip"] / bottom["seconds_a_clip"]
            found.append({"what": f"{kind}: {what}", "wanted": wanted, "measured": measured, "by_format": by_format})
    return found


def show(found: dict[str, Any], console: Console) -> None:
    """The tables."""
    formats: list[str] = []
    for kind, work in found["work"].items():
        formats = list(work["peers"][OURS]["by_format"])
        title = f"{kind}: {work['files']} files, {work['hours']:.2f} hours, {found['cores']} cores"
        table = Table("", "s / 30 s", "x realtime", "beside ours", *formats, "peak MB", title=title)
        for name, row in sorted(work["peers"].items(), key=lambda item: item[1]["seconds_a_clip"]):
            by_format = (f"{row['by_format'][suffix]:.4f}" for suffix in formats)
            numbers = f"{row['seconds_a_clip']:.4f}", f"{row['realtime']:.0f}", f"{row['beside_ours']:.2f}"
            table.add_row(name, *numbers, *by_format, f"{row['peak_mb']:.0f}")
        console.print(table)
    ratios = Table("", "wanted", "measured", *formats, title="Targets")
    for row in found["targets"]:
        by_format = (f"{row['by_format'][suffix]:.2f}" for suffix in formats)
        ratios.add_row(row["what"], f"{abs(row['wanted']):g}", f"{row['measured']:.2f}", *by_format)
    console.print(ratios)
    for name, seconds in found["cold_s"].items():
        console.print(f"cold, {name}: {seconds:.2f} s")


def plot(found: dict[str, Any], path: Path) -> None:
    """Bars of seconds per clip, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    kinds = {"songs": "whole songs of 2 to 5 minutes", "clips": "clips of 30 s"}
    count = len(found["work"]["songs"]["peers"])
    figure, panels = plt.subplots(1, 2, figsize=(13, 0.4 * count + 1.2), layout="constrained", sharey=True)
    order = sorted(found["work"]["songs"]["peers"].items(), key=lambda item: -item[1]["seconds_a_clip"])
    for axes, (kind, title) in zip(panels, kinds.items(), strict=True):
        values = [found["work"][kind]["peers"][name]["seconds_a_clip"] for name, _ in order]
        colours = ["#2a78c2" if name.startswith(OURS) else "#9aa0a6" for name, _ in order]
        bars = axes.barh([name for name, _ in order], values, color=colours)
        axes.bar_label(bars, [f"{value:.3f} s" for value in values], padding=4)
        axes.set(xscale="log", xlabel=f"seconds for {CLIP_S} s of music", xlim=(min(values) / 1.5, max(values) * 2.5))
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _command(python: str, script: str, *arguments: str) -> tuple[str, ...]:
    return python, str(PEERS / script), *arguments


def _ours(threads: int, precision: str = "float32", excerpts: int = 0) -> tuple[str, ...]:
    return _command(sys.executable, "musiczoo_model.py", MODEL, str(threads), precision, str(excerpts))


def _environment(name: str) -> str | None:
    """The Python of a peer's environment, which the Makefile makes."""
    python = ROOT / f".venv-bench-{name}" / "bin" / "python"
    return str(python) if python.exists() else None


@contextmanager
def _running(peer: Peer) -> Iterator[subprocess.Popen[str]]:
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        peer.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=quiet
    )
    try:
        assert process.stdin is not None
        yield process
    finally:
        process.kill()
        process.wait()


def _ask(process: subprocess.Popen[str], *songs: Path) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.send_signal(signal.SIGCONT)
    print(*songs, sep="\t", file=process.stdin, flush=True)
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGSTOP)
    return answer


def main() -> None:
    """Measure, print tables, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--music", type=Path, default=ROOT / "data/open_music/audio", help="of open_music")
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench", help="for the songs and the networks")
    parser.add_argument("--songs", type=int, help="number of songs, at most 20")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="only those whose names begin like this, and ours")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--plot", type=Path, help="draw them here")
    options = parser.parse_args()
    beginnings = (OURS, *(options.peers or [""]))
    chosen = [peer for peer in peers(options.work) if peer.name.startswith(beginnings)]
    work = {}
    for kind, files in prepare(options.music, options.work).items():
        some = files[: options.songs] * ROUNDS[kind]
        work[kind] = summary(measure(chosen, some), some)
    found = {"cores": os.cpu_count(), "work": work, "targets": targets(work), "cold_s": cold()}
    show(found, Console(width=150))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
