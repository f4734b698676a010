import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from musiczoo.errors import InputError
from musiczoo.evaluation.metrics import agreement


@pytest.mark.parametrize("levels", [3, 10, 100000])
@pytest.mark.parametrize("seed", range(4))
def test_spearman_equals_scipys(seed, levels):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(levels, size=(2, 7, 50))
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(agreement.spearman(a, b), expected, rtol=0, atol=1e-12)


def test_spearman_by_hand():
    """Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15) = 0.6."""
    assert agreement.spearman([[1, 5, 7, 9]], [[20, 10, 40, 30]]) == pytest.approx([0.6], abs=1e-15)


def test_spearman_with_ties_by_hand():
    """Mid-ranks 1 2.5 2.5 4 against 1 2 3 4: 4.5 / sqrt(4.5 * 5)."""
    assert agreement.spearman([[0, 1, 1, 2]], [[1, 2, 3, 4]]) == pytest.approx([4.5 / math.sqrt(22.5)])


def test_spearman_of_a_constant_row_is_not_defined():
    result = agreement.spearman([[0.1, 0.1, 0.1], [1, 2, 3]], [[1, 2, 3], [3, 2, 1]])
    assert math.isnan(result[0])
    assert result[1] == -1


def test_top_tags_are_the_k_highest_and_the_first_of_equals():
    scores = [[0.1, 0.9, 0.5, 0.5], [0.2, 0.2, 0.2, 0.2]]
    np.testing.assert_array_equal(
        agreement.top_tags(scores, k=2), [[False, True, True, False], [True, True, False, False]]
    )


def test_top_k_overlap_by_hand():
    a = [[9, 8, 7, 0, 0, 0], [9, 8, 7, 0, 0, 0]]
    b = [[0, 9, 8, 7, 0, 0], [0, 0, 0, 7, 8, 9]]
    np.testing.assert_array_equal(agreement.top_k_overlap(a, b, k=3), [2, 0])


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_tracks_and_tags_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 6, 9))
    rows, columns = rng.permutation(6), rng.permutation(9)
    shuffled = a[rows][:, columns], b[rows][:, columns]
    np.testing.assert_allclose(agreement.spearman(*shuffled), agreement.spearman(a, b)[rows], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(agreement.top_k_overlap(*shuffled), agreement.top_k_overlap(a, b)[rows])


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_a_tagger_agrees_with_itself_on_any_scale(seed, k):
    a = np.random.default_rng(seed).integers(100, size=(4, 9)) + np.arange(9) / 100
    b = np.exp(a / 50)
    np.testing.assert_allclose(agreement.spearman(a, b), 1, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(agreement.top_k_overlap(a, b, k), k)


def test_order_of_tags_is_distinguished_from_order_of_tracks():
    """One row of scores for all tracks: right by track, silent by tag."""
    reference = np.tile(np.linspace(0.9, 0.1, 8), (5, 1)) + 1e-3 * np.arange(5)[:, np.newaxis]
    scores = np.tile(np.linspace(0.9, 0.1, 8), (5, 1))
    result = agreement.teacher_agreement(scores, reference, list("abcdefgh"), k=3)
    assert result["tracks"] == 5
    assert result["k"] == 3
    assert result["spearman_by_track"] == {"value": pytest.approx(1), "interval": [pytest.approx(1)] * 2}
    assert result["spearman"] == {"value": None, "interval": [None, None]}
    assert result["top_k_overlap"] == {"value": 3, "interval": [3, 3]}
    assert result["left_out"] == list("abcdefgh")  # all tracks have a, b, c, and none the rest


def test_evaluate_of_a_tagger_with_itself_is_json():
    scores = np.random.default_rng(0).random((30, 8))
    result = json.loads(json.dumps(agreement.teacher_agreement(scores, scores, list("abcdefgh"), k=2), allow_nan=False))
    for name in ("spearman", "spearman_by_track"):
        assert result[name] == {"value": pytest.approx(1), "interval": [pytest.approx(1)] * 2}
    assert result["top_k_overlap"]["value"] == 2
    assert sum(tag["positives"] for tag in result["tags"].values()) == 30 * 2


def test_evaluate_takes_the_tags_of_the_reference_as_the_truth():
    rng = np.random.default_rng(1)
    scores, reference = rng.random((2, 30, 8))
    truth = reference >= np.sort(reference, axis=1)[:, -3:-2]
    result = agreement.teacher_agreement(scores, reference, list("abcdefgh"), k=3)
    assert result["left_out"] == []
    assert "roc_auc" not in result  # which is the metric of tagging, by another rule
    assert result["teacher_roc_auc"]["value"] == pytest.approx(roc_auc_score(truth, scores, average="macro"))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([0.1, 0.2], [0.1, 0.2], r"got \(2,\)"),
        ([[0.1, 0.2]], [[0.1]], r"got \(1, 2\) and \(1, 1\)"),
        (np.zeros((3, 0)), np.zeros((3, 0)), r"got \(3, 0\)"),
        ([[0.1, math.nan]], [[0.1, 0.2]], "NaN"),
        ([[0.1, 0.2]], [[0.1, -math.inf]], "infinity"),
    ],
)
def test_validate_says_what_is_wrong(a, b, message):
    for function in (agreement.validate, agreement.spearman, agreement.top_k_overlap):
        with pytest.raises(InputError, match=message):
            function(a, b)


@pytest.mark.parametrize("k", [0, 3])
def test_k_lies_between_one_and_the_number_of_tags(k):
    with pytest.raises(InputError, match=r"between 1 and 2, .* got"):
        agreement.top_tags([[0.1, 0.2]], k)


def test_reports_of_before_get_todays_names():
    metrics = {
        "spearman": 0.8,
        "roc_auc": 0.9,
        "average_precision": 0.7,
        "tags": {"rock": {"positives": 3, "roc_auc": 1}},
    }
    assert agreement.current_names(metrics) == {
        "spearman": 0.8, "teacher_roc_auc": 0.9, "teacher_average_precision": 0.7,
        "tags": {"rock": {"positives": 3, "teacher_roc_auc": 1}},
    }  # fmt: skip
    assert agreement.current_names(agreement.current_names(metrics)) == agreement.current_names(metrics)
