"""Confidence intervals of metrics by the percentile bootstrap.

An interval says how far a metric would move with other tracks. Tracks are drawn with replacement, or whole groups of
tracks: tracks of one album, game or artist resemble each other, so an interval over single tracks is too narrow where
they come from few groups.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

REPLICATES = 1000
CONFIDENCE = 0.95


def interval(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    replicates: int = REPLICATES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic.

    Args:
        statistic: Takes the resampled arrays and returns one number, or NaN where it is undefined. Such replicates are
            left out.
        *arrays: One row per track each, resampled together.
        replicates: Number of draws, 1 or more.
        confidence: Share of the replicates inside the interval, in (0, 1).
        seed: The same seed gives the same interval.
        groups: ``[tracks]``: the group of each track. Whole groups are drawn; by default each track is a group.

    Returns:
        Lower and upper end; NaN twice if the statistic is undefined in all replicates.

    Raises:
        InputError: If the arrays have no rows or differ in rows, or an argument is out of range.

    Example:
        >>> low, high = interval(np.mean, [0.0, 0.0, 1.0, 1.0])
        >>> low < 0.5 < high
        True
    """
    return central(resample(statistic, *arrays, replicates=replicates, seed=seed, groups=groups), confidence)


def resample(
    statistic: Callable[..., Any],
    *arrays: ArrayLike,
    replicates: int = REPLICATES,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Return a statistic of each bootstrap sample.

    Args:
        statistic: Takes the resampled arrays and returns a number, or an array of the same shape each time.
        *arrays: One row per track each, resampled together.
        replicates: Number of draws, 1 or more.
        seed: The same seed gives the same draws.
        groups: See `interval`.

    Returns:
        ``[replicates, ...]``.

    Raises:
        InputError: If the arrays have no rows or differ in rows, or `replicates` is below 1.

    Example:
        >>> resample(np.mean, [0.0, 1.0, 2.0], replicates=100).shape
        (100,)
    """
    columns: list[NDArray[Any]] = [np.asarray(array) for array in arrays]
    rows = {len(column) if column.ndim else 0 for column in columns}
    if len(rows) != 1 or 0 in rows:
        raise InputError(f"Expected arrays with one row per track each, got {sorted(rows)} rows.")
    (n,) = rows
    found = [statistic(*(column[draw] for column in columns)) for draw in draws(n, replicates, seed, groups)]
    return np.array(found, np.float64)


def draws(
    n: int, replicates: int = REPLICATES, seed: int = 0, groups: ArrayLike | None = None
) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each bootstrap sample: all random numbers of this module come from here.

    Args:
        n: Number of tracks.
        replicates: Number of draws, 1 or more.
        seed: The same seed gives the same draws.
        groups: See `interval`. A sample then has the rows of as many groups as there are, each drawn with replacement.

    Raises:
        InputError: If `replicates` is below 1, or `groups` has not one entry for each track.

    Example:
        >>> [sorted(draw.tolist()) for draw in draws(4, 3, groups=["a", "a", "b", "b"])]
        [[2, 2, 3, 3], [0, 1, 2, 3], [0, 0, 1, 1]]
    """
    if replicates < 1:
        raise InputError(f"replicates must be 1 or more, got {replicates}.")
    rng = np.random.default_rng(seed)
    if groups is None:
        for _ in range(replicates):
            yield rng.integers(n, size=n)
        return
    names = np.asarray(groups)
    if names.shape != (n,):
        raise InputError(f"Expected groups of shape ({n},), one entry for each track, got {names.shape}.")
    _, group = np.unique(names, return_inverse=True)
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    for _ in range(replicates):
        yield np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])


def central(values: ArrayLike, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the ends of the central interval that contains a share of the values; NaN twice if all are NaN.

    Args:
        values: Any shape; NaN is left out.
        confidence: The share, in (0, 1).

    Raises:
        InputError: If the share is not in (0, 1).

    Example:
        >>> central([0.0, 1.0, 2.0, math.nan], 0.5)
        (0.5, 1.5)
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be between 0 and 1, got {confidence}.")
    defined = np.asarray(values, float)
    defined = defined[~np.isnan(defined)]
    if not len(defined):
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def metric(
    statistic: Callable[..., float], *arrays: ArrayLike, seed: int = 0, groups: ArrayLike | None = None
) -> dict[str, Any]:
    """Return a statistic with its 95 % interval, ready for JSON.

    Args:
        statistic: See `interval`.
        *arrays: See `interval`.
        seed: See `interval`.
        groups: See `interval`.

    Returns:
        ``{"value", "interval": [low, high]}``, with None for NaN.

    Example:
        >>> metric(np.mean, [1.0, 1.0, 1.0])
        {'value': 1.0, 'interval': [1.0, 1.0]}
    """
    value = float(statistic(*(np.asarray(array) for array in arrays)))
    return with_interval(value, resample(statistic, *arrays, seed=seed, groups=groups))


def with_interval(value: float, replicates: ArrayLike) -> dict[str, Any]:
    """Return a value and the central interval of its replicates in the form of `metric`.

    Example:
        >>> with_interval(0.5, [0.5, 0.5])
        {'value': 0.5, 'interval': [0.5, 0.5]}
    """
    return {"value": number(value), "interval": [number(end) for end in central(replicates)]}


def ratio_metrics(
    numerators: ArrayLike,
    denominators: ArrayLike,
    replicates: int = REPLICATES,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> list[dict[str, Any]]:
    """Return ratios of two sums over tracks with their intervals, such as means over the tracks with a defined value.

    The draws are those of `interval`, shared by all columns. The work is one matrix product per replicate, which is
    fast for many tracks and many metrics.

    Args:
        numerators: ``[tracks, columns]``.
        denominators: ``[tracks, columns]``, 0 or more. A ratio whose denominators sum to 0 is undefined.
        replicates: Number of draws, 1 or more.
        seed: The same seed gives the same intervals.
        groups: See `interval`.

    Returns:
        One metric per column, in the form of `metric`.

    Raises:
        InputError: If they are not two matrices of one shape with at least one row.

    Example:
        The mean over two tracks of three, the last one is undefined:

        >>> ratio_metrics([[1.0], [1.0], [0.0]], [[1.0], [1.0], [0.0]])
        [{'value': 1.0, 'interval': [1.0, 1.0]}]
    """
    above, below = np.asarray(numerators, float), np.asarray(denominators, float)
    if above.ndim != 2 or above.shape != below.shape or not len(above):
        raise InputError(f"Expected two matrices of one shape [tracks, columns], got {above.shape}, {below.shape}.")
    n, columns = above.shape
    both = np.hstack([above, below])
    sums = np.empty((replicates, 2 * columns))
    for i, draw in enumerate(draws(n, replicates, seed, groups)):
        sums[i] = np.bincount(draw, minlength=n) @ both
    drawn, values = (_ratio(x[..., :columns], x[..., columns:]) for x in (sums, both.sum(axis=0)))
    return [with_interval(float(value), column) for value, column in zip(values, drawn.T, strict=True)]


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return result


def number(value: float) -> float | None:
    """Return a value as JSON can hold it: None for NaN.

    Example:
        >>> number(0.5), number(math.nan)
        (0.5, None)
    """
    return None if math.isnan(value) else float(value)


def mean(values: ArrayLike) -> float:
    """Return the mean of the values that are not NaN; NaN if all are.

    Example:
        >>> mean([1.0, math.nan, 3.0])
        2.0
    """
    defined = np.asarray(values, float)
    defined = defined[~np.isnan(defined)]
    return float(defined.mean()) if defined.size else math.nan
