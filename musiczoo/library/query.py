"""What to search for: songs, tags, mixtures of both, and what to stay away from.

Conventions
-----------
- A query says something in each *space* (dimension): a unit vector u_s, or nothing. It is made of what is named:

  1. *Songs* (`songs` and `like`, which are the same): the mean of their unit vectors, of length 1 again; or, with
     ``combine="each"``, each song is a question of its own, and a hit has its best score among them.
  2. *Tags*: the mean of the tags' points (`Model.tag_points`) in their own spaces, of length 1. With songs: the sum
     of both, of length 1.
  3. *Of* (mix and match): in a space named there, that song's vector instead of the songs'.
  4. *Unlike*: with c_s the mean of those songs' unit vectors, of length 1, u_s becomes u_s - `UNLIKE` c_s, of length 1
     (Rocchio's formula for what a searcher rejects). Where nothing else is said, it is -c_s.

- Weights: by default all spaces weigh the same if songs are named, else those that tags and `of` name, else (unlike
  alone) all. Weights that are given are all the weights there are: a dimension left out weighs nothing.
- Hence one inner product answers: score(x) = sum_s w_s <u_s, x_s / |x_s|> / sum_s w_s.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError, UnknownNameError
from ..track import Track
from .filters import known
from .records import Facts
from .songs import Heard, Searched, Song, applying, hear
from .vectors import Doubles, units

MEAN, EACH = "mean", "each"

UNLIKE = 0.5
"""Share of what is rejected that is subtracted: a song like both stays where it was, in direction."""


@dataclass(frozen=True)
class Query:
    """What to search for.

    Attributes:
        songs: Paths, or tracks that `musiczoo.Model.analyze` returned.
        like: More of them.
        tags: Names of tags, in any case.
        of: Dimension -> the song whose likes are wanted in it.
        unlike: Songs to stay away from.
        combine: ``"mean"``: near to what the songs have in common; ``"each"``: near to any one of them.
    """

    songs: Sequence[Song] = ()
    like: Sequence[Song] = ()
    tags: Sequence[str] = ()
    of: Mapping[str, Song] = field(default_factory=dict)
    unlike: Sequence[Song] = ()
    combine: str = MEAN

    def __post_init__(self) -> None:
        """Refuse a query that is empty or malformed.

        Raises:
            InputError: Saying what.
        """
        for name in ("songs", "like", "tags", "unlike"):
            value = getattr(self, name)
            if isinstance(value, str | os.PathLike | Track):
                raise InputError(f"Expected a list of {name}, received the one {value!r}: write [{value!r}].")
        if self.combine not in (MEAN, EACH):
            raise InputError(f"Expected combine to be {MEAN!r} or {EACH!r}, received {self.combine!r}.")
        if not any((self.songs, self.like, self.tags, self.of, self.unlike)):
            raise InputError("Expected a query with songs or tags, received an empty one. Name what to look for.")

    @classmethod
    def of_value(cls, value: "Song | Iterable[Song] | Query") -> "Query":
        """The query that a song, several songs or a query mean.

        Raises:
            InputError: If it is none of these.
        """
        if isinstance(value, Query):
            return value
        songs = [value] if isinstance(value, str | os.PathLike | Track) else list(value)
        for song in songs:
            if not isinstance(song, str | os.PathLike | Track):
                raise InputError(f"Expected a path, a Track or a Query, received {type(song).__name__}.")
        return cls(songs=tuple(songs))


@dataclass(frozen=True, eq=False)
class Question:
    """One vector to look for.

    Attributes:
        directions: Space -> unit vector, for the spaces that something is said in.
        weights: Space -> weight; they sum to 1.
        tags: What a hit may share.
    """

    directions: Mapping[str, Doubles]
    weights: Mapping[str, float]
    tags: frozenset[str]

    def vector(self, spaces: Mapping[str, tuple[int, int]]) -> Doubles:
        """``[E]``: its inner product with a library's vector is the score (see `engines`)."""
        vector = np.zeros(max(stop for _, stop in spaces.values()))
        for name, weight in self.weights.items():
            start, stop = spaces[name]
            vector[start:stop] = self.directions[name] * weight * len(spaces) ** 0.5
        return vector


@dataclass(frozen=True, eq=False)
class Questions:
    """What a query asks of a library.

    Attributes:
        asked: One question, or one for each song.
        heard: All songs that the query names: they are left out of the hits.
    """

    asked: tuple[Question, ...]
    heard: tuple[Heard, ...]


def ask(query: Query, library: Searched, weights: Mapping[str, float] | None = None) -> Questions:
    """Turn a query into vectors.

    Args:
        query: What to search for.
        library: Where.
        weights: Dimension -> how much it counts; see above for the default.

    Raises:
        InputError: If weights are negative, all zero or of a dimension that the query says nothing in; if the model
            has no points for tags, or heard nothing in the query.
        UnknownNameError: If there is no such dimension or tag.
        AudioNotFoundError: If a song is neither in the library nor a file.
        AudioError: If a song cannot be decoded.
        SpaceMismatchError: If a track is of another model.
    """
    facts = library.facts
    for name in (*(weights or ()), *query.of):
        if name not in facts.spaces:
            raise UnknownNameError.of("dimension", name, facts.spaces)
    songs = [hear(song, library) for song in (*query.songs, *query.like)]
    of = {name: hear(song, library) for name, song in query.of.items()}
    unlike = [hear(song, library) for song in query.unlike]
    points = _points([known("tag", tag, facts.tags) for tag in query.tags], library)
    groups = [[song] for song in songs] if query.combine == EACH and songs else [songs]
    asked = tuple(_question(facts, group, of, unlike, points, weights) for group in groups)
    return Questions(asked, (*songs, *of.values(), *unlike))


def _question(
    facts: Facts,
    songs: list[Heard],
    of: Mapping[str, Heard],
    unlike: list[Heard],
    points: Mapping[str, Doubles],
    weights: Mapping[str, float] | None,
) -> Question:
    wanted: dict[str, Doubles] = {}
    directions: dict[str, Doubles] = {}
    named: list[str] = []
    for name, (start, stop) in facts.spaces.items():
        models = [of[name]] if name in of else songs
        parts = [_mean(song.units[start:stop] for song in models)] if models else []
        of_tags = [point[start:stop] for point in points.values() if point[start:stop].any()]
        parts += [_mean(of_tags)] if of_tags else []
        if name in of or of_tags:
            named.append(name)
        if parts:
            wanted[name] = directions[name] = _mean(parts)
        if unlike:
            away = _mean(song.units[start:stop] for song in unlike)
            directions[name] = units(wanted[name] - UNLIKE * away) if parts else -away
    default = list(facts.spaces) if songs or not wanted else named
    shares = _shares(dict.fromkeys(default, 1.0) if weights is None else weights, directions)
    if not any(directions[name].any() for name in shares):
        raise InputError(
            f"Expected a query in which the model hears something of {', '.join(shares)}, received one in which it "
            "hears nothing. Is it silence?"
        )
    return Question(directions, shares, _tags(facts, songs, of) | frozenset(points))


def _shares(weights: Mapping[str, float], directions: Mapping[str, Doubles]) -> dict[str, float]:
    """The weights that are not zero, divided by their sum."""
    for name, weight in weights.items():
        if not (np.isfinite(weight) and weight >= 0):
            raise InputError(f"Expected a weight of 0 or more for {name!r}, received {weight!r}.")
        if weight and name not in directions:
            raise InputError(
                f"Expected weights of the dimensions that the query says something in ({', '.join(directions)}), "
                f"received {weight:g} for {name!r}. Leave that out, or name a song."
            )
    total = float(sum(weights.values()))
    if not total:
        raise InputError("Expected a weight above 0, received none. Leave the weights out to weigh all the same.")
    return {name: weight / total for name, weight in weights.items() if weight}


def _points(tags: list[str], library: Searched) -> dict[str, Doubles]:
    """Tag -> its point ``[E]``."""
    if not tags:
        return {}
    points = library.model().tag_points()
    if points is None:
        raise InputError(
            f"Expected a model that knows where tags lie, received {library.facts.model}, which does not. "
            f"Ask for songs that have the tag instead: --having {tags[0]!r}, or Filters(having={{{tags[0]!r}: None}})."
        )
    found = {tag: points[library.facts.tags.index(tag)].astype(np.float64) for tag in tags}
    for tag, point in found.items():
        if not point.any():
            raise InputError(f"Expected a tag that the model has a point for, received {tag!r}, which has none.")
    return found


def _tags(facts: Facts, songs: list[Heard], of: Mapping[str, Heard]) -> frozenset[str]:
    """The tags of the songs' mean; in the dimensions of `of`, those of its song."""
    found: set[str] = set()
    if songs:
        found = set(applying(facts, np.mean([song.tags for song in songs], axis=0)))
    for space, song in of.items():
        tags = set(facts.dimensions.get(space, facts.tags))
        found = found - tags | tags.intersection(applying(facts, song.tags))
    return frozenset(found)


def _mean(vectors: Iterable[Doubles]) -> Doubles:
    """The mean of unit vectors, at length 1."""
    return units(np.mean(list(vectors), axis=0))
