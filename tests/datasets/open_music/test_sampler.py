"""The small part of open_music."""

import csv
import shutil
from pathlib import Path

import pytest
from front_end import FIRST_SAMPLES

from musiczoo.datasets import folder
from musiczoo.datasets.open_music import sampler
from musiczoo.datasets.open_music.definition import read_definition
from musiczoo.errors import DatasetError, InputError


def fill(out: Path) -> list[str]:
    """Stand-ins for all recordings; their names."""
    (out / "audio").mkdir(parents=True)
    names = [recording.audio for recording in read_definition() if recording.package in sampler.GAMES]
    for name in names:
        (out / "audio" / name).write_bytes(b"stand-in")
    return names


def test_every_game_is_a_package_of_open_music_and_every_split_has_some() -> None:
    chosen = [recording for recording in read_definition() if recording.package in sampler.GAMES]
    assert {recording.package for recording in chosen} == sampler.GAMES.keys()
    assert {recording.split for recording in chosen} == {"train", "validation", "test"}


def test_what_is_there_is_not_fetched_and_the_table_is_one_to_train_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = fill(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))  # no apt-get, no dpkg-deb
    assert sampler.fetch(tmp_path) == tmp_path
    dataset = folder.load(tmp_path)
    assert [item.audio.name for item in dataset.items] == names
    assert dict(dataset.dimensions) == {"game": tuple(sorted(sampler.GAMES.values()))}
    assert dataset.positives("train").sum(axis=0).min() >= 3
    assert dataset.positives("train").sum() >= 40  # of 69
    assert len(dataset.split("validation")) >= 10
    assert len(dataset.split("test")) >= 10


def test_a_table_that_is_there_stays(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "tags.csv").write_text("path,tags\n")
    sampler.fetch(tmp_path)
    assert (tmp_path / "tags.csv").read_text() == "path,tags\n"


def test_what_cannot_be_fetched_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "debs").mkdir()
    with pytest.raises(DatasetError, match=r"-.*: Expected \w.*_\*\.deb among the packages, found none"):
        sampler.fetch(tmp_path / "out", packages_dir=tmp_path / "debs")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_prepare_takes_the_splits_of_open_music(tmp_path: Path) -> None:
    """Nothing can be decoded here: what counts is what it is asked for."""
    names = fill(tmp_path)
    (tmp_path / "debs").mkdir()
    store = sampler.prepare(tmp_path, FIRST_SAMPLES, packages_dir=tmp_path / "debs", seconds=100)
    assert len(store.failures) == len(names)
    with (tmp_path / "definition.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = [r for r in read_definition() if r.package in sampler.GAMES]
    assert [(row["package"], row["split"]) for row in rows] == [(r.package, r.split) for r in wanted]
    assert [float(row["use_s"]) for row in rows] == [r.use_s if r.use_s < 100 else 100 for r in wanted]


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_recordings_of_no_length_are_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        sampler.prepare(tmp_path / "out", FIRST_SAMPLES, seconds=seconds)
    assert not (tmp_path / "out").exists()
