"""`musiczoo data`."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import plain, records, run
from toy import music, write_audio

from musiczoo.cli import data as data_command
from musiczoo.datasets.catalogue import CATALOGUE, CHECKED, cite
from musiczoo.datasets.prepare import FrontEnd
from musiczoo.datasets.prepared import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of two songs and a table of tags."""
    for i, name in enumerate(("one.wav", "two.wav")):
        write_audio(tmp_path / name, music(1, seed=i))
    (tmp_path / "tags.csv").write_text("path,tags,split\none.wav,sad;slow,train\ntwo.wav,sad,validation\n")
    return tmp_path


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the log-mel, which needs TensorFlow."""
    front_end = FrontEnd({"sample_rate": 22050, "n_mels": 1}, lambda samples: samples[::512, None].astype(np.float16))
    monkeypatch.setattr(data_command, "_front_end", lambda: front_end)


def test_a_folder_is_prepared(root: Path, tmp_path: Path) -> None:
    result = run("data", "prepare", "folder", "--root", root, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    store = Store.open(tmp_path / "out")
    assert (store.dataset, store.tags, len(store.tracks)) == ("folder", ("sad", "slow"), 2)
    result = run("data", "prepare", "folder", "--root", root, "--out", tmp_path / "copies", "--copy")
    assert result.exit_code == 0, result.output
    assert not any(path.is_symlink() for path in (tmp_path / "copies" / "audio").iterdir())


def test_nothing_that_can_be_prepared_is_a_failure(root: Path, tmp_path: Path) -> None:
    for path in root.glob("*.wav"):
        path.unlink()
    assert run("data", "prepare", "folder", "--root", root, "--out", tmp_path / "out").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flder", "--root", "{}"], "Unknown data set 'flder'. Did you mean 'folder'?"),
        (["folder"], "folder needs --root DIR"),
        (["folder", "--root", "{}", "--packages-dir", "{}"], "no --packages-dir"),
        (["folder", "--root", "{}", "--subset", "genre"], "folder does not take subset. It takes labels."),
        (["open_music", "--root", "{}"], "open_music takes only --out and --packages-dir"),
        (["open_music", "--fold", "1"], "open_music takes only --out and --packages-dir"),
        (["dim_sim", "--root", "{}"], "Unknown data set 'dim_sim'"),
        (["fma", "--root", "{}", "--subset", "smal"], "Unknown subset 'smal'. Did you mean 'small'?"),
        (["gtzan", "--root", "{}", "--tags", "genres"], "gtzan does not take tags. It takes audio."),
        (["jamendo", "--root", "{}", "--fold", "9"], "Expected a fold from 0 to 4, got 9"),
        (["msd", "--root", "{}"], "50tagList.txt"),
    ],
)
def test_wrong_calls_say_what_to_do(root: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    filled = [argument.format(root) for argument in arguments]
    result = run("data", "prepare", *filled, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_copy_with_gaps_is_described(root: Path) -> None:
    (root / "two.wav").unlink()
    result = run("data", "check", "folder", "--root", root)
    assert result.exit_code == 1
    assert "1 train, 1 validation, 0 test, 2 all" in result.stdout
    assert "expected a file for each track; 1 exception:" in result.stdout
    assert "two.wav" in result.stdout
    report = json.loads(run("data", "check", "folder", "--root", root, "--quick", "--json").stdout)
    assert (report["good"], report["dataset"], report["root"]) == (False, "folder", str(root))
    assert [problem["count"] for problem in report["problems"]] == [1, 1]


def test_a_good_copy_passes(root: Path) -> None:
    table = root / "tags.csv"
    write_audio(root / "three.wav", music(1))
    table.write_text(table.read_text() + "three.wav,slow,test\n")
    result = run("data", "check", "folder", "--root", root)
    assert result.exit_code == 0, result.output
    assert "Nothing is missing" in result.stdout


@pytest.mark.parametrize("name", CHECKED)
def test_an_empty_folder_says_what_to_fetch(name: str, tmp_path: Path) -> None:
    result = run("data", "check", name, "--root", tmp_path)
    assert result.exit_code == 1
    remedy = {
        "folder": "Correct the table", "msd": "Lee and Nam", "open_music": "data prepare open_music",
        "gtzan": "Tzanetakis and Cook", "tagging_lists": "sota-music-tagging-models",
    }  # fmt: skip
    assert remedy.get(name, "et al.") in result.stdout


def test_check_takes_only_what_the_data_set_has(root: Path) -> None:
    result = run("data", "check", "folder", "--root", root, "--version", "raw")
    assert result.exit_code == 1
    assert "folder does not take version. It takes labels, quick." in result.stderr


def test_the_data_sets_are_listed() -> None:
    text = plain(run("data", "list").stdout)
    assert all(name in text for name in CATALOGUE)
    assert "musiczoo data cite NAME" in text
    found = {record["name"]: record for record in records(run("data", "list", "--json"))}
    assert found.keys() == CATALOGUE.keys()
    assert found["fma"]["bibtex"] == list(CATALOGUE["fma"].bibtex)


def test_what_to_cite_is_printed() -> None:
    assert run("data", "cite", "fma").stdout == cite("fma") + "\n"
    result = run("data", "cite", "folder")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing to cite" in result.stderr
    assert "Did you mean 'fma'?" in run("data", "cite", "fmaa").stderr
