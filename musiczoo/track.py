"""The result of analyzing one song: a `Track` with its `Tags`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .card import ModelCard
from .errors import InputError, UnknownNameError

Floats = NDArray[np.float32]


class Tag(NamedTuple):
    """A tag and its probability.

    Attributes:
        name: Name of the tag, such as ``"rock"``.
        probability: Probability that the tag describes the song, from 0 to 1; calibrated, unless the model's card says
            otherwise.

    Example:
        >>> from musiczoo import Tag
        >>> tag = Tag("rock", 0.8321)
        >>> tag
        Tag("rock", 0.83)
        >>> name, probability = tag
    """

    name: str
    probability: float

    def __repr__(self) -> str:
        return f'Tag("{self.name}", {self.probability:.2f})'


@dataclass(frozen=True, eq=False, repr=False)
class Tags(Mapping[str, float]):
    """The tags of a song: a read-only mapping from tag names to probabilities, in the order of the model's card.

    Attributes:
        probabilities: ``[T]`` float32 from 0 to 1, in the order of the card's tags.
        card: Card of the model, with the names, dimensions and thresholds of the tags.

    Example:
        >>> import musiczoo
        >>> from musiczoo import demo
        >>> tags = musiczoo.load("disentangled-classification").analyze(demo.PATH).tags
        >>> len(tags), "rock" in tags, list(tags)[:3]
        (50, True, ['rock', 'pop', 'alternative'])
        >>> 0 <= tags["rock"] <= 1
        True
        >>> [tag.name for tag in tags.top(2)]
        ['instrumental', 'jazz']
        >>> list(tags.by_dimension())
        ['genre', 'mood', 'instrument', 'era']
    """

    probabilities: Floats
    card: ModelCard

    def __len__(self) -> int:
        return len(self.card.tags)

    def __iter__(self) -> Iterator[str]:
        return iter(self.card.tags)

    def __contains__(self, name: object) -> bool:
        return name in self.card.tags

    def __getitem__(self, name: str) -> float:
        """Return the probability of one tag.

        Raises:
            UnknownNameError: If the model does not know the tag; it suggests a similar one.
        """
        if name not in self:
            raise UnknownNameError.of("tag", str(name), self.card.tags)
        return float(self.probabilities[self.card.tags.index(name)])

    def get(self, name: str, default: Any = None) -> Any:
        """Return the probability of one tag, or `default` if the model does not know it.

        Example:
            >>> import musiczoo
            >>> from musiczoo import demo
            >>> tags = musiczoo.load("disentangled-classification").analyze(demo.PATH).tags
            >>> tags.get("polka", 0.0)
            0.0
        """
        try:
            return self[name]
        except UnknownNameError:
            return default

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"Tags({', '.join(map(repr, self.top(3)))}, ... {len(self)} in all)"

    def top(self, k: int = 5) -> list[Tag]:
        """Return the `k` most probable tags, highest first, or all if there are fewer.

        Args:
            k: Number of tags, from 0.

        Raises:
            InputError: If `k` is negative.

        Example:
            >>> import musiczoo
            >>> from musiczoo import demo
            >>> track = musiczoo.load("disentangled-classification").analyze(demo.PATH)
            >>> for tag in track.tags.top(3):
            ...     print(tag.name)
            instrumental
            jazz
            ambient
        """
        if k < 0:
            raise InputError(f"k must be 0 or more tags, got {k}.")
        return _highest_first(self.items())[:k]

    def above_threshold(self) -> list[Tag]:
        """Return the predicted tags, highest first: those whose probability reaches their threshold in the card.

        Example:
            >>> import musiczoo
            >>> from musiczoo import demo
            >>> track = musiczoo.load("disentangled-classification").analyze(demo.PATH)
            >>> all(tag.probability >= track.card.thresholds[tag.name] for tag in track.tags.above_threshold())
            True
        """
        return predicted_tags(self.card.tags, self.probabilities, self.card.thresholds)

    def by_dimension(self) -> dict[str, list[Tag]]:
        """Return the tags of each dimension, highest first.

        Example:
            >>> import musiczoo
            >>> from musiczoo import demo
            >>> track = musiczoo.load("disentangled-classification").analyze(demo.PATH)
            >>> track.tags.by_dimension()["instrument"][0].name
            'instrumental'
        """
        return {
            dimension: _highest_first((name, self[name]) for name in names)
            for dimension, names in self.card.dimensions.items()
        }


def predicted_tags(
    names: Sequence[str], probabilities: NDArray[np.floating], thresholds: Mapping[str, float]
) -> list[Tag]:
    """Return the tags whose probability reaches their threshold and is not 0, highest first.

    Args:
        names: Names of the tags.
        probabilities: ``[T]``, in the same order.
        thresholds: Name -> threshold, from 0 to 1.

    Example:
        >>> import numpy as np
        >>> from musiczoo.track import predicted_tags
        >>> predicted_tags(["rock", "jazz", "pop"], np.array([0.5, 0.9, 0.1]), {"rock": 0.4, "jazz": 0.4, "pop": 0.4})
        [Tag("jazz", 0.90), Tag("rock", 0.50)]
    """
    ordered = _highest_first(zip(names, probabilities.tolist(), strict=True))
    return [tag for tag in ordered if tag.probability >= thresholds[tag.name] and tag.probability]


@dataclass(frozen=True, eq=False)
class Track:
    """An analyzed song: what `Model.analyze` returns.

    Attributes:
        path: The file; None if samples were analyzed.
        duration_s: Length of the audio in seconds.
        model: Name of the model.
        space_id: Id of the model's embedding space. Compare embeddings only if their ids are equal.
        tags: Mean of the excerpts' probabilities. Silent excerpts do not count, neither here nor in `embedding`; if
            all are silent, all probabilities are 0.
        embedding: ``[E]`` float32, mean of the excerpts' embeddings. Each space is scaled to a vector of length
            1 / sqrt(number of spaces), so that the whole is a unit vector; models whose card says that they are not
            normalized have the plain mean. Zeros if all excerpts are silent.
        taggram: ``[excerpts, T]`` float32, probabilities over time; rows of zeros for silent excerpts.
        embeddings: ``[excerpts, E]`` float32, embeddings over time; rows of zeros for silent excerpts.
        times: ``[excerpts]``, start of each excerpt in seconds.
        padded: Whether the audio was shorter than one excerpt and zeros were added.
        card: Card of the model.
        warnings: Messages of the warnings about the audio, in order.

    Example:
        >>> import musiczoo
        >>> from musiczoo import demo
        >>> track = musiczoo.load("disentangled-classification").analyze(demo.PATH)
        >>> track.duration_s, track.taggram.shape, track.embedding.shape
        (30.0, (10, 50), (256,))
        >>> track.times[:3].tolist()
        [0.0, 3.0, 6.0]
        >>> track.space("mood").shape
        (64,)
    """

    path: str | None
    duration_s: float
    model: str
    space_id: str
    tags: Tags
    embedding: Floats = field(repr=False)
    taggram: Floats = field(repr=False)
    embeddings: Floats = field(repr=False)
    times: NDArray[np.float64] = field(repr=False)
    padded: bool
    card: ModelCard = field(repr=False)
    warnings: tuple[str, ...] = ()

    def space(self, dimension: str) -> Floats:
        """Return the embedding in one dimension's sub-space.

        Args:
            dimension: One of the card's spaces, such as ``"mood"``; ``"all"`` for models with one space.

        Returns:
            A unit vector, or zeros if all excerpts are silent.

        Raises:
            UnknownNameError: If the model has no such space; it suggests a similar one.

        Example:
            Two songs are as similar in mood as the inner product of these vectors, their cosine.

            >>> import musiczoo
            >>> from musiczoo import demo
            >>> track = musiczoo.load("disentangled-classification").analyze(demo.PATH)
            >>> mood = track.space("mood")
            >>> mood.shape, round(float(mood @ mood), 4)
            ((64,), 1.0)
        """
        if dimension not in self.card.spaces:
            raise UnknownNameError.of("space", dimension, self.card.spaces)
        start, stop = self.card.spaces[dimension]
        return _scaled(self.embedding[start:stop], 1.0)


def summarise(
    card: ModelCard,
    times: NDArray[np.float64],
    embeddings: Floats,
    taggram: Floats,
    *,
    path: str | None,
    duration_s: float,
    padded: bool = False,
    silent: NDArray[np.bool_] | None = None,
    warnings: tuple[str, ...] = (),
) -> Track:
    """Summarize a song's excerpts by their mean, as Lee et al., ISMIR 2020 (arXiv:2008.03729), do.

    Args:
        card: Card of the model.
        times: ``[excerpts]`` starts in seconds.
        embeddings: ``[excerpts, E]``.
        taggram: ``[excerpts, T]`` probabilities.
        path: The file, if there is one.
        duration_s: Length of the audio in seconds.
        padded: Whether zeros were added.
        silent: ``[excerpts]``, which excerpts to leave out of the mean; default is none.
        warnings: Messages of the warnings about the audio.
    """
    counted = slice(None) if silent is None or silent.all() else ~silent  # if all are silent, a mean of zeros
    tags = Tags(taggram[counted].mean(axis=0, dtype=np.float64).astype(np.float32), card)
    mean = embeddings[counted].mean(axis=0, dtype=np.float64)
    embedding = mean.astype(np.float32)
    for start, stop in card.spaces.values() if card.normalized else ():
        embedding[start:stop] = _scaled(mean[start:stop], len(card.spaces) ** -0.5)
    return Track(
        path=path,
        duration_s=duration_s,
        model=card.name,
        space_id=card.space_id,
        tags=tags,
        embedding=embedding,
        taggram=taggram,
        embeddings=embeddings,
        times=times,
        padded=padded,
        card=card,
        warnings=warnings,
    )


def _highest_first(tags: Iterable[tuple[str, float]]) -> list[Tag]:
    return sorted((Tag(*tag) for tag in tags), key=lambda tag: -tag.probability)


def _scaled(vector: NDArray[np.floating], length: float) -> Floats:
    """Scale a vector to a length; zeros stay zeros."""
    norm = float(np.linalg.norm(vector))
    return (vector * (length / norm) if norm else vector).astype(np.float32)
