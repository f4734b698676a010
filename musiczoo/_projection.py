"""Project vectors to two dimensions, for pictures and maps.

Conventions
-----------
- Vectors are ``[tracks, columns]``, finite. Coordinates have no unit.
- t-SNE (van der Maaten & Hinton, 2008, of scikit-learn) on Euclidean distances, which order unit vectors as cosine
  does. It starts from PCA and is seeded: the same vectors give the same picture. With fewer tracks than `MIN_TRACKS`,
  or without scikit-learn, PCA takes its place.
"""

import numpy as np
from numpy.typing import NDArray

T_SNE, PCA = "t-SNE", "PCA"
MIN_TRACKS = 20
"""Fewest tracks for t-SNE: with fewer, there are no neighborhoods to keep."""
PERPLEXITY = 30.0
DECIMALS = 4

Points = NDArray[np.float64]


def flatten(vectors: Points, seed: int = 0) -> tuple[str, Points]:
    """Project vectors to two dimensions with t-SNE, or PCA.

    Args:
        vectors: ``[tracks, columns]``, finite.
        seed: Seed of t-SNE: the same seed gives the same picture.

    Returns:
        The method used, `T_SNE` or `PCA`, and the points ``[tracks, 2]``, centered.
    """
    if len(vectors) < MIN_TRACKS or not np.ptp(vectors, axis=0).any():
        return PCA, pca(vectors)
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
    except ModuleNotFoundError:
        return PCA, pca(vectors)
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    with threadpool_limits(1):  # one thread adds in one order, so the picture repeats
        points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    centred = np.asarray(points - points.mean(axis=0), np.float64)
    return T_SNE, np.round(centred, DECIMALS)


def pca(vectors: Points) -> Points:
    """Project vectors to the two directions of most variance: ``[tracks, 2]``; zeros where there is none.

    The sign of each direction is chosen so that its largest weight is positive.
    """
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(vectors), 2))
    for i, direction in enumerate(directions[:2]):
        points[:, i] = centred @ direction * np.sign(direction[np.argmax(np.abs(direction))])
    return np.round(points, DECIMALS)
