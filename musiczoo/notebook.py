"""Show results in a notebook: players, tags, hits and pages.

Each function returns an object that Jupyter and Colab display. File names and titles are escaped. The objects are
self-contained: a notebook that you pass on still plays and shows them.
"""

import base64
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from . import audio
from .errors import InputError

if TYPE_CHECKING:
    from .library.search import Hit
    from .track import Tag, Track

_RATE = 22050
_BAR = "display:inline-block;height:.7em;border-radius:2px;background:"
_COLOURS = ("#7b6fd0", "#d0763c", "#2f9a8c", "#b5518f")
_CELL = "padding:3px 10px;text-align:left;vertical-align:middle"


@dataclass(frozen=True)
class Html:
    """HTML that notebooks display.

    Attributes:
        text: The HTML.
    """

    text: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.text


def player(song: str | os.PathLike[str], seconds: float = 20.0) -> Html:
    """Return a player for the beginning of a song.

    The audio is stored in the notebook, so keep it short.

    Args:
        song: An audio file.
        seconds: Seconds to play, up to an hour.

    Raises:
        InputError: If `seconds` is out of range.
        AudioError: If the file cannot be decoded.
        AudioNotFoundError: If there is no such file.

    Example:
        >>> from musiczoo import demo, notebook
        >>> notebook.player(demo.PATH, seconds=1).text[:22]
        '<audio controls preloa'
    """
    return Html(_player(song, seconds))


def players(songs: Iterable[str | os.PathLike[str]], seconds: float = 10.0) -> Html:
    """Return a table of songs with a player each; raises the same errors as `player`."""
    return Html(_table([_player(song, seconds), escape(Path(song).name)] for song in songs))


def tags(track: "Track", top: int = 4) -> Html:
    """Return the most probable tags of each dimension as bars, with predicted tags in bold.

    Args:
        track: Result of `Model.analyze`.
        top: Number of tags for each dimension.
    """
    predicted = {tag.name for tag in track.tags.above_threshold()}
    columns = []
    found = track.tags.by_dimension()
    for dimension, colour in zip(found, _repeated(found), strict=True):
        rows = _table(_tag(tag, tag.name in predicted, colour) for tag in found[dimension][:top])
        columns.append(f'<div style="flex:1 1 16em"><b>{escape(dimension)}</b>{rows}</div>')
    return Html(f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(columns)}</div>')


def hits(found: "Sequence[Hit]", seconds: float = 10.0) -> Html:
    """Return a table of search results: player, song, similarity in each dimension (cosine), and shared tags.

    Raises the same errors as `player`.
    """
    if not found:
        return Html("<p>No results.</p>")
    names = list(found[0].dimensions)
    header = ["", "song", "score", *names, "shared tags"]
    rows = [
        [
            _player(hit.path, seconds),
            escape(hit.title or Path(hit.path).stem),
            f"<b>{hit.score:.2f}</b>",
            *(_bar(hit.dimensions[name], colour) for name, colour in zip(names, _repeated(names), strict=True)),
            escape(", ".join(hit.shared_tags)),
        ]
        for hit in found
    ]
    return Html(_table(rows, header))


def page(path: str | os.PathLike[str], height: int = 640) -> Html:
    """Embed an HTML page that musiczoo wrote, such as a map or a report.

    Args:
        path: The HTML file.
        height: Height in pixels.

    Raises:
        InputError: If the file does not exist or is not text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"No such file: {os.fspath(path)!r}. Write it first.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected an HTML page at {os.fspath(path)!r}, got {error}. Write it first.") from error
    style = f"width:100%;height:{height:d}px;border:1px solid #8886;border-radius:6px;background:#fff"
    return Html(f'<iframe srcdoc="{escape(text)}" style="{style}" title="{escape(Path(path).name)}"></iframe>')


def _player(song: str | os.PathLike[str], seconds: float) -> str:
    if not 0 < seconds < 3600:
        raise InputError(f"seconds must be positive and up to an hour, got {seconds!r}.")
    samples = audio.read(song, _RATE, seconds)
    file = io.BytesIO()
    soundfile.write(file, samples, _RATE, format="WAV", subtype="PCM_16")  # the format that every browser plays
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="none" style="width:16em;height:2.2em" src="data:audio/wav;base64,{data}"></audio>'


def _tag(tag: "Tag", predicted: bool, colour: str) -> list[str]:
    name = escape(tag.name)
    return [f"<b>{name}</b>" if predicted else name, _bar(tag.probability, colour)]


def _bar(value: float, colour: str) -> str:
    """Return a value from -1 to 1 with a bar, whose length is 0 for negative values."""
    bar = f'<span style="{_BAR}{colour};width:{4 * max(value, 0.0):.2f}em"></span>'
    return f'<span style="white-space:nowrap">{bar} {value:.2f}</span>'


def _repeated(names: Iterable[str]) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i, _ in enumerate(names)]


def _table(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> str:
    lines = [_line("th", map(escape, header))] if header else []
    return f"<table>{''.join([*lines, *(_line('td', row) for row in rows)])}</table>"


def _line(element: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f'<{element} style="{_CELL}">{cell}</{element}>' for cell in cells) + "</tr>"
