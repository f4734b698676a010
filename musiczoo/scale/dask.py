"""Parts made by a Dask cluster: a local one, or one that is there already. Needs the extra [dask]."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .._paths import absolute
from ..card import read_card
from ..errors import InputError, LibraryError, MissingDependencyError
from ..library.hearing import Hear
from ..library.records import Facts
from ..library.worker import Job
from ..registry import find as find_model
from . import remote_files
from .hearing import hear
from .manifest import SHARD_SIZE, Shard, find, shards
from .parquet import SUFFIX
from .shard import Done, write_part

try:
    from distributed import Client, LocalCluster, as_completed
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "This engine needs Dask distributed, which is not installed. Install it with: pip install 'musiczoo[dask]'"
    ) from error

RETRIES = 2
"""Times that a shard is done again after an error, such as a store that did not answer."""


@dataclass(frozen=True)
class PartsReport:
    """What a run did.

    Attributes:
        parts: Full names of the parts of all shards.
        tracks: Songs in them.
        failed: Files in them that could not be heard.
        skipped: Parts that were there already.
        seconds: How long it took.
    """

    parts: tuple[str, ...]
    tracks: int
    failed: int
    skipped: int
    seconds: float


def index(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    model: str | os.PathLike[str],
    *,
    excerpts: int | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    shard_size: int = SHARD_SIZE,
    progress: Callable[[int, int], None] | None = None,
    hear: Hear = hear,
) -> PartsReport:
    """Listen to all music in some places, on a cluster, and write it as Parquet parts.

    Killed at any moment, it is simply called again: parts that are there are not made twice. Workers may die, too.

    Args:
        sources: Files, folders, or URLs of either, which all workers can read.
        out: Folder, or URL of one, for the parts, which all workers can write.
        model: Name or folder of a model that all workers have.
        excerpts: Hear only this many of each song; None for all of it.
        scheduler: Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``; None starts a cluster here.
        workers: Processes of the cluster that is started here; None is one per core.
        shard_size: Songs a part.
        progress: Told (songs done, songs in all) after each part.
        hear: Listens to one file: a function of a module that the workers can import.

    Raises:
        InputError: If there is no audio, or `excerpts` or `shard_size` is not a positive whole number.
        UnknownNameError: If there is no such model here.
        LibraryError: If the cluster does not answer, or shards are missing at the end, with the first reason.
    """
    started = time.monotonic()
    paths = find(sources)
    if not paths:
        raise InputError(f"Expected audio files in {', '.join(map(str, sources))}, received none.")
    todo = shards(paths, shard_size)
    out = remote_files.absolute(out)
    job = _job(model, excerpts, hear)
    done: list[Done] = []
    problems: list[str] = []
    with _client(scheduler, workers) as client:
        for result in _results(client, todo, out, job):
            if isinstance(result, Done):
                done.append(result)
                if progress:
                    progress(sum(d.rows for d in done), len(paths))
            else:
                problems.append(f"{type(result).__name__}: {result}")
    if problems:
        raise LibraryError(
            f"Expected {len(todo)} parts in {out}, received {len(done)}. First problem: {problems[0]} "
            "Call it again: what is there is kept."
        )
    _tidy(out, todo, job.facts)
    failed = sum(d.failed for d in done)
    return PartsReport(
        parts=tuple(sorted(d.part for d in done)),
        tracks=len(paths) - failed,
        failed=failed,
        skipped=sum(d.skipped for d in done),
        seconds=time.monotonic() - started,
    )


def _job(model: str | os.PathLike[str], excerpts: int | None, hear: Hear) -> Job:
    if excerpts is not None and (isinstance(excerpts, bool) or not isinstance(excerpts, int) or excerpts < 1):
        raise InputError(f"Expected 1 or more excerpts, or None for all of a song, received {excerpts!r}.")
    folder = find_model(model)
    # Workers find a name in their own zoo; a folder must lie at the same place for all.
    name = os.fspath(model) if folder.name == os.fspath(model) else str(absolute(folder))
    return Job(name, Facts.of(read_card(folder), excerpts), hear)


@contextmanager
def _client(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """A connection to a cluster; one started here ends with it."""
    try:
        if scheduler is not None:
            with Client(scheduler) as client:
                yield client
        else:
            with (
                LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as here,
                Client(here) as client,
            ):
                yield client
    except OSError as error:
        raise LibraryError(
            f"Expected a Dask cluster at {scheduler or 'this machine'}, received: {error}. Start a scheduler and "
            "workers of the same versions, or leave out the address for a local cluster."
        ) from error


def _results(client: Any, todo: Sequence[Shard], out: str, job: Job) -> Iterator[Done | BaseException]:
    """What became of each shard, as they are done."""
    futures = client.map(write_part, todo, out=out, job=job, retries=RETRIES, pure=False)
    for future in as_completed(futures):
        if future.cancelled():
            yield LibraryError("the scheduler forgot it: was it started again?")
        else:
            yield future.exception() or future.result()


def _tidy(out: str, todo: Sequence[Shard], facts: Facts) -> None:
    """Remove what workers left that were killed while they wrote."""
    fs, folder = remote_files.system(out)
    parts = {shard.part(facts) for shard in todo}
    for path in fs.find(folder, maxdepth=1):
        name = path.rsplit("/", 1)[-1]
        if name.endswith(remote_files.PARTIAL) and name[: name.find(SUFFIX) + len(SUFFIX)] in parts:
            fs.rm_file(path)
