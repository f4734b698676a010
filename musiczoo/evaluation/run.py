"""Hold a model, or the stored labels of one, against teachers on a split of a prepared data set.

Conventions
-----------
- Figures are at track level: a track's score for a tag is the mean over its excerpts, its label the mean
  over excerpts and teachers.
- A track that cannot be heard, or that a teacher has not labelled, is left out and listed with the reason.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track as progress

from musiczoo import audio
from musiczoo.datasets.store import Store, TrackEntry
from musiczoo.errors import DatasetError, InputError, MusicZooError
from musiczoo.model import Model, load
from musiczoo.taxonomy import TAGS

from . import agreement

Scores = NDArray[np.float64]

_ROWS = {
    "roc_auc": "ROC-AUC",
    "average_precision": "Average precision",
    "spearman": "Spearman over tracks, by tag",
    "spearman_by_track": "Spearman over tags, by track",
    "top_k_overlap": "Top tags shared",
}


def evaluate(
    model: Model | str | Path,
    store: Store,
    teachers: Sequence[str],
    split: str = "test",
    k: int = agreement.TOP_K,
    console: Console | None = None,
) -> dict[str, Any]:
    """Let a model hear the tracks of a split and compare its tags with the teachers' mean.

    Args:
        model: A model, or what `musiczoo.load` takes, with the tags of `musiczoo.taxonomy`.
        store: A prepared and labelled data set.
        teachers: Whose labels to compare with.
        split: One of `musiczoo.datasets.store.SPLITS`.
        k: Tags per track that count as given by the teachers.
        console: Where progress goes; standard error by default.

    Returns:
        The dict of `agreement.evaluate`, and ``"model"``, ``"dataset"``, ``"split"``, ``"teachers"`` and
        ``"tracks_left_out"``: ``[{"id", "reason"}]``, and the model's ``"version"`` and ``"space_id"``. Ready
        for JSON.

    Raises:
        UnknownNameError: If there is no such model or split.
        InputError: If the model has other tags, no teacher is named, or k is out of range.
        DatasetError: If no track is left to compare.
    """
    loaded = model if isinstance(model, Model) else load(model)
    if loaded.card.tags != TAGS:
        raise InputError(
            f"Expected a model with the {len(TAGS)} tags of musiczoo.taxonomy in their order, received "
            f"{loaded.card.name!r} with {len(loaded.card.tags)} others. Choose one of the same tags."
        )

    def hear(track: TrackEntry) -> Scores:
        rate = loaded.card.sample_rate
        samples = audio.read(store.audio(track.id), rate, track.duration_s)
        return np.asarray(loaded.analyze(samples, rate).tags.probabilities, np.float64)

    result = _compare(loaded.card.name, hear, store, teachers, split, k, console)
    return result | {"version": loaded.card.version, "space_id": loaded.card.space_id}


def compare(
    store: Store,
    labellers: Sequence[str],
    against: Sequence[str],
    split: str = "test",
    k: int = agreement.TOP_K,
    console: Console | None = None,
) -> dict[str, Any]:
    """Compare stored labels with stored labels, without running a model.

    Args:
        store: A prepared and labelled data set.
        labellers: Whose labels (their mean) take the place of a model's tags.
        against: Whose labels (their mean) to compare with.
        split: One of `musiczoo.datasets.store.SPLITS`.
        k: Tags per track that count as given by `against`.
        console: Where progress goes; standard error by default.

    Returns:
        As `evaluate`, without ``"version"`` and ``"space_id"``.

    Raises:
        UnknownNameError: If there is no such split.
        InputError: If no labeller is named, or k is out of range.
        DatasetError: If no track is left to compare.
    """
    return _compare(
        " + ".join(labellers),
        lambda track: _label(store, track, labellers),
        store,
        against,
        split,
        k,
        console,
    )


def markdown(*results: dict[str, Any]) -> str:
    """A Markdown table: one column per result of `evaluate` or `compare`; 95 % intervals in brackets."""
    rows = [
        ["", *(result["model"] for result in results)],
        ["---"] * (len(results) + 1),
        ["Held against", *(" + ".join(result["teachers"]) for result in results)],
        ["Split", *(f"{result['split']}, {result['tracks']} tracks" for result in results)],
    ]
    rows += [[title, *(_cell(result, key) for result in results)] for key, title in _ROWS.items()]
    rows.append(["Tags in the means", *(_used(result) for result in results)])
    return _table(rows)


def markdown_tags(result: dict[str, Any]) -> str:
    """A Markdown table of one result's figures per tag; a star marks the tags that the means leave out."""
    rows = [["Tag", "Tracks", "ROC-AUC", "Average precision"], ["---", "---:", "---:", "---:"]]
    left_out = set(result["left_out"])
    for tag, figures in result["tags"].items():
        values = [_number(figures[name]) for name in ("roc_auc", "average_precision")]
        rows.append([f"{tag} *" if tag in left_out else tag, str(figures["positives"]), *values])
    return _table(rows)


def _compare(
    name: str,
    score: Callable[[TrackEntry], Scores],
    store: Store,
    teachers: Sequence[str],
    split: str,
    k: int,
    console: Console | None,
) -> dict[str, Any]:
    rows: list[tuple[Scores, Scores]] = []
    left_out: list[dict[str, str]] = []
    tracks = store.split(split)
    for track in progress(tracks, description=name, console=console or Console(stderr=True)):
        try:
            # Labels first: they are cheap, and a track without them need not be heard.
            label = _label(store, track, teachers)
            rows.append((score(track), label))
        except InputError:
            raise  # the call is wrong, not the track
        except MusicZooError as error:
            left_out.append({"id": track.id, "reason": str(error)})
    if not rows:
        first = f" The first, {left_out[0]['id']}: {left_out[0]['reason']}" if left_out else ""
        raise DatasetError(
            f"Expected tracks of the split {split!r} in {store.root} that {' and '.join(teachers)} labelled, "
            f"received none out of {len(tracks)}.{first}"
        )
    scores, labels = (np.stack(column) for column in zip(*rows, strict=True))
    return {
        **agreement.evaluate(scores, labels, TAGS, k),
        "model": name,
        "dataset": store.dataset,
        "split": split,
        "teachers": list(teachers),
        "tracks_left_out": left_out,
    }


def _label(store: Store, track: TrackEntry, teachers: Sequence[str]) -> Scores:
    """A track's label ``[tags]``: the mean over excerpts and teachers."""
    label: Scores = np.asarray(np.mean(store.labels(track.id, teachers), axis=0, dtype=np.float64))
    if label.shape != (len(TAGS),):
        raise DatasetError(
            f"Expected {len(TAGS)} labels an excerpt of {track.id!r}, received {label.size}. Delete "
            f"labels/<teacher>/{track.id}.npy in {store.root} and run: musiczoo data label"
        )
    return label


def _cell(result: dict[str, Any], key: str) -> str:
    low, high = (_number(end) for end in result[key]["interval"])
    of = f" of {result['k']}" if key == "top_k_overlap" else ""
    return f"{_number(result[key]['value'])}{of} ({low} to {high})"


def _used(result: dict[str, Any]) -> str:
    return f"{len(result['tags']) - len(result['left_out'])} of {len(result['tags'])}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
