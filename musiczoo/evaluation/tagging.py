"""How well a tagger's scores find the tracks that carry a tag.

Conventions
-----------
- *Scores* are ``[tracks, tags]`` finite numbers, higher for more likely; only their order in a column
  counts, so probabilities and logits give the same figures.
- *Positives* are ``[tracks, tags]``, 0 or 1 (or bool): whether the track carries the tag.
- Equal scores are one step: a constant column has a ROC-AUC of exactly 0.5, in whatever order the
  tracks come.
- A metric that is not defined for a tag (no track carries it, or all do) is NaN from the functions
  and None in the dict of `evaluate`.

Metrics
-------
- `roc_auc`: the chance that a track with the tag scores above one without; ties count half. The
  Mann-Whitney U statistic from mid-ranks.
- `average_precision`: the mean, over the tracks with the tag, of the precision among all tracks that
  score at least as much (no interpolation).

- `reliability`: where probabilities lie and how often they come true, in bins of equal width: the numbers of a
  reliability diagram. Hard tags made of a teacher's scores are relative to each tag's prior, so a model that repeats
  its teacher exactly is off the diagonal too: only with annotations does the diagram tell how well calibrated it is.

Macro figures are means over the tags with enough positives, as in Lee et al., ISMIR 2020
(arXiv:2008.03729), section 4.3; the tags left out are listed by name.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from .bootstrap import mean, number, resample, with_interval

MIN_POSITIVES = 3
"""Tracks that must carry a tag before its figures enter the macro means."""

RELIABILITY_BINS = 10


def validate(scores: ArrayLike, positives: ArrayLike) -> None:
    """Check that scores and positives fit together.

    Raises:
        InputError: If they are not two matrices of one shape with at least one row and column, a
            score is not finite, or a positive is neither 0 nor 1.
    """
    scores, positives = np.asarray(scores), np.asarray(positives)
    if scores.ndim != 2 or scores.shape != positives.shape or 0 in scores.shape:
        raise InputError(
            "Expected scores and positives of one shape [tracks, tags], "
            f"received {scores.shape} and {positives.shape}. One track alone is [1, tags]."
        )
    if not np.all(np.isfinite(scores)):
        raise InputError("Expected finite scores, received NaN or infinity. Did the audio hold such samples?")
    if not np.all((positives == 0) | (positives == 1)):
        raise InputError(
            "Expected positives of 0 and 1, received other values. "
            "Did you pass soft labels? musiczoo.datasets.hard_tags makes 0 and 1 of them."
        )


def mid_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks 1 to n down each column of ``[n, columns]``; equal values share the mean of their ranks."""
    values = np.asarray(values)
    order = np.argsort(values, axis=0, kind="stable")
    first, last = _tied_rows(np.take_along_axis(values, order, axis=0))
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=0)
    return ranks


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Elementwise quotient; NaN where the denominator is not above 0."""
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def roc_auc(scores: ArrayLike, positives: ArrayLike) -> NDArray[np.float64]:
    """Area under the ROC curve of each tag.

    Args:
        scores: ``[tracks, tags]``, finite.
        positives: ``[tracks, tags]``, 0 or 1.

    Returns:
        ``[tags]`` in [0, 1]; NaN where all tracks or none carry the tag.

    Raises:
        InputError: See `validate`.
    """
    validate(scores, positives)
    carries = np.asarray(positives, bool)
    n_positive = carries.sum(axis=0)
    n_pairs = n_positive * (len(carries) - n_positive)
    wins = np.sum(mid_ranks(scores) * carries, axis=0) - n_positive * (n_positive + 1) / 2
    return ratio(wins, n_pairs)


def average_precision(scores: ArrayLike, positives: ArrayLike) -> NDArray[np.float64]:
    """Average precision of each tag.

    Args:
        scores: ``[tracks, tags]``, finite.
        positives: ``[tracks, tags]``, 0 or 1.

    Returns:
        ``[tags]`` in (0, 1]; NaN where no track carries the tag. Random scores give about the share of
        tracks that carry it.

    Raises:
        InputError: See `validate`.
    """
    validate(scores, positives)
    falling = -np.asarray(scores, float)
    order = np.argsort(falling, axis=0, kind="stable")
    carries = np.take_along_axis(np.asarray(positives, bool), order, axis=0)
    _, last = _tied_rows(np.take_along_axis(falling, order, axis=0))
    precision = np.take_along_axis(np.cumsum(carries, axis=0), last, axis=0) / (last + 1)
    n_positive = carries.sum(axis=0)
    return ratio(np.sum(precision * carries, axis=0), n_positive)


def reliability(probabilities: ArrayLike, positives: ArrayLike, bins: int = RELIABILITY_BINS) -> dict[str, Any]:
    """A reliability diagram of all tags together, ready for JSON.

    Args:
        probabilities: ``[tracks, tags]`` in [0, 1].
        positives: ``[tracks, tags]``, 0 or 1.
        bins: How many, each with its lower edge; the last one with 1 too.

    Returns:
        ``{"edges": [bins + 1], "count", "mean_probability", "share_positive": [bins]}``; the last two None in empty
        bins.

    Raises:
        InputError: See `validate`; or if a probability lies outside [0, 1].
    """
    validate(probabilities, positives)
    p, carries = np.asarray(probabilities, float).ravel(), np.asarray(positives, bool).ravel()
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"Expected probabilities in [0, 1], received {p.min():g} to {p.max():g}. Are they logits?")
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    sums = {
        "mean_probability": np.bincount(index, p, bins),
        "share_positive": np.bincount(index, carries, bins),
    }
    means = {name: [number(value) for value in ratio(values, count)] for name, values in sums.items()}
    return {"edges": edges.tolist(), "count": count.tolist(), **means}


def evaluate(
    scores: ArrayLike, positives: ArrayLike, tags: Sequence[str], min_positives: int = MIN_POSITIVES
) -> dict[str, Any]:
    """All metrics of this module, ready for JSON.

    Args:
        scores: ``[tracks, tags]``, finite.
        positives: ``[tracks, tags]``, 0 or 1.
        tags: Names of the columns.
        min_positives: A tag that fewer tracks carry is left out of the macro means.

    Returns:
        ``{"roc_auc", "average_precision"}``: macro means, each ``{"value", "interval"}`` with a 95 %
        bootstrap interval over tracks (a tag that a replicate lacks is left out of that replicate);
        ``"tags"``: tag -> ``{"positives", "roc_auc", "average_precision"}``, the same of all tags;
        ``"left_out"``: the tags that the macro means leave out.

    Raises:
        InputError: See `validate`; or if there is not one name per column.
    """
    validate(scores, positives)
    scores, positives = np.asarray(scores), np.asarray(positives, bool)
    if len(tags) != scores.shape[1]:
        raise InputError(f"Expected {scores.shape[1]} tags, one per column, received {len(tags)}.")
    n_positive = positives.sum(axis=0)
    used = (n_positive >= max(min_positives, 1)) & (n_positive < len(positives))
    result: dict[str, Any] = {}
    by_tag: dict[str, dict[str, Any]] = {tag: {"positives": int(n)} for tag, n in zip(tags, n_positive, strict=True)}
    for metric in (roc_auc, average_precision):
        name, values, drawn = metric.__name__, metric(scores, positives), resample(metric, scores, positives)
        result[name] = with_interval(mean(values[used]), [mean(replicate) for replicate in drawn[:, used]])
        for tag, value, column in zip(tags, values, drawn.T, strict=True):
            by_tag[tag][name] = with_interval(float(value), column)
    result["tags"] = by_tag
    result["left_out"] = [tag for tag, kept in zip(tags, used, strict=True) if not kept]
    return result


def _tied_rows(ordered: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last row of the run of equal values around each entry of a matrix with sorted columns."""
    n = len(ordered)
    rows = np.arange(n)[:, np.newaxis]
    changes = ordered[1:] != ordered[:-1]
    edge = np.ones((1, ordered.shape[1]), bool)
    first = np.maximum.accumulate(np.where(np.vstack([edge, changes]), rows, 0), axis=0)
    last = np.minimum.accumulate(np.where(np.vstack([changes, edge]), rows, n - 1)[::-1], axis=0)[::-1]
    return first, last
