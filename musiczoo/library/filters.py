"""Which tracks of a library a search may find.

Conventions
-----------
- A track passes if it passes all that is asked. One without the metadata that is asked for does not pass.
- Bounds are inclusive; None is no bound.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError, UnknownNameError
from .connection import stored
from .records import Facts

Range = tuple[float | None, float | None]


@dataclass(frozen=True)
class Filters:
    """What is asked of a track; by default, nothing.

    Attributes:
        path: Glob that the path matches: ``*`` (any characters, also slashes), ``?`` and ``[a-z]``. One that does not
            begin with a slash or ``*`` may match from any folder on: ``Jazz/*.flac``.
        artist: An artist of the track, compared as `names.folded` says: the case does not matter.
        album: The album, likewise.
        years: First and last year of the release.
        durations: Shortest and longest, in seconds.
        having: Tag (in any case) -> the probability that it has at least; None for the tag's own threshold.
    """

    path: str | None = None
    artist: str | None = None
    album: str | None = None
    years: Range | None = None
    durations: Range | None = None
    having: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse ranges and probabilities that nothing can meet.

        Raises:
            InputError: Naming the filter.
        """
        for name, bounds in (("years", self.years), ("durations", self.durations)):
            _check_range(name, bounds)
        for tag, least in self.having.items():
            if least is not None and not 0 <= least <= 1:
                raise InputError(f"Expected a probability from 0 to 1 for {tag!r}, received {least!r}.")

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        return self != Filters()

    def where(self, facts: Facts) -> tuple[str, list[Any]]:
        """The filters as an SQL expression over ``tracks``, and its parameters: see `Database.select_ids`.

        Raises:
            UnknownNameError: If the library's model does not know a tag.
        """
        terms: list[tuple[str, list[Any]]] = []
        if self.path is not None:
            # Casts, for names that are no UTF-8 are BLOBs, which GLOB may refuse.
            terms.append(("CAST(path AS TEXT) GLOB CAST(? AS TEXT)", [stored(_anywhere(self.path))]))
        if self.artist is not None:
            terms.append(("is_named(artist, artists, ?)", [stored(self.artist)]))
        if self.album is not None:
            terms.append(("is_named(album, NULL, ?)", [stored(self.album)]))
        for column, bounds in (("year", self.years), ("duration_s", self.durations)):
            for sign, bound in zip((">=", "<="), bounds or (), strict=False):
                if bound is not None:
                    terms.append((f"{column} {sign} ?", [bound]))
        for name, least in self.having.items():
            tag = known("tag", name, facts.tags)
            least = facts.thresholds[tag] if least is None else least
            terms.append(("float_at(tags, ?) >= ?", [facts.tags.index(tag), least]))
        return " AND ".join(sql for sql, _ in terms) or "1", [value for _, values in terms for value in values]


def known(kind: str, name: str, available: tuple[str, ...]) -> str:
    """The available name that is `name`, or differs from it in case alone.

    Raises:
        UnknownNameError: If there is none, or more than one.
    """
    same = [name] if name in available else [other for other in available if other.casefold() == name.casefold()]
    if len(same) != 1:
        raise UnknownNameError.of(kind, name, available)
    return same[0]


def _anywhere(pattern: str) -> str:
    pattern = os.path.expanduser(pattern)
    return pattern if pattern.startswith("*") or os.path.isabs(pattern) else f"*/{pattern}"


def _check_range(name: str, bounds: Range | None) -> None:
    if bounds is None:
        return
    low, high = bounds
    if any(bound is not None and not math.isfinite(bound) for bound in bounds) or (
        low is not None and high is not None and low > high
    ):
        raise InputError(f"Expected {name} from a first to a last, received {low!r} to {high!r}. Swap the two?")
