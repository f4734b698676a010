"""The 50 tags, their four dimensions, and the sub-space of each dimension in the 256-d embedding.

Conventions
-----------
- A *dimension* (the papers say notion or category) is genre, mood, instrument or era.
- Tags are in the usual order of the 50 most frequent Last.fm tags of the Million Song Dataset, as are the ``tags``
  outputs of the published models.
- A disentangled embedding consists of four unit vectors of 64 columns, one for each dimension, scaled by 1/2, so that
  the whole is a unit vector too. A plain embedding is one space named `PLAIN_SPACE`.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 2, states the sizes 28 / 12 / 5 / 5 and takes the grouping
from Choi et al., ICASSP 2017, without listing it. The sizes determine all but one choice: *acoustic* could be an
instrument only if another tag moved from there to mood.
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
    """Return the dimension s(z) of one of the 50 tags."""
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
"""The only space of a model that is not disentangled."""


@dataclass(frozen=True)
class Vocabulary:
    """Tags and their dimensions: those of this module, or of another data set.

    Attributes:
        tags: Tags in the order of the ``tags`` output.
        dimensions: Dimension -> its tags; each tag is in exactly one.
        layout: Spaces of an existing embedding, which may lack some dimensions; None divides the embedding equally.

    Example:
        >>> from musiczoo.taxonomy import Vocabulary
        >>> vocabulary = Vocabulary(("calm", "piano"), {"mood": ("calm",), "instrument": ("piano",)})
        >>> vocabulary.spaces
        {'mood': (0, 128), 'instrument': (128, 256)}
        >>> vocabulary.tag_dimensions
        ('mood', 'instrument')
    """

    tags: tuple[str, ...]
    dimensions: Mapping[str, tuple[str, ...]]
    layout: Mapping[str, tuple[int, int]] | None = None

    @property
    def tag_dimensions(self) -> tuple[str, ...]:
        """Dimension of each tag, in order."""
        of = {tag: dimension for dimension, tags in self.dimensions.items() for tag in tags}
        return tuple(of[tag] for tag in self.tags)

    @property
    def spaces(self) -> dict[str, tuple[int, int]]:
        """Space -> (start, stop): the layout, or else a part for each dimension, of (nearly) equal sizes."""
        if self.layout is not None:
            return dict(self.layout)
        edges = [i * EMBEDDING_SIZE // len(self.dimensions) for i in range(len(self.dimensions) + 1)]
        return dict(zip(self.dimensions, pairwise(edges), strict=True))


LASTFM_50 = Vocabulary(TAGS, DIMENSION_TAGS)
"""The vocabulary of the paper and of the published models."""
