"""`musiczoo evaluate`: measure models on a data set."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, MissingDependencyError, MusicZooError
from ._console import DEFAULT_MODEL, Command, left_out, names, training_stack, warn
from .train import DataOption

if TYPE_CHECKING:
    from ..datasets.dim_sim import Clip
    from ..datasets.prepared import Store

ALL = "all"
TASKS = "tagging,retrieval,triplets"
"""Tasks of all data sets by default; see `_default_tasks`."""


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    epilog = "Example: musiczoo evaluate --models all --data data/open_music --tasks tagging,retrieval --out report"
    app.command(cls=Command, epilog=epilog)(evaluate)


def evaluate(
    data: DataOption,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            "--model",
            "-m",
            metavar="NAMES",
            help="Names or folders of models, separated by commas; a folder of models; or all.",
        ),
    ] = DEFAULT_MODEL,
    split: Annotated[str, typer.Option(metavar="NAME", help="train, validation or test.")] = "test",
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="TASKS",
            help="Tasks, separated by commas: tagging, retrieval, triplets, time, agreement, artists.",
            show_default="all but time; agreement only with teachers, artists only if the tracks have them",
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Source of the labels; may be repeated.", show_default="annotations, else all teachers"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the report: JSON, Markdown and an HTML page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    triplets: Annotated[
        Path | None, typer.Option(metavar="NPZ", help="File of the triplets; written if it does not exist.")
    ] = None,
    dim_sim: Annotated[
        Path | None, typer.Option("--dim-sim", metavar="DIR", help="Folder of dim-sim: triplets judged by people.")
    ] = None,
    dim_sim_audio: Annotated[
        Path | None,
        typer.Option(
            "--dim-sim-audio",
            metavar="DIR",
            help="Folder of its previews, or of MSD with previews.",
            show_default="audio in --dim-sim",
        ),
    ] = None,
    resample: Annotated[
        str, typer.Option(metavar="UNIT", help="What the bootstrap of the intervals draws: track, package or artist.")
    ] = "track",
    drop_untagged: Annotated[
        bool, typer.Option("--drop-untagged", help="Leave out tracks without tags; by default they count.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Random seed of the triplets.")] = 0,
    times: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON", help="File of training times; by default they are measured (needs the train extra)."
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of training runs, named like the models: epochs, and times without --times.",
        ),
    ] = None,
) -> None:
    """Measure models on one split of a data set, all on the same tracks and labels."""
    from ..datasets.prepared import Store
    from ..evaluation import benchmark as measure
    from ..evaluation.ground_truth import Settings

    chosen_models = _models(models)
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out must be a folder, got the file {str(out)!r}. Choose another name.")
    store = Store.open(data)
    teachers = teacher or labelled_by(store)
    chosen = names(tasks if tasks is not None else _default_tasks(store, split, teachers))
    report = measure.evaluate(
        chosen_models,
        store,
        teachers,
        split,
        chosen,
        Settings(seed=seed, drop_untagged=drop_untagged, resample=resample),
        _times(chosen_models, store, times, runs) if "time" in chosen else None,
        triplets,
        _human(dim_sim, dim_sim_audio) if dim_sim is not None and "triplets" in chosen else (),
    )
    if out is not None:
        _write(report, out)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False, allow_nan=False))
    else:
        from .tables import print_report

        print_report(report)
    for warning in _warnings(report):
        warn(warning)
    for failure in report["models_left_out"]:
        typer.echo(f"error: {failure['name']}: {failure['reason']}", err=True)
    if report["models_left_out"]:
        raise typer.Exit(1)


def _models(text: str) -> list[str]:
    from ..registry import list_models

    if text.strip() == ALL:
        return list_models()
    return [model for name in names(text) for model in _in_folder(name)]


def _in_folder(name: str) -> list[str]:
    """Return the models in a folder of models, first those of the paper; for anything else, the name itself."""
    from ..card import CARD_FILE
    from ..evaluation.report import published
    from ..registry import list_models

    folder = Path(name)
    if name in list_models() or os.path.exists(folder / CARD_FILE):
        return [name]
    found = sorted(card.parent.name for card in folder.glob(f"*/{CARD_FILE}"))
    paper = [model["name"] for model in published.models() if model["name"] in found]
    return [str(folder / model) for model in dict.fromkeys([*paper, *found])] or [name]


def _default_tasks(store: "Store", split: str, teachers: Sequence[str]) -> str:
    """Return the tasks that the labels and the tracks of a data set allow."""
    from ..datasets.prepared import ANNOTATIONS

    tasks = TASKS if list(teachers) == [ANNOTATIONS] else f"{TASKS},agreement"
    named = any(track.artist or track.package for track in store.split(split))
    return f"{tasks},artists" if named else tasks


def labelled_by(store: "Store") -> list[str]:
    """Return the sources of a data set's labels: annotations if there are any, else all teachers."""
    from ..datasets import label_source

    return list(label_source.choose(store))


def _human(root: Path, audio: Path | None) -> "list[tuple[Clip, Clip, Clip]]":
    """Return the triplets of dim-sim's clean version whose audio exists."""
    from ..datasets import dim_sim, msd

    judged = dim_sim.load(root)
    whole_copy = audio is not None and (audio / msd.IDS).is_file()  # then its lists say where each preview is
    locate = msd.locator(audio) if audio is not None and whole_copy else msd.locator(root, audio)
    kept, missing = dim_sim.triplets(judged, locate)
    if missing:
        count = f"{len(missing)} of {len(judged.judgements)}"
        warn(f"{count} triplets of dim-sim left out; the first: {missing[0]}")
    return kept


def _write(report: Mapping[str, Any], out: Path) -> None:
    from ..evaluation.report import write

    try:
        write(report, out)
    except MissingDependencyError as error:
        warn(f"only JSON and Markdown were written to {out}, no HTML page: {error}")


def _warnings(report: Mapping[str, Any]) -> list[str]:
    tracks = [f"{track['id']}: {track['reason']}" for track in report["data"]["tracks_left_out"]]
    skipped = [f"{m['name']}: no {task}: {why}" for m in report["models"] for task, why in m["skipped"].items()]
    return left_out(tracks, "--out or --json") + skipped


def _times(
    models: Sequence[str], store: "Store", file: Path | None, runs: Path | None
) -> dict[str, dict[str, float | None]]:
    """Return model -> seconds per epoch (from a file, a run or measured) and epochs until the stop (from a run)."""
    named = [_card_name(name) for name in models]
    if file is not None:
        found = _read_times(file)
    else:
        found = _run_times(named, runs) if runs is not None else {}
        if unknown := [name for name in named if name not in found]:
            found |= _measured(unknown, store)
    stopped = {name: _epochs(runs / name) for name in found} if runs is not None else {}
    known = {name: {"epochs_to_stop": count} for name, count in stopped.items() if count is not None}
    return {name: values | known.get(name, {}) for name, values in found.items()}


def _read_times(file: Path) -> dict[str, dict[str, float | None]]:
    from .._files import read_json  # imports numpy

    try:
        content = read_json(file)
        return {str(name): dict(values) for name, values in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f'{file}: expected {{"model": {{"seconds_per_epoch": 1.5, "epochs_to_stop": 20}}, ...}}, got {error}. '
            "Omit --times to measure them."
        ) from error


def _measured(models: Sequence[str], store: "Store") -> dict[str, dict[str, float | None]]:
    with training_stack("musiczoo evaluate --tasks time"):
        from ..models import recipe, timing
        from ..models.architectures import ARCHITECTURES
    ours = {name: recipe.Recipe(name) for name in models if name in ARCHITECTURES}
    excerpts = sum(track.excerpts for track in store.split("train"))
    seconds = timing.seconds_per_epoch(ours, excerpts)
    return {name: {"seconds_per_epoch": value, "epochs_to_stop": None} for name, value in seconds.items()}


def _card_name(name: str) -> str:
    """Return the name on a model's card; the given name if the card cannot be read."""
    from ..card import read_card
    from ..registry import find

    try:
        return read_card(find(name)).name
    except MusicZooError:
        return name  # the evaluation reports the error


def _run_times(models: Sequence[str], runs: Path) -> dict[str, dict[str, float | None]]:
    """Return model -> median seconds per epoch, for models that have a run."""
    found: dict[str, dict[str, float | None]] = {}
    for name in models:
        try:
            with (runs / name / "times.csv").open(newline="", encoding="utf-8") as file:
                seconds = [float(row["training_s"]) for row in csv.DictReader(file)]
        except (OSError, ValueError, KeyError, TypeError, csv.Error):
            continue
        if seconds:
            found[name] = {"seconds_per_epoch": median(seconds), "epochs_to_stop": None}
    return found


def _epochs(run: Path) -> int | None:
    """Return the number of epochs of a finished run; None if there is none."""
    try:
        with (run / "log.csv").open(newline="", encoding="utf-8") as file:
            epochs = sum(1 for _ in csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return None
    return epochs if epochs and (run / "result.json").is_file() else None
