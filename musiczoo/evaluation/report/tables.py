"""The tables of a report: cells of text, the same for Markdown and for the page.

Each function takes models as they are in the report dict (or as `published.models` gives them) and returns a
`Table`, or None where no model has a figure for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import published
from .figures import UNKNOWN, Figure, Style, decimal, figure, interval_text, percent, ratio, seconds, text, whole

Model = Mapping[str, Any]
Models = Sequence[Model]

OVERALL = "overall"
SPACES = ("whole", "sub-space")
ALL = "all"
"""Key of the whole space and all tags among the retrieval figures."""
METRICS = {"roc_auc": "ROC-AUC", "average_precision": "Average precision"}
TEACHER_METRICS = {
    f"teacher_{key}": f"Teacher {title if key == 'roc_auc' else title.lower()}" for key, title in METRICS.items()
}
LEFT_OUT = " *"
"""Follows the name of a tag that the means leave out."""


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table: its text, the interval if there is one, and whether it is the best."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table of text; the first `headers` cells of a row name it. A folded one is for those who ask for it."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    headers: int = 1
    folded: bool = False


@dataclass(frozen=True)
class Column:
    """One column of figures: ``best`` is max, min or None (nothing is marked)."""

    title: str
    figures: Sequence[Figure | None]
    style: Style
    best: Any = max


def table(
    caption: str,
    titles: Sequence[str],
    names: Sequence[Sequence[str]],
    columns: Sequence[Column],
    optional: bool = False,
) -> Table | None:
    """Put columns beside the names of the rows.

    Args:
        caption: What the table shows.
        titles: Over the columns of names.
        names: The names of each row.
        columns: The figures, one a row each.
        optional: Whether to drop the rows without any figure.

    Returns:
        The table; None if it holds no figure.
    """
    cells = [column_cells(column) for column in columns]
    known = [any(column.figures[i] is not None for column in columns) for i in range(len(names))]
    rows = [
        (*map(Cell, row), *(column[i] for column in cells)) for i, row in enumerate(names) if known[i] or not optional
    ]
    if not any(known):
        return None
    return Table(caption, (*titles, *(column.title for column in columns)), tuple(rows), len(titles))


def column_cells(column: Column) -> list[Cell]:
    """The cells of a column, the best marked: all that read the same as the best, if others do not."""
    texts = [text(item, column.style) for item in column.figures]
    known = [item.value for item in column.figures if item is not None]
    best = column.style(column.best(known)) if column.best and known else ""
    if len({shown for shown in texts if shown != UNKNOWN}) < 2:
        best = ""  # the only one, or all alike
    return [
        Cell(shown, interval_text(item, column.style), bool(best) and shown == best)
        for shown, item in zip(texts, column.figures, strict=True)
    ]


def comparison(models: Models, caption: str) -> Table | None:
    """The paper's table: one row a model, the four tasks side by side, without intervals."""
    columns = [
        _column("Time ratio", models, ("time", "ratio"), ratio, min),
        *(_column(f"R@{k}", models, ("retrieval", "all", "recall", str(k)), percent) for k in published.KS),
        _column("AUC", models, ("tagging", "roc_auc"), decimal),
        _column("Track triplets", models, ("triplets", "track"), decimal),
        _column("Human triplets", models, ("triplets", "dim_sim"), decimal),
    ]
    bare = [
        Column(c.title, [f and Figure(f.value) for f in c.figures], c.style, c.best) for c in columns
    ]  # the tables of each task hold the intervals
    return table(caption, ["Model"], _names(models), bare)


def triplets(models: Models, caption: str) -> Table | None:
    """Accuracy on triplets by dimension: one row a model and space."""
    rows = [(model, space) for space in SPACES for model in models]
    parts = [figure_part(model, "triplets", space) for model, space in rows]
    columns = [
        Column(name, [figure(part, name) for part in parts], decimal) for name in (*triplet_dimensions(models), OVERALL)
    ]
    names = [(model["name"], space) for model, space in rows]
    return table(caption, ["Model", "Space"], names, columns, optional=True)


def other_triplets(models: Models, caption: str) -> Table | None:
    """Accuracy on track triplets and on dim-sim's human triplets."""
    columns = [
        _column("Track triplets", models, ("triplets", "track"), decimal),
        _column("Human triplets", models, ("triplets", "dim_sim"), decimal),
    ]
    return table(caption, ["Model"], _names(models), columns)


def tagging(models: Models, caption: str) -> Table | None:
    """The macro means, and over how many tags they go."""
    columns = [_column(title, models, ("tagging", key), decimal) for key, title in METRICS.items()]
    summary = table(caption, ["Model"], _names(models), columns)
    if summary is None:
        return None
    used = [Cell(_used(model)) for model in models]
    rows = tuple((*row, cell) for row, cell in zip(summary.rows, used, strict=True))
    return Table(caption, (*summary.columns, "Tags in the means"), rows)


def tags(models: Models, counts: Mapping[str, int], metric: str, caption: str) -> Table | None:
    """One metric by tag: one row a tag, one column a model."""
    heard = [model for model in models if figure_part(model, "tagging", "tags")]
    names = list(dict.fromkeys([*counts, *(tag for model in heard for tag in model["tagging"]["tags"])]))
    left_out = {tag for model in heard for tag in model["tagging"].get("left_out", ())}
    rows = [[tag + LEFT_OUT if tag in left_out else tag, _positives(tag, heard, counts)] for tag in names]
    columns = [
        Column(model["name"], [figure(model, "tagging", "tags", tag, metric) for tag in names], decimal, None)
        for model in heard
    ]
    return _folded(table(caption, ["Tag", "Tracks"], rows, columns))


def retrieval(models: Models, caption: str) -> Table | None:
    """R@K and hit rate by all tags, in the whole space: one row a model."""
    columns = _retrieval([figure_part(model, "retrieval", ALL) for model in models])
    return table(caption, ["Model"], _names(models), columns, optional=True)


def retrieval_by(models: Models, dimension: str, caption: str) -> Table | None:
    """R@K and hit rate by the tags of one dimension: one row a model and space."""
    rows = [
        (model, space, key)
        for space, key in zip(SPACES, ("retrieval_whole", "retrieval"), strict=True)
        for model in models
    ]
    columns = _retrieval([figure_part(model, key, dimension) for model, _, key in rows])
    names = [(model["name"], space) for model, space, _ in rows]
    return _folded(table(caption, ["Model", "Space"], names, columns, optional=True))


def _retrieval(parts: Sequence[Mapping[str, Any]]) -> list[Column]:
    columns = []
    for key, title in (("recall", "R"), ("hit_rate", "Hit")):
        ks = dict.fromkeys(k for part in parts for k in figure_part(part, key))
        columns += [Column(f"{title}@{k}", [figure(part, key, k) for part in parts], percent) for k in ks]
    return columns


def time(models: Models, caption: str) -> Table | None:
    """What an epoch costs, and how many it takes."""
    columns = [
        _column("Seconds an epoch", models, ("time", "seconds_per_epoch"), seconds, min),
        _column("Ratio an epoch", models, ("time", "epoch_ratio"), ratio, min),
        _column("Epochs to the stop", models, ("time", "epochs_to_stop"), whole, min),
        _column("Ratio of the training", models, ("time", "ratio"), ratio, min),
    ]
    return table(caption, ["Model"], _names(models), columns, optional=True)


def agreement(models: Models, caption: str) -> Table | None:
    """How near each model's tags are to the teachers' scores."""
    columns = [
        _column("Spearman over tracks, by tag", models, ("agreement", "spearman"), decimal),
        _column("Spearman over tags, by track", models, ("agreement", "spearman_by_track"), decimal),
        _column("Top tags shared", models, ("agreement", "top_k_overlap"), ratio),
        *(_column(title, models, ("agreement", key), decimal) for key, title in TEACHER_METRICS.items()),
    ]
    return table(caption, ["Model"], _names(models), columns, optional=True)


def inventory(models: Models, caption: str) -> Table | None:
    """Which models these are. None if there are none."""
    rows = tuple(
        (
            Cell(model["name"]),
            Cell(str(model.get("version") or UNKNOWN)),
            Cell(text(figure(model, "parameters"), whole)),
            Cell(", ".join(model.get("spaces") or ()) or UNKNOWN),
            Cell({True: "yes", False: "no"}.get(model.get("normalized", UNKNOWN), UNKNOWN)),
            Cell(str(model.get("space_id") or UNKNOWN)),
        )
        for model in models
    )
    titles = ("Model", "Version", "Parameters", "Spaces", "Normalised", "Embedding space")
    return Table(caption, titles, rows) if rows else None


def missing(report: Mapping[str, Any], caption: str) -> Table | None:
    """What was not measured, and why: models left out, tasks skipped."""
    rows = [(item["name"], "all", item["reason"]) for item in report.get("models_left_out") or ()]
    for model in report["models"]:
        rows += [(model["name"], task, reason) for task, reason in (model.get("skipped") or {}).items()]
        if reason := figure_part(model, "triplets").get("dim_sim_left_out"):
            rows.append((model["name"], "human triplets", reason))
    cells = tuple(tuple(map(Cell, map(str, row))) for row in rows)
    return Table(caption, ("Model", "Task", "Reason"), cells, headers=3) if rows else None


def triplet_dimensions(models: Models) -> list[str]:
    """The dimensions that any model was asked triplets of, in their first order."""
    parts = [figure_part(model, "triplets", space) for model in models for space in SPACES]
    return [name for name in dict.fromkeys(name for part in parts for name in part) if name != OVERALL]


def figure_part(part: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The dict at `path`; an empty one if it leads nowhere."""
    for key in path:
        found = part.get(key)
        if not isinstance(found, Mapping):
            return {}
        part = found
    return part


def _folded(found: Table | None) -> Table | None:
    return found and replace(found, folded=True)


def _names(models: Models) -> list[list[str]]:
    return [[model["name"]] for model in models]


def _column(title: str, models: Models, path: Sequence[str], style: Style, best: Any = max) -> Column:
    return Column(title, [figure(model, *path) for model in models], style, best)


def _used(model: Model) -> str:
    part = figure_part(model, "tagging")
    if "tags" not in part:
        return UNKNOWN
    return f"{len(part['tags']) - len(part.get('left_out', ()))} of {len(part['tags'])}"


def _positives(tag: str, models: Models, counts: Mapping[str, int]) -> str:
    found = [figure(counts, tag), *(figure(model, "tagging", "tags", tag, "positives") for model in models)]
    return text(next((item for item in found if item), None), whole)
