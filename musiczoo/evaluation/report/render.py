"""The forms of a report: GitHub-flavoured Markdown, and one HTML page that needs no other file and no network.

Both show the texts and tables of `sections`; the page adds `pictures`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from musiczoo.errors import MissingDependencyError

from .findings import Finding
from .pictures import pictures
from .sections import Section, lead, sections, title
from .tables import Cell, Table

if TYPE_CHECKING:
    import jinja2

TEMPLATE = "page.html.jinja"

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def page(report: Mapping[str, Any]) -> str:
    """Return the report as an HTML page.

    Raises:
        MissingDependencyError: If Jinja (extra [report]) is not installed.
    """
    try:
        template = _template()
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "The HTML page of a report needs Jinja, which is not installed. "
            "Install it with: pip install 'musiczoo[report]'"
        ) from error
    return template.render(
        title=title(report),
        lead=lead(report),
        sections=sections(report),
        pictures=pictures(report),
        drawing=Markup,  # svg.py escapes all text
    )


@cache
def _template() -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE)


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown, without pictures."""
    blocks = [f"# {escape_markdown(title(report))}", escape_markdown(lead(report))]
    for section in sections(report):
        blocks += _markdown_section(section)
    return "\n\n".join(blocks) + "\n"


def escape_markdown(text: str) -> str:
    """Return text on one line with all characters escaped that Markdown would interpret.

    Example:
        >>> escape_markdown("open_music\\n<b>")
        'open\\\\_music &lt;b>'
    """
    one_line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", one_line)


def _markdown_section(section: Section) -> Iterator[str]:
    if not (section.tables or section.findings):
        return  # its text describes pictures
    yield f"## {escape_markdown(section.title)}"
    yield from map(escape_markdown, section.text)
    for finding in section.findings:
        yield from _markdown_finding(finding)
    for table in section.tables:
        yield escape_markdown(table.caption)
        yield _markdown_table(table)


def _markdown_finding(finding: Finding) -> Iterator[str]:
    yield f"### {escape_markdown(finding.claim)}"
    yield f"**{finding.verdict[0].upper()}{finding.verdict[1:]}.** Rule: {escape_markdown(finding.rule)}"
    if finding.comparisons:
        yield "\n".join(f"- {escape_markdown(str(comparison))}" for comparison in finding.comparisons)
    if finding.caveat:
        yield escape_markdown(finding.caveat)


def _markdown_table(table: Table) -> str:
    alignment = ["---" if i < table.headers else "---:" for i in range(len(table.columns))]
    rows = [map(escape_markdown, table.columns), alignment, *(map(_markdown_cell, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _markdown_cell(cell: Cell) -> str:
    text = f"**{escape_markdown(cell.text)}**" if cell.best else escape_markdown(cell.text)
    return f"{text} ({cell.interval})" if cell.interval else text
