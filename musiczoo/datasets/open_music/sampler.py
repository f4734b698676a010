"""A small part of open_music to try things on: 69 recordings, 3.1 hours, out of six packages of 200 MB in all.

`fetch` brings the music and a table of tags, in the form of `musiczoo.datasets.folder`; `prepare` makes of the same
music a data set to train on, split by package as in open_music. Whose music it is says ATTRIBUTION.md.
"""

import csv
import io
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from ...errors import DatasetError, InputError
from ..folder import TABLE
from ..prepared import Store, atomic
from . import loader
from .definition import DEFINITION, Recording, read_definition

GAMES = {
    "drascula-music": "Drascula",
    "fretsonfire-songs-muldjord": "Frets on Fire",
    "pushover-data": "Pushover",
    "singularity-music": "Singularity",
    "xmoto-data": "X-Moto",
    "zaz-data": "Zaz",
}
"""Package -> the game that its music is from."""

DIMENSION = "game"
"""Of the tags in the table."""

_FIFTHS = ("train", "train", "train", "validation", "test")
"""Splits of the table, over the recordings of a game: every tag is in all that it has enough recordings for."""


def fetch(out: Path | str, packages_dir: Path | str | None = None) -> Path:
    """Fetch the music, without TensorFlow: ``out/audio``, and ``out/tags.csv``, which says what game each is from.

    Does only what is missing, and needs nothing else if the music is there. A table that is there stays as it is.

    Args:
        out: Folder to fill.
        packages_dir: Folder with the .deb files; by default apt-get fetches them into ``out/packages``.

    Returns:
        The folder.

    Raises:
        DatasetError: If a Debian command is missing or fails, or a recording differs from the definition's.
    """
    out = Path(out)
    recordings = _recordings()
    (out / "audio").mkdir(parents=True, exist_ok=True)
    for recording, reason in loader.extract(recordings, out, packages_dir):
        if reason:
            raise DatasetError(f"{recording.id}: {reason}")
    columns = ("path", "tags", "split", "title", "artist", "licence")
    if not (out / TABLE).exists():
        _write(out / TABLE, [columns, *(_labelled(recording, i) for recording, i in _numbered(recordings))])
    return out


def prepare(
    out: Path | str,
    packages_dir: Path | str | None = None,
    console: Console | None = None,
    seconds: float | None = None,
) -> Store:
    """Make the music a data set to train on: see `musiczoo.datasets.open_music.prepare`.

    Args:
        out: Folder to fill; that of `fetch` will do.
        packages_dir: Folder with the .deb files; by default apt-get fetches them into ``out/packages``.
        console: Where progress and the summary go; standard error by default.
        seconds: Of each recording, from its start; by default all.

    Raises:
        InputError: If `seconds` is not above 0.
        DatasetError: If a Debian command is missing, or `out` holds another data set.
        MissingDependencyError: If the [train] extra is not installed.
    """
    out = Path(out)
    if seconds is not None and not seconds > 0:
        raise InputError(f"Expected seconds above 0, received {seconds!r}. Leave it out for whole recordings.")
    out.mkdir(parents=True, exist_ok=True)
    limit = seconds or float("inf")
    rows = [asdict(replace(recording, use_s=min(recording.use_s, limit))) for recording in _recordings()]
    _write(out / "definition.csv", [tuple(rows[0]), *(tuple(map(str, row.values())) for row in rows)])
    return loader.prepare(out, packages_dir, out / "definition.csv", console)


def _recordings() -> list[Recording]:
    return [recording for recording in read_definition(DEFINITION) if recording.package in GAMES]


def _numbered(recordings: list[Recording]) -> list[tuple[Recording, int]]:
    """Each recording with its number among those of its game."""
    seen = dict.fromkeys(GAMES, -1)
    numbered = []
    for recording in recordings:
        seen[recording.package] += 1
        numbered.append((recording, seen[recording.package]))
    return numbered


def _labelled(recording: Recording, number: int) -> tuple[str, ...]:
    tag = f"{DIMENSION}:{GAMES[recording.package]}"
    split = _FIFTHS[number % len(_FIFTHS)]
    return (f"audio/{recording.audio}", tag, split, recording.title, recording.artist, recording.licence)


def _write(path: Path, rows: list[tuple[str, ...]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with atomic(path) as file:
        file.write(text.getvalue().encode())
