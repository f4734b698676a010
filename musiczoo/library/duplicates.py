"""Keep hits from repeating themselves: files of one recording are folded, artists and albums limited.

When are two files the same recording?
--------------------------------------
If their contents are the same, byte for byte. Else a high cosine is not enough, for it proves the same sound only:
chapters read by one voice have 0.997 and more. Their lengths must differ by `LENGTH` at most, and

- their `fingerprint` values agree to `AGREE` or more, and the cosine is `CLOSE` or more in every dimension;
- or title and artist are the same, the cosine is `SAME` or more in every dimension, and the fingerprints, if both have
  one, do not contradict it: they agree to `AGREE_NAMED` or more.

Measured with disentangled-classification; docs/guides/library.md has the numbers.

Conventions
-----------
- Of several files of a recording the best hit stays, and lists the others that were among the candidates.
- Files with the same contents as a song of the query are the query. No other file is left out for sounding like it.
- A track of which the model has no embedding (zeros: it is silent) is near to nothing, and never a hit.
- An album is a title by an album artist; where the files name none, a title in a folder, so that a compilation of many
  artists is one album. Discs of one box are one album: ``[Disc 2]`` in the title and folders such as ``CD 1`` do not
  count.
- A track with several artists counts for each of them.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .fingerprint import agreement
from .names import folded, names_of
from .records import Entry
from .vectors import Doubles

AGREE = 0.6
"""Least agreement of two fingerprints of one recording (see `fingerprint.agreement`)."""

AGREE_NAMED = 0.3
"""The same of two files with one title and artist."""

CLOSE = 0.98
"""Least cosine, in every dimension, of two files of one recording whose fingerprints agree."""

SAME = 0.995
"""Least cosine, in every dimension, of two files of one title and artist."""

LENGTH = 0.02
"""Share of the longer one by which their lengths may differ."""

_DISC = r"(?:cd|dis[ck])[\s._-]*(?:\d{1,2}|[ivx]{1,4}|one|two|three|four)\b"
_DISC_AT_END = re.compile(rf"[\s,:;._-]*(?:[(\[]\s*{_DISC}[^)\]]*[)\]]|\b{_DISC}(?:\s*(?:of|/)\s*\d{{1,2}})?)$")
_TAIL = 80
"""Characters at the end of a title in which a disc is looked for."""


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
        fold: Whether files of one recording are folded.
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
        self, candidates: Iterable[Candidate], named: Collection[str], k: int
    ) -> list[tuple[Candidate, tuple[str, ...]]]:
        """The first k that stay, each with the paths of the duplicates that were folded into it.

        Args:
            candidates: Best first.
            named: Hashes of the songs of the query, whose copies are left out.
            k: How many.
        """
        kept: list[Candidate] = []
        duplicates: list[list[str]] = []
        by_hash: dict[str, int] = {}  # of kept candidates and their duplicates
        seen: Counter[tuple[str, ...]] = Counter()
        for candidate in candidates:
            if not candidate.units.any():
                continue
            digest = candidate.entry.hash
            if self.fold:
                if digest in named:
                    continue
                same = by_hash.get(digest)
                same = self._same(candidate, kept) if same is None else same
                if same is not None:
                    by_hash[digest] = same
                    duplicates[same].append(candidate.entry.path)
                    continue
            limits = list(self._limits(candidate.entry))
            if len(kept) == k or any(seen[key] >= most for key, most in limits):
                continue
            seen.update(key for key, _ in limits)
            by_hash[digest] = len(kept)
            kept.append(candidate)
            duplicates.append([])
        return [(candidate, tuple(paths)) for candidate, paths in zip(kept, duplicates, strict=True)]

    def _same(self, candidate: Candidate, known: Sequence[Candidate]) -> int | None:
        """The first of the known candidates that is the same recording."""
        for i, other in enumerate(known):
            if self._one_recording(candidate, other):
                return i
        return None

    def _one_recording(self, a: Candidate, b: Candidate) -> bool:
        one, other = a.entry, b.entry
        longer = max(one.duration_s, other.duration_s)
        if abs(one.duration_s - other.duration_s) > LENGTH * longer:
            return False
        cosine = min(float(a.units[start:stop] @ b.units[start:stop]) for start, stop in self.spaces.values())
        if cosine < CLOSE:
            return False
        agreed = agreement(one.fingerprint, other.fingerprint)
        if agreed is not None and agreed >= AGREE:
            return True
        return cosine >= SAME and _same_name(one, other) and (agreed is None or agreed >= AGREE_NAMED)

    def _limits(self, entry: Entry) -> Iterable[tuple[tuple[str, ...], int]]:
        """What the track counts for, and how many of that there may be."""
        if self.per_artist is not None:
            for artist in sorted({folded(name) for name in names_of(entry.artist, entry.artists)}):
                yield ("artist", artist), self.per_artist
        if self.per_album is not None and entry.album:
            yield ("album", *album_key(entry)), self.per_album


def album_key(entry: Entry) -> tuple[str, str]:
    """What distinguishes a track's album from others: its title, and whose it is or in which folder it lies."""
    title = folded(entry.album or "")
    title = _without_disc(title) or title
    if entry.album_artist:
        return title, f"by {folded(entry.album_artist)}"
    parent, name = os.path.split(os.path.dirname(entry.path))
    if re.match(_DISC, folded(name)):
        return title, f"in {parent}"
    return title, f"in {os.path.join(parent, _without_disc(folded(name)))}"


def _without_disc(name: str) -> str:
    return name[:-_TAIL] + _DISC_AT_END.sub("", name[-_TAIL:])


def _same_name(one: Entry, other: Entry) -> bool:
    if not (one.title and other.title and one.artist and other.artist):
        return False
    return (folded(one.title), folded(one.artist)) == (folded(other.title), folded(other.artist))
