"""The last step of a training run: prototypes, calibrated probabilities and thresholds of the best weights.

Conventions
-----------
- *Logits* and *targets* are ``[excerpts, tags]``. Targets are soft, in [0, 1]: a teacher's probabilities, or the
  annotations of people as 0 and 1.
- A `TagCalibration` maps ``logit -> sigmoid(scale * logit + offset)`` for each tag, with ``scale > 0``. It keeps the
  order of the excerpts, so no ranking metric of single excerpts changes.
- A tag is predicted where ``probability >= threshold``.

Method
------
Calibration is Platt scaling (Platt, "Probabilistic outputs for support vector machines", 1999) with soft targets: the
scale and the offset that minimise the binary cross-entropy, summed over excerpts. Two quadratic penalties act as normal
priors. The first draws the scale to 1 (`SCALE_DEVIATION`): where a logit or a target hardly varies, the data do not
determine the scale, and only the offset moves. The second draws the mean logit, very weakly, to where it was
(`SHIFT_DEVIATION`): it keeps the offset finite where all targets are 0. The scale is at least `MIN_SCALE`. Newton's
method finds the minimum.

Prototypes: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from musiczoo._files import write_json, write_npy
from musiczoo.card import EMBEDDING_NAME
from musiczoo.datasets.hard_tags import are_annotations, track_scores
from musiczoo.datasets.prepared import Store
from musiczoo.errors import InputError
from musiczoo.evaluation.metrics import agreement, tagging
from musiczoo.models import data, run
from musiczoo.models.architectures import LOGITS_LAYER, architecture
from musiczoo.models.recipe import Recipe
from musiczoo.models.sampling import Positions

SCALE_DEVIATION = 0.5
SHIFT_DEVIATION = 100.0
MIN_SCALE = 0.05

MIN_POSITIVES = 3
"""Tracks that must have a tag for the tag to get its own threshold."""

BINS = 15
"""Bins of equal width in the calibration error."""

EXCERPTS_PER_TRACK = 10
"""Excerpts, spread over a track, whose embeddings are averaged for prototypes. More change the mean very little."""

_BATCH = 64
_NEWTON_STEPS = 50
_TOLERANCE = 1e-10
_ROUNDING = 1e-12

Array = NDArray[np.float64]


def finish_run(folder: Path | str) -> dict[str, Any]:
    """Calibrate the best weights of a run and write its result.json.

    The run need not have reached its last epoch. Triplet models get their prototypes first.

    Returns:
        The content of result.json.

    Raises:
        TrainingError: If the run has no epoch yet, or cannot be read.
        DatasetError: If its data set cannot be read.
    """
    folder = Path(folder)
    recipe, store = run.read_settings(folder)
    _, state = run.read_checkpoint(folder / run.CHECKPOINT_FILE)
    keras.mixed_precision.set_global_policy("float32")
    model, best = run.load_best(folder, recipe, store)
    if architecture(recipe.model).head == "triplet":
        points = prototypes(model, run.excerpts(folder, recipe, store, "train"))
        write_npy(folder / run.PROTOTYPES_FILE, points)
        model.get_layer(LOGITS_LAYER).set_points(points)
    validation = run.excerpts(folder, recipe, store, "validation")
    result = calibrate(model, validation, store.tags)
    result["train_positives"] = train_positives(store, recipe)
    result["validation"]["loss"] = min(row["val_loss"] for row in state["history"])
    result |= {"epochs": len(state["history"]), "best_epoch": best["epoch"]}
    write_json(folder / run.RESULT_FILE, result)
    return result


def prototypes(model: keras.Model, excerpts: data.Excerpts) -> NDArray[np.float32]:
    """Return the mean embedding of the training tracks that have each tag.

    Args:
        model: ``[N, 129, 128]`` log-mel -> embedding, as `musiczoo.models.build` returns it.
        excerpts: The training split.

    Returns:
        ``[embedding_size, tags]`` float32; zeros for a tag that no track has.
    """
    embed = keras.Model(model.input, model.get_layer(EMBEDDING_NAME).output)
    rows = [np.unique(np.rint(np.linspace(0, len(y) - 1, EXCERPTS_PER_TRACK))) for y in excerpts.labels]
    counts = np.array([len(starts) for starts in rows])
    tracks, starts = np.repeat(np.arange(len(rows)), counts), np.concatenate(rows)
    sums = np.zeros((len(rows), embed.output.shape[-1]))
    for first in range(0, len(tracks), _BATCH):
        positions = Positions(tracks[first : first + _BATCH], starts[first : first + _BATCH])
        log_mels, _ = excerpts.at(positions)
        np.add.at(sums, positions.tracks, np.asarray(embed(excerpts.ready(log_mels), training=False)))
    tags = excerpts.tags.astype(float)
    return np.asarray((sums / counts[:, np.newaxis]).T @ tags / np.maximum(tags.sum(axis=0), 1), np.float32)


def calibrate(model: keras.Model, excerpts: data.Excerpts, tags: Sequence[str]) -> dict[str, Any]:
    """Fit the calibration and the thresholds of a trained model.

    The calibration is fitted to the labels of single excerpts. The thresholds maximise the F1 of each tag on whole
    tracks, whose tags follow the rule of `musiczoo.datasets.hard_tags`. Annotated tags that fewer than `MIN_POSITIVES`
    tracks have, or lack, keep their trained probabilities.

    Args:
        model: A trained model whose calibration layer is still the identity.
        excerpts: The validation split.
        tags: Names of the columns of its labels.

    Returns:
        ``{"calibration": {"scale": [T], "offset": [T]}, "thresholds": {tag: number}, "common_threshold": [tag],
        "validation": {...}}``. ``"validation"`` holds the metrics before and after the calibration, ``"tagging"``, and
        with labels by teachers ``"agreement"``.
    """
    tagger = keras.Model(model.input, model.get_layer(LOGITS_LAYER).output)
    batches = data.in_order(excerpts, _BATCH)
    logits = np.concatenate([np.asarray(tagger(log_mel, training=False)) for log_mel, _ in batches])
    targets = np.concatenate(excerpts.labels)
    reference = by_track(targets, excerpts)
    fitted = fit_calibration(logits, targets)
    if are_annotations(reference):
        fitted = _where_known(fitted, reference == 1)
    probabilities = by_track(fitted(logits), excerpts)
    thresholds, common = fit_thresholds(probabilities, excerpts.tags)
    return {
        "calibration": {"scale": fitted.scale.tolist(), "offset": fitted.offset.tolist()},
        "thresholds": dict(zip(tags, thresholds.tolist(), strict=True)),
        "common_threshold": [tag for tag, shared in zip(tags, common, strict=True) if shared],
        "validation": {
            **evaluate_calibration(fitted, logits, targets),
            "tagging": tagging.evaluate(probabilities, excerpts.tags, tags),
            **_agreement(probabilities, reference, tags),
        },
    }


@dataclass(frozen=True)
class TagCalibration:
    """A map from logits to probabilities, for each tag.

    Attributes:
        scale: ``[tags]``, > 0.
        offset: ``[tags]``.

    Example:
        >>> TagCalibration(np.array([0.5, 1.0]), np.array([0.0, 2.0]))([[0.0, -2.0]])
        array([[0.5, 0.5]])
    """

    scale: Array
    offset: Array

    def __call__(self, logits: ArrayLike) -> Array:
        """Return the probabilities ``[..., tags]`` of logits ``[..., tags]``."""
        return np.asarray(expit(np.asarray(logits, float) * self.scale + self.offset))


def fit_calibration(logits: ArrayLike, targets: ArrayLike) -> TagCalibration:
    """Fit the scale and the offset of each tag by penalised cross-entropy (see the module's *Method*).

    Args:
        logits: ``[excerpts, tags]``, finite.
        targets: ``[excerpts, tags]`` in [0, 1].

    Raises:
        InputError: See `validate`.

    Example:
        The logits are twice too large:

        >>> logits = np.linspace(-6, 6, 1000)[:, np.newaxis]
        >>> fit_calibration(logits, expit(logits / 2)).scale.round(2)
        array([0.5])
    """
    validate(logits, targets)
    x, t = np.asarray(logits, float), np.asarray(targets, float)
    centre = x.mean(axis=0)
    centred = x - centre  # scale and shift are almost independent then, so Newton's method converges in few steps
    scale, shift = _newton(centred, t, centre, np.ones(x.shape[1]), np.ones(x.shape[1], bool))
    low = scale < MIN_SCALE
    if low.any():  # the problem is convex, so the optimum under the constraint lies on its border
        scale, shift = _newton(centred, t, centre, np.where(low, MIN_SCALE, scale), ~low)
    return TagCalibration(scale, shift - scale * centre)


def _newton(x: Array, t: Array, centre: Array, scale: Array, free: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Minimise over the scale (where `free`) and the shift of ``sigmoid(scale * x + shift)``, all tags at once.

    scikit-learn's Platt scaling takes neither soft targets nor these priors, and scipy's optimisers, which take one tag
    at a time, are slower by an order of magnitude.
    """
    scale_weight, shift_weight = SCALE_DEVIATION**-2, SHIFT_DEVIATION**-2
    shift = centre.copy()

    def loss(scale: Array, shift: Array) -> Array:
        prior = scale_weight * (scale - 1) ** 2 + shift_weight * (shift - centre) ** 2
        return len(x) * cross_entropy(scale * x + shift, t) + prior / 2

    current = loss(scale, shift)
    for _ in range(_NEWTON_STEPS):
        p = expit(scale * x + shift)
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


def _where_known(fitted: TagCalibration, has: NDArray[np.bool_]) -> TagCalibration:
    """Keep the identity for tags that too few tracks have or lack: a tag without positives would never be predicted."""
    fewest = np.minimum(has.sum(axis=0), (~has).sum(axis=0))
    known = fewest >= MIN_POSITIVES
    return TagCalibration(np.where(known, fitted.scale, 1.0), np.where(known, fitted.offset, 0.0))


def fit_thresholds(probabilities: ArrayLike, positives: ArrayLike) -> tuple[Array, NDArray[np.bool_]]:
    """Return the threshold of each tag that maximises its F1.

    All tags that fewer than `MIN_POSITIVES` tracks have share one threshold: the one that maximises the F1 of the
    decisions on all tags together (micro-F1). A threshold lies half-way between two neighbouring probabilities. Of
    equally good ones, the highest is taken.

    Args:
        probabilities: ``[tracks, tags]`` in [0, 1].
        positives: ``[tracks, tags]``, 0 or 1.

    Returns:
        Thresholds ``[tags]`` in [0, 1], and whether each is the shared one ``[tags]``.

    Raises:
        InputError: If the shapes differ, or a probability lies outside [0, 1].

    Example:
        >>> fit_thresholds([[0.9], [0.8], [0.6], [0.2]], [[1], [1], [1], [0]])
        (array([0.4]), array([False]))
    """
    tagging.validate(probabilities, positives)
    p, has = np.asarray(probabilities, float), np.asarray(positives, bool)
    _check_probabilities(p)
    common = has.sum(axis=0) < MIN_POSITIVES
    fallback = _best_threshold(p.ravel(), has.ravel())
    own = [fallback if common[i] else _best_threshold(p[:, i], has[:, i]) for i in range(p.shape[1])]
    return np.array(own), common


def _best_threshold(p: Array, positive: NDArray[np.bool_]) -> float:
    """Return the threshold that maximises the F1 of ``p >= threshold``; 1 without positives."""
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
    return float(middle if middle > below else above)  # there may be no float between the two


def cross_entropy(logits: ArrayLike, targets: ArrayLike) -> Array:
    """Return the mean binary cross-entropy of each tag, in nats: ``[excerpts, tags]`` twice -> ``[tags]``.

    Example:
        >>> cross_entropy([[0.0], [0.0]], [[1.0], [0.25]]).round(4)
        array([0.6931])
    """
    logits = np.asarray(logits, float)
    return np.asarray(np.mean(np.logaddexp(0, logits) - np.asarray(targets) * logits, axis=0))


def calibration_error(probabilities: ArrayLike, targets: ArrayLike, bins: int = BINS) -> Array:
    """Return the expected calibration error of each tag (Naeini et al., AAAI 2015).

    Probabilities fall into bins of equal width. The error is the mean over bins, weighted by their sizes, of the
    distance between mean probability and mean target.

    Args:
        probabilities: ``[excerpts, tags]`` in [0, 1].
        targets: ``[excerpts, tags]`` in [0, 1].
        bins: Number of bins.

    Returns:
        ``[tags]`` in [0, 1].

    Raises:
        InputError: See `validate`; or if a probability lies outside [0, 1].

    Example:
        >>> calibration_error([[0.2], [0.2]], [[0.0], [1.0]]).round(2)
        array([0.3])
    """
    validate(probabilities, targets)
    p, t = np.asarray(probabilities, float), np.asarray(targets, float)
    _check_probabilities(p)
    index = np.minimum((p * bins).astype(int), bins - 1)
    sums = [np.sum((p - t) * (index == b), axis=0) for b in range(bins)]
    return np.asarray(np.sum(np.abs(sums), axis=0) / len(p))


def evaluate_calibration(fitted: TagCalibration, logits: ArrayLike, targets: ArrayLike) -> dict[str, Any]:
    """Return cross-entropy and calibration error before and after the calibration, each a mean over tags.

    Returns:
        ``{"cross_entropy": {"before", "after"}, "calibration_error": {"before", "after"}}``.

    Raises:
        InputError: See `validate`.
    """
    validate(logits, targets)
    before = np.asarray(logits, float)
    both = {"before": before, "after": before * fitted.scale + fitted.offset}
    return {
        "cross_entropy": {when: float(cross_entropy(x, targets).mean()) for when, x in both.items()},
        "calibration_error": {when: float(calibration_error(expit(x), targets).mean()) for when, x in both.items()},
    }


def validate(logits: ArrayLike, targets: ArrayLike) -> None:
    """Check that logits (or probabilities) and soft targets fit together.

    Raises:
        InputError: If they are not two matrices of one shape with at least one row and column, a
            logit is not finite, or a target lies outside [0, 1].
    """
    logits, targets = np.asarray(logits), np.asarray(targets)
    if logits.ndim != 2 or logits.shape != targets.shape or 0 in logits.shape:
        raise InputError(
            f"Expected logits and targets of one shape [excerpts, tags], got {logits.shape} and {targets.shape}."
        )
    if not np.all(np.isfinite(logits)):
        raise InputError("Expected finite logits, got NaN or infinity. Are they logits of clipped probabilities?")
    if not np.all((targets >= 0) & (targets <= 1)):
        raise InputError("Expected targets in [0, 1], got other values. Did you pass logits as targets?")


def _check_probabilities(p: Array) -> None:
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"Expected probabilities in [0, 1], got {p.min():g} to {p.max():g}. Are they logits?")


def _agreement(probabilities: NDArray[Any], reference: NDArray[Any], tags: Sequence[str]) -> dict[str, Any]:
    if are_annotations(reference):
        return {}
    k = min(agreement.TOP_K, len(tags))
    return {"agreement": agreement.teacher_agreement(probabilities, reference, tags, k)}


def by_track(rows: NDArray[Any], excerpts: data.Excerpts) -> NDArray[np.float64]:
    """Return the mean over the excerpts of each track: ``[excerpts, T] -> [tracks, T]``."""
    ends = np.cumsum([len(labels) for labels in excerpts.labels])[:-1]
    return np.stack([part.mean(axis=0, dtype=np.float64) for part in np.split(np.asarray(rows), ends)])


def train_positives(store: Store, recipe: Recipe) -> dict[str, int]:
    """Return tag -> number of training tracks: annotated with it, or with it among the teachers' top tags.

    This says how much a run could learn about a tag, in absolute terms. The rule of `musiczoo.datasets.hard_tags` is
    relative to how frequent the tag is, so it gives even the rarest tag some tracks.
    """
    scores = track_scores(store, "train", recipe.teachers)
    has = scores == 1 if are_annotations(scores) else agreement.top_tags(scores, min(agreement.TOP_K, len(store.tags)))
    return dict(zip(store.tags, has.sum(axis=0).tolist(), strict=True))
