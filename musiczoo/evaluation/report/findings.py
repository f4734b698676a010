"""Which of the paper's findings hold in a report, and by which figures.

Conventions
-----------
- A finding is a list of comparisons, each of two figures of the report: it *holds* if the first is strictly the
  greater in all of them, and *does not hold* otherwise. It *cannot be told* if the figures of a comparison are
  missing. The rules hold for the paper's own figures (the tests see to that).
- Where the paper speaks of groups of models, the least of one group is held against the best of the other.
- Intervals decide nothing; `Finding.caveat` names the comparisons whose intervals overlap.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), sections 4 and 5.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import published
from .figures import Figure, Style, decimal, figure, full_text, percent

HOLDS = "holds"
FAILS = "does not hold"
UNKNOWN = "cannot be told"

TRIPLETS = ("triplet", "disentangled-triplet", "disentangled-triplet-track")
OTHERS = ("proxy", "disentangled-proxy", "classification", "disentangled-classification")
"""The models with a normalised embedding that are trained on tags without triplets."""
BASELINE = "classification-unnormalized"
TWINS = {
    "disentangled-triplet": "triplet",
    "disentangled-triplet-track": "triplet",
    "disentangled-proxy": "proxy",
    "disentangled-classification": "classification",
}
"""Disentangled model -> the same without sub-spaces."""

Models = Mapping[str, Mapping[str, Any]]
Path = tuple[str, ...]
Side = tuple[str, Figure]


@dataclass(frozen=True)
class Comparison:
    """Two figures of a report, the first of which should be the greater."""

    metric: str
    first: Side
    second: Side
    style: Style

    @property
    def holds(self) -> bool:
        """Whether the first figure is strictly the greater."""
        return self.first[1].value > self.second[1].value

    @property
    def overlaps(self) -> bool | None:
        """Whether the intervals overlap; None if there are none."""
        return self.first[1].overlaps(self.second[1])

    def __str__(self) -> str:
        """``R@1: proxy 45.0 (43.9 to 46.1) > triplet 31.8``."""
        (a, x), (b, y) = self.first, self.second
        sign = ">" if self.holds else "<" if x.value < y.value else "="
        return f"{self.metric}: {a} {full_text(x, self.style)} {sign} {b} {full_text(y, self.style)}"


@dataclass(frozen=True)
class Finding:
    """A finding of the paper, and what the report says about it."""

    claim: str
    rule: str
    comparisons: tuple[Comparison, ...]
    missing: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """`HOLDS`, `FAILS` or `UNKNOWN`."""
        if self.missing or not self.comparisons:
            return UNKNOWN
        return HOLDS if all(comparison.holds for comparison in self.comparisons) else FAILS

    @property
    def caveat(self) -> str:
        """What keeps the verdict from being certain; empty if nothing does."""
        if self.missing:
            return f"Missing: {'; '.join(self.missing)}."
        close = [comparison.metric for comparison in self.comparisons if comparison.overlaps]
        if close:
            return (
                f"In {len(close)} of {len(self.comparisons)} comparisons the intervals overlap ({', '.join(close)}): "
                "other tracks could turn them round."
            )
        if any(comparison.overlaps is None for comparison in self.comparisons):
            return "Not all of these figures have an interval: how far other tracks would move them is not known."
        return ""


def findings(models: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """The paper's four findings, held against the ``"models"`` of a report."""
    named = {model["name"]: model for model in models}
    return [judge(named) for judge in (normalisation, classification, triplets, disentangling)]


def normalisation(models: Models) -> Finding:
    """Normalisation rescues retrieval."""
    metrics = [_recall(k) for k in published.KS]
    return _finding(
        "Normalisation rescues retrieval.",
        f"R@K of classification above that of {BASELINE}, at each K.",
        [_groups(models, metric, ["classification"], [BASELINE]) for metric in metrics],
    )


def classification(models: Models) -> Finding:
    """Classification and proxy beat triplets on R@K and AUC."""
    metrics = [*(_recall(k) for k in published.KS), _Metric("ROC-AUC", ("tagging", "roc_auc"), decimal)]
    return _finding(
        "Classification and proxy models beat triplet models on R@K and AUC.",
        "The least of the normalised classification and proxy models above the best of the triplet models, in each.",
        [_groups(models, metric, OTHERS, TRIPLETS, first=min) for metric in metrics],
    )


def triplets(models: Models) -> Finding:
    """Triplets win triplet prediction, most of all in the sub-space."""
    whole, sub = (_groups(models, _accuracy(space), TRIPLETS, [*OTHERS, BASELINE]) for space in ("whole", "sub-space"))
    compared = [whole, sub]
    if isinstance(whole, Comparison) and isinstance(sub, Comparison):
        sides = ("in the sub-spaces", _lead(sub)), ("in the whole space", _lead(whole))
        compared.append(Comparison("lead of the triplet models", *sides, decimal))
    return _finding(
        "Triplet models win triplet prediction, most of all in the sub-spaces.",
        "The best triplet model above the best other, in the whole space and in the sub-spaces (overall accuracy), "
        "and by more in the sub-spaces.",
        compared,
    )


def disentangling(models: Models) -> Finding:
    """Disentangling helps sub-space triplets."""
    compared: list[Comparison | str] = []
    for name, twin in TWINS.items():
        first, second = _side(models, name, _accuracy("sub-space")), _side(models, twin, _accuracy("whole"))
        if first and second:
            compared.append(
                Comparison(name, ("in its sub-spaces", first[1]), (f"{twin} in its whole space", second[1]), decimal)
            )
    return _finding(
        "Disentangling helps triplet prediction in the sub-spaces.",
        "Overall accuracy of each disentangled model in its sub-spaces above that of the same model without "
        "sub-spaces in its whole space.",
        compared or ["triplet accuracy of a disentangled model and of the same without sub-spaces"],
    )


@dataclass(frozen=True)
class _Metric:
    name: str
    path: Path
    style: Style


def _recall(k: int) -> _Metric:
    return _Metric(f"R@{k}", ("retrieval", "all", "recall", str(k)), percent)


def _accuracy(space: str) -> _Metric:
    return _Metric(f"triplets, {space}", ("triplets", space, "overall"), decimal)


def _side(models: Models, name: str, metric: _Metric) -> Side | None:
    found = figure(models[name], *metric.path) if name in models else None
    return None if found is None else (name, found)


def _groups(
    models: Models,
    metric: _Metric,
    better: Sequence[str],
    worse: Sequence[str],
    first: Callable[..., Side] = max,
) -> Comparison | str:
    """The `first` (max or min) of one group against the best of the other, or what is missing."""
    groups = [[side for name in group if (side := _side(models, name, metric))] for group in (better, worse)]
    if not all(groups):
        names = worse if groups[0] else better
        listed = " or ".join(names)
        return f"{metric.name} of {listed}" if any(name in models for name in names) else f"a model: {listed}"
    ours, theirs = groups
    return Comparison(metric.name, first(ours, key=_value), max(theirs, key=_value), metric.style)


def _value(side: Side) -> float:
    return side[1].value


def _lead(comparison: Comparison) -> Figure:
    return Figure(comparison.first[1].value - comparison.second[1].value)


def _finding(claim: str, rule: str, compared: Sequence[Comparison | str]) -> Finding:
    comparisons = tuple(item for item in compared if isinstance(item, Comparison))
    missing = tuple(dict.fromkeys(item for item in compared if isinstance(item, str)))
    return Finding(claim, rule, comparisons, missing)
