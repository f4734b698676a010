import re

import pytest

from musiczoo.evaluation.report import svg
from musiczoo.evaluation.report.metric import Metric, decimal
from musiczoo.evaluation.report.svg import Bar, Row, Scale


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found, pattern
    return float(found[1])


@pytest.mark.parametrize(
    ("values", "low", "ticks"),
    [((0.7, 0.9), 0.5, 6), ((0.5,), 0.5, 6), ((0.45, 0.9), 0.4, 4), ((0.25,), 0.2, 5), ((0.1,), 0, 6), ((), 0.5, 6)],
)
def test_accuracies_begin_at_chance_or_lower(values, low, ticks):
    scale = svg.accuracy_scale([*map(Metric, values), None])
    assert scale.low == pytest.approx(low)
    assert len(scale.ticks()) == ticks
    assert scale.ticks()[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("highest", "step", "end"), [(1, 0.2, 1), (1.3, 0.5, 1.5), (3.05, 1, 4), (12, 5, 15), (50, 10, 50), (730, 200, 800)]
)
def test_ratios_have_round_steps(highest, step, end):
    scale = svg.ratio_scale([Metric(highest), None])
    assert (scale.low, scale.step, scale.high) == pytest.approx((0, step, end))
    assert len(scale.ticks()) <= 6


def test_a_bar_is_as_long_as_its_value_says():
    """Half-way on the axis: half of its length; the whisker from 0.25 to 0.75 is as long as the bar."""
    scale = Scale(0, 1, 0.5, decimal)
    drawn = svg.bars([Row("a", (Bar("sub", Metric(0.5, (0.25, 0.75)), Metric(1.0)),))], scale, decimal, "Test")
    length = scale.x(1) - scale.x(0)
    assert number(r'class="sub"[^>]* width="([\d.]+)"', drawn) == pytest.approx(length / 2, abs=0.1)
    low, high = (number(rf'class="whisker" d="M{p}', drawn) for p in (r"([\d.]+)", r"[\d.]+ [\d.]+H([\d.]+)"))
    assert high - low == pytest.approx(length / 2, abs=0.11)
    assert number(r'class="paper" d="M([\d.]+)', drawn) == pytest.approx(scale.x(1), abs=0.1)
    assert 'aria-label="Test: a 0.500 (0.250 to 0.750)."' in drawn


def test_values_off_the_axis_stay_in_the_drawing():
    scale = Scale(0, 1, 0.5, decimal)
    assert scale.x(2) == scale.x(1)
    assert scale.x(-2) == scale.x(0)


def test_points_keep_their_proportions():
    """A square of side 2: its corners are the corners of a square in pixels, y upwards."""
    drawn = svg.scatter([[0, 0], [2, 0], [0, 2]], [("first", [True] * 3)], "Test")
    (a, b, c) = [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h", drawn)]
    assert b[0] - a[0] == pytest.approx(a[1] - c[1])
    assert (a[1], a[0]) == (b[1], c[0])
    assert b[0] - a[0] > 0.9 * svg.SQUARE


def test_a_group_without_points_draws_nothing():
    drawn = svg.scatter([[0, 0]], [("first", [False]), ("second", [True])], "Test")
    assert 'class="points second"' in drawn
    assert 'class="points first"' not in drawn


def test_reliability_draws_the_bins_that_hold_something():
    drawn = svg.reliability([0.05, None, 0.5], [0.1, None, 0.4], [30, 0, 10], "Test")
    assert drawn.count("<circle") == 2
    assert "10 of mean probability 0.500: 0.400 positive" in drawn
    assert "none" in svg.reliability([None], [None], [0], "Test")
