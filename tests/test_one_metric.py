"""One metric by one rule: the card, `musiczoo models`, the README and the results in the docs show the same numbers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import musiczoo
from musiczoo.card import ModelCard, read_card
from musiczoo.cli.tables import key_metric
from musiczoo.evaluation.report import published
from musiczoo.export.readme import readme
from musiczoo.registry import find

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "engineering" / "results.md"
PAPER = [model["name"] for model in published.models()]

COLUMNS = {
    "ROC-AUC": ("roc_auc", 3),
    "R@1": ("retrieval.recall_at_1", 1),
    "R@2": ("retrieval.recall_at_2", 1),
    "R@4": ("retrieval.recall_at_4", 1),
    "R@8": ("retrieval.recall_at_8", 1),
    "Triplets, whole space": ("triplets.whole", 3),
    "Triplets, sub-spaces": ("triplets.sub-space", 3),
    "Track triplets": ("triplets.track", 3),
    "Spearman": ("spearman", 3),
    "Teacher ROC-AUC": ("teacher_roc_auc", 3),
}
"""Heading of a column -> where the card has the metric of the test split, and decimals (one for percent)."""


def card_metrics(name: str) -> dict[str, Any]:
    """Metrics of the test split: ``retrieval.recall_at_1`` -> value."""

    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        found = {}
        for key, value in values.items():
            if isinstance(value, dict) and "value" in value:
                found[prefix + key] = value["value"]
            elif isinstance(value, dict):
                found |= flat(value, f"{prefix}{key}.")
        return found

    return flat(dict(read_card(find(name)).metrics["test"]))


def rows(text: str) -> list[dict[str, str]]:
    """The rows of all Markdown tables with a column "Model", as heading -> cell without markup."""
    found, header = [], []
    for line in re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).splitlines():  # links as their text
        cells = [re.sub(r"[*`]", "", cell).strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            header = []
        elif not header:
            header = cells
        elif header[0] == "Model" and not re.fullmatch(r"[-: |]+", line):
            found.append(dict(zip(header, cells, strict=True)))
    return found


def compare(row: dict[str, str], name: str) -> int:
    """Compare a table's row with the card; returns how many cells were compared."""
    known, compared = card_metrics(name), 0
    for heading, cell in row.items():
        if heading not in COLUMNS:
            continue
        key, decimals = COLUMNS[heading]
        if cell in ("–", "-", ""):
            assert key not in known, (name, heading)
            continue
        value = known[key] * (100 if decimals == 1 else 1)
        assert cell.split()[0] == f"{value:.{decimals}f}", (name, heading)
        compared += 1
    return compared


def test_the_readme_has_the_metrics_of_the_cards() -> None:
    tables = {row["Model"]: row for row in rows((ROOT / "README.md").read_text(encoding="utf-8")) if "ROC-AUC" in row}
    assert set(PAPER) <= set(tables)
    for name in PAPER:
        assert compare(tables[name], name) >= 1


def section(heading: str) -> str:
    """The part of the results below a heading."""
    return RESULTS.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_results_have_the_metrics_of_the_cards() -> None:
    """The default model has a row of the comparison with equal training, and one of its published weights."""
    found = [row for row in rows(section("The eight models, trained alike")) if "ROC-AUC" in row]
    tables = {row["Model"].removesuffix(", as published"): row for row in found}
    assert len(found) == len(PAPER) + 1
    for name in PAPER:
        assert compare(tables[name], name) >= 6


def test_the_second_comparison_has_the_metrics_of_its_report() -> None:
    report = (RESULTS.parent / "results" / "eight-models-rendered.md").read_text(encoding="utf-8")
    measured = {row["Model"]: row for row in rows(report.split("\nOurs: ")[1]) if "AUC" in row}
    found = [row for row in rows(section("The eight models again, on two data sets")) if "ROC-AUC" in row]
    assert {row["Model"] for row in found} == set(PAPER)
    for row in found:
        for ours, theirs in {"R@1": "R@1", "R@2": "R@2", "R@4": "R@4", "R@8": "R@8", "ROC-AUC": "AUC"}.items():
            assert row[ours] == measured[row["Model"]][theirs], (row["Model"], ours)


@pytest.mark.parametrize("name", PAPER)
def test_the_headline_is_the_roc_auc_of_tagging(name: str) -> None:
    card = read_card(find(name))
    assert key_metric(card) == ("test.roc_auc", card.metrics["test"]["roc_auc"]["value"])


def test_the_default_models_headline() -> None:
    default = read_card(find("disentangled-classification"))
    assert default.metrics["test"]["roc_auc"]["value"] == pytest.approx(0.945, abs=5e-4)
    assert default.metrics["test"]["teacher_roc_auc"]["value"] == pytest.approx(0.953, abs=5e-4)


@pytest.mark.parametrize("name", musiczoo.list_models())
def test_cards_and_their_pages_say_the_same(name: str) -> None:
    folder = find(name)
    assert (folder / "README.md").read_text(encoding="utf-8") == readme(read_card(folder))


def test_cards_of_before_are_read_under_todays_names() -> None:
    card = read_card(find("proxy"))
    metrics = {
        "test": {
            "roc_auc": {"value": 0.94, "interval": [0.9, 1]}, "spearman": 0.8, "tagging": {"roc_auc": 0.93},
            "tracks": 51,
        },
        "validation": {"loss": 0.1, "roc_auc": 0.95, "spearman": 0.84},
        "int8": {"roc_auc": {"float32": 0.9}},
        "published": {"roc_auc": 0.88},
    }  # fmt: skip
    text = card.to_json()
    old = ModelCard.from_json(json.dumps({**json.loads(text), "metrics": metrics}))
    assert list(old.metrics["test"].items()) == [
        ("roc_auc", 0.93), ("teacher_roc_auc", {"value": 0.94, "interval": [0.9, 1]}), ("spearman", 0.8),
        ("tracks", 51),
    ]  # fmt: skip
    assert old.metrics["validation"] == {"loss": 0.1, "teacher_roc_auc": 0.95, "spearman": 0.84}
    assert (old.metrics["int8"], old.metrics["published"]) == (metrics["int8"], metrics["published"])
    assert ModelCard.from_json(text) == card
