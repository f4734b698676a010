"""One file, wherever it lies -> its row: what runs in the child."""

import dataclasses
import os
from collections.abc import Callable

from ..library.hearing import UNHEARABLE, check_same, content_hash
from ..library.hearing import failure as failed
from ..library.hearing import hear as hear_file
from ..library.rows import Entry, Facts, Failure
from ..library.scan import Seen
from ..model import Model
from . import places

Hear = Callable[[Model, Facts, str], Entry | Failure]
"""Listens to a file by its full name (see `places`)."""


def hear(model: Model, facts: Facts, name: str) -> Entry | Failure:
    """Listen to a file.

    Args:
        model: What listens.
        facts: How many excerpts it hears.
        name: Full name of the file.

    Returns:
        Its row, as indexing it on this machine would have made it; a `Failure` if it cannot be heard.
    """
    try:
        with places.on_disk(name) as (path, mtime_ns):
            seen = _seen(path)
            entry = hear_file(model, facts, seen, content_hash(path))
            check_same(seen)
        return dataclasses.replace(entry, path=name, mtime_ns=entry.mtime_ns if mtime_ns is None else mtime_ns)
    except UNHEARABLE as error:
        return failure(name, error)


def failure(name: str, error: BaseException) -> Failure:
    """The row of a file that could not be heard."""
    try:
        seen = _seen(name)
    except (OSError, ValueError):  # gone, or in an object store
        seen = Seen(name, 0, 0)
    return failed(seen, error)


def _seen(path: str) -> Seen:
    status = os.stat(path)
    return Seen(path, status.st_size, status.st_mtime_ns)
