"""The 50 tags, the four dimensions and the sub-space of each in the 256-d embedding.

Conventions
-----------
- A *dimension* (the papers say notion or category) is genre, mood, instrument or era.
- Tags keep the usual order of the Million Song Dataset's 50 most frequent Last.fm tags, which is also
  the order of every model's ``tags`` output.
- A disentangled embedding is four unit vectors of 64, one a dimension, side by side and scaled by
  1/2, so that the whole is a unit vector too. A plain embedding is one space named `PLAIN_SPACE`.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 2, prints the sizes 28 / 12 / 5 / 5 and
takes the grouping from Choi et al., ICASSP 2017, without printing it. The sizes force all but one
choice: *acoustic* could be an instrument only if another tag moved from there to mood.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

TAGS: tuple[str, ...] = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s",
    "alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock",
    "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s", "chill", "instrumental",
    "punk", "oldies", "blues", "hard rock", "ambient", "acoustic", "experimental", "female vocalist",
    "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy", "catchy", "funk",
    "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
)  # fmt: skip

DIMENSIONS: tuple[str, ...] = ("genre", "mood", "instrument", "era")
PLAIN_SPACE = "all"
EMBEDDING_SIZE = 256
SUBSPACE_SIZE = EMBEDDING_SIZE // len(DIMENSIONS)

_MOOD = frozenset((
    "beautiful", "chillout", "Mellow", "chill", "oldies", "acoustic", "party", "easy listening", "sexy", "catchy",
    "sad", "happy",
))  # fmt: skip
_INSTRUMENT = frozenset(("female vocalists", "male vocalists", "female vocalist", "instrumental", "guitar"))
_ERA = frozenset(("60s", "70s", "80s", "90s", "00s"))


def dimension_of(tag: str) -> str:
    """The dimension s(z) of one of the 50 tags."""
    if tag in _MOOD:
        return "mood"
    if tag in _INSTRUMENT:
        return "instrument"
    return "era" if tag in _ERA else "genre"


DIMENSION_TAGS: dict[str, tuple[str, ...]] = {
    dimension: tuple(tag for tag in TAGS if dimension_of(tag) == dimension) for dimension in DIMENSIONS
}
"""Dimension -> its tags, in the order of `TAGS`."""

SPACES: dict[str, tuple[int, int]] = {
    dimension: (i * SUBSPACE_SIZE, (i + 1) * SUBSPACE_SIZE) for i, dimension in enumerate(DIMENSIONS)
}
"""Dimension -> (start, stop) of its 64 columns: the mask m_s of the papers."""

PLAIN_SPACES: dict[str, tuple[int, int]] = {PLAIN_SPACE: (0, EMBEDDING_SIZE)}
"""The one space of a model that is not disentangled."""


@dataclass(frozen=True)
class Vocabulary:
    """Tags and what they are grouped into: those of this file, or of another data set.

    Attributes:
        tags: In the order of the ``tags`` output.
        dimensions: Dimension -> its tags; each tag is in one.
        layout: The spaces of an embedding that is there already; a dimension need not be among them.
    """

    tags: tuple[str, ...]
    dimensions: Mapping[str, tuple[str, ...]]
    layout: Mapping[str, tuple[int, int]] | None = None

    @property
    def tag_dimensions(self) -> tuple[str, ...]:
        """The dimension of each tag, in order."""
        of = {tag: dimension for dimension, tags in self.dimensions.items() for tag in tags}
        return tuple(of[tag] for tag in self.tags)

    @property
    def spaces(self) -> dict[str, tuple[int, int]]:
        """Space -> (start, stop): the layout, or else a part for each dimension, all as equal as can be."""
        if self.layout is not None:
            return dict(self.layout)
        edges = [i * EMBEDDING_SIZE // len(self.dimensions) for i in range(len(self.dimensions) + 1)]
        return dict(zip(self.dimensions, pairwise(edges), strict=True))


LASTFM_50 = Vocabulary(TAGS, DIMENSION_TAGS)
"""The vocabulary of the paper and of the published models."""
