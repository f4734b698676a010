"""From a shard to a part, with workers that crash."""

import dataclasses
import signal
from pathlib import Path

import numpy as np
import pytest
import toy
from catalogue import CONFIG, analyze_poison, entry, same, write_songs

from musiczoo.errors import LibraryError, ModelFileError, SpaceMismatchError, UnknownNameError
from musiczoo.library.records import Entry, Failure
from musiczoo.library.worker import Job, Worker
from musiczoo.model import Model
from musiczoo.scale import parquet, remote_files
from musiczoo.scale.shards import PartResult, Shard, analyze_remote, find_audio, find_part, write_part


@pytest.fixture
def job(toy_folder: Path) -> Job:
    """A job with the toy model."""
    return Job(str(toy_folder), CONFIG)


def poisoned(job: Job, seconds: float = 60) -> Job:
    """The same job, with files that crash the worker."""
    return Job(job.model, job.config, analyze_poison, seconds)


def test_a_part_holds_what_the_model_returns(tmp_path: Path, job: Job, toy: Model) -> None:
    songs = write_songs(tmp_path / "music", 2, seconds=6.5)
    bad = tmp_path / "music" / "bad.mp3"
    bad.write_text("no music")
    work = Shard(0, tuple(find_audio([tmp_path / "music"])))
    done = write_part(work, tmp_path / "parts", job)
    assert (done.rows, done.failed, done.skipped) == (3, 1, False)
    rows = {row.path: row for row in parquet.read(done.part)}
    assert list(rows) == list(work.paths)
    for song in songs:
        row, track, status = rows[str(song)], toy.analyze(song, hop=None), song.stat()
        assert isinstance(row, Entry)
        assert (row.size, row.mtime_ns, row.excerpts, row.duration_s) == (status.st_size, status.st_mtime_ns, 2, 6.5)
        np.testing.assert_allclose(row.embedding, track.embedding, atol=1e-6)
        np.testing.assert_allclose(row.tags, track.tags.probabilities, atol=1e-6)
    failure = rows[str(bad)]
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.size) == ("AudioError", 8)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [work.part_name(CONFIG)]  # nothing half-written


def test_a_complete_part_is_not_made_again(tmp_path: Path, job: Job) -> None:
    songs = write_songs(tmp_path / "music", 2)
    work = Shard(0, tuple(map(str, songs)))
    first = write_part(work, tmp_path / "parts", job)
    written = Path(first.part).stat().st_mtime_ns
    for song in songs:
        song.unlink()  # analyzing them again would fail
    assert write_part(work, tmp_path / "parts", job) == PartResult(first.part, 2, 0, skipped=True)
    assert Path(first.part).stat().st_mtime_ns == written


def test_an_incomplete_part_is_made_again(tmp_path: Path, job: Job) -> None:
    rows = [entry("/a"), entry("/b")]
    work = Shard(0, ("/a", str(tmp_path / "gone.wav")))
    digest = work.digest(CONFIG)
    whole = parquet.encode(rows, CONFIG, digest)
    part = tmp_path / work.part_name(CONFIG)
    for content in (b"", whole[:-9], parquet.encode(rows, CONFIG, "another"), parquet.encode(rows[:1], CONFIG, digest)):
        part.write_bytes(content)
        assert find_part(str(part), digest, 2) is None
    part.write_bytes(whole)
    assert find_part(str(part), digest, 2) == PartResult(str(part), 2, 0, skipped=True)
    part.write_bytes(whole[:-9])
    assert write_part(work, tmp_path, job) == PartResult(str(part), 2, 2, skipped=False)
    assert find_part(str(part), digest, 2) is not None


def test_a_file_that_crashes_its_decoder_fails_alone(tmp_path: Path, job: Job) -> None:
    songs = write_songs(tmp_path, 2)
    killers = {"segfault": "of SIGSEGV", "out of memory": "of SIGKILL", "exit": "with exit code 3"}
    with Worker(poisoned(job)) as worker:
        assert isinstance(worker.analyze(str(songs[0])), Entry)
        for stem, death in killers.items():
            killer = toy.write_audio(tmp_path / f"{stem}.wav", toy.music(1))
            row = worker.analyze(str(killer))
            assert isinstance(row, Failure)
            assert row.kind == "DecoderDied"
            assert f"Cannot decode {killer}: the decoder crashed 2 times, last {death}." in row.reason
            assert (row.size, row.mtime_ns) == (killer.stat().st_size, killer.stat().st_mtime_ns)
        assert isinstance(worker.analyze(str(songs[1])), Entry)


def test_a_file_that_hangs_its_decoder_is_given_up(tmp_path: Path, job: Job) -> None:
    song = write_songs(tmp_path, 1)[0]
    toy.write_audio(tmp_path / "hang.wav", toy.music(1))
    with Worker(poisoned(job, seconds=6)) as worker:
        row = worker.analyze(str(tmp_path / "hang.wav"))
        assert isinstance(row, Failure)
        assert (row.kind, "did not finish within 6 s" in row.reason) == ("DecoderHung", True)
        assert isinstance(worker.analyze(str(song)), Entry)


def test_a_file_is_tried_again_after_one_crash(tmp_path: Path, job: Job) -> None:
    song = toy.write_audio(tmp_path / "once.wav", toy.music(3.2))
    with Worker(poisoned(job)) as worker:
        assert isinstance(worker.analyze(str(song)), Entry)
    assert (tmp_path / "once.wav.died").exists()


def test_decoders_may_print(tmp_path: Path, job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    song = toy.write_audio(tmp_path / "talk.wav", toy.music(3.2))
    with Worker(poisoned(job)) as worker:
        assert isinstance(worker.analyze(str(song)), Entry)
    assert "Header missing" in capfd.readouterr().err


def test_the_worker_ends_with_its_parent(job: Job) -> None:
    with Worker(job) as worker:
        process = worker._process
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL
    with Worker(job) as worker:
        worker._process.stdin.close()  # as the system does when the parent dies
        assert worker._process.wait(timeout=30) == 0


def test_a_missing_or_different_model_is_reported(tmp_path: Path, job: Job) -> None:
    other_space = dataclasses.replace(CONFIG, space_id="toy-2")
    other_version = dataclasses.replace(CONFIG, version="2")
    for wrong, error, message in (
        (Job("no-such-model", CONFIG), UnknownNameError, "no-such-model"),
        (
            Job(job.model, other_space),
            SpaceMismatchError,
            "expected embeddings of the space 'toy-2', got 'toy-1'",
        ),
        (Job(job.model, other_version), ModelFileError, "Expected version 2"),
    ):
        with pytest.raises(error, match=message):
            write_part(Shard(0, ("/a",)), tmp_path / "parts", wrong)
    assert not (tmp_path / "parts").exists()


def test_a_worker_that_cannot_start_is_reported(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", ["/nowhere"])
    with pytest.raises(LibraryError, match="died with exit code 1 when it started"):
        Worker(job)


def test_songs_and_parts_in_object_stores(tmp_path: Path, job: Job, toy: Model) -> None:
    write_songs(tmp_path / "music", 2)
    names = [*find_audio([f"bucket://{tmp_path}/music"]), f"bucket://{tmp_path}/missing.wav"]
    remote = Job(job.model, job.config, analyze_poison)  # its module tells the child what a bucket is
    done = write_part(Shard(0, tuple(names)), "memory://shards", remote)
    assert done.part.startswith("memory:///shards/part-000000-")
    assert (done.rows, done.failed) == (3, 1)
    rows = list(parquet.read(done.part))
    for name, row in zip(names[:2], rows, strict=False):
        local = analyze_remote(toy, CONFIG, name.removeprefix("bucket://"))
        assert isinstance(row, Entry)
        assert isinstance(local, Entry)
        assert abs(row.mtime_ns - local.mtime_ns) < 2_000
        local = dataclasses.replace(local, path=name, mtime_ns=row.mtime_ns)
        assert same(row, local, 1e-6)
    assert isinstance(rows[2], Failure)
    assert (rows[2].kind, rows[2].size) == ("AudioNotFoundError", 0)
    assert write_part(Shard(0, tuple(names)), "memory://shards", remote).skipped
    fs, folder = remote_files.system("memory://shards")
    fs.rm(folder, recursive=True)
