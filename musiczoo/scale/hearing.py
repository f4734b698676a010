"""One file, wherever it lies -> its row: what runs in the child."""

import dataclasses

from ..library.hearing import UNHEARABLE, check_same, content_hash, failure_at, look
from ..library.hearing import hear as hear_file
from ..library.records import Entry, Facts, Failure
from ..model import Model
from . import remote_files


def hear(model: Model, facts: Facts, name: str) -> Entry | Failure:
    """Listen to a file.

    Args:
        model: What listens.
        facts: How many excerpts it hears.
        name: Full name of the file (see `places`).

    Returns:
        Its row, as indexing it on this machine would have made it; a `Failure` if it cannot be heard.
    """
    try:
        with remote_files.on_disk(name) as (path, mtime_ns):
            seen = look(path)
            entry = hear_file(model, facts, seen, content_hash(path))
            check_same(seen)
        return dataclasses.replace(entry, path=name, mtime_ns=entry.mtime_ns if mtime_ns is None else mtime_ns)
    except UNHEARABLE as error:
        return failure_at(name, error)
