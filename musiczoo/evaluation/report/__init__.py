"""A report of `musiczoo evaluate`, written: report.json, report.md and report.html.

The dict of the report is the one home of all figures. `sections` says in which order and in which tables they
appear; `markdown` and `page` only give them their form, and `page` adds `pictures`. `findings` decides from the
figures which of the paper's findings hold. No module holds a figure of its own except `published`, the paper's.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musiczoo.datasets.prepared import atomic
from musiczoo.errors import InputError

FORMAT = 1
"""Number of the report dict's format."""


def write(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a report as JSON, Markdown and one HTML page that needs no other file.

    Args:
        report: What the tasks measured; see `musiczoo.evaluation.benchmark`. Tasks may be absent, numbers None.
        folder: Is made if it does not exist; files of an earlier report are replaced.

    Returns:
        The three files: report.json, report.md, report.html. JSON and Markdown are there even if the page fails.

    Raises:
        InputError: If the report is of another format, or does not fit into JSON (NaN, arrays).
        MissingDependencyError: If Jinja, which the page needs, is not installed.
    """
    from . import markdown

    text = _json(report)
    plain: dict[str, Any] = json.loads(text)  # as a reader of the file sees it: keys are strings, tuples are lists
    if plain.get("format") != FORMAT:
        raise InputError(
            f"Expected a report of format {FORMAT}, received {plain.get('format')!r}. "
            "Make it anew with: musiczoo evaluate"
        )
    files = [_write(folder / "report.json", text), _write(folder / "report.md", markdown.render(plain))]

    from . import page  # only now: without Jinja, the two files above are written all the same

    return [*files, _write(folder / "report.html", page.render(plain))]


def _json(report: Mapping[str, Any]) -> str:
    try:
        return json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Expected a report of plain dicts, lists, strings and finite numbers, received one that holds: {error}. "
            "Write None for a number that is not defined, and .tolist() of an array."
        ) from error


def _write(path: Path, text: str) -> Path:
    with atomic(path) as file:
        file.write(text.encode())
    return path
