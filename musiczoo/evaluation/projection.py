"""The paper's picture: the tracks of a split in two dimensions, with two tags highlighted.

Conventions
-----------
- Embeddings are ``[tracks, columns]``, finite; positives are ``[tracks, tags]``, bool.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4: *female vocalists* and *instrumental*, the whole space
beside the instrument sub-space.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._projection import Points, flatten
from ..errors import InputError

MAX_TRACKS = 1000
"""Most tracks in a picture; more are thinned out evenly, since they would overlap and make the page large."""
MIN_CARRIED = 3
"""Fewest tracks that carry each of the paper's two tags."""

PICTURE = ("female vocalists", "instrumental")
"""The two tags that the paper's picture highlights."""
PICTURED = "instrument"
"""The dimension of the sub-space in that picture."""


def project(
    embeddings: ArrayLike,
    spaces: Mapping[str, tuple[int, int]],
    positives: ArrayLike,
    dimensions: Mapping[str, Sequence[str]],
    tags: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """Return the picture of one model, ready for JSON.

    Args:
        embeddings: ``[tracks, columns]``: track embeddings.
        spaces: Sub-space -> (start, stop) of its columns: ``card.spaces``.
        positives: ``[tracks, tags]``: whether each track carries each tag.
        dimensions: Dimension -> its tags.
        tags: Names of the columns of `positives`.
        seed: Seed of t-SNE.

    Returns:
        ``{"method", "space", "whole": [[x, y]], "sub": [[x, y]] or None, "highlight": {tag: [bool]}}``: "space" is
        the dimension of the sub-space and of the highlighted tags, "sub" is None for a model without it.

    Raises:
        InputError: If the arrays do not fit together or hold NaN or infinity.
    """
    vectors, carries = np.asarray(embeddings, np.float64), np.asarray(positives, bool)
    _validate(vectors, carries, tags)
    dimension = PICTURED if PICTURED in dimensions else next(iter(dimensions), "")
    highlighted = highlight(dimensions.get(dimension, ()), tags, carries)
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), MAX_TRACKS)).astype(int))
    method, whole = flatten(vectors[rows], seed)
    start, stop = spaces.get(dimension, (0, 0))
    return {
        "method": method,
        "space": dimension,
        "whole": whole.tolist(),
        "sub": flatten(vectors[rows, start:stop], seed)[1].tolist() if stop > start else None,
        "highlight": {tag: carries[rows, list(tags).index(tag)].tolist() for tag in highlighted},
    }


def highlight(candidates: Sequence[str], tags: Sequence[str], positives: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the paper's two tags if enough tracks carry each; else the two most frequent of the candidates."""
    counts = {tag: int(positives[:, i].sum()) for i, tag in enumerate(tags)}
    if all(counts.get(tag, 0) >= MIN_CARRIED for tag in PICTURE):
        return PICTURE
    carried = [tag for tag in candidates if counts.get(tag)]
    return tuple(sorted(carried, key=lambda tag: -counts[tag])[:2])


def _validate(vectors: Points, carries: NDArray[np.bool_], tags: Sequence[str]) -> None:
    if vectors.ndim != 2 or 0 in vectors.shape or carries.shape != (len(vectors), len(tags)):
        raise InputError(
            f"Expected embeddings [tracks, columns] and positives [tracks, {len(tags)} tags] of the same tracks, "
            f"got {vectors.shape} and {carries.shape}."
        )
    if not np.isfinite(vectors).all():
        raise InputError("Expected finite embeddings, got NaN or infinity. Did the audio hold such samples?")
