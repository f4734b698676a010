"""A report as GitHub-flavoured Markdown: the texts and tables of `sections`, without pictures."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .findings import Finding
from .sections import Section, lead, sections, title
from .tables import Cell, Table

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def render(report: Mapping[str, Any]) -> str:
    """The whole report."""
    blocks = [f"# {escape(title(report))}", escape(lead(report))]
    for section in sections(report):
        blocks += _section(section)
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """`text` such that Markdown shows it as it is, on one line."""
    one_line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", one_line)


def _section(section: Section) -> Iterator[str]:
    if not (section.tables or section.findings):
        return  # its text is about pictures
    yield f"## {escape(section.title)}"
    yield from map(escape, section.text)
    for finding in section.findings:
        yield from _finding(finding)
    for table in section.tables:
        yield escape(table.caption)
        yield _table(table)


def _finding(finding: Finding) -> Iterator[str]:
    yield f"### {escape(finding.claim)}"
    yield f"**{finding.verdict[0].upper()}{finding.verdict[1:]}.** Rule: {escape(finding.rule)}"
    if finding.comparisons:
        yield "\n".join(f"- {escape(str(comparison))}" for comparison in finding.comparisons)
    if finding.caveat:
        yield escape(finding.caveat)


def _table(table: Table) -> str:
    alignment = ["---" if i < table.headers else "---:" for i in range(len(table.columns))]
    rows = [map(escape, table.columns), alignment, *(map(_cell, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(cell: Cell) -> str:
    text = f"**{escape(cell.text)}**" if cell.best else escape(cell.text)
    return f"{text} ({cell.interval})" if cell.interval else text
