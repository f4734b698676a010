"""Filter results: fold files of one recording into one hit, and limit the hits of an artist or album.

When are two files the same recording?
--------------------------------------
If their contents are the same, byte for byte. Otherwise a high cosine is not enough, since it only shows that they
sound the same: chapters read by one voice have 0.993 and more. Their lengths must differ by `LENGTH` at most, and

- their fingerprints agree to `AGREE` or more, and the cosine is `CLOSE` or more in each dimension;
- or title and artist are the same, the cosine is `SAME` or more in each dimension, and the fingerprints, if both have
  one, do not contradict that: they agree to `AGREE_NAMED` or more.

Measured with disentangled-classification; docs/guides/library.md has the results.

Conventions
-----------
- Of several files of a recording, the best hit is kept; the others among the candidates are listed in it.
- Files with the same contents as a track of the query are left out. No other file is left out for sounding like it.
- A track without an embedding (zeros: it is silent) is never a hit.
- An album is a title by an album artist; if the files name none, a title in a folder, so that a compilation of many
  artists is one album. The discs of a box are one album: ``[Disc 2]`` in the title and folders such as ``CD 1`` do not
  count.
- A track with several artists counts for each of them.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .fingerprint import agreement
from .metadata import normalize_name, split_names
from .records import Entry
from .vectors import Doubles

AGREE = 0.4
"""Lowest agreement of two fingerprints of one recording (see `fingerprint.agreement`)."""

AGREE_NAMED = 0.3
"""The same for two files with one title and artist."""

CLOSE = 0.98
"""Lowest cosine, in each dimension, of two files of one recording whose fingerprints agree."""

SAME = 0.995
"""Lowest cosine, in each dimension, of two files of one title and artist."""

LENGTH = 0.02
"""Largest difference of their lengths, as a share of the longer one."""

_DISC = r"(?:cd|dis[ck])[\s._-]*(?:\d{1,2}|[ivx]{1,4}|one|two|three|four)\b"
_DISC_AT_END = re.compile(rf"[\s,:;._-]*(?:[(\[]\s*{_DISC}[^)\]]*[)\]]|\b{_DISC}(?:\s*(?:of|/)\s*\d{{1,2}})?)$")
_TAIL = 80
"""Characters at the end of a title that are searched for a disc number."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A track that may become a hit.

    Attributes:
        entry: Its record.
        units: ``[E]``, a unit vector in each space (or zeros).
        score: Its score.
        vector: Number of the query vector that gives this score.
    """

    entry: Entry
    units: Doubles
    score: float
    vector: int


@dataclass(frozen=True)
class ResultFilter:
    """What is left out of the hits.

    Attributes:
        spaces: Space -> (start, stop) columns.
        per_artist: Most hits of one artist; None for no limit.
        per_album: Most hits of one album; None for no limit.
        fold: Whether to fold files of one recording.
    """

    spaces: Mapping[str, tuple[int, int]]
    per_artist: int | None = None
    per_album: int | None = None
    fold: bool = True

    @property
    def keeps_all(self) -> bool:
        """Whether no candidate is left out."""
        return not self.fold and self.per_artist is None and self.per_album is None

    def apply(
        self, candidates: Iterable[Candidate], named: Collection[str], k: int
    ) -> list[tuple[Candidate, tuple[str, ...]]]:
        """Return the first k candidates kept, each with the paths of the duplicates folded into it.

        Args:
            candidates: The candidates, best first.
            named: Hashes of the tracks of the query, whose copies are left out.
            k: Number of candidates to keep.
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

    def one_recording(self, a: Candidate, b: Candidate) -> bool:
        """Return whether two files are the same recording: see the rule above."""
        one, other = a.entry, b.entry
        if one.hash == other.hash:
            return True
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

    def _same(self, candidate: Candidate, known: Sequence[Candidate]) -> int | None:
        """Return the number of the first known candidate that is the same recording, or None."""
        for i, other in enumerate(known):
            if self.one_recording(candidate, other):
                return i
        return None

    def _limits(self, entry: Entry) -> Iterable[tuple[tuple[str, ...], int]]:
        """Yield what the track counts for, with its limit."""
        if self.per_artist is not None:
            for artist in sorted({normalize_name(name) for name in split_names(entry.artist, entry.artists)}):
                yield ("artist", artist), self.per_artist
        if self.per_album is not None and entry.album:
            yield ("album", *album_key(entry)), self.per_album


def unique_files(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries without repeated contents: of files with the same bytes, the first."""
    first = {entry.hash: entry for entry in reversed(entries)}
    return [entry for entry in entries if entry is first[entry.hash]]


def artist_key(entry: Entry) -> str | None:
    """Return the normalized name of a track's first artist, or None."""
    artist = next(iter(split_names(entry.artist, entry.artists)), None)
    return normalize_name(artist) if artist else None


def album_key(entry: Entry) -> tuple[str, str]:
    """Return what identifies a track's album: its title, and its artist or folder."""
    title = normalize_name(entry.album or "")
    title = _without_disc(title) or title
    if entry.album_artist:
        return title, f"by {normalize_name(entry.album_artist)}"
    parent, name = os.path.split(os.path.dirname(entry.path))
    if re.match(_DISC, normalize_name(name)):
        return title, f"in {parent}"
    return title, f"in {os.path.join(parent, _without_disc(normalize_name(name)))}"


def _without_disc(name: str) -> str:
    return name[:-_TAIL] + _DISC_AT_END.sub("", name[-_TAIL:])


def _same_name(one: Entry, other: Entry) -> bool:
    if not (one.title and other.title and one.artist and other.artist):
        return False
    return (normalize_name(one.title), normalize_name(one.artist)) == (
        normalize_name(other.title),
        normalize_name(other.artist),
    )
