"""Voices: what changes when a singer is added to music, and whether songs with singers are near to each other.

Conventions
-----------
- A *pair* is one track without a voice, its *backing*, and the same track with one. Arrays of both have the pairs as
  rows, in one order.
- *Logits* are ``[pairs, tags]``, for the tags of `VOICE_TAGS`; a reference's logits, such as those of teachers, have
  the same shape.

Metrics
-------
- *slope*: how far the logits move when the voice is added, as a multiple of how far those of the reference move: the
  least-squares line through the origin, over all pairs and tags. *r*: Pearson's correlation of the two movements.
- *voice_auc*: ROC-AUC of tracks with a voice against their backings, by the negative logit of *instrumental*.
- *register_auc*: ROC-AUC of songs by high voices against songs by low ones, by the difference of the logits of
  *female vocalists* and *male vocalists*. Registers stand for most women and most men.
- *nearer*: two-alternative test. A track with a voice should be nearer to another song with its voice than to the same
  song without, and a backing nearer to the other's backing: the share of right answers over all ordered pairs of
  songs, so that everything but the voice is balanced. Chance is 0.5.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

from ..bootstrap import metric
from .tagging import roc_auc

FEMALE, MALE, INSTRUMENTAL = "female vocalists", "male vocalists", "instrumental"

VOICE_TAGS = (FEMALE, "female vocalist", MALE, INSTRUMENTAL)

Array = NDArray[np.float64]


def logits_of(probabilities: ArrayLike, least: float = 1e-5) -> Array:
    """Return the logits of probabilities, which are limited to `least` and one minus that.

    Example:
        >>> logits_of([0.5, 0.0]).round(2)
        array([  0.  , -11.51])
    """
    p = np.clip(np.asarray(probabilities, np.float64), least, 1 - least)
    return np.log(p) - np.log1p(-p)


def evaluate(
    sung: ArrayLike,
    backing: ArrayLike,
    reference_sung: ArrayLike,
    reference_backing: ArrayLike,
    registers: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluate how a model's tags follow a voice, ready for JSON.

    Args:
        sung: Logits ``[pairs, 4]`` of `VOICE_TAGS`, with the voice.
        backing: The same without it.
        reference_sung: The reference's logits with the voice.
        reference_backing: The reference's logits without it.
        registers: ``high``, ``low`` or empty for each pair; none to leave out `register_auc`.

    Returns:
        ``{"slope", "r", "voice_auc", "register_auc"}``, each ``{"value", "interval"}`` with a 95 % bootstrap interval
        over pairs, and ``"pairs"``.

    Raises:
        InputError: If the shapes differ or a number is not finite.

    Example:
        A model that moves half as far as the reference:

        >>> backing, moved = np.zeros((3, 4)), np.array([[1.0, 1, 0, -1], [2, 1, 0, -2], [0, 0, 1, -1]])
        >>> evaluate(moved / 2, backing, moved, backing)["slope"]["value"]
        0.5
    """
    arrays = [np.asarray(values, np.float64) for values in (sung, backing, reference_sung, reference_backing)]
    shape = (len(arrays[0]), len(VOICE_TAGS))
    if not len(arrays[0]) or any(array.shape != shape or not np.isfinite(array).all() for array in arrays):
        raise InputError(
            f"Expected four finite arrays [pairs, {len(VOICE_TAGS)}], got shapes {[array.shape for array in arrays]}."
        )
    ours, theirs = arrays[0] - arrays[1], arrays[2] - arrays[3]
    named = np.array([*registers] or [""] * len(ours))
    column = VOICE_TAGS.index(INSTRUMENTAL)
    difference = arrays[0][:, VOICE_TAGS.index(FEMALE)] - arrays[0][:, VOICE_TAGS.index(MALE)]
    clear = named != ""
    return {
        "slope": metric(_slope, ours, theirs),
        "r": metric(_r, ours, theirs),
        "voice_auc": metric(_voice_auc, arrays[0][:, column], arrays[1][:, column]),
        "register_auc": metric(_register_auc, difference[clear], named[clear] == "high")
        if clear.any()
        else {"value": None, "interval": [None, None]},
        "pairs": len(ours),
    }


def nearer(sung: ArrayLike, backing: ArrayLike, spaces: Mapping[str, slice] | None = None) -> dict[str, Any]:
    """Evaluate the two-alternative test, in the whole space and in sub-spaces, ready for JSON.

    Args:
        sung: Vectors ``[pairs, columns]``, with the voice.
        backing: The same without it.
        spaces: Sub-space -> its columns.

    Returns:
        ``"all"`` and each sub-space -> ``{"value", "interval"}``, with a 95 % bootstrap interval over songs.

    Raises:
        InputError: If the shapes differ, there are fewer than two pairs, or a number is not finite.

    Example:
        The second column says whether there is a voice:

        >>> sung, backing = np.array([[1.0, 1], [-1, 1]]), np.array([[1.0, -1], [-1, -1]])
        >>> nearer(sung, backing, {"voice": slice(1, 2)})["voice"]["value"]
        1.0
    """
    one, other = np.asarray(sung, np.float64), np.asarray(backing, np.float64)
    if one.ndim != 2 or one.shape != other.shape or len(one) < 2 or not np.isfinite([one, other]).all():
        raise InputError(
            f"Expected two finite arrays [pairs, columns] of 2 pairs or more, got {one.shape}, {other.shape}."
        )
    columns = {"all": slice(None), **(spaces or {})}
    return {name: metric(np.mean, _right(_unit(one[:, part]), _unit(other[:, part]))) for name, part in columns.items()}


def _right(sung: Array, backing: Array) -> Array:
    """Return the share of right answers for each song as the query, ties as halves: ``[pairs]``."""
    with_voice = sung @ sung.T - sung @ backing.T
    without = backing @ backing.T - backing @ sung.T
    answers = (np.sign(with_voice) + np.sign(without)) / 4 + 0.5
    np.fill_diagonal(answers, 0)
    return np.asarray(answers.sum(axis=1) / (len(sung) - 1))


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _slope(ours: Array, theirs: Array) -> float:
    total = float(np.sum(theirs**2))
    return float(np.sum(ours * theirs)) / total if total > 0 else float("nan")


def _r(ours: Array, theirs: Array) -> float:
    if min(np.ptp(ours), np.ptp(theirs)) == 0:
        return float("nan")
    return float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])


def _voice_auc(sung: Array, backing: Array) -> float:
    return _auc(-np.concatenate([sung, backing]), np.repeat([True, False], [len(sung), len(backing)]))


def _register_auc(difference: Array, high: NDArray[np.bool_]) -> float:
    return _auc(difference, high)


def _auc(scores: Array, positive: NDArray[np.bool_]) -> float:
    return float(roc_auc(scores[:, np.newaxis], positive[:, np.newaxis])[0])
