"""Keep hits from repeating themselves: near-duplicates are folded, artists and albums limited.

When are two files the same recording?
--------------------------------------
If their cosine is `SAME` or more in every dimension, and their lengths differ by `SECONDS` at most. Measured with
disentangled-classification, on the least of the four cosines of a pair:

- 10 songs encoded again, as FLAC, Ogg Vorbis (33 to 258 kbit/s) and MP3 (56 to 232 kbit/s): 0.9957 and more, which is
  Vorbis at 33 kbit/s; from 56 kbit/s on, 0.9966 and more. No length differed.
- Pairs of different songs: of the 350 pairs whose lengths differ by 2 s at most, none above 0.978; of 32,475 pairs of
  any length, 4 above 0.99 and 1 above 0.995. So neither test would do alone.

A recording at another loudness or from another master may fall below, and is then shown by itself.

Conventions
-----------
- Of several files of a recording the best hit stays, and lists the others that were among the candidates.
- An album is what bears the same title in the same folder: so a compilation of many artists is one album, and every
  artist's "Greatest Hits" is another.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .rows import Entry
from .songs import Heard
from .vectors import Doubles

SAME = 0.995
"""Least cosine, in every dimension, of two files of one recording."""

SECONDS = 2.0
"""How much their lengths may differ."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A track that may become a hit.

    Attributes:
        entry: Its row of the library.
        units: ``[E]``, a unit vector in each space (or zeros).
        score: What the ranking goes by.
        question: The number of the question that it answers best.
    """

    entry: Entry
    units: Doubles
    score: float
    question: int


@dataclass(frozen=True)
class Hygiene:
    """What is left out.

    Attributes:
        spaces: Space -> (start, stop) columns.
        per_artist: Hits of an artist at most; None for any number.
        per_album: Hits of an album at most; None for any number.
        fold: Whether near-duplicates are folded.
    """

    spaces: Mapping[str, tuple[int, int]]
    per_artist: int | None = None
    per_album: int | None = None
    fold: bool = True

    @property
    def idle(self) -> bool:
        """Whether nothing is ever left out."""
        return not self.fold and self.per_artist is None and self.per_album is None

    def apply(
        self, candidates: Iterable[Candidate], named: Sequence[Heard], k: int
    ) -> list[tuple[Candidate, tuple[str, ...]]]:
        """The first k that stay, each with the paths of the duplicates that were folded into it.

        Args:
            candidates: Best first.
            named: The songs of the query, whose duplicates are left out.
            k: How many.
        """
        known = [(song.units, song.duration_s) for song in named]
        kept: list[Candidate] = []
        folded: list[list[str]] = []
        seen: Counter[tuple[str, ...]] = Counter()
        for candidate in candidates:
            same = self._same(candidate, known) if self.fold else None
            if same is not None:
                if same >= len(named):
                    folded[same - len(named)].append(candidate.entry.path)
                continue
            limits = list(self._limits(candidate.entry))
            if len(kept) == k or any(seen[key] >= most for key, most in limits):
                continue
            seen.update(key for key, _ in limits)
            known.append((candidate.units, candidate.entry.duration_s))
            kept.append(candidate)
            folded.append([])
        return [(candidate, tuple(paths)) for candidate, paths in zip(kept, folded, strict=True)]

    def _same(self, candidate: Candidate, known: Sequence[tuple[Doubles, float]]) -> int | None:
        """The first of the known songs that is the same recording."""
        for i, (vector, seconds) in enumerate(known):
            if abs(seconds - candidate.entry.duration_s) <= SECONDS and self._close(vector, candidate.units):
                return i
        return None

    def _close(self, one: Doubles, other: Doubles) -> bool:
        return all(one[start:stop] @ other[start:stop] >= SAME for start, stop in self.spaces.values())

    def _limits(self, entry: Entry) -> Iterable[tuple[tuple[str, ...], int]]:
        """What the track counts for, and how many of that there may be."""
        if self.per_artist is not None and entry.artist:
            yield ("artist", entry.artist.casefold()), self.per_artist
        if self.per_album is not None and entry.album:
            yield ("album", entry.album.casefold(), os.path.dirname(entry.path)), self.per_album
