"""What a model heard in one song."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .card import ModelCard
from .errors import InputError, UnknownNameError

Floats = NDArray[np.float32]


class Tag(NamedTuple):
    """A tag and the probability, 0 to 1, that it applies."""

    name: str
    probability: float

    def __repr__(self) -> str:
        return f'Tag("{self.name}", {self.probability:.2f})'


@dataclass(frozen=True, eq=False)
class Tags:
    """A song's tags, in the order of the model's card.

    Iterating gives `Tag`s, ``tags["rock"]`` a probability, ``dict(tags)`` all of them by name.

    Attributes:
        probabilities: ``[T]``, 0 to 1, one a tag of the card.
        card: Says the tags' names, dimensions and thresholds.
    """

    probabilities: Floats
    card: ModelCard = field(repr=False)

    def __len__(self) -> int:
        return len(self.card.tags)

    def __iter__(self) -> Iterator[Tag]:
        return map(Tag, self.card.tags, self.probabilities.tolist())

    def __contains__(self, name: object) -> bool:
        return name in self.card.tags

    def __getitem__(self, name: str) -> float:
        """The probability of one tag.

        Raises:
            UnknownNameError: If the model does not know the tag.
        """
        if name not in self:
            raise UnknownNameError.of("tag", str(name), self.card.tags)
        return float(self.probabilities[self.card.tags.index(name)])

    def __repr__(self) -> str:
        return f"Tags({', '.join(map(repr, self.top(3)))}, ... {len(self)} in all)"

    def top(self, k: int = 5) -> list[Tag]:
        """The `k` likeliest tags, or all if there are fewer, highest first.

        Raises:
            InputError: If `k` is negative.
        """
        if k < 0:
            raise InputError(f"Expected k of 0 or more tags, received {k}.")
        return _highest_first(self)[:k]

    def above_threshold(self) -> list[Tag]:
        """The predicted tags: their probability reaches the card's threshold, and is not 0. Highest first."""
        return [tag for tag in _highest_first(self) if tag.probability >= self.card.thresholds[tag.name] and tag[1]]

    def by_dimension(self) -> dict[str, list[Tag]]:
        """Dimension -> its tags, highest first."""
        return {
            dimension: _highest_first(Tag(name, self[name]) for name in names)
            for dimension, names in self.card.dimensions.items()
        }


@dataclass(frozen=True, eq=False)
class Track:
    """One analysed song.

    Attributes:
        path: The file; None if samples were analysed.
        duration_s: Length of the audio in seconds.
        model: Name of the model.
        space_id: The model's embedding space: compare embeddings only if it is equal.
        tags: Mean of the excerpts' probabilities. Silent excerpts do not count, neither here nor in `embedding`; if
            all are silent, all probabilities are 0.
        embedding: ``[E]``, mean of the excerpts' embeddings, each space of it scaled back to a vector of
            length 1 / sqrt(number of spaces), so that the whole is a unit vector; the plain mean of models
            whose card says that they are not normalised. Zeros if all excerpts are silent.
        taggram: ``[excerpts, T]``, probabilities over time; rows of zeros for silent excerpts.
        embeddings: ``[excerpts, E]``, embeddings over time; rows of zeros for silent excerpts.
        times: ``[excerpts]``, where each excerpt starts, in seconds.
        padded: Whether the audio was shorter than one excerpt, and zeros were added.
        card: The model's card.
        warnings: What was noticed about the audio, such as that it ends early; messages, in order.
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
        """The embedding in one dimension's sub-space, a unit vector (zeros if the model heard nothing in it).

        Raises:
            UnknownNameError: If the model has no such space.
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
    """Sum up a song's excerpts by their mean, as Lee et al., ISMIR 2020 (arXiv:2008.03729), do.

    Args:
        card: Of the model that heard them.
        times: ``[excerpts]`` starts in seconds.
        embeddings: ``[excerpts, E]``.
        taggram: ``[excerpts, T]`` probabilities.
        path: The file, if there is one.
        duration_s: Length of the audio in seconds.
        padded: Whether zeros were added.
        silent: ``[excerpts]``, which ones do not count; default is none.
        warnings: What was noticed about the audio.
    """
    counted = slice(None) if silent is None or silent.all() else ~silent  # all silent: a mean of zeros
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


def _highest_first(tags: "Iterator[Tag] | Tags") -> list[Tag]:
    return sorted(tags, key=lambda tag: -tag.probability)


def _scaled(vector: NDArray[np.floating], length: float) -> Floats:
    """The vector at another length; zeros stay zeros."""
    norm = float(np.linalg.norm(vector))
    return (vector * (length / norm) if norm else vector).astype(np.float32)
