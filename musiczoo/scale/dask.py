"""Make Parquet parts on a Dask cluster, started here or already running. Needs the extra [dask]."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .._paths import absolute
from ..errors import InputError, LibraryError, MissingDependencyError
from ..hub import is_address, source_of
from ..library.records import LibraryConfig
from ..library.worker import AnalyzeFile, Job
from ..registry import find
from . import remote_files
from .parquet import SUFFIX
from .shards import SHARD_SIZE, PartResult, Shard, analyze_remote, find_audio, shards, write_part

try:
    from distributed import Client, LocalCluster, as_completed
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "This engine needs Dask distributed, which is not installed. Install it with: pip install 'musiczoo[dask]'"
    ) from error

RETRIES = 2
"""Times that a shard is tried again after an error, such as a store that did not answer."""


@dataclass(frozen=True)
class PartsReport:
    """The results of a run.

    Attributes:
        parts: Full names of the parts of all shards.
        tracks: Number of tracks in them.
        failed: Number of files in them that could not be analyzed.
        skipped: Number of parts that existed already.
        seconds: Duration of the run.

    Example:
        >>> report = PartsReport(("/parts/part-000000-9f86d081884c7d65.parquet",), 255, 1, skipped=0, seconds=60.0)
        >>> report.tracks, report.failed
        (255, 1)
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
    analyze: AnalyzeFile = analyze_remote,
) -> PartsReport:
    """Analyze all music in some places on a cluster, and write it as Parquet parts.

    After an interruption, call it again: it resumes, and parts that exist are not made twice. Workers may die, too.

    Args:
        sources: Files, folders, or URLs of either, which all workers can read.
        out: Folder, or URL of one, for the parts, which all workers can write.
        model: Name or folder of a model that all workers have, or an address on the Hub that they can fetch.
        excerpts: Excerpts to analyze of each track; None for the whole track.
        scheduler: Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``; None starts a cluster here.
        workers: Number of processes of the cluster started here; None for one a core.
        shard_size: Tracks in a part.
        progress: Called with (tracks done, all tracks) after each part.
        analyze: Analyzes one file: a function of a module that the workers can import.

    Returns:
        The parts, and the numbers of tracks and failed files in them.

    Raises:
        InputError: If there is no audio, or `excerpts` or `shard_size` is not a positive whole number.
        UnknownNameError: If the model does not exist here.
        LibraryError: If the cluster does not answer, or shards fail, with the first reason.

    Example:
        >>> report = index(["Music"], "parts", "disentangled-classification", excerpts=1, workers=1, shard_size=8)
        >>> len(report.parts), report.tracks, report.failed
        (2, 12, 0)
        >>> index(["Music"], "parts", "disentangled-classification", excerpts=1, workers=1, shard_size=8).skipped
        2
    """
    started = time.monotonic()
    paths = find_audio(sources)
    if not paths:
        raise InputError(f"No audio files in {', '.join(map(str, sources))}. Choose other folders.")
    todo = shards(paths, shard_size)
    out = remote_files.absolute(out)
    job = _job(model, excerpts, analyze)
    done: list[PartResult] = []
    problems: list[str] = []
    with _client(scheduler, workers) as client:
        for result in _results(client, todo, out, job):
            if isinstance(result, PartResult):
                done.append(result)
                if progress:
                    progress(sum(d.rows for d in done), len(paths))
            else:
                problems.append(f"{type(result).__name__}: {result}")
    if problems:
        raise LibraryError(
            f"Only {len(done)} of {len(todo)} parts in {out} were made. First problem: {problems[0]} Run it again: "
            "complete parts are kept."
        )
    _remove_partial(out, todo, job.config)
    failed = sum(d.failed for d in done)
    return PartsReport(
        parts=tuple(sorted(d.part for d in done)),
        tracks=len(paths) - failed,
        failed=failed,
        skipped=sum(d.skipped for d in done),
        seconds=time.monotonic() - started,
    )


def _job(model: str | os.PathLike[str], excerpts: int | None, analyze: AnalyzeFile) -> Job:
    if excerpts is not None and (isinstance(excerpts, bool) or not isinstance(excerpts, int) or excerpts < 1):
        raise InputError(f"excerpts must be 1 or more, or None for whole tracks, got {excerpts!r}.")
    folder = find(model)
    # Workers find a name in their own zoo and fetch an address; a folder must have the same path on all machines.
    name = os.fspath(model) if folder.name == os.fspath(model) else str(absolute(folder))
    if is_address(model):
        name = source_of(folder) or name
    return Job(name, LibraryConfig.of(folder, excerpts), analyze)


@contextmanager
def _client(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """Connect to a cluster; a cluster started here ends with the connection."""
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
            f"Cannot reach the Dask cluster at {scheduler or 'this machine'}: {error}. Start a scheduler and "
            "workers of the same versions, or leave out the address for a local cluster."
        ) from error


def _results(client: Any, todo: Sequence[Shard], out: str, job: Job) -> Iterator[PartResult | BaseException]:
    """Yield the part or the error of each shard, as they finish."""
    futures = client.map(write_part, todo, out=out, job=job, retries=RETRIES, pure=False)
    for future in as_completed(futures):
        if future.cancelled():
            yield LibraryError("The scheduler lost a shard: was it restarted?")
        else:
            yield future.exception() or future.result()


def _remove_partial(out: str, todo: Sequence[Shard], config: LibraryConfig) -> None:
    """Remove partial files of workers that were killed while they wrote."""
    fs, folder = remote_files.system(out)
    parts = {shard.part_name(config) for shard in todo}
    for path in fs.find(folder, maxdepth=1):
        name = path.rsplit("/", 1)[-1]
        if name.endswith(remote_files.PARTIAL) and name[: name.find(SUFFIX) + len(SUFFIX)] in parts:
            fs.rm_file(path)
