"""Measure models on a split of a prepared data set: the paper's tasks, and agreement with teachers.

Conventions
-----------
- All models are measured on the same tracks, by the same hard tags and triplets (see `truth`).
- Figures are at track level, except those of track triplets, which are excerpts.
- A track that lacks labels or cannot be decoded is left out, for all models. A model that fails is left out and the
  others are measured. A task that a model cannot do is skipped. Each time the reason is in the report.

Tasks
-----
`tagging`, `retrieval`, `triplets` and time (`training_time`) are those of Lee et al., ISMIR 2020 (arXiv:2008.03729),
section 4.3; `agreement` holds a model's tags against the teachers' own scores.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from musiczoo.card import ModelCard
from musiczoo.datasets.dim_sim import Clip
from musiczoo.datasets.prepared import Store
from musiczoo.errors import DatasetError, InputError, MusicZooError, UnknownNameError
from musiczoo.model import Model, load
from musiczoo.registry import find

from .._projection import project
from . import ground_truth as truths
from .embeddings import Heard, hear, hear_clips
from .ground_truth import Settings, Truth
from .metrics import agreement, retrieval, tagging, training_time, triplets
from .triplet_lists import TripletLists

TASKS = ("tagging", "retrieval", "triplets", "time", "agreement")
FORMAT = 1
"""Of the report."""

HumanTriplet = tuple[Clip, Clip, Clip]
"""Anchor, what people heard as more similar to it, and what as less."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Case:
    """A model and all that it is measured by."""

    card: ModelCard
    heard: Heard
    human: NDArray[np.float32] | MusicZooError  # [3 * triplets, E]: anchor, positive, negative, anchor, ...
    truth: Truth
    lists: TripletLists | None
    times: Mapping[str, Mapping[str, Any]]
    settings: Settings


def evaluate(
    models: Sequence[Model | str | Path],
    store: Store,
    teachers: Sequence[str],
    split: str = "test",
    tasks: Iterable[str] = TASKS,
    settings: Settings | None = None,
    times: Mapping[str, Mapping[str, float | None]] | None = None,
    triplet_file: Path | None = None,
    human: Sequence[HumanTriplet] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Measure models.

    Args:
        models: Models, or what `musiczoo.load` takes.
        store: A prepared data set.
        teachers: Whose labels say which tags the tracks have.
        split: One of `musiczoo.datasets.prepared.SPLITS`.
        tasks: Some of `TASKS`.
        settings: See `Settings`.
        times: Model -> what `training_time.ratios` takes, for the task time.
        triplet_file: Triplet lists to use; written with those drawn if it is not there.
        human: Triplets that people judged, such as those of dim-sim.
        console: Where progress goes; standard error by default.

    Returns:
        The report, ready for JSON: ``"format"``, ``"data"``, ``"settings"``, ``"models"`` (in the order given, each
        with a key for each task, and ``"skipped"``: task -> reason) and ``"models_left_out"``:
        ``[{"name", "reason"}]``.

    Raises:
        UnknownNameError: If there is no such model, task or split.
        InputError: If no teacher or model is named, or another argument is malformed.
        DatasetError: If no track is left to measure.
        MusicZooError: If no model is left, why the first one is not.
    """
    chosen, settings = _chosen(tasks), settings or Settings()
    if not models:
        raise InputError("Expected one or more models, received none. See: musiczoo models")
    sources = [model if isinstance(model, Model) else find(model) for model in models]  # unknown names before the work
    truth, left_out = truths.read(store, split, teachers)
    untagged = len(truth.ids) - len(truth.tagged)
    if settings.drop_untagged:
        if not truth.tagged:
            raise DatasetError(f"Expected tracks with a tag in the split {split!r} of {store.root}, found none.")
        truth = truth.only(truth.tagged)
    entries = [store.track(track_id) for track_id in truth.ids] if set(chosen) - {"time"} else []
    loaded: list[Model] = []
    failures: list[tuple[str, MusicZooError]] = []
    for source in sources:
        try:
            loaded.append(source if isinstance(source, Model) else load(source))
        except MusicZooError as error:
            failures.append((source.name, error))
    answers, undecoded = hear(loaded, store, entries, console)
    heard: list[tuple[ModelCard, Heard, NDArray[np.float32] | MusicZooError]] = []
    for model, answer in zip(loaded, answers, strict=True):
        if isinstance(answer, MusicZooError):
            failures.append((model.name, answer))
        else:
            heard.append((model.card, answer, _hear_human(model, human)))
    if not heard:
        raise failures[0][1]
    left_out |= undecoded
    truth = truth.only([track_id for track_id in truth.ids if track_id not in left_out])
    truths.require(truth.ids, store, split, teachers, left_out)
    lists = None
    if "triplets" in chosen:
        lists = truths.lists_of(truth, settings, triplet_file, max(card.excerpt_seconds for card, _, _ in heard))
    ratios = training_time.ratios({card.name: times[card.name] for card, _, _ in heard if times and card.name in times})
    results = []
    for card, what, clips in heard:
        case = _Case(card, what.only(truth.ids) if entries else what, clips, truth, lists, ratios, settings)
        results.append(_entry(case, chosen))
    return {
        "format": FORMAT,
        "data": {
            "name": store.dataset,
            "split": split,
            "tracks": len(truth.ids),
            "excerpts": sum(truth.excerpts),
            "labels": " ".join(filter(None, (truth.source(teachers), _of_untagged(untagged, settings.drop_untagged)))),
            "untagged": {"tracks": untagged, "dropped": settings.drop_untagged},
            "teachers": list(teachers),
            "tag_counts": dict(zip(truth.tags, truth.positives.sum(axis=0).tolist(), strict=True)),
            "tracks_left_out": [{"id": track_id, "reason": reason} for track_id, reason in left_out.items()],
        },
        "settings": {**dataclasses.asdict(settings), "ks": list(settings.ks)},
        "models": results,
        "models_left_out": [{"name": name, "reason": str(error)} for name, error in failures],
    }


def _of_untagged(count: int, dropped: bool) -> str:
    """What happened to the tracks without a tag, as a sentence for the report; empty if there are none."""
    if not count:
        return ""
    tracks = f"{count:,} track{'' if count == 1 else 's'}"
    if dropped:
        return f"Left out for having no tag: {tracks}."
    return (
        f"Without a tag, and measured all the same: {tracks}. They lack every tag in ROC-AUC and average precision; in "
        "retrieval they are no queries, but may be found."
    )


def _chosen(tasks: Iterable[str]) -> list[str]:
    given = list(tasks)
    for task in given:
        if task not in TASKS:
            raise UnknownNameError.of("task", task, TASKS)
    if not given:
        raise InputError(f"Expected one or more tasks, received none. There are: {', '.join(TASKS)}.")
    return [task for task in TASKS if task in given]


def _hear_human(model: Model, human: Sequence[HumanTriplet]) -> NDArray[np.float32] | MusicZooError:
    """The clips' embeddings, or why there are none: one missing file is no reason to lose the rest."""
    try:
        return hear_clips(model, [clip for triplet in human for clip in triplet])
    except MusicZooError as error:
        return error


def _entry(case: _Case, chosen: Sequence[str]) -> dict[str, Any]:
    """A model's entry in the report."""
    card = case.card
    result: dict[str, Any] = {
        "name": card.name,
        "version": card.version,
        "space_id": card.space_id,
        "parameters": card.parameters,
        "spaces": list(card.spaces),
        "normalized": card.normalized,
    }
    skipped: dict[str, str] = {}
    for task in chosen:
        try:
            result |= _MEASURES[task](case)
        except MusicZooError as error:
            skipped[task] = str(error)
    return result | {"skipped": skipped}


def _tags(case: _Case) -> NDArray[np.float64]:
    """The model's probabilities for the tags of the data set: ``[tracks, tags]``."""
    known, wanted = case.card.tags, case.truth.tags
    lacking = [tag for tag in wanted if tag not in known]
    if lacking:
        raise InputError(
            f"Expected a model with the {len(wanted)} tags of the data set, received {case.card.name!r}, which lacks "
            f"{len(lacking)} of them ({', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''})."
        )
    return case.heard.tags[:, [known.index(tag) for tag in wanted]].astype(np.float64)


def _spaces(case: _Case) -> dict[str, slice]:
    """The model's sub-spaces: dimension -> columns."""
    return {name: slice(*columns) for name, columns in case.card.spaces.items() if name in case.truth.dimensions}


def _tagging(case: _Case) -> dict[str, Any]:
    tags, truth = _tags(case), case.truth
    figures = tagging.evaluate(tags, truth.positives, truth.tags)
    return {"tagging": figures | {"reliability": tagging.reliability(tags, truth.positives)}}


def _retrieval(case: _Case) -> dict[str, Any]:
    """The whole space by all tags; each sub-space, and the whole space again, by those of a dimension; a picture."""
    vectors, truth, ks = case.heard.vectors, case.truth, case.settings.ks
    if len(vectors) < 2:
        raise InputError(f"Expected two tracks or more to find one among the others, received {len(vectors)}.")
    k = min(max(ks), len(vectors) - 1)
    whole = retrieval.nearest(vectors, k)
    found = {"all": retrieval.evaluate(whole, truth.positives, ks)}
    for name, columns in _spaces(case).items():
        found[name] = retrieval.evaluate(retrieval.nearest(vectors[:, columns], k), truth.of_dimension(name), ks)
    by_dimension = {name: retrieval.evaluate(whole, truth.of_dimension(name), ks) for name in truth.dimensions}
    picture = project(vectors, case.card.spaces, truth.positives, truth.dimensions, truth.tags, case.settings.seed)
    return {"retrieval": found, "retrieval_whole": by_dimension, "projection": picture}


def _triplets(case: _Case) -> dict[str, Any]:
    if case.lists is None:
        raise InputError("Expected triplet lists, received none.")
    vectors, spaces, lists = case.heard.vectors, _spaces(case), case.lists.by_dimension
    result = {"whole": triplets.evaluate(dict.fromkeys(lists, vectors), lists)}
    if spaces:
        own = {name: vectors[:, columns] for name, columns in spaces.items()}
        result["sub-space"] = triplets.evaluate(own, {name: lists[name] for name in own})
    track_of = np.repeat(np.arange(len(vectors)), [len(rows) for rows in case.heard.excerpts])
    excerpts = np.concatenate(case.heard.excerpts)
    result["track"] = triplets.evaluate({"track": excerpts}, {"track": case.lists.track}, track_of)["track"]
    if isinstance(case.human, MusicZooError):
        return {"triplets": result | {"dim_sim_left_out": str(case.human)}}
    if len(case.human):
        human = triplets.Triplets.of(np.arange(len(case.human)))
        result["dim_sim"] = triplets.evaluate({"dim_sim": case.human}, {"dim_sim": human})["dim_sim"]
    return {"triplets": result}


def _time(case: _Case) -> dict[str, Any]:
    if case.card.name not in case.times:
        raise InputError(
            f"Expected training times of {case.card.name!r}, received none. Measure them, or leave out the task."
        )
    return {"time": dict(case.times[case.card.name])}


def _agreement(case: _Case) -> dict[str, Any]:
    if case.truth.annotated:
        raise InputError("Expected teachers' scores to agree with, received annotations. Name teachers with --teacher.")
    return {"agreement": agreement.evaluate(_tags(case), case.truth.labels, case.truth.tags)}


_MEASURES: dict[str, Callable[[_Case], dict[str, Any]]] = {
    "tagging": _tagging,
    "retrieval": _retrieval,
    "triplets": _triplets,
    "time": _time,
    "agreement": _agreement,
}
