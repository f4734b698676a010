"""The last step of a run: the best weights, with probabilities and thresholds from the validation split."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from musiczoo.datasets.store import Store
from musiczoo.evaluation import agreement, calibration
from musiczoo.models import checkpoint, pipeline, run
from musiczoo.models.recipe import Recipe
from musiczoo.models.variants import LOGITS_LAYER, build
from musiczoo.taxonomy import TAGS


def finish(folder: Path | str) -> dict[str, Any]:
    """Calibrate the best weights of a run, ended or stopped before its last epoch, and write its result.json.

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
    model = build(recipe.model, recipe.width)
    best = checkpoint.restore(folder / run.BEST_FILE, model.variables)
    result = calibrate(model, pipeline.Excerpts.of(store, "validation", recipe.teachers), recipe)
    result["train_positives"] = train_positives(store, recipe)
    result["validation"]["loss"] = min(row["val_loss"] for row in state["history"])
    result |= {"epochs": len(state["history"]), "best_epoch": best["epoch"]}
    run.write_json(folder / run.RESULT_FILE, result)
    return result


def calibrate(model: keras.Model, excerpts: pipeline.Excerpts, recipe: Recipe) -> dict[str, Any]:
    """Fit the calibration and the thresholds.

    The calibration is fitted to the teachers' probabilities of single excerpts; the thresholds maximise each
    tag's F1 against the teachers' top tags of whole tracks (see `musiczoo.evaluation`).

    Args:
        model: Trained, with the identity as calibration.
        excerpts: The validation split.
        recipe: For the size of a batch.

    Returns:
        ``{"calibration": {"scale": [T], "offset": [T]}, "thresholds": {tag: number}, "common_threshold": [tag],
        "validation": {...}}``: the figures before and after, and the agreement with the teachers.
    """
    tagger = keras.Model(model.input, model.get_layer(LOGITS_LAYER).output)
    batches = pipeline.validation(excerpts, recipe.batch)
    logits = np.concatenate([np.asarray(tagger(log_mel, training=False)) for log_mel, _ in batches])
    targets = np.concatenate(excerpts.labels)
    fitted = calibration.fit(logits, targets)
    probabilities = by_track(fitted(logits), excerpts)
    reference = by_track(targets, excerpts)
    thresholds, common = calibration.thresholds(probabilities, agreement.hard_tags(reference))
    return {
        "calibration": {"scale": fitted.scale.tolist(), "offset": fitted.offset.tolist()},
        "thresholds": dict(zip(TAGS, thresholds.tolist(), strict=True)),
        "common_threshold": [tag for tag, shared in zip(TAGS, common, strict=True) if shared],
        "validation": {
            **calibration.evaluate(fitted, logits, targets),
            "agreement": agreement.evaluate(probabilities, reference, TAGS),
        },
    }


def by_track(rows: NDArray[Any], excerpts: pipeline.Excerpts) -> NDArray[np.float64]:
    """Mean over the excerpts of each track: ``[excerpts, T] -> [tracks, T]``."""
    ends = np.cumsum([len(labels) for labels in excerpts.labels])[:-1]
    return np.stack([part.mean(axis=0, dtype=np.float64) for part in np.split(np.asarray(rows), ends)])


def train_positives(store: Store, recipe: Recipe) -> dict[str, int]:
    """Tag -> training tracks that have it among the teachers' top tags."""
    means = [store.labels(track.id, recipe.teachers).mean(axis=0) for track in store.split("train")]
    counts = agreement.hard_tags(np.stack(means)).sum(axis=0)
    return dict(zip(TAGS, counts.tolist(), strict=True))
