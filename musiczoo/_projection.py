"""The paper's picture: the tracks of a split in two dimensions, two tags highlighted.

Conventions
-----------
- Embeddings are ``[tracks, columns]``, finite; positives are ``[tracks, tags]``, bool.
- t-SNE (van der Maaten & Hinton, 2008, scikit-learn's) on Euclidean distances, which order unit vectors as
  cosine does; started from PCA and seeded, so that the same embeddings give the same picture. PCA alone where
  there are too few tracks for t-SNE, or no scikit-learn. The coordinates have no unit.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4: *female vocalists* and *instrumental*, whole space
against the instrument sub-space.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.errors import InputError

T_SNE, PCA = "t-SNE", "PCA"
MAX_TRACKS = 1000
"""More are thinned out evenly: a picture does not show them apart, and the page would be large."""
MIN_TRACKS = 20
"""With fewer, t-SNE has no neighbourhoods to keep."""
MIN_CARRIED = 3
"""Tracks that must carry each of the paper's two tags: fewer show nothing."""
PERPLEXITY = 30.0
DECIMALS = 4

PICTURE = ("female vocalists", "instrumental")
"""The two tags that the paper's picture highlights."""
PICTURED = "instrument"
"""The dimension of the sub-space in that picture."""

Points = NDArray[np.float64]


def project(
    embeddings: ArrayLike,
    spaces: Mapping[str, tuple[int, int]],
    positives: ArrayLike,
    dimensions: Mapping[str, Sequence[str]],
    tags: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """The picture of one model, ready for JSON.

    Args:
        embeddings: ``[tracks, columns]``: track embeddings.
        spaces: Sub-space -> (start, stop) of its columns: ``card.spaces``.
        positives: ``[tracks, tags]``: whether each track carries each tag.
        dimensions: Dimension -> its tags.
        tags: Names of the columns of `positives`.
        seed: Of t-SNE.

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
    """The paper's two tags if enough tracks carry each; else the two most frequent of the candidates."""
    counts = {tag: int(positives[:, i].sum()) for i, tag in enumerate(tags)}
    if all(counts.get(tag, 0) >= MIN_CARRIED for tag in PICTURE):
        return PICTURE
    carried = [tag for tag in candidates if counts.get(tag)]
    return tuple(sorted(carried, key=lambda tag: -counts[tag])[:2])


def flatten(vectors: Points, seed: int = 0) -> tuple[str, Points]:
    """Vectors in two dimensions.

    Args:
        vectors: ``[tracks, columns]``, finite.
        seed: Same seed, same picture.

    Returns:
        `T_SNE` or `PCA`, and ``[tracks, 2]``, centred.
    """
    if len(vectors) < MIN_TRACKS or not np.ptp(vectors, axis=0).any():
        return PCA, pca(vectors)
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
    except ModuleNotFoundError:
        return PCA, pca(vectors)
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    with threadpool_limits(1):  # one thread adds in one order: the same picture every time
        points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    centred = np.asarray(points - points.mean(axis=0), np.float64)
    return T_SNE, np.round(centred, DECIMALS)


def pca(vectors: Points) -> Points:
    """The two directions of most variance ``[tracks, 2]``; zeros where there is none.

    The sign of each direction is chosen so that its largest weight is positive.
    """
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(vectors), 2))
    for i, direction in enumerate(directions[:2]):
        points[:, i] = centred @ direction * np.sign(direction[np.argmax(np.abs(direction))])
    return np.round(points, DECIMALS)


def _validate(vectors: Points, carries: NDArray[np.bool_], tags: Sequence[str]) -> None:
    if vectors.ndim != 2 or 0 in vectors.shape or carries.shape != (len(vectors), len(tags)):
        raise InputError(
            f"Expected embeddings [tracks, columns] and positives [tracks, {len(tags)} tags] of the same tracks, "
            f"received {vectors.shape} and {carries.shape}."
        )
    if not np.isfinite(vectors).all():
        raise InputError("Expected finite embeddings, received NaN or infinity. Did the audio hold such samples?")
