"""What takes long to make is kept in the folder ``build`` for the next run of the tests."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def folder(name: str, *rule: object) -> Path:
    """Return the folder for what `rule` makes: another rule has another folder."""
    return ROOT / "build" / f"{name}-{hashlib.sha256(repr(rule).encode()).hexdigest()[:12]}"
