"""What is killed: the building of a library, training, publishing. See `killing`."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import kills
from toy import CARD, write_model

from musiczoo.card import CARD_FILE
from musiczoo.errors import MusicZooError
from musiczoo.library import Library
from musiczoo.model import load

BROKEN = "BROKEN: "
"""Begins what `killing.Subject.left` says of a state that may not be."""


class Building:
    """Two dozen short tracks, a copy and three broken files into one library, with two workers."""

    def __init__(self, folder: Path) -> None:
        self.model, self.music = str(write_model(folder / "toy")), kills.write_music(folder / "music")

    def prepare(self, place: Path) -> None:
        place.mkdir()

    def run(self, place: Path) -> None:
        Library.build(self.model, self.music, path=place / "library.db", workers=2, excerpts=3, progress=False).close()

    def content(self, place: Path) -> Any:
        names = sorted(path.name for path in place.iterdir())
        return kills.content(place / "library.db") | {"files": names}

    def left(self, place: Path, undisturbed: Any) -> str:
        """No row may differ from that of an undisturbed run."""
        if not (place / "library.db").exists():
            return "nothing"
        try:
            found = kills.content(place / "library.db")
        except MusicZooError as error:
            return f"{BROKEN}{error}"
        if found["damage"] != [("ok",)]:
            return f"{BROKEN}{found['damage']}"
        for kind in ("tracks", "failures"):
            if strange := [row[0] for row in found[kind] if row not in undisturbed[kind]]:
                return f"{BROKEN}{kind} {strange}"
        return f"{len(found['tracks'])} of {len(undisturbed['tracks'])} tracks"


class Training:
    """Three epochs of four steps of a shallow network of width 16 on eleven tracks, and the calibration after them."""

    def __init__(self, folder: Path) -> None:
        import keras
        import tiny_run

        from musiczoo.models import architectures, trainer  # noqa: F401 - imported before the forks

        keras.config.disable_interactive_logging()
        architectures.encode = tiny_run.shallow
        self.data = tiny_run.write_store(folder / "data").root

    def prepare(self, place: Path) -> None:
        place.mkdir()

    def run(self, place: Path) -> None:
        import tiny_run
        from rich.console import Console

        from musiczoo.models import trainer

        trainer.train(tiny_run.RECIPE, self.data, place / "run", Console(quiet=True))

    def content(self, place: Path) -> Any:
        """All bytes, but those of the seconds and of the picture's and the archives' dates."""
        import tiny_run

        whole: dict[str, Any] = {path.name: path.read_bytes() for path in (place / "run").iterdir()}
        for name in ("checkpoint.npz", "best.npz"):
            arrays = tiny_run.arrays(place / "run" / name)
            whole[name] = {key: array.tobytes() for key, array in arrays.items()}
        return whole | {"times.csv": len((place / "run" / "times.csv").read_text().splitlines())}

    def left(self, place: Path, undisturbed: Any) -> str:
        """What is there under its name is whole."""
        import tiny_run

        run, epochs = place / "run", 0
        try:
            if (run / "log.csv").exists():
                text = (run / "log.csv").read_bytes()
                if not undisturbed["log.csv"].startswith(text):
                    return f"{BROKEN}log.csv {text!r}"
                epochs = len(text.splitlines()) - 1
            for name in ("checkpoint.npz", "best.npz"):
                if (run / name).exists():
                    tiny_run.arrays(run / name)
            for name in ("run.json", "result.json"):
                if (run / name).exists():
                    json.loads((run / name).read_text())
        except (OSError, ValueError) as error:
            return f"{BROKEN}{error}"
        return f"{epochs} of 3 epochs"


class Publishing:
    """The second version of a model over the first."""

    def __init__(self, folder: Path) -> None:
        self.exports = {
            version: write_model(folder / version, dataclasses.replace(CARD, version=version)) for version in ("1", "2")
        }
        self._first = folder / "zoo"
        self._publish("1", self._first)

    def prepare(self, place: Path) -> None:
        place.mkdir()
        shutil.copytree(self._first, place / "zoo")

    def run(self, place: Path) -> None:
        self._publish("2", place / "zoo")

    def content(self, place: Path) -> Any:
        """Every file of the zoo."""
        zoo = place / "zoo"
        return {str(path.relative_to(zoo)): path.is_file() and path.read_bytes() for path in zoo.rglob("*")}

    def left(self, place: Path, undisturbed: Any) -> str:
        """The model loads, whole."""
        try:
            version = load(place / "zoo" / CARD.name).card.version
        except MusicZooError as error:
            return f"{BROKEN}{error}"
        cards = len(list((place / "zoo").glob(f"*/{CARD_FILE}")))
        return f"version {version}" if cards == 1 else f"{BROKEN}{cards} models"

    def _publish(self, version: str, zoo: Path) -> None:
        from musiczoo.export.publish import publish

        publish(self.exports[version], zoo)


SUBJECTS = {"library": Building, "training": Training, "publishing": Publishing}
