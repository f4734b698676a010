"""Choose the labels of a data set: annotations if it has any, else those of its teachers.

Training and evaluation follow the same rule. Annotations and teachers' labels are never mixed: the mean of an
annotation and a probability is neither, and the rule of `musiczoo.datasets.hard_tags` is for probabilities only.
"""

from collections.abc import Sequence

from ..errors import DatasetError, InputError, UnknownNameError
from .prepared import ANNOTATIONS, Store

TEACHERS = "teachers"

KINDS = (ANNOTATIONS, TEACHERS)
"""Kinds of labels."""


def names(store: Store) -> tuple[str, ...]:
    """Return the names of the labels in a prepared data set, in alphabetical order; annotations are `ANNOTATIONS`.

    Of joined data sets, those that all of them have.
    """
    found = [
        {path.name for path in (part.root / "labels").glob("*") if path.is_dir()} for part in store.parts or (store,)
    ]
    return tuple(sorted(set.intersection(*found)))


def choose(store: Store, teachers: Sequence[str] = (), kind: str | None = None) -> tuple[str, ...]:
    """Return the names of the labels to use.

    Args:
        store: A prepared data set.
        teachers: The teachers to use if annotations are not; by default all that labelled the data set.
        kind: One of `KINDS`; by default annotations if the data set has them, else teachers.

    Returns:
        ``(ANNOTATIONS,)``, or the names of one or more teachers.

    Raises:
        UnknownNameError: If there is no such kind.
        InputError: If `kind` is annotations and the data set has none.
        DatasetError: If teachers are needed, but none is named and none labelled the data set.
    """
    if kind not in (None, *KINDS):
        raise UnknownNameError.of("kind of labels", str(kind), KINDS)
    found = names(store)
    annotated = ANNOTATIONS in found
    if kind == ANNOTATIONS and not annotated:
        raise InputError(
            f"{store.root} has no annotations by people: {store.dataset} was prepared without tags. "
            f"Use --labels {TEACHERS}, or prepare a data set that has tags."
        )
    if annotated and kind != TEACHERS:
        return (ANNOTATIONS,)
    chosen = tuple(name for name in teachers or found if name != ANNOTATIONS)
    if not chosen:
        remedy = f"Run: musiczoo data label {store.root} --teacher NAME"
        if annotated:
            remedy += f", or use --labels {ANNOTATIONS}"
        raise DatasetError(f"Expected labels by teachers in {store.root / 'labels'}, found none. {remedy}.")
    return chosen


def refuse_mixture(teachers: Sequence[str]) -> None:
    """Check that annotations are not named together with teachers.

    Raises:
        InputError: If they are.
    """
    if ANNOTATIONS in teachers and len(set(teachers)) > 1:
        raise InputError(
            f"Annotations cannot be averaged with teachers' probabilities, got {', '.join(teachers)}. "
            f"Name either {ANNOTATIONS} or teachers."
        )
