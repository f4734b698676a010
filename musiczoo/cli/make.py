"""`musiczoo data`, `train` and `evaluate`: music in, a measured model out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DatasetError, InputError
from .defaults import DEFAULT_MODEL
from .stack import training_stack
from .tag import ModelOption

if TYPE_CHECKING:
    from ..datasets.store import Store

DataOption = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="Prepared data set: see musiczoo data.", show_default=False),
]

data = typer.Typer(no_args_is_help=True, help="Prepare and label music to train on.")


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.add_typer(data, name="data")
    app.command(epilog="Example: musiczoo train --data data/open_music --out runs/first --epochs 20")(train)
    app.command(epilog="Example: musiczoo evaluate --data data/open_music --split test --out report.json")(evaluate)


@data.command(epilog="Example: musiczoo data prepare open_music --out data/open_music")
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Data set: open_music.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to fill.", show_default=False)],
    packages_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with the .deb files, if apt-get is not to fetch them."),
    ] = None,
) -> None:
    """Fetch and analyse a data set; run it again to resume (needs the train extra)."""
    from ..datasets import open_music
    from ..errors import UnknownNameError

    if name != open_music.NAME:
        raise UnknownNameError.of("data set", name, [open_music.NAME])
    with training_stack("musiczoo data prepare"):
        store = open_music.prepare(out, packages_dir)
    if not store.tracks:
        raise typer.Exit(1)


@data.command(epilog="Example: musiczoo data label data/open_music --teacher musicnn-msd --teacher vgg-msd")
def label(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Prepared data set.")],
    teacher: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="Model name or folder; may be repeated.", show_default=False),
    ],
    train_every: Annotated[
        int, typer.Option(min=1, help="Ask for every so manieth excerpt of training tracks; interpolate the rest.")
    ] = 1,
) -> None:
    """Let models tag every excerpt of a data set; run it again to resume."""
    from ..datasets.label import label as label_store

    if label_store(folder, teacher, train_every):
        raise typer.Exit(1)


def train(
    data: DataOption,
    out: Annotated[
        Path, typer.Option(metavar="RUN", help="Folder of the run; continued if begun.", show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME", help="Model to build.", show_default=DEFAULT_MODEL),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Settings: a name or a TOML file.", show_default="the model's own"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs at most, instead of the recipe's.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Width of the encoder, likewise.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Excerpts in a step, likewise.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, likewise.")] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Train no further: calibrate the best weights of the run so far.")
    ] = False,
) -> None:
    """Train a model on all GPUs there are, or the CPU (needs the train extra)."""
    with training_stack("musiczoo train"):
        from ..models import recipe as recipes
        from ..models.calibrate import finish as finish_run
        from ..models.train import train as train_model
    if finish:
        finish_run(out)
        typer.echo(str(out))
        return
    name = model or DEFAULT_MODEL
    chosen = recipe or (name if name in recipes.names() else None)
    settings = recipes.read(chosen) if chosen else recipes.Recipe(name)
    options = {"model": model, "epochs": epochs, "width": width, "batch": batch, "seed": seed}
    given = {key: value for key, value in options.items() if value is not None}
    train_model(recipes.Recipe.of(settings.plain() | given), data, out)
    typer.echo(str(out))


def evaluate(
    data: DataOption,
    model: ModelOption = DEFAULT_MODEL,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    teacher: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Whose mean is the reference; may be repeated.", show_default="all"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Write the whole report, per tag too, into this file.")
    ] = None,
) -> None:
    """Hold a model's tags against the teachers' on one split of a data set."""
    from ..datasets.store import Store
    from ..evaluation.run import evaluate as hold
    from .tables import print_figures

    if out and not out.parent.is_dir():
        raise InputError(f"Expected an existing folder for the report, received {out.parent}. Make it first.")
    store = Store.open(data)
    report = hold(model, store, teacher or _labelled_by(store), split)
    if out:
        try:
            out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"Expected a report file that can be written, received {out}: {error}.") from error
    print_figures(report)


def _labelled_by(store: "Store") -> list[str]:
    names = sorted(path.name for path in (store.root / "labels").glob("*") if path.is_dir())
    if not names:
        raise DatasetError(
            f"Expected labels in {store.root / 'labels'}, found none. "
            f"Run: musiczoo data label {store.root} --teacher NAME"
        )
    return names
