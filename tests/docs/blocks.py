"""The code blocks of a page: ```sh and ```python, in order.

A block runs unless the line above it says why not: `<!-- not run: downloads 29 MB -->`. A page whose blocks need
TensorFlow, or a browser, says so on a separate line: `<!-- needs: train -->`. What a reader has done already, and the
page does not repeat, is in a comment: `<!-- before:` newline, commands, newline `-->`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"^<!-- before:\n(?P<before>.*?)^-->$"
    r"|(?:^<!-- not run: (?P<reason>.+?) -->\n+)?^```(?P<language>sh|python)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_NEEDS = re.compile(r"^<!-- needs: (\w+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Code of a page.

    Attributes:
        line: Where it starts.
        language: ``sh`` or ``python``.
        code: Its text.
        reason: Why it is not run; empty if it is.
    """

    line: int
    language: str
    code: str
    reason: str


def blocks(text: str) -> list[Block]:
    """All blocks of a page, those that are not run included."""
    return [
        Block(
            text.count("\n", 0, found.start()) + 1,
            found["language"] or "sh",
            found["code"] or found["before"] or "",
            found["reason"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def needs(page: Path) -> list[str]:
    """The marks of the page's test."""
    return _NEEDS.findall(page.read_text(encoding="utf-8"))
