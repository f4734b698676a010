"""The figures of an evaluation as tables for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNKNOWN = "–"
_PART = {
    "roc_auc": "ROC-AUC",
    "average_precision": "Average precision",
    "spearman": "Spearman over tracks, by tag",
    "spearman_by_track": "Spearman over tags, by track",
    "top_k_overlap": "Top tags shared",
}
_TIME = {
    "seconds_per_epoch": "Seconds an epoch",
    "epoch_ratio": "Ratio",
    "epochs_to_stop": "Epochs to the stop",
    "ratio": "Ratio of the training",
}


def print_report(report: Mapping[str, Any]) -> None:
    """Print a table a task: a row a model, and a space where there are several.

    Below the figures stand their 95 % intervals. Hit rates and figures by tag are in the report alone.
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
    ):
        table = _table(title, caption, list(rows))
        if table is not None:
            console.print(table)


_Row = tuple[str, dict[str, Any]]


def _plain(report: Mapping[str, Any], task: str) -> Iterator[_Row]:
    for model in report["models"]:
        if task in model:
            yield model["name"], {title: model[task][key] for key, title in _PART.items() if key in model[task]}


def _retrieval(report: Mapping[str, Any]) -> Iterator[_Row]:
    for model in report["models"]:
        for space, part in model.get("retrieval", {}).items():
            yield f"{model['name']} ({space})", {f"R@{k}": figure for k, figure in part["recall"].items()}


def _triplets(report: Mapping[str, Any]) -> Iterator[_Row]:
    for model in report["models"]:
        for space in ("whole", "sub-space"):
            if space in model.get("triplets", {}):
                yield f"{model['name']} ({space})", model["triplets"][space]


def _excerpts(report: Mapping[str, Any]) -> Iterator[_Row]:
    for model in report["models"]:
        if "triplets" in model:
            titles = {"track": "of one track", "dim_sim": "people's"}
            part = model["triplets"]
            yield model["name"], {title: part[key] for key, title in titles.items() if key in part}


def _time(report: Mapping[str, Any]) -> Iterator[_Row]:
    for model in report["models"]:
        if "time" in model:
            yield model["name"], {title: model["time"][key] for key, title in _TIME.items()}


def _table(title: str, caption: str, rows: Sequence[_Row]) -> Table | None:
    if not rows:
        return None
    table = Table(title=Text(title, style="bold"), caption=Text(caption), title_justify="left", caption_justify="left")
    columns = list(dict.fromkeys(name for _, figures in rows for name in figures))
    table.add_column("Model", overflow="fold")
    for header in columns:
        cells = [_cell(figures.get(header)) for _, figures in rows]
        words = [cell_len(line) for text in (*cells, *header.split()) for line in str(text).split("\n")]
        table.add_column(header, justify="right", min_width=max(words))  # so that no figure is cut off
    for name, figures in rows:
        table.add_row(Text(name), *(_cell(figures.get(column)) for column in columns))
    return table


def _cell(figure: Any) -> Text:
    """A number; or a figure, with its interval on a line of its own."""
    if not isinstance(figure, Mapping):
        return Text(_number(figure))
    text = Text(_number(figure["value"]))
    if None not in figure["interval"]:
        low, high = (f"{end:.2f}".removeprefix("0") for end in figure["interval"])
        text.append(f"\n{low}–{high}", style="dim")
    return text


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"
