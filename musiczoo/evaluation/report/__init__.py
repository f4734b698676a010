"""Write a report of `musiczoo evaluate`: report.json, report.md and report.html.

All numbers come from the report dict, except the paper's, which are in `published`. `sections` decides the order and
the tables; `render` makes Markdown and HTML of them, with `pictures`; `findings` decides from the metrics which of the
paper's findings hold.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musiczoo._files import atomic_file
from musiczoo.errors import InputError

from ..metrics.agreement import current_names
from . import render

FORMAT = 1
"""Format of the report dict."""


def write(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write a report as JSON, Markdown and one HTML page that needs no other file.

    Args:
        report: The result of `musiczoo.evaluation.benchmark.evaluate`. Tasks may be missing, numbers None.
        folder: Folder to write to; it is made if it does not exist, and files of an earlier report are replaced.

    Returns:
        The three files: report.json, report.md, report.html. JSON and Markdown are written even if the page fails.

    Raises:
        InputError: If the report has another format, or cannot be written as JSON (NaN, arrays).
        MissingDependencyError: If Jinja, which the page needs, is not installed.

    Example:
        >>> import tempfile
        >>> data = {"name": "mine", "split": "test", "tracks": 9, "teachers": ["annotations"]}
        >>> model = {"name": "proxy", "tagging": {"roc_auc": {"value": 0.93, "interval": [0.91, 0.95]}}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = write({"format": 1, "data": data, "models": [model]}, Path(folder))
        ...     [file.name for file in files]
        ['report.json', 'report.md', 'report.html']
    """
    text = _json(report)
    plain: dict[str, Any] = json.loads(text)  # as in the file: keys are strings, tuples are lists
    if plain.get("format") != FORMAT:
        raise InputError(
            f"Expected a report of format {FORMAT}, got {plain.get('format')!r}. Run `musiczoo evaluate` again."
        )
    for model in plain["models"]:
        if "agreement" in model:
            model["agreement"] = current_names(model["agreement"])
    files = [_write(folder / "report.json", text), _write(folder / "report.md", render.markdown(plain))]
    return [*files, _write(folder / "report.html", render.page(plain))]


def _json(report: Mapping[str, Any]) -> str:
    try:
        return json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Expected a report of plain dicts, lists, strings and finite numbers, got: {error}. "
            "Use None for undefined numbers, and .tolist() of arrays."
        ) from error


def _write(path: Path, text: str) -> Path:
    with atomic_file(path) as file:
        file.write(text.encode())
    return path
