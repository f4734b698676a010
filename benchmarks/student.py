"""How well students follow their teachers on games, styles, voices and damaged audio, from prepared log-mels.

    python benchmarks/student.py disentangled-classification runs/student \\
        --data data/open_music --data data/rendered_music --splits validation,test --out student.json

Each model is a published one or the folder of a run, whose best weights so far are taken without calibration: quick
enough to follow a training. The teachers are compared with each other, as the yardstick. ``musiczoo evaluate`` gives
the same metrics, and more, for exported models.

Groups
------
- *games*: all tracks of open_music; *styles*: instrumentals and backings of rendered_music; *voices*: its songs;
  *mixtures* and *damaged*: the others.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from musiczoo.card import EMBEDDING_NAME
from musiczoo.datasets import open_music, rendered_music
from musiczoo.datasets.hard_tags import hard_tags, track_scores
from musiczoo.datasets.prepared import Store, TrackEntry
from musiczoo.evaluation.metrics import agreement, tagging, voices
from musiczoo.models import run
from musiczoo.models.architectures import CALIBRATION_LAYER
from musiczoo.models.data import Excerpts, in_order
from musiczoo.models.presets import from_preset
from musiczoo.taxonomy import TAGS

TEACHERS = ("musicnn-msd", "vgg-msd")
SPACES = {"genre": slice(0, 64), "mood": slice(64, 128), "instrument": slice(128, 192), "era": slice(192, 256)}

Array = NDArray[np.float64]


def group_of(track: TrackEntry, store: Store) -> str:
    """Return the group of a track."""
    if store.part_of(track.id).dataset == open_music.NAME:
        return "games"
    kind = track.id.split("-")[0]
    if kind == "song":
        return "voices" if rendered_music.voice_of(track) else "styles"
    return {"style": "styles", "mixture": "mixtures"}.get(kind, kind)


def network(name: str) -> keras.Model:
    """Return log-mel -> embedding and logits of a published model or of a run."""
    folder = Path(name)
    if (folder / run.RUN_FILE).exists():
        model, _ = run.load_best(folder, *run.read_settings(folder))
    else:
        model = from_preset(name, front_end=False)
    return keras.Model(model.input, [model.get_layer(EMBEDDING_NAME).output, model.get_layer(CALIBRATION_LAYER).output])


def outputs(model: keras.Model, store: Store, split: str) -> tuple[Array, Array]:
    """Return embeddings ``[tracks, 256]``, of unit length in each space, and mean probabilities ``[tracks, 50]``."""
    excerpts = Excerpts.of(store, split, TEACHERS)
    parts = [[np.asarray(value) for value in model(log_mels, training=False)] for log_mels, _ in in_order(excerpts, 64)]
    embeddings, logits = (np.concatenate(columns).astype(np.float64) for columns in zip(*parts, strict=True))
    ends = np.cumsum(excerpts.grid.rows)
    means = [np.add.reduceat(values, [0, *ends[:-1]]) for values in (embeddings, 1 / (1 + np.exp(-logits)))]
    vectors, tags = (values / excerpts.grid.rows[:, np.newaxis] for values in means)
    for part in SPACES.values():
        vectors[:, part] /= 2 * np.linalg.norm(vectors[:, part], axis=1, keepdims=True)
    return vectors, tags


def measure(
    tags: Array, wanted: Array, vectors: Array | None, tracks: Sequence[TrackEntry], groups: Sequence[str], prior: Array
) -> dict[str, Any]:
    """Return all metrics of one model."""
    result: dict[str, Any] = {}
    for group in dict.fromkeys(groups):
        rows = np.array([name == group for name in groups])
        positives = hard_tags(wanted[rows], prior)
        auc = tagging.roc_auc(tags[rows], positives)
        result[group] = {
            "tracks": int(rows.sum()),
            "roc_auc": float(np.nanmean(auc)),
            "spearman": float(np.nanmean(agreement.spearman(tags[rows].T, wanted[rows].T))),
            "top_5": float(agreement.top_k_overlap(tags[rows], wanted[rows]).mean()),
        }
    place = {track.id: row for row, track in enumerate(tracks)}
    pairs = rendered_music.song_pairs(tracks)
    if len(pairs) >= 2:
        sung, backing = ([place[name] for name in names] for names in zip(*pairs, strict=True))
        columns = [TAGS.index(tag) for tag in voices.VOICE_TAGS]
        ours, theirs = (voices.logits_of(values[:, columns]) for values in (tags, wanted))
        registers = [rendered_music.register_of(tracks[row]) for row in sung]
        found = voices.evaluate(ours[sung], ours[backing], theirs[sung], theirs[backing], registers)
        result["voice"] = {key: found[key] if key == "pairs" else found[key]["value"] for key in found}
        if vectors is not None:
            near = voices.nearer(vectors[sung], vectors[backing], SPACES)
            result["nearer"] = {name: metric["value"] for name, metric in near.items()}
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--splits", default="test")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    keras.mixed_precision.set_global_policy("float32")
    store, splits = Store.open_all(given.data), given.splits.split(",")
    prior = track_scores(store, "train", TEACHERS).mean(axis=0)
    tracks = [track for split in splits for track in store.split(split)]
    groups = [group_of(track, store) for track in tracks]
    single = [np.concatenate([track_scores(store, split, [name]) for split in splits]) for name in TEACHERS]
    mean = np.mean(single, axis=0)
    one, other = single
    report = {f"{TEACHERS[0]} to {TEACHERS[1]}": measure(one, other, None, tracks, groups, prior)}
    report["teachers' mean to itself"] = measure(mean, mean, None, tracks, groups, prior)
    for name in given.models:
        model = network(name)
        parts = [outputs(model, store, split) for split in splits]
        vectors, tags = (np.concatenate(values) for values in zip(*parts, strict=True))
        report[name] = measure(tags, mean, vectors, tracks, groups, prior)
    for name, metrics in report.items():
        print(name)
        for group, values in metrics.items():
            print(f"  {group:9}", ", ".join(f"{key} {_plain(value)}" for key, value in values.items()))
    if given.out is not None:
        given.out.write_text(json.dumps(report, indent=1) + "\n")


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
