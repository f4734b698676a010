"""Call the command line as a user does."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from musiczoo.cli import app

Song = Callable[..., Path]


def run(*args: object, **env: str) -> Any:
    return CliRunner(env={"COLUMNS": "120", **env}).invoke(app, [str(arg) for arg in args])


def records(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def plain(text: str) -> str:
    """Help text without the frame and the line breaks that a narrow terminal makes."""
    return " ".join(re.sub(r"[│╭╮╰╯─]|\x1b\[[0-9;]*m", " ", text).split())
