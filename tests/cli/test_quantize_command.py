"""`musiczoo quantize` passes its options on."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from musiczoo.cli import ship
from musiczoo.datasets.prepared import Store
from musiczoo.export import quantize as int8


@pytest.mark.parametrize(("options", "teachers"), [([], ["annotations"]), (["--teacher", "noise"], ["noise"])])
def test_quantize_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], teachers: list[str]
) -> None:
    for name in ("annotations", "noise"):
        (tmp_path / "labels" / name).mkdir(parents=True)
    Store(tmp_path, "folder", {}, ()).save()
    calls: list[Any] = []

    def quantize(*arguments: Any) -> dict[str, float]:
        calls.append(arguments)
        return {"cosine": 0.9995}

    monkeypatch.setattr(int8, "quantize", quantize)
    app = typer.Typer()
    app.callback()(lambda: None)
    ship.register(app)
    result = CliRunner().invoke(app, ["quantize", "toy", "--data", str(tmp_path), "--out", "there", *options])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == {"cosine": 0.9995}
    name, store, asked, out = calls[0]
    assert (name, store.root, asked, out) == ("toy", tmp_path, teachers, Path("there"))
