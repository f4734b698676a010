"""What a notebook shows: players, tags, hits and pages.

Each function returns an object that Jupyter and Colab display. Names of files and songs become text, never markup.
They stand for themselves: a notebook that is passed on still plays and shows them.
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
    """A piece of a page, which notebooks show.

    Attributes:
        text: The markup.
    """

    text: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.text


def player(song: str | os.PathLike[str], seconds: float = 20.0) -> Html:
    """A player for the beginning of a song; the sound is in the notebook, so keep it short.

    Raises:
        InputError: If there is nothing to play.
        AudioError: If it cannot be decoded.
        AudioNotFoundError: If there is no such file.
    """
    return Html(_player(song, seconds))


def players(songs: Iterable[str | os.PathLike[str]], seconds: float = 10.0) -> Html:
    """Songs under each other, each with its name and a player; raises what `player` does."""
    return Html(_table([_player(song, seconds), escape(Path(song).name)] for song in songs))


def tags(track: "Track", top: int = 4) -> Html:
    """A song's likeliest tags by dimension, as bars; bold are those that reach their threshold."""
    applying = {tag.name for tag in track.tags.above_threshold()}
    columns = []
    found = track.tags.by_dimension()
    for dimension, colour in zip(found, _repeated(found), strict=True):
        rows = _table(_tag(tag, tag.name in applying, colour) for tag in found[dimension][:top])
        columns.append(f'<div style="flex:1 1 16em"><b>{escape(dimension)}</b>{rows}</div>')
    return Html(f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(columns)}</div>')


def hits(found: "Sequence[Hit]", seconds: float = 10.0) -> Html:
    """What a search found: a player, the song, how near it is in each dimension (cosine), and the shared tags.

    Raises what `player` does.
    """
    if not found:
        return Html("<p>Nothing was found.</p>")
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
    """A page that musiczoo wrote, such as a map or a report, inside the notebook.

    Raises:
        InputError: If there is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a page of HTML at {os.fspath(path)}, received {error}. Write it first.") from error
    style = f"width:100%;height:{height:d}px;border:1px solid #8886;border-radius:6px;background:#fff"
    return Html(f'<iframe srcdoc="{escape(text)}" style="{style}" title="{escape(Path(path).name)}"></iframe>')


def _player(song: str | os.PathLike[str], seconds: float) -> str:
    if not 0 < seconds < 3600:
        raise InputError(f"Expected up to an hour of sound, received {seconds!r} s. A player holds 20 s by default.")
    samples = audio.read(song, _RATE, seconds)
    file = io.BytesIO()
    soundfile.write(file, samples, _RATE, format="WAV", subtype="PCM_16")  # the one form that every browser plays
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="none" style="width:16em;height:2.2em" src="data:audio/wav;base64,{data}"></audio>'


def _tag(tag: "Tag", applies: bool, colour: str) -> list[str]:
    name = escape(tag.name)
    return [f"<b>{name}</b>" if applies else name, _bar(tag.probability, colour)]


def _bar(value: float, colour: str) -> str:
    """A value in -1 to 1, with a bar as long if it is positive."""
    bar = f'<span style="{_BAR}{colour};width:{4 * max(value, 0.0):.2f}em"></span>'
    return f'<span style="white-space:nowrap">{bar} {value:.2f}</span>'


def _repeated(names: Iterable[str]) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i, _ in enumerate(names)]


def _table(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> str:
    lines = [_line("th", map(escape, header))] if header else []
    return f"<table>{''.join([*lines, *(_line('td', row) for row in rows)])}</table>"


def _line(element: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f'<{element} style="{_CELL}">{cell}</{element}>' for cell in cells) + "</tr>"
