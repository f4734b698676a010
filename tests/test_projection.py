"""Vectors in two dimensions, against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA as ReferencePCA

from musiczoo import _projection
from musiczoo._projection import flatten, pca

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(12, 256))


def test_pca_equals_scikit_learns_up_to_sign():
    expected = ReferencePCA(2).fit_transform(VECTORS)
    np.testing.assert_allclose(np.abs(pca(VECTORS)), np.abs(expected), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 8), (2, 8), (5, 1)])
def test_few_tracks_fall_back_to_pca(shape):
    method, points = flatten(RNG.normal(size=shape))
    assert method == _projection.PCA
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


def test_equal_tracks_fall_on_one_point():
    method, points = flatten(np.ones((50, 8)))
    assert method == _projection.PCA
    np.testing.assert_array_equal(points, np.zeros((50, 2)))


def test_tsne_keeps_clusters_apart_and_repeats_itself():
    near = RNG.normal(scale=0.01, size=(30, 16))
    near[:15, 0] += 1
    method, points = flatten(near)
    assert method == _projection.T_SNE
    centres = points[:15].mean(axis=0), points[15:].mean(axis=0)
    spread = max(points[:15].std(), points[15:].std())
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread
    np.testing.assert_array_equal(flatten(near)[1], points)
