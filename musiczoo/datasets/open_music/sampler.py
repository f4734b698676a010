"""A small part of open_music for trying things out: 69 recordings, 3.1 hours, from six packages of 200 MB in total.

`fetch` downloads the music and writes a table of tags in the form of `musiczoo.datasets.folder`. `prepare` makes a data
set for training from the same music, split by package as in open_music. ATTRIBUTION.md names the authors.
"""

import csv
import io
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from ..._files import atomic_file
from ...errors import DatasetError, InputError
from ..folder import TABLE
from ..prepare import FrontEnd
from ..prepared import Store
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
"""Package -> game."""

DIMENSION = "game"
"""Dimension of the tags in the table."""

_FIFTHS = ("train", "train", "train", "validation", "test")
"""Splits of the recordings of a game in turn, so that each tag is in all splits if it has enough recordings."""


def fetch(out: Path | str, packages_dir: Path | str | None = None) -> Path:
    """Download the music into ``out/audio``, and write ``out/tags.csv`` with the game of each recording.

    Only missing files are written; an existing table is kept. This does not need TensorFlow.

    Args:
        out: Folder to fill.
        packages_dir: Folder with the .deb files; by default apt-get downloads them into ``out/packages``.

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
    front_end: FrontEnd,
    packages_dir: Path | str | None = None,
    console: Console | None = None,
    seconds: float | None = None,
) -> Store:
    """Prepare the music for training: see `musiczoo.datasets.open_music.prepare`.

    Args:
        out: Folder to fill; it may be that of `fetch`.
        front_end: Computes the log-mels; `musiczoo.models.frontend.data_front_end` makes that of the models.
        packages_dir: Folder with the .deb files; by default apt-get downloads them into ``out/packages``.
        console: Console for progress and the summary; standard error by default.
        seconds: Seconds to use of each recording, from its start; by default all.

    Raises:
        InputError: If `seconds` is not above 0.
        DatasetError: If a Debian command is missing, or `out` contains another data set.
    """
    out = Path(out)
    if seconds is not None and not seconds > 0:
        raise InputError(f"seconds must be above 0, got {seconds!r}. Leave it out to use whole recordings.")
    out.mkdir(parents=True, exist_ok=True)
    limit = seconds or float("inf")
    rows = [asdict(replace(recording, use_s=min(recording.use_s, limit))) for recording in _recordings()]
    _write(out / "definition.csv", [tuple(rows[0]), *(tuple(map(str, row.values())) for row in rows)])
    return loader.prepare(out, front_end, packages_dir, out / "definition.csv", console)


def _recordings() -> list[Recording]:
    return [recording for recording in read_definition(DEFINITION) if recording.package in GAMES]


def _numbered(recordings: list[Recording]) -> list[tuple[Recording, int]]:
    """Return each recording with its number among those of its game."""
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
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())
