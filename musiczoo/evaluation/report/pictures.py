"""The pictures of a report, drawn with `svg`, for each section of `sections`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musiczoo.taxonomy import DIMENSION_TAGS

from . import published, svg, tables
from .metric import Metric, Style, decimal, metric_at, percent, ratio, text, whole
from .svg import Bar, Row
from .tables import Model, Models, part_at

Path = tuple[str, ...]

PANEL_ROWS = 14
"""Most tags in a panel, so that it fits on a printed page."""


@dataclass(frozen=True)
class Panel:
    """A drawing with its title."""

    title: str
    svg: str


@dataclass(frozen=True)
class Picture:
    """Drawings side by side with one caption; the legend maps CSS classes to meanings.

    A picture with a `summary` is folded unless it is `open`.
    """

    caption: str
    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, str], ...] = ()
    summary: str = ""
    open: bool = True


def pictures(report: Mapping[str, Any]) -> dict[str, list[Picture]]:
    """Return section key -> pictures, for the sections that have any."""
    models: Models = report["models"]
    found = {
        "triplets": _triplets(models),
        "retrieval": _retrieval(models),
        "tagging": [*_tags(models), *_reliability(models)],
        "projection": _projections(models),
        "time": _time(models),
    }
    return {key: drawn for key, drawn in found.items() if drawn}


def _triplets(models: Models) -> list[Picture]:
    panels = []
    for name in [*tables.triplet_dimensions(models), tables.OVERALL]:
        rows = []
        for model in models:
            kinds = (("whole", "whole"), ("sub", "sub-space"))
            bars = [_bar(kind, model, ("triplets", space, name)) for kind, space in kinds]
            rows.append(Row(model["name"], tuple(bar for bar in bars if bar.metric)))
        panels += _bars(name, rows, decimal, f"Accuracy on triplets, {name}")
    legend = (("whole", "whole space"), ("sub", "the dimension's sub-space"))
    caption = "Triplet prediction by dimension. The axis starts at chance, 0.5, unless a value is lower."
    return _picture(caption, panels, legend)


def _retrieval(models: Models) -> list[Picture]:
    panels = []
    for k in published.KS:
        rows = [Row(m["name"], (_bar("sub", m, ("retrieval", "all", "recall", str(k))),)) for m in models]
        panels += _bars(
            f"R@{k}", rows, percent, f"R@{k} in percent", svg.Scale(0, 1, 0.25, lambda value: f"{100 * value:g}")
        )
    return _picture("R@K in percent, whole space.", panels, (("sub", "ours"),))


def _time(models: Models) -> list[Picture]:
    panels = []
    for title, key in (("the training", "ratio"), ("an epoch", "epoch_ratio")):
        rows = [Row(model["name"], (_bar("sub", model, ("time", key)),)) for model in models if "time" in model]
        metrics = [item for row in rows for bar in row.bars for item in (bar.metric, bar.paper)]
        panels += _bars(f"Time of {title}", rows, ratio, f"Time of {title} as a ratio", svg.ratio_scale(metrics))
    return _picture("Training time as a ratio to the fastest.", panels, (("sub", "ours"),))


def _tags(models: Models) -> list[Picture]:
    """Return one picture per model, one panel per dimension, with the tags of the means."""
    found: list[Picture] = []
    for model in models:
        part = part_at(model, "tagging")
        by_tag = part_at(part, "tags")
        used = [tag for tag in by_tag if tag not in (part.get("left_out") or ())]
        grouped = {name: [tag for tag in tags if tag in used] for name, tags in DIMENSION_TAGS.items()}
        grouped["other"] = [tag for tag in used if not any(tag in tags for tags in grouped.values())]
        panels = []
        for name, tags in grouped.items():
            for start in range(0, len(tags), PANEL_ROWS):
                rows = [_tag(tag, by_tag) for tag in tags[start : start + PANEL_ROWS]]
                title = f"{name}, continued" if start else name
                panels += _bars(title, rows, decimal, f"ROC-AUC of {model['name']}, tags of {name}")
        caption = (
            f"{model['name']}: ROC-AUC by tag, with the number of tracks that have it in brackets. "
            "Tags left out of the means are not drawn."
        )
        summary = f"ROC-AUC by tag: {model['name']}"
        found += _picture(caption, panels, (), summary, not found)
    return found


def _tag(tag: str, by_tag: Mapping[str, Any]) -> Row:
    tracks = text(metric_at(by_tag, tag, "positives"), whole)
    return Row(f"{tag} ({tracks})", (Bar("sub", metric_at(by_tag, tag, "roc_auc")),))


def _reliability(models: Models) -> list[Picture]:
    panels = []
    for model in models:
        part = part_at(model, "tagging", "reliability")
        if any(count for count in part.get("count") or ()):
            drawing = svg.reliability(
                part["mean_probability"], part["share_positive"], part["count"], f"Reliability of {model['name']}"
            )
            panels.append(Panel(model["name"], drawing))
    caption = (
        "Reliability: mean probability of a bin (horizontal) and share of positives in it (vertical). A calibrated "
        "model lies on the dashed line; the area of a disc shows the number of predictions."
    )
    return _picture(caption, panels)


def _projections(models: Models) -> list[Picture]:
    """Return one picture per model: the whole space, and the sub-space if it has one."""
    found = []
    for model in models:
        part = part_at(model, "projection")
        if not part:
            continue
        names = list(part["highlight"])
        groups, legend = _groups(part["highlight"], len(part["whole"]))
        shown = " and ".join(names) or "no tag"
        alt = f"{part['method']} of the tracks by {model['name']}, {shown} highlighted"
        panels = [Panel("whole space", svg.scatter(part["whole"], groups, f"{alt}, whole space"))]
        if part.get("sub"):
            panels.append(Panel(f"{part['space']} sub-space", svg.scatter(part["sub"], groups, f"{alt}, sub-space")))
        found += _picture(f"{model['name']} ({part['method']})", panels, legend)
    return found


def _groups(
    highlight: Mapping[str, Sequence[bool]], count: int
) -> tuple[list[tuple[str, list[bool]]], tuple[tuple[str, str], ...]]:
    """Return the points of neither tag, of each, and of both, as CSS class with flags, and the legend."""
    first, second = (*(list(flags) for flags in highlight.values()), [False] * count, [False] * count)[:2]
    pairs = list(zip(first, second, strict=True))
    groups = [
        ("neither", [not (a or b) for a, b in pairs]),
        ("first", [a and not b for a, b in pairs]),
        ("second", [b and not a for a, b in pairs]),
        ("both", [a and b for a, b in pairs]),
    ]
    meanings = dict(zip(("first", "second"), highlight, strict=False)) | {"both": "both", "neither": "neither"}
    legend = [(kind, f"{meanings[kind]} ({sum(flags)})") for kind, flags in groups if any(flags)]
    return groups, tuple(legend)


_PAPER = {model["name"]: model for model in published.models()}


def _bar(kind: str, model: Model, path: Path) -> Bar:
    """Return the bar of a metric, with the paper's value as a mark if there is one."""
    paper = _PAPER.get(model["name"])
    return Bar(kind, metric_at(model, *path), metric_at(paper, *path) if paper else None)


def _bars(title: str, rows: Sequence[Row], style: Style, alt: str, scale: svg.Scale | None = None) -> list[Panel]:
    """Return a panel of the rows that have a metric; none if no row has."""
    known = [row for row in rows if any(bar.metric for bar in row.bars)]
    metrics: list[Metric | None] = [item for row in known for bar in row.bars for item in (bar.metric, bar.paper)]
    return [Panel(title, svg.bars(known, scale or svg.accuracy_scale(metrics), style, alt))] if known else []


def _picture(
    caption: str, panels: Sequence[Panel], legend: Sequence[tuple[str, str]] = (), summary: str = "", shown: bool = True
) -> list[Picture]:
    """The picture in a list, empty if nothing is drawn; the legend explains the paper's mark if there is one."""
    if not panels:
        return []
    marked = any('class="paper"' in panel.svg for panel in panels)
    entries = (*legend, *([("paper", "the paper's (other data and labels)")] if marked else []))
    return [Picture(caption, tuple(panels), entries, summary, shown)]
