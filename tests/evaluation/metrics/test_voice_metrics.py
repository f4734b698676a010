"""What a singer changes, held against loops and scikit-learn."""

import numpy as np
import pytest

from musiczoo.errors import InputError
from musiczoo.evaluation.metrics import voices

PAIRS = 7


@pytest.fixture
def moved() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    backing, theirs = random.normal(size=(2, PAIRS, 4))
    change = random.normal(size=(PAIRS, 4))
    return [backing + 0.3 * change + 0.1 * random.normal(size=(PAIRS, 4)), backing, theirs + change, theirs]


def test_slope_and_r_are_those_of_scipy(moved: list[np.ndarray]) -> None:
    stats = pytest.importorskip("scipy.stats")
    result = voices.evaluate(*moved)
    ours, theirs = (moved[0] - moved[1]).ravel(), (moved[2] - moved[3]).ravel()
    (slope,), *_ = np.linalg.lstsq(theirs[:, np.newaxis], ours, rcond=None)
    assert result["slope"]["value"] == pytest.approx(slope)
    assert result["r"]["value"] == pytest.approx(stats.pearsonr(ours, theirs)[0])
    assert result["slope"]["interval"][0] < slope < result["slope"]["interval"][1]
    assert result["pairs"] == PAIRS


def test_voices_and_registers_are_ranked_as_scikit_learn_does(moved: list[np.ndarray]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    registers = ["high", "low", "", "low", "high", "", "high"]
    result = voices.evaluate(*moved, registers)
    scores = -np.concatenate([moved[0][:, 3], moved[1][:, 3]])
    assert result["voice_auc"]["value"] == pytest.approx(sklearn.roc_auc_score([1] * PAIRS + [0] * PAIRS, scores))
    clear = [i for i, register in enumerate(registers) if register]
    difference = moved[0][clear, 0] - moved[0][clear, 2]
    truth = [registers[i] == "high" for i in clear]
    assert result["register_auc"]["value"] == pytest.approx(sklearn.roc_auc_score(truth, difference))
    assert voices.evaluate(*moved)["register_auc"] == {"value": None, "interval": [None, None]}


def test_songs_with_voices_are_compared_with_their_backings_by_a_loop() -> None:
    random = np.random.default_rng(1)
    sung, backing = random.normal(size=(2, PAIRS, 6))
    result = voices.nearer(sung, backing, {"instrument": slice(2, 5)})
    for name, part in (("all", slice(0, 6)), ("instrument", slice(2, 5))):

        def cosine(a: np.ndarray, b: np.ndarray, part: slice = part) -> float:
            return float(a[part] @ b[part] / np.linalg.norm(a[part]) / np.linalg.norm(b[part]))

        right = [
            float(cosine(mine[i], mine[j]) > cosine(mine[i], other[j]))
            for mine, other in ((sung, backing), (backing, sung))
            for i in range(PAIRS)
            for j in range(PAIRS)
            if i != j
        ]
        assert result[name]["value"] == pytest.approx(np.mean(right))


def test_equal_vectors_are_chance() -> None:
    assert voices.nearer(np.ones((3, 2)), np.ones((3, 2)))["all"]["value"] == pytest.approx(0.5)


def test_what_never_moves_has_no_slope() -> None:
    still = np.zeros((2, 4))
    result = voices.evaluate(still, still, still, still)
    assert result["slope"]["value"] is None
    assert result["r"]["value"] is None


def test_logits_are_those_of_scipy() -> None:
    special = pytest.importorskip("scipy.special")
    p = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(voices.logits_of(p), special.logit(p))
    assert np.isfinite(voices.logits_of([0.0, 1.0])).all()


@pytest.mark.parametrize("wrong", [np.zeros((0, 4)), np.zeros((2, 3)), np.full((2, 4), np.nan)])
def test_bad_logits_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(InputError, match="pairs, 4"):
        voices.evaluate(wrong, wrong, wrong, wrong)


def test_bad_vectors_are_refused() -> None:
    for one, other in ((np.zeros((1, 3)), np.zeros((1, 3))), (np.zeros((2, 3)), np.zeros((3, 3)))):
        with pytest.raises(InputError, match="2 pairs or more"):
            voices.nearer(one, other)
