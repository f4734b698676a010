"""Encoders to compare the models with: what no training, or little of it, gives.

    musiczoo data prepare open_music --out data/open_music
    musiczoo data label data/open_music --teacher musicnn-msd --teacher vgg-msd --train-every 8
    musiczoo evaluate --data data/open_music --models all --encoder benchmarks/baselines.py:LogMelStatistics \\
        --encoder benchmarks/baselines.py:RandomMobileNet --out build/baselines
    python benchmarks/baselines.py --data data/open_music --json build/baselines/classify.json

The last command trains a linear classifier of scikit-learn on embeddings of the tracks that no model was trained on,
with all tracks of a game in one fold.

Conventions
-----------
- The labels are those of the two teachers, of which the zoo's models learnt, on other tracks: the area under the ROC
  curve says how much of the teachers' opinion a linear model finds in an embedding.
- A tag counts if `FEWEST` tracks have it and `FEWEST` lack it, over all games together.
- The scores of a tag are those of the folds it was left out of, over all tracks together.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from musiczoo.datasets import hard_tags
from musiczoo.datasets.prepared import EXCERPT_S, Store
from musiczoo.evaluation.foreign import as_model
from musiczoo.sklearn import Embedder

ROOT = Path(__file__).resolve().parents[1]
DATA_VARIABLE = "MUSICZOO_BASELINE_DATA"
"""Environment variable with the prepared data set, whose training tracks standardise the statistics."""

SPLITS = ("validation", "test")
FEWEST = 10
EXCERPTS = 4
"""Of a track, in the classifier."""

Floats = NDArray[np.float32]


def _data() -> Path:
    return Path(os.environ.get(DATA_VARIABLE, ROOT / "data/open_music"))


class LogMelStatistics:
    """Mean and deviation of each mel band over time, standardised over excerpts of the training tracks: 256 numbers.

    The log-mels are librosa's, with the models' settings.
    """

    name = "log-mel statistics"
    sample_rate, excerpt_seconds = 22_050, EXCERPT_S

    def __init__(self) -> None:
        store = Store.open(_data())
        self.settings = store.front_end
        frames = int(EXCERPT_S * self.sample_rate / self.settings["hop"])
        rows = []
        for track in store.split("train"):
            log_mel = store.logmel(track.id)
            start = max(0, (len(log_mel) - frames) // 2)
            rows.append(_statistics(np.asarray(log_mel[start : start + frames], np.float32)[np.newaxis]))
        found = np.concatenate(rows)
        self.mean, self.std = found.mean(axis=0), found.std(axis=0)

    def __call__(self, waveforms: Floats) -> Floats:
        """``[N, samples] -> [N, 256]``."""
        import librosa

        power = librosa.feature.melspectrogram(
            y=waveforms,
            sr=self.sample_rate,
            n_fft=self.settings["n_fft"],
            hop_length=self.settings["hop"],
            n_mels=self.settings["n_mels"],
            pad_mode="constant",
        )
        log_mel = np.log10(1 + self.settings["gain"] * power).transpose(0, 2, 1)
        return np.asarray((_statistics(log_mel) - self.mean) / self.std, np.float32)


def _statistics(log_mel: Floats) -> Floats:
    """``[N, frames, bands] -> [N, 2 * bands]``."""
    return np.concatenate([log_mel.mean(axis=1), log_mel.std(axis=1)], axis=1)


class RandomMobileNet:
    """MobileNetV2 of `keras.applications`, with random weights, on the models' log-mels: 1,280 numbers."""

    name = "MobileNetV2, untrained"
    sample_rate, excerpt_seconds = 22_050, EXCERPT_S

    def __init__(self) -> None:
        import keras

        from musiczoo.models.frontend import EXCERPT_FRAMES, EXCERPT_SAMPLES, FRONT_END, LogMel

        keras.utils.set_random_seed(0)
        shape = (EXCERPT_FRAMES, FRONT_END.n_mels, 1)
        network = keras.applications.MobileNetV2(shape, include_top=False, weights=None, pooling="avg")
        waveform = keras.Input((EXCERPT_SAMPLES,))
        image = keras.layers.Reshape(shape)(LogMel()(waveform))
        self.model = keras.Model(waveform, network(image))

    def __call__(self, waveforms: Floats) -> Any:
        """``[N, samples] -> [N, 1280]``."""
        return self.model(waveforms, training=False)


def classify(embedder: Embedder, store: Store, teachers: Sequence[str]) -> dict[str, Any]:
    """Cross-validate a linear classifier of all tags, grouped by package.

    Returns:
        ``"tracks"``, ``"packages"``, ``"tags"`` (tag -> area under the ROC curve) and ``"mean"``.
    """
    tracks = [track for split in SPLITS for track in store.split(split)]
    songs = [str(store.audio(track.id)) for track in tracks]
    groups = np.array([track.package for track in tracks])
    positives = np.concatenate([hard_tags.of_split(store, split, teachers) for split in SPLITS])
    chosen = [column for column, has in enumerate(positives.T) if _is_usable(has, groups)]
    tagger = OneVsRestClassifier(LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000))
    pipeline = make_pipeline(embedder, StandardScaler(), tagger)
    folds, wanted = GroupKFold(len(set(groups))), positives[:, chosen].astype(int)
    scores = cross_val_predict(pipeline, songs, wanted, groups=groups, cv=folds, method="decision_function")
    areas = roc_auc_score(wanted, scores, average=None)
    found = {store.tags[column]: float(area) for column, area in zip(chosen, areas, strict=True)}
    return {"tracks": len(tracks), "packages": len(set(groups)), "tags": found, "mean": float(np.mean(areas))}


def _is_usable(has: NDArray[np.bool_], groups: NDArray[np.str_]) -> bool:
    """Return whether a tag can be learnt without any one package."""
    others = [has[groups != group] for group in set(groups)]
    return FEWEST <= has.sum() <= len(has) - FEWEST and all(rest.any() and not rest.all() for rest in others)


def main() -> None:
    """Measure, print a table, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=_data(), help="prepared and labelled")
    parser.add_argument("--teachers", nargs="+", default=["musicnn-msd", "vgg-msd"], metavar="NAME")
    parser.add_argument("--embedders", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    os.environ[DATA_VARIABLE] = str(options.data)
    store = Store.open(options.data)
    embedders = {
        "disentangled-classification": lambda: Embedder(excerpts=EXCERPTS),
        "its space mood": lambda: Embedder(space="mood", excerpts=EXCERPTS),
        "classification": lambda: Embedder("classification", excerpts=EXCERPTS),
        LogMelStatistics.name: lambda: Embedder(as_model(LogMelStatistics()), excerpts=EXCERPTS),
        RandomMobileNet.name: lambda: Embedder(as_model(RandomMobileNet()), excerpts=EXCERPTS),
    }
    chosen = options.embedders or list(embedders)
    found = {name: classify(embedders[name](), store, options.teachers) for name in chosen}
    first = next(iter(found.values()))
    title = f"{first['tracks']} tracks of {first['packages']} games, {len(first['tags'])} tags: mean ROC-AUC"
    table = Table("embedding", "mean ROC-AUC", title=title)
    for name, result in found.items():
        table.add_row(name, f"{result['mean']:.3f}")
    Console(width=120).print(table)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
