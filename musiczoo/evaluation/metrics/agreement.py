"""How far a model's tags agree with those of a teacher.

Conventions
-----------
- *Scores* and *reference* are ``[tracks, tags]`` finite numbers, higher for more likely: the model's and the teacher's.
- The reference's positives are the `TOP_K` tags with the highest scores of each track (`top_tags`). This measures
  agreement with the teacher. The tags that a track *has*, which tagging, retrieval, triplets and thresholds use, follow
  another rule: see `musiczoo.datasets.hard_tags`.

Metrics
-------
- `teacher_roc_auc`, `teacher_average_precision`: those of `musiczoo.evaluation.metrics.tagging`, with the reference's
  top tags as positives.
- `spearman`: rank correlation of two matrices, row by row. The main metric compares tags (over tracks, on the
  transposed matrices, the mean over tags). The metric by track compares the order of a track's tags and says less:
  some tags are likelier in all music, so a model that gives every track the mean scores of the corpus does well. By tag
  it is undefined for such a model.
- `top_k_overlap`: the number of tags that the two top-k lists of a track share.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from ..bootstrap import mean, metric
from . import tagging

TOP_K = 5
"""Tags per track that count as positive."""

_RENAMED = {"roc_auc": "teacher_roc_auc", "average_precision": "teacher_average_precision"}


def validate(scores: ArrayLike, reference: ArrayLike) -> None:
    """Check that the scores of two taggers fit together.

    Args:
        scores: ``[tracks, tags]``.
        reference: ``[tracks, tags]``.

    Raises:
        InputError: If they are not two matrices of one shape with at least one row and column, or contain NaN or
            infinity.

    Example:
        >>> validate([[0.9, 0.1]], [[0.8, 0.3]])
        >>> validate([[0.9, 0.1]], [[0.8]])
        Traceback (most recent call last):
        musiczoo.errors.InputError: Expected two matrices of one shape [tracks, tags], got (1, 2) and (1, 1). ...
    """
    scores, reference = np.asarray(scores), np.asarray(reference)
    if scores.ndim != 2 or scores.shape != reference.shape or 0 in scores.shape:
        raise InputError(
            "Expected two matrices of one shape [tracks, tags], "
            f"got {scores.shape} and {reference.shape}. A single track is [1, tags]."
        )
    if not (np.all(np.isfinite(scores)) and np.all(np.isfinite(reference))):
        raise InputError("Expected finite scores, got NaN or infinity. Does the audio contain such samples?")


def top_tags(scores: ArrayLike, k: int = TOP_K) -> NDArray[np.bool_]:
    """Return whether each tag is among the k highest of its track.

    Args:
        scores: ``[tracks, tags]``, finite.
        k: Tags per track, from 1 to the number of tags.

    Returns:
        ``[tracks, tags]`` with exactly k True per row. Of equal scores, the first tag counts as higher.

    Raises:
        InputError: If `scores` is not a finite matrix, or k is out of range.

    Example:
        >>> top_tags([[0.1, 0.9, 0.5], [0.2, 0.2, 0.2]], k=1)
        array([[False,  True, False],
               [ True, False, False]])
    """
    scores = np.asarray(scores)
    validate(scores, scores)
    if not 1 <= k <= scores.shape[1]:
        raise InputError(f"k must be between 1 and {scores.shape[1]}, the number of tags, got {k}.")
    highest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, highest, True, axis=1)
    return chosen


def spearman(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of each row of `a` with the same row of `b`; ties get mid-ranks.

    Args:
        a: ``[rows, columns]``, finite.
        b: ``[rows, columns]``, finite.

    Returns:
        ``[rows]`` in [-1, 1]; NaN where a row of either is constant.

    Raises:
        InputError: See `validate`.

    Example:
        >>> spearman([[1, 5, 7, 9]], [[20, 10, 40, 30]])
        array([0.6])
    """
    validate(a, b)
    # Mid-ranks and their mean are multiples of 1/2, so a constant row deviates by exactly 0.
    x, y = (tagging.mid_ranks(np.asarray(m).T) - (np.asarray(m).shape[1] + 1) / 2 for m in (a, b))
    product = np.sum(x * y, axis=0)
    norm = np.sqrt(np.sum(x * x, axis=0) * np.sum(y * y, axis=0))
    return tagging.ratio(product, norm)


def top_k_overlap(a: ArrayLike, b: ArrayLike, k: int = TOP_K) -> NDArray[np.int64]:
    """Return how many of a track's k highest tags two taggers share.

    Args:
        a: ``[tracks, tags]``, finite.
        b: ``[tracks, tags]``, finite.
        k: Tags per track.

    Returns:
        ``[tracks]``, 0 to k.

    Raises:
        InputError: See `validate` and `top_tags`.

    Example:
        >>> top_k_overlap([[9, 8, 7, 0]], [[0, 9, 8, 7]], k=3)
        array([2])
    """
    validate(a, b)
    shared: NDArray[np.int64] = np.sum(top_tags(a, k) & top_tags(b, k), axis=1, dtype=np.int64)
    return shared


def teacher_agreement(
    scores: ArrayLike,
    reference: ArrayLike,
    tags: Sequence[str],
    k: int = TOP_K,
    min_positives: int = tagging.MIN_POSITIVES,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Compute all metrics of this module, ready for JSON.

    Args:
        scores: ``[tracks, tags]``: the model's.
        reference: ``[tracks, tags]``: the teacher's.
        tags: Names of the columns.
        k: Tags per track that count as positive in the reference.
        min_positives: A tag with fewer positive tracks is left out of the macro means.
        groups: See `musiczoo.evaluation.bootstrap.interval`.

    Returns:
        ``{"tracks", "k", "spearman" (by tag, mean), "spearman_by_track" (mean), "top_k_overlap" (mean),
        "teacher_roc_auc", "teacher_average_precision" (macro means), "tags", "left_out"}``. Each metric is
        ``{"value", "interval"}`` with a 95 % bootstrap interval over tracks; ``"tags"`` holds ``"positives"`` and the
        last two metrics for each tag; ``"left_out"`` lists the tags that the macro means leave out.

    Raises:
        InputError: See `validate`, `top_tags` and `musiczoo.evaluation.metrics.tagging.evaluate`.

    Example:
        >>> scores = [[0.9, 0.2, 0.1], [0.1, 0.8, 0.3], [0.2, 0.1, 0.7]]
        >>> result = teacher_agreement(scores, scores, ["rock", "pop", "jazz"], k=1, min_positives=1)
        >>> result["spearman"]["value"], result["teacher_roc_auc"]["value"], result["top_k_overlap"]["value"]
        (1.0, 1.0, 1.0)
    """
    validate(scores, reference)
    scores, reference = np.asarray(scores), np.asarray(reference)
    tagged = tagging.evaluate(scores, top_tags(reference, k), tags, min_positives, groups)
    return {
        "tracks": len(scores),
        "k": k,
        "spearman": metric(lambda a, b: mean(spearman(a.T, b.T)), scores, reference, groups=groups),
        "spearman_by_track": metric(mean, spearman(scores, reference), groups=groups),
        "top_k_overlap": metric(mean, top_k_overlap(scores, reference, k), groups=groups),
        **current_names(tagged),
    }


def current_names(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics of agreement under today's names.

    Reports and runs of musiczoo before 0.1.0 call `teacher_roc_auc` and `teacher_average_precision` by the names of the
    metrics of tagging.

    Example:
        >>> current_names({"spearman": 0.84, "roc_auc": 0.945})
        {'spearman': 0.84, 'teacher_roc_auc': 0.945}
    """
    result = {_RENAMED.get(name, name): value for name, value in metrics.items()}
    if isinstance(result.get("tags"), Mapping):
        result["tags"] = {
            tag: {_RENAMED.get(name, name): value for name, value in row.items()} for tag, row in result["tags"].items()
        }
    return result
