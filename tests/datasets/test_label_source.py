"""Whose labels count."""

from pathlib import Path

import pytest

from musiczoo.datasets import label_source
from musiczoo.datasets.label import label
from musiczoo.datasets.prepared import Store, TrackEntry
from musiczoo.errors import DatasetError, InputError, UnknownNameError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A data set of one track, without labels."""
    track = TrackEntry("a", "train", "a.wav", 3.0, 129, "", "", "", "", "")
    store = Store(tmp_path, "jamendo", {}, (track,), tags=("genre---rock",), dimensions={"genre": ("genre---rock",)})
    store.save()
    return store


def labelled(store: Store, *names: str) -> Store:
    for name in names:
        (store.root / "labels" / name).mkdir(parents=True)
    return store


@pytest.mark.parametrize(
    ("found", "teachers", "kind", "expected"),
    [
        (("annotations",), (), None, ("annotations",)),
        (("annotations",), ("musicnn-msd",), None, ("annotations",)),
        (("annotations", "b"), ("b",), "teachers", ("b",)),
        (("annotations", "c", "b"), (), "teachers", ("b", "c")),
        (("b", "c"), (), None, ("b", "c")),
        (("b", "c"), ("c",), None, ("c",)),
        (("b",), ("annotations",), "teachers", None),
        ((), ("musicnn-msd",), None, ("musicnn-msd",)),  # reading them says that they have to be made
    ],
)
def test_annotations_go_before_teachers(
    found: tuple[str, ...], teachers: tuple[str, ...], kind: str | None, expected: tuple[str, ...] | None, store: Store
) -> None:
    if expected is None:
        with pytest.raises(DatasetError, match="labels by teachers"):
            label_source.choose(labelled(store, *found), teachers, kind)
    else:
        assert label_source.choose(labelled(store, *found), teachers, kind) == expected


def test_what_is_not_there_is_explained(store: Store) -> None:
    with pytest.raises(DatasetError, match="Run: musiczoo data label"):
        label_source.choose(store)
    with pytest.raises(InputError, match=r"has no annotations by people.*--labels teachers"):
        label_source.choose(store, kind="annotations")
    with pytest.raises(DatasetError, match="or use --labels annotations"):
        label_source.choose(labelled(store, "annotations"), kind="teachers")
    with pytest.raises(UnknownNameError, match="Did you mean 'annotations'"):
        label_source.choose(store, kind="annotation")


def test_a_teacher_of_other_tags_is_no_dead_end(toy_folder: Path, store: Store) -> None:
    with pytest.raises(InputError, match=r"'toy' cannot label .*Choose a teacher of the same tags"):
        label(store.root, [str(toy_folder)])
    with pytest.raises(
        InputError, match=r"jamendo has annotations by people.*musiczoo train --data .* --recipe paper-"
    ):
        label(labelled(store, "annotations").root, [str(toy_folder)])
