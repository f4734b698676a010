"""The Python reference: the three rooms as one package, which is how mkdocstrings has to find them.

The pages are docs/reference/api/*.md. They name what they show, as `::: musiczoo.load`; a name that does not exist
fails the build.
"""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "build" / "docs" / "musiczoo"


def on_config(config: Any) -> Any:
    """Link musiczoo/, models/ and export/ together, and rebuild when they change."""
    PACKAGE.mkdir(parents=True, exist_ok=True)
    for link in PACKAGE.iterdir():
        link.unlink()
    for source in [*(ROOT / "musiczoo").iterdir(), ROOT / "models", ROOT / "export"]:
        if source.name != "__pycache__":
            (PACKAGE / source.name).symlink_to(source)
    config.watch += [str(ROOT / room) for room in ("musiczoo", "models", "export")]
    return config
