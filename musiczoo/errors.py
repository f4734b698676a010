"""Every error that musiczoo raises on purpose.

Conventions
-----------
Each message says what was expected, what was received and what to do next. Each class derives from
`MusicZooError`, so that one ``except`` catches them all, and from the built-in that fits, so that
code which knows nothing of musiczoo handles them too.
"""

import difflib
from collections.abc import Iterable

_MOST_NAMED = 250
"""Names that an error lists: all tags of a published vocabulary, but not all tracks of a data set."""

_MOST_COMPARED = 1000
"""Names among which a similar one is looked for, which takes 50 microseconds each."""


class MusicZooError(Exception):
    """Base of all errors raised by musiczoo."""


class AudioError(MusicZooError, ValueError):
    """Audio that cannot be decoded, is empty, or holds values that are not finite."""


class AudioNotFoundError(MusicZooError, FileNotFoundError):
    """There is no file at the path."""


class InputError(MusicZooError, ValueError):
    """An argument of the wrong shape, type or range."""


class UnknownNameError(MusicZooError, LookupError):
    """A model, data set, dimension or tag that does not exist."""

    @classmethod
    def of(cls, kind: str, name: str, available: Iterable[str]) -> "UnknownNameError":
        """The error for `name`, with the nearest available name as a suggestion."""
        names = list(available)
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.4) if len(names) <= _MOST_COMPARED else []
        hint = f" Did you mean {close[0]!r}?" if close else ""
        more = f", and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
        return cls(f"Unknown {kind} {name!r}.{hint} Available: {', '.join(names[:_MOST_NAMED]) or 'none'}{more}.")


class ModelFileError(MusicZooError, OSError):
    """A model folder with a missing or altered file."""


class CardError(MusicZooError, ValueError):
    """A card.json that is malformed or of a newer format."""


class WriteError(MusicZooError, OSError):
    """A file that cannot be written: for want of room, of the right or of a folder."""


class MissingDependencyError(MusicZooError, ImportError):
    """An optional package is needed: the message names the extra that brings it."""


class DatasetError(MusicZooError, RuntimeError):
    """A data set that cannot be fetched, prepared or read."""


class LibraryError(MusicZooError, OSError):
    """A library that cannot be opened, written or made, or is written by somebody else."""


class SpaceMismatchError(MusicZooError, ValueError):
    """Embeddings of different spaces, which cannot be compared."""

    @classmethod
    def of(cls, what: str, expected: str, received: str) -> "SpaceMismatchError":
        """The error for `what`, with the ids of both spaces."""
        return cls(
            f"{what}: expected embeddings of the space {expected!r}, received {received!r}; the two cannot be "
            "compared. Use the model that the library was made with, or make another library."
        )


class TrainingError(MusicZooError, RuntimeError):
    """A training run that cannot start, resume or be read."""


class ParityError(MusicZooError, ArithmeticError):
    """An exported model whose outputs differ from the Keras model's."""
