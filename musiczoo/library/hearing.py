"""One file -> its row: what is written of it into a library, wherever that is done."""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime

from ..errors import AudioError, MusicZooError
from ..model import Model
from . import metadata
from .fingerprint import fingerprint
from .records import Entry, Facts, Failure
from .scan import Seen

HASH_BYTES = 16
"""Of the blake2b of a file's contents."""

Hear = Callable[[Model, Facts, str], Entry | Failure]
"""Listens to a file by its name: see `hear_path`."""

UNHEARABLE = (MusicZooError, OSError, MemoryError)
"""What a file that cannot be heard raises."""


def content_hash(path: str | os.PathLike[str]) -> str:
    """Hex digest of all bytes of a file.

    Raises:
        OSError: If it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=HASH_BYTES)).hexdigest()


def hear(model: Model, facts: Facts, seen: Seen, digest: str) -> Entry:
    """Listen to a file.

    Args:
        model: What listens.
        facts: How many excerpts it hears.
        seen: The file.
        digest: Its `content_hash`.

    Raises:
        AudioError: If it cannot be decoded, or see `check_same`.
        AudioNotFoundError: If it is gone.
        MissingDependencyError: If decoding it takes ``musiczoo[av]``.
        OSError: If it cannot be read.
    """
    track = model.analyze(seen.path, excerpts=facts.excerpts, hop=facts.hop_s)
    said = metadata.read(seen.path)
    return Entry(
        path=seen.path,
        size=seen.size,
        mtime_ns=seen.mtime_ns,
        hash=digest,
        duration_s=track.duration_s,
        heard=len(track.times),
        embedding=track.embedding,
        tags=track.tags.probabilities,
        warnings=tuple(_without(seen.path, warning) for warning in track.warnings),
        fingerprint=fingerprint(track.times, track.embeddings),
        **said._asdict(),
    )


def _without(path: str, message: str) -> str:
    """A message without the path, which the row has: the file may be moved, or be a copy in a temporary folder."""
    return message.removeprefix(f"{path}: ").replace(repr(path), "the file").replace(path, "the file")


def hear_path(model: Model, facts: Facts, path: str) -> Entry | Failure:
    """Listen to a file as it is now: its row, or why there is none."""
    try:
        seen = look(path)
        entry = hear(model, facts, seen, content_hash(path))
        check_same(seen)
    except UNHEARABLE as error:
        return failure_at(path, error)
    return entry


def look(path: str) -> Seen:
    """A file as it is now.

    Raises:
        OSError: If it is gone or cannot be reached.
    """
    return Seen.of(path, os.stat(path))


def check_same(seen: Seen) -> None:
    """Refuse a file that was written to while it was read: what was heard may be of neither version.

    Raises:
        AudioError: If its size or its time of modification is another by now.
        OSError: If it is gone.
    """
    if look(seen.path) != seen:
        raise AudioError(
            f"{seen.path}: expected a file that nobody writes to, received one that changed while it was read. "
            "Index again when it is complete."
        )


def failure(seen: Seen, error: BaseException) -> Failure:
    """The row of a file that could not be heard."""
    reason = str(error)
    if not isinstance(error, MusicZooError):
        said = getattr(error, "strerror", None) or reason or type(error).__name__
        reason = f"{seen.path}: expected a file that can be read, received {said}."
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Failure(seen.path, seen.size, seen.mtime_ns, type(error).__name__, reason, now)


def failure_at(path: str, error: BaseException) -> Failure:
    """The row of a file, as it is now, that could not be heard; of 0 bytes if it is gone, or in an object store."""
    try:
        seen = look(path)
    except (OSError, ValueError):
        seen = Seen(path, 0, 0)
    return failure(seen, error)
