import dataclasses
import json

import numpy as np
import pytest
from rich.console import Console
from toy import CARD, RATE, SIZE, music, toy_answer, write_audio, write_model

import musiczoo
from musiczoo.datasets.store import Store, TrackEntry, write_array
from musiczoo.errors import DatasetError, InputError, UnknownNameError
from musiczoo.evaluation import agreement, run
from musiczoo.taxonomy import TAGS

QUIET = Console(quiet=True)
SECONDS = 9.5
USED_S = 6.5  # two excerpts; what comes after is not part of the data set


def entry(track_id: str, split: str = "test") -> TrackEntry:
    return TrackEntry(track_id, split, f"{track_id}.wav", USED_S, 0, "", "", "", "CC0", "")


def excerpts(seed: int):
    return music(SECONDS, seed=seed)[: 2 * SIZE].reshape(2, SIZE)


@pytest.fixture
def store(tmp_path):
    """Six test tracks that "self" labelled as the toy model does, "noise" and "other" at random."""
    ids = [f"song{i}" for i in range(6)]
    (tmp_path / "audio").mkdir()
    rng = np.random.default_rng(0)
    for i, track_id in enumerate(ids):
        write_audio(tmp_path / "audio" / f"{track_id}.wav", music(SECONDS, seed=i), RATE, "FLOAT")
        for teacher, labels in (
            ("self", toy_answer(excerpts(i))[1]),
            ("noise", rng.random((2, 50), np.float32)),
            ("other", rng.random((2, 50), np.float32)),
        ):
            write_array(tmp_path / "labels" / teacher / f"{track_id}.npy", labels)
    tracks = (*map(entry, ids), entry("elsewhere", "train"))
    return Store(tmp_path, "open_music", {}, tracks)


def test_a_model_agrees_with_its_own_labels(toy, store):
    result = run.evaluate(toy, store, ["self"], console=QUIET)
    assert result["model"] == "toy"
    assert result["version"] == "1"
    assert result["teachers"] == ["self"]
    assert result["dataset"] == "open_music"
    assert result["split"] == "test"
    assert result["tracks"] == 6
    assert result["tracks_left_out"] == []
    assert result["top_k_overlap"]["value"] == 5
    assert result["spearman"]["value"] == pytest.approx(1, abs=1e-3)


def test_a_model_is_held_against_the_mean_of_teachers_over_excerpts(toy_folder, store):
    result = run.evaluate(toy_folder, store, ["noise", "other"], k=3, console=QUIET)
    scores = np.stack([toy_answer(excerpts(i))[1].mean(axis=0) for i in range(6)])
    labels = np.stack(
        [
            np.mean([np.load(store.root / "labels" / t / f"song{i}.npy") for t in ("noise", "other")], axis=(0, 1))
            for i in range(6)
        ]
    )
    shared = [len(set(np.argsort(a)[-3:]) & set(np.argsort(b)[-3:])) for a, b in zip(scores, labels, strict=True)]
    assert result["k"] == 3
    assert result["top_k_overlap"]["value"] == pytest.approx(np.mean(shared))
    expected = agreement.evaluate(scores, labels, TAGS, 3)
    assert result["spearman"]["value"] == pytest.approx(expected["spearman"]["value"], abs=1e-3)


def test_compare_reads_stored_labels_alone(store):
    for audio_file in (store.root / "audio").iterdir():
        audio_file.unlink()
    result = run.compare(store, ["noise"], ["noise"], console=QUIET)
    assert result["model"] == "noise"
    assert result["spearman"]["value"] == pytest.approx(1)
    assert run.compare(store, ["noise", "other"], ["self"], console=QUIET)["model"] == "noise + other"


def test_tracks_that_fail_are_listed_and_the_others_compared(toy, store):
    (store.root / "audio" / "song1.wav").unlink()
    (store.root / "audio" / "song2.wav").write_bytes(b"no music")
    (store.root / "labels" / "self" / "song3.npy").unlink()
    write_array(store.root / "labels" / "self" / "song4.npy", np.full((2, 50), np.nan, np.float32))
    write_array(store.root / "labels" / "self" / "song5.npy", np.zeros((2, 49), np.float32))
    result = run.evaluate(toy, store, ["self"], console=QUIET)
    assert [failure["id"] for failure in result["tracks_left_out"]] == [f"song{i}" for i in range(1, 6)]
    assert result["tracks"] == 1
    assert "song3.npy" in result["tracks_left_out"][2]["reason"]
    assert "song4" in result["tracks_left_out"][3]["reason"]
    assert "received 49" in result["tracks_left_out"][4]["reason"]


def test_without_any_label_the_error_says_how_to_get_some(toy, store):
    with pytest.raises(DatasetError, match=r"received none out of 6.*song0.*musiczoo data label --teacher absent"):
        run.evaluate(toy, store, ["absent"], console=QUIET)


def test_an_empty_split_is_an_error(store):
    with pytest.raises(DatasetError, match="received none out of 0"):
        run.compare(store, ["self"], ["noise"], split="validation", console=QUIET)


def test_wrong_calls_are_errors_and_no_failed_tracks(toy, store, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'test'"):
        run.evaluate(toy, store, ["self"], split="tests", console=QUIET)
    with pytest.raises(InputError, match="one or more teachers"):
        run.evaluate(toy, store, [], console=QUIET)
    with pytest.raises(InputError, match="between 1 and 50"):
        run.compare(store, ["self"], ["noise"], k=51, console=QUIET)
    with pytest.raises(UnknownNameError, match="nowhere"):
        run.evaluate("nowhere", store, ["self"], console=QUIET)
    turned = write_model(tmp_path / "turned", dataclasses.replace(CARD, tags=TAGS[::-1]))
    with pytest.raises(InputError, match="in their order"):
        run.evaluate(musiczoo.load(turned), store, ["self"], console=QUIET)


def test_results_are_json_and_markdown(store):
    one = run.compare(store, ["noise"], ["self"], console=QUIET)
    two = run.compare(store, ["other"], ["self", "noise"], console=QUIET)
    assert json.loads(json.dumps(one, allow_nan=False)) == one
    table = run.markdown(one, two).splitlines()
    assert table[0] == "|  | noise | other |"
    assert table[2] == "| Held against | self | self + noise |"
    assert table[3] == "| Split | test, 6 tracks | test, 6 tracks |"
    assert {line.count("|") for line in table} == {4}
    figure = one["top_k_overlap"]
    low, high = figure["interval"]
    assert f"| {figure['value']:.3f} of 5 ({low:.3f} to {high:.3f}) |" in run.markdown(one)


def test_markdown_of_tags_marks_what_the_means_leave_out(store):
    result = run.compare(store, ["noise"], ["self"], console=QUIET)
    lines = run.markdown_tags(result).splitlines()[2:]
    assert len(lines) == 50
    assert [line.split("|")[1].strip() for line in lines if " * |" in line] == [f"{t} *" for t in result["left_out"]]
    assert any("| none |" in line for line in lines)
