"""One figure of a report: how it is found, and how it is written.

Conventions
-----------
- A figure in the report dict is ``{"value", "interval": [low, high]}`` or a bare number. None, and a path that
  leads nowhere, mean that it was not measured or is not defined: both read as None.
- Shares are in [0, 1] in the dict and in all code; only `percent` multiplies by 100, where the paper does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN = "–"
"""What stands where there is no figure."""

Style = Callable[[float], str]


@dataclass(frozen=True)
class Figure:
    """A number, and its 95 % interval where there is one."""

    value: float
    interval: tuple[float, float] | None = None

    def overlaps(self, other: "Figure") -> bool | None:
        """Whether the two intervals have a point in common; None if either figure has none."""
        if self.interval is None or other.interval is None:
            return None
        return self.interval[0] <= other.interval[1] and other.interval[0] <= self.interval[1]


def figure(part: Mapping[str, Any], *path: str) -> Figure | None:
    """The figure at `path` in a part of the report, or None."""
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
    return None if found is None else Figure(float(found), interval)


def decimal(value: float) -> str:
    """Three decimals: ``0.815``."""
    return f"{value:.3f}"


def percent(value: float) -> str:
    """A share in percent, with one decimal and no sign: ``31.8``."""
    return f"{100 * value:.1f}"


def ratio(value: float) -> str:
    """Two decimals: ``1.87``."""
    return f"{value:.2f}"


def seconds(value: float) -> str:
    """One decimal."""
    return f"{value:.1f}"


def whole(value: float) -> str:
    """An integer, with commas between thousands."""
    return f"{value:,.0f}"


def text(figure: Figure | None, style: Style) -> str:
    """The value alone."""
    return UNKNOWN if figure is None else style(figure.value)


def interval_text(figure: Figure | None, style: Style) -> str:
    """``0.801 to 0.829``, or nothing."""
    if figure is None or figure.interval is None:
        return ""
    low, high = figure.interval
    return f"{style(low)} to {style(high)}"


def full_text(figure: Figure | None, style: Style) -> str:
    """``0.815 (0.801 to 0.829)``: the value, and the interval if there is one."""
    interval = interval_text(figure, style)
    return f"{text(figure, style)} ({interval})" if interval else text(figure, style)
