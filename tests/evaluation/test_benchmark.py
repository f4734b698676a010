import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from prepared import SECONDS, excerpts
from rich.console import Console
from sklearn.metrics import roc_auc_score
from toy import CARD, music, toy_answer, write_audio, write_model

import musiczoo
from musiczoo import audio
from musiczoo._files import write_npy
from musiczoo.datasets import hard_tags
from musiczoo.datasets.dim_sim import Clip
from musiczoo.errors import AudioError, DatasetError, InputError, UnknownNameError
from musiczoo.evaluation import benchmark
from musiczoo.evaluation.ground_truth import Settings
from musiczoo.evaluation.metrics import agreement
from musiczoo.taxonomy import DIMENSIONS, TAGS

QUIET = Console(quiet=True)
SMALL = Settings(ks=(1, 2), triplets_per_dimension=200, track_triplets=100)


def evaluate(models, store, chosen, teachers=("noise", "other"), **options):
    models = models if isinstance(models, list) else [models]
    options = {"settings": SMALL, "console": QUIET, **options}
    return benchmark.evaluate(models, store, list(teachers), tasks=chosen.split(","), **options)


def mean_labels(store, *teachers):
    files = [[np.load(store.root / "labels" / t / f"song{i}.npy") for t in teachers] for i in range(6)]
    return np.mean(files, axis=(1, 2), dtype=np.float64)


def whole(answer):
    """Track embeddings of a disentangled model, from excerpts' ``[2, 256]``."""
    slices = answer.astype(np.float64).mean(axis=0).reshape(4, 64)
    return (slices / np.linalg.norm(slices, axis=1, keepdims=True) / 2).ravel()


def test_report_has_the_tasks_in_the_call(toy, store):
    report = evaluate(toy, store, "tagging,retrieval,triplets,agreement")
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["format"] == 1
    assert report["settings"] == {
        "ks": [1, 2], "triplets_per_dimension": 200, "track_triplets": 100, "seed": 0, "drop_untagged": False,
        "resample": "track",
    }  # fmt: skip
    data = report["data"]
    assert (data["name"], data["split"], data["tracks"], data["excerpts"]) == ("open_music", "test", 6, 12)
    assert data["teachers"] == ["noise", "other"]
    assert "noise and other" in data["labels"]
    positives = hard_tags.of_split(store, "test", ["noise", "other"])
    assert data["tag_counts"] == dict(zip(TAGS, positives.sum(axis=0), strict=True))
    (model,) = report["models"]
    assert (model["name"], model["version"], model["space_id"]) == ("toy", "1", "toy-1")
    assert model["spaces"] == list(DIMENSIONS)
    assert model["normalized"] is True
    assert model["skipped"] == {}
    assert "time" not in model
    assert list(model["retrieval"]) == ["all", *DIMENSIONS]
    assert list(model["triplets"]) == ["whole", "sub-space", "track"]
    assert set(evaluate(toy, store, "agreement")["models"][0]) & set(benchmark.TASKS) == {"agreement"}


def test_tagging_is_evaluated_by_the_hard_tags(toy, store):
    (model,) = evaluate(toy, store, "tagging")["models"]
    positives = hard_tags.of_split(store, "test", ["noise", "other"])
    scores = np.stack([toy_answer(excerpts(i))[1].mean(axis=0) for i in range(6)])
    for i, tag in enumerate(TAGS):
        metrics = model["tagging"]["tags"][tag]
        assert metrics["positives"] == positives[:, i].sum()
        if 0 < positives[:, i].sum() < 6:
            assert metrics["roc_auc"]["value"] == pytest.approx(roc_auc_score(positives[:, i], scores[:, i]), abs=1e-9)
    assert sum(model["tagging"]["reliability"]["count"]) == 6 * 50


def test_retrieval_and_triplets_compare_the_vectors_of_tracks(toy, store, tmp_path):
    file = tmp_path / "lists.npz"
    report = evaluate(toy, store, "retrieval,triplets", triplet_file=file)
    vectors = np.stack([whole(toy_answer(excerpts(i))[0]) for i in range(6)])
    positives = hard_tags.of_split(store, "test", ["noise", "other"])
    near = np.argmax(vectors @ vectors.T - 2 * np.eye(6), axis=1)
    expected = np.mean([(positives[i] & positives[near[i]]).sum() / positives[i].sum() for i in range(6)])
    assert report["models"][0]["retrieval"]["all"]["recall"]["1"]["value"] == pytest.approx(expected)
    lists = np.load(file)
    metrics = report["models"][0]["triplets"]
    for i, dimension in enumerate(DIMENSIONS):
        a, p, n = lists[f"triplets/{dimension}"].T
        for space, columns in (("whole", slice(None)), ("sub-space", slice(64 * i, 64 * i + 64))):
            x = vectors[:, columns]
            right = np.sum(x[a] * x[p], axis=1) > np.sum(x[a] * x[n], axis=1)
            assert metrics[space][dimension]["value"] == pytest.approx(right.mean())
            assert metrics[space][dimension]["count"] == 200
    a, p, n = lists["track_triplets"].T
    x = np.concatenate([toy_answer(excerpts(i))[0] for i in range(6)]).astype(np.float64)
    right = np.sum(x[a] * x[p], axis=1) > np.sum(x[a] * x[n], axis=1)
    assert metrics["track"]["value"] == pytest.approx(right.mean())


def test_saved_triplets_are_used_again(toy, store, tmp_path):
    file = tmp_path / "lists.npz"
    first = evaluate(toy, store, "triplets", triplet_file=file)
    content = file.read_bytes()
    again = evaluate(toy, store, "triplets", triplet_file=file, settings=Settings(triplets_per_dimension=7, seed=9))
    assert again["models"] == first["models"]
    assert file.read_bytes() == content


def test_agreement_is_with_the_mean_of_teachers_over_excerpts(toy, store):
    (model,) = evaluate(toy, store, "agreement")["models"]
    scores = np.stack([toy_answer(excerpts(i))[1].mean(axis=0) for i in range(6)])
    expected = agreement.teacher_agreement(scores, mean_labels(store, "noise", "other"), TAGS)
    assert model["agreement"]["top_k_overlap"] == expected["top_k_overlap"]
    assert model["agreement"]["spearman"]["value"] == pytest.approx(expected["spearman"]["value"], abs=1e-3)
    (own,) = evaluate(toy, store, "agreement", ["self"])["models"]
    assert own["agreement"]["top_k_overlap"]["value"] == 5
    assert own["agreement"]["spearman"]["value"] == pytest.approx(1, abs=1e-3)


def test_artists_and_packages_are_retrieved(toy, store):
    """The nearest other track of each, by a loop."""
    about = [("Anna", "p"), ("Anna", "q"), ("Ben", "q"), ("Ben", "p"), ("", "r"), ("Anna", "")]
    tracks = [
        dataclasses.replace(track, artist=artist, package=package)
        for track, (artist, package) in zip(store.split("test"), about, strict=True)
    ]
    store = dataclasses.replace(store, tracks=(*tracks, *store.split("train")))
    (model,) = evaluate(toy, store, "artists")["models"]
    vectors = np.stack([whole(toy_answer(excerpts(i))[0]) for i in range(6)])
    near = np.argmax(vectors @ vectors.T - 2 * np.eye(6), axis=1)
    for task, column, queries in (("artist", 0, [0, 1, 2, 3, 5]), ("album", 1, [0, 1, 2, 3])):
        right = [about[i][column] == about[near[i]][column] for i in queries]
        assert model["artists"][task]["queries"] == len(queries)
        assert model["artists"][task]["precision_at_1"]["value"] == pytest.approx(np.mean(right))
    assert model["artists"]["artist, other albums"]["queries"] == 5


def test_a_data_set_without_artists_skips_their_task(toy, store):
    (model,) = evaluate(toy, store, "artists")["models"]
    assert "artist or package" in model["skipped"]["artists"]


def test_songs_are_compared_with_their_backings(toy, store):
    """Two songs with and without a singer: slope, and who is nearer, by loops."""
    names = ["song-a-1-sung", "song-a-1-backing", "song-b-1-sung", "song-b-1-backing"]
    tracks = store.split("test")
    renamed = [dataclasses.replace(track, id=name) for track, name in zip(tracks, names, strict=False)]
    for track, name in zip(tracks, names, strict=False):
        for folder in ("audio", "labels/noise"):
            path = next((store.root / folder).glob(f"{track.id}.*"))
            shutil.copy(path, path.with_name(name + path.suffix))
    renamed = [dataclasses.replace(track, audio=f"{track.id}{Path(track.audio).suffix}") for track in renamed]
    paired = dataclasses.replace(store, tracks=(*renamed, *store.split("train")))
    (model,) = evaluate(toy, paired, "voices", teachers=["noise"])["models"]
    found = model["voices"]
    assert found["pairs"] == 2
    vectors = np.stack([whole(toy_answer(excerpts(i))[0]) for i in range(4)])
    near = vectors @ vectors.T
    right = [near[i, j] > near[i, k] for i, j, k in ((0, 2, 3), (2, 0, 1), (1, 3, 2), (3, 1, 0))]
    assert found["nearer"]["all"]["value"] == pytest.approx(np.mean(right))
    assert "voices" in benchmark.default_tasks(paired, "test", ["noise"])
    assert "voices" not in benchmark.default_tasks(store, "test", ["noise"])
    assert "rendered_music" in evaluate(toy, store, "voices")["models"][0]["skipped"]["voices"]


def test_the_bootstrap_draws_packages_where_it_is_asked_to(toy, store):
    """One package: each sample is all tracks, so that the interval is the value. Values stay the same."""
    tracks = [dataclasses.replace(track, package="p") for track in store.split("test")]
    store = dataclasses.replace(store, tracks=(*tracks, *store.split("train")))
    by_track, by_package = (
        evaluate(toy, store, "tagging,retrieval,triplets,agreement", settings=dataclasses.replace(SMALL, resample=unit))
        for unit in ("track", "package")
    )
    assert by_package["settings"]["resample"] == "package"
    paths = [
        ("tagging", "roc_auc"), ("retrieval", "all", "recall", "1"), ("triplets", "whole", "overall"),
        ("triplets", "track"), ("agreement", "spearman"),
    ]  # fmt: skip
    for path in paths:
        a, b = by_track["models"][0], by_package["models"][0]
        for key in path:
            a, b = a[key], b[key]
        assert b["value"] == a["value"]
        assert b["interval"] == pytest.approx([b["value"]] * 2)
        assert a["interval"][0] < a["interval"][1]


def test_models_are_measured_on_the_same_tracks_and_one_that_fails_loses_no_other(toy, store, tmp_path, monkeypatch):
    broken = write_model(tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"no graph")
    failing = musiczoo.load(write_model(tmp_path / "failing", dataclasses.replace(CARD, name="failing")))

    def fail(*args, **kwargs):
        raise AudioError("no finite answer")

    monkeypatch.setattr(
        type(failing), "analyze", lambda self, *a, **k: (fail if self is failing else analyze)(self, *a, **k)
    )
    report = evaluate([broken, failing, toy], store, "tagging")
    assert [model["name"] for model in report["models"]] == ["toy"]
    assert [model["name"] for model in report["models_left_out"]] == ["broken", "failing"]
    assert "sha256" in report["models_left_out"][0]["reason"]
    assert report["models_left_out"][1]["reason"] == "no finite answer"
    with pytest.raises(AudioError, match="no finite answer"):
        evaluate(failing, store, "tagging")


analyze = musiczoo.Model.analyze


def test_a_model_with_other_tags_does_what_needs_none(toy, store, tmp_path):
    """A plain model that calls rock schlager has one space and no tags to judge, but vectors."""
    renamed = {"rock": "schlager"}
    card = dataclasses.replace(
        CARD,
        name="plain",
        tags=tuple(renamed.get(tag, tag) for tag in TAGS),
        dimensions={"all": tuple(renamed.get(tag, tag) for tag in TAGS)},
        thresholds={renamed.get(tag, tag): 0.5 for tag in TAGS},
        spaces={"all": (0, 256)},
    )
    plain = write_model(tmp_path / "plain", card)
    report = evaluate([plain, toy], store, "tagging,retrieval,triplets,time,agreement")
    other, same = report["models"]
    assert set(other["skipped"]) == {"tagging", "agreement", "time"}
    assert "lacks 1 of them (rock)" in other["skipped"]["tagging"]
    assert set(same["skipped"]) == {"time"}
    assert list(other["retrieval"]) == ["all"]
    assert list(other["retrieval_whole"]) == list(same["retrieval_whole"]) == list(DIMENSIONS)
    assert "sub-space" not in other["triplets"]


def test_tags_are_matched_by_name(toy, store, tmp_path):
    turned = write_model(tmp_path / "turned", dataclasses.replace(CARD, name="turned", tags=TAGS[::-1]))
    straight, reversed_ = evaluate([toy, turned], store, "tagging")["models"]
    scores = np.stack([toy_answer(excerpts(i))[1].mean(axis=0) for i in range(6)])
    positives = hard_tags.of_split(store, "test", ["noise", "other"])
    i = int(np.flatnonzero(positives.any(axis=0) & ~positives.all(axis=0))[0])
    for model, column in ((straight, i), (reversed_, 49 - i)):
        expected = roc_auc_score(positives[:, i], scores[:, column])
        assert model["tagging"]["tags"][TAGS[i]]["roc_auc"]["value"] == pytest.approx(expected)


def test_times_become_ratios(toy, store):
    times = {"toy": {"seconds_per_epoch": 3, "epochs_to_stop": 4}, "not asked for": {"seconds_per_epoch": 1}}
    for audio_file in (store.root / "audio").iterdir():
        audio_file.unlink()  # training time needs no audio
    (model,) = evaluate(toy, store, "time", times=times)["models"]
    assert model["time"] == {"seconds_per_epoch": 3, "epoch_ratio": 1, "epochs_to_stop": 4, "ratio": 1}


def test_human_triplets_are_excerpts_of_files(toy, store, tmp_path):
    path = write_audio(tmp_path / "clip.wav", music(SECONDS, seed=3), subtype="FLOAT")
    same, other = Clip(path, 3.0), Clip(store.root / "audio" / "song0.wav", 0.0)
    right, wrong = (same, Clip(path, 3.0), other), (same, other, Clip(path, 3.0))
    (model,) = evaluate(toy, store, "triplets", human=[right, right, wrong])["models"]
    assert model["triplets"]["dim_sim"]["value"] == pytest.approx(2 / 3)
    assert model["triplets"]["dim_sim"]["count"] == 3
    (model,) = evaluate(toy, store, "triplets", human=[(same, Clip(path, 60.0), other)])["models"]
    assert "starts in the file" in model["triplets"]["dim_sim_left_out"]
    assert model["triplets"]["whole"]["overall"]["count"] == 800


def test_annotations_are_taken_as_they_are(toy, store):
    wanted = np.zeros((6, 50), bool)
    wanted[:3, 0] = wanted[3:, 1] = True
    for i in range(6):
        write_npy(store.root / "labels" / "people" / f"song{i}.npy", np.tile(wanted[i], (2, 1)).astype(np.float32))
    report = evaluate(toy, store, "retrieval,agreement", ["people"])
    assert report["data"]["labels"] == "The tags are annotations (people)."
    assert {tag: n for tag, n in report["data"]["tag_counts"].items() if n} == {"rock": 3, "pop": 3}
    assert "--teacher" in report["models"][0]["skipped"]["agreement"]


def annotate(store, tags_of):
    """Write people's annotations: id -> tags; none of the others."""
    for track in store.tracks:
        row = np.isin(np.array(TAGS), tags_of.get(track.id, ())).astype(np.float32)
        write_npy(store.root / "labels" / "annotations" / f"{track.id}.npy", np.tile(row, (2, 1)))


def test_annotations_are_the_ground_truth_and_no_rule_changes_them(toy, store):
    """A track with twenty tags keeps them, though a teacher's scores give ten at most; one with none gets none."""
    annotate(store, {"song0": TAGS[:20], "song1": ("rock",), "song3": ("pop", "rock")})
    report = evaluate(toy, store, "tagging,retrieval", ["annotations"])
    expected = {tag: 1 for tag in TAGS[:20]} | {"rock": 3, "pop": 2}
    assert {tag: n for tag, n in report["data"]["tag_counts"].items() if n} == expected
    assert report["models"][0]["retrieval"]["all"]["queries"] == 3


def test_tracks_without_a_tag_are_measured_unless_they_are_dropped(toy, store):
    annotate(store, {"song0": ("rock",), "song2": ("pop",), "song3": ("pop", "rock"), "song5": ("rock",)})
    kept = evaluate(toy, store, "tagging,retrieval", ["annotations"])
    assert kept["data"]["tracks"] == 6
    assert kept["data"]["untagged"] == {"tracks": 2, "dropped": False}
    assert "Tracks without a tag are included: 2 tracks." in kept["data"]["labels"]
    assert kept["models"][0]["retrieval"]["all"]["queries"] == 4

    dropped = evaluate(
        toy, store, "tagging,retrieval", ["annotations"], settings=dataclasses.replace(SMALL, drop_untagged=True)
    )
    assert dropped["data"]["tracks"] == 4
    assert dropped["data"]["untagged"] == {"tracks": 2, "dropped": True}
    assert "Tracks without a tag are left out: 2 tracks." in dropped["data"]["labels"]
    assert dropped["data"]["tracks_left_out"] == []

    probabilities = np.array([toy_answer(excerpts(i))[1].mean(axis=0)[0] for i in range(6)])
    rock = np.array([1, 0, 0, 1, 0, 1])
    for report, rows in ((kept, range(6)), (dropped, (0, 2, 3, 5))):
        found = report["models"][0]["tagging"]["tags"]["rock"]["roc_auc"]["value"]
        assert found == pytest.approx(roc_auc_score(rock[list(rows)], probabilities[list(rows)]))


def test_if_no_track_has_a_tag_none_can_be_dropped(toy, store):
    annotate(store, {})
    with pytest.raises(DatasetError, match="tracks with a tag"):
        evaluate(toy, store, "tagging", ["annotations"], settings=dataclasses.replace(SMALL, drop_untagged=True))


def test_annotations_are_not_averaged_with_teachers(toy, store):
    annotate(store, {"song0": ("rock",)})
    with pytest.raises(InputError, match="Annotations cannot be averaged"):
        evaluate(toy, store, "tagging", ["annotations", "self"])


def test_tracks_that_fail_are_listed_and_the_others_measured(toy, store):
    (store.root / "audio" / "song1.wav").unlink()
    (store.root / "audio" / "song2.wav").write_bytes(b"no music")
    (store.root / "labels" / "self" / "song3.npy").unlink()
    write_npy(store.root / "labels" / "self" / "song4.npy", np.full((2, 50), np.nan, np.float32))
    write_npy(store.root / "labels" / "self" / "song5.npy", np.zeros((2, 49), np.float32))
    report = evaluate(toy, store, "tagging,retrieval,triplets,agreement", ["self"])
    reasons = {track["id"]: track["reason"] for track in report["data"]["tracks_left_out"]}
    assert set(reasons) == {f"song{i}" for i in range(1, 6)}
    assert report["data"]["tracks"] == report["models"][0]["agreement"]["tracks"] == 1
    assert "song3.npy" in reasons["song3"]
    assert "got 49" in reasons["song5"]
    assert "two tracks" in report["models"][0]["skipped"]["retrieval"]
    assert report["models"][0]["triplets"]["track"]["value"] is None


def test_without_any_label_or_audio_the_error_says_so(toy, store):
    with pytest.raises(DatasetError, match=r"got none of 6.*song0.*musiczoo data label --teacher absent"):
        evaluate(toy, store, "agreement", ["absent"])
    with pytest.raises(DatasetError, match="got none of 0"):
        evaluate(toy, store, "agreement", split="validation")
    for audio_file in (store.root / "audio").iterdir():
        audio_file.unlink()
    with pytest.raises(DatasetError, match=r"got none of 6.*song0"):
        evaluate(toy, store, "retrieval")


def test_wrong_calls_are_errors(toy, store):
    with pytest.raises(UnknownNameError, match="Did you mean 'test'"):
        evaluate(toy, store, "agreement", split="tests")
    with pytest.raises(UnknownNameError, match="Did you mean 'tagging'"):
        evaluate(toy, store, "taging")
    with pytest.raises(UnknownNameError, match="nowhere"):
        evaluate([toy, "nowhere"], store, "agreement")
    with pytest.raises(InputError, match="one or more teachers"):
        evaluate(toy, store, "agreement", [])
    with pytest.raises(InputError, match="one or more models"):
        evaluate([], store, "agreement")
    with pytest.raises(InputError, match="one or more tasks"):
        benchmark.evaluate([toy], store, ["self"], tasks=[], console=QUIET)


def test_a_track_is_decoded_once_for_all_models(toy, store, tmp_path, monkeypatch):
    other = write_model(tmp_path / "other", dataclasses.replace(CARD, name="other"))
    read, decoded = audio.read, []
    monkeypatch.setattr(audio, "read", lambda path, *rest: (decoded.append(path), read(path, *rest))[1])
    report = evaluate([toy, other], store, "tagging")
    assert len(report["models"]) == 2
    assert sorted(path.stem for path in decoded) == [f"song{i}" for i in range(6)]
    assert report["models"][0]["tagging"] == report["models"][1]["tagging"]
