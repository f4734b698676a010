"""One metric of a report: read it from the dict, and format it.

Conventions
-----------
- A metric in the report dict is ``{"value", "interval": [low, high]}`` or a plain number. None, and a missing path,
  mean that it was not measured or is undefined: both are read as None.
- Shares are in [0, 1] in the dict and in all code; only `percent` multiplies by 100, where the paper does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN = "–"
"""Shown where there is no metric."""

Style = Callable[[float], str]


@dataclass(frozen=True)
class Metric:
    """A number, with its 95 % interval if it has one.

    Attributes:
        value: The number.
        interval: Its ends, or None.

    Example:
        >>> Metric(0.8, (0.7, 0.9)).overlaps(Metric(1.0, (0.9, 1.1)))
        True
    """

    value: float
    interval: tuple[float, float] | None = None

    def overlaps(self, other: "Metric") -> bool | None:
        """Return whether the two intervals have a point in common; None if either metric has no interval."""
        if self.interval is None or other.interval is None:
            return None
        return self.interval[0] <= other.interval[1] and other.interval[0] <= self.interval[1]


def metric_at(part: Mapping[str, Any], *path: str) -> Metric | None:
    """Return the metric at a path in a part of the report, or None.

    Example:
        >>> metric_at({"tagging": {"roc_auc": {"value": 0.9, "interval": [0.8, 1]}}}, "tagging", "roc_auc")
        Metric(value=0.9, interval=(0.8, 1.0))
    """
    found: Any = part
    for key in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    interval = None
    if isinstance(found, Mapping):
        ends = found.get("interval")
        if ends and None not in ends:
            interval = (float(ends[0]), float(ends[1]))
        found = found.get("value")
    return None if found is None else Metric(float(found), interval)


def decimal(value: float) -> str:
    """Format with three decimals: ``0.815``."""
    return f"{value:.3f}"


def percent(value: float) -> str:
    """Format a share in percent, with one decimal and no sign: ``31.8``."""
    return f"{100 * value:.1f}"


def ratio(value: float) -> str:
    """Format with two decimals: ``1.87``."""
    return f"{value:.2f}"


def seconds(value: float) -> str:
    """Format with one decimal."""
    return f"{value:.1f}"


def whole(value: float) -> str:
    """Format an integer, with commas between thousands."""
    return f"{value:,.0f}"


def text(metric: Metric | None, style: Style) -> str:
    """Format the value only."""
    return UNKNOWN if metric is None else style(metric.value)


def interval_text(metric: Metric | None, style: Style) -> str:
    """Format the interval: ``0.801 to 0.829``, or nothing."""
    if metric is None or metric.interval is None:
        return ""
    low, high = metric.interval
    return f"{style(low)} to {style(high)}"


def full_text(metric: Metric | None, style: Style) -> str:
    """Format the value, and the interval if there is one.

    Example:
        >>> full_text(Metric(0.815, (0.801, 0.829)), decimal)
        '0.815 (0.801 to 0.829)'
    """
    interval = interval_text(metric, style)
    return f"{text(metric, style)} ({interval})" if interval else text(metric, style)
