import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, roc_auc_score

from musiczoo.errors import InputError
from musiczoo.evaluation import bootstrap
from musiczoo.evaluation.metrics import tagging


def random_case(seed: int, levels: int, rows: int = 40, columns: int = 6):
    """Scores of few levels (many ties) and positives with both classes in every column."""
    rng = np.random.default_rng(seed)
    positives = rng.random((rows, columns)) < 0.3
    positives[0], positives[1] = True, False
    return rng.integers(levels, size=(rows, columns)) / levels, positives


@pytest.mark.parametrize("levels", [1, 2, 5, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_scikit_learns(seed, levels):
    scores, positives = random_case(seed, levels)
    for metric, reference in (
        (tagging.roc_auc, roc_auc_score),
        (tagging.average_precision, average_precision_score),
    ):
        expected = [reference(positives[:, i], scores[:, i]) for i in range(scores.shape[1])]
        np.testing.assert_allclose(metric(scores, positives), expected, rtol=0, atol=1e-12)


def test_roc_auc_by_hand():
    """Positives 0.8 and 0.4 against negatives 0.6, 0.4: wins 2, 0 + half a tie -> 2.5 of 4 pairs."""
    assert tagging.roc_auc([[0.8], [0.4], [0.6], [0.4]], [[1], [1], [0], [0]]) == pytest.approx([2.5 / 4], abs=0)


def test_average_precision_by_hand():
    """At 0.8: 1 of 1. At 0.4, tied with a negative, below another: 2 of 4. Mean (1 + 1/2) / 2."""
    assert tagging.average_precision([[0.8], [0.4], [0.6], [0.4]], [[1], [1], [0], [0]]) == pytest.approx([0.75])


def test_metrics_are_not_defined_without_both_classes():
    scores = np.arange(6.0).reshape(3, 2)
    positives = np.array([[1, 0], [1, 0], [1, 0]])
    assert np.isnan(tagging.roc_auc(scores, positives)).all()
    precision = tagging.average_precision(scores, positives)
    assert precision[0] == 1
    assert math.isnan(precision[1])


@pytest.mark.parametrize("seed", range(5))
def test_mid_ranks_equal_scipys(seed):
    values = np.random.default_rng(seed).integers(6, size=(30, 4))
    np.testing.assert_array_equal(tagging.mid_ranks(values), rankdata(values, axis=0))


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_the_order_of_the_tracks_does_not_matter(seed, levels):
    scores, positives = random_case(seed, levels, rows=12, columns=3)
    order = np.random.default_rng(seed).permutation(len(scores))
    for metric in (tagging.roc_auc, tagging.average_precision):
        np.testing.assert_allclose(
            metric(scores[order], positives[order]), metric(scores, positives), rtol=0, atol=1e-12
        )


@given(st.integers(0, 2**32 - 1))
def test_reversed_scores_mirror_the_auc(seed):
    scores, positives = random_case(seed, levels=4, rows=12, columns=3)
    np.testing.assert_allclose(tagging.roc_auc(-scores, positives), 1 - tagging.roc_auc(scores, positives), atol=1e-12)


def test_reliability_by_hand():
    """0.05 and 0.1 in the bins 0 and 1, 0.95 and 1.0 both in the last: mean 0.975, one of two comes true."""
    result = tagging.reliability([[0.05, 0.1], [0.95, 1.0]], [[0, 1], [1, 0]])
    assert result["edges"] == pytest.approx([i / 10 for i in range(11)])
    assert result["count"] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert result["mean_probability"] == [0.05, 0.1, *[None] * 7, pytest.approx(0.975)]
    assert result["share_positive"] == [0, 1, *[None] * 7, 0.5]


@pytest.mark.parametrize("seed", range(3))
def test_reliability_equals_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.random((200, 4)) ** 2
    positives = rng.random((200, 4)) < probabilities
    result = tagging.reliability(probabilities, positives)
    share, mean = calibration_curve(positives.ravel(), probabilities.ravel(), n_bins=10)
    np.testing.assert_allclose([v for v in result["share_positive"] if v is not None], share, rtol=0, atol=1e-12)
    np.testing.assert_allclose([v for v in result["mean_probability"] if v is not None], mean, rtol=0, atol=1e-12)
    assert sum(result["count"]) == 800


def test_reliability_wants_probabilities():
    with pytest.raises(InputError, match="Are they logits"):
        tagging.reliability([[0.5], [1.5]], [[0], [1]])


def test_evaluate_lists_the_tags_it_leaves_out():
    scores = np.array([[0.9, 0.1, 0.3], [0.8, 0.2, 0.3], [0.7, 0.9, 0.3], [0.1, 0.8, 0.3]])
    positives = np.array([[1, 1, 1], [1, 0, 1], [1, 0, 1], [0, 0, 1]])
    result = tagging.evaluate(scores, positives, ["rock", "jazz", "pop"])
    assert result["left_out"] == ["jazz", "pop"]  # one track carries jazz; all carry pop
    assert result["roc_auc"]["value"] == 1
    jazz = result["tags"]["jazz"]
    assert (jazz["positives"], jazz["roc_auc"]["value"], jazz["average_precision"]["value"]) == (1, 0, 0.25)
    assert result["tags"]["pop"]["roc_auc"] == {"value": None, "interval": [None, None]}
    assert tagging.evaluate(scores, positives, ["rock", "jazz", "pop"], min_positives=1)["left_out"] == ["pop"]


def test_evaluate_without_a_usable_tag_has_no_macro_metric():
    result = tagging.evaluate([[0.1], [0.2]], [[1], [0]], ["rock"])
    assert result["roc_auc"] == {"value": None, "interval": [None, None]}
    assert result["left_out"] == ["rock"]


def test_evaluate_macro_is_the_mean_over_tags_inside_its_interval():
    scores, positives = random_case(3, levels=50)
    result = tagging.evaluate(scores, positives, list("abcdef"))
    assert result["left_out"] == []
    for name in ("roc_auc", "average_precision"):
        low, high = result[name]["interval"]
        assert low < result[name]["value"] < high
        values = [tag[name]["value"] for tag in result["tags"].values()]
        assert result[name]["value"] == pytest.approx(np.mean(values))


def test_each_tag_has_the_interval_that_it_would_have_alone():
    scores, positives = random_case(3, levels=50)
    for name in ("roc_auc", "average_precision"):
        metric = getattr(tagging, name)
        for column, metrics in enumerate(tagging.evaluate(scores, positives, list("abcdef"))["tags"].values()):
            one = slice(column, column + 1)
            alone = bootstrap.interval(lambda s, p, metric=metric: metric(s, p)[0], scores[:, one], positives[:, one])
            assert metrics[name]["interval"] == pytest.approx(alone)


@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_resampled_metrics_are_those_of_the_rows_that_were_drawn(levels):
    """Equal to drawing rows and computing each metric anew, whether scores are tied or not, and tags rare or on all."""
    scores, positives = random_case(5, levels=levels)
    positives = positives.copy()
    positives[:, 0], positives[:, 1] = 0, 1
    positives[:, 2] = np.arange(len(positives)) == 3  # a replicate may lack it
    found = tagging.resampled(scores, positives, replicates=60, seed=4)
    for name in ("roc_auc", "average_precision"):
        expected = bootstrap.resample(getattr(tagging, name), scores, positives, replicates=60, seed=4)
        np.testing.assert_allclose(found[name], expected, atol=1e-12)
    assert 0 < np.isnan(found["average_precision"][:, 2]).sum() < 60


@pytest.mark.parametrize(
    ("scores", "positives", "message"),
    [
        ([0.1, 0.2], [0, 1], r"got \(2,\)"),
        ([[0.1, 0.2]], [[0], [1]], r"got \(1, 2\) and \(2, 1\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), r"got \(0, 3\)"),
        ([[0.1, math.nan]], [[0, 1]], "NaN"),
        ([[0.1, math.inf]], [[0, 1]], "infinity"),
        ([[0.1, 0.2]], [[0, 0.5]], "hard_tags"),
        ([[0.1, 0.2]], [[0, 2]], "0 and 1"),
        ([[0.1, 0.2]], [[0, math.nan]], "0 and 1"),
    ],
)
def test_validate_says_what_is_wrong(scores, positives, message):
    for function in (tagging.validate, tagging.roc_auc, tagging.average_precision):
        with pytest.raises(InputError, match=message):
            function(scores, positives)


def test_evaluate_wants_a_name_per_column():
    with pytest.raises(InputError, match="Expected 2 tags"):
        tagging.evaluate([[0.1, 0.2], [0.2, 0.1]], [[0, 1], [1, 0]], ["rock"])
