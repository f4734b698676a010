"""dim-sim: triplets, votes, and where their audio is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from published import MSD_TRACKS, judgement, write_dim_sim, write_msd

from musiczoo.datasets import dim_sim, msd
from musiczoo.errors import DatasetError, UnknownNameError

ANCHOR, SONG1, SONG2, _ = MSD_TRACKS


@pytest.mark.parametrize("form", ["csv", "list", "rows", "columns"])
def test_triplets_are_read_in_each_form(tmp_path: Path, form: str) -> None:
    root = write_dim_sim(tmp_path, [judgement(7), judgement(8, (0, 1))], form=form)
    found = dim_sim.load(root)
    assert (found.version, found.clip_s) == ("clean", 3.0)
    assert found.judgements[0] == dim_sim.Judgement(
        "7",
        dim_sim.Excerpt(ANCHOR, 3.5),
        (dim_sim.Excerpt(SONG1, 0.0), dim_sim.Excerpt(SONG2, 12.25)),
        (1, 0),
    )
    assert found.judgements[1].votes == (0, 1)


def test_the_raw_version_counts_votes(tmp_path: Path) -> None:
    rows = [judgement(1, (7, 3)), judgement(2, (2, 2)), judgement(3, (0, 5))]
    found = dim_sim.load(write_dim_sim(tmp_path, rows, "raw"), "raw")
    assert [j.votes for j in found.judgements] == [(7, 3), (2, 2), (0, 5)]
    winners = [j.ranked and (j.ranked[1].track, j.ranked[2].track) for j in found.judgements]
    assert winners == [(SONG1, SONG2), None, (SONG2, SONG1)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (judgement(1, (1, 1)), "triplet 1: expected a winner in the clean version, got 1 votes for each song"),
        (judgement(1, (0, 0)), "expected a winner"),
        (judgement(1, (0.5, 1)), "expected whole votes, got 0.5 and 1"),
        (judgement(1, (-1, 1)), "song1_vote"),
        (judgement(1, song1_vote="yes"), "triplet 1"),
        (judgement(1, anchor_start_seconds="nan"), "anchor_start_seconds"),
        (judgement(1, anchor_start_seconds=-1), "anchor_start_seconds"),
        (judgement(1, anchor_start_seconds=10**400), "triplet 1"),
        (judgement(1, song2_id=""), "song2_id"),
        (judgement(1, clip_lengths_seconds=4), "one length"),
        (judgement(0), "0 twice"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "list"])
def test_bad_triplets_are_named(tmp_path: Path, row: dict[str, Any], message: str, form: str) -> None:
    root = write_dim_sim(tmp_path, [judgement(0), row], form=form)
    with pytest.raises(DatasetError, match=message):
        dim_sim.load(root)


NEEDED = ("anchor", "song1", "song2")


@pytest.mark.parametrize("form", ["csv", "list", "rows", "columns", "cells"])
def test_ids_starts_and_votes_are_enough(tmp_path: Path, form: str) -> None:
    needed = {*(f"{part}_{what}" for part in NEEDED for what in ("id", "start_seconds")), "song1_vote", "song2_vote"}
    rows = [{name: row[name] for name in row if name in needed} for row in (judgement(7), judgement(8, (1, 9)))]
    found = dim_sim.load(write_dim_sim(tmp_path, rows, form=form))
    assert found.clip_s == 3.0
    assert [(j.id, j.votes) for j in found.judgements] == [("0", (1, 0)), ("1", (1, 9))]
    assert found.judgements[0].excerpts == (
        dim_sim.Excerpt(ANCHOR, 3.5), dim_sim.Excerpt(SONG1, 0.0), dim_sim.Excerpt(SONG2, 12.25),
    )  # fmt: skip


@pytest.mark.parametrize("dropped", dim_sim.COLUMNS)
@pytest.mark.parametrize("form", ["csv", "list", "columns"])
def test_a_needed_column_is_named_and_any_other_may_be_missing(tmp_path: Path, dropped: str, form: str) -> None:
    rows = [{name: value for name, value in judgement(number).items() if name != dropped} for number in (7, 8)]
    root = write_dim_sim(tmp_path, rows, form=form)
    if dropped in dim_sim.REQUIRED:
        with pytest.raises(DatasetError, match=dropped):
            dim_sim.load(root)
    else:
        expected = ["0", "1"] if dropped == "triplet_id" else ["7", "8"]
        assert [j.id for j in dim_sim.load(root).judgements] == expected


@pytest.mark.parametrize(("votes", "winner"), [((9, 1), SONG1), ((1, 9), SONG2), ((2, 0), SONG1), ((10, 0), SONG1)])
def test_the_majority_wins_in_the_clean_version_too(tmp_path: Path, votes: tuple[int, int], winner: str) -> None:
    (found,) = dim_sim.load(write_dim_sim(tmp_path, [judgement(1, votes)])).judgements
    assert found.ranked is not None
    assert found.ranked[1].track == winner


def test_raw_votes_are_whole(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="whole votes"):
        dim_sim.load(write_dim_sim(tmp_path, [judgement(1, (1.5, 1))], "raw"), "raw")


@pytest.mark.parametrize("content", ["", "[1]", "5", '{"a": 1}', "[{}]", "[" * 100_000])
def test_other_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "clean-dim-sim.json").write_text(content)
    with pytest.raises(DatasetError, match=r"clean-dim-sim\.json"):
        dim_sim.load(tmp_path)


def test_missing_columns_versions_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"clean-dim-sim\.csv or clean-dim-sim\.json.*Zenodo"):
        dim_sim.load(tmp_path)
    row = judgement(1)
    del row["song2_vote"]
    with pytest.raises(DatasetError, match=r"including .*song2_vote"):
        dim_sim.load(write_dim_sim(tmp_path, [row]))
    with pytest.raises(UnknownNameError, match="clean, raw"):
        dim_sim.load(tmp_path, "tidy")


def test_the_winner_is_the_positive_and_what_has_no_audio_is_left_out(tmp_path: Path) -> None:
    root = write_msd(tmp_path / "msd")
    rows = [judgement(1), judgement(2, (0, 1)), judgement(3, (4, 4)), judgement(4, song1_id="TRZZZZZ128F0000000")]
    found = dim_sim.load(write_dim_sim(root, rows, "raw"), "raw")
    locate = msd.locator(root)
    kept, left_out = dim_sim.triplets(found, locate)
    anchor, song1, song2 = (locate(ANCHOR), 3.5), (locate(SONG1), 0.0), (locate(SONG2), 12.25)
    assert kept == [(anchor, song1, song2), (anchor, song2, song1)]
    assert kept[0][0].start_s == 3.5
    assert [reason.split(":")[0] for reason in left_out] == ["3", "4"]
    assert "no winner, 4 : 4" in left_out[0]
    assert "TRZZZZZ128F0000000.mp3" in left_out[1]


def test_a_data_set_locates_its_own_tracks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msd, "TRAIN_TRACKS", 2)
    root = write_dim_sim(write_msd(tmp_path), [judgement(1), judgement(2, anchor_id="TRX")])
    kept, left_out = dim_sim.triplets(dim_sim.load(root), msd.load(root).audio)
    assert len(kept) == 1
    assert "Unknown track 'TRX'" in left_out[0]


def test_check_looks_at_triplets_and_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_dim_sim(write_msd(tmp_path), [judgement(1), judgement(2, (0, 1))])
    (problem,) = dim_sim.check(root).problems
    assert problem.examples == ("2 triplets, not 879",)
    monkeypatch.setattr(dim_sim, "PUBLISHED", {"clean": 2})
    report = dim_sim.check(root)
    assert (report.good, report.counts) == (True, {"triplets": 2, "tracks": 3})
    (root / "audio/8/9/8947470.clip.mp3").unlink()
    (problem,) = dim_sim.check(root).problems
    assert ANCHOR in problem.examples[0]
    (root / "clean-dim-sim.csv").write_text("triplet_id\n1\n")
    (problem,) = dim_sim.check(root).problems
    assert problem.what == "triplets that can be read"


def test_a_judgement_lists_its_excerpts(tmp_path: Path) -> None:
    found = dim_sim.load(write_dim_sim(tmp_path, [judgement(1)])).judgements[0]
    assert [excerpt.track for excerpt in found.excerpts] == [ANCHOR, SONG1, SONG2]
    assert replace(found, votes=(0, 1)).ranked == (found.anchor, found.songs[1], found.songs[0])
