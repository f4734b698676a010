"""Train the published heads, and measure them on music that they never saw: docs/engineering/results/heads.md.

    python benchmarks/heads.py train musicnn-msd --data data/open_music --cache features.npy \\
        --out export/heads/musicnn-disentangled.npz
    python benchmarks/heads.py measure musicnn-disentangled musicnn-msd --data data/open_music --cache prior.npy \\
        games=DIR styles=DIR voices=DIR

The second takes any folders of audio. Where files are called ``*_voice.*`` and ``*_backing.*``, it also asks how well
voices are distinguished from none: is a file with a voice nearer to another one with a voice than to one without, and
the reverse?
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musiczoo import audio
from musiczoo._parallel import mapped
from musiczoo.card import MODEL_FILE
from musiczoo.datasets.hard_tags import hard_tags
from musiczoo.datasets.prepared import Store
from musiczoo.evaluation.metrics import agreement, triplets
from musiczoo.model import Model, load
from musiczoo.models.frozen_encoder import open_encoder
from musiczoo.registry import find
from musiczoo.taxonomy import LASTFM_50
from musiczoo.track import Track

EXCERPTS = 8
"""Of each track, from the middles of equal parts."""

SUFFIXES = (".flac", ".ogg", ".wav", ".mp3", ".opus")


def features(network: str, data: Path | None, cache: Path) -> NDArray[np.float32]:
    """Features of the training split: `EXCERPTS` a track, tracks by id; kept in a file."""
    if cache.exists():
        return np.load(cache)
    assert data is not None
    store, encoder, parts = Store.open(data), open_encoder(network), []
    for track in sorted(store.split("train"), key=lambda track: track.id):
        cut = audio.excerpts(store.audio(track.id), load(network).card, count=EXCERPTS)
        parts.append(encoder.features(np.stack([samples for _, samples in cut])))
    found = np.concatenate(parts)
    np.save(cache, found)
    return found


def train(network: str, data: Path | None, out: Path, cache: Path, steps: int, learning_rate: float, seed: int) -> None:
    """Distil a head, and write it."""
    import onnx

    from musiczoo.export.head import Head
    from musiczoo.models.distilled_head import LastLayer, distil

    real = features(network, data, cache)
    last = LastLayer.of(onnx.load(str(find(network) / MODEL_FILE)))
    log: list[str] = ["step,cross_entropy,mean_square,triplets"]
    head = distil(
        real, last, LASTFM_50, steps=steps, learning_rate=learning_rate, seed=seed,
        report=lambda step, *losses: log.append(",".join([str(step), *(f"{loss:.5f}" for loss in losses)])),
    )  # fmt: skip
    Head.of(head).save(out)
    out.with_suffix(".log.csv").write_text("\n".join(log) + "\n")
    print(f"{len(real)} real vectors, {steps} steps: {log[-1]}")


def tracks(model: Model, files: list[Path]) -> list[Track]:
    """Analyze files, several at a time."""
    return list(mapped(lambda file: model.analyze(file, excerpts=EXCERPTS), files, len(os.sched_getaffinity(0))))


def measure(
    disentangled: str, network: str, data: Path | None, folders: dict[str, Path], cache: Path
) -> dict[str, Any]:
    """Agreement with the network's own tags, triplets, and voices, on each folder."""
    ours, own = load(disentangled), load(network)
    if cache.exists():
        prior = np.load(cache)
    else:
        assert data is not None
        store = Store.open(data)
        chosen = [store.audio(track.id) for track in store.split("train")]
        prior = np.mean([track.tags.probabilities for track in tracks(own, chosen)], axis=0)
        np.save(cache, prior)
    results = {}
    for name, folder in folders.items():
        files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)
        a, b = tracks(ours, files), tracks(own, files)
        results[name] = compare(ours, a, b, prior, [file.stem for file in files])
        print(name, json.dumps(results[name], indent=1), flush=True)
    return results


def compare(model: Model, ours: list[Track], own: list[Track], prior: NDArray[Any], names: list[str]) -> dict[str, Any]:
    """All metrics on one folder."""
    scores, reference = (np.array([track.tags.probabilities for track in found]) for found in (ours, own))
    embeddings, plain = (np.array([track.embedding for track in found]) for found in (ours, own))
    found = agreement.teacher_agreement(scores, reference, model.card.tags)
    given = hard_tags(reference, prior)
    lists = triplets.draw(given, model.card.tags, model.card.dimensions, triplets.PER_DIMENSION)
    spaces = {name: embeddings[:, slice(*columns)] for name, columns in model.card.spaces.items()}
    result: dict[str, Any] = {
        "tracks": len(names),
        "spearman": found["spearman"],
        "top 5 shared": found["top_k_overlap"],
        "triplets, sub-space": triplets.evaluate(spaces, lists),
        "triplets, whole space": triplets.evaluate(dict.fromkeys(lists, embeddings), lists),
        "triplets, the network's embedding": triplets.evaluate(dict.fromkeys(lists, plain), lists),
    }
    if any(name.endswith("_voice") for name in names):
        result["voice against none"] = {
            **{name: voices(space, names) for name, space in spaces.items()},
            "whole space": voices(embeddings, names),
            "the network's embedding": voices(plain, names),
        }
    return result


def voices(vectors: NDArray[Any], names: list[str], count: int = 20_000) -> float:
    """How often a file is nearer to one of its kind (voice or none) than to one of the other; all of other tracks."""
    random = np.random.default_rng(0)
    piece = np.array([name.rpartition("_")[0] for name in names])
    kinds = [np.flatnonzero([name.endswith(end) for name in names]) for end in ("_voice", "_backing")]
    right = []
    while len(right) < count:
        same, other = kinds if random.random() < 0.5 else kinds[::-1]
        anchor, positive, negative = *random.choice(same, 2, replace=False), random.choice(other)
        if len({piece[anchor], piece[positive], piece[negative]}) == 3:
            right.append(float(vectors[anchor] @ (vectors[positive] - vectors[negative]) > 0))
    return float(np.mean(right))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one, two = commands.add_parser("train"), commands.add_parser("measure")
    one.add_argument("network")
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--steps", type=int, default=1500)
    one.add_argument("--learning-rate", type=float, default=0.001)
    one.add_argument("--seed", type=int, default=0)
    two.add_argument("model")
    two.add_argument("network")
    two.add_argument("folders", nargs="+", metavar="NAME=DIR")
    two.add_argument("--json", type=Path)
    for command in (one, two):
        command.add_argument("--data", type=Path)
        command.add_argument("--cache", type=Path, required=True, help="File for features, or for priors of tags.")
    given = parser.parse_args()
    if given.command == "train":
        train(given.network, given.data, given.out, given.cache, given.steps, given.learning_rate, given.seed)
        return
    folders = {name: Path(folder) for name, _, folder in (item.partition("=") for item in given.folders)}
    results = measure(given.model, given.network, given.data, folders, given.cache)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
