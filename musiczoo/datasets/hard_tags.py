"""The rule for the tags of a track, given the probabilities of teachers.

Tagging metrics, retrieval, triplets and thresholds need to know which tags a track has. Annotations say so; the
probabilities of a teacher stay small for rare tags even if the track has them.

The rule: a track has a tag if its score is at least `TIMES_PRIOR` times the tag's prior, which is the mean score over
the training tracks. Of these tags, a track keeps the `MOST` with the highest ratio of score to prior; a track without
any gets the tag with the highest ratio. The score of a track is the mean over its excerpts and teachers. Annotations
are used as they are.

At 2 times the prior, a quarter of the tracks of open_music would have only the one tag that each must have, and 7 of
its 51 test tracks a tag of the dimension instrument; at 1.5 times it is 3 % and 13.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .prepared import Store

TIMES_PRIOR = 1.5
"""Least ratio of a tag's score to its prior."""

MOST = 10
"""Most tags of a track."""


def hard_tags(scores: ArrayLike, prior: ArrayLike) -> NDArray[np.bool_]:
    """Apply the rule.

    Args:
        scores: ``[tracks, tags]`` probabilities.
        prior: ``[tags]``: the mean score of each tag over the training tracks, above 0.

    Returns:
        ``[tracks, tags]``, with 1 to `MOST` True per row. Of equal ratios, the first tag is kept.

    Raises:
        InputError: If the shapes do not fit, or a prior is not a number above 0.

    Example:
        >>> hard_tags([[0.3, 0.1], [0.1, 0.1]], prior=[0.2, 0.1])
        array([[ True, False],
               [False,  True]])
    """
    scores, prior = np.asarray(scores, np.float64), np.asarray(prior, np.float64)
    if scores.ndim != 2 or prior.shape != scores.shape[1:] or not np.all(prior > 0):
        raise InputError(
            f"Expected scores [tracks, tags] and a prior above 0 for each tag, got shapes {scores.shape} and "
            f"{prior.shape}. The prior is the mean over the training tracks."
        )
    ratio = scores / prior
    rank = np.empty(ratio.shape, int)
    np.put_along_axis(rank, np.argsort(-ratio, axis=1, kind="stable"), np.arange(ratio.shape[1])[np.newaxis], axis=1)
    tags: NDArray[np.bool_] = ((ratio >= TIMES_PRIOR) & (rank < MOST)) | (rank == 0)
    return tags


def track_scores(store: Store, split: str, teachers: Sequence[str]) -> NDArray[np.float64]:
    """Return the mean label of each track of a split, in the order of the index: ``[tracks, tags]``.

    Raises:
        InputError: If no teacher is named.
        DatasetError: If a label is missing.

    Example:
        >>> from musiczoo.datasets.folder import load
        >>> from musiczoo.datasets.prepare import FrontEnd, prepare
        >>> levels = FrontEnd({"sample_rate": 22_050}, lambda samples: samples[::512, None].astype(np.float16))
        >>> store = prepare(load("Music"), "data", levels)
        >>> store.tags
        ('cello', 'for dinner', 'for running')
        >>> track_scores(store, "test", ["annotations"])
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    return np.stack([store.labels(track.id, teachers).mean(axis=0, dtype=np.float64) for track in store.split(split)])


def are_annotations(labels: ArrayLike) -> bool:
    """Return whether labels are annotations, which are all 0 or 1, rather than probabilities.

    Example:
        >>> are_annotations([[0, 1]]), are_annotations([[0.2, 0.9]])
        (True, False)
    """
    labels = np.asarray(labels)
    return bool(np.all((labels == 0) | (labels == 1)))


def of_split(store: Store, split: str, teachers: Sequence[str]) -> NDArray[np.bool_]:
    """Return the tags of the tracks of a split: ``[tracks, tags]``, in the order of the index.

    Labels that are all 0 or 1 are annotations and are returned as they are.

    Raises:
        InputError: If no teacher is named.
        DatasetError: If a label is missing.

    Example:
        >>> from musiczoo.datasets.folder import load
        >>> from musiczoo.datasets.prepare import FrontEnd, prepare
        >>> levels = FrontEnd({"sample_rate": 22_050}, lambda samples: samples[::512, None].astype(np.float16))
        >>> store = prepare(load("Music"), "data", levels)
        >>> of_split(store, "test", ["annotations"])
        array([[ True, False, False],
               [False, False,  True]])
    """
    scores = track_scores(store, split, teachers)
    if are_annotations(scores):
        return np.asarray(scores == 1)
    training = scores if split == "train" else track_scores(store, "train", teachers)
    return hard_tags(scores, training.mean(axis=0))
