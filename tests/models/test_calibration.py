"""Platt scaling, thresholds and calibration error, compared with their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

pytest.importorskip("tensorflow")

from musiczoo.errors import InputError
from musiczoo.models import calibration

pytestmark = pytest.mark.train


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x)))


def f1(positive, given):
    """2 TP / (2 TP + FP + FN)."""
    hits = np.sum(positive & given)
    return 2 * hits / (np.sum(positive) + np.sum(given))


def best_f1(positive, probability):
    """By trying each probability as the threshold."""
    return max(f1(positive, probability >= threshold) for threshold in probability)


def naive_loss(scale, offset, x, t):
    """The documented objective for one tag, term by term."""
    p = sigmoid(scale * x + offset)
    entropy = -np.sum(t * np.log(p) + (1 - t) * np.log(1 - p))
    scale_prior = (scale - 1) ** 2 / (2 * calibration.SCALE_DEVIATION**2)
    moved = scale * x.mean() + offset - x.mean()
    return entropy + scale_prior + moved**2 / (2 * calibration.SHIFT_DEVIATION**2)


def test_fit_recovers_scale_and_offset():
    rng = np.random.default_rng(0)
    logits = rng.normal([-3, 0, 1, -1], [1, 2, 1, 3], size=(20000, 4))
    scale, offset = np.array([0.6, 1.8, 1.0, 0.3]), np.array([-1.5, 0.7, 0.0, 2.0])
    fitted = calibration.fit_calibration(logits, sigmoid(scale * logits + offset))
    np.testing.assert_allclose(fitted.scale, scale, atol=5e-3)
    np.testing.assert_allclose(fitted.offset, offset, atol=1e-2)


def test_fit_is_the_minimum_that_a_general_optimiser_finds():
    rng = np.random.default_rng(1)
    logits = rng.normal(-2, 1.5, size=(60, 5))
    targets = rng.random((60, 5)) ** 3
    fitted = calibration.fit_calibration(logits, targets)
    for i in range(5):
        best = minimize(
            lambda v, i=i: naive_loss(*v, logits[:, i], targets[:, i]),
            [1.0, 0.0],
            bounds=[(calibration.MIN_SCALE, None), (None, None)],
            options={"ftol": 1e-15, "gtol": 1e-9},
        )
        np.testing.assert_allclose([fitted.scale[i], fitted.offset[i]], best.x, atol=1e-4)


def test_scores_opposed_to_the_targets_get_the_minimum_scale_and_its_best_offset():
    x = np.linspace(-3, 3, 200)[:, np.newaxis]
    t = sigmoid(-2 * x + 1)
    fitted = calibration.fit_calibration(x, t)
    assert fitted.scale[0] == calibration.MIN_SCALE
    assert fitted(x).mean() == pytest.approx(t.mean(), abs=1e-3)


def test_a_target_that_hardly_varies_moves_the_offset_only():
    """Logits without any relation to a nearly constant target say little: the scale stays near 1."""
    rng = np.random.default_rng(2)
    logits = rng.normal(-4, 0.1, size=(500, 1))
    fitted = calibration.fit_calibration(logits, np.full((500, 1), 0.001))
    assert fitted.scale[0] == pytest.approx(1, abs=0.05)
    assert fitted(logits).mean() == pytest.approx(0.001, rel=0.02)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_a_constant_target_of_zero_or_one_stays_finite(target):
    fitted = calibration.fit_calibration(np.random.default_rng(3).normal(size=(100, 1)), np.full((100, 1), target))
    assert np.isfinite([fitted.scale, fitted.offset]).all()
    assert abs(fitted(np.zeros(1))[0] - target) < 0.05


def test_extreme_logits_converge():
    logits = np.array([[-80.0], [-40.0], [40.0], [80.0]])
    fitted = calibration.fit_calibration(logits, np.array([[0.1], [0.1], [0.9], [0.9]]))
    assert calibration.cross_entropy(logits * fitted.scale + fitted.offset, [[0.1], [0.1], [0.9], [0.9]])[0] < 1
    assert fitted.scale[0] >= calibration.MIN_SCALE


@given(st.integers(0, 2**32 - 1))
def test_fit_is_monotonic_and_never_raises_the_penalised_loss(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(rng.normal(0, 3), rng.uniform(0.1, 4), size=(30, 2))
    targets = rng.random((30, 2)) ** rng.integers(1, 6)
    fitted = calibration.fit_calibration(logits, targets)
    assert np.all(fitted.scale >= calibration.MIN_SCALE)
    np.testing.assert_array_equal(np.argsort(logits[:, 0]), np.argsort(logits[:, 0] * fitted.scale[0]))
    for i in range(2):
        before = naive_loss(1.0, 0.0, logits[:, i], targets[:, i])
        assert naive_loss(fitted.scale[i], fitted.offset[i], logits[:, i], targets[:, i]) <= before + 1e-9


def test_evaluate_shows_the_improvement():
    rng = np.random.default_rng(4)
    logits = rng.normal(-1, 2, size=(5000, 3))
    targets = sigmoid(0.5 * logits - 1)
    fitted = calibration.fit_calibration(logits, targets)
    metrics = calibration.evaluate_calibration(fitted, logits, targets)
    naive = -np.mean(targets * np.log(sigmoid(logits)) + (1 - targets) * np.log(1 - sigmoid(logits)))
    assert metrics["cross_entropy"]["before"] == pytest.approx(naive)
    assert metrics["cross_entropy"]["after"] < metrics["cross_entropy"]["before"]
    assert metrics["calibration_error"]["before"] > 0.1
    assert metrics["calibration_error"]["after"] < 0.005


def test_calibration_error_by_hand():
    """Bin [0, 0.5): mean p 0.2, mean target 0.3. Bin [0.5, 1]: mean p 0.75, mean target 0.9."""
    error = calibration.calibration_error([[0.1], [0.3], [0.5], [1.0]], [[0], [0.6], [1], [0.8]], bins=2)
    assert error == pytest.approx([0.5 * 0.1 + 0.5 * 0.15])


def test_probabilities_do_not_overflow():
    identity = calibration.TagCalibration(np.ones(1), np.zeros(1))
    np.testing.assert_allclose(identity([-1e4, -2, 0, 2, 1e4]), [0, sigmoid(-2), 0.5, sigmoid(2), 1], atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [4, 1000])
def test_thresholds_maximise_f1(seed, levels):
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(levels + 1, size=(25, 4)) / levels
    positives = rng.random((25, 4)) < 0.1 + 0.5 * probabilities
    positives[:3] = True
    found, common = calibration.fit_thresholds(probabilities, positives)
    assert not common.any()
    for i in range(4):
        reached = f1(positives[:, i], probabilities[:, i] >= found[i])
        assert reached == pytest.approx(best_f1(positives[:, i], probabilities[:, i]), abs=1e-12)


def test_threshold_lies_half_way_by_hand():
    """Cutting between 0.6 and 0.2 keeps all three positives and nothing else."""
    found, common = calibration.fit_thresholds([[0.9], [0.8], [0.6], [0.2], [0.1]], [[1], [1], [1], [0], [0]])
    assert found == pytest.approx([0.4])
    assert not common.any()


def test_rare_tags_share_the_threshold_of_best_micro_f1():
    rng = np.random.default_rng(6)
    probabilities = rng.random((20, 3))
    positives = np.column_stack([probabilities[:, 0] > 0.4, np.arange(20) < 2, np.zeros(20, bool)])
    found, common = calibration.fit_thresholds(probabilities, positives)
    np.testing.assert_array_equal(common, [False, True, True])
    assert found[1] == found[2]
    reached = f1(positives.ravel(), probabilities.ravel() >= found[1])
    assert reached == pytest.approx(best_f1(positives.ravel(), probabilities.ravel()), abs=1e-12)


def test_neighbouring_floats_are_distinguished():
    high = 0.3
    low = float(np.nextafter(high, 0))
    found, _ = calibration.fit_thresholds([[high], [high], [high], [low]], [[1], [1], [1], [0]])
    assert low < found[0] <= high


def test_without_positives_no_tag_is_predicted():
    found, common = calibration.fit_thresholds([[0.2, 0.9], [0.4, 0.8]], [[0, 0], [0, 0]])
    np.testing.assert_array_equal(found, [1, 1])
    assert common.all()


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        ([0.1], [0.1], r"got \(1,\)"),
        ([[0.1, 0.2]], [[0.1]], r"got \(1, 2\) and \(1, 1\)"),
        (np.zeros((0, 2)), np.zeros((0, 2)), r"got \(0, 2\)"),
        ([[math.inf]], [[0.5]], "infinity"),
        ([[math.nan]], [[0.5]], "NaN"),
        ([[0.1]], [[1.5]], r"targets in \[0, 1\]"),
        ([[0.1]], [[math.nan]], r"targets in \[0, 1\]"),
    ],
)
def test_fit_says_what_is_wrong(logits, targets, message):
    with pytest.raises(InputError, match=message):
        calibration.fit_calibration(logits, targets)


def test_logits_in_place_of_probabilities_are_refused():
    with pytest.raises(InputError, match="Are they logits"):
        calibration.fit_thresholds([[-2.0], [3.0]], [[0], [1]])
    with pytest.raises(InputError, match="Are they logits"):
        calibration.calibration_error([[-2.0], [3.0]], [[0], [1]])
