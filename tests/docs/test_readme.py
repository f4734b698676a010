"""README: short, with small pictures, and its table of models is that of the cards."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import musiczoo
from musiczoo.card import read_card
from musiczoo.registry import packaged_zoo

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

COLUMNS = {
    "R@1": ("retrieval.recall_at_1", 100, 1),
    "ROC-AUC": ("roc_auc", 1, 3),
    "Triplets, whole space": ("triplets.whole", 1, 3),
    "Triplets, sub-spaces": ("triplets.sub-space", 1, 3),
}
"""Column -> metric of the test split on the card, factor, and digits."""


def rows() -> dict[str, list[str]]:
    """Model -> its row; the first row, the headings, by the name "Model"."""
    table = README.split("<!-- table of models")[1].split("-->")[1].strip().split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table if not line.startswith("|---")]
    return {re.sub(r"\[`(.+)`\].*", r"\1", row[0]): row for row in cells}


def test_table_has_the_models_of_the_package() -> None:
    folders = {path.parent.name for path in packaged_zoo().glob("*/card.json")}
    assert set(rows()) - {"Model"} == folders
    assert rows()["Model"][2:] == list(COLUMNS)


@pytest.mark.parametrize("name", sorted(set(rows()) - {"Model"}))
def test_table_says_what_the_card_says(name: str) -> None:
    card = read_card(packaged_zoo() / name)
    summary, *values = rows()[name][1:]
    assert summary == card.summary
    for shown, (metric, factor, digits) in zip(values, COLUMNS.values(), strict=True):
        measured: Any = card.metrics["test"]
        for key in metric.split("."):
            measured = measured.get(key, {})
        assert shown == (f"{factor * measured['value']:.{digits}f}" if measured else "–")


def test_readme_is_short_and_its_pictures_are_small() -> None:
    assert len(README.splitlines()) < 150
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 3
    assert all((ROOT / picture).stat().st_size < 150_000 for picture in pictures)


def test_default_model_is_one_of_the_table() -> None:
    assert "`disentangled-classification` is the default" in README
    assert "disentangled-classification" in musiczoo.list_models()


def site(name: str) -> ModuleType:
    """A script of the site."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_site" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_site_has_the_same_table() -> None:
    pytest.importorskip("mkdocs")
    table = site("model_pages").table().splitlines()
    shown = {re.sub(r"\| \[`(.+)`\].*", r"\1", line): line.split("|")[2:] for line in table[2:]}
    assert shown == {name: [f" {cell} " for cell in row[1:]] + [""] for name, row in rows().items() if name != "Model"}
