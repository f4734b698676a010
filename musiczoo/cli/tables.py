"""Tables for people: tags, models, hits of a search, results of an evaluation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ._console import printable

if TYPE_CHECKING:
    from ..card import ModelCard
    from ..library import SimilarAlbum, SimilarArtist
    from ..library.path import Step
    from ..library.search import Hit
    from ..track import Track

_BAR_WIDTH = 24
_SHARED_TAGS = 5
"""Shared tags shown for a hit."""
_DUPLICATES = 5
"""Files of the same recording shown below a hit."""
_HITS_CAPTION = "per dimension: the cosine, and the share of the library that is at least as near"
_UNKNOWN = "–"

_Row = tuple[str, dict[str, Any]]
"""A model's name, and its metrics by column title."""

_TAGGING = {
    "roc_auc": "ROC-AUC",
    "average_precision": "Average precision",
    "teacher_roc_auc": "Teacher ROC-AUC",
    "teacher_average_precision": "Teacher average precision",
    "spearman": "Spearman over tracks, by tag",
    "spearman_by_track": "Spearman over tags, by track",
    "top_k_overlap": "Top tags shared",
}
_TIME = {
    "seconds_per_epoch": "Seconds per epoch",
    "epoch_ratio": "Ratio per epoch",
    "epochs_to_stop": "Epochs until the stop",
    "ratio": "Ratio of the training",
}
"""Key of a metric -> title of its column."""


def print_tags(track: "Track", song: str, top: int) -> None:
    """Print `tag_table`."""
    Console().print(tag_table(track, song, top))


def tag_table(track: "Track", song: str, top: int) -> Table:
    """Return the `top` most probable tags of each dimension, with bars; a mark means above the threshold."""
    above = set(track.tags.above_threshold())
    table = Table(
        title=Text(f"{printable(Path(song).name)}  {clock(track.duration_s)}", style="bold"),
        caption=Text("* above the tag's threshold\n" + printable(f"model: {track.model} {track.card.version}")),
    )
    table.add_column("Dimension", style="cyan")
    table.add_column("Tag")
    table.add_column("Probability")
    table.add_column("", justify="right")
    for dimension, tags in track.tags.by_dimension().items():
        for i, tag in enumerate(tags[:top]):
            style = "bold green" if tag in above else "dim"
            table.add_row(
                Text(printable(dimension) if i == 0 else ""),
                Text(printable(f"{tag.name} *" if tag in above else tag.name), style=style),
                ProgressBar(1, tag.probability, _BAR_WIDTH, complete_style=style, finished_style=style),
                Text(f"{tag.probability:.0%}", style=style),
            )
        table.add_section()
    return table


def print_models(entries: Iterable[tuple["ModelCard", Path]]) -> None:
    """Print models, three lines each."""
    console = Console()
    for card, path in entries:
        metric = key_metric(card)
        summary = [card.version, card.licence, f"{card.parameters:,} parameters"]
        summary += [f"{metric[0]} {metric[1]:.3f}"] if metric else []
        lines = Text(printable(card.name), style="bold green")
        lines.append(printable(f"  {', '.join(summary)}\n"), style="not bold default")
        lines.append(printable(f"  spaces: {', '.join(card.spaces)}\n  {path}"), style="not bold dim default")
        console.print(lines, soft_wrap=True)


def print_own_music(report: Mapping[str, Any], tasks: Iterable[str]) -> None:
    """Print one table for each task of `musiczoo.evaluation.own_music`: a row for each model."""
    console = Console()
    for task in tasks:
        first = report["models"][0][task]
        if not first["queries"]:
            console.print(f"Same {task}: no two tracks have one in common.\n")
            continue
        table = Table(
            title=f"Same {task}: {first['queries']:,} of {report['tracks']:,} tracks are queries",
            caption=f"in brackets: 95 % intervals over albums; a random order has a precision of {first['chance']:.2f}",
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
    """Return name and value of the headline metric: the first number among the card's metrics."""
    pending = list(card.metrics.items())
    while pending:
        name, value = pending.pop(0)
        if isinstance(value, dict):
            inner = [(name if key == "value" else f"{name}.{key}", number) for key, number in value.items()]
            pending = inner + pending
        elif isinstance(value, int | float) and not isinstance(value, bool):
            return name, float(value)
    return None


def clock(seconds: float) -> str:
    """Return seconds as ``m:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def print_hits(hits: "Sequence[Hit]") -> None:
    """Print `hit_table`."""
    Console().print(hit_table(hits))


def hit_table(hits: "Sequence[Hit]") -> Table:
    """Return one row for each hit: rank, score, cosines with percentiles, name and duplicates, shared tags."""
    dimensions = list(hits[0].dimensions)
    table = Table(
        caption=_HITS_CAPTION if any(hit.similarity_percentile for hit in hits) else None, caption_style="dim"
    )
    table.add_column("#", justify="right", style="dim")
    table.add_column("Score", justify="right", style="bold green")
    for name_ in dimensions:
        table.add_column(Text(printable(name_)), justify="right", style="cyan", no_wrap=True)
    table.add_column("Song", ratio=3, overflow="fold")
    table.add_column("Shared tags", ratio=2, style="dim")
    for rank, hit in enumerate(hits, 1):
        song = Text(name(hit))
        for path in hit.duplicates[:_DUPLICATES]:
            song.append(f"\n= {printable(path)}", style="dim")
        if len(hit.duplicates) > _DUPLICATES:
            song.append(f"\n= {len(hit.duplicates) - _DUPLICATES:,} more files: see --json", style="dim")
        more = len(hit.shared_tags) - _SHARED_TAGS
        tags = ", ".join(hit.shared_tags[:_SHARED_TAGS]) + (f", {more} more" if more > 0 else "")
        cosines = [f"{cosine:.2f}\n{_rarity(hit, name_)}".rstrip() for name_, cosine in hit.dimensions.items()]
        table.add_row(str(rank), f"{hit.score:.3f}", *cosines, song, Text(printable(tags)))
    return table


def print_steps(steps: "Sequence[Step]") -> None:
    """Print one row for each track of a path: position, progress, similarity to the track before, cosines and name."""
    table = Table(caption="progress from the first song to the last; cosines with the song before", caption_style="dim")
    table.add_column("#", justify="right", style="dim")
    table.add_column("Progress", justify="right")
    table.add_column("Score", justify="right", style="bold green")
    for dimension in steps[-1].dimensions:
        table.add_column(Text(printable(dimension)), justify="right", style="cyan", no_wrap=True)
    table.add_column("Song", ratio=1, overflow="fold")
    for position, step in enumerate(steps, 1):
        score = "" if step.score is None else f"{step.score:.3f}"
        cosines = [f"{step.dimensions[name_]:.2f}" if step.dimensions else "" for name_ in steps[-1].dimensions]
        song = Text(name(step), style="bold" if step.named else "")
        table.add_row(str(position), f"{step.progress:.0%}", score, *cosines, song)
    Console().print(table)


def print_similar(found: "Sequence[SimilarArtist | SimilarAlbum]", names: Mapping[str, Sequence[str]]) -> None:
    """Print one row for each artist or album: rank, score, cosines, names by column and number of tracks."""
    table = Table(caption="cosines of the means of their tracks", caption_style="dim")
    table.add_column("#", justify="right", style="dim")
    table.add_column("Score", justify="right", style="bold green")
    for dimension in found[0].dimensions:
        table.add_column(Text(printable(dimension)), justify="right", style="cyan", no_wrap=True)
    for title in names:
        table.add_column(title, ratio=1, overflow="fold")
    table.add_column("Tracks", justify="right")
    for rank, each in enumerate(found, 1):
        cosines = [f"{cosine:.2f}" for cosine in each.dimensions.values()]
        texts = [Text(printable(column[rank - 1])) for column in names.values()]
        table.add_row(str(rank), f"{each.score:.3f}", *cosines, *texts, f"{each.tracks:,}")
    Console().print(table)


def name(hit: "Hit | Step") -> str:
    """Return artist and title; without a title, the file's name."""
    if not hit.title:
        return printable(Path(hit.path).name)
    return printable(f"{hit.artist} - {hit.title}" if hit.artist else hit.title)


def _rarity(hit: "Hit", dimension: str) -> str:
    """Return the share of the library that is at least as near as this hit."""
    if dimension not in hit.similarity_percentile:
        return ""
    percent = 100 - hit.similarity_percentile[dimension]
    return f"{percent:.0f}%" if percent >= 1 else "<1%"


def print_report(report: Mapping[str, Any]) -> None:
    """Print one table for each task: a row for each model, and for each space where a task has several.

    The second line of a cell is the 95 % interval. Hit rates and metrics by tag are in the report only.
    """
    console, data = Console(), report["data"]
    caption = f"{data['name']}, {data['split']}: {data['tracks']} tracks, labels by {' + '.join(data['teachers'])}"
    for title, rows in (
        ("Tagging", _plain(report, "tagging")),
        ("Retrieval", _retrieval(report)),
        ("Triplets", _triplets(report)),
        ("Triplets of excerpts", _excerpts(report)),
        ("Training time", _time(report)),
        ("Agreement with teachers", _plain(report, "agreement")),
        ("Same artist or package", _artists(report)),
        ("Voices", _voices(report)),
    ):
        table = _metrics_table(title, caption, list(rows))
        if table is not None:
            console.print(table)


def _plain(report: Mapping[str, Any], task: str) -> Iterator[_Row]:
    for model in report["models"]:
        if task in model:
            yield model["name"], {title: model[task][key] for key, title in _TAGGING.items() if key in model[task]}


def _retrieval(report: Mapping[str, Any]) -> Iterator[_Row]:
    for model in report["models"]:
        for space, part in model.get("retrieval", {}).items():
            yield f"{model['name']} ({space})", {f"R@{k}": recall for k, recall in part["recall"].items()}


def _triplets(report: Mapping[str, Any]) -> Iterator[_Row]:
    for model in report["models"]:
        for space in ("whole", "sub-space"):
            if space in model.get("triplets", {}):
                yield f"{model['name']} ({space})", model["triplets"][space]


def _excerpts(report: Mapping[str, Any]) -> Iterator[_Row]:
    for model in report["models"]:
        if "triplets" in model:
            titles = {"track": "from one track", "dim_sim": "judged by people"}
            part = model["triplets"]
            yield model["name"], {title: part[key] for key, title in titles.items() if key in part}


def _artists(report: Mapping[str, Any]) -> Iterator[_Row]:
    titles = {"precision_at_1": "P@1", "precision_at_5": "P@5", "mean_average_precision": "Mean average precision"}
    for model in report["models"]:
        for task, part in model.get("artists", {}).items():
            if part["queries"]:
                yield f"{model['name']} ({task})", {title: part[key] for key, title in titles.items()}


def _voices(report: Mapping[str, Any]) -> Iterator[_Row]:
    titles = {"slope": "slope", "r": "r", "voice_auc": "voice or none", "register_auc": "high or low"}
    for model in report["models"]:
        if part := model.get("voices"):
            nearer = {f"nearer, {space}": metric for space, metric in part["nearer"].items()}
            yield model["name"], {title: part[key] for key, title in titles.items()} | nearer


def _time(report: Mapping[str, Any]) -> Iterator[_Row]:
    for model in report["models"]:
        if "time" in model:
            yield model["name"], {title: model["time"][key] for key, title in _TIME.items()}


def _metrics_table(title: str, caption: str, rows: Sequence[_Row]) -> Table | None:
    if not rows:
        return None
    table = Table(title=Text(title, style="bold"), caption=Text(caption), title_justify="left", caption_justify="left")
    columns = list(dict.fromkeys(name for _, metrics in rows for name in metrics))
    table.add_column("Model", overflow="fold")
    for header in columns:
        cells = [_cell(metrics.get(header)) for _, metrics in rows]
        words = [cell_len(line) for text in (*cells, *header.split()) for line in str(text).split("\n")]
        table.add_column(header, justify="right", min_width=max(words))  # so that no number is cut off
    for name, metrics in rows:
        table.add_row(Text(name), *(_cell(metrics.get(column)) for column in columns))
    return table


def _cell(metric: Any) -> Text:
    """Return a number, with its interval on the next line if it has one."""
    if not isinstance(metric, Mapping):
        return Text(_number(metric))
    text = Text(_number(metric["value"]))
    if None not in metric["interval"]:
        low, high = (f"{end:.2f}".removeprefix("0") for end in metric["interval"])
        text.append(f"\n{low}–{high}", style="dim")
    return text


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"
