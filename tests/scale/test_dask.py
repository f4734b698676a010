"""Parts made by a real cluster of several processes, some of which are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from catalogue import analyze_poison, analyze_slowly, same, write_songs

import musiczoo
from musiczoo.errors import InputError, LibraryError, UnknownNameError
from musiczoo.library.database import Database
from musiczoo.library.library import Library
from musiczoo.library.records import Entry, Failure
from musiczoo.scale import parquet

pytestmark = pytest.mark.scale
dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

from musiczoo.scale.dask import PartsReport, index  # noqa: E402  (needs distributed)

PATIENCE_S = 120


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a scheduler with three workers, each a process."""
    with distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as running:
        yield running.scheduler_address


def rows_of(report: PartsReport) -> dict[str, Entry | Failure]:
    rows = [row for part in report.parts for row in parquet.read(part)]
    assert len({row.path for row in rows}) == len(rows) == report.tracks + report.failed
    return {row.path: row for row in rows}


def until(condition: Callable[[], object]) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def analyzed(songs: list[Path]) -> list[tuple[Path, int]]:
    """Return which songs were started, each time, by which worker."""
    traces = [(song, Path(f"{song}.analyzed")) for song in songs]
    return [(song, int(pid)) for song, trace in traces if trace.exists() for pid in trace.read_text().splitlines()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_cluster_started_here_makes_the_same_as_indexing_locally(tmp_path: Path, toy_folder: Path) -> None:
    songs = write_songs(tmp_path / "music", 7)
    (tmp_path / "music" / "bad.mp3").write_text("no music")
    steps: list[tuple[int, int]] = []
    parts = tmp_path / "parts"
    report = index(
        [tmp_path / "music"], parts, toy_folder, workers=2, shard_size=3, progress=lambda *s: steps.append(s)
    )
    assert (report.tracks, report.failed, report.skipped, len(report.parts)) == (7, 1, 0, 3)
    assert [total for _, total in steps] == [8, 8, 8]
    assert steps[-1][0] == 8
    assert sorted(map(str, parts.iterdir())) == list(report.parts)

    parquet.import_parts(tmp_path / "imported.db", report.parts)
    model = musiczoo.load(toy_folder)
    Library.build(model, tmp_path / "music", path=tmp_path / "local.db", excerpts=0, progress=False).close()
    with Database.open(tmp_path / "imported.db") as imported, Database.open(tmp_path / "local.db") as local:
        assert imported.config == local.config
        ours, theirs = ({row.path: row for row in database.entries()} for database in (imported, local))
        assert set(ours) == set(theirs) == {str(song) for song in songs}
        assert all(same(ours[path], theirs[path], 1e-6) for path in ours)
        for one, other in zip(imported.failures(), local.failures(), strict=True):
            assert same(one, other)


def test_a_file_that_crashes_the_decoder_fails_alone(tmp_path: Path, toy_folder: Path, cluster: str) -> None:
    songs = write_songs(tmp_path / "music", 6)
    poison = {songs[2].with_name("segfault.wav"): "SIGSEGV", songs[4].with_name("out of memory.wav"): "SIGKILL"}
    for path in poison:
        path.write_bytes(songs[0].read_bytes())
    report = index([tmp_path], tmp_path / "parts", toy_folder, scheduler=cluster, shard_size=4, analyze=analyze_poison)
    rows = rows_of(report)
    assert {path for path, row in rows.items() if isinstance(row, Entry)} == {str(song) for song in songs}
    for path, name in poison.items():
        row = rows[str(path)]
        assert isinstance(row, Failure)
        assert (row.kind, name in row.reason) == ("DecoderDied", True)
    # Again: known, and nobody has to die once more.
    again = index([tmp_path], tmp_path / "parts", toy_folder, scheduler=cluster, shard_size=4, analyze=analyze_poison)
    assert (again.skipped, again.parts, again.failed) == (len(report.parts), report.parts, 2)


def test_a_killed_worker_costs_only_time(tmp_path: Path, toy_folder: Path, cluster: str) -> None:
    songs = write_songs(tmp_path / "music", 18)
    with ThreadPoolExecutor(1) as pool:
        places = [tmp_path / "music"], tmp_path / "parts"
        run = pool.submit(index, *places, toy_folder, scheduler=cluster, shard_size=3, analyze=analyze_slowly)
        until(lambda: len({pid for _, pid in analyzed(songs)}) == 3)  # workers
        killed = analyzed(songs)[0][1]
        os.kill(killed, signal.SIGKILL)
        report = run.result(PATIENCE_S)
    assert not is_running(killed)
    rows = rows_of(report)
    assert set(rows) == {str(song) for song in songs}
    assert all(isinstance(row, Entry) for row in rows.values())
    # What it was at was done again, by another; what was whole was not.
    times = [song for song, _ in analyzed(songs)]
    assert 1 <= len(times) - len(songs) <= 3
    assert not [path for path in (tmp_path / "parts").iterdir() if not path.name.endswith(parquet.SUFFIX)]


@pytest.mark.parametrize("own_cluster", [True, False])
def test_a_client_that_is_killed_is_started_again(
    tmp_path: Path, toy_folder: Path, cluster: str, own_cluster: bool
) -> None:
    songs, parts = write_songs(tmp_path / "music", 16), tmp_path / "parts"
    scheduler = "-" if own_cluster else cluster
    script = Path(__file__).with_name("index_with_dask.py")
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, str(script), str(tmp_path / "music"), str(parts), str(toy_folder), scheduler]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, start_new_session=True) as client:
        until(lambda: list(parts.glob("*.parquet")))
        client.kill()
    workers = {pid for _, pid in analyzed(songs)}
    if own_cluster:
        until(lambda: not any(map(is_running, workers)))
    there = len(list(parts.glob("*.parquet")))
    assert 1 <= there < 8
    report = index([tmp_path / "music"], parts, toy_folder, scheduler=cluster, shard_size=2, analyze=analyze_slowly)
    assert report.skipped >= there
    assert (report.tracks, report.failed, len(report.parts)) == (16, 0, 8)
    assert set(rows_of(report)) == {str(song) for song in songs}
    assert sorted(map(str, parts.iterdir())) == list(report.parts)  # nothing half-written is left


def test_impossible_arguments_are_refused_at_once(tmp_path: Path, toy_folder: Path) -> None:
    write_songs(tmp_path / "music", 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="No audio files"):
        index([tmp_path / "empty"], tmp_path / "parts", toy_folder)
    with pytest.raises(UnknownNameError, match="no-such-model"):
        index([tmp_path / "music"], tmp_path / "parts", "no-such-model")
    with pytest.raises(InputError, match="excerpts must be 1 or more"):
        index([tmp_path / "music"], tmp_path / "parts", toy_folder, excerpts=0)
    impatient = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with impatient, pytest.raises(LibraryError, match="cluster at tcp://127"):
        index([tmp_path / "music"], tmp_path / "parts", toy_folder, scheduler="tcp://127.0.0.1:9")


def test_shards_that_cannot_be_written_are_reported(tmp_path: Path, toy_folder: Path, cluster: str) -> None:
    write_songs(tmp_path / "music", 2)
    (tmp_path / "parts").write_text("a file where the folder should be")
    with pytest.raises(LibraryError, match=r"Only 0 of 1 parts in .*First problem"):
        index([tmp_path / "music"], tmp_path / "parts", toy_folder, scheduler=cluster)
