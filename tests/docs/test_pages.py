"""README, the pages of Get started and Guides, and the examples of the command line: their code runs.

Each page runs from top to bottom in a separate folder (see `reader`). What a command prints is not compared: its own
tests do that. See docs/contributing/documentation.md.
"""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from blocks import blocks, needs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
COMMANDS = DOCS / "_site" / "commands"

PAGES = [ROOT / "README.md", *sorted((DOCS / "get-started").glob("*.md")), *sorted((DOCS / "guides").glob("*.md"))]

TRAINING = ("data-prepare", "data-check", "train", "export", "publish", "evaluate")
"""Examples of commands that build on each other, in that order; all others stand for themselves."""

ELSEWHERE = {DOCS / "guides" / "reproduce-the-paper.md": "tests/guides/test_reproduce_the_paper.py"}
"""Pages that have a separate test."""


def run(page: Path, names: dict[str, Any]) -> int:
    """Run the blocks of a page in the working folder; how many ran."""
    count = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.reason:
            continue
        if block.language == "python":
            exec(compile("\n" * block.line + block.code, where, "exec"), names)  # noqa: S102 - our own pages
        else:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.code],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=600,
            )
            assert done.returncode == 0, f"{where}: exit code {done.returncode}\n{block.code}\n{done.stdout}"
        count += 1
    return count


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(ROOT)), marks=[getattr(pytest.mark, mark) for mark in needs(page)])
        for page in PAGES
        if page not in ELSEWHERE
    ],
)
def test_page(page: Path, reader: Path) -> None:
    run(page, {"__name__": "__main__"})


@pytest.mark.parametrize("name", sorted({path.stem for path in COMMANDS.glob("*.md")} - set(TRAINING)))
def test_examples_of_a_command(name: str, reader: Path) -> None:
    run(COMMANDS / f"{name}.md", {})


@pytest.mark.train
def test_examples_of_training(reader: Path) -> None:
    for name in TRAINING:
        run(COMMANDS / f"{name}.md", {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_are_in_blocks_that_run(page: Path) -> None:
    outside = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in outside.splitlines() if line.startswith("    musiczoo ")] == []
