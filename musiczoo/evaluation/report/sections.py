"""The content of a report: sections with texts and tables, in order.

`render` formats the same sections as Markdown and as a page; the page adds pictures by `Section.key`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musiczoo.datasets.prepared import ANNOTATIONS

from ..projection import MAX_TRACKS
from . import published, tables
from .findings import Finding, findings
from .metric import metric_at, whole
from .tables import Models, Table, part_at

PAPERS = "msd"
"""Name of the paper's data set."""

MOST_LISTED = 20
"""Number of left-out tracks that the text names."""

INTERVALS = "95 % intervals are in small print or in brackets."


@dataclass(frozen=True)
class Section:
    """A heading with its text, findings and tables."""

    key: str
    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    findings: tuple[Finding, ...] = ()


def title(report: Mapping[str, Any]) -> str:
    """Return the title of the report."""
    models = report["models"]
    of = models[0]["name"] if len(models) == 1 else f"{len(models)} models"
    return f"Evaluation of {of} on {report['data']['name']}"


def lead(report: Mapping[str, Any]) -> str:
    """Return the first paragraph: where the labels come from, and what can be compared with the paper."""
    data = report["data"]
    labels = str(data.get("labels") or "The source of the labels is unknown.").strip()
    return f"{labels}{'' if labels[-1] in '.!?' else '.'} {_comparable(data)}"


def sections(report: Mapping[str, Any]) -> list[Section]:
    """Return all sections that the report has content for."""
    models: Models = report["models"]
    every = [
        _comparison(report, models),
        _findings(models),
        _triplets(report, models),
        _retrieval(models),
        _tagging(report, models),
        _projection(models),
        _time(models),
        _agreement(models),
        _artists(models),
        _voices(models),
        _about(report, models),
    ]
    return [section for section in every if section is not None]


def source(report: Mapping[str, Any]) -> str:
    """Return the data, such as ``open_music, test, 51 tracks``."""
    data = report["data"]
    return ", ".join([str(data["name"]), str(data["split"]), _count(data["tracks"], "track")])


def _comparable(data: Mapping[str, Any]) -> str:
    human, papers = list(data.get("teachers") or ()) == [ANNOTATIONS], data["name"] == PAPERS
    if human and papers:
        return (
            "The data and the kind of labels are the paper's, so the metrics can be compared with the paper's if the "
            "tracks are the same."
        )
    why = "The paper's labels are Last.fm tags, which people gave to other music"
    if not human:
        why += "; agreeing with another model is not the same task"
    return (
        f"{why}. What can be compared with the paper is the order of the models on each task, "
        "not the absolute values of the metrics."
    )


def _comparison(report: Mapping[str, Any], models: Models) -> Section:
    theirs = f"The paper: {published.DATA_SET}"
    found = [
        tables.comparison(published.models(), f"{theirs}."),
        tables.comparison(models, f"Ours: {source(report)}."),
    ]
    text = (
        "Time: epochs to early stopping times time per epoch, as a ratio to the fastest. R@K in percent (eq. 12), "
        "whole space. AUC: macro ROC-AUC. Triplets: share predicted correctly. The best values are bold.",
    )
    return Section("comparison", "The paper's table beside ours", text, _present(found))


def _findings(models: Models) -> Section:
    text = (
        "Decided by the metrics of this report and the rule of each finding. All models are evaluated on the same "
        "tracks, so overlapping intervals do not prove that two models are equal: they say that the choice of the "
        "tracks could make a difference of this size.",
    )
    return Section("findings", "Do the paper's findings hold here?", text, findings=tuple(findings(models)))


def _triplets(report: Mapping[str, Any], models: Models) -> Section | None:
    caption = f"Ours: {source(report)}. {INTERVALS}"
    ours = [tables.triplets(models, caption), tables.other_triplets(models, caption)]
    if not any(ours):
        return None
    theirs = tables.triplets(published.models(), f"The paper: {published.DATA_SET}.")
    text = (
        "The share of triplets in which the anchor is nearer to the positive than to the negative; 0.5 is chance. Per "
        "dimension, anchor and positive share a tag of it and the negative lacks that tag, for whole tracks, in the "
        "whole space and in the dimension's own sub-space. Track triplets are of 3-s excerpts; human triplets are "
        "dim-sim's.",
        *_triplet_counts(models),
    )
    return Section("triplets", "Triplet prediction", text, _present([theirs, *ours]))


def _triplet_counts(models: Models) -> list[str]:
    """Return the numbers of triplets, as the first model that has them gives them."""
    for model in models:
        part = part_at(model, "triplets")
        spaces = [*part_at(part, "whole").items(), *((key, part.get(key)) for key in ("track", "dim_sim"))]
        counts = {name: metric_at(item, "count") for name, item in spaces if isinstance(item, Mapping)}
        listed = [f"{name} {whole(count.value)}" for name, count in counts.items() if count]
        if listed:
            return [f"Numbers of triplets: {', '.join(listed)}."]
    return []


def _retrieval(models: Models) -> Section | None:
    parts = [part_at(model, key) for model in models for key in ("retrieval", "retrieval_whole")]
    dimensions = dict.fromkeys(name for part in parts for name in part if name != tables.ALL)
    found = [
        tables.retrieval(models, f"By all tags{_queries(models, tables.ALL)}, whole space. {INTERVALS}"),
        *(
            tables.retrieval_by(models, name, f"By the tags of {name}{_queries(models, name)}. {INTERVALS}")
            for name in dimensions
        ),
    ]
    if not any(found):
        return None
    text = (
        "R@K: the share of a track's tags that occur among its K nearest other tracks (eq. 12). Hit@K: the share of "
        "tracks that share a tag with at least one of them. Both in percent.",
    )
    return Section("retrieval", "Retrieval", text, _present(found))


def _queries(models: Models, space: str) -> str:
    found = (metric_at(model, key, space, "queries") for model in models for key in ("retrieval", "retrieval_whole"))
    queries = next(filter(None, found), None)
    return f" ({whole(queries.value)} queries)" if queries else ""


def _tagging(report: Mapping[str, Any], models: Models) -> Section | None:
    summary = tables.tagging(models, f"Macro means over tags; ours: {source(report)}. {INTERVALS}")
    if summary is None:
        return None
    counts = part_at(report["data"], "tag_counts")
    star = f"{tables.LEFT_OUT.strip()}: left out of the means."
    by_tag = [
        tables.tags(models, counts, metric, f"{name} by tag, with the number of tracks that have it. {star}")
        for metric, name in tables.METRICS.items()
    ]
    return Section("tagging", "Auto-tagging", tuple(_left_out(models)), _present([summary, *by_tag]))


def _left_out(models: Models) -> list[str]:
    """Return the tags that the means leave out, by model if they differ."""
    by_tags: dict[tuple[str, ...], list[str]] = {}
    for model in models:
        if "tagging" in model:
            by_tags.setdefault(tuple(model["tagging"].get("left_out") or ()), []).append(model["name"])
    if list(by_tags) == [()]:
        return ["No tag is left out of the means."]
    return [
        f"Left out of the means{'' if len(by_tags) == 1 else ' of ' + ', '.join(names)} "
        f"because too few tracks have or lack the tag ({len(tags)}): {', '.join(tags) or 'none'}."
        for tags, names in by_tags.items()
    ]


def _projection(models: Models) -> Section | None:
    """Return the section of projections, which has only pictures, so that Markdown leaves it out."""
    drawn = any(model.get("projection") for model in models)
    text = (
        "The paper's picture: a point is a track, neighbouring points are near in the embedding, and two tags are "
        f"highlighted. Directions and scale have no meaning. At most {whole(MAX_TRACKS)} tracks, evenly chosen, are "
        "drawn.",
    )
    return Section("projection", "The embedding in two dimensions", text) if drawn else None


def _time(models: Models) -> Section | None:
    found = tables.time(models, "Ratios are to the fastest model of this report.")
    text = ("The ratio of the training compares epochs to early stopping times time per epoch, if both are known.",)
    return Section("time", "Training time", text, (found,)) if found else None


def _agreement(models: Models) -> Section | None:
    found = tables.agreement(models, f"Agreement with the teachers' mean. {INTERVALS}")
    text = (
        "Rank correlations of each model's tags with the scores of its teachers, and how many of a track's likeliest "
        "tags the two share. Teacher ROC-AUC and teacher average precision take those tags as positives; the ROC-AUC "
        "under Auto-tagging uses the tags of the data set instead.",
    )
    return Section("agreement", "Agreement with the teachers", text, (found,)) if found else None


def _artists(models: Models) -> Section | None:
    found = tables.artists(models, f"Artist and album retrieval. {INTERVALS}")
    text = (
        "How many of the nearest tracks have the artist or the album of the query: the precision at 1 and 5, and the "
        "mean average precision. For 'other albums', tracks of the query's album are neither relevant nor ranked. An "
        "album is a package where the data set has those. Intervals are over albums.",
    )
    return Section("artists", "Same artist, same album", text, (found,)) if found else None


def _voices(models: Models) -> Section | None:
    found = tables.voices(models, f"Music with and without a singer. {INTERVALS}")
    text = (
        "When a singer is added to music, how far the logits of the four tags of voices move, as a multiple of how far "
        "those of the teachers move (slope), and how well the movements correlate (r); how well songs are "
        "distinguished from their backings, and high voices from low ones; and how often songs with a voice are nearer "
        "to other songs with a voice than to their backings, and backings nearer to backings (chance: 0.5).",
    )
    return Section("voices", "Voices", text, (found,)) if found else None


def _about(report: Mapping[str, Any], models: Models) -> Section:
    data, settings = report["data"], part_at(report, "settings")
    excerpts = f", {_count(data['excerpts'], 'excerpt')}" if data.get("excerpts") is not None else ""
    text = [f"Data: {source(report)}{excerpts}. Labels by: {', '.join(data.get('teachers') or ()) or 'unknown'}."]
    if settings:
        text.append("Settings: " + "; ".join(f"{key} {_plain(value)}" for key, value in settings.items()) + ".")
    left_out = data.get("tracks_left_out") or []
    listed = "; ".join(f"{item['id']} ({item['reason']})" for item in left_out[:MOST_LISTED])
    if len(left_out) > MOST_LISTED:
        listed += f"; and {whole(len(left_out) - MOST_LISTED)} more (see report.json)"
    text.append(f"Tracks left out ({len(left_out)}): {listed}." if left_out else "No track was left out.")
    found = [
        tables.inventory(models, "The models."),
        tables.missing(report, "Models and tasks that were not evaluated."),
    ]
    text.append("The paper: Lee et al., ISMIR 2020 (arXiv:2008.03729).")
    return Section("about", "Models, data and settings", tuple(text), _present(found))


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _count(number: int, noun: str) -> str:
    return f"{whole(number)} {noun}{'' if number == 1 else 's'}"


def _present(found: Sequence[Table | None]) -> tuple[Table, ...]:
    return tuple(item for item in found if item is not None)
