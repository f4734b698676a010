"""Shards: a catalogue cut into parts of work, and the function that turns a shard into a Parquet part.

Conventions
-----------
- The shards depend only on the set of paths and on the shards' size, not on who lists the paths or in which order.
- The name of a part contains a digest of its shard's paths and of the settings that its numbers depend on (weights,
  excerpts), so that a part of another catalogue or model is never mistaken for it.
- `write_part` is a plain function of picklable arguments: any engine can run it.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass

from ..audio import SUFFIXES
from ..errors import InputError, LibraryError
from ..library.records import Entry, Failure, LibraryConfig
from ..library.scan import scan
from ..library.worker import (
    FILE_ERRORS,
    Job,
    Worker,
    analyze_file,
    check_unchanged,
    content_hash,
    failure_at,
    stat_file,
)
from ..model import Model
from . import parquet, remote_files

SHARD_SIZE = 256
"""Tracks in a part: some minutes of work, which is lost when a worker dies."""


@dataclass(frozen=True)
class Shard:
    """Files that one worker analyzes, one after the other.

    Attributes:
        number: Its number among the shards, from 0.
        paths: Full names of its files, sorted (see `remote_files`).

    Example:
        >>> config = LibraryConfig.from_card(musiczoo.load("disentangled-classification").card)
        >>> Shard(42, ("/music/a.mp3", "/music/b.mp3")).part_name(config)
        'part-000042-....parquet'
    """

    number: int
    paths: tuple[str, ...]

    def digest(self, config: LibraryConfig) -> str:
        """Return 16 hex digits that change with the paths and with all settings that change the numbers."""
        settings = [config.space_id, config.version, config.excerpts, config.hop_s]
        text = b"\0".join([json.dumps(settings).encode(), *map(os.fsencode, self.paths)])
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def part_name(self, config: LibraryConfig) -> str:
        """Return the file name of its part, such as ``part-000042-9f86d081884c7d65.parquet``."""
        return f"part-{self.number:06d}-{self.digest(config)}.parquet"


def shards(paths: Iterable[str], size: int = SHARD_SIZE) -> tuple[Shard, ...]:
    """Cut files into shards of `size` neighbors in sorted order; the last may be smaller.

    Raises:
        InputError: If `size` is not a positive whole number.

    Example:
        >>> [(shard.number, shard.paths) for shard in shards(["c.mp3", "a.mp3", "b.mp3"], size=2)]
        [(0, ('a.mp3', 'b.mp3')), (1, ('c.mp3',))]
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(f"shard_size must be 1 or more tracks, got {size!r}.")
    ordered = sorted(set(paths))
    return tuple(Shard(i // size, tuple(ordered[i : i + size])) for i in range(0, len(ordered), size))


def find_audio(sources: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the full names of the audio files among files, folders and URLs, sorted, each once.

    Folders are searched as by `musiczoo.library.scan`. Files that are named themselves are taken whatever their names.

    Raises:
        InputError: If there is nothing at one of the places.
        LibraryError: If a folder cannot be read.

    Example:
        >>> found = find_audio(["Music", "song.ogg"])
        >>> len(found), os.path.basename(found[0])
        (13, '0.mp3')
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
    """Return whether a name below a folder has an ending of audio, and no part of it is hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not any(part.startswith(".") for part in name.split("/"))


# === From a shard to a part ===


@dataclass(frozen=True)
class PartResult:
    """The part of a shard.

    Attributes:
        part: Full name of the part.
        rows: Number of files in it.
        failed: Number of those that could not be analyzed.
        skipped: Whether the part existed already.

    Example:
        >>> PartResult("/parts/part-000042-9f86d081884c7d65.parquet", rows=256, failed=1, skipped=False).failed
        1
    """

    part: str
    rows: int
    failed: int
    skipped: bool


def write_part(shard: Shard, out: str | os.PathLike[str], job: Job) -> PartResult:
    """Analyze the files of a shard and write their records; skip a part that exists and is complete.

    The part appears under its name when it is complete, so the function may be interrupted at any point, and two
    workers may do the same shard.

    Args:
        shard: The files.
        out: Folder, or URL of one, for the parts.
        job: The model and the settings.

    Raises:
        MusicZooError: If the model cannot be loaded. Files that cannot be analyzed are rows with an error.
        OSError: If the part cannot be written.

    Example:
        >>> config = LibraryConfig.from_card(musiczoo.load("disentangled-classification").card, excerpts=1)
        >>> (shard,) = shards(find_audio(["a.mp3", "b.mp3"]))
        >>> job = Job(config.model, config, analyze_remote)
        >>> result = write_part(shard, "parts", job)
        >>> result.rows, result.failed, result.skipped
        (2, 0, False)
        >>> write_part(shard, "parts", job).skipped
        True
    """
    fs, folder = remote_files.system(out)
    path = f"{folder.rstrip('/')}/{shard.part_name(job.config)}"
    name, digest = remote_files.full_name(fs, path), shard.digest(job.config)
    existing = find_part(name, digest, len(shard.paths))
    if existing is not None:
        return existing
    with Worker(job) as worker:
        rows = [worker.analyze(file) for file in shard.paths]
    remote_files.write(fs, path, parquet.encode(rows, job.config, digest))
    return PartResult(name, len(rows), sum(isinstance(row, Failure) for row in rows), skipped=False)


def find_part(name: str, digest: str, rows: int) -> PartResult | None:
    """Return the part of a shard if it exists and is complete.

    Args:
        name: Full name of the part.
        digest: Digest of the shard.
        rows: Number of files in the shard.

    Example:
        >>> config = LibraryConfig.from_card(musiczoo.load("disentangled-classification").card)
        >>> with open("empty.parquet", "wb") as file:
        ...     _ = file.write(parquet.encode([], config, "9f86d081884c7d65"))
        >>> find_part("empty.parquet", "9f86d081884c7d65", rows=0).skipped
        True
        >>> find_part("missing.parquet", "9f86d081884c7d65", rows=0) is None
        True
    """
    try:
        part = parquet.inspect(name)
    except LibraryError:
        return None
    complete = part.shard == digest and part.rows == rows
    return PartResult(name, part.rows, part.failed, skipped=True) if complete else None


def analyze_remote(model: Model, config: LibraryConfig, name: str) -> Entry | Failure:
    """Analyze a local file or one in an object store; this runs in the worker process.

    Args:
        model: The model.
        config: The library's configuration: how many excerpts to analyze.
        name: Full name of the file (see `remote_files`).

    Returns:
        The same record as from indexing the file on this machine; a `Failure` if it cannot be analyzed.

    Example:
        >>> model = musiczoo.load("disentangled-classification")
        >>> entry = analyze_remote(model, LibraryConfig.from_card(model.card, excerpts=2), os.path.abspath("song.ogg"))
        >>> entry.excerpts, entry.embedding.shape, entry.tags.shape
        (2, (256,), (50,))
    """
    try:
        with remote_files.on_disk(name) as (path, mtime_ns):
            file = stat_file(path)
            entry = analyze_file(model, config, file, content_hash(path))
            check_unchanged(file)
        return dataclasses.replace(entry, path=name, mtime_ns=entry.mtime_ns if mtime_ns is None else mtime_ns)
    except FILE_ERRORS as error:
        return failure_at(name, error)
