"""docs/guides/reproduce-the-paper.md: its commands, run on small copies of the data sets in the published formats.

Bash expands the commands of the page; each runs in this process. All that differs from the page is that training is
short (one epoch of small batches, by options), the encoder one convolution, where its depth does not matter, and that
the gate of the exports compares a few excerpts.
"""

import json
import re
import shlex
import subprocess
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import copies
import pytest
from command_line import run

from musiczoo.datasets.prepared import Store
from musiczoo.evaluation.report import published

pytestmark = pytest.mark.train

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "reproduce-the-paper.md"
SHORT = ("--width", "16", "--batch", "8", "--epochs", "1")
MODELS = [model["name"] for model in published.models()]

DATA = {
    "Million Song Dataset": ("msd", "msd"),
    "MagnaTagATune": ("magnatagatune", "magnatagatune"),
    "MTG-Jamendo": ("mtg-jamendo-dataset", "jamendo"),
}
"""Heading -> the copy's folder and the data set's name."""

SPACES = {
    "msd": {"genre": 64, "mood": 64, "instrument": 64, "era": 64},
    "magnatagatune": {"genre": 64, "instrument": 64, "voice": 64, "mood": 64},
    "jamendo": {"genre": 85, "instrument": 85, "mood/theme": 86},
}


def commands(heading: str) -> list[list[str]]:
    """The arguments of each call of musiczoo below a heading, as bash expands them."""
    section = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (block,) = [part for part in section if part.startswith(heading + "\n")]
    (script,) = re.findall(r"```sh\n(.*?)```", block, flags=re.DOTALL)
    told = 'set -eu\nmusiczoo() { printf "%q " "$@"; echo; }\n' + script
    output = subprocess.run(["bash", "-c", told], check=True, capture_output=True, text=True).stdout
    return [shlex.split(line) for line in output.splitlines()]


@pytest.mark.parametrize("heading", DATA)
def test_from_a_published_copy_to_the_papers_table(
    heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiny_run import eagerly, shallow

    from musiczoo.export import run as exporter
    from musiczoo.models import architectures

    folder, name = DATA[heading]
    getattr(copies, f"write_{name}")(tmp_path / folder)
    if name == "msd":
        copies.write_dim_sim(tmp_path / "dim-sim", tmp_path / "msd")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(architectures, "encode", shallow)
    monkeypatch.setattr(exporter, "validation_excerpts", partial(exporter.validation_excerpts, count=4))
    called = commands(heading)
    assert [arguments[0] for arguments in called] == ["data", *["train", "export", "publish"] * 8, "evaluate"]
    for arguments in called:
        trains = arguments[0] == "train"  # few steps, which are not traced
        with eagerly() if trains else nullcontext():
            result = run(*arguments, *(SHORT if trains else ()))
        assert result.exit_code == 0, (arguments, result.output)

    store = Store.open(f"data/{name}")
    assert store.failures == ()
    for model in MODELS:
        settings = json.loads(Path(f"runs/{name}/{model}/run.json").read_text())["recipe"]
        assert (settings["model"], settings["teachers"]) == (model, ["annotations"])
        assert (settings["learning_rate"], settings["schedule"], settings["start"]) == (0.005, "plateau", "")
        card = json.loads(Path(f"zoo/{name}/{model}/card.json").read_text())
        sizes = {space: stop - start for space, (start, stop) in card["spaces"].items()}
        assert sizes == (SPACES[name] if "disentangled" in model else {"all": 256})
    report = json.loads(Path(f"reports/{name}/report.json").read_text())
    _check_report(report, store)
    table = Path(f"reports/{name}/report.md").read_text(encoding="utf-8").split("The paper's table beside ours")[1]
    assert all(table.count(f"| {model} ") >= 2 for model in MODELS)  # the paper's and ours


def _check_report(report: dict[str, Any], store: Store) -> None:
    """All tasks of the paper, for all models, by what people said."""
    test = [track.id for track in store.split("test")]
    untagged = sum(not store.labels(track, ["annotations"]).any() for track in test)
    assert report["data"]["teachers"] == ["annotations"]
    assert report["data"]["tracks"] == len(test)
    assert report["data"]["untagged"] == {"tracks": untagged, "dropped": False}
    assert [model["name"] for model in report["models"]] == MODELS
    for model in report["models"]:
        assert model["skipped"] == {}
        assert model["retrieval"]["all"]["queries"] == len(test) - untagged
        recall = model["retrieval"]["all"]["recall"]
        assert 0 <= recall["1"]["value"] <= recall["2"]["value"] <= recall["4"]["value"] <= recall["8"]["value"] <= 1
        assert 0 <= model["tagging"]["roc_auc"]["value"] <= 1
        assert 0 <= model["tagging"]["average_precision"]["value"] <= 1
        assert set(model["triplets"]["whole"]) == {*store.dimensions, "overall"}
        assert ("sub-space" in model["triplets"]) == ("disentangled" in model["name"])
        assert model["triplets"]["whole"]["overall"]["count"] > 0
        assert model["triplets"]["track"]["count"] > 0
        assert ("dim_sim" in model["triplets"]) == (store.dataset == "msd")
        assert model["time"]["epochs_to_stop"] == 1
