"""From excerpts to a track, against results computed by hand."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from toy import CARD

from musiczoo.errors import InputError, UnknownNameError
from musiczoo.track import Tag, Tags, Track, predicted_tags, summarise

# Two spaces of two columns, three tags in two dimensions.
SMALL = dataclasses.replace(
    CARD,
    embedding_size=4,
    spaces={"left": (0, 2), "right": (2, 4)},
    tags=("a", "b", "c"),
    dimensions={"left": ("c", "a"), "right": ("b",)},
    thresholds={"a": 0.4, "b": 0.5, "c": 0.9},
)


def track(embeddings: Any, taggram: Any) -> Track:
    return summarise(
        SMALL,
        np.arange(len(embeddings)) * 3.0,
        np.array(embeddings, np.float32),
        np.array(taggram, np.float32),
        path="a.wav",
        duration_s=7.5,
    )


def test_an_embedding_of_free_length_stays_the_plain_mean() -> None:
    free = summarise(
        dataclasses.replace(SMALL, normalized=False),
        np.array([0.0, 3.0]),
        np.array([[1, 2, 3, 4], [3, 2, 1, 0]], np.float32),
        np.zeros((2, 3), np.float32),
        path=None,
        duration_s=6.0,
    )
    np.testing.assert_array_equal(free.embedding, [2, 2, 2, 2])


def test_tags_are_the_mean_of_the_excerpts() -> None:
    tags = track(np.zeros((2, 4)), [[0.2, 0.5, 1.0], [0.8, 0.5, 0.5]]).tags
    assert dict(tags) == {"a": 0.5, "b": 0.5, "c": 0.75}
    assert tags["c"] == 0.75


def test_each_space_of_the_mean_is_scaled_to_one_over_root_two() -> None:
    """Left: the mean of (1, 0) and (0, 1) is (.5, .5); unit (.707, .707); over root two (.5, .5)."""
    result = track([[1, 0, 0, 3], [0, 1, 0, 1]], np.zeros((2, 3)))
    np.testing.assert_allclose(result.embedding, [0.5, 0.5, 0, 0.5**0.5], atol=1e-7)
    np.testing.assert_allclose(result.space("left"), [0.5**0.5, 0.5**0.5], atol=1e-7)
    np.testing.assert_allclose(result.space("right"), [0, 1], atol=1e-7)
    assert np.linalg.norm(result.embedding) == pytest.approx(1)


def test_excerpts_that_cancel_leave_zeros() -> None:
    result = track([[1, 0, 1, 1], [-1, 0, 1, 1]], np.zeros((2, 3)))
    assert result.space("left").tolist() == [0, 0]
    np.testing.assert_allclose(result.embedding, [0, 0, 0.5, 0.5], atol=1e-7)


def test_orders_of_tags() -> None:
    tags = Tags(np.array([0.5, 0.5, 0.75], np.float32), SMALL)
    a, b, c = Tag("a", 0.5), Tag("b", 0.5), Tag("c", 0.75)
    assert tags.top(2) == [c, a]  # ties in the card's order
    assert tags.top() == tags.top(99) == [c, a, b]
    assert tags.top(0) == []
    assert tags.above_threshold() == [a, b]  # 0.75 is below c's 0.9; b's 0.5 reaches its 0.5
    assert tags.by_dimension() == {"left": [c, a], "right": [b]}
    with pytest.raises(InputError, match=r"k must be 0 or more.*got -1"):
        tags.top(-1)


def test_tags_are_a_read_only_mapping() -> None:
    tags = Tags(np.array([0.5, 0.25, 0.75], np.float32), SMALL)
    expected = {"a": 0.5, "b": 0.25, "c": 0.75}
    assert isinstance(tags, Mapping)
    assert list(tags) == list(tags.keys()) == ["a", "b", "c"]  # the card's order
    assert list(tags.values()) == [0.5, 0.25, 0.75]
    assert list(tags.items()) == list(expected.items())
    assert {**tags} == dict(tags) == tags == expected
    assert len(tags) == 3
    assert "a" in tags
    assert "x" not in tags
    assert (tags["b"], tags.get("b"), tags.get("x"), tags.get("x", 0.0)) == (0.25, 0.25, None, 0.0)
    with pytest.raises(TypeError):
        tags["a"] = 1.0  # type: ignore[index]


def test_tags_are_equal_by_their_probabilities() -> None:
    one, same = (Tags(np.array([0.5, 0.25, 0.75], np.float32), SMALL) for _ in range(2))
    other = Tags(np.array([0.5, 0.25, 0.5], np.float32), SMALL)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert len({one, same, other}) == 2


def test_zero_is_never_predicted() -> None:
    """Also with a threshold of 0: tags of a silent track, all of probability 0, do not describe it."""
    assert predicted_tags(["a", "b"], np.array([0.0, 0.1]), {"a": 0, "b": 0}) == [Tag("b", 0.1)]


def test_unknown_names_suggest() -> None:
    result = track(np.zeros((1, 4)), np.zeros((1, 3)))
    with pytest.raises(UnknownNameError, match=r"Unknown space 'rigth'\. Did you mean 'right'\?"):
        result.space("rigth")
    with pytest.raises(UnknownNameError, match=r"Unknown tag 'd'.*Available: a, b, c"):
        result.tags["d"]


def test_what_is_printed_is_short() -> None:
    result = track(np.zeros((1, 4)), [[0.831, 0.1, 0.2]])
    assert repr(result.tags.top(1)) == '[Tag("a", 0.83)]'
    assert str(result).startswith("Track(path='a.wav', duration_s=7.5, model='toy'")
    assert len(str(result)) < 200


def test_a_track_does_not_change() -> None:
    result = track(np.zeros((1, 4)), np.zeros((1, 3)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.path = "b"  # type: ignore[misc]
