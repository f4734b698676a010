"""The paper's comparison at the level of heads: eight heads on three frozen encoders, folds by package, several seeds.

    python benchmarks/heads_comparison.py embed --data data/open_music --out build/heads
    python benchmarks/heads_comparison.py train --out build/heads
    python benchmarks/heads_comparison_page.py build/heads --page docs/engineering/results/heads-comparison.md

Features are computed once. Each training then takes seconds: one process trains all heads one after the other, and
compiles a function once for each head and encoder. An interrupted run resumes; `train` adds one line to
``rows.jsonl`` and one file to ``arrays`` for each training.

Conventions
-----------
- All tracks of open_music, whatever their split. Packages are divided among `FOLDS` folds of about equal numbers of
  tracks. Fold k is the test set, fold k + 1 the validation set, the others are the training set.
- A track is represented by `EXCERPTS` excerpts, the middles of equal parts.
- Labels are the mean of `TEACHERS`; tags of a track follow `musiczoo.datasets.hard_tags`, with the prior of the
  training tracks.
- All heads have the settings of the recipe family ``head`` but for `SETTINGS`, which are the same for all.
- Trainings are in an order that is balanced whenever it stops: all heads on all encoders for one fold and seed, then
  the next fold, then the next seed.
"""

import argparse
import dataclasses
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from musiczoo._files import atomic_file
from musiczoo.datasets.hard_tags import hard_tags
from musiczoo.evaluation.metrics import artist_retrieval, retrieval, tagging, triplets
from musiczoo.taxonomy import LASTFM_50

HEADS = (
    "triplet", "disentangled-triplet", "disentangled-triplet-track", "proxy", "disentangled-proxy",
    "classification-unnormalized", "classification", "disentangled-classification",
)  # fmt: skip
ENCODERS = ("disentangled-classification", "musicnn-msd", "vgg-msd")
"""Of the first, the pooled output of the convolutions, before the layer that is disentangled."""

TEACHERS = ("musicnn-msd", "vgg-msd")
EXCERPTS, FOLDS, SEEDS = 8, 5, 5
SETTINGS = {"batch": 64, "mining": "all"}
TRIPLETS = 4000
"""Triplets of each dimension, and track triplets, in the test fold."""

MUSIC_FILE, ROWS_FILE, ARRAYS = "music.npz", "rows.jsonl", "arrays"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Music:
    """All tracks with their features.

    Attributes:
        ids: Of the tracks.
        packages: Package of each track.
        counts: Number of excerpts of each track.
        labels: ``[excerpts, 50]``: mean probabilities of the teachers, excerpts in the order of the tracks.
        features: Encoder -> ``[excerpts, F]``.
    """

    ids: NDArray[np.str_]
    packages: NDArray[np.str_]
    counts: NDArray[np.int64]
    labels: Array
    features: dict[str, Array]

    @classmethod
    def read(cls, out: Path) -> "Music":
        """Read what `embed` wrote."""
        with np.load(out / MUSIC_FILE) as file:
            names = ("ids", "packages", "counts", "labels")
            return cls(*(file[name] for name in names), {name: file[f"features/{name}"] for name in ENCODERS})

    @property
    def folds(self) -> NDArray[np.int64]:
        """The fold of each track: packages, the largest first, go to the fold with the fewest tracks."""
        sizes, home = np.zeros(FOLDS, int), {}
        for package, count in sorted(Counter(self.packages.tolist()).items(), key=lambda item: (-item[1], item[0])):
            home[package] = int(np.argmin(sizes))
            sizes[home[package]] += count
        return np.array([home[package] for package in self.packages.tolist()])

    def part(self, tracks: NDArray[np.int64], encoder: str) -> "Part":
        """The excerpts of some tracks."""
        starts = np.cumsum(self.counts) - self.counts
        rows = np.concatenate([np.arange(starts[t], starts[t] + self.counts[t]) for t in tracks])
        return Part(rows, self.counts[tracks], self.features[encoder][rows], self.labels[rows])

    def fewest(self, batch: int) -> tuple[int, int]:
        """The number of whole batches in the smallest training set of all folds, and in the smallest validation set."""
        sizes = np.bincount(self.folds, self.counts, FOLDS)
        training = sizes.sum() - sizes - np.roll(sizes, -1)
        return int(training.min() // batch), int(sizes.min() // batch)


@dataclass(frozen=True)
class Part:
    """Excerpts of some tracks.

    Attributes:
        rows: ``[excerpts]``: their rows in `Music`.
        counts: ``[tracks]``: number of excerpts of each track.
        features: ``[excerpts, F]``.
        labels: ``[excerpts, 50]``.
    """

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    features: Array
    labels: Array

    def by_track(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Mean over the excerpts of each track."""
        return np.stack([part.mean(axis=0, dtype=np.float64) for part in self.split(rows)])

    def split(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        """The rows of each track."""
        return np.split(rows, np.cumsum(self.counts)[:-1])

    @property
    def track_of(self) -> NDArray[np.int64]:
        """The number of the track of each excerpt."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


@dataclass(frozen=True)
class Fold:
    """The tracks of a fold, and their tags ``[tracks, 50]`` by the prior of its training tracks."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    train_tags: NDArray[np.bool_]
    validation_tags: NDArray[np.bool_]
    test_tags: NDArray[np.bool_]

    @classmethod
    def of(cls, music: Music, number: int) -> "Fold":
        """Fold `number` of `FOLDS`."""
        home = music.folds
        scores = music.part(np.arange(len(home)), ENCODERS[0]).by_track(music.labels)
        validation = (number + 1) % FOLDS
        parts = [np.flatnonzero(mask) for mask in ((home != number) & (home != validation), home == validation)]
        parts.append(np.flatnonzero(home == number))
        prior = scores[parts[0]].mean(axis=0)
        return cls(*parts, *(hard_tags(scores[tracks], prior) for tracks in parts))

    def lists(self, music: Music) -> tuple[dict[str, triplets.Triplets], triplets.Triplets]:
        """The triplets of the test tracks, and the track triplets of their excerpts: the same for all heads."""
        tags, dimensions = LASTFM_50.tags, LASTFM_50.dimensions
        return (
            triplets.draw(self.test_tags, tags, dimensions, TRIPLETS),
            triplets.draw_track(music.counts[self.test].tolist(), TRIPLETS),
        )


def embed(data: Path, out: Path) -> None:
    """Compute features and teachers' tags of all tracks; each track's are kept, so an interrupted run resumes."""
    from rich.progress import track as progress

    from musiczoo import audio
    from musiczoo.datasets.prepared import Store

    store = Store.open(data)
    found: dict[str, list[Array]] = {name: [] for name in ENCODERS}
    labels: dict[str, list[Array]] = {name: [] for name in TEACHERS}
    for name in ENCODERS:
        encoder, tags_of = _encoder(name)
        for track in progress(store.tracks, description=name):
            path = out / "features" / name / f"{track.id}.npy"
            if not path.exists():
                cut = audio.excerpts(store.audio(track.id), encoder.card, count=EXCERPTS)
                rows = encoder.features(np.stack([samples for _, samples in cut]))
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(path) as file:
                    np.save(file, rows)
            found[name].append(np.load(path))
            if name in TEACHERS:
                labels[name].append(tags_of(found[name][-1]))
    arrays = {f"features/{name}": np.concatenate(rows) for name, rows in found.items()}
    arrays["labels"] = np.mean([np.concatenate(rows) for rows in labels.values()], axis=0, dtype=np.float32)
    arrays["counts"] = np.array([len(rows) for rows in found[ENCODERS[0]]])
    for name in ("id", "package"):
        arrays[f"{name}s"] = np.array([getattr(track, name) for track in store.tracks])
    with atomic_file(out / MUSIC_FILE) as file:
        np.savez(file, **arrays)
    print(f"{len(store.tracks)} tracks, {len(arrays['labels'])} excerpts")


def _encoder(name: str) -> tuple[Any, Any]:
    """A frozen encoder, and the tags of its features; None for ours, which is no teacher."""
    import onnx

    from musiczoo.card import MODEL_FILE
    from musiczoo.models.distilled_head import LastLayer
    from musiczoo.models.frozen_encoder import open_encoder
    from musiczoo.registry import find

    proto = onnx.load(str(find(name) / MODEL_FILE))
    if name in TEACHERS:
        last = LastLayer.of(proto)
        return open_encoder(name), lambda rows: expit(last(rows)).astype(np.float32)
    outputs = [output for node in proto.graph.node if node.op_type == "Squeeze" for output in node.output]
    (pooled,) = (output for output in outputs if "/features" in output)
    return open_encoder(name, pooled), None


class Head:
    """A head on the features of one encoder, with functions that are compiled once for all its trainings.

    They take the features of all tracks, and the rows of each step; so all trainings have tensors of the same shapes.
    An epoch has as many steps as the smallest training set has whole batches.
    """

    def __init__(self, name: str, music: Music, encoder: str) -> None:
        import tensorflow as tf

        from musiczoo.card import EMBEDDING_NAME
        from musiczoo.models import recipe, trainer
        from musiczoo.models.architectures import LOGITS_LAYER, architecture, build_head

        self.config = architecture(name)
        self.recipe = recipe.Recipe.of(recipe.read_settings(recipe.head(name)) | SETTINGS)
        self.music, self.features = music, tf.constant(music.features[encoder])
        self.steps, self.checks = music.fewest(self.recipe.batch)
        self.fresh = lambda: build_head(name, self.features.shape[1])
        self.model = self.fresh()
        trainer.compile_model(self.model, self.recipe, 1)
        self.mined = self.config.head == "triplet"
        self.losses = trainer.training_loss(self.recipe), trainer.validation_loss(self.recipe)
        layers = [self.model.get_layer(layer).output for layer in (EMBEDDING_NAME, LOGITS_LAYER)]
        outputs = type(self.model)(self.model.input, layers)
        self.epoch = tf.function(self._epoch, autograph=False, jit_compile=True)
        self.validate = tf.function(self._validate, autograph=False, jit_compile=self.mined, reduce_retracing=True)
        self.run = tf.function(lambda x: outputs(x, training=False), autograph=False, reduce_retracing=True)

    def train(self, parts: Sequence["Part"], tags: Sequence[NDArray[np.bool_]], seed: int) -> dict[str, Any]:
        """Train from new weights; the best ones by validation loss are left in the model.

        Args:
            parts: Excerpts of the training and validation tracks.
            tags: Their tags, ``[tracks, 50]`` each.
            seed: Of weights and order.
        """
        from musiczoo.models.features import FeatureExcerpts
        from musiczoo.models.initialization import start_at_priors
        from musiczoo.models.schedule import Plateau

        given = [
            FeatureExcerpts(part.split(part.features), part.split(part.labels), of_part, LASTFM_50.tag_dimensions)
            for part, of_part in zip(parts, tags, strict=True)
        ]
        self.reset(parts[0], seed)
        start_at_priors(self.model, dataclasses.replace(self.recipe, seed=seed), given[0])
        targets = self.targets(parts, tags)
        check = parts[1].rows[np.newaxis].astype(np.int32)
        if self.mined:
            check = self.order(given[1].grid, parts[1], 0, self.checks, seed)
        plateau, best, weights, history = Plateau(self.recipe.learning_rate), np.inf, [], []
        while not plateau.stop and len(history) < self.recipe.epochs:
            self.epoch(*targets, self.order(given[0].grid, parts[0], len(history) * self.steps, self.steps, seed))
            loss = float(self.validate(*targets, check))
            if not np.isfinite(loss):
                raise FloatingPointError(f"{self.config.name}: the validation loss is {loss}.")
            history.append(loss)
            if loss < best:
                best, weights = loss, self.model.get_weights()
            plateau = plateau.after(loss, self.recipe)
            self.model.optimizer.learning_rate = plateau.learning_rate
        self.model.set_weights(weights)
        return {"epochs": len(history), "best_epoch": int(np.argmin(history)) + 1, "validation_loss": best}

    def reset(self, training: "Part", seed: int) -> None:
        """New weights, a new optimiser, and the mean and deviation of the training features."""
        from musiczoo.models.architectures import STANDARDIZE_LAYER
        from musiczoo.models.trainer import be_repeatable

        be_repeatable(seed)
        self.model.set_weights(self.fresh().get_weights())
        for variable in self.model.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        self.model.optimizer.learning_rate = self.recipe.learning_rate
        self.model.get_layer(STANDARDIZE_LAYER).set_statistics(training.features)

    def targets(self, parts: Sequence["Part"], tags: Sequence[NDArray[np.bool_]]) -> tuple[Any, Any]:
        """Targets ``[all excerpts, 50]`` (tags of the track for triplets, else soft labels), and numbers of tracks."""
        import tensorflow as tf

        targets, tracks = self.music.labels.copy(), np.repeat(np.arange(len(self.music.ids)), self.music.counts)
        if self.mined:
            for part, of_part in zip(parts, tags, strict=True):
                targets[part.rows] = of_part[part.track_of]
        return tf.constant(targets), tf.constant(tracks.astype(np.float32))

    def order(self, grid: Any, part: "Part", first: int, steps: int, seed: int) -> NDArray[np.int32]:
        """The rows of some steps, as the trainer draws them: ``[steps, batch]``."""
        from musiczoo.models import sampling

        draw = sampling.pairs if self.config.track_weight else sampling.excerpts
        start = np.cumsum(grid.rows) - grid.rows
        found = []
        for step in range(first, first + steps):
            at = draw(grid, step, self.recipe.batch, seed)
            local = start[at.tracks] + np.clip(np.rint(at.starts), 0, grid.rows[at.tracks] - 1)
            found.append(part.rows[local.astype(int)])
        return np.array(found, np.int32)

    def _epoch(self, targets: Any, tracks: Any, order: Any) -> Any:
        import tensorflow as tf

        weights = self.model.trainable_variables

        def step(rows: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = self._loss(self.losses[0], targets, tracks, rows, training=True)
            self.model.optimizer.apply(tape.gradient(loss, weights), weights)
            return loss

        return _mean(step, order)

    def _validate(self, targets: Any, tracks: Any, order: Any) -> Any:
        return _mean(lambda rows: self._loss(self.losses[1], targets, tracks, rows, training=False), order)

    def _loss(self, loss: Any, targets: Any, tracks: Any, rows: Any, training: bool) -> Any:
        import tensorflow as tf

        from musiczoo.models.losses import TAGS, TRACKS

        wanted = {TAGS: tf.gather(targets, rows), TRACKS: tf.gather(tracks, rows)}
        return tf.reduce_mean(loss(wanted, self.model(tf.gather(self.features, rows), training=training)))


def _mean(step: Any, order: Any) -> Any:
    """The mean of a step over the rows of an order, one after the other."""
    import tensorflow as tf

    count = tf.shape(order)[0]
    _, total = tf.while_loop(
        lambda i, total: i < count, lambda i, total: (i + 1, total + step(order[i])), (0, tf.constant(0.0))
    )
    return total / tf.cast(count, tf.float32)


def train_one(music: Music, head: Head, encoder: str, fold: Fold, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train a head on a fold, and evaluate it on the test tracks: numbers, and arrays for intervals."""
    from musiczoo.models.architectures import LOGITS_LAYER
    from musiczoo.models.calibration import fit_calibration

    parts = [music.part(tracks, encoder) for tracks in (fold.train, fold.validation, fold.test)]
    began = time.perf_counter(), time.process_time()
    row = head.train(parts[:2], (fold.train_tags, fold.validation_tags), seed)
    if head.mined:  # prototypes: the mean embedding of the training tracks with each tag
        means = parts[0].by_track(np.asarray(head.run(parts[0].features)[0]))
        tags = fold.train_tags.astype(np.float32)
        points = means.T @ tags / np.maximum(tags.sum(axis=0), 1)
        head.model.get_layer(LOGITS_LAYER).set_points(points.astype(np.float32))
    row["seconds"], row["cpu_seconds"] = (
        round(now - then, 3) for now, then in zip((time.perf_counter(), time.process_time()), began, strict=True)
    )
    (_, tuned), (excerpts, logits) = ([np.asarray(x) for x in head.run(part.features)] for part in parts[1:])
    scores = parts[2].by_track(fit_calibration(tuned, parts[1].labels)(logits))
    vectors = track_vectors(parts[2], excerpts, head.config)
    return row, {"scores": scores.astype(np.float32), "vectors": vectors, **_track_triplets(music, fold, excerpts)}


def track_vectors(part: Part, excerpts: Array, config: Any) -> Array:
    """The mean over the excerpts of each track, scaled to unit length in each space as in `musiczoo.Track`."""
    means = part.by_track(excerpts)
    spaces = config.spaces(LASTFM_50)
    for start, stop in spaces.values() if config.normalized else ():
        length = np.linalg.norm(means[:, start:stop], axis=1, keepdims=True) * len(spaces) ** 0.5
        means[:, start:stop] /= np.where(length > 0, length, 1)
    return means.astype(np.float32)


def _track_triplets(music: Music, fold: Fold, excerpts: Array) -> dict[str, NDArray[np.float64]]:
    """The number of track triplets of each test track, and of those in the right order."""
    _, lists = fold.lists(music)
    track = np.repeat(np.arange(len(fold.test)), music.counts[fold.test])[lists.anchor]
    right = np.bincount(track, triplets.scores(excerpts, lists), len(fold.test))
    return {"track_right": right, "track_count": np.bincount(track, minlength=len(fold.test)).astype(float)}


def metrics_of(fold: Fold, music: Music, head: str, arrays: dict[str, Any]) -> dict[str, float]:
    """The metrics of one training on its test tracks."""
    scores, vectors = arrays["scores"], arrays["vectors"]
    near = retrieval.nearest(vectors, max(retrieval.KS))
    recall = np.nanmean(retrieval.recall_at_k(near, fold.test_tags), axis=0)
    used = usable(fold.test_tags)
    found = {f"R@{k}": recall[k - 1] for k in retrieval.KS}
    found["ROC-AUC"] = np.mean(tagging.roc_auc(scores, fold.test_tags)[used])
    found["PR-AUC"] = np.mean(tagging.average_precision(scores, fold.test_tags)[used])
    for name, (right, count) in triplet_counts(fold, music, head, vectors).items():
        found[name] = right.sum() / count.sum()
    found["track triplets"] = arrays["track_right"].sum() / arrays["track_count"].sum()
    same, _, _ = artist_retrieval.score(vectors, music.packages[fold.test].tolist())
    found["same game, P@5"] = same[:, artist_retrieval.KS.index(5)].mean()
    return {name: round(float(value), 6) for name, value in found.items()}


def usable(tags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which tags count in the macro means."""
    positives = tags.sum(axis=0)
    return (positives >= tagging.MIN_POSITIVES) & (positives < len(tags))


def triplet_counts(fold: Fold, music: Music, head: str, vectors: Array) -> dict[str, tuple[Array, Array]]:
    """Name -> right triplets and all triplets of each anchor, in the whole space and, if there are any, sub-spaces."""
    from musiczoo.models.architectures import ARCHITECTURES

    lists, _ = fold.lists(music)
    spaces = {"whole": dict.fromkeys(lists, slice(None))}
    if ARCHITECTURES[head].disentangled:
        spaces["sub-space"] = {name: slice(*columns) for name, columns in LASTFM_50.spaces.items()}
    found = {}
    for kind, columns in spaces.items():
        total = np.zeros((2, len(vectors)))
        for name, part in lists.items():
            right = np.bincount(part.anchor, triplets.scores(vectors[:, columns[name]], part), len(vectors))
            count = np.bincount(part.anchor, minlength=len(vectors)).astype(float)
            found[f"{kind}/{name}"] = right, count
            total += right, count
        found[f"{kind}/{triplets.OVERALL}"] = total[0], total[1]
    return found


def plan(seeds: int) -> Iterator[tuple[int, int, str, str]]:
    """Seed, fold, encoder and head of each training, in order."""
    for seed in range(seeds):
        for fold in range(FOLDS):
            yield from ((seed, fold, encoder, head) for encoder in ENCODERS for head in HEADS)


def train(out: Path, seeds: int, limit: int | None) -> None:
    """Run what is missing of the plan."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    music = Music.read(out)
    (out / ARRAYS).mkdir(exist_ok=True)
    rows = read_rows(out)
    with atomic_file(out / ROWS_FILE) as file:  # without a last line that was cut off
        file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
    done = {key(row) for row in rows}
    folds = [Fold.of(music, number) for number in range(FOLDS)]
    heads: dict[tuple[str, str], Head] = {}
    missing = [job for job in plan(seeds) if job not in done][:limit]
    for seed, number, encoder, name in missing:
        if (name, encoder) not in heads:
            heads[name, encoder] = Head(name, music, encoder)
        found, arrays = train_one(music, heads[name, encoder], encoder, folds[number], seed)
        row = {"seed": seed, "fold": number, "encoder": encoder, "head": name, **found}
        row |= {"metrics": metrics_of(folds[number], music, name, arrays)}
        with atomic_file(out / ARRAYS / file_of(row)) as file:
            np.savez(file, **arrays)
        with (out / ROWS_FILE).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
        print(f"seed {seed} fold {number} {encoder} {name}: {found}", flush=True)


def read_rows(out: Path) -> list[dict[str, Any]]:
    """The trainings that are done; a last line that was cut off does not count."""
    path = out / ROWS_FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def key(row: dict[str, Any]) -> tuple[int, int, str, str]:
    """Which training of the plan a row is."""
    return row["seed"], row["fold"], row["encoder"], row["head"]


def file_of(row: dict[str, Any]) -> str:
    """Name of the file with a training's arrays."""
    return "_".join(map(str, key(row))) + ".npz"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    first, second = commands.add_parser("embed"), commands.add_parser("train")
    first.add_argument("--data", type=Path, required=True, help="Prepared open_music.")
    second.add_argument("--seeds", type=int, default=SEEDS)
    second.add_argument("--limit", type=int, help="Number of trainings, for a try.")
    for command in (first, second):
        command.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.command == "embed":
        embed(given.data, given.out)
    else:
        train(given.out, given.seeds, given.limit)


if __name__ == "__main__":
    main()
