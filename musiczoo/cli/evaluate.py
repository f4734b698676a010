"""`musiczoo evaluate`: models measured on a data set."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DatasetError, InputError, MissingDependencyError
from .defaults import DEFAULT_MODEL
from .stack import training_stack
from .train import DataOption

if TYPE_CHECKING:
    from ..datasets.dim_sim import Clip
    from ..datasets.store import Store

ALL = "all"
TASKS = "tagging,retrieval,triplets,agreement"
"""What needs nothing but the models."""


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    epilog = "Example: musiczoo evaluate --models all --data data/open_music --tasks tagging,retrieval --out report"
    app.command(epilog=epilog)(evaluate)


def evaluate(
    data: DataOption,
    models: Annotated[
        str, typer.Option("--models", "--model", "-m", metavar="NAMES", help="Names or folders, or all: a,b,c.")
    ] = DEFAULT_MODEL,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    tasks: Annotated[
        str, typer.Option(metavar="TASKS", help="Out of tagging,retrieval,triplets,time,agreement.")
    ] = TASKS,
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
        typer.Option("--dim-sim-audio", metavar="DIR", help="Its previews.", show_default="audio in --dim-sim"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the triplets.")] = 0,
    times: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="Training times, instead of measuring them (which needs the train extra)."),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Training runs, a folder a model: say the epochs to the stop.")
    ] = None,
) -> None:
    """Measure models on one split of a data set, on the same tracks by the same labels."""
    from ..datasets.store import Store
    from ..evaluation import tasks as measure
    from ..evaluation.truth import Settings

    chosen = _listed(tasks)
    names = _models(models)
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"Expected a folder for the report, received the file {out}. Name another.")
    store = Store.open(data)
    report = measure.evaluate(
        names,
        store,
        teacher or labelled_by(store),
        split,
        chosen,
        Settings(seed=seed),
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

    return list_models() if text.strip() == ALL else _listed(text)


def labelled_by(store: "Store") -> list[str]:
    """People's annotations if there are any, else all teachers."""
    from ..datasets.store import ANNOTATIONS

    names = sorted(path.name for path in (store.root / "labels").glob("*") if path.is_dir())
    if not names:
        raise DatasetError(
            f"Expected labels in {store.root / 'labels'}, found none. "
            f"Run: musiczoo data label {store.root} --teacher NAME"
        )
    return [ANNOTATIONS] if ANNOTATIONS in names else names


def _human(root: Path, audio: Path | None) -> "list[tuple[Clip, Clip, Clip]]":
    """The triplets of dim-sim's clean version that can be heard."""
    from ..datasets import dim_sim, msd

    judged = dim_sim.load(root)
    kept, left_out = dim_sim.triplets(judged, msd.locator(root, audio))
    if left_out:
        of = f"{len(left_out)} of {len(judged.judgements)}"
        typer.echo(f"warning: {of} triplets of dim-sim left out; the first, {left_out[0]}", err=True)
    return kept


def _write(report: Mapping[str, Any], out: Path) -> None:
    from ..evaluation.report import write

    try:
        write(report, out)
    except MissingDependencyError as error:
        typer.echo(f"warning: no page was written into {out}, only JSON and Markdown: {error}", err=True)


def _warnings(report: Mapping[str, Any]) -> list[str]:
    tracks = [f"left out {track['id']}: {track['reason']}" for track in report["data"]["tracks_left_out"]]
    skipped = [f"{m['name']}: no {task}: {why}" for m in report["models"] for task, why in m["skipped"].items()]
    return tracks + skipped


def _times(
    names: Sequence[str], store: "Store", file: Path | None, runs: Path | None
) -> dict[str, dict[str, float | None]]:
    """Model -> seconds per epoch, from a file or measured here, and epochs to the stop, as far as a run says."""
    found = _read_times(file) if file is not None else _measured(names, store)
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
        from ..models.variants import VARIANTS
    ours = {name: recipe.Recipe(name) for name in names if name in VARIANTS}
    excerpts = sum(track.excerpts for track in store.split("train"))
    seconds = timing.seconds_per_epoch(ours, excerpts)
    return {name: {"seconds_per_epoch": value, "epochs_to_stop": None} for name, value in seconds.items()}


def _epochs(run: Path) -> int | None:
    """The epochs of a finished run; None if there is none."""
    try:
        with (run / "log.csv").open(newline="", encoding="utf-8") as file:
            epochs = sum(1 for _ in csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return None
    return epochs if epochs and (run / "result.json").is_file() else None
