"""The interface that all loaders share."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.datasets.dataset import Dataset, Item, safe_id, ungrouped
from musiczoo.errors import DatasetError, UnknownNameError

ITEMS = (
    Item("a", "train", Path("a.mp3"), ("rock", "sad")),
    Item("b", "test", Path("b.mp3"), ()),
    Item("c", "train", Path("c.mp3"), ("rock",)),
)
DATASET = Dataset(
    "folder", Path("music"), ("sad", "jazz", "rock"), {"mood": ("sad",), "genre": ("jazz", "rock")}, ITEMS
)


def test_items_are_found_by_split_and_id() -> None:
    assert DATASET.split("train") == (ITEMS[0], ITEMS[2])
    assert DATASET.audio("b") == Path("b.mp3")
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        DATASET.split("trian")
    with pytest.raises(UnknownNameError, match="track 'z'"):
        DATASET.audio("z")


def test_positives_have_a_column_a_tag() -> None:
    assert DATASET.positives("train").tolist() == [[True, False, True], [False, False, True]]
    assert DATASET.positives("test").tolist() == [[False, False, False]]
    assert DATASET.positives("validation").shape == (0, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": ("sad", "jazz")},
        {"tags": ("sad", "jazz", "rock", "rock")},
        {"tags": (), "dimensions": {}, "items": ()},
        {"dimensions": {"mood": ("sad", "jazz", "rock"), "genre": ("rock",)}},
        {"items": (ITEMS[0], ITEMS[0])},
        {"items": (ITEMS[0], replace(ITEMS[1], id="A"))},
        {"items": (replace(ITEMS[0], id="../a"),)},
        {"items": (replace(ITEMS[0], id=""),)},
        {"items": (replace(ITEMS[0], split="dev"),)},
        {"items": (replace(ITEMS[0], tags=("blues",)),)},
    ],
)
def test_broken_promises_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="expected"):
        replace(DATASET, **changes)  # type: ignore[arg-type]


def test_tags_that_nothing_groups_are_one_dimension() -> None:
    assert ungrouped(["b", "a"]) == {"all": ("b", "a")}


@pytest.mark.parametrize("text", ["TRAADIN128F931D672", "track_0000214", "2", "a-b"])
def test_plain_ids_are_kept(text: str) -> None:
    assert safe_id(text) == text


@given(st.lists(st.text(max_size=150), unique=True, max_size=4))
def test_ids_are_file_names_and_differ(texts: list[str]) -> None:
    ids = [safe_id(text) for text in texts]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", found) for found in ids)
    assert len(set(ids)) == len(texts)
    assert ids == [safe_id(text) for text in texts]


def test_ids_say_what_they_stand_for() -> None:
    assert safe_id("Über/01 - Déjà vu.mp3").startswith("uber-01-deja-vu-mp3-")
    assert safe_id("a b.mp3") != safe_id("a-b.mp3")
    assert safe_id("歌.mp3") != safe_id("曲.mp3")


def test_ids_of_prepared_folders_may_have_dots() -> None:
    item = replace(ITEMS[0], id="wesnoth-1.16-music-battle-epic")
    assert replace(DATASET, items=(item,)).audio(item.id) == item.audio
