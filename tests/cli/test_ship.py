"""`musiczoo models` and `publish`."""

from pathlib import Path

import pytest
from command_line import records, run

import musiczoo
from musiczoo import taxonomy
from musiczoo.registry import HOME_VARIABLE


def test_models_lists_what_loads(home: Path) -> None:
    got = records(run("models", "--json", **{HOME_VARIABLE: str(home)}))
    assert [record["name"] for record in got] == sorted({"toy", *musiczoo.list_models()})
    toy = next(record for record in got if record["name"] == "toy")
    assert list(toy) == ["name", "version", "licence", "parameters", "spaces", "metric", "path"]
    assert toy["spaces"] == list(taxonomy.DIMENSIONS)
    assert toy["path"] == str(home / "zoo" / "toy")
    table = run("models", **{HOME_VARIABLE: str(home)})
    assert table.exit_code == 0
    assert str(home / "zoo" / "toy") in table.stdout


def test_models_survives_a_broken_card(home: Path) -> None:
    (home / "zoo" / "broken").mkdir()
    (home / "zoo" / "broken" / "card.json").write_text("{")
    result = run("models", "--json", **{HOME_VARIABLE: str(home)})
    assert result.exit_code == 1
    got = {record["name"]: record for record in records(result)}
    assert set(got["broken"]) == {"name", "error"}
    assert got["toy"]["licence"] == "MIT"
    assert run("models", **{HOME_VARIABLE: str(home)}).stderr.startswith("error: ")


def test_published_model_loads_by_name(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    result = run("publish", toy_folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "zoo" / "toy")
    assert musiczoo.load("toy").card.name == "toy"
