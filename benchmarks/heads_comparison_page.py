"""Write the page and the picture of `heads_comparison.py` from its results.

    python benchmarks/heads_comparison_page.py build/heads --page docs/engineering/results/heads-comparison.md

Conventions
-----------
- A *block* is one fold and one seed with all heads on all encoders. Only whole blocks count, so all heads have the same
  tracks and seeds at any time.
- The value of a head on an encoder is the mean over folds of the mean over seeds.
- Intervals: 95 %, percentile bootstrap. A replicate draws packages with replacement in each fold, and seeds with
  replacement in each fold; all heads and encoders share the draws, so differences are paired.
- A finding holds if the interval of its difference, the mean over encoders, is above 0; it is reversed if it is below
  0; else it is undecided.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from heads_comparison import (
    ARRAYS,
    ENCODERS,
    EXCERPTS,
    FOLDS,
    HEADS,
    SEEDS,
    SETTINGS,
    Fold,
    Music,
    file_of,
    key,
    read_rows,
    triplet_counts,
    usable,
)  # fmt: skip
from numpy.typing import NDArray

from musiczoo.evaluation import bootstrap
from musiczoo.evaluation.metrics import artist_retrieval, retrieval, tagging
from musiczoo.taxonomy import LASTFM_50

REPLICATES = 1000
OURS, MUSICNN, VGG = ENCODERS
TITLES = {OURS: "ours", MUSICNN: "musicnn", VGG: "vgg"}
COLOURS = {OURS: "#2a78c2", MUSICNN: "#d1762c", VGG: "#4d9a5b"}

GROUPS = {
    "triplet heads": ("triplet", "disentangled-triplet", "disentangled-triplet-track"),
    "proxy and classification heads": ("proxy", "disentangled-proxy", "classification", "disentangled-classification"),
}
BASELINE = "classification-unnormalized"
WHOLE, SUB = "whole/overall", "sub-space/overall"
TRACK, GAME = "track triplets", "same game, P@5"
COSINE = "cosine "
"""Prefix of metrics of the embedding scaled to unit length, which only changes the head without normalisation."""

SPACES = {WHOLE: "whole space", SUB: "sub-spaces"}
SPACES |= {f"whole/{name}": f"{name}, whole space" for name in LASTFM_50.dimensions}
SPACES |= {f"sub-space/{name}": f"{name}, sub-space" for name in LASTFM_50.dimensions}

Values = NDArray[np.float64]
"""``[1 + REPLICATES]``: the value, then that of each replicate."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the mean of a metric over heads."""

    heads: tuple[str, ...]
    metric: str


@dataclass(frozen=True)
class Comparison:
    """A difference, first less second, and what it is called."""

    text: str
    more: Side
    less: Side


def compare(metric: str, more: str, less: str, other: str = "", note: str = "") -> Comparison:
    """A metric of a head or group against that of another, or against its metric `other`."""
    sides = [Side(GROUPS.get(name, (name,)), which) for name, which in ((more, metric), (less, other or metric))]
    names = [f"{more}, {SPACES[metric]}", f"{less}, {SPACES[other]}"] if other in SPACES else [more, less]
    title = "triplets" if other in SPACES else (f"triplets, {SPACES[metric]}" if metric in SPACES else metric)
    return Comparison(f"{title}: {names[0]} − {names[1]}{note}", *sides)


def own(head: str) -> str:
    """The triplets of a head in the spaces that are meant for them: sub-spaces if there are any."""
    return SUB if head.startswith("disentangled") else WHOLE


TRIPLETS, OTHERS = GROUPS
PLAIN = ("triplet", "proxy", "classification")
"""Heads that have a disentangled form."""

FINDINGS: dict[str, tuple[Comparison, ...]] = {
    "Normalisation rescues retrieval": (
        *(compare(f"R@{k}", "classification", BASELINE) for k in retrieval.KS),
        compare("R@1", "classification", BASELINE, COSINE + "R@1", " (compared by its cosine)"),
        compare("ROC-AUC", "classification", BASELINE, note=" (the paper: none)"),
    ),
    "Classification and proxy heads beat triplet heads on retrieval and tagging": (
        *(compare(metric, OTHERS, TRIPLETS) for metric in ("R@1", "R@2", "R@4", "R@8", "ROC-AUC", "PR-AUC")),
        *(compare(metric, "proxy", "triplet") for metric in ("R@1", "ROC-AUC")),
        *(compare(metric, "classification", "triplet") for metric in ("R@1", "ROC-AUC")),
    ),
    "Triplet heads win triplet prediction, most of all in the sub-spaces": (
        compare(WHOLE, TRIPLETS, OTHERS),
        *(compare(WHOLE, "triplet", head) for head in ("proxy", "classification")),
        *(compare(SUB, "disentangled-triplet", f"disentangled-{head}") for head in ("proxy", "classification")),
    ),
    "Disentangling helps triplet prediction in the sub-spaces": (
        *(compare(SUB, f"disentangled-{head}", head, WHOLE) for head in PLAIN),
        *(compare(SUB, f"disentangled-{head}", f"disentangled-{head}", WHOLE) for head in PLAIN),
        *(
            compare(f"sub-space/{name}", f"disentangled-{head}", head, f"whole/{name}")
            for head in ("triplet", "classification")
            for name in LASTFM_50.dimensions
        ),
    ),
    "Disentangling helps or costs nothing elsewhere": tuple(
        compare(metric, f"disentangled-{head}", head) for head in PLAIN for metric in ("R@1", "ROC-AUC")
    ),
    "Proxies and classification are one metric in two forms (the paper: no difference)": tuple(
        compare(metric, "disentangled-proxy", "disentangled-classification") for metric in ("R@1", "ROC-AUC", SUB)
    ),
    "Track triplets regularise, and cost accuracy in the sub-spaces": (
        *(compare(metric, "disentangled-triplet-track", "disentangled-triplet") for metric in (TRACK, GAME)),
        compare(SUB, "disentangled-triplet", "disentangled-triplet-track"),
    ),
    "Without teachers: tracks of one game (not in the paper)": (
        compare(GAME, "classification", "triplet"),
        compare(GAME, "disentangled-classification", "classification"),
        compare(GAME, "classification", BASELINE),
    ),
}

Cells = dict[tuple[str, str], dict[str, Values]]
"""Encoder and head -> metric -> values."""


def evaluate(
    fold: Fold, music: Music, head: str, arrays: Mapping[str, Any], draws: NDArray[np.int64]
) -> dict[str, Values]:
    """All metrics of one training: ``[1 + REPLICATES]`` each.

    Args:
        fold: Its tracks.
        music: All tracks.
        head: The head.
        arrays: What `heads_comparison.train_one` wrote.
        draws: ``[1 + REPLICATES, tracks]``: how often each test track is drawn.
    """
    vectors, scores = arrays["vectors"], arrays["scores"]
    found: dict[str, Values] = {}

    def ratio(right: NDArray[Any], count: NDArray[Any]) -> Values:
        return np.asarray((draws @ right) / np.maximum(draws @ count, 1e-9), np.float64)

    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    for prefix, rows in (("", vectors), (COSINE, vectors / np.where(length > 0, length, 1))):
        recall = retrieval.recall_at_k(retrieval.nearest(rows, max(retrieval.KS)), fold.test_tags)
        for k in retrieval.KS:
            found[f"{prefix}R@{k}"] = ratio(recall[:, k - 1], np.ones(len(recall)))
    packages = music.packages[fold.test]
    drawn = tagging.resampled(scores, fold.test_tags, REPLICATES, fold_seed(fold), packages)
    kept = usable(fold.test_tags)
    for title, metric in (("ROC-AUC", tagging.roc_auc), ("PR-AUC", tagging.average_precision)):
        values = metric(scores, fold.test_tags)[np.newaxis]
        found[title] = np.nanmean(np.concatenate([values, drawn[metric.__name__]])[:, kept], axis=1)
    for name, (right, count) in triplet_counts(fold, music, head, vectors).items():
        found[name] = ratio(right, count)
    found[TRACK] = ratio(arrays["track_right"], arrays["track_count"])
    same, queries, _ = artist_retrieval.score(vectors, packages.tolist())
    right, count = np.zeros((2, len(vectors)))
    right[queries], count[queries] = same[:, artist_retrieval.KS.index(5)], 1
    found[GAME] = ratio(right, count)
    return found


def fold_seed(fold: Fold) -> int:
    """Seed of the draws of a fold."""
    return int(fold.test[0])


def draws_of(fold: Fold, music: Music) -> NDArray[np.int64]:
    """How often each test track counts: once, then in each replicate."""
    n = len(fold.test)
    drawn = bootstrap.draws(n, REPLICATES, fold_seed(fold), music.packages[fold.test])
    return np.stack([np.ones(n, np.int64), *(np.bincount(rows, minlength=n) for rows in drawn)])


def read_cells(out: Path) -> tuple[Cells, list[tuple[int, int]], list[dict[str, Any]]]:
    """The values of each head on each encoder, the whole blocks, and their rows."""
    music = Music.read(out)
    rows = {key(row): row for row in read_rows(out)}
    ready = [encoder for encoder in ENCODERS if all((0, 0, encoder, head) in rows for head in HEADS)]
    blocks = [
        (seed, fold)
        for seed in range(SEEDS)
        for fold in range(FOLDS)
        if ready and all((seed, fold, encoder, head) in rows for encoder in ready for head in HEADS)
    ]
    random = np.random.default_rng(0)
    sums: dict[tuple[str, str], dict[str, list[Values]]] = {(e, h): {} for e in ready for h in HEADS}
    for number in sorted({fold for _, fold in blocks}):
        fold = Fold.of(music, number)
        draws, seeds = draws_of(fold, music), [seed for seed, at in blocks if at == number]
        chosen = random.integers(len(seeds), size=(len(seeds), REPLICATES))
        for encoder, head in sums:
            found = []
            for seed in seeds:
                with np.load(out / ARRAYS / file_of(rows[seed, number, encoder, head])) as arrays:
                    found.append(evaluate(fold, music, head, arrays, draws))
            for metric in found[0]:
                values = np.stack([values[metric] for values in found])  # [seeds, 1 + replicates]
                resampled = np.take_along_axis(values[:, 1:], chosen, axis=0).mean(axis=0)
                mean = np.concatenate([[values[:, 0].mean()], resampled])
                sums[encoder, head].setdefault(metric, []).append(mean)
    cells = {at: {metric: np.mean(values, axis=0) for metric, values in found.items()} for at, found in sums.items()}
    return cells, blocks, [rows[seed, fold, e, h] for seed, fold in blocks for e in ready for h in HEADS]


def encoders_of(cells: Cells) -> list[str]:
    """The encoders that have results."""
    return [encoder for encoder in ENCODERS if (encoder, HEADS[0]) in cells]


def side(cells: Cells, encoders: Iterable[str], part: Side) -> Values:
    """The mean over heads and encoders."""
    return np.mean([cells[encoder, head][part.metric] for encoder in encoders for head in part.heads], axis=0)


def difference(cells: Cells, encoders: Iterable[str], comparison: Comparison) -> Values:
    """The first side less the second."""
    chosen = list(encoders)
    return np.asarray(side(cells, chosen, comparison.more) - side(cells, chosen, comparison.less))


def interval(values: Values) -> tuple[float, float]:
    """The 95 % interval."""
    return bootstrap.central(values[1:])


def verdict(values: Values, blocks: Sequence[tuple[int, int]]) -> str:
    """Whether a difference is above 0, below 0, or not known; with tracks of some folds only, it is too early."""
    low, high = interval(values)
    if len({fold for _, fold in blocks}) < FOLDS:
        return "too early"
    return "**holds**" if low > 0 else "**reversed**" if high < 0 else "undecided"


def number(values: Values, signed: bool = False) -> str:
    """``.800 (.780 to .820)``."""
    low, high = interval(values)
    form = "+.3f" if signed else ".3f"
    first, *ends = (f"{value:{form}}".replace("-0.", "-.").replace("+0.", "+.") for value in (values[0], low, high))
    return f"{first} ({' to '.join(ends)})".replace("0.", ".")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def metric_table(cells: Cells, encoder: str) -> str:
    """The heads on one encoder."""
    columns = {
        "R@1": "R@1", "R@8": "R@8", "ROC-AUC": "ROC-AUC", "PR-AUC": "PR-AUC",
        "Triplets, whole": WHOLE, "Triplets, sub-spaces": SUB,
        "Track triplets": TRACK, "Same game, P@5": GAME,
    }  # fmt: skip
    rows = [
        [head, *(number(cells[encoder, head][m]) if m in cells[encoder, head] else "–" for m in columns.values())]
        for head in HEADS
    ]
    return table(["Head", *columns], rows)


def dimension_table(cells: Cells) -> str:
    """Triplets of each dimension: mean over encoders, sub-spaces beside the whole space."""
    rows = []
    for head in HEADS:
        for kind in ("whole", "sub-space"):
            if f"{kind}/overall" in cells[encoders_of(cells)[0], head]:
                names = [*LASTFM_50.dimensions, "overall"]
                values = [number(side(cells, encoders_of(cells), Side((head,), f"{kind}/{name}"))) for name in names]
                rows.append([kind, head, *values])
    return table(["Space", "Head", *LASTFM_50.dimensions, "overall"], sorted(rows, key=lambda row: row[0] != "whole"))


def finding_table(cells: Cells, comparisons: Sequence[Comparison], blocks: Sequence[tuple[int, int]]) -> str:
    """The differences that decide a finding."""
    rows = []
    for comparison in comparisons:
        mean = difference(cells, encoders_of(cells), comparison)
        each = [number(difference(cells, [encoder], comparison), signed=True) for encoder in encoders_of(cells)]
        rows.append([comparison.text, number(mean, signed=True), verdict(mean, blocks), *each])
    return table(
        ["Comparison", "Difference, mean of encoders", "", *(TITLES[encoder] for encoder in encoders_of(cells))], rows
    )


def budget_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Epochs and seconds of each head."""
    found = []
    for head in HEADS:
        own_rows = [row for row in rows if row["head"] == head]
        epochs, seconds = (np.array([row[name] for row in own_rows], float) for name in ("epochs", "seconds"))
        found.append(
            [head, f"{np.median(epochs):.0f}", f"{epochs.min():.0f} to {epochs.max():.0f}", f"{np.median(seconds):.1f}"]
        )
    return table(["Head", "Epochs, median", "Fewest to most", "Seconds, median"], found)


PANELS = ("Retrieval, R@1", "Tagging, ROC-AUC", "Triplets (rings: whole space)", "Same game, precision at 5")


def draw(cells: Cells, path: Path) -> None:
    """The picture: four metrics, heads one below the other, encoders by colour."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(PANELS), figsize=(13, 4.6), sharey=True, layout="constrained")
    for axis, title in zip(axes, PANELS, strict=True):
        for i, encoder in enumerate(encoders_of(cells)):
            for y, head in enumerate(HEADS):
                metric = dict(zip(PANELS, ("R@1", "ROC-AUC", own(head), GAME), strict=True))[title]
                values, at = cells[encoder, head][metric], y + 0.22 * (i - 1)
                style: dict[str, Any] = {"color": COLOURS[encoder], "markersize": 5}
                axis.plot(interval(values), [at, at], color=COLOURS[encoder], linewidth=1.6)
                axis.plot(values[0], at, "o", **style, label=None if y else TITLES[encoder])
                if metric == SUB:
                    axis.plot(cells[encoder, head][WHOLE][0], at, "o", mfc="none", **style)
        axis.set_title(title, fontsize=10)
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(HEADS)), HEADS)
    axes[0].invert_yaxis()
    axes[0].legend(frameon=False, fontsize=9, loc="lower left")
    figure.savefig(path, dpi=110)
    plt.close(figure)


TEXT = """\
# Heads compared on frozen encoders

The paper's eight models compared where all else is equal: each head is trained on the same features of a frozen
encoder. `benchmarks/heads_comparison_page.py` wrote this page.

{state}

Encoders: `disentangled-classification` 0.1.0 (*ours*; the pooled output of its convolutions, before the layer that is
disentangled), `musicnn-msd` and `vgg-msd` (their last hidden layers).

![Eight heads on three encoders: retrieval, tagging, triplets, same game]({picture})

## What these numbers mean

- **Tracks.** All {tracks} tracks of open_music, from {packages} packages (a game or a collection each), {excerpts}
  excerpts a track. {folds} folds by package, of {fewest} to {most} tracks: one is the test set, one the validation set,
  three the training set. Each metric is measured inside a test fold.
- **Labels.** The mean of musicnn-msd and vgg-msd, not of people; tags of a track by
  [the prior-ratio rule](../../guides/data.md#tags-of-a-track). These two networks are encoders here, too, and ours was
  trained on 423 of the tracks with the same labels: compare heads, not encoders. *Same game* needs no labels.
- **Training.** The recipes `head-MODEL` with batches of {batch} instead of 128, because there are few excerpts, and
  all triplets of a batch. Optimizer, learning rate, patience and limit of epochs are the same for all heads, and none
  was tuned. The weights with the lowest validation loss count (for triplets: the share in the wrong order).
- **Intervals.** 95 %, by bootstrap. A replicate draws packages in each fold, and seeds; heads share the draws, so
  differences are paired. A fold has five or six packages, so intervals are too narrow by about a tenth, and they do not
  include the choice of training tracks.
- **Verdicts.** *holds*: the interval of the difference, mean over encoders, is above 0; *reversed*: below 0. There are
  {comparisons} comparisons, of which one or two would be wrong by chance. *too early*: some folds are missing.
"""

COMMANDS = """\
## Commands

<!-- not run: takes hours -->
```sh
musiczoo import musicnn
musiczoo data prepare open_music --out data/open_music
python benchmarks/heads_comparison.py embed --data data/open_music --out build/heads
python benchmarks/heads_comparison.py train --out build/heads
python benchmarks/heads_comparison_page.py build/heads --page docs/engineering/results/heads-comparison.md
```
"""


def page(
    cells: Cells, blocks: Sequence[tuple[int, int]], rows: Sequence[Mapping[str, Any]], music: Music, picture: str
) -> str:
    """The text of the page."""
    planned = SEEDS * FOLDS
    state = f"All {len(rows)} trainings ({FOLDS} folds, {SEEDS} seeds) are done."
    if len(blocks) < planned:
        listed = ", ".join(f"seed {seed} fold {fold}" for seed, fold in blocks)
        state = (
            f"**Not finished:** {len(rows)} of {planned * len(ENCODERS) * len(HEADS)} trainings are in it, "
            f"{len(blocks)} of {planned} blocks of a fold and a seed with all heads ({listed}), on the encoders "
            f"{', '.join(encoders_of(cells))}. Differences between single numbers say little yet."
        )
    sizes = [int((music.folds == fold).sum()) for fold in range(FOLDS)]
    text = TEXT.format(
        state=state, picture=picture, tracks=len(music.ids), packages=len(set(music.packages.tolist())),
        excerpts=EXCERPTS, folds=FOLDS, fewest=min(sizes), most=max(sizes), batch=SETTINGS["batch"],
        comparisons=sum(map(len, FINDINGS.values())),
    )  # fmt: skip
    parts = [text, "## The paper's findings\n"]
    for title, comparisons in FINDINGS.items():
        parts += [f"### {title}\n", finding_table(cells, comparisons, blocks) + "\n"]
    parts.append("## All metrics\n")
    for encoder in encoders_of(cells):
        parts += [f"### On {TITLES[encoder]}\n", metric_table(cells, encoder) + "\n"]
    parts += [
        "### Triplets of each dimension\n",
        "Mean of the encoders; whole space and sub-space on the same triplets.\n",
        dimension_table(cells) + "\n",
        "## Budget\n",
        "Epochs until the plateau rule stopped; seconds on one thread of a machine that was busy with other work.\n",
        budget_table(rows) + "\n",
        COMMANDS,
    ]
    return "\n".join(parts)


def main() -> None:
    """Evaluate, and write page and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="The folder of heads_comparison.py.")
    parser.add_argument("--page", type=Path, required=True)
    given = parser.parse_args()
    cells, blocks, rows = read_cells(given.out)
    if not blocks:
        raise SystemExit(f"{given.out}: no block is whole yet.")
    picture = given.page.with_suffix(".png")
    draw(cells, picture)
    given.page.write_text(page(cells, blocks, rows, Music.read(given.out), picture.name), encoding="utf-8")
    print(f"{given.page}: {len(blocks)} blocks, {len(rows)} trainings")


if __name__ == "__main__":
    main()
