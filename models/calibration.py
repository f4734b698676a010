"""The last step of a run: the best weights, with probabilities and thresholds from the validation split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from musiczoo.datasets.hard_tags import are_annotations, track_scores
from musiczoo.datasets.prepared import Store, write_array
from musiczoo.evaluation import calibration
from musiczoo.evaluation.metrics import agreement, tagging
from musiczoo.models import checkpoint, data, run
from musiczoo.models.architectures import LOGITS_LAYER, variant
from musiczoo.models.prototypes import prototypes
from musiczoo.models.recipe import Recipe

_BATCH = 64


def finish(folder: Path | str) -> dict[str, Any]:
    """Calibrate the best weights of a run, ended or stopped before its last epoch, and write its result.json.

    Triplet models get their prototypes first.

    Returns:
        What result.json holds.

    Raises:
        TrainingError: If the run has no epoch yet, or cannot be read.
        DatasetError: If its data set cannot be read.
    """
    folder = Path(folder)
    recipe, store = run.subject(folder)
    _, state = checkpoint.read(folder / run.CHECKPOINT_FILE)
    keras.mixed_precision.set_global_policy("float32")
    model, best = run.load_best(folder, recipe, store)
    if variant(recipe.model).head == "triplet":
        points = prototypes(model, data.Excerpts.of(store, "train", recipe.teachers, recipe.drop_untagged))
        write_array(folder / run.PROTOTYPES_FILE, points)
        model.get_layer(LOGITS_LAYER).set_points(points)
    validation = data.Excerpts.of(store, "validation", recipe.teachers, recipe.drop_untagged)
    result = calibrate(model, validation, store.tags)
    result["train_positives"] = train_positives(store, recipe)
    result["validation"]["loss"] = min(row["val_loss"] for row in state["history"])
    result |= {"epochs": len(state["history"]), "best_epoch": best["epoch"]}
    run.write_json(folder / run.RESULT_FILE, result)
    return result


def calibrate(model: keras.Model, excerpts: data.Excerpts, tags: Sequence[str]) -> dict[str, Any]:
    """Fit the calibration and the thresholds.

    The calibration is fitted to the labels of single excerpts. The thresholds maximise each tag's F1 on whole tracks,
    whose tags follow the rule of `musiczoo.datasets.hard_tags`. Annotated tags that fewer than
    `musiczoo.evaluation.calibration.MIN_POSITIVES` tracks have or lack keep their calibration from training.

    Args:
        model: Trained, with the identity as calibration.
        excerpts: The validation split.
        tags: Names of the columns of its labels.

    Returns:
        ``{"calibration": {"scale": [T], "offset": [T]}, "thresholds": {tag: number}, "common_threshold": [tag],
        "validation": {...}}``: metrics before and after the calibration, ``"tagging"``, and with labels by teachers
        ``"agreement"``.
    """
    tagger = keras.Model(model.input, model.get_layer(LOGITS_LAYER).output)
    batches = data.in_order(excerpts, _BATCH)
    logits = np.concatenate([np.asarray(tagger(log_mel, training=False)) for log_mel, _ in batches])
    targets = np.concatenate(excerpts.labels)
    reference = by_track(targets, excerpts)
    fitted = calibration.fit(logits, targets)
    if are_annotations(reference):
        fitted = _where_known(fitted, reference == 1)
    probabilities = by_track(fitted(logits), excerpts)
    thresholds, common = calibration.thresholds(probabilities, excerpts.tags)
    return {
        "calibration": {"scale": fitted.scale.tolist(), "offset": fitted.offset.tolist()},
        "thresholds": dict(zip(tags, thresholds.tolist(), strict=True)),
        "common_threshold": [tag for tag, shared in zip(tags, common, strict=True) if shared],
        "validation": {
            **calibration.evaluate(fitted, logits, targets),
            "tagging": tagging.evaluate(probabilities, excerpts.tags, tags),
            **_agreement(probabilities, reference, tags),
        },
    }


def _where_known(fitted: calibration.Calibration, has: NDArray[np.bool_]) -> calibration.Calibration:
    """The identity for tags that too few tracks have, or lack: a tag that none has would never be given again."""
    fewest = np.minimum(has.sum(axis=0), (~has).sum(axis=0))
    known = fewest >= calibration.MIN_POSITIVES
    return calibration.Calibration(np.where(known, fitted.scale, 1.0), np.where(known, fitted.offset, 0.0))


def _agreement(probabilities: NDArray[Any], reference: NDArray[Any], tags: Sequence[str]) -> dict[str, Any]:
    if are_annotations(reference):
        return {}
    k = min(agreement.TOP_K, len(tags))
    return {"agreement": agreement.teacher_agreement(probabilities, reference, tags, k)}


def by_track(rows: NDArray[Any], excerpts: data.Excerpts) -> NDArray[np.float64]:
    """Mean over the excerpts of each track: ``[excerpts, T] -> [tracks, T]``."""
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
