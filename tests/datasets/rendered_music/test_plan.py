"""What is rendered: splits that share nothing, and jobs that follow from the seed."""

from collections import Counter

import pytest

from musiczoo.datasets.rendered_music import plan as module
from musiczoo.datasets.rendered_music.plan import BACKING, SUNG, Job, plan
from musiczoo.datasets.rendered_music.sources import soundfonts, speakers
from musiczoo.datasets.rendered_music.styles import families
from musiczoo.taxonomy import DIMENSION_TAGS


@pytest.fixture(scope="module")
def jobs() -> tuple[Job, ...]:
    return plan()


def test_the_same_seed_gives_the_same_jobs(jobs: tuple[Job, ...]) -> None:
    assert plan() == jobs
    assert plan(1) != jobs


def test_splits_share_no_groove_soundfont_or_speaker(jobs: tuple[Job, ...]) -> None:
    for attribute in ("groove", "package"):
        found = Counter(value for value, _ in {(getattr(job, attribute), job.split) for job in jobs} if value != "")
        assert {value for value, count in found.items() if count > 1} <= {"mixture", "damaged"}
    singers = {split: {s for job in jobs if job.split == split for s in job.speakers} for split in ("train", "test")}
    assert singers["train"]
    assert singers["test"]
    assert not singers["train"] & singers["test"]
    fonts = {font.package: font.splits for font in soundfonts()}
    assert all(job.split in fonts[job.soundfont] for job in jobs if job.soundfont)
    assert not {s for s in fonts.values() if "train" in s and "test" in s}


def test_mixtures_and_damage_stay_in_their_split_and_come_later(jobs: tuple[Job, ...]) -> None:
    place = {job.id: number for number, job in enumerate(jobs)}
    by_id = {job.id: job for job in jobs}
    for job in jobs:
        for source in job.sources:
            assert by_id[source].split == job.split
            assert place[source] < place[job.id]


def test_each_song_has_its_backing(jobs: tuple[Job, ...]) -> None:
    backings = {job.id.removesuffix("-backing"): job for job in jobs if job.kind == BACKING}
    sung = {job.id.removesuffix("-sung"): job for job in jobs if job.kind == SUNG}
    assert backings.keys() == sung.keys()
    for name, job in sung.items():
        assert (job.seed, job.groove, job.soundfont) == (
            backings[name].seed,
            backings[name].groove,
            backings[name].soundfont,
        )
        assert job.speakers


def test_there_are_300_pieces_and_all_genres_are_aimed_at(jobs: tuple[Job, ...]) -> None:
    assert sum(job.kind == module.STYLE for job in jobs) >= 300
    assert {tag for family in families() for tag in family.tags} == set(DIMENSION_TAGS["genre"])


def test_every_split_has_every_kind_and_way(jobs: tuple[Job, ...]) -> None:
    for split in ("train", "validation", "test"):
        mine = [job for job in jobs if job.split == split]
        assert {job.kind for job in mine} == {"style", "backing", "sung", "mixture", "damaged"}
        assert {job.way for job in mine if job.kind == "damaged"} == set(module.DAMAGES)
        assert {job.way for job in mine if job.kind == "sung"} == set(module.SINGING)


def test_speakers_are_named_once() -> None:
    assert max(Counter(speaker.name for speaker in speakers()).values()) == 1
