"""`musiczoo evaluate`."""

import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from toy import CARD, music, write_audio, write_model

from musiczoo._files import write_npy
from musiczoo.datasets.prepared import Store, TrackEntry
from musiczoo.evaluation.report.render import _template

SMALL = ("--tasks", "retrieval,agreement")


@pytest.fixture
def data(toy_folder: Path, tmp_path: Path) -> Path:
    """A data set of three tracks per split that the toy model labelled."""
    folder = tmp_path / "data"
    (folder / "audio").mkdir(parents=True)
    tracks = []
    for i, split in enumerate(["test"] * 3 + ["train"] * 3):
        write_audio(folder / "audio" / f"{i}.wav", music(6, seed=i))
        tracks.append(TrackEntry(str(i), split, f"{i}.wav", 6.0, 0, "", "", "", "CC0", ""))
    Store(folder, "open_music", {}, tuple(tracks)).save()
    assert run("data", "label", folder, "--teacher", toy_folder).exit_code == 0
    return folder


def test_a_model_agrees_with_its_own_labels(toy_folder: Path, data: Path) -> None:
    """5 of its 5 highest tags are shared."""
    result = run("evaluate", "--data", data, "--models", toy_folder, "--tasks", "agreement")
    assert result.exit_code == 0, result.output
    row = next(line for line in result.stdout.splitlines() if "toy" in line and "│" in line)
    assert "5.000" in row
    assert "Agreement with teachers" in result.stdout
    assert "Retrieval" not in result.stdout
    assert "labels by toy" in " ".join(result.stdout.split())


def test_json_is_the_report_and_out_a_folder_with_it(toy_folder: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    result = run("evaluate", "--data", data, "--model", toy_folder, *SMALL, "--json", "--out", out)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["data"]["teachers"] == ["toy"]
    assert report["models"][0]["agreement"]["top_k_overlap"]["value"] == 5
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == report
    assert (out / "report.md").is_file()


def test_tracks_of_several_data_sets_are_one(toy_folder: Path, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(data, other)
    index = (other / "index.json").read_text(encoding="utf-8").replace('"open_music"', '"folder"')
    (other / "index.json").write_text(re.sub(r'"id": "(\d)"', r'"id": "other \1"', index), encoding="utf-8")
    for path in (other / "labels").rglob("*.npy"):
        path.rename(path.with_name(f"other {path.name}"))
    options = ("--model", toy_folder, *SMALL, "--json")
    one = json.loads(run("evaluate", "--data", data, *options).stdout)
    result = run("evaluate", "--data", data, "--data", other, *options)
    assert result.exit_code == 0, result.output
    both = json.loads(result.stdout)
    assert both["data"]["name"] == "open_music + folder"
    assert (one["data"]["tracks"], both["data"]["tracks"]) == (3, 6)
    assert both["models"][0]["retrieval"]["all"]["queries"] == 6
    # The same music: each track has a twin, with all of its tags, that is nearest.
    assert both["models"][0]["retrieval"]["all"]["recall"]["1"]["value"] == 1

    refused = run("evaluate", "--data", data, "--data", data, *options)
    assert refused.exit_code == 1
    assert "6 track ids are in two of the data sets" in refused.stderr


def test_without_the_page_s_library_json_and_markdown_are_written(
    toy_folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    _template.cache_clear()
    result = run("evaluate", "--data", data, "--model", toy_folder, *SMALL, "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["report.json", "report.md"]
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("warning:")]
    assert "pip install" in line


def test_a_failed_model_is_told_and_the_others_are_measured(toy_folder: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    for file in toy_folder.iterdir():
        (tmp_path / "broken" / file.name).write_bytes(file.read_bytes() if file.suffix == ".json" else b"")
    models = f"{tmp_path / 'broken'},{toy_folder}"
    result = run("evaluate", "--data", data, "--models", models, *SMALL, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [model["name"] for model in report["models"]] == ["toy"]
    assert "error: broken: " in result.stderr


def test_encoders_and_embeddings_are_measured_beside_models(toy_folder: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def level(waveforms):\n"
        "    return np.stack([np.abs(waveforms).mean(axis=1), waveforms.std(axis=1)], axis=1)\n"
        "level.sample_rate, level.excerpt_seconds = 8000, 3.0\n"
    )
    np.savez(tmp_path / "stored.npz", ids=np.array(list("012")), embeddings=np.eye(3, 4))
    (tmp_path / "people.csv").write_text("dimension,anchor,positive,negative\nmood,0,1,2\n")
    encoder, stored = f"{tmp_path / 'mine.py'}:level", tmp_path / "stored.npz"
    options = ("--tasks", "retrieval,triplets", "--encoder", encoder, "--embeddings", stored)
    out = tmp_path / "report"
    files = ("--triplets", tmp_path / "people.csv", "--out", out, "--json")
    result = run("evaluate", "--data", data, "--model", toy_folder, *options, *files)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [model["name"] for model in report["models"]] == ["toy", "level", "stored"]
    assert [model["triplets"]["whole"]["mood"]["count"] for model in report["models"]] == [1, 1, 1]
    assert "Expected 6 rows, one for each excerpt, got 3." in (out / "report.md").read_text(encoding="utf-8")
    refused = run("evaluate", "--data", data, "--encoder", "nothing:level")
    assert refused.exit_code == 1
    assert "FILE.py:NAME" in refused.stderr


def test_all_models_are_those_of_the_zoo(home: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musiczoo import registry
    from musiczoo.evaluation import benchmark

    asked: list[Any] = []

    def evaluate(*args: Any, **kwargs: Any) -> Any:
        asked.append(args)
        return evaluated(*args, **kwargs)

    evaluated = benchmark.evaluate
    monkeypatch.setattr(benchmark, "evaluate", evaluate)
    monkeypatch.setattr(registry, "list_models", lambda: ["toy"])
    result = run("evaluate", "--data", data, "--models", "all", "--tasks", "retrieval", MUSICZOO_HOME=str(home))
    assert result.exit_code == 0, result.output
    assert asked[0][0] == ["toy"]


def test_times_come_from_a_file_and_epochs_from_runs(toy_folder: Path, data: Path, tmp_path: Path) -> None:
    times, runs = tmp_path / "times.json", tmp_path / "runs"
    times.write_text('{"toy": {"seconds_per_epoch": 2.5}, "other": {"seconds_per_epoch": 1}}', encoding="utf-8")
    (runs / "toy").mkdir(parents=True)
    (runs / "toy" / "log.csv").write_text("epoch,loss\n1,0.5\n2,0.4\n3,0.3\n", encoding="utf-8")
    options = ("evaluate", "--data", data, "--model", toy_folder, "--tasks", "time", "--times", times, "--json")

    def epochs(*more: object) -> Any:
        result = run(*options, *more)
        assert result.exit_code == 0, result.output
        time = json.loads(result.stdout)["models"][0]["time"]
        assert (time["seconds_per_epoch"], time["epoch_ratio"]) == (2.5, 1)
        return time["epochs_to_stop"]

    assert epochs() is None
    assert epochs("--runs", runs) is None  # not finished
    (runs / "toy" / "result.json").write_text("{}", encoding="utf-8")
    assert epochs("--runs", runs) == 3


def test_tables_cut_no_figure_off_on_a_narrow_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    from musiczoo.cli.tables import print_report

    monkeypatch.setenv("COLUMNS", "80")
    figure = {"value": 0.1234, "interval": [0.1111, 0.2222], "count": 9}
    undefined = {"value": None, "interval": [None, None]}
    names = ("genre", "mood", "instrument", "era", "overall")
    model = {
        "name": "disentangled-classification-unnormalized",
        "retrieval": {"all": {"recall": {"1": figure, "8": undefined}, "hit_rate": {}, "queries": 3}},
        "triplets": {"whole": dict.fromkeys(names, figure), "track": figure, "dim_sim": figure},
        "time": {"seconds_per_epoch": 2.0, "epoch_ratio": 1.0, "epochs_to_stop": 12, "ratio": None},
        "agreement": {"spearman": figure, "top_k_overlap": figure | {"value": 3.5, "interval": [3.25, 3.75]}},
    }
    print_report({"data": {"name": "d", "split": "test", "tracks": 3, "teachers": ["t"]}, "models": [model]})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert text.count("0.123") == 1 + 5 + 2 + 1
    assert text.count(".11–.22") == 1 + 5 + 2 + 1
    assert "3.25–3.75" in text
    assert "…" not in text
    assert " 12 │" in text


@pytest.mark.parametrize("content", ["", "[]", '{"toy": 1}', '{"toy": {"seconds_per_epoch": 0}}'])
def test_times_that_are_none_are_one_line(content: str, toy_folder: Path, data: Path, tmp_path: Path) -> None:
    times = tmp_path / "times.json"
    times.write_text(content, encoding="utf-8")
    result = run("evaluate", "--data", data, "--model", toy_folder, "--tasks", "time", "--times", times)
    assert result.exit_code == 1
    assert "seconds_per_epoch" in result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("error:")] == [
        result.stderr.splitlines()[-1]
    ]


def test_time_without_the_training_stack_names_the_extra(
    toy_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("musiczoo.models")]:
        monkeypatch.delitem(sys.modules, name)
    result = run("evaluate", "--data", data, "--model", toy_folder, "--tasks", "time")
    assert result.exit_code == 1
    assert "musiczoo[train]" in result.stderr


def test_triplets_are_written_and_read(toy_folder: Path, data: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists.npz"
    options = ("evaluate", "--data", data, "--model", toy_folder, "--tasks", "triplets", "--triplets", lists)
    first = run(*options, "--json", "--seed", 3)
    assert first.exit_code == 0, first.output
    content = lists.read_bytes()
    again = run(*options, "--json", "--seed", 4)
    assert json.loads(again.stdout)["models"] == json.loads(first.stdout)["models"]
    assert lists.read_bytes() == content
    assert "sub-space" in run(*options).stdout


def test_people_s_triplets_are_judged_and_those_without_audio_told(
    toy_folder: Path, data: Path, tmp_path: Path
) -> None:
    """The first asks whether an excerpt is nearer to itself than to another; the second's audio is not there."""
    from musiczoo.datasets.dim_sim import COLUMNS

    def row(name: str, song: str) -> str:
        cells = {
            "triplet_id": name, "anchor_id": "TRA", "song1_id": song, "song2_id": "TRA",
            "song1_vote": 0, "song2_vote": 1, "sampling_rate": 22050,
            "clip_lengths_seconds": 3, "clip_lengths_samples": 66150,
        }  # fmt: skip
        return ",".join(str(cells.get(column, 0)) for column in COLUMNS)

    root, audio = tmp_path / "dim_sim", tmp_path / "previews"
    root.mkdir()
    audio.mkdir()
    text = "\n".join([",".join(COLUMNS), row("1", "TRB"), row("2", "TRC")])
    (root / "clean-dim-sim.csv").write_text(text + "\n", encoding="utf-8")
    for i, name in enumerate(("TRA", "TRB")):
        write_audio(tmp_path / "clip.wav", music(6, seed=i)).rename(audio / f"{name}.mp3")
    options = ("--tasks", "triplets", "--dim-sim", root, "--dim-sim-audio", audio, "--json")
    result = run("evaluate", "--data", data, "--model", toy_folder, *options)
    assert result.exit_code == 0, result.output
    figure = json.loads(result.stdout)["models"][0]["triplets"]["dim_sim"]
    assert figure == {"value": 1, "interval": [1, 1], "count": 1}
    assert "1 of 2 triplets of dim-sim left out; the first: 2: no file" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "taging"], "Did you mean 'tagging'?"),
        (["--tasks", ","], "one or more tasks"),
        (["--models", ","], "one or more models"),
        (["--models", "nowhere"], "Unknown model 'nowhere'"),
        (["--split", "tests"], "Did you mean 'test'?"),
        (["--out", "{}/index.json"], "got the file"),
    ],
)
def test_wrong_calls_are_one_line(options: list[str], message: str, toy_folder: Path, data: Path) -> None:
    given = [option.format(data) for option in options]
    result = run("evaluate", "--data", data, *([] if "--models" in given else ["--models", toy_folder]), *given)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_labels_it_says_how_to_make_them(toy_folder: Path, tmp_path: Path) -> None:
    Store(tmp_path, "open_music", {}, ()).save()
    result = run("evaluate", "--data", tmp_path, "--model", toy_folder)
    assert result.exit_code == 1
    assert "musiczoo data label" in result.stderr


@pytest.fixture
def annotated(data: Path) -> Path:
    """The same with annotations by people: two test tracks with a tag, and one without."""
    from musiczoo.taxonomy import TAGS

    for i in range(6):
        row = np.isin(np.arange(len(TAGS)), () if i == 1 else (i % 2, 7)).astype(np.float32)
        write_npy(data / "labels" / "annotations" / f"{i}.npy", np.tile(row, (2, 1)))
    return data


def test_by_annotations_no_agreement_is_asked_for(toy_folder: Path, annotated: Path) -> None:
    """By default, without a message."""
    result = run("evaluate", "--data", annotated, "--model", toy_folder, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["data"]["teachers"] == ["annotations"]
    assert report["models"][0]["skipped"] == {}
    assert "agreement" not in report["models"][0]
    assert "warning" not in result.stderr


def test_tracks_without_a_tag_are_dropped_if_asked(toy_folder: Path, annotated: Path) -> None:
    for options, tracks in (((), 3), (("--drop-untagged",), 2)):
        result = run("evaluate", "--data", annotated, "--model", toy_folder, "--tasks", "retrieval", "--json", *options)
        assert result.exit_code == 0, result.output
        data = json.loads(result.stdout)["data"]
        assert data["tracks"] == tracks
        assert data["untagged"] == {"tracks": 1, "dropped": bool(options)}


def test_a_folder_of_models_stands_for_those_in_it(data: Path, tmp_path: Path) -> None:
    """In the paper's order, then by name."""
    for name in ("zither", "proxy", "triplet", "accordion"):
        write_model(tmp_path / "models" / name, dataclasses.replace(CARD, name=name))
    result = run("evaluate", "--data", data, "--models", tmp_path / "models", "--tasks", "retrieval", "--json")
    assert result.exit_code == 0, result.output
    assert [m["name"] for m in json.loads(result.stdout)["models"]] == ["triplet", "proxy", "accordion", "zither"]


def test_times_come_from_the_runs_by_the_name_on_the_card(data: Path, tmp_path: Path) -> None:
    """The median of an epoch's seconds, of a model whose folder has another name."""
    folder = write_model(tmp_path / "elsewhere", dataclasses.replace(CARD, name="mine"))
    runs = tmp_path / "runs"
    (runs / "mine").mkdir(parents=True)
    (runs / "mine" / "times.csv").write_text("epoch,training_s,validation_s\n1,9.5,1\n2,2.5,1\n3,3.5,1\n")
    (runs / "mine" / "log.csv").write_text("epoch,loss\n1,0.5\n2,0.4\n3,0.3\n")
    (runs / "mine" / "result.json").write_text("{}")
    result = run("evaluate", "--data", data, "--model", folder, "--tasks", "time", "--runs", runs, "--json")
    assert result.exit_code == 0, result.output
    time = json.loads(result.stdout)["models"][0]["time"]
    assert (time["seconds_per_epoch"], time["epochs_to_stop"]) == (3.5, 3)


def test_many_tracks_left_out_are_counted(toy_folder: Path, data: Path, tmp_path: Path) -> None:
    """Five are named."""
    tracks = [TrackEntry(f"x{i}", "test", f"x{i}.wav", 6.0, 0, "", "", "", "CC0", "") for i in range(9)]
    store = Store.open(data)
    dataclasses.replace(store, tracks=(*store.tracks, *tracks)).save()
    result = run("evaluate", "--data", data, "--model", toy_folder, "--tasks", "retrieval")
    assert result.exit_code == 0, result.output
    warnings = [line.split(":")[1].strip() for line in result.stderr.splitlines() if line.startswith("warning: left")]
    assert warnings == [*(f"left out x{i}" for i in range(5)), "left out 4 more tracks"]
