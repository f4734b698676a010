"""Filters: which tracks of a library a search may return.

Conventions
-----------
- A track passes if it passes all conditions. A track without the metadata of a condition does not pass.
- Bounds are inclusive; None is no bound.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError, UnknownNameError
from .records import LibraryConfig, encode_path

Range = tuple[float | None, float | None]


@dataclass(frozen=True)
class Filters:
    """Conditions on the tracks that a search may return; by default none.

    Attributes:
        path: Glob that matches the path: ``*`` (any characters, including slashes), ``?`` and ``[a-z]``. A glob that
            does not begin with a slash or ``*`` may match from any folder on: ``Jazz/*.flac``.
        artist: An artist of the track. Case and Unicode composition do not matter.
        album: The title of the album. Case and Unicode composition do not matter.
        years: First and last year of the release.
        durations: Shortest and longest duration, in seconds.
        having: Tag (in any case) -> its least probability, 0 to 1; None for the tag's own threshold.

    Raises:
        InputError: If a range is reversed or not finite, or a probability is not from 0 to 1.

    Example:
        >>> from musiczoo.library import Filters
        >>> filters = Filters(artist="miles davis", years=(1955, 1965), having={"jazz": 0.5, "mellow": None})
        >>> bool(filters), bool(Filters())
        (True, False)
        >>> Filters(years=(1965, 1955))
        Traceback (most recent call last):
            ...
        musiczoo.errors.InputError: years must be from the lowest to the highest, got 1965 to 1955. Swap the two?

        Pass them to `Library.search`::

            library.search("song.mp3", filters=filters)
    """

    path: str | None = None
    artist: str | None = None
    album: str | None = None
    years: Range | None = None
    durations: Range | None = None
    having: Mapping[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, bounds in (("years", self.years), ("durations", self.durations)):
            _check_range(name, bounds)
        for tag, least in self.having.items():
            if least is not None and not 0 <= least <= 1:
                raise InputError(f"The probability of {tag!r} must be from 0 to 1, got {least!r}.")

    def __bool__(self) -> bool:
        """Return whether there is any condition."""
        return self != Filters()

    def where(self, config: LibraryConfig) -> tuple[str, list[Any]]:
        """Return the filters as an SQL expression over ``tracks``, and its parameters: see `Database.select_ids`.

        Args:
            config: The configuration of the library.

        Raises:
            UnknownNameError: If the library's model does not have a tag.

        Example:
            >>> import musiczoo
            >>> from musiczoo.library import Filters
            >>> from musiczoo.library.records import LibraryConfig
            >>> config = LibraryConfig.from_card(musiczoo.load("disentangled-classification").card)
            >>> Filters(years=(1990, 1999)).where(config)
            ('year >= ? AND year <= ?', [1990, 1999])
        """
        terms: list[tuple[str, list[Any]]] = []
        if self.path is not None:
            # Casts, since names that are not UTF-8 are BLOBs, which GLOB may refuse.
            terms.append(("CAST(path AS TEXT) GLOB CAST(? AS TEXT)", [encode_path(self.glob())]))
        if self.artist is not None:
            terms.append(("is_named(artist, artists, ?)", [encode_path(self.artist)]))
        if self.album is not None:
            terms.append(("is_named(album, NULL, ?)", [encode_path(self.album)]))
        for column, bounds in (("year", self.years), ("duration_s", self.durations)):
            for sign, bound in zip((">=", "<="), bounds or (), strict=False):
                if bound is not None:
                    terms.append((f"{column} {sign} ?", [bound]))
        for tag, least in self.least_probabilities(config):
            terms.append(("float_at(tags, ?) >= ?", [config.tags.index(tag), least]))
        return " AND ".join(sql for sql, _ in terms) or "1", [value for _, values in terms for value in values]

    def glob(self) -> str:
        """Return the glob that the whole path has to match.

        Example:
            >>> from musiczoo.library import Filters
            >>> Filters(path="Jazz/*.flac").glob()
            '*/Jazz/*.flac'
        """
        pattern = os.path.expanduser("*" if self.path is None else self.path)
        return pattern if pattern.startswith("*") or os.path.isabs(pattern) else f"*/{pattern}"

    def least_probabilities(self, config: LibraryConfig) -> list[tuple[str, float]]:
        """Return each tag of `having` with its least probability.

        Raises:
            UnknownNameError: If the library's model does not have a tag.

        Example:
            >>> import musiczoo
            >>> from musiczoo.library import Filters
            >>> from musiczoo.library.records import LibraryConfig
            >>> config = LibraryConfig.from_card(musiczoo.load("disentangled-classification").card)
            >>> Filters(having={"Jazz": 0.5}).least_probabilities(config)
            [('jazz', 0.5)]
        """
        tags = [(match_name("tag", name, config.tags), least) for name, least in self.having.items()]
        return [(tag, config.thresholds[tag] if least is None else least) for tag, least in tags]


def match_name(kind: str, name: str, available: tuple[str, ...]) -> str:
    """Return the available name that equals `name`, or differs from it only in case.

    Raises:
        UnknownNameError: If there is none, or more than one.
    """
    same = [name] if name in available else [other for other in available if other.casefold() == name.casefold()]
    if len(same) != 1:
        raise UnknownNameError.of(kind, name, available)
    return same[0]


def _check_range(name: str, bounds: Range | None) -> None:
    if bounds is None:
        return
    low, high = bounds
    if any(bound is not None and not math.isfinite(bound) for bound in bounds) or (
        low is not None and high is not None and low > high
    ):
        raise InputError(f"{name} must be from the lowest to the highest, got {low!r} to {high!r}. Swap the two?")
