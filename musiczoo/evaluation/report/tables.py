"""The tables of a report: cells of text, for Markdown and for the page.

Each function takes the models of a report dict (or those of `published.models`) and returns a `Table`, or None if no
model has a metric for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..metrics.artist_retrieval import TASKS
from . import published
from .metric import UNKNOWN, Metric, Style, decimal, interval_text, metric_at, percent, ratio, seconds, text, whole

Model = Mapping[str, Any]
Models = Sequence[Model]

OVERALL = "overall"
SPACES = ("whole", "sub-space")
ALL = "all"
"""Key of the retrieval metrics of the whole space by all tags."""
METRICS = {"roc_auc": "ROC-AUC", "average_precision": "Average precision"}
TEACHER_METRICS = {
    f"teacher_{key}": f"Teacher {title if key == 'roc_auc' else title.lower()}" for key, title in METRICS.items()
}
LEFT_OUT = " *"
"""Mark of a tag that the means leave out."""


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the interval if it has one, and whether it is the best of its column."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table of text. The first `headers` cells of a row are its name; a folded table is shown on demand."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    headers: int = 1
    folded: bool = False


@dataclass(frozen=True)
class Column:
    """One column of metrics; ``best`` is max, min or None (nothing is marked)."""

    title: str
    metrics: Sequence[Metric | None]
    style: Style
    best: Any = max


def table(
    caption: str,
    titles: Sequence[str],
    names: Sequence[Sequence[str]],
    columns: Sequence[Column],
    optional: bool = False,
) -> Table | None:
    """Make a table from columns and the names of the rows.

    Args:
        caption: Caption.
        titles: Titles of the columns of names.
        names: Names of each row.
        columns: Columns with one metric per row.
        optional: Drop the rows without any metric.

    Returns:
        The table; None if it contains no metric.
    """
    cells = [column_cells(column) for column in columns]
    known = [any(column.metrics[i] is not None for column in columns) for i in range(len(names))]
    rows = [
        (*map(Cell, row), *(column[i] for column in cells)) for i, row in enumerate(names) if known[i] or not optional
    ]
    if not any(known):
        return None
    return Table(caption, (*titles, *(column.title for column in columns)), tuple(rows), len(titles))


def column_cells(column: Column) -> list[Cell]:
    """Return the cells of a column; those that read like the best are marked, unless all do."""
    texts = [text(item, column.style) for item in column.metrics]
    known = [item.value for item in column.metrics if item is not None]
    best = column.style(column.best(known)) if column.best and known else ""
    if len({shown for shown in texts if shown != UNKNOWN}) < 2:
        best = ""  # only one value
    return [
        Cell(shown, interval_text(item, column.style), bool(best) and shown == best)
        for shown, item in zip(texts, column.metrics, strict=True)
    ]


def comparison(models: Models, caption: str) -> Table | None:
    """Make the paper's table: one row per model, the four tasks side by side, without intervals."""
    columns = [
        _column("Time ratio", models, ("time", "ratio"), ratio, min),
        *(_column(f"R@{k}", models, ("retrieval", "all", "recall", str(k)), percent) for k in published.KS),
        _column("AUC", models, ("tagging", "roc_auc"), decimal),
        _column("Track triplets", models, ("triplets", "track"), decimal),
        _column("Human triplets", models, ("triplets", "dim_sim"), decimal),
    ]
    bare = [
        Column(c.title, [f and Metric(f.value) for f in c.metrics], c.style, c.best) for c in columns
    ]  # the intervals are in the tables of each task
    return table(caption, ["Model"], _names(models), bare)


def triplets(models: Models, caption: str) -> Table | None:
    """Make the table of triplet accuracy by dimension: one row per model and space."""
    rows = [(model, space) for space in SPACES for model in models]
    parts = [part_at(model, "triplets", space) for model, space in rows]
    columns = [
        Column(name, [metric_at(part, name) for part in parts], decimal)
        for name in (*triplet_dimensions(models), OVERALL)
    ]
    names = [(model["name"], space) for model, space in rows]
    return table(caption, ["Model", "Space"], names, columns, optional=True)


def other_triplets(models: Models, caption: str) -> Table | None:
    """Make the table of accuracy on track triplets and on the human triplets of dim-sim."""
    columns = [
        _column("Track triplets", models, ("triplets", "track"), decimal),
        _column("Human triplets", models, ("triplets", "dim_sim"), decimal),
    ]
    return table(caption, ["Model"], _names(models), columns)


def tagging(models: Models, caption: str) -> Table | None:
    """Make the table of macro means, with the number of tags in them."""
    columns = [_column(title, models, ("tagging", key), decimal) for key, title in METRICS.items()]
    summary = table(caption, ["Model"], _names(models), columns)
    if summary is None:
        return None
    used = [Cell(_used(model)) for model in models]
    rows = tuple((*row, cell) for row, cell in zip(summary.rows, used, strict=True))
    return Table(caption, (*summary.columns, "Tags in the means"), rows)


def tags(models: Models, counts: Mapping[str, int], metric: str, caption: str) -> Table | None:
    """Make the table of one metric by tag: one row per tag, one column per model."""
    tagged = [model for model in models if part_at(model, "tagging", "tags")]
    names = list(dict.fromkeys([*counts, *(tag for model in tagged for tag in model["tagging"]["tags"])]))
    left_out = {tag for model in tagged for tag in model["tagging"].get("left_out", ())}
    rows = [[tag + LEFT_OUT if tag in left_out else tag, _positives(tag, tagged, counts)] for tag in names]
    columns = [
        Column(model["name"], [metric_at(model, "tagging", "tags", tag, metric) for tag in names], decimal, None)
        for model in tagged
    ]
    return _folded(table(caption, ["Tag", "Tracks"], rows, columns))


def retrieval(models: Models, caption: str) -> Table | None:
    """Make the table of R@K and hit rate by all tags, in the whole space: one row per model."""
    columns = _retrieval([part_at(model, "retrieval", ALL) for model in models])
    return table(caption, ["Model"], _names(models), columns, optional=True)


def retrieval_by(models: Models, dimension: str, caption: str) -> Table | None:
    """Make the table of R@K and hit rate by the tags of one dimension: one row per model and space."""
    rows = [
        (model, space, key)
        for space, key in zip(SPACES, ("retrieval_whole", "retrieval"), strict=True)
        for model in models
    ]
    columns = _retrieval([part_at(model, key, dimension) for model, _, key in rows])
    names = [(model["name"], space) for model, space, _ in rows]
    return _folded(table(caption, ["Model", "Space"], names, columns, optional=True))


def _retrieval(parts: Sequence[Mapping[str, Any]]) -> list[Column]:
    columns = []
    for key, title in (("recall", "R"), ("hit_rate", "Hit")):
        ks = dict.fromkeys(k for part in parts for k in part_at(part, key))
        columns += [Column(f"{title}@{k}", [metric_at(part, key, k) for part in parts], percent) for k in ks]
    return columns


def time(models: Models, caption: str) -> Table | None:
    """Make the table of training time."""
    columns = [
        _column("Seconds per epoch", models, ("time", "seconds_per_epoch"), seconds, min),
        _column("Ratio per epoch", models, ("time", "epoch_ratio"), ratio, min),
        _column("Epochs until the stop", models, ("time", "epochs_to_stop"), whole, min),
        _column("Ratio of the training", models, ("time", "ratio"), ratio, min),
    ]
    return table(caption, ["Model"], _names(models), columns, optional=True)


def agreement(models: Models, caption: str) -> Table | None:
    """Make the table of agreement with the teachers' scores."""
    columns = [
        _column("Spearman over tracks, by tag", models, ("agreement", "spearman"), decimal),
        _column("Spearman over tags, by track", models, ("agreement", "spearman_by_track"), decimal),
        _column("Top tags shared", models, ("agreement", "top_k_overlap"), ratio),
        *(_column(title, models, ("agreement", key), decimal) for key, title in TEACHER_METRICS.items()),
    ]
    return table(caption, ["Model"], _names(models), columns, optional=True)


def voices(models: Models, caption: str) -> Table | None:
    """Make the table of what a singer changes."""
    spaces = dict.fromkeys(space for model in models for space in part_at(model, "voices", "nearer"))
    columns = [
        _column("Slope", models, ("voices", "slope"), decimal),
        _column("r", models, ("voices", "r"), decimal),
        _column("Voice or none, ROC-AUC", models, ("voices", "voice_auc"), decimal),
        _column("High or low voice, ROC-AUC", models, ("voices", "register_auc"), decimal),
        *(_column(f"Voices nearer, {space}", models, ("voices", "nearer", space), decimal) for space in spaces),
    ]
    return table(caption, ["Model"], _names(models), columns, optional=True)


def artists(models: Models, caption: str) -> Table | None:
    """Make the table of artist and album retrieval: one row per model and task."""
    rows = [(model, task) for task in TASKS for model in models if part_at(model, "artists", task).get("queries")]
    columns = [
        Column(title, [metric_at(model, "artists", task, key) for model, task in rows], decimal)
        for title, key in (
            ("P@1", "precision_at_1"),
            ("P@5", "precision_at_5"),
            ("Mean average precision", "mean_average_precision"),
            ("Precision of a random order", "chance"),
            ("Queries", "queries"),
        )
    ]
    columns[-2:] = [replace(columns[-2], best=None), replace(columns[-1], style=whole, best=None)]
    names = [(model["name"], f"same {task}") for model, task in rows]
    return table(caption, ["Model", "Task"], names, columns, optional=True)


def inventory(models: Models, caption: str) -> Table | None:
    """Make the table of the models. None if there are none."""
    rows = tuple(
        (
            Cell(model["name"]),
            Cell(str(model.get("version") or UNKNOWN)),
            Cell(text(metric_at(model, "parameters"), whole)),
            Cell(", ".join(model.get("spaces") or ()) or UNKNOWN),
            Cell({True: "yes", False: "no"}.get(model.get("normalized", UNKNOWN), UNKNOWN)),
            Cell(str(model.get("space_id") or UNKNOWN)),
        )
        for model in models
    )
    titles = ("Model", "Version", "Parameters", "Spaces", "Normalised", "Embedding space")
    return Table(caption, titles, rows) if rows else None


def missing(report: Mapping[str, Any], caption: str) -> Table | None:
    """Make the table of models left out and tasks skipped, with the reasons."""
    rows = [(item["name"], "all", item["reason"]) for item in report.get("models_left_out") or ()]
    for model in report["models"]:
        rows += [(model["name"], task, reason) for task, reason in (model.get("skipped") or {}).items()]
        for key, task in (("track_left_out", "track triplets"), ("dim_sim_left_out", "human triplets")):
            if reason := part_at(model, "triplets").get(key):
                rows.append((model["name"], task, reason))
    cells = tuple(tuple(map(Cell, map(str, row))) for row in rows)
    return Table(caption, ("Model", "Task", "Reason"), cells, headers=3) if rows else None


def triplet_dimensions(models: Models) -> list[str]:
    """Return the dimensions of all models' triplets, in the order of first occurrence."""
    parts = [part_at(model, "triplets", space) for model in models for space in SPACES]
    return [name for name in dict.fromkeys(name for part in parts for name in part) if name != OVERALL]


def part_at(part: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the dict at a path; an empty one if it does not exist."""
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
    return Column(title, [metric_at(model, *path) for model in models], style, best)


def _used(model: Model) -> str:
    part = part_at(model, "tagging")
    if "tags" not in part:
        return UNKNOWN
    return f"{len(part['tags']) - len(part.get('left_out', ()))} of {len(part['tags'])}"


def _positives(tag: str, models: Models, counts: Mapping[str, int]) -> str:
    found = [metric_at(counts, tag), *(metric_at(model, "tagging", "tags", tag, "positives") for model in models)]
    return text(next((item for item in found if item), None), whole)
