"""What is rendered: splits that share nothing, and jobs that follow from the seed."""

import re
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from musiczoo.datasets.prepared import SPLITS
from musiczoo.datasets.rendered_music import plan as module
from musiczoo.datasets.rendered_music.plan import BACKING, STYLE, SUNG, Job, plan
from musiczoo.datasets.rendered_music.sources import MORE, soundfonts, speakers
from musiczoo.datasets.rendered_music.styles import families
from musiczoo.taxonomy import DIMENSION_TAGS


@pytest.fixture(scope="module")
def jobs() -> tuple[Job, ...]:
    return plan()


def test_the_same_seed_gives_the_same_jobs(jobs: tuple[Job, ...]) -> None:
    assert plan() == jobs
    assert plan(1) != jobs


def test_splits_share_no_groove_soundfont_or_speaker(jobs: tuple[Job, ...]) -> None:
    parts: dict[str, Callable[[Job], Iterable[str]]] = {
        "groove": lambda job: [job.groove],
        "package": lambda job: [job.package] if job.groove else [],
        "soundfont": lambda job: [job.soundfont],
        "speaker": lambda job: job.speakers,
    }
    used = {
        what: {split: {part for job in jobs if job.split == split for part in parts_of(job)} - {""} for split in SPLITS}
        for what, parts_of in parts.items()
    }
    for what, found in used.items():
        assert all(found.values()), what
        assert not found["train"] & (found["validation"] | found["test"]), what
        assert what == "soundfont" or not found["validation"] & found["test"], what


def test_more_grooves_are_rendered_once_for_training_with_all_soundfonts_and_speakers(jobs: tuple[Job, ...]) -> None:
    names = {groove for family in families() for groove in family.more}
    more = [job for job in jobs if job.groove in names]
    assert {job.split for job in more} == {"train"}
    assert {(job.groove, job.kind) for job in more} == {
        (name, kind) for name in names for kind in (STYLE, BACKING, SUNG)
    }
    assert len(more) == 3 * len(names)
    assert {job.soundfont for job in more} == {font.package for font in soundfonts() if MORE in font.splits}
    assert {name for job in more for name in job.speakers} == {s.name for s in speakers() if s.split in ("train", MORE)}


def test_more_grooves_are_in_no_file_of_held_out_ones(jobs: tuple[Job, ...]) -> None:
    """A file of MMA holds variants of one groove."""
    held = {re.sub(r"[^a-z]", "", job.groove.lower()) for job in jobs if job.split != "train" and job.groove}
    for family in families():
        for groove in family.more:
            assert "/" in groove or not re.sub(r"[^a-z]", "", groove.lower()).startswith(tuple(held)), groove


@pytest.mark.parametrize(
    ("groove", "name"),
    [("R&B", "rnb"), ("casio/r+b:R&B", "casio-rnb"), ("yamaha/quando-g.s280:QuandoGSMainA", "yamaha-quandogsmaina")],
)
def test_a_groove_of_another_library_has_a_name_for_files(groove: str, name: str, jobs: tuple[Job, ...]) -> None:
    assert f"style-{name}-1" in {job.id for job in jobs if job.groove == groove}


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
