"""`musiczoo evaluate`: measure models on a data set."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, MissingDependencyError
from ._console import DEFAULT_MODEL, Command, left_out, names, training_stack, warn

if TYPE_CHECKING:
    from ..datasets.dim_sim import Clip
    from ..datasets.prepared import Store

ALL = "all"


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    epilog = "Example: musiczoo evaluate --models all --data data/open_music --tasks tagging,retrieval --out report"
    app.command(cls=Command, epilog=epilog)(evaluate)


def evaluate(
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR",
            help="Prepared data set (see musiczoo data); may be repeated: the tracks of all are one data set.",
            show_default=False,
        ),
    ],
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
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="Also measure an encoder of your own: a callable from waveforms to embeddings. Runs the file; may be "
            "repeated.",
        ),
    ] = None,
    embeddings: Annotated[
        list[Path] | None,
        typer.Option(metavar="NPZ", help="Also measure the embeddings of tracks in a file; may be repeated."),
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="train, validation or test.")] = "test",
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="TASKS",
            help="Tasks, separated by commas: tagging, retrieval, triplets, time, agreement, artists, voices.",
            show_default="all but time, as far as the labels and tracks allow",
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
        Path | None,
        typer.Option(
            metavar="FILE", help="File of the triplets: .npz, written if it does not exist; or .csv with track ids."
        ),
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
    """Measure models on one split of a data set or of several, all on the same tracks and labels.

    Encoders that are no musiczoo models are measured beside them, by --encoder or --embeddings.
    """
    from ..datasets.prepared import Store
    from ..evaluation import benchmark as measure
    from ..evaluation.foreign import Embeddings, load_encoder
    from ..evaluation.ground_truth import Settings
    from ..registry import list_models

    chosen_models = list_models() if models.strip() == ALL else measure.find_models(names(models))
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out must be a folder, got the file {str(out)!r}. Choose another name.")
    store = Store.open_all(data)
    teachers = teacher or labelled_by(store)
    chosen = names(tasks) if tasks is not None else measure.default_tasks(store, split, teachers)
    others = [load_encoder(reference) for reference in encoder or ()]
    stored = [Embeddings.read(path) for path in embeddings or ()]
    report = measure.evaluate(
        [*chosen_models, *others, *stored],
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
    from ..evaluation.metrics import training_time
    from ..registry import card_name

    named = [card_name(name) for name in models]
    of_runs = training_time.read_runs(named, runs) if runs is not None else {}
    if file is not None:
        found = training_time.read_times(file)
    else:
        found = {name: values for name, values in of_runs.items() if values["seconds_per_epoch"] is not None}
        if unknown := [name for name in named if name not in found]:
            found |= _measured(unknown, store)
    stops = {name: values["epochs_to_stop"] for name, values in of_runs.items()}
    return {
        name: values | ({"epochs_to_stop": stops[name]} if stops.get(name) is not None else {})
        for name, values in found.items()
    }


def _measured(models: Sequence[str], store: "Store") -> dict[str, dict[str, float | None]]:
    with training_stack("musiczoo evaluate --tasks time"):
        from ..models import recipe, timing
        from ..models.architectures import ARCHITECTURES
    ours = {name: recipe.Recipe(name) for name in models if name in ARCHITECTURES}
    excerpts = sum(track.excerpts for track in store.split("train"))
    seconds = timing.seconds_per_epoch(ours, excerpts)
    return {name: {"seconds_per_epoch": value, "epochs_to_stop": None} for name, value in seconds.items()}
