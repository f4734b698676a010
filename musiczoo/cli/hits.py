"""The table of `musiczoo search`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .printable import printable

if TYPE_CHECKING:
    from ..library.search import Hit

_TAGS = 5
"""Shared tags shown."""
_DUPLICATES = 5
"""Files of the same recording shown."""
_CAPTION = "per dimension: the cosine, and how much of the library is as near"


def print_hits(hits: "Sequence[Hit]") -> None:
    """Print `hit_table`."""
    Console().print(hit_table(hits))


def hit_table(hits: "Sequence[Hit]") -> Table:
    """A row a hit: rank, score, cosines and how rare they are, name, shared tags; under it, its duplicates."""
    dimensions = list(hits[0].dimensions)
    table = Table(caption=_CAPTION if any(hit.farther for hit in hits) else None, caption_style="dim")
    table.add_column("#", justify="right", style="dim")
    table.add_column("Score", justify="right", style="bold green")
    for name_ in dimensions:
        table.add_column(Text(printable(name_)), justify="right", style="cyan", no_wrap=True)
    table.add_column("Song", ratio=3, overflow="fold")
    table.add_column("Both are", ratio=2, style="dim")
    for rank, hit in enumerate(hits, 1):
        song = Text(name(hit))
        for path in hit.duplicates[:_DUPLICATES]:
            song.append(f"\n= {printable(path)}", style="dim")
        if len(hit.duplicates) > _DUPLICATES:
            song.append(f"\n= {len(hit.duplicates) - _DUPLICATES:,} more files: see --json", style="dim")
        more = len(hit.shared_tags) - _TAGS
        tags = ", ".join(hit.shared_tags[:_TAGS]) + (f", {more} more" if more > 0 else "")
        cosines = [f"{cosine:.2f}\n{_rarity(hit, name_)}".rstrip() for name_, cosine in hit.dimensions.items()]
        table.add_row(str(rank), f"{hit.score:.3f}", *cosines, song, Text(printable(tags)))
    return table


def name(hit: "Hit") -> str:
    """Artist and title; without a title, the file's name."""
    if not hit.title:
        return printable(Path(hit.path).name)
    return printable(f"{hit.artist} - {hit.title}" if hit.artist else hit.title)


def _rarity(hit: "Hit", dimension: str) -> str:
    """How much of the library is as near as this hit."""
    if dimension not in hit.farther:
        return ""
    percent = 100 * (1 - hit.farther[dimension])
    return f"{percent:.0f}%" if percent >= 1 else "<1%"
