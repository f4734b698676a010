"""Tables for people: tags per dimension, the models there are, and how well they find artists and albums."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .printable import printable

if TYPE_CHECKING:
    from ..card import ModelCard
    from ..track import Track

_BAR_WIDTH = 24


def print_tags(track: "Track", song: str, top: int) -> None:
    """Print `tag_table`."""
    Console().print(tag_table(track, song, top))


def tag_table(track: "Track", song: str, top: int) -> Table:
    """The `top` likeliest tags of each dimension, with bars; those above their threshold marked."""
    applies = set(track.tags.above_threshold())
    table = Table(
        title=Text(f"{printable(Path(song).name)}  {clock(track.duration_s)}", style="bold"),
        caption=Text(printable(f"* above the tag's threshold   model: {track.model} {track.card.version}")),
    )
    table.add_column("Dimension", style="cyan")
    table.add_column("Tag")
    table.add_column("Probability")
    table.add_column("", justify="right")
    for dimension, tags in track.tags.by_dimension().items():
        for i, tag in enumerate(tags[:top]):
            style = "bold green" if tag in applies else "dim"
            table.add_row(
                Text(printable(dimension) if i == 0 else ""),
                Text(printable(f"{tag.name} *" if tag in applies else tag.name), style=style),
                ProgressBar(1, tag.probability, _BAR_WIDTH, complete_style=style, finished_style=style),
                Text(f"{tag.probability:.0%}", style=style),
            )
        table.add_section()
    return table


def print_models(entries: Iterable[tuple["ModelCard", Path]]) -> None:
    """Print the models there are, three lines each."""
    console = Console()
    for card, path in entries:
        metric = key_metric(card)
        facts = [card.version, card.licence, f"{card.parameters:,} parameters"]
        facts += [f"{metric[0]} {metric[1]:.3f}"] if metric else []
        lines = Text(printable(card.name), style="bold green")
        lines.append(printable(f"  {', '.join(facts)}\n"), style="not bold default")
        lines.append(printable(f"  spaces: {', '.join(card.spaces)}\n  {path}"), style="not bold dim default")
        console.print(lines, soft_wrap=True)


def print_own_music(report: Mapping[str, Any], tasks: Iterable[str]) -> None:
    """Print how well models find artists and albums, a table a task: see `musiczoo.evaluation.own_music`."""
    console = Console()
    for task in tasks:
        first = report["models"][0][task]
        if not first["queries"]:
            console.print(f"Same {task}: no two tracks to find.\n")
            continue
        table = Table(
            title=f"Same {task}: {first['queries']:,} of {report['tracks']:,} tracks are queries",
            caption=f"in brackets, 95 % over albums; a random order has a precision of {first['chance']:.2f}",
            box=SIMPLE_HEAD,
        )
        table.add_column("Model", overflow="fold")
        for name in ("P@1", "P@5", "Mean average precision"):
            table.add_column(name, justify="right", no_wrap=True)
        for model in report["models"]:
            result = model[task]
            metrics = (_with_interval(result[name]) for name in ("precision_at_5", "mean_average_precision"))
            table.add_row(Text(printable(model["name"])), f"{result['precision_at_1']['value']:.2f}", *metrics)
        console.print(table)


def _with_interval(metric: Mapping[str, Any]) -> str:
    low, high = metric["interval"]
    return f"{metric['value']:.2f} ({low:.2f}–{high:.2f})"


def key_metric(card: "ModelCard") -> tuple[str, float] | None:
    """Name and value of the first figure among the card's metrics: cards state the main one first."""
    pending = list(card.metrics.items())
    while pending:
        name, value = pending.pop(0)
        if isinstance(value, dict):
            inner = [(name if key == "value" else f"{name}.{key}", figure) for key, figure in value.items()]
            pending = inner + pending
        elif isinstance(value, int | float) and not isinstance(value, bool):
            return name, float(value)
    return None


def clock(seconds: float) -> str:
    """Seconds as m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
