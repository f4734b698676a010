"""Index with a toy model, and count."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import kills
from toy import CARD

import musiczoo
from musiczoo.library.database import Database, LibraryConfig
from musiczoo.library.indexing import IndexReport, index
from musiczoo.track import Track

CONFIG = LibraryConfig.from_card(CARD, excerpts=3)


class Counting:
    """A model that records which files it analyzes."""

    def __init__(self, model: musiczoo.Model) -> None:
        self.card = model.card
        self.analyzed: list[str] = []
        self._model = model

    def analyze(self, path: str, **options: Any) -> Track:
        self.analyzed.append(os.path.basename(path))
        return self._model.analyze(path, **options)


def counts(report: IndexReport) -> dict[str, int]:
    """Return the counts that are not zero."""
    values = dataclasses.asdict(report)
    del values["seconds"]
    return {name: count for name, count in values.items() if count}


def run(database: Database, model: Any, *folders: Path, **options: Any) -> dict[str, int]:
    return counts(index(database, model, folders, progress=False, **options))


def fresh(tmp_path: Path, model: Any, *folders: Path) -> dict[str, Any]:
    """Return the contents of a new library."""
    path = tmp_path / "fresh.db"
    path.unlink(missing_ok=True)
    with Database.create(path, CONFIG) as database:
        run(database, model, *folders)
    return kills.content(path)
