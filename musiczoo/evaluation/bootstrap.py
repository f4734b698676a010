"""How far a figure would move if other tracks had been drawn: percentile bootstrap.

The tracks are taken as independent. Tracks of one album or game are not, so an interval over a few
albums is narrower than the truth.
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
) -> tuple[float, float]:
    """The central interval of a statistic over tracks drawn with replacement.

    Args:
        statistic: Takes the resampled arrays and returns one number, or NaN where it is not defined;
            such replicates are left out.
        *arrays: One row per track each, resampled together.
        replicates: How many times to draw.
        confidence: Share of the replicates inside the interval, in (0, 1).
        seed: Same seed, same interval.

    Returns:
        Lower and upper end; NaN twice if the statistic was defined in no replicate.

    Raises:
        InputError: If the arrays have no rows or differ in rows, or an argument is out of range.
    """
    return central(resample(statistic, *arrays, replicates=replicates, seed=seed), confidence)


def resample(
    statistic: Callable[..., Any], *arrays: ArrayLike, replicates: int = REPLICATES, seed: int = 0
) -> NDArray[np.float64]:
    """What a statistic is of tracks drawn with replacement.

    Args:
        statistic: Takes the resampled arrays and returns a number, or an array, the same shape each time.
        *arrays: One row per track each, resampled together.
        replicates: How many times to draw.
        seed: Same seed, same draws.

    Returns:
        ``[replicates, ...]``.

    Raises:
        InputError: If the arrays have no rows or differ in rows, or `replicates` is below 1.
    """
    columns: list[NDArray[Any]] = [np.asarray(array) for array in arrays]
    rows = {len(column) if column.ndim else 0 for column in columns}
    if len(rows) != 1 or 0 in rows:
        raise InputError(f"Expected arrays with one row per track each, received {sorted(rows)} rows.")
    if replicates < 1:
        raise InputError(f"Expected 1 or more replicates, received {replicates}.")
    (n,) = rows
    found = [statistic(*(column[draw] for column in columns)) for draw in draws(n, replicates, seed)]
    return np.array(found, np.float64)


def draws(n: int, replicates: int = REPLICATES, seed: int = 0) -> Iterator[NDArray[np.int64]]:
    """Rows drawn with replacement, `n` of `n`, as often as there are replicates: what all of this module draws."""
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        yield rng.integers(n, size=n)


def central(values: ArrayLike, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval in the middle of values that holds a share of those that are defined; NaN twice if none is.

    Raises:
        InputError: If the share is not in (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"Expected a confidence in (0, 1), received {confidence}.")
    defined = np.asarray(values, float)
    defined = defined[~np.isnan(defined)]
    if not len(defined):
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def figure(statistic: Callable[..., float], *arrays: ArrayLike, seed: int = 0) -> dict[str, Any]:
    """A statistic and its 95 % interval for JSON: ``{"value", "interval": [low, high]}``, None for NaN."""
    value = float(statistic(*(np.asarray(array) for array in arrays)))
    return with_interval(value, resample(statistic, *arrays, seed=seed))


def with_interval(value: float, replicates: ArrayLike) -> dict[str, Any]:
    """A value and the central interval of its replicates, as `figure` gives them."""
    return {"value": number(value), "interval": [number(end) for end in central(replicates)]}


def ratio_figures(
    numerators: ArrayLike, denominators: ArrayLike, replicates: int = REPLICATES, seed: int = 0
) -> list[dict[str, Any]]:
    """Ratios of two sums over tracks, such as means over the tracks where something is defined, as `figure` gives them.

    The draws are those of `interval`, all columns share them, and the work is a matrix product: fast for many
    tracks and many figures.

    Args:
        numerators: ``[tracks, columns]``.
        denominators: ``[tracks, columns]``, 0 or more. A ratio whose denominators sum to 0 is not defined.
        replicates: How many times to draw.
        seed: Same seed, same intervals.

    Returns:
        One figure a column.

    Raises:
        InputError: If they are not two matrices of one shape with at least one row.
    """
    above, below = np.asarray(numerators, float), np.asarray(denominators, float)
    if above.ndim != 2 or above.shape != below.shape or not len(above):
        raise InputError(
            f"Expected two matrices of one shape [tracks, columns], received {above.shape}, {below.shape}."
        )
    n, columns = above.shape
    both = np.hstack([above, below])
    sums = np.empty((replicates, 2 * columns))
    for i, draw in enumerate(draws(n, replicates, seed)):
        sums[i] = np.bincount(draw, minlength=n) @ both
    drawn, values = (_ratio(x[..., :columns], x[..., columns:]) for x in (sums, both.sum(axis=0)))
    return [with_interval(float(value), column) for value, column in zip(values, drawn.T, strict=True)]


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return result


def number(value: float) -> float | None:
    """`value` as JSON can hold it: None for NaN."""
    return None if math.isnan(value) else float(value)


def mean(values: ArrayLike) -> float:
    """Mean of the values that are defined; NaN if none is."""
    defined = np.asarray(values, float)
    defined = defined[~np.isnan(defined)]
    return float(defined.mean()) if defined.size else math.nan
