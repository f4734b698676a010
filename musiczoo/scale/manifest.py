"""What is to be done: a catalogue's files, cut into shards that are the same whenever they are cut.

Conventions
-----------
- The shards are a pure function of the set of paths and of the shards' size, whoever lists them in whatever order.
- A part's name holds a digest of its shard's paths and of what the numbers depend on (weights, excerpts), so that
  a part of another catalogue or of another model is never taken for this one's.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass

from ..audio import SUFFIXES
from ..errors import InputError
from ..library.records import Facts
from ..library.scan import scan
from . import remote_files

SHARD_SIZE = 256
"""Songs a part: some minutes of work, which is what a worker that dies takes with it."""


@dataclass(frozen=True)
class Shard:
    """Some files, to be done by one worker, one after the other.

    Attributes:
        number: Its place among the shards, from 0.
        paths: Full names of its files, sorted (see `places`).
    """

    number: int
    paths: tuple[str, ...]

    def digest(self, facts: Facts) -> str:
        """16 hex digits that change with its paths and with whatever changes the numbers."""
        settings = [facts.space_id, facts.version, facts.excerpts, facts.hop_s]
        text = b"\0".join([json.dumps(settings).encode(), *map(os.fsencode, self.paths)])
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def part(self, facts: Facts) -> str:
        """The file name of its part, such as ``part-000042-9f86d081884c7d65.parquet``."""
        return f"part-{self.number:06d}-{self.digest(facts)}.parquet"


def shards(paths: Iterable[str], size: int = SHARD_SIZE) -> tuple[Shard, ...]:
    """Cut files into shards of `size` neighbours in the sorted order; the last may be smaller.

    Raises:
        InputError: If `size` is not a positive whole number.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(f"Expected a shard of 1 or more songs, received {size!r}.")
    ordered = sorted(set(paths))
    return tuple(Shard(i // size, tuple(ordered[i : i + size])) for i in range(0, len(ordered), size))


def find(sources: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Full names of the audio files among files, folders and URLs, sorted, each once.

    Folders are looked through as `musiczoo.library.scan` does it. Files that are named themselves are taken
    whatever their names.

    Raises:
        InputError: If there is nothing at one of them.
        LibraryError: If a folder cannot be read.
    """
    found: set[str] = set()
    for source in sources:
        fs, path = remote_files.system(source)
        if fs.isfile(path):
            found.add(remote_files.full_name(fs, os.path.realpath(path) if remote_files.is_local(fs) else path))
        elif remote_files.is_local(fs) and fs.isdir(path):
            found.update(scan([path]).files)
        else:
            found.update(
                name
                for name in remote_files.files(source)
                if _is_audio(name.removeprefix(remote_files.absolute(source)))
            )
    return sorted(found)


def _is_audio(name: str) -> bool:
    """Whether the part of a name that a search for music has found says so."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not any(part.startswith(".") for part in name.split("/"))
