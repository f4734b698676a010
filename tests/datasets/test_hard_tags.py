"""Scores -> tags, against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from musiczoo.datasets.hard_tags import MOST, hard_tags
from musiczoo.errors import InputError


def test_a_tag_applies_from_one_and_a_half_times_its_prior():
    # Ratios: 1.6, 1.0, 1.5 and 0.5, 0.9, 0.8: the second track keeps its highest alone.
    tags = hard_tags([[0.32, 0.1, 0.75], [0.1, 0.09, 0.4]], [0.2, 0.1, 0.5])
    np.testing.assert_array_equal(tags, [[True, False, True], [False, True, False]])


def test_a_rare_tag_counts_by_its_ratio_not_by_its_probability():
    tags = hard_tags([[0.004, 0.5]], [0.002, 0.4])
    np.testing.assert_array_equal(tags, [[True, False]])


def test_no_more_than_the_most_are_kept_and_those_are_the_highest_ratios():
    scores = np.linspace(0.2, 0.6, 50)[None]
    kept = np.flatnonzero(hard_tags(scores, np.full(50, 0.1))[0])
    np.testing.assert_array_equal(kept, np.arange(50 - MOST, 50))


@given(arrays(np.float64, (6, 14), elements=st.floats(1e-3, 1)), arrays(np.float64, 14, elements=st.floats(1e-3, 1)))
def test_every_track_has_between_one_tag_and_the_most(scores, prior):
    counts = hard_tags(scores, prior).sum(axis=1)
    assert counts.min() >= 1
    assert counts.max() <= MOST


@pytest.mark.parametrize(
    ("scores", "prior"), [([0.1], [0.1]), ([[0.1, 0.2]], [0.1]), ([[0.1]], [0.0]), ([[0.1]], [float("nan")])]
)
def test_what_does_not_fit_is_refused(scores, prior):
    with pytest.raises(InputError, match="prior"):
        hard_tags(scores, prior)
