"""Decide which of the paper's findings hold in a report.

Conventions
-----------
- A finding is a list of comparisons of two metrics of the report. It *holds* if the first metric is strictly greater in
  all of them, and *does not hold* otherwise. It *cannot be decided* if a metric of a comparison is missing. All
  findings hold for the paper's own metrics, which tests check.
- Where the paper speaks of groups of models, the lowest of one group is compared with the highest of the other.
- Intervals do not decide; `Finding.caveat` names the comparisons whose intervals overlap.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), sections 4 and 5.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import published
from .metric import Metric, Style, decimal, full_text, metric_at, percent

HOLDS = "holds"
FAILS = "does not hold"
UNKNOWN = "cannot be decided"

TRIPLETS = ("triplet", "disentangled-triplet", "disentangled-triplet-track")
OTHERS = ("proxy", "disentangled-proxy", "classification", "disentangled-classification")
"""Models with a normalised embedding that are trained on tags without triplets."""
BASELINE = "classification-unnormalized"
TWINS = {
    "disentangled-triplet": "triplet",
    "disentangled-triplet-track": "triplet",
    "disentangled-proxy": "proxy",
    "disentangled-classification": "classification",
}
"""Disentangled model -> the same model without sub-spaces."""

Models = Mapping[str, Mapping[str, Any]]
Path = tuple[str, ...]
Side = tuple[str, Metric]


@dataclass(frozen=True)
class Comparison:
    """Two metrics of a report, of which the first should be greater."""

    metric: str
    first: Side
    second: Side
    style: Style

    @property
    def holds(self) -> bool:
        """Whether the first metric is strictly greater."""
        return self.first[1].value > self.second[1].value

    @property
    def overlaps(self) -> bool | None:
        """Whether the intervals overlap; None if there are none."""
        return self.first[1].overlaps(self.second[1])

    def __str__(self) -> str:
        """Return text such as ``R@1: proxy 45.0 (43.9 to 46.1) > triplet 31.8``."""
        (a, x), (b, y) = self.first, self.second
        sign = ">" if self.holds else "<" if x.value < y.value else "="
        return f"{self.metric}: {a} {full_text(x, self.style)} {sign} {b} {full_text(y, self.style)}"


@dataclass(frozen=True)
class Finding:
    """A finding of the paper with its comparisons in a report."""

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
        """Why the verdict is uncertain; empty if it is not."""
        if self.missing:
            return f"Missing: {'; '.join(self.missing)}."
        close = [comparison.metric for comparison in self.comparisons if comparison.overlaps]
        if close:
            return (
                f"In {len(close)} of {len(self.comparisons)} comparisons the intervals overlap ({', '.join(close)}): "
                "other tracks could reverse them."
            )
        if any(comparison.overlaps is None for comparison in self.comparisons):
            return "Some of these metrics have no interval, so it is unknown how much they depend on the tracks."
        return ""


def findings(models: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Check the paper's four findings against the ``"models"`` of a report."""
    named = {model["name"]: model for model in models}
    return [judge(named) for judge in (normalisation, classification, triplets, disentangling)]


def normalisation(models: Models) -> Finding:
    """Compare retrieval with and without normalisation."""
    metrics = [_recall(k) for k in published.KS]
    return _finding(
        "Normalisation rescues retrieval.",
        f"R@K of classification above that of {BASELINE}, at each K.",
        [_groups(models, metric, ["classification"], [BASELINE]) for metric in metrics],
    )


def classification(models: Models) -> Finding:
    """Compare classification and proxy models with triplet models on R@K and AUC."""
    metrics = [*(_recall(k) for k in published.KS), _Measure("ROC-AUC", ("tagging", "roc_auc"), decimal)]
    return _finding(
        "Classification and proxy models beat triplet models on R@K and AUC.",
        "In each metric, the lowest of the normalised classification and proxy models is above the highest of the "
        "triplet models.",
        [_groups(models, metric, OTHERS, TRIPLETS, first=min) for metric in metrics],
    )


def triplets(models: Models) -> Finding:
    """Compare triplet models with the others on triplet prediction."""
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
    """Compare disentangled models in their sub-spaces with the same models without sub-spaces."""
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
class _Measure:
    name: str
    path: Path
    style: Style


def _recall(k: int) -> _Measure:
    return _Measure(f"R@{k}", ("retrieval", "all", "recall", str(k)), percent)


def _accuracy(space: str) -> _Measure:
    return _Measure(f"triplets, {space}", ("triplets", space, "overall"), decimal)


def _side(models: Models, name: str, metric: _Measure) -> Side | None:
    found = metric_at(models[name], *metric.path) if name in models else None
    return None if found is None else (name, found)


def _groups(
    models: Models,
    metric: _Measure,
    better: Sequence[str],
    worse: Sequence[str],
    first: Callable[..., Side] = max,
) -> Comparison | str:
    """Compare the `first` (max or min) of one group with the highest of the other; or return what is missing."""
    groups = [[side for name in group if (side := _side(models, name, metric))] for group in (better, worse)]
    if not all(groups):
        names = worse if groups[0] else better
        listed = " or ".join(names)
        return f"{metric.name} of {listed}" if any(name in models for name in names) else f"a model: {listed}"
    ours, theirs = groups
    return Comparison(metric.name, first(ours, key=_value), max(theirs, key=_value), metric.style)


def _value(side: Side) -> float:
    return side[1].value


def _lead(comparison: Comparison) -> Metric:
    return Metric(comparison.first[1].value - comparison.second[1].value)


def _finding(claim: str, rule: str, compared: Sequence[Comparison | str]) -> Finding:
    comparisons = tuple(item for item in compared if isinstance(item, Comparison))
    missing = tuple(dict.fromkeys(item for item in compared if isinstance(item, str)))
    return Finding(claim, rule, comparisons, missing)
