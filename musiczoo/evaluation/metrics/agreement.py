"""How far two taggers say the same of the same tracks.

Conventions
-----------
- *Scores* and *reference* are ``[tracks, tags]`` finite numbers, higher for more likely: the tagger
  in question and the one it is held against (a teacher, say).
- The tags that a reference gives a track are its `TOP_K` highest scores (`hard_tags`), since a
  tagger's probabilities of rare tags stay small even where they apply.

Metrics
-------
- `tagging.evaluate` of the scores, with the reference's hard tags as positives.
- `spearman`: rank correlation of two matrices row by row. The main figure goes by tag (over tracks, on
  the transposed matrices, the mean over tags): do the tracks come in the same order? By track (over
  its tags) it asks whether the tags do, which says less: some tags are likelier in all music, so that a
  tagger that gives every track the mean scores of the corpus does well by track. By tag it
  is undefined.
- `top_k_overlap`: how many of a track's k highest tags the two share.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from ..bootstrap import figure, mean
from . import tagging

TOP_K = 5
"""Tags per track that count as given."""


def validate(scores: ArrayLike, reference: ArrayLike) -> None:
    """Check that two taggers' scores fit together.

    Raises:
        InputError: If they are not two matrices of one shape with at least one row and column, or hold
            NaN or infinity.
    """
    scores, reference = np.asarray(scores), np.asarray(reference)
    if scores.ndim != 2 or scores.shape != reference.shape or 0 in scores.shape:
        raise InputError(
            "Expected two matrices of one shape [tracks, tags], "
            f"received {scores.shape} and {reference.shape}. One track alone is [1, tags]."
        )
    if not (np.all(np.isfinite(scores)) and np.all(np.isfinite(reference))):
        raise InputError("Expected finite scores, received NaN or infinity. Did the audio hold such samples?")


def hard_tags(scores: ArrayLike, k: int = TOP_K) -> NDArray[np.bool_]:
    """Whether each tag is among the k highest of its track.

    Args:
        scores: ``[tracks, tags]``.
        k: Tags per track.

    Returns:
        ``[tracks, tags]`` with exactly k True a row; of equal scores, the tag that comes first.

    Raises:
        InputError: If `scores` is not a finite matrix, or k is not between 1 and the number of tags.
    """
    scores = np.asarray(scores)
    validate(scores, scores)
    if not 1 <= k <= scores.shape[1]:
        raise InputError(f"Expected k between 1 and {scores.shape[1]}, the number of tags, received {k}.")
    highest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, highest, True, axis=1)
    return chosen


def spearman(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Spearman's rank correlation of each row of `a` with the same row of `b`, with mid-ranks for ties.

    Args:
        a: ``[rows, columns]``.
        b: ``[rows, columns]``.

    Returns:
        ``[rows]`` in [-1, 1]; NaN where a row of either is constant.

    Raises:
        InputError: See `validate`.
    """
    validate(a, b)
    # Mid-ranks and their mean are multiples of 1/2, so a constant row deviates by exactly 0.
    x, y = (tagging.mid_ranks(np.asarray(m).T) - (np.asarray(m).shape[1] + 1) / 2 for m in (a, b))
    product = np.sum(x * y, axis=0)
    norm = np.sqrt(np.sum(x * x, axis=0) * np.sum(y * y, axis=0))
    return tagging.ratio(product, norm)


def top_k_overlap(a: ArrayLike, b: ArrayLike, k: int = TOP_K) -> NDArray[np.int64]:
    """How many of each track's k highest tags two taggers share.

    Args:
        a: ``[tracks, tags]``.
        b: ``[tracks, tags]``.
        k: Tags per track.

    Returns:
        ``[tracks]``, 0 to k.

    Raises:
        InputError: See `validate` and `hard_tags`.
    """
    validate(a, b)
    shared: NDArray[np.int64] = np.sum(hard_tags(a, k) & hard_tags(b, k), axis=1, dtype=np.int64)
    return shared


def evaluate(
    scores: ArrayLike,
    reference: ArrayLike,
    tags: Sequence[str],
    k: int = TOP_K,
    min_positives: int = tagging.MIN_POSITIVES,
) -> dict[str, Any]:
    """All metrics of this module, ready for JSON.

    Args:
        scores: ``[tracks, tags]``: the tagger in question.
        reference: ``[tracks, tags]``: the tagger it is held against.
        tags: Names of the columns.
        k: Tags per track that count as given by the reference.
        min_positives: A tag given to fewer tracks is left out of the macro means.

    Returns:
        The dict of `tagging.evaluate`, and ``"tracks"``, ``"k"``, ``"spearman"`` (by tag, mean),
        ``"spearman_by_track"`` (mean), ``"top_k_overlap"`` (mean), each figure
        ``{"value", "interval"}`` with a 95 % bootstrap interval over tracks.

    Raises:
        InputError: See `validate`, `hard_tags` and `tagging.evaluate`.
    """
    validate(scores, reference)
    scores, reference = np.asarray(scores), np.asarray(reference)
    return {
        "tracks": len(scores),
        "k": k,
        "spearman": figure(lambda a, b: mean(spearman(a.T, b.T)), scores, reference),
        "spearman_by_track": figure(mean, spearman(scores, reference)),
        "top_k_overlap": figure(mean, top_k_overlap(scores, reference, k)),
        **tagging.evaluate(scores, hard_tags(reference, k), tags, min_positives),
    }
