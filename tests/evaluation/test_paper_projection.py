"""The paper's picture: which tracks, spaces and tags it shows."""

import numpy as np
import pytest

from musiczoo._projection import pca
from musiczoo.errors import InputError
from musiczoo.evaluation import projection
from musiczoo.evaluation.projection import highlight, project
from musiczoo.taxonomy import DIMENSION_TAGS, PLAIN_SPACES, SPACES, TAGS

RNG = np.random.default_rng(0)
CARRIES = RNG.random((12, len(TAGS))) < 0.5
VECTORS = RNG.normal(size=(12, 256))


def of(*tags, counts):
    """Positives in which the tags have these counts, of ten tracks."""
    carries = np.zeros((10, len(TAGS)), bool)
    for tag, count in zip(tags, counts, strict=True):
        carries[:count, TAGS.index(tag)] = True
    return carries


def test_a_disentangled_model_shows_its_sub_space():
    found = project(VECTORS, SPACES, CARRIES, DIMENSION_TAGS, TAGS)
    start, stop = SPACES["instrument"]
    assert found["space"] == "instrument"
    np.testing.assert_array_equal(found["sub"], pca(VECTORS[:, start:stop]))
    np.testing.assert_array_equal(found["whole"], pca(VECTORS))
    assert list(found["highlight"]) == ["female vocalists", "instrumental"]
    for tag, flags in found["highlight"].items():
        assert flags == CARRIES[:, TAGS.index(tag)].tolist()


def test_a_plain_model_has_no_sub_space():
    assert project(VECTORS, PLAIN_SPACES, CARRIES, DIMENSION_TAGS, TAGS)["sub"] is None


def test_other_tags_take_the_place_of_those_that_hardly_any_track_carries():
    candidates = DIMENSION_TAGS["instrument"]
    papers = of("female vocalists", "instrumental", "guitar", counts=(3, 3, 9))
    assert highlight(candidates, TAGS, papers) == ("female vocalists", "instrumental")
    others = of("instrumental", "guitar", "male vocalists", counts=(2, 9, 3))
    assert highlight(candidates, TAGS, others) == ("guitar", "male vocalists")
    few = of("female vocalists", "instrumental", "guitar", counts=(2, 5, 4))
    assert highlight(candidates, TAGS, few) == ("instrumental", "guitar")
    assert highlight(candidates, TAGS, of("guitar", "rock", counts=(2, 9))) == ("guitar",)
    assert highlight(candidates, TAGS, of(counts=())) == ()


def test_tags_of_ones_own_are_highlighted():
    found = project(VECTORS[:3], {}, [[1, 0], [1, 1], [0, 1]], {"use": ["film", "game"]}, ["film", "game"])
    assert found["space"] == "use"
    assert found["highlight"] == {"film": [True, True, False], "game": [False, True, True]}


def test_many_tracks_are_thinned_out_evenly(monkeypatch):
    monkeypatch.setattr(projection, "MAX_TRACKS", 4)
    found = project(VECTORS[:10], {}, CARRIES[:10], DIMENSION_TAGS, TAGS)
    assert len(found["whole"]) == 4
    assert found["highlight"]["instrumental"] == CARRIES[[0, 3, 6, 9], TAGS.index("instrumental")].tolist()


@pytest.mark.parametrize(
    ("vectors", "carries"),
    [(VECTORS[:5], CARRIES), (VECTORS[0], CARRIES), (VECTORS[:0], CARRIES[:0]), (VECTORS * np.nan, CARRIES)],
)
def test_refuses_what_does_not_fit(vectors, carries):
    with pytest.raises(InputError, match="Expected"):
        project(vectors, SPACES, carries, DIMENSION_TAGS, TAGS)
