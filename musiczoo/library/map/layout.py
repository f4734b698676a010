"""The layout of a map: embeddings as points on a plane.

Conventions
-----------
- Vectors are ``[tracks, columns]``, float64, finite. Positions are ``[tracks, 2]`` uint16: the unit is the same on both
  axes, and the longer axis fills the range. Units and directions have no meaning.
- PCA keeps large distances and takes no time. UMAP and t-SNE keep neighborhoods, by Euclidean distance, which orders
  unit vectors as the cosine does; both are seeded, so that the same library gives the same map.
- With fewer than `_projection.MIN_TRACKS` tracks, or equal ones only, there are no neighborhoods, and PCA is used.
"""

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from ... import _projection
from ...errors import MissingDependencyError, UnknownNameError

Points = NDArray[np.float64]

PCA, UMAP, T_SNE = "pca", "umap", "tsne"
METHODS = (PCA, UMAP, T_SNE)
LABELS = {PCA: _projection.PCA, UMAP: "UMAP", T_SNE: _projection.T_SNE}
"""Method -> its label."""

_NEEDS = {UMAP: ("umap", "musiczoo[umap]"), T_SNE: ("sklearn", "musiczoo[report]")}
_NEIGHBOURS = 15
"""Neighbors that UMAP considers: its default."""
RANGE = 65535
"""Largest position."""


def check(method: str) -> None:
    """Raise an error, before any work, if a method cannot be used.

    Raises:
        UnknownNameError: If the method does not exist.
        MissingDependencyError: If its package is not installed.
    """
    if method not in METHODS:
        raise UnknownNameError.of("method", method, METHODS)
    if method in _NEEDS and find_spec(_NEEDS[method][0]) is None:
        module, extra = _NEEDS[method]
        raise MissingDependencyError(
            f"{LABELS[method]} needs the package {module}, which is not installed. Install it with: "
            f"pip install '{extra}'. Or use the method pca, which needs no package."
        )


def project(vectors: Points, method: str, seed: int = 0) -> tuple[str, Points]:
    """Return the label of the method used, and the vectors in two dimensions, ``[tracks, 2]``.

    Raises:
        UnknownNameError, MissingDependencyError: See `check`.
    """
    check(method)
    if method == PCA or len(vectors) < _projection.MIN_TRACKS or not np.ptp(vectors, axis=0).any():
        return LABELS[PCA], _projection.pca(vectors)
    if method == T_SNE:
        return _projection.flatten(vectors, seed)
    from umap import UMAP as Umap

    # One job: several sum in varying order, and the map would change from run to run.
    reducer = Umap(n_neighbors=min(_NEIGHBOURS, len(vectors) - 1), init="pca", random_state=seed, n_jobs=1)
    return LABELS[UMAP], np.asarray(reducer.fit_transform(vectors), np.float64)


def quantise(points: Points) -> NDArray[np.uint16]:
    """Return points as positions, centered in the range; a position is off by half a step at most."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max()) or 1.0
    steps = (points - (low + high) / 2) / extent * RANGE + RANGE / 2
    positions: NDArray[np.uint16] = np.rint(steps).clip(0, RANGE).astype(np.uint16)
    return positions
