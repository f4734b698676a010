"""Auto-tagging metrics: how well scores rank the tracks that have a tag.

Conventions
-----------
- *Scores* are ``[tracks, tags]`` finite numbers, higher for more likely. Only their order within a column matters, so
  probabilities and logits give the same metrics.
- *Positives* are ``[tracks, tags]``, 0 or 1 (or bool): whether the track has the tag.
- Equal scores count as one step: a constant column has a ROC-AUC of exactly 0.5, in any order of the tracks.
- A metric that is undefined for a tag (no track has it, or all do) is NaN from the functions and None in the dict of
  `evaluate`.

Metrics
-------
- `roc_auc`: the probability that a track with the tag scores above one without; ties count half. Computed as the
  Mann-Whitney U statistic from mid-ranks. Equals `sklearn.metrics.roc_auc_score`.
- `average_precision`: the mean, over the tracks with the tag, of the precision among all tracks that score at least as
  much (no interpolation). Equals `sklearn.metrics.average_precision_score`.
- `reliability`: the numbers of a reliability diagram: mean probability and share of positives in bins of equal width.
  Hard tags made from a teacher's scores are relative to each tag's prior, so even a model that repeats its teacher
  exactly is off the diagonal. Only with annotations does the diagram show how well calibrated a model is.

Macro metrics are means over the tags with enough positives, as in Lee et al., ISMIR 2020 (arXiv:2008.03729),
section 4.3. The tags left out are listed by name.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from ..bootstrap import REPLICATES, draws, mean, number, with_interval

MIN_POSITIVES = 3
"""Least positive tracks of a tag in the macro means."""

RELIABILITY_BINS = 10

_REPLICATES = 50
"""Replicates computed together: of 30,000 tracks, 12 MB of weights."""


def validate(scores: ArrayLike, positives: ArrayLike) -> None:
    """Check that scores and positives fit together.

    Args:
        scores: ``[tracks, tags]``.
        positives: ``[tracks, tags]``.

    Raises:
        InputError: If they are not two matrices of one shape with at least one row and column, a
            score is not finite, or a positive is neither 0 nor 1.

    Example:
        >>> validate([[0.9, 0.1]], [[1, 0]])
        >>> validate([[0.9, 0.1]], [[0.8, 0.3]])
        Traceback (most recent call last):
        musiczoo.errors.InputError: Expected positives of 0 and 1, got other values. ...
    """
    scores, positives = np.asarray(scores), np.asarray(positives)
    if scores.ndim != 2 or scores.shape != positives.shape or 0 in scores.shape:
        raise InputError(
            "Expected scores and positives of one shape [tracks, tags], "
            f"got {scores.shape} and {positives.shape}. A single track is [1, tags]."
        )
    if not np.all(np.isfinite(scores)):
        raise InputError("Expected finite scores, got NaN or infinity. Does the audio contain such samples?")
    if not np.all((positives == 0) | (positives == 1)):
        raise InputError(
            "Expected positives of 0 and 1, got other values. "
            "Did you pass soft labels? musiczoo.datasets.hard_tags converts them."
        )


def mid_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Return the ranks, 1 to n, in each column of ``[n, columns]``; equal values share the mean of their ranks.

    Example:
        >>> mid_ranks([[0.3], [0.1], [0.3]]).ravel()
        array([2.5, 1. , 2.5])
    """
    values = np.asarray(values)
    order = np.argsort(values, axis=0, kind="stable")
    first, last = _tied_rows(np.take_along_axis(values, order, axis=0))
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=0)
    return ranks


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Return the elementwise quotient; NaN where the denominator is not above 0.

    Example:
        >>> ratio(np.array([1, 1]), np.array([2, 0]))
        array([0.5, nan])
    """
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def roc_auc(scores: ArrayLike, positives: ArrayLike) -> NDArray[np.float64]:
    """Return the area under the ROC curve of each tag.

    Args:
        scores: ``[tracks, tags]``, finite.
        positives: ``[tracks, tags]``, 0 or 1.

    Returns:
        ``[tags]`` in [0, 1]; NaN where all tracks or none have the tag.

    Raises:
        InputError: See `validate`.

    Example:
        >>> roc_auc([[0.8], [0.4], [0.6], [0.2]], [[1], [1], [0], [0]])
        array([0.75])
    """
    validate(scores, positives)
    carries = np.asarray(positives, bool)
    n_positive = carries.sum(axis=0)
    n_pairs = n_positive * (len(carries) - n_positive)
    wins = np.sum(mid_ranks(scores) * carries, axis=0) - n_positive * (n_positive + 1) / 2
    return ratio(wins, n_pairs)


def average_precision(scores: ArrayLike, positives: ArrayLike) -> NDArray[np.float64]:
    """Return the average precision of each tag.

    Args:
        scores: ``[tracks, tags]``, finite.
        positives: ``[tracks, tags]``, 0 or 1.

    Returns:
        ``[tags]`` in (0, 1]; NaN where no track has the tag. Random scores give about the share of tracks that have
        it.

    Raises:
        InputError: See `validate`.

    Example:
        >>> average_precision([[0.8], [0.4], [0.6], [0.2]], [[1], [0], [0], [1]])
        array([0.75])
    """
    validate(scores, positives)
    falling = -np.asarray(scores, float)
    order = np.argsort(falling, axis=0, kind="stable")
    carries = np.take_along_axis(np.asarray(positives, bool), order, axis=0)
    _, last = _tied_rows(np.take_along_axis(falling, order, axis=0))
    precision = np.take_along_axis(np.cumsum(carries, axis=0), last, axis=0) / (last + 1)
    n_positive = carries.sum(axis=0)
    return ratio(np.sum(precision * carries, axis=0), n_positive)


def resampled(
    scores: ArrayLike,
    positives: ArrayLike,
    replicates: int = REPLICATES,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return ROC-AUC and average precision of bootstrap samples.

    The result is that of `musiczoo.evaluation.bootstrap.resample`, but scores are sorted once: a replicate is a weight
    for each track, the number of times it was drawn. In descending order of scores, the metrics only need the weight
    down to each positive track, of all tracks and of the positive ones.

    Args:
        scores: ``[tracks, tags]``, finite.
        positives: ``[tracks, tags]``, 0 or 1.
        replicates: Number of draws.
        seed: The same seed gives the same draws.
        groups: See `musiczoo.evaluation.bootstrap.interval`.

    Returns:
        ``{"roc_auc", "average_precision"}``: ``[replicates, tags]``; NaN where a replicate has no positive track, or
        for the ROC-AUC no negative one.

    Raises:
        InputError: See `validate`.

    Example:
        >>> resampled([[0.9], [0.1]], [[1], [0]], replicates=4)["average_precision"].shape
        (4, 1)
    """
    validate(scores, positives)
    falling, carries = -np.asarray(scores, float), np.asarray(positives, bool)
    n, tags = carries.shape
    order = np.argsort(falling, axis=0, kind="stable")
    first, last = _tied_rows(np.take_along_axis(falling, order, axis=0))
    result = {name: np.empty((replicates, tags)) for name in ("roc_auc", "average_precision")}
    drawn = draws(n, replicates, seed, groups)
    for start in range(0, replicates, _REPLICATES):
        weights = np.stack([np.bincount(draw, minlength=n) for draw in islice(drawn, _REPLICATES)])
        rows = slice(start, start + len(weights))
        for tag in range(tags):
            has = carries[order[:, tag], tag]
            sorted_weights = weights[:, order[:, tag]]
            own = sorted_weights[:, has]
            # Weight of all tracks, and of those that have the tag, before each row.
            every, carriers = _running(sorted_weights), _running(own)
            count = np.concatenate([[0], np.cumsum(has)])
            above, down_to = first[has, tag], last[has, tag] + 1
            all_down, own_down = every[:, down_to], carriers[:, count[down_to]]
            lacking_above = every[:, above] - carriers[:, count[above]]
            lacking_down = all_down - own_down
            total, without = carriers[:, -1], every[:, -1] - carriers[:, -1]
            losses = np.sum(own * (lacking_above + lacking_down), axis=1) / 2
            result["roc_auc"][rows, tag] = 1 - ratio(losses, (total * without).astype(float))
            precision = np.divide(own_down, all_down, out=np.zeros(own.shape), where=all_down > 0)
            result["average_precision"][rows, tag] = ratio(np.sum(own * precision, axis=1), total.astype(float))
    return result


def _running(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums along the rows: ``[replicates, n] -> [replicates, n + 1]``, the first 0."""
    return np.concatenate([np.zeros((len(weights), 1), np.int64), np.cumsum(weights, axis=1)], axis=1)


def reliability(probabilities: ArrayLike, positives: ArrayLike, bins: int = RELIABILITY_BINS) -> dict[str, Any]:
    """Return a reliability diagram of all tags together, ready for JSON.

    Args:
        probabilities: ``[tracks, tags]`` in [0, 1].
        positives: ``[tracks, tags]``, 0 or 1.
        bins: Number of bins. Each includes its lower edge; the last also includes 1.

    Returns:
        ``{"edges": [bins + 1], "count", "mean_probability", "share_positive": [bins]}``; the last two None in empty
        bins.

    Raises:
        InputError: See `validate`; or if a probability lies outside [0, 1].

    Example:
        >>> reliability([[0.2], [0.8]], [[0], [1]], bins=2)["share_positive"]
        [0.0, 1.0]
    """
    validate(probabilities, positives)
    p, carries = np.asarray(probabilities, float).ravel(), np.asarray(positives, bool).ravel()
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"Expected probabilities in [0, 1], got {p.min():g} to {p.max():g}. Are they logits?")
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
    scores: ArrayLike,
    positives: ArrayLike,
    tags: Sequence[str],
    min_positives: int = MIN_POSITIVES,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Compute ROC-AUC and average precision, ready for JSON.

    Args:
        scores: ``[tracks, tags]``, finite.
        positives: ``[tracks, tags]``, 0 or 1.
        tags: Names of the columns.
        min_positives: A tag with fewer positive tracks is left out of the macro means.
        groups: See `musiczoo.evaluation.bootstrap.interval`.

    Returns:
        ``{"roc_auc", "average_precision"}``: macro means, each ``{"value", "interval"}`` with a 95 % bootstrap
        interval over tracks (a tag that is undefined in a replicate is left out of that replicate); ``"tags"``: tag ->
        ``{"positives", "roc_auc", "average_precision"}``; ``"left_out"``: the tags that the macro means leave out.

    Raises:
        InputError: See `validate`; or if there is not one name per column.

    Example:
        >>> result = evaluate([[0.9], [0.8], [0.7], [0.1]], [[1], [1], [1], [0]], ["rock"])
        >>> result["roc_auc"]["value"], result["tags"]["rock"]["positives"]
        (1.0, 3)
    """
    validate(scores, positives)
    scores, positives = np.asarray(scores), np.asarray(positives, bool)
    if len(tags) != scores.shape[1]:
        raise InputError(f"Expected {scores.shape[1]} tags, one per column, got {len(tags)}.")
    n_positive = positives.sum(axis=0)
    used = (n_positive >= max(min_positives, 1)) & (n_positive < len(positives))
    result: dict[str, Any] = {}
    by_tag: dict[str, dict[str, Any]] = {tag: {"positives": int(n)} for tag, n in zip(tags, n_positive, strict=True)}
    replicates = resampled(scores, positives, groups=groups)
    for metric in (roc_auc, average_precision):
        name, values, drawn = metric.__name__, metric(scores, positives), replicates[metric.__name__]
        result[name] = with_interval(mean(values[used]), [mean(replicate) for replicate in drawn[:, used]])
        for tag, value, column in zip(tags, values, drawn.T, strict=True):
            by_tag[tag][name] = with_interval(float(value), column)
    result["tags"] = by_tag
    result["left_out"] = [tag for tag, kept in zip(tags, used, strict=True) if not kept]
    return result


def _tied_rows(ordered: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and last row of the run of equal values around each entry of a matrix with sorted columns."""
    n = len(ordered)
    rows = np.arange(n)[:, np.newaxis]
    changes = ordered[1:] != ordered[:-1]
    edge = np.ones((1, ordered.shape[1]), bool)
    first = np.maximum.accumulate(np.where(np.vstack([edge, changes]), rows, 0), axis=0)
    last = np.minimum.accumulate(np.where(np.vstack([changes, edge]), rows, n - 1)[::-1], axis=0)[::-1]
    return first, last
