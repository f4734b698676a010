"""Index with a toy model, and count."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import kills
from toy import CARD

import musiczoo
from musiczoo.library.database import Database, Facts
from musiczoo.library.indexing import IndexReport, index
from musiczoo.track import Track

FACTS = Facts.of(CARD, excerpts=3)


class Counting:
    """A model that counts what it hears."""

    def __init__(self, model: musiczoo.Model) -> None:
        self.card = model.card
        self.heard: list[str] = []
        self._model = model

    def analyze(self, path: str, **options: Any) -> Track:
        self.heard.append(os.path.basename(path))
        return self._model.analyze(path, **options)


def counts(report: IndexReport) -> dict[str, int]:
    """What is not zero."""
    values = dataclasses.asdict(report)
    del values["seconds"]
    return {name: count for name, count in values.items() if count}


def run(database: Database, model: Any, *folders: Path, **options: Any) -> dict[str, int]:
    return counts(index(database, model, folders, progress=False, **options))


def fresh(tmp_path: Path, model: Any, *folders: Path) -> dict[str, Any]:
    """The content of a library that is made now."""
    path = tmp_path / "fresh.db"
    path.unlink(missing_ok=True)
    with Database.create(path, FACTS) as database:
        run(database, model, *folders)
    return kills.content(path)
