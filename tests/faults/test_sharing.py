"""Many threads with one model, many processes with one library; benchmarks/faults does both for longer."""

import dataclasses
import sys
from pathlib import Path

import kills
import pytest
import sharing
from toy import CARD, music, write_audio, write_model

import musiczoo
from musiczoo.card import MODEL_FILE
from musiczoo.errors import ModelFileError
from musiczoo.export.publish import publish


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


def test_a_model_is_loaded_while_new_versions_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card of one version and the files of the next are no altered model."""
    exports = [write_model(tmp_path / f"{i}", dataclasses.replace(CARD, version=f"{i}")) for i in range(3)]
    folder = publish(exports[0], tmp_path / "zoo")
    module = sys.modules[musiczoo.Model.__module__]
    read, new = module.read_card, exports[1:]

    def read_in_time(path: Path) -> musiczoo.ModelCard:
        card: musiczoo.ModelCard = read(path)
        if new:
            publish(new.pop(0), tmp_path / "zoo")
        return card

    monkeypatch.setattr(module, "read_card", read_in_time)
    assert musiczoo.load(folder).card.version == "2"
    (folder / MODEL_FILE).write_bytes(b"altered")
    with pytest.raises(ModelFileError, match="was altered"):
        musiczoo.load(folder)
