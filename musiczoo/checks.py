"""What the fields of cards and libraries must be, whoever wrote them: they are JSON that others may have made."""

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from .errors import CardError

LIMITS = {"sample_rate": 1_000_000, "excerpt_samples": 1 << 24, "embedding_size": 1 << 16}
"""Most that a card may ask for: beyond, a card asks for more memory than there is."""


def check(valid: bool, name: str, expected: str, received: object) -> None:
    """Raise a CardError that names the field, unless it is valid."""
    if not valid:
        raise CardError(f"Card field {name!r}: expected {expected}, received {reprlib.repr(received)}.")


def check_types(values: Mapping[str, Any]) -> None:
    """Refuse fields, as JSON gives them, that are of another type than a card's of the same name.

    Raises:
        CardError: Naming the field, what was expected and what was received.
    """
    for name, (expected, fits) in _TYPES.items():
        check(name not in values or fits(values[name]), name, expected, values.get(name))


def check_tags(
    tags: tuple[str, ...], dimensions: Mapping[str, tuple[str, ...]], thresholds: Mapping[str, float]
) -> None:
    """Refuse tags that are not distinct, not in one dimension each, or without a threshold.

    Raises:
        CardError: Naming the field.
    """
    check(len(set(tags)) == len(tags) > 0, "tags", "one or more distinct tags", tags)
    grouped = sorted(tag for group in dimensions.values() for tag in group)
    check(grouped == sorted(tags), "dimensions", "each tag in exactly one dimension", dimensions)
    check(set(thresholds) == set(tags), "thresholds", "one number a tag", thresholds)
    check(all(0 <= t <= 1 for t in thresholds.values()), "thresholds", "numbers in [0, 1]", thresholds)


def check_spaces(spaces: Mapping[str, tuple[int, int]], size: int) -> None:
    """Refuse spaces that are not the columns 0 to `size` cut into ranges.

    Raises:
        CardError: Saying so.
    """
    edges = sorted(spaces.values())
    starts, stops = [a for a, _ in edges], [b for _, b in edges]
    tiled = bool(edges) and starts == [0, *stops[:-1]] and stops[-1] == size
    check(tiled and all(a < b for a, b in edges), "spaces", f"ranges that tile 0 to {size}", spaces)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value))


def _mapping_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        ("name", "model", "version", "summary", "licence", "space_id", "data", "labels", "intended_use"),
        ("text", _is_text),
    ),
    **dict.fromkeys(
        ("sample_rate", "excerpt_samples", "embedding_size", "parameters"), ("a whole number from 0", _is_whole)
    ),
    **dict.fromkeys(("tags", "limits", "sources"), ("a list of texts", _is_texts)),
    "spaces": ("columns from and to of each space", _mapping_of(_is_range)),
    "dimensions": ("a list of tags for each dimension", _mapping_of(_is_texts)),
    "thresholds": ("a number for each tag", _mapping_of(_is_number)),
    "front_end": ("numbers", _mapping_of(_is_number)),
    "normalized": ("true or false", lambda value: isinstance(value, bool)),
    "files": ("a sum for each file", _mapping_of(_is_text)),
    "metrics": ("an object", lambda value: isinstance(value, dict)),
    "recipe": ("an object", lambda value: isinstance(value, dict)),
}
"""Field -> what JSON must hold there, in words and as a test."""
