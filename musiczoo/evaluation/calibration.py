"""From a tagger's logits to probabilities that mean what they say, and thresholds on them.

Conventions
-----------
- *Logits* and *targets* are ``[excerpts, tags]``; targets are soft, in [0, 1]: a teacher's probabilities.
- A `Calibration` maps ``logit -> sigmoid(scale * logit + offset)``, per tag, with ``scale > 0``, so it keeps
  the order of the excerpts: no ranking metric of single excerpts changes.
- A tag applies from its threshold on: ``probability >= threshold``.

Method
------
Platt, "Probabilistic outputs for support vector machines" (1999), with soft targets: the scale and
offset that minimise the binary cross-entropy summed over excerpts, found by Newton's method. Two
quadratic penalties act as normal priors. One draws the scale to 1 (`SCALE_DEVIATION`): where a tag's
target or logit hardly varies, the data say next to nothing about the scale, and only the offset
moves. The other draws the mean logit, very weakly, to where it was (`SHIFT_DEVIATION`), which keeps the
offset finite where all targets are 0. If the best scale is below `MIN_SCALE` (the scores run against
the targets), it is `MIN_SCALE` with the best offset for it: the optimum under the constraint, since
the problem is convex.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from .metrics import tagging

SCALE_DEVIATION = 0.5
SHIFT_DEVIATION = 100.0
MIN_SCALE = 0.05
MIN_POSITIVES = 3
"""Tracks that must carry a tag for it to get a threshold of its own."""
BINS = 15
"""Bins of equal width in the calibration error."""

_NEWTON_STEPS = 50
_TOLERANCE = 1e-10
_ROUNDING = 1e-12

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Per-tag map from logits to probabilities.

    Attributes:
        scale: ``[tags]``, > 0.
        offset: ``[tags]``.
    """

    scale: Array
    offset: Array

    def __call__(self, logits: ArrayLike) -> Array:
        """Probabilities ``[..., tags]`` of logits ``[..., tags]``."""
        return sigmoid(np.asarray(logits, float) * self.scale + self.offset)


def sigmoid(logits: ArrayLike) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, float))))


def cross_entropy(logits: ArrayLike, targets: ArrayLike) -> Array:
    """Mean binary cross-entropy of each tag, in nats.

    Args:
        logits: ``[excerpts, tags]``.
        targets: ``[excerpts, tags]`` in [0, 1].

    Returns:
        ``[tags]``.
    """
    logits = np.asarray(logits, float)
    return np.asarray(np.mean(np.logaddexp(0, logits) - np.asarray(targets) * logits, axis=0))


def validate(logits: ArrayLike, targets: ArrayLike) -> None:
    """Check that logits (or probabilities) and soft targets fit together.

    Raises:
        InputError: If they are not two matrices of one shape with at least one row and column, a
            logit is not finite, or a target lies outside [0, 1].
    """
    logits, targets = np.asarray(logits), np.asarray(targets)
    if logits.ndim != 2 or logits.shape != targets.shape or 0 in logits.shape:
        raise InputError(
            f"Expected logits and targets of one shape [excerpts, tags], received {logits.shape} and {targets.shape}."
        )
    if not np.all(np.isfinite(logits)):
        raise InputError("Expected finite logits, received NaN or infinity. Are they logits of clipped probabilities?")
    if not np.all((targets >= 0) & (targets <= 1)):
        raise InputError("Expected targets in [0, 1], received other values. Did you pass logits as targets?")


def fit(logits: ArrayLike, targets: ArrayLike) -> Calibration:
    """The scale and offset of each tag that bring its probabilities nearest to the targets.

    Args:
        logits: ``[excerpts, tags]``, finite.
        targets: ``[excerpts, tags]`` in [0, 1].

    Raises:
        InputError: See `validate`.
    """
    validate(logits, targets)
    x, t = np.asarray(logits, float), np.asarray(targets, float)
    centre = x.mean(axis=0)
    centred = x - centre  # scale and shift hardly interact then, so Newton's steps are good ones
    scale, shift = _newton(centred, t, centre, np.ones(x.shape[1]), np.ones(x.shape[1], bool))
    low = scale < MIN_SCALE
    if low.any():
        scale, shift = _newton(centred, t, centre, np.where(low, MIN_SCALE, scale), ~low)
    return Calibration(scale, shift - scale * centre)


def _newton(x: Array, t: Array, centre: Array, scale: Array, free: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Minimise over the scale (where `free`) and shift of sigmoid(scale * x + shift), all tags at once."""
    scale_weight, shift_weight = SCALE_DEVIATION**-2, SHIFT_DEVIATION**-2
    shift = centre.copy()

    def loss(scale: Array, shift: Array) -> Array:
        prior = scale_weight * (scale - 1) ** 2 + shift_weight * (shift - centre) ** 2
        return len(x) * cross_entropy(scale * x + shift, t) + prior / 2

    current = loss(scale, shift)
    for _ in range(_NEWTON_STEPS):
        p = sigmoid(scale * x + shift)
        error, weight = p - t, p * (1 - p)
        g_scale = np.where(free, np.sum(error * x, axis=0) + scale_weight * (scale - 1), 0)
        g_shift = np.sum(error, axis=0) + shift_weight * (shift - centre)
        h_scale = np.sum(weight * x * x, axis=0) + scale_weight
        h_shift = np.sum(weight, axis=0) + shift_weight
        h_both = np.where(free, np.sum(weight * x, axis=0), 0)
        determinant = h_scale * h_shift - h_both**2
        d_scale = (h_shift * g_scale - h_both * g_shift) / determinant
        d_shift = (h_scale * g_shift - h_both * g_scale) / determinant
        if np.max(np.abs([d_scale, d_shift])) < _TOLERANCE:
            break
        # A full step overshoots where the sigmoid is flat: halve it until the loss does not rise.
        step = np.ones_like(scale)
        for _ in range(_NEWTON_STEPS):
            new = loss(scale - step * d_scale, shift - step * d_shift)
            rises = new > current * (1 + _ROUNDING)
            if not rises.any():
                break
            step[rises] /= 2
        scale, shift = scale - step * d_scale, shift - step * d_shift
        current = new
    return scale, shift


def thresholds(probabilities: ArrayLike, positives: ArrayLike) -> tuple[Array, NDArray[np.bool_]]:
    """The threshold of each tag that maximises its F1.

    A tag that fewer than `MIN_POSITIVES` tracks carry says too little: it gets one threshold common to all
    such tags, the one that maximises the F1 of all tags' decisions taken together (micro-F1).
    Thresholds lie half-way between two neighbouring probabilities, so that other tracks near them fall
    on either side alike; of equally good ones, the highest.

    Args:
        probabilities: ``[tracks, tags]`` in [0, 1].
        positives: ``[tracks, tags]``, 0 or 1.

    Returns:
        Thresholds ``[tags]`` in [0, 1], and whether each is the common one ``[tags]``.

    Raises:
        InputError: See `tagging.validate`; or if a probability lies outside [0, 1].
    """
    tagging.validate(probabilities, positives)
    p, carries = np.asarray(probabilities, float), np.asarray(positives, bool)
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"Expected probabilities in [0, 1], received {p.min():g} to {p.max():g}. Are they logits?")
    common = carries.sum(axis=0) < MIN_POSITIVES
    fallback = _best_threshold(p.ravel(), carries.ravel())
    own = [fallback if common[i] else _best_threshold(p[:, i], carries[:, i]) for i in range(p.shape[1])]
    return np.array(own), common


def _best_threshold(p: Array, positive: NDArray[np.bool_]) -> float:
    """The threshold that maximises F1 of ``p >= threshold``; 1 if there is nothing to find."""
    if not positive.any():
        return 1.0
    order = np.argsort(-p, kind="stable")
    ordered, hits = p[order], np.cumsum(positive[order])
    last = np.append(ordered[1:] != ordered[:-1], True)  # equal probabilities are decided together
    f1 = np.where(last, 2 * hits / (np.arange(1, len(p) + 1) + hits[-1]), -1)
    best = int(np.argmax(f1))
    above = ordered[best]
    below = ordered[best + 1] if best + 1 < len(p) else above
    middle = (above + below) / 2
    return float(middle if middle > below else above)  # neighbouring floats have no middle


def calibration_error(probabilities: ArrayLike, targets: ArrayLike, bins: int = BINS) -> Array:
    """Expected calibration error of each tag.

    Probabilities fall in bins of equal width; the error is the mean over bins, weighted by their
    sizes, of the distance between mean probability and mean target (Naeini et al., AAAI 2015).

    Args:
        probabilities: ``[excerpts, tags]`` in [0, 1].
        targets: ``[excerpts, tags]`` in [0, 1].
        bins: Number of bins.

    Returns:
        ``[tags]`` in [0, 1].

    Raises:
        InputError: See `validate`; or if a probability lies outside [0, 1].
    """
    validate(probabilities, targets)
    p, t = np.asarray(probabilities, float), np.asarray(targets, float)
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"Expected probabilities in [0, 1], received {p.min():g} to {p.max():g}. Are they logits?")
    index = np.minimum((p * bins).astype(int), bins - 1)
    sums = [np.sum((p - t) * (index == b), axis=0) for b in range(bins)]
    return np.asarray(np.sum(np.abs(sums), axis=0) / len(p))


def evaluate(calibration: Calibration, logits: ArrayLike, targets: ArrayLike) -> dict[str, Any]:
    """Cross-entropy and calibration error, each a mean over tags, before and after, ready for JSON.

    Returns:
        ``{"cross_entropy", "calibration_error"}``, each ``{"before", "after"}``.

    Raises:
        InputError: See `validate`.
    """
    validate(logits, targets)
    calibrated = np.asarray(logits, float) * calibration.scale + calibration.offset
    both = {"before": np.asarray(logits, float), "after": calibrated}
    return {
        "cross_entropy": {when: float(cross_entropy(x, targets).mean()) for when, x in both.items()},
        "calibration_error": {when: float(calibration_error(sigmoid(x), targets).mean()) for when, x in both.items()},
    }
