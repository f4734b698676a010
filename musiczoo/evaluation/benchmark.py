"""Evaluate models on a split of a prepared data set: the paper's tasks, agreement with teachers, artist retrieval.

Conventions
-----------
- All models are evaluated on the same tracks, with the same tags and triplets (see
  `musiczoo.evaluation.ground_truth`).
- Metrics are at track level, except those of track triplets, which are excerpts.
- Encoders of your own and embeddings from a file are evaluated like models: see `musiczoo.evaluation.foreign`.
- A track that lacks labels or cannot be decoded is left out for all models. A model that fails is left out, and the
  others are evaluated. A task that a model cannot do is skipped. The report gives the reason each time.

Tasks
-----
`tagging`, `retrieval`, `triplets` and `time` (`training_time`) are those of Lee et al., ISMIR 2020 (arXiv:2008.03729),
section 4.3. `agreement` compares a model's tags with the teachers' scores. `artists` retrieves tracks of the same
artist and of the same package (an album or a game), where the data set names them. `voices` compares music with and
without a singer, in `rendered_music`, whose songs come in such pairs.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from musiczoo.card import CARD_FILE, ModelCard
from musiczoo.datasets import rendered_music
from musiczoo.datasets.dim_sim import Clip
from musiczoo.datasets.prepared import ANNOTATIONS, Store, TrackEntry
from musiczoo.errors import DatasetError, InputError, MusicZooError, UnknownNameError
from musiczoo.model import Model, load
from musiczoo.registry import find, list_models

from . import ground_truth
from .embeddings import Outputs, embed_clips, run_models
from .foreign import Embeddings, Encoder, as_model, name_of
from .ground_truth import GroundTruth, Settings, TripletLists
from .metrics import agreement, artist_retrieval, retrieval, tagging, training_time, triplets, voices
from .projection import project
from .report import published

TASKS = ("tagging", "retrieval", "triplets", "time", "agreement", "artists", "voices")
FORMAT = 1
"""Format of the report."""

_NO_CLIPS = np.zeros((0, 1), np.float32)

Measured = Model | Embeddings | Encoder | str | Path
"""What `evaluate` measures: a model, its name or folder, an encoder of your own, or embeddings from a file."""

HumanTriplet = tuple[Clip, Clip, Clip]
"""Anchor, the clip that people judged more similar to it, and the other one."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Case:
    """A model with everything that its evaluation needs."""

    card: ModelCard
    outputs: Outputs
    human: NDArray[np.float32] | MusicZooError  # [3 * triplets, E]: anchor, positive, negative, anchor, ...
    truth: GroundTruth
    entries: Sequence[TrackEntry]
    groups: NDArray[np.str_] | None  # [tracks], what the bootstrap draws
    lists: TripletLists | None
    times: Mapping[str, Mapping[str, Any]]
    settings: Settings


def evaluate(
    models: Sequence[Measured],
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
    """Evaluate models.

    Args:
        models: Models, or arguments of `musiczoo.load`; encoders of your own, and files of embeddings (see
            `musiczoo.evaluation.foreign`).
        store: A prepared data set.
        teachers: Names of the teachers whose labels are used.
        split: One of `musiczoo.datasets.prepared.SPLITS`.
        tasks: Some of `TASKS`.
        settings: See `Settings`.
        times: Model -> argument of `training_time.ratios`, for the task `time`.
        triplet_file: Triplet lists to use, .npz or .csv (see `musiczoo.evaluation.ground_truth`). If the file does not
            exist and is no .csv, the lists drawn are written to it.
        human: Triplets judged by people, such as those of dim-sim.
        console: Console for progress; standard error by default.

    Returns:
        The report, ready for JSON: ``"format"``, ``"data"``, ``"settings"``, ``"models"`` (in the order given, each
        with a key for each task, and ``"skipped"``: task -> reason) and ``"models_left_out"``:
        ``[{"name", "reason"}]``.

    Raises:
        UnknownNameError: If there is no such model, task or split.
        InputError: If no teacher or model is named, or another argument is malformed.
        DatasetError: If no track is left to evaluate on.
        MusicZooError: If no model is left: the error of the first one.

    Example:
        A data set of one recording, labelled by a model, which agrees with its own labels:

        >>> import tempfile
        >>> from musiczoo import demo
        >>> from musiczoo.datasets import dataset, label, prepare
        >>> from musiczoo.taxonomy import DIMENSION_TAGS, TAGS
        >>> items = tuple(dataset.Item(split, split, demo.PATH, ()) for split in ("train", "test"))
        >>> music = dataset.Dataset("folder", demo.PATH.parent, TAGS, DIMENSION_TAGS, items)
        >>> levels = prepare.FrontEnd({"sample_rate": 22050}, lambda samples: samples[::512, None].astype(np.float16))
        >>> quiet = Console(quiet=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = prepare.prepare(music, folder, levels, console=quiet)
        ...     _ = label.label(folder, ["proxy"], console=quiet)
        ...     report = evaluate(["proxy"], store, ["proxy"], tasks=["agreement"], console=quiet)
        >>> report["models"][0]["agreement"]["top_k_overlap"]["value"]
        5.0
    """
    chosen, settings = _checked(tasks), settings or Settings()
    if not models:
        raise InputError("Expected one or more models, got none. See: musiczoo models")
    sources = [find(model) if isinstance(model, str | Path) else model for model in models]  # unknown names first
    truth, left_out = ground_truth.read(store, split, teachers)
    untagged = len(truth.ids) - len(truth.tagged)
    if settings.drop_untagged:
        if not truth.tagged:
            raise DatasetError(f"Expected tracks with a tag in the split {split!r} of {store.root}, found none.")
        truth = truth.only(truth.tagged)
    entries = [store.track(track_id) for track_id in truth.ids] if set(chosen) - {"time"} else []
    loaded: list[Model | Embeddings] = []
    failures: list[tuple[str, MusicZooError]] = []
    for source in sources:
        try:
            loaded.append(_ready(source))
        except MusicZooError as error:
            failures.append((name_of(source), error))
    found, undecoded = run_models([model for model in loaded if isinstance(model, Model)], store, entries, console)
    of_models = iter(found)
    complete: list[tuple[ModelCard, Outputs, NDArray[np.float32] | MusicZooError]] = []
    for model in loaded:
        outputs = next(of_models) if isinstance(model, Model) else _outputs(model, entries)
        if isinstance(outputs, MusicZooError):
            failures.append((model.name, outputs))
        else:
            complete.append((model.card, outputs, _embed_human(model, human)))
    if not complete:
        raise failures[0][1]
    left_out |= undecoded
    truth = truth.only([track_id for track_id in truth.ids if track_id not in left_out])
    ground_truth.require_tracks(truth.ids, store, split, teachers, left_out)
    tracks = [store.track(track_id) for track_id in truth.ids]
    groups = _groups(tracks, settings.resample)
    lists = None
    if "triplets" in chosen:
        longest = max(card.excerpt_seconds for card, _, _ in complete)
        lists = ground_truth.triplet_lists(truth, settings, triplet_file, longest)
    ratios = training_time.ratios(
        {card.name: times[card.name] for card, _, _ in complete if times and card.name in times}
    )
    results = []
    for card, outputs, clips in complete:
        outputs = outputs.only(truth.ids) if entries else outputs
        results.append(_entry(_Case(card, outputs, clips, truth, tracks, groups, lists, ratios, settings), chosen))
    return {
        "format": FORMAT,
        "data": {
            "name": store.dataset,
            "split": split,
            "tracks": len(truth.ids),
            "excerpts": sum(truth.excerpts),
            "labels": " ".join(
                filter(None, (truth.source(teachers), _about_untagged(untagged, settings.drop_untagged)))
            ),
            "untagged": {"tracks": untagged, "dropped": settings.drop_untagged},
            "teachers": list(teachers),
            "tag_counts": dict(zip(truth.tags, truth.positives.sum(axis=0).tolist(), strict=True)),
            "tracks_left_out": [{"id": track_id, "reason": reason} for track_id, reason in left_out.items()],
        },
        "settings": {**dataclasses.asdict(settings), "ks": list(settings.ks)},
        "models": results,
        "models_left_out": [{"name": name, "reason": str(error)} for name, error in failures],
    }


def find_models(names: Iterable[str]) -> list[str]:
    """Replace folders of models by the models in them.

    Args:
        names: Names of models, their folders, or folders with models in them.

    Returns:
        Names and folders of models. In a folder, the paper's models come first, in the paper's order.

    Example:
        >>> find_models(["proxy"])
        ['proxy']
        >>> from musiczoo.registry import packaged_zoo
        >>> [Path(model).name for model in find_models([str(packaged_zoo())])][:2]
        ['triplet', 'disentangled-triplet']
    """
    found: list[str] = []
    for name in names:
        folder = Path(name)
        inside = sorted(card.parent.name for card in folder.glob(f"*/{CARD_FILE}"))
        if not inside or name in list_models() or (folder / CARD_FILE).exists():
            found.append(name)
            continue
        paper = [model["name"] for model in published.models() if model["name"] in inside]
        found += [str(folder / model) for model in dict.fromkeys([*paper, *inside])]
    return found


def default_tasks(store: Store, split: str, teachers: Sequence[str]) -> list[str]:
    """Return the tasks that the labels and tracks of a data set allow, without training times.

    Args:
        store: A prepared data set.
        split: Its split.
        teachers: Sources of the labels.
    """
    with_teachers = list(teachers) != [ANNOTATIONS]
    named = any(track.artist or track.package for track in store.split(split))
    left_out = {"time"} | (set() if with_teachers else {"agreement"}) | (set() if named else {"artists"})
    left_out |= set() if with_teachers and rendered_music.song_pairs(store.split(split)) else {"voices"}
    return [task for task in TASKS if task not in left_out]


def _groups(tracks: Sequence[TrackEntry], unit: str) -> NDArray[np.str_] | None:
    """Return the bootstrap group of each track; None where single tracks are drawn."""
    if unit == "track":
        return None
    return np.array([f"{unit} {name}" if (name := getattr(track, unit)) else f"track {track.id}" for track in tracks])


def _about_untagged(count: int, dropped: bool) -> str:
    """Return a sentence for the report about the tracks without a tag; empty if there are none."""
    if not count:
        return ""
    tracks = f"{count:,} track{'' if count == 1 else 's'}"
    if dropped:
        return f"Tracks without a tag are left out: {tracks}."
    return (
        f"Tracks without a tag are included: {tracks}. They are negative for every tag in ROC-AUC and average "
        "precision; in retrieval they are no queries, but may be retrieved."
    )


def _checked(tasks: Iterable[str]) -> list[str]:
    """Return the tasks in the order of `TASKS`."""
    given = list(tasks)
    for task in given:
        if task not in TASKS:
            raise UnknownNameError.of("task", task, TASKS)
    if not given:
        raise InputError(f"Expected one or more tasks, got none. Available: {', '.join(TASKS)}.")
    return [task for task in TASKS if task in given]


def _ready(source: Model | Embeddings | Encoder | Path) -> Model | Embeddings:
    """Return what is measured in a form that can be run, or read."""
    if isinstance(source, Model | Embeddings):
        return source
    return load(source) if isinstance(source, Path) else as_model(source)


def _outputs(embeddings: Embeddings, entries: Sequence[TrackEntry]) -> Outputs | MusicZooError:
    try:
        return embeddings.outputs(entries)
    except MusicZooError as error:
        return error


def _embed_human(model: Model | Embeddings, human: Sequence[HumanTriplet]) -> NDArray[np.float32] | MusicZooError:
    """Return the clips' embeddings, or the error: one missing file must not lose the other tasks."""
    if isinstance(model, Embeddings):
        return InputError(f"{model.name} has embeddings of tracks, none of clips.") if human else _NO_CLIPS
    try:
        return embed_clips(model, [clip for triplet in human for clip in triplet])
    except MusicZooError as error:
        return error


def _entry(case: _Case, chosen: Sequence[str]) -> dict[str, Any]:
    """Return a model's entry in the report."""
    card = case.card
    result: dict[str, Any] = {
        "name": card.name,
        "version": card.version,
        "space_id": card.space_id,
        "parameters": card.parameters or None,
        "spaces": list(card.spaces),
        "normalized": card.normalized,
    }
    skipped: dict[str, str] = {}
    for task in chosen:
        try:
            result |= _EVALUATIONS[task](case)
        except MusicZooError as error:
            skipped[task] = str(error)
    return result | {"skipped": skipped}


def _tags(case: _Case) -> NDArray[np.float64]:
    """Return the model's probabilities of the data set's tags: ``[tracks, tags]``."""
    known, wanted = case.card.tags, case.truth.tags
    lacking = [tag for tag in wanted if tag not in known]
    if lacking:
        raise InputError(
            f"Expected a model with the {len(wanted)} tags of the data set, got {case.card.name!r}, which lacks "
            f"{len(lacking)} of them ({', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''})."
        )
    return case.outputs.tags[:, [known.index(tag) for tag in wanted]].astype(np.float64)


def _spaces(case: _Case) -> dict[str, slice]:
    """Return the model's sub-spaces: dimension -> columns."""
    return {name: slice(*columns) for name, columns in case.card.spaces.items() if name in case.truth.dimensions}


def _tagging(case: _Case) -> dict[str, Any]:
    tags, truth = _tags(case), case.truth
    metrics = tagging.evaluate(tags, truth.positives, truth.tags, groups=case.groups)
    return {"tagging": metrics | {"reliability": tagging.reliability(tags, truth.positives)}}


def _retrieval(case: _Case) -> dict[str, Any]:
    """Evaluate the whole space by all tags, and each sub-space and the whole space by those of each dimension."""
    vectors, truth, ks, groups = case.outputs.vectors, case.truth, case.settings.ks, case.groups
    if len(vectors) < 2:
        raise InputError(f"Expected two tracks or more to retrieve one from the others, got {len(vectors)}.")
    k = min(max(ks), len(vectors) - 1)
    whole = retrieval.nearest(vectors, k)
    found = {"all": retrieval.evaluate(whole, truth.positives, ks, groups)}
    for name, columns in _spaces(case).items():
        near = retrieval.nearest(vectors[:, columns], k)
        found[name] = retrieval.evaluate(near, truth.of_dimension(name), ks, groups)
    by_dimension = {name: retrieval.evaluate(whole, truth.of_dimension(name), ks, groups) for name in truth.dimensions}
    picture = project(vectors, case.card.spaces, truth.positives, truth.dimensions, truth.tags, case.settings.seed)
    return {"retrieval": found, "retrieval_whole": by_dimension, "projection": picture}


def _triplets(case: _Case) -> dict[str, Any]:
    if case.lists is None:
        raise InputError("Expected triplet lists, got none.")
    vectors, spaces, lists, groups = case.outputs.vectors, _spaces(case), case.lists.by_dimension, case.groups
    result: dict[str, Any] = {"whole": triplets.evaluate(dict.fromkeys(lists, vectors), lists, groups=groups)}
    if spaces:
        own = {name: vectors[:, columns] for name, columns in spaces.items() if name in lists}
        result["sub-space"] = triplets.evaluate(own, {name: lists[name] for name in own}, groups=groups)
    counts = [len(rows) for rows in case.outputs.excerpts]
    if tuple(counts) == case.lists.excerpts:
        track_of, excerpts = np.repeat(np.arange(len(vectors)), counts), np.concatenate(case.outputs.excerpts)
        result["track"] = triplets.evaluate({"track": excerpts}, {"track": case.lists.track}, track_of, groups)["track"]
    else:
        result["track_left_out"] = f"Expected {sum(case.lists.excerpts)} rows, one for each excerpt, got {sum(counts)}."
    if isinstance(case.human, MusicZooError):
        return {"triplets": result | {"dim_sim_left_out": str(case.human)}}
    if len(case.human):
        human = triplets.Triplets.of(np.arange(len(case.human)))
        result["dim_sim"] = triplets.evaluate({"dim_sim": case.human}, {"dim_sim": human})["dim_sim"]
    return {"triplets": result}


def _time(case: _Case) -> dict[str, Any]:
    if case.card.name not in case.times:
        raise InputError(
            f"Expected training times of {case.card.name!r}, got none. Measure them, or leave out the task."
        )
    return {"time": dict(case.times[case.card.name])}


def _agreement(case: _Case) -> dict[str, Any]:
    if case.truth.annotated:
        raise InputError("Expected scores of teachers, got annotations by people. Name teachers with --teacher.")
    truth = case.truth
    k = min(agreement.TOP_K, len(truth.tags))
    metrics = agreement.teacher_agreement(_tags(case), truth.labels, truth.tags, k, groups=case.groups)
    return {"agreement": metrics}


def _artists(case: _Case) -> dict[str, Any]:
    artists, packages = ([getattr(track, name) for track in case.entries] for name in ("artist", "package"))
    if not any(artists) and not any(packages):
        raise InputError("Expected the artist or package of tracks, got a data set that names none.")
    return {"artists": artist_retrieval.evaluate_tasks(case.outputs.vectors, artists, packages)}


def _voices(case: _Case) -> dict[str, Any]:
    if case.truth.annotated:
        raise InputError("Expected scores of teachers, got annotations by people. Name teachers with --teacher.")
    pairs = rendered_music.song_pairs(case.entries)
    if len(pairs) < 2:
        raise InputError(f"Expected two songs or more with and without a singer, got {len(pairs)}: use rendered_music.")
    rows = {track.id: row for row, track in enumerate(case.entries)}
    sung, backing = ([rows[track_id] for track_id in ids] for ids in zip(*pairs, strict=True))
    columns = [case.truth.tags.index(tag) for tag in voices.VOICE_TAGS]
    ours, theirs = (voices.logits_of(scores[:, columns]) for scores in (_tags(case), case.truth.labels))
    registers = [rendered_music.register_of(case.entries[row]) for row in sung]
    metrics = voices.evaluate(ours[sung], ours[backing], theirs[sung], theirs[backing], registers)
    vectors = case.outputs.vectors
    return {"voices": {**metrics, "nearer": voices.nearer(vectors[sung], vectors[backing], _spaces(case))}}


_EVALUATIONS: dict[str, Callable[[_Case], dict[str, Any]]] = {
    "tagging": _tagging,
    "retrieval": _retrieval,
    "triplets": _triplets,
    "time": _time,
    "agreement": _agreement,
    "artists": _artists,
    "voices": _voices,
}
