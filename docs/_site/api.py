"""The Python reference: the three rooms as one package, which is how mkdocstrings has to find them.

The pages are docs/reference/api/*.md. They name what they show, as `::: musiczoo.load`; a name that does not exist
fails the build.
"""

import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "build" / "docs" / "musiczoo"


def on_config(config: Any) -> Any:
    """Copy the Python files of musiczoo/, models/ and export/ together, and rebuild when they change.

    Copies, not links: griffe follows the link of ``__init__.py`` and then misses models/ and export/. And griffe knows
    the section "Examples" only; under "Example", doctests would be quotations.
    """
    shutil.rmtree(PACKAGE, ignore_errors=True)
    for source, target in (
        (ROOT / "musiczoo", PACKAGE),
        *((ROOT / room, PACKAGE / room) for room in ("models", "export")),
    ):
        for file in source.rglob("*.py"):
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8")
            copy.write_text(re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE), encoding="utf-8")
    config.watch += [str(ROOT / room) for room in ("musiczoo", "models", "export")]
    return config
