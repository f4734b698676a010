"""`musiczoo evaluate`: models measured on a data set."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, MissingDependencyError, MusicZooError
from .defaults import DEFAULT_MODEL
from .remarks import left_out
from .stack import training_stack
from .train import DataOption

if TYPE_CHECKING:
    from ..datasets.dim_sim import Clip
    from ..datasets.prepared import Store

ALL = "all"
TASKS = "tagging,retrieval,triplets"
"""What needs nothing but the models and labels; with labels by teachers, agreement with them too."""


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    epilog = "Example: musiczoo evaluate --models all --data data/open_music --tasks tagging,retrieval --out report"
    app.command(epilog=epilog)(evaluate)


def evaluate(
    data: DataOption,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            "--model",
            "-m",
            metavar="NAMES",
            help="Names or folders: a,b,c. A folder of models stands for those in it, all for every named model.",
        ),
    ] = DEFAULT_MODEL,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="TASKS",
            help="Out of tagging,retrieval,triplets,time,agreement.",
            show_default="all but time; agreement only with teachers",
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Whose labels to go by; may be repeated.", show_default="annotations or all"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the report here: JSON, Markdown and an HTML page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    triplets: Annotated[
        Path | None, typer.Option(metavar="NPZ", help="Triplets to judge by; written if the file is not there.")
    ] = None,
    dim_sim: Annotated[
        Path | None, typer.Option("--dim-sim", metavar="DIR", help="Copy of dim-sim: triplets that people judged.")
    ] = None,
    dim_sim_audio: Annotated[
        Path | None,
        typer.Option(
            "--dim-sim-audio",
            metavar="DIR",
            help="Its previews, or a copy of MSD with them.",
            show_default="audio in --dim-sim",
        ),
    ] = None,
    drop_untagged: Annotated[
        bool, typer.Option("--drop-untagged", help="Leave out the tracks without a tag. By default they are measured.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the triplets.")] = 0,
    times: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="Training times, instead of measuring them (which needs the train extra)."),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Training runs, a folder a model: epochs to the stop, and times unless --times.",
        ),
    ] = None,
) -> None:
    """Measure models on one split of a data set, on the same tracks by the same labels."""
    from ..datasets.prepared import ANNOTATIONS, Store
    from ..evaluation import benchmark as measure
    from ..evaluation.ground_truth import Settings

    names = _models(models)
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"Expected a folder for the report, received the file {out}. Name another.")
    store = Store.open(data)
    teachers = teacher or labelled_by(store)
    chosen = _listed(tasks if tasks is not None else TASKS if teachers == [ANNOTATIONS] else f"{TASKS},agreement")
    report = measure.evaluate(
        names,
        store,
        teachers,
        split,
        chosen,
        Settings(seed=seed, drop_untagged=drop_untagged),
        _times(names, store, times, runs) if "time" in chosen else None,
        triplets,
        _human(dim_sim, dim_sim_audio) if dim_sim is not None and "triplets" in chosen else (),
    )
    if out is not None:
        _write(report, out)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False, allow_nan=False))
    else:
        from .figures import print_report

        print_report(report)
    for warning in _warnings(report):
        typer.echo(f"warning: {warning}", err=True)
    for failure in report["models_left_out"]:
        typer.echo(f"error: {failure['name']}: {failure['reason']}", err=True)
    if report["models_left_out"]:
        raise typer.Exit(1)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _models(text: str) -> list[str]:
    from ..registry import list_models

    if text.strip() == ALL:
        return list_models()
    return [model for name in _listed(text) for model in _in_folder(name)]


def _in_folder(name: str) -> list[str]:
    """The models in a folder of models, the paper's in its order, then others by name; of anything else, its name."""
    from ..card import CARD_FILE
    from ..evaluation.report import published
    from ..registry import list_models

    folder = Path(name)
    if name in list_models() or os.path.exists(folder / CARD_FILE):
        return [name]
    found = sorted(card.parent.name for card in folder.glob(f"*/{CARD_FILE}"))
    paper = [model["name"] for model in published.models() if model["name"] in found]
    return [str(folder / model) for model in dict.fromkeys([*paper, *found])] or [name]


def labelled_by(store: "Store") -> list[str]:
    """People's annotations if there are any, else all teachers."""
    from ..datasets import label_source

    return list(label_source.choose(store))


def _human(root: Path, audio: Path | None) -> "list[tuple[Clip, Clip, Clip]]":
    """The triplets of dim-sim's clean version that can be heard."""
    from ..datasets import dim_sim, msd

    judged = dim_sim.load(root)
    whole_copy = audio is not None and (audio / msd.IDS).is_file()  # then its lists say where each preview is
    locate = msd.locator(audio) if audio is not None and whole_copy else msd.locator(root, audio)
    kept, missing = dim_sim.triplets(judged, locate)
    if missing:
        of = f"{len(missing)} of {len(judged.judgements)}"
        typer.echo(f"warning: {of} triplets of dim-sim left out; the first, {missing[0]}", err=True)
    return kept


def _write(report: Mapping[str, Any], out: Path) -> None:
    from ..evaluation.report import write

    try:
        write(report, out)
    except MissingDependencyError as error:
        typer.echo(f"warning: no page was written into {out}, only JSON and Markdown: {error}", err=True)


def _warnings(report: Mapping[str, Any]) -> list[str]:
    tracks = [f"{track['id']}: {track['reason']}" for track in report["data"]["tracks_left_out"]]
    skipped = [f"{m['name']}: no {task}: {why}" for m in report["models"] for task, why in m["skipped"].items()]
    return left_out(tracks, "--out or --json") + skipped


def _times(
    names: Sequence[str], store: "Store", file: Path | None, runs: Path | None
) -> dict[str, dict[str, float | None]]:
    """Model -> seconds per epoch, from a file, its run or measured here, and epochs to the stop, if a run says so."""
    named = [_called(name) for name in names]
    if file is not None:
        found = _read_times(file)
    else:
        found = _of_runs(named, runs) if runs is not None else {}
        if unknown := [name for name in named if name not in found]:
            found |= _measured(unknown, store)
    stopped = {name: _epochs(runs / name) for name in found} if runs is not None else {}
    known = {name: {"epochs_to_stop": count} for name, count in stopped.items() if count is not None}
    return {name: values | known.get(name, {}) for name, values in found.items()}


def _read_times(file: Path) -> dict[str, dict[str, float | None]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): dict(values) for name, values in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f'{file}: expected {{"model": {{"seconds_per_epoch": 1.5, "epochs_to_stop": 20}}, ...}}, received {error}. '
            "Leave out --times to have them measured."
        ) from error


def _measured(names: Sequence[str], store: "Store") -> dict[str, dict[str, float | None]]:
    with training_stack("musiczoo evaluate --tasks time"):
        from ..models import recipe, timing
        from ..models.architectures import VARIANTS
    ours = {name: recipe.Recipe(name) for name in names if name in VARIANTS}
    excerpts = sum(track.excerpts for track in store.split("train"))
    seconds = timing.seconds_per_epoch(ours, excerpts)
    return {name: {"seconds_per_epoch": value, "epochs_to_stop": None} for name, value in seconds.items()}


def _called(name: str) -> str:
    """What the card of a model calls it, which may lie in a folder of another name; the name if it has none."""
    from ..card import read_card
    from ..registry import find

    try:
        return read_card(find(name)).name
    except MusicZooError:
        return name  # the evaluation says what is wrong with it


def _of_runs(names: Sequence[str], runs: Path) -> dict[str, dict[str, float | None]]:
    """Model -> the median seconds of an epoch's training, of the models that have a run here."""
    found: dict[str, dict[str, float | None]] = {}
    for name in names:
        try:
            with (runs / name / "times.csv").open(newline="", encoding="utf-8") as file:
                seconds = [float(row["training_s"]) for row in csv.DictReader(file)]
        except (OSError, ValueError, KeyError, TypeError, csv.Error):
            continue
        if seconds:
            found[name] = {"seconds_per_epoch": median(seconds), "epochs_to_stop": None}
    return found


def _epochs(run: Path) -> int | None:
    """The epochs of a finished run; None if there is none."""
    try:
        with (run / "log.csv").open(newline="", encoding="utf-8") as file:
            epochs = sum(1 for _ in csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return None
    return epochs if epochs and (run / "result.json").is_file() else None
