"""Shard of paths -> Parquet part: the one function that every engine runs."""

import os
from dataclasses import dataclass

from ..errors import LibraryError
from ..library.records import Failure
from ..library.worker import Child, Job
from . import parquet, remote_files
from .manifest import Shard


@dataclass(frozen=True)
class Done:
    """What became of a shard.

    Attributes:
        part: Full name of its part.
        rows: Files in it.
        failed: Those that could not be heard.
        skipped: Whether the part was there already.
    """

    part: str
    rows: int
    failed: int
    skipped: bool


def write_part(shard: Shard, out: str | os.PathLike[str], job: Job) -> Done:
    """Listen to a shard's files and write their rows; nothing to do if its part is there and whole.

    The part appears under its name when it is whole, so that it does not matter where this is interrupted, nor
    whether two workers do the same shard.

    Args:
        shard: Some files.
        out: Folder, or URL of one, that holds the parts.
        job: How to listen.

    Raises:
        MusicZooError: What loading the model raises. Files that cannot be heard are rows with an error.
        OSError: If the part cannot be written.
    """
    fs, folder = remote_files.system(out)
    path = f"{folder.rstrip('/')}/{shard.part(job.facts)}"
    name, digest = remote_files.full_name(fs, path), shard.digest(job.facts)
    there = find_part(name, digest, len(shard.paths))
    if there is not None:
        return there
    with Child(job) as child:
        rows = [child.hear(file) for file in shard.paths]
    remote_files.write(fs, path, parquet.encode(rows, job.facts, digest))
    return Done(name, len(rows), sum(isinstance(row, Failure) for row in rows), skipped=False)


def find_part(name: str, digest: str, rows: int) -> Done | None:
    """A shard's part, if it is there and whole."""
    try:
        part = parquet.inspect(name)
    except LibraryError:
        return None
    whole = part.shard == digest and part.rows == rows
    return Done(name, part.rows, part.failed, skipped=True) if whole else None
