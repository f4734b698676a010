"""Tags and embeddings of songs that are quieter than usual: of the model by itself, and of `Model.analyze`.

    python benchmarks/levels.py --music data/open_music/audio --plot docs/engineering/reliability/levels.png

Conventions
-----------
- Songs are spread over a folder by name; of each, four excerpts are changed by a gain, rounded to nothing.
- The reference of a song is its own result without a gain. *Agreement* is the share of tags above their thresholds on
  either side that are so on both (Jaccard), over all songs; *cosine* is the mean over songs.
- "Model alone" runs `Model.embed` and `Model.tag` on the same excerpts.
"""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from musiczoo import Model, audio, load
from musiczoo.audio.source import AudioWarning
from musiczoo.track import Track, summarise

LEVELS = (6, 0, -5, -10, -15, -20, -25, -30, -35, -40, -50, -60)
"""Gains in dB."""

EXCERPTS = 4


def alone(model: Model, samples: np.ndarray) -> Track:
    """What the model says of samples ``[samples]`` as they are."""
    excerpts = samples.reshape(-1, model.card.excerpt_samples)
    times = np.arange(len(excerpts)) * model.card.excerpt_seconds
    return summarise(model.card, times, model.embed(excerpts), model.tag(excerpts), path=None, duration_s=0)


def mended(model: Model, samples: np.ndarray) -> Track:
    """What `Model.analyze` says of them."""
    return model.analyze(samples, model.card.sample_rate, hop=None)


def measure(model: Model, songs: list[Path]) -> dict[str, dict[int, dict[str, float]]]:
    """Way -> level -> cosine, agreement and largest difference of a probability (mean over songs)."""
    ways = {"model alone": alone, "analyze": mended}
    found: dict[str, dict[int, list[Any]]] = {way: {level: [] for level in LEVELS} for way in ways}
    for song in progress(songs, "Songs", console=Console(stderr=True)):
        samples = np.concatenate([excerpt for _, excerpt in audio.excerpts(song, model.card, count=EXCERPTS)])
        for way, analyze in ways.items():
            own = analyze(model, samples)
            own_tags = {tag.name for tag in own.tags.above_threshold()}
            for level in LEVELS:
                other = analyze(model, np.clip(samples * np.float32(10 ** (level / 20)), -1, 1))
                tags = {tag.name for tag in other.tags.above_threshold()}
                norm = float(np.linalg.norm(own.embedding) * np.linalg.norm(other.embedding))
                cosine = float(own.embedding @ other.embedding) / norm if norm else 0.0
                most = float(abs(own.tags.probabilities - other.tags.probabilities).max())
                found[way][level].append((cosine, len(tags & own_tags), len(tags | own_tags), most))
    return {
        way: {
            level: {
                "cosine": float(np.mean([row[0] for row in rows])),
                "agreement": sum(row[1] for row in rows) / max(sum(row[2] for row in rows), 1),
                "largest_difference": float(np.mean([row[3] for row in rows])),
            }
            for level, rows in levels.items()
        }
        for way, levels in found.items()
    }


def plot(found: dict[str, Any], path: Path) -> None:
    """Agreement and cosine over the level; a line a model and way."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    for i, (name, ways) in enumerate(found.items()):
        for way, levels in ways.items():
            style = {"color": f"C{i}", "linestyle": "-" if way == "analyze" else ":", "label": f"{name}, {way}"}
            for axes, value in zip(panels, ("agreement", "cosine"), strict=True):
                axes.plot(list(levels), [row[value] for row in levels.values()], marker=".", **style)
    for axes, title in zip(panels, ("tags above thresholds: agreement", "embedding: cosine"), strict=True):
        axes.set(xlabel="gain in dB", title=title, ylim=(0, 1.02))
        axes.invert_xaxis()
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--music", type=Path, default=Path("data/open_music/audio"))
    parser.add_argument("--models", nargs="+", default=["disentangled-classification"], help="names or folders")
    parser.add_argument("--songs", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--plot", type=Path, help="draw them here")
    options = parser.parse_args()
    files = sorted(options.music.glob("*.ogg"))
    songs = [files[i * len(files) // options.songs] for i in range(options.songs)]
    warnings.simplefilter("ignore", AudioWarning)
    models = [load(name) for name in options.models]
    found = {model.name: measure(model, songs) for model in models}
    table = Table(
        "model", "way", "gain in dB", "cosine", "agreement", "largest difference", title=f"{len(songs)} songs"
    )
    for name, ways in found.items():
        for way, levels in ways.items():
            for level, row in levels.items():
                table.add_row(name, way, str(level), *(f"{value:.3f}" for value in row.values()))
    Console(width=110).print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
