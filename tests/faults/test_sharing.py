"""Many threads with one model, many processes with one library; benchmarks/faults does both for longer."""

from pathlib import Path

import kills
import sharing
from toy import music, write_audio

import musiczoo


def test_sixteen_threads_share_a_model(tmp_path: Path) -> None:
    paths = [
        write_audio(tmp_path / f"{i}.{ending}", music(4 + 3 * i, seed=i)) for i, ending in enumerate(("ogg", "flac"))
    ]
    found = sharing.share(musiczoo.load("disentangled-classification"), paths, threads=16, seconds=60, most=100)
    assert found["songs"] >= 100
    assert (found["different"], found["errors"]) == (0, [])


def test_eight_processes_share_a_library(tmp_path: Path, toy_folder: Path) -> None:
    songs = kills.write_music(tmp_path / "music", 12)
    found = sharing.crowd(str(toy_folder), songs, tmp_path, builders=4, searchers=4, rounds=3)
    assert found["builds"] == 12
    assert found["searches"] > 0
    assert found["errors"] == []
    assert found["tracks"] == 13
    assert found["equal"]
