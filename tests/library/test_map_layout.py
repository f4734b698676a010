"""Positions of tracks on a map, and their neighbors."""

import importlib.machinery
import sys
import types

import numpy as np
import pytest

from musiczoo import _projection
from musiczoo.errors import MissingDependencyError, UnknownNameError
from musiczoo.library.map import layout
from musiczoo.library.map.content import neighbors

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(40, 16))


def test_positions_fill_the_longer_axis_and_center_the_other() -> None:
    # Extents 2 and 1: y runs over half the range, from a quarter of 65,535 (16,383.75) to three quarters (49,151.25).
    got = layout.quantise(np.array([[0.0, 0.0], [2.0, 1.0], [1.0, 0.5]]))
    assert got.dtype == np.uint16
    assert got.tolist() == [[0, 16384], [65535, 49151], [32768, 32768]]


def test_equal_points_lie_in_the_middle() -> None:
    assert layout.quantise(np.full((3, 2), 7.0)).tolist() == [[32768, 32768]] * 3


def test_positions_are_off_by_half_a_step_at_most() -> None:
    points = RNG.normal(size=(500, 2)) * [3, 1]
    extent = np.ptp(points, axis=0).max()
    back = (layout.quantise(points) / 65535 - 0.5) * extent + (points.min(axis=0) + points.max(axis=0)) / 2
    assert np.abs(back - points).max() <= extent / 65535 / 2 * (1 + 1e-9)


def test_pca_is_the_report_s() -> None:
    label, points = layout.project(VECTORS, "pca")
    assert label == "PCA"
    np.testing.assert_array_equal(points, _projection.pca(VECTORS))


def test_tsne_is_the_report_s() -> None:
    pytest.importorskip("sklearn")
    label, points = layout.project(VECTORS, "tsne")
    assert label == "t-SNE"
    np.testing.assert_array_equal(points, _projection.flatten(VECTORS, 0)[1])


def test_umap_is_seeded_and_asked_for_existing_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    class Reducer:
        def __init__(self, **options: object) -> None:
            asked.update(options)

        def fit_transform(self, vectors: np.ndarray) -> np.ndarray:
            return vectors[:, :2].astype(np.float32)

    module = types.ModuleType("umap")
    module.__spec__ = importlib.machinery.ModuleSpec("umap", None)
    module.UMAP = Reducer
    monkeypatch.setitem(sys.modules, "umap", module)
    label, points = layout.project(VECTORS, "umap", seed=5)
    assert label == "UMAP"
    assert (points.shape, points.dtype) == ((40, 2), np.float64)
    assert (asked["random_state"], asked["n_jobs"], asked["n_neighbors"]) == (5, 1, 15)


@pytest.mark.parametrize("method", layout.METHODS)
@pytest.mark.parametrize("vectors", [VECTORS[:1], VECTORS[:5], np.ones((50, 4))], ids=["one", "few", "equal"])
def test_pca_is_used_without_neighborhoods(method: str, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "find_spec", lambda name: name)  # nothing is imported
    label, points = layout.project(vectors, method)
    assert label == "PCA"
    assert np.isfinite(layout.quantise(points)).all()


@pytest.mark.parametrize(("method", "extra"), [("umap", "musiczoo[umap]"), ("tsne", "musiczoo[report]")])
def test_a_missing_package_is_named_before_the_work(method: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError) as caught:
        layout.check(method)
    assert extra in str(caught.value)
    layout.check("pca")


def test_an_unknown_method_suggests_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'umap'"):
        layout.check("uamp")


@pytest.mark.parametrize(("count", "k"), [(1, 8), (2, 8), (5, 3), (9, 8), (33, 8), (1100, 8), (200, 40)])
def test_neighbours_are_those_of_a_plain_loop(count: int, k: int) -> None:
    vectors = RNG.normal(size=(count, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows, cosines = neighbors(vectors, k)
    assert rows.shape == cosines.shape == (count, min(k, count - 1))
    for i in range(0, count, 7):
        others = sorted((float(vectors[i] @ vectors[j]) for j in range(count) if j != i), reverse=True)
        np.testing.assert_allclose(cosines[i], others[:k], atol=1e-6)
        np.testing.assert_allclose([float(vectors[i] @ vectors[j]) for j in rows[i]], cosines[i], atol=1e-6)
        assert i not in rows[i]
        assert len(set(rows[i])) == len(rows[i])


def test_silent_tracks_have_no_neighbors() -> None:
    rows, cosines = neighbors(np.zeros((40, 4), np.float32), 8)
    assert (rows == np.arange(40)[:, None]).all()
    assert not cosines.any()
    vectors = np.zeros((40, 4), np.float32)
    vectors[[3, 20, 39]] = np.eye(4)[[0, 0, 1]]
    rows, cosines = neighbors(vectors, 8)
    assert [set(rows[i]) for i in (0, 3, 20, 39)] == [{0}, {3, 20, 39}, {3, 20, 39}, {3, 20, 39}]
    assert (rows[3, :2].tolist(), cosines[3].tolist()) == ([20, 39], [1.0] + [0.0] * 7)


def test_equal_tracks_have_neighbours() -> None:
    rows, cosines = neighbors(np.tile(np.eye(4, dtype=np.float32)[:1], (40, 1)), 8)
    assert all(i not in row for i, row in enumerate(rows))
    assert (cosines == 1).all()
    assert rows.max() < 40
