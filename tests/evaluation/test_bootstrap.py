"""Bootstrap intervals, against scipy, the normal distribution and loops."""

import math

import numpy as np
import pytest
import scipy.stats

from musiczoo.errors import InputError
from musiczoo.evaluation import bootstrap
from musiczoo.evaluation.metrics import agreement, retrieval, tagging, triplets


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_interval_is_near_that_of_scipy(statistic):
    values = np.random.default_rng(3).gamma(2, size=60)
    expected = scipy.stats.bootstrap(
        (values,), statistic, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0), vectorized=False
    ).confidence_interval
    assert bootstrap.interval(statistic, values, replicates=20_000) == pytest.approx(tuple(expected), abs=0.02)


def test_groups_are_drawn_whole():
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    members = {"a": [1, 4], "b": [0, 2, 5], "c": [3]}
    sizes = set()
    for draw in bootstrap.draws(6, 200, groups=groups):
        count = np.bincount(draw, minlength=6)
        for rows in members.values():
            assert len(set(count[rows])) == 1
        assert sum(count[rows[0]] for rows in members.values()) == 3
        sizes.add(len(draw))
    assert sizes == {3, 4, 5, 6, 7, 8, 9}


def test_interval_over_groups_is_near_that_of_scipy_over_their_means():
    """Groups of equal size: the mean over tracks is the mean over groups of their means."""
    rng = np.random.default_rng(4)
    means = rng.normal(size=25)
    values, groups = np.repeat(means, 8) + rng.normal(scale=0.1, size=200), np.repeat(np.arange(25), 8)
    expected = scipy.stats.bootstrap(
        (values.reshape(25, 8).mean(axis=1),), np.mean, n_resamples=20_000, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    found = bootstrap.interval(np.mean, values, replicates=20_000, groups=groups)
    assert found == pytest.approx(tuple(expected), abs=0.02)
    low, high = bootstrap.interval(np.mean, values)
    assert high - low < 0.6 * (found[1] - found[0])  # tracks taken as independent: too narrow


def test_each_track_a_group_gives_the_draws_without_groups():
    plain, grouped = bootstrap.draws(9, 5, 1), bootstrap.draws(9, 5, 1, groups=np.arange(9))
    for a, b in zip(plain, grouped, strict=True):
        np.testing.assert_array_equal(a, b)


def test_groups_need_an_entry_for_each_track():
    with pytest.raises(InputError, match=r"groups of shape \(3,\), .* got \(2,\)"):
        bootstrap.interval(np.mean, [1, 2, 3], groups=[0, 0])


def test_all_metrics_take_groups():
    """Where all tracks are one group, a sample is the tracks themselves: the interval is the value."""
    rng = np.random.default_rng(5)
    scores, positives, vectors = rng.random((12, 4)), rng.random((12, 4)) < 0.5, rng.normal(size=(12, 3))
    one, tags = np.zeros(12), list("abcd")
    lists = triplets.draw(positives, tags, {"genre": tags}, 50)
    found = [
        tagging.evaluate(scores, positives, tags, groups=one)["roc_auc"],
        agreement.teacher_agreement(scores, rng.random((12, 4)), tags, 2, groups=one)["spearman"],
        retrieval.evaluate(retrieval.nearest(vectors, 4), positives, groups=one)["recall"]["2"],
        triplets.evaluate({"genre": vectors}, lists, groups=one)["overall"],
    ]
    for metric in found:
        assert metric["interval"] == pytest.approx([metric["value"]] * 2, abs=1e-12)


def test_interval_of_a_mean_is_near_the_normal_one():
    """A mean of 400 standard normal values has standard error 1/20: 95 % within 1.96/20 of it."""
    values = np.random.default_rng(1).standard_normal(400)
    values = (values - values.mean()) / values.std()
    low, high = bootstrap.interval(np.mean, values)
    assert low == pytest.approx(-1.96 / 20, abs=0.01)
    assert high == pytest.approx(1.96 / 20, abs=0.01)


def test_interval_is_the_same_for_the_same_seed_and_draws_rows_together():
    a = np.arange(20.0)
    assert bootstrap.interval(np.mean, a, seed=4) == bootstrap.interval(np.mean, a, seed=4)
    assert bootstrap.interval(np.mean, a, seed=4) != bootstrap.interval(np.mean, a, seed=5)
    assert bootstrap.interval(lambda x, y: float(np.abs(x - y).max()), a, a) == (0, 0)


def test_interval_leaves_out_replicates_without_a_value():
    low, high = bootstrap.interval(lambda x: math.nan if x[0] == 0 else 7.0, np.arange(2))
    assert (low, high) == (7, 7)
    assert np.isnan(bootstrap.interval(lambda x: math.nan, np.arange(2))).all()


def test_ratio_metrics_equal_the_interval_of_each_ratio():
    rng = np.random.default_rng(2)
    above, below = rng.random((2, 30, 3))
    for i, found in enumerate(bootstrap.ratio_metrics(above, below, seed=5)):
        expected = bootstrap.metric(lambda a, b: a.sum() / b.sum(), above[:, i], below[:, i], seed=5)
        assert found["value"] == pytest.approx(expected["value"], abs=1e-12)
        assert found["interval"] == pytest.approx(expected["interval"], abs=1e-12)


def test_ratio_metrics_leave_out_replicates_without_a_value():
    """The second track alone has a denominator: a draw without it defines nothing, all others 7."""
    found = bootstrap.ratio_metrics([[0, 0], [7, 0]], [[0, 0], [1, 0]])
    assert found == [{"value": 7, "interval": [7, 7]}, {"value": None, "interval": [None, None]}]
    with pytest.raises(InputError, match="one shape"):
        bootstrap.ratio_metrics([[1.0]], [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        (([],), {}, r"got \[0\] rows"),
        (([1, 2], [1]), {}, r"got \[1, 2\] rows"),
        ((3.0,), {}, r"got \[0\] rows"),
        (([1, 2],), {"replicates": 0}, "replicates must be 1 or more, got 0"),
        (([1, 2],), {"confidence": 1.0}, "confidence must be between 0 and 1, got 1.0"),
    ],
)
def test_interval_refuses_what_it_cannot_draw_from(arrays, options, message):
    with pytest.raises(InputError, match=message):
        bootstrap.interval(np.mean, *arrays, **options)
