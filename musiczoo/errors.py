"""All errors that musiczoo raises on purpose.

Conventions
-----------
Each message says what is wrong, names the value, and suggests the next step. Each class derives from `MusicZooError`,
so that one ``except`` catches them all, and from the fitting built-in, so that code that does not know musiczoo handles
them too.
"""

import difflib
from collections.abc import Iterable

_MOST_NAMED = 250
"""Most names that an error lists: all tags of a published vocabulary, but not all tracks of a data set."""

_MOST_COMPARED = 1000
"""Most names to compare for a suggestion, which takes 50 microseconds each."""


class MusicZooError(Exception):
    """Base class of all errors raised by musiczoo.

    Example:
        >>> import musiczoo
        >>> try:
        ...     musiczoo.load("disentangled-clasification")
        ... except musiczoo.MusicZooError as error:
        ...     print(str(error)[:94])
        Unknown model 'disentangled-clasification'. Did you mean 'disentangled-classification'? Availa
    """


class AudioError(MusicZooError, ValueError):
    """Audio that cannot be decoded, is empty, or holds values that are not finite."""


class AudioNotFoundError(MusicZooError, FileNotFoundError):
    """A file that does not exist."""


class InputError(MusicZooError, ValueError):
    """An argument of the wrong shape, type or range."""


class UnknownNameError(MusicZooError, LookupError):
    """A model, data set, dimension, tag, artist or album that does not exist."""

    @classmethod
    def of(cls, kind: str, name: str, available: Iterable[str]) -> "UnknownNameError":
        """Return the error for `name`, with the most similar available name as a suggestion."""
        names = list(available)
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.4) if len(names) <= _MOST_COMPARED else []
        hint = f" Did you mean {close[0]!r}?" if close else ""
        more = f", and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
        return cls(f"Unknown {kind} {name!r}.{hint} Available: {', '.join(names[:_MOST_NAMED]) or 'none'}{more}.")


class ModelFileError(MusicZooError, OSError):
    """A model folder with a missing or altered file."""


class CardError(MusicZooError, ValueError):
    """A card.json that is malformed or of a newer format."""


class HubError(MusicZooError, ConnectionError):
    """The Hugging Face Hub cannot be reached, or refuses access."""


class WriteError(MusicZooError, OSError):
    """A file or folder that cannot be written, such as on a full disk or without permission."""


class MissingDependencyError(MusicZooError, ImportError):
    """An optional package that is not installed. The message names the extra to install."""


class DatasetError(MusicZooError, RuntimeError):
    """A data set that cannot be fetched, prepared or read."""


class LibraryError(MusicZooError, OSError):
    """A library that cannot be opened, created or written, or that another process is writing."""


class SpaceMismatchError(MusicZooError, ValueError):
    """Embeddings of different spaces, which cannot be compared."""

    @classmethod
    def of(cls, what: str, expected: str, got: str, source: str | None = None) -> "SpaceMismatchError":
        """Return the error for `what`, with the ids of both spaces, and the right model's address if that is known."""
        model = (
            f"the model that the library was made with, {source}"
            if source
            else "the model that the library was made with"
        )
        return cls(
            f"{what}: expected embeddings of the space {expected!r}, got {got!r}; the two cannot be compared. Use "
            f"{model}, or make another library."
        )


class TrainingError(MusicZooError, RuntimeError):
    """A training run that cannot start, resume or be read."""


class ParityError(MusicZooError, ArithmeticError):
    """An exported model whose outputs differ from the Keras model's."""
