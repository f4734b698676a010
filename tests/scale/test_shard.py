"""Shard of paths -> part, with children that survive nothing."""

import dataclasses
import signal
from pathlib import Path

import numpy as np
import pytest
import toy
from catalogue import FACTS, entry, hear_poison, same, write_songs

from musiczoo.errors import LibraryError, ModelFileError, SpaceMismatchError, UnknownNameError
from musiczoo.library.records import Entry, Failure
from musiczoo.library.worker import Child, Job
from musiczoo.model import Model
from musiczoo.scale import parquet, remote_files, shard
from musiczoo.scale.hearing import hear
from musiczoo.scale.manifest import Shard, find


@pytest.fixture
def job(toy_folder: Path) -> Job:
    """Listens with the toy model."""
    return Job(str(toy_folder), FACTS)


def poisoned(job: Job, seconds: float = 60) -> Job:
    """The same, with files that kill."""
    return Job(job.model, job.facts, hear_poison, seconds)


def test_a_part_holds_what_the_model_hears(tmp_path: Path, job: Job, toy: Model) -> None:
    songs = write_songs(tmp_path / "music", 2, seconds=6.5)
    bad = tmp_path / "music" / "bad.mp3"
    bad.write_text("no music")
    work = Shard(0, tuple(find([tmp_path / "music"])))
    done = shard.write_part(work, tmp_path / "parts", job)
    assert (done.rows, done.failed, done.skipped) == (3, 1, False)
    rows = {row.path: row for row in parquet.read(done.part)}
    assert list(rows) == list(work.paths)
    for song in songs:
        row, track, status = rows[str(song)], toy.analyze(song, hop=None), song.stat()
        assert isinstance(row, Entry)
        assert (row.size, row.mtime_ns, row.heard, row.duration_s) == (status.st_size, status.st_mtime_ns, 2, 6.5)
        np.testing.assert_allclose(row.embedding, track.embedding, atol=1e-6)
        np.testing.assert_allclose(row.tags, track.tags.probabilities, atol=1e-6)
    failure = rows[str(bad)]
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.size) == ("AudioError", 8)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [work.part(FACTS)]  # nothing half-written


def test_a_part_that_is_there_is_not_made_again(tmp_path: Path, job: Job) -> None:
    songs = write_songs(tmp_path / "music", 2)
    work = Shard(0, tuple(map(str, songs)))
    first = shard.write_part(work, tmp_path / "parts", job)
    written = Path(first.part).stat().st_mtime_ns
    for song in songs:
        song.unlink()  # who listened again would fail
    assert shard.write_part(work, tmp_path / "parts", job) == shard.Done(first.part, 2, 0, skipped=True)
    assert Path(first.part).stat().st_mtime_ns == written


def test_a_part_that_is_not_whole_is_made_again(tmp_path: Path, job: Job) -> None:
    rows = [entry("/a"), entry("/b")]
    work = Shard(0, ("/a", str(tmp_path / "gone.wav")))
    digest = work.digest(FACTS)
    whole = parquet.encode(rows, FACTS, digest)
    part = tmp_path / work.part(FACTS)
    for content in (b"", whole[:-9], parquet.encode(rows, FACTS, "another"), parquet.encode(rows[:1], FACTS, digest)):
        part.write_bytes(content)
        assert shard.find_part(str(part), digest, 2) is None
    part.write_bytes(whole)
    assert shard.find_part(str(part), digest, 2) == shard.Done(str(part), 2, 0, skipped=True)
    part.write_bytes(whole[:-9])
    assert shard.write_part(work, tmp_path, job) == shard.Done(str(part), 2, 2, skipped=False)
    assert shard.find_part(str(part), digest, 2) is not None


def test_a_file_that_kills_its_decoder_costs_itself_alone(tmp_path: Path, job: Job) -> None:
    songs = write_songs(tmp_path, 2)
    killers = {"segfault": "of SIGSEGV", "out of memory": "of SIGKILL", "exit": "with exit code 3"}
    with Child(poisoned(job)) as child:
        assert isinstance(child.hear(str(songs[0])), Entry)
        for stem, death in killers.items():
            killer = toy.write_audio(tmp_path / f"{stem}.wav", toy.music(1))
            row = child.hear(str(killer))
            assert isinstance(row, Failure)
            assert row.kind == "DecoderDied"
            assert f"{killer}: its decoder died 2 times, last {death}." in row.reason
            assert (row.size, row.mtime_ns) == (killer.stat().st_size, killer.stat().st_mtime_ns)
        assert isinstance(child.hear(str(songs[1])), Entry)


def test_a_file_that_hangs_its_decoder_is_given_up(tmp_path: Path, job: Job) -> None:
    song = write_songs(tmp_path, 1)[0]
    toy.write_audio(tmp_path / "hang.wav", toy.music(1))
    with Child(poisoned(job, seconds=6)) as child:
        row = child.hear(str(tmp_path / "hang.wav"))
        assert isinstance(row, Failure)
        assert (row.kind, "not decoded after 6 s" in row.reason) == ("DecoderHung", True)
        assert isinstance(child.hear(str(song)), Entry)


def test_a_death_that_is_not_the_files_fault_costs_nothing(tmp_path: Path, job: Job) -> None:
    song = toy.write_audio(tmp_path / "once.wav", toy.music(3.2))
    with Child(poisoned(job)) as child:
        assert isinstance(child.hear(str(song)), Entry)
    assert (tmp_path / "once.wav.died").exists()


def test_what_decoders_print_does_not_get_between_the_answers(
    tmp_path: Path, job: Job, capfd: pytest.CaptureFixture[str]
) -> None:
    song = toy.write_audio(tmp_path / "talk.wav", toy.music(3.2))
    with Child(poisoned(job)) as child:
        assert isinstance(child.hear(str(song)), Entry)
    assert "Header missing" in capfd.readouterr().err


def test_the_child_ends_with_its_parent(job: Job) -> None:
    with Child(job) as child:
        process = child._process
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL
    with Child(job) as child:
        child._process.stdin.close()  # as the system does when the parent dies
        assert child._process.wait(timeout=30) == 0


def test_a_model_that_is_not_there_or_another_ends_the_shard(tmp_path: Path, job: Job) -> None:
    other_space = dataclasses.replace(FACTS, space_id="toy-2")
    other_version = dataclasses.replace(FACTS, version="2")
    for wrong, error, message in (
        (Job("no-such-model", FACTS), UnknownNameError, "no-such-model"),
        (Job(job.model, other_space), SpaceMismatchError, "expected embeddings of the space 'toy-2', got 'toy-1'"),
        (Job(job.model, other_version), ModelFileError, "expected version 2"),
    ):
        with pytest.raises(error, match=message):
            shard.write_part(Shard(0, ("/a",)), tmp_path / "parts", wrong)
    assert not (tmp_path / "parts").exists()


def test_a_child_that_cannot_start_is_told(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", ["/nowhere"])
    with pytest.raises(LibraryError, match="died with exit code 1 when it started"):
        Child(job)


def test_songs_and_parts_in_object_stores(tmp_path: Path, job: Job, toy: Model) -> None:
    write_songs(tmp_path / "music", 2)
    names = [*find([f"bucket://{tmp_path}/music"]), f"bucket://{tmp_path}/missing.wav"]
    remote = Job(job.model, job.facts, hear_poison)  # its module tells the child what a bucket is
    done = shard.write_part(Shard(0, tuple(names)), "memory://shards", remote)
    assert done.part.startswith("memory:///shards/part-000000-")
    assert (done.rows, done.failed) == (3, 1)
    rows = list(parquet.read(done.part))
    for name, row in zip(names[:2], rows, strict=False):
        local = hear(toy, FACTS, name.removeprefix("bucket://"))
        assert isinstance(row, Entry)
        assert isinstance(local, Entry)
        assert abs(row.mtime_ns - local.mtime_ns) < 2_000
        local = dataclasses.replace(local, path=name, mtime_ns=row.mtime_ns)
        assert same(row, local, 1e-6)
    assert isinstance(rows[2], Failure)
    assert (rows[2].kind, rows[2].size) == ("AudioNotFoundError", 0)
    assert shard.write_part(Shard(0, tuple(names)), "memory://shards", remote).skipped
    fs, folder = remote_files.system("memory://shards")
    fs.rm(folder, recursive=True)
