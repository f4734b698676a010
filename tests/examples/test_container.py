"""The Containerfile fits the package. Its steps run in chroots: .ci/container make."""

import json
import re
import tomllib
from pathlib import Path

from typer.main import get_command

from musiczoo.cli import app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "examples" / "container" / "Containerfile").read_text(encoding="utf-8")
STEPS = [line.split(" ", 1) for line in re.sub(r"\\\n", " ", TEXT).splitlines() if line and not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def values(name: str) -> list[str]:
    return [value for step, value in STEPS if step == name]


def test_what_is_copied_exists() -> None:
    copied = [source for value in values("COPY") if not value.startswith("--from") for source in value.split()[:-1]]
    assert {"pyproject.toml", "setup.cfg", "musiczoo", "models", "export", PROJECT["readme"]} <= set(copied)
    assert set(PROJECT["license-files"]) <= set(copied)
    assert all((ROOT / source).exists() for source in copied)


def test_its_extras_exist() -> None:
    (extras,) = values("ARG")
    name, _, listed = extras.partition("=")
    assert name == "EXTRAS"
    assert set(listed.split(",")) <= set(PROJECT["optional-dependencies"])


def test_it_runs_without_rights() -> None:
    assert values("USER") == ["1000:1000"]
    last = [step for step, _ in STEPS].index("USER")
    assert "RUN" not in [step for step, _ in STEPS[last:]]


def test_its_command_has_options_that_exist() -> None:
    assert json.loads(values("ENTRYPOINT")[0]) == ["musiczoo"]
    command, *arguments = json.loads(values("CMD")[0])
    known = {option for param in get_command(app).commands[command].params for option in param.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= known
