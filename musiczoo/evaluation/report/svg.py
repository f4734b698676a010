"""SVG drawings: bars with intervals, scatter plots, reliability diagrams.

Conventions
-----------
- A drawing has a fixed size in CSS pixels and is never scaled, so that its text has `TEXT` pixels on every screen;
  `WIDTH` fits on a phone. Colours are CSS classes of the page, which has a light and a dark theme.
- The ``aria-label`` of a drawing contains its values.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from .metric import Metric, Style, decimal, full_text

WIDTH = 280
SQUARE = 280
TEXT = 12
_LINE, _BAR, _GAP = 16, 10, 6
_VALUE = 46  # pixels right of the bars for their values
_MARGIN = 10


@dataclass(frozen=True)
class Bar:
    """A bar: its CSS class, its metric (None: not measured), and the paper's value if it is marked."""

    kind: str
    metric: Metric | None
    paper: Metric | None = None


@dataclass(frozen=True)
class Row:
    """A name with its bars below."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Scale:
    """A horizontal axis from `low` to `high`; bars start at `low`."""

    low: float
    high: float
    step: float
    style: Style

    def x(self, value: float) -> float:
        """Return the position of a value in pixels from the left; values outside the axis are at its end."""
        inside = min(max(value, self.low), self.high)
        return _MARGIN + (WIDTH - _VALUE - 2 * _MARGIN) * (inside - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return the labelled values of the axis."""
        return [self.low + i * self.step for i in range(round((self.high - self.low) / self.step) + 1)]


def accuracy_scale(metrics: Sequence[Metric | None]) -> Scale:
    """Return a scale from chance, 0.5, to 1; from 0.4, 0.2 or 0 if a value is lower."""
    lowest = min((item.value for item in metrics if item), default=0.5)
    low, step = (0.5, 0.1) if lowest >= 0.5 else (math.floor(5 * lowest) / 5, 0.2)
    return Scale(low, 1, step, lambda value: f"{value:.1g}")


def ratio_scale(metrics: Sequence[Metric | None]) -> Scale:
    """Return a scale from 0 to at least the highest value, in at most five round steps."""
    highest = max([1.0, *(item.value for item in metrics if item)])
    exponent = 10 ** math.floor(math.log10(highest / 5))
    step = next(m * exponent for m in (1, 2, 5, 10) if 5 * m * exponent >= highest)
    return Scale(0, step * math.ceil(highest / step - 1e-9), step, lambda value: f"{value:g}")


def bars(rows: Sequence[Row], scale: Scale, style: Style, alt: str) -> str:
    """Draw rows of horizontal bars with names above them, intervals as whiskers and values on the right."""
    parts: list[str] = []
    y = 0
    for row in rows:
        parts.append(f'<text x="{_MARGIN}" y="{y + TEXT - 1}">{_escape(row.name)}</text>')
        y += _LINE
        for bar in row.bars:
            parts.append(_bar(bar, scale, style, y, row.name))
            y += _BAR + 3
        y += _GAP
    axis = "".join(
        f'<path class="grid" d="M{scale.x(tick):.1f} 0V{y}"/>'
        f'<text class="tick" x="{scale.x(tick):.1f}" y="{y + TEXT + 1}">{scale.style(tick)}</text>'
        for tick in scale.ticks()
    )
    described = "; ".join(
        f"{row.name} {' and '.join(full_text(bar.metric, style) for bar in row.bars)}" for row in rows if row.bars
    )
    return _svg(WIDTH, y + TEXT + _GAP, f"{alt}: {described}.", axis + "".join(parts))


def scatter(points: Sequence[Sequence[float]], groups: Sequence[tuple[str, Sequence[bool]]], alt: str) -> str:
    """Draw points in a square; `groups` are CSS classes with a flag for each point, later ones on top."""
    xs, ys = ([float(point[axis]) for point in points] for axis in (0, 1))
    extent = max(max(values) - min(values) for values in (xs, ys)) or 1.0
    room = SQUARE - 2 * _MARGIN

    def place(value: float, values: list[float]) -> float:
        return _MARGIN + room * ((value - (min(values) + max(values)) / 2) / extent + 0.5)

    drawn = []
    for kind, flags in groups:
        # The round caps of very short lines are dots: one short path draws thousands of points.
        path = "".join(
            f"M{place(x, xs):.1f} {SQUARE - place(y, ys):.1f}h.1" for x, y, on in zip(xs, ys, flags, strict=True) if on
        )
        drawn.append(f'<path class="points {kind}" d="{path}"/>' if path else "")
    frame = f'<rect class="frame" x=".5" y=".5" width="{SQUARE - 1}" height="{SQUARE - 1}"/>'
    return _svg(SQUARE, SQUARE, f"{alt}, {len(points)} points.", frame + "".join(drawn))


def reliability(
    probabilities: Sequence[float | None], shares: Sequence[float | None], counts: Sequence[int], alt: str
) -> str:
    """Draw mean probability (horizontal) and share of positives (vertical), one disc per bin, its area by the count."""
    left, size = 34, 216
    total = max(counts, default=0) or 1

    def at(x: float, y: float) -> str:
        return f"{left + size * x:.1f} {_MARGIN + size * (1 - y):.1f}"

    ticks = "".join(
        f'<path class="grid" d="M{at(v, 0)}L{at(v, 1)}M{at(0, v)}L{at(1, v)}"/>'
        f'<text class="tick" x="{left + size * v:.1f}" y="{_MARGIN + size + TEXT + 3}">{v:g}</text>'
        f'<text class="side" x="{left - 5}" y="{_MARGIN + size * (1 - v) + 4:.1f}">{v:g}</text>'
        for v in (0, 0.5, 1)
    )
    known = [
        (p, s, n) for p, s, n in zip(probabilities, shares, counts, strict=True) if p is not None and s is not None
    ]
    line = "L".join(at(p, s) for p, s, _ in known)
    discs = "".join(
        f'<circle class="disc" r="{3 + 7 * math.sqrt(n / total):.1f}" transform="translate({at(p, s)})">'
        f"<title>{n} of mean probability {decimal(p)}: {decimal(s)} positive</title></circle>"
        for p, s, n in known
    )
    described = "; ".join(f"{decimal(p)} and {decimal(s)}" for p, s, _ in known)
    body = f'{ticks}<path class="ideal" d="M{at(0, 0)}L{at(1, 1)}"/>' + (
        f'<path class="line" d="M{line}"/>' if line else ""
    )
    return _svg(
        SQUARE,
        _MARGIN + size + TEXT + 8,
        f"{alt}, mean probability and share of positives: {described or 'none'}.",
        body + discs,
    )


def _bar(bar: Bar, scale: Scale, style: Style, y: int, name: str) -> str:
    middle = y + _BAR / 2
    parts = []
    if bar.metric is not None:
        start, end = scale.x(scale.low), scale.x(bar.metric.value)
        parts.append(f'<rect class="{bar.kind}" x="{start:.1f}" y="{y}" width="{end - start:.1f}" height="{_BAR}"/>')
        if bar.metric.interval is not None:
            low, high = (f"{scale.x(value):.1f}" for value in bar.metric.interval)
            parts.append(
                f'<path class="whisker" d="M{low} {middle}H{high}M{low} {y + 2}v{_BAR - 4}M{high} {y + 2}v{_BAR - 4}"/>'
            )
    if bar.paper is not None:
        x = scale.x(bar.paper.value)
        parts.append(f'<path class="paper" d="M{x:.1f} {y - 1}v{_BAR + 2}"/>')
    shown = "–" if bar.metric is None else style(bar.metric.value)
    parts.append(f'<text class="value" x="{WIDTH}" y="{y + _BAR}">{shown}</text>')
    return f"<g><title>{_escape(name)}: {full_text(bar.metric, style)}</title>{''.join(parts)}</g>"


def _svg(width: float, height: float, alt: str, body: str) -> str:
    return (
        f'<svg role="img" aria-label="{_escape(alt)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{body}</svg>'
    )


def _escape(text: str) -> str:
    return html.escape(" ".join(text.split()))
