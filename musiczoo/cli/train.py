"""`musiczoo train`: prepared music in, a model out; or a folder of music and a table, and tags of one's own."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..registry import find
from .defaults import DEFAULT_MODEL
from .stack import training_stack

DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Prepared data set (see musiczoo data); for train --from, a folder of music too.",
        show_default=False,
    ),
]


RECIPES = "the recipe's"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command(
        epilog="Example: musiczoo train --data data/msd --recipe paper-classification --out runs/classification"
    )(train)


def _list_recipes(wanted: bool) -> None:
    if wanted:
        with training_stack("musiczoo train"):
            from ..models import recipe as recipes
        names = recipes.names()
        width = max(map(len, names), default=0)
        for name in names:
            typer.echo(f"{name:{width}}  {recipes.read(name).summary}")
        raise typer.Exit


def train(
    data: DataOption,
    out: Annotated[
        Path, typer.Option(metavar="RUN", help="Folder of the run. An interrupted run resumes.", show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME", help="Model to build.", show_default=DEFAULT_MODEL),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Settings: a name (see --list-recipes) or a TOML file.", show_default="paper-MODEL"
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="Put tags of your own on this model: see docs/finetune.md."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="annotations or teachers: whose tags to learn. With --from: the table of your tags (CSV).",
            show_default="annotations if the data set has them; DIR/tags.csv",
        ),
    ] = None,
    drop_untagged: Annotated[
        bool, typer.Option("--drop-untagged", help="Leave out tracks without a tag, in training and validation.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Maximum number of epochs.", show_default=RECIPES)] = None,
    width: Annotated[
        int | None, typer.Option(min=1, help="Channels of an encoder branch.", show_default=RECIPES)
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Excerpts in a step.", show_default=RECIPES)] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of weights, order and crops.", show_default=RECIPES)
    ] = None,
    mining: Annotated[
        str | None,
        typer.Option(metavar="WAY", help="Triplets: explicit, all, semihard or hardest.", show_default=RECIPES),
    ] = None,
    clip_norm: Annotated[
        float | None, typer.Option(min=0, help="Maximum norm of the gradients; 0 for no limit.", show_default=RECIPES)
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="Type of the layers: float32, bfloat16 or float16.", show_default=RECIPES),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What shares the work: auto (all GPUs), mirrored, cpu:N, or multiworker (see TF_CONFIG).",
        ),
    ] = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write RUN/tensorboard too (to look at it: pip install tensorboard).")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Stop training: calibrate the best weights of the run so far.")
    ] = False,
    list_recipes: Annotated[
        bool, typer.Option("--list-recipes", callback=_list_recipes, is_eager=True, help="List the recipes and exit.")
    ] = False,
) -> None:
    """Train a model (needs the train extra)."""
    with training_stack("musiczoo train"):
        from ..datasets import label_source
        from ..models import recipe as recipes
        from ..models.calibration import finish as finish_run
        from ..models.trainer import train as train_model
    if finish:
        finish_run(out)
        typer.echo(str(out))
        return
    if base is not None:
        other = {"--model": model, "--width": width, "--mining": mining, "--precision": precision}
        _refuse("--from", {**other, "--strategy": strategy != "auto" or None, "--tensorboard": tensorboard or None})
        if drop_untagged:
            raise InputError("--drop-untagged goes without --from. Leave the tracks out of the table instead.")
        changes = {"epochs": epochs, "batch": batch, "seed": seed, "clip_norm": clip_norm}
        _finetune(base, data, labels, out, recipe, changes)
        typer.echo(str(out))
        return
    if labels is not None and labels not in label_source.KINDS:
        raise InputError(
            f"Without --from, --labels is {' or '.join(label_source.KINDS)}, got {labels!r}. A table of your own tags "
            f"goes with --from MODEL, or prepare it first: musiczoo data prepare folder --root DIR --labels {labels}"
        )
    name = model or DEFAULT_MODEL
    default = recipes.paper(name)
    chosen = recipe or (default if default in recipes.names() else None)
    settings = recipes.read(chosen) if chosen else recipes.Recipe(name)
    options: dict[str, object] = {"model": model, "epochs": epochs, "width": width, "batch": batch, "seed": seed}
    options |= {"mining": mining, "clip_norm": clip_norm, "precision": precision}
    options["drop_untagged"] = drop_untagged or None
    given = {key: value for key, value in options.items() if value is not None}
    chosen_recipe = recipes.Recipe.of(settings.plain() | given)
    train_model(chosen_recipe, data, out, devices=strategy, tensorboard=tensorboard, labels=labels)
    typer.echo(str(out))


def _refuse(what: str, options: dict[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InputError(f"Expected {what} not to come with {', '.join(given)}. Leave that out.")


def _finetune(
    base: str, data: Path, labels: str | None, out: Path, recipe: str | None, options: dict[str, Any]
) -> None:
    with training_stack("musiczoo train --from"):
        from ..datasets import folder, label_source
        from ..datasets.prepared import INDEX_FILE
        from ..models import recipe as recipes
        from ..models.finetuning import finetune
    find(base)  # before the table: an unknown name is the shorter story
    if labels in label_source.KINDS and not os.path.exists(labels) and not os.path.exists(data / labels):
        raise InputError(
            f"With --from, --labels is the table of your tags, got {labels!r}. Leave it out to use DIR/tags.csv, or "
            "the annotations of a prepared data set."
        )
    prepared = labels is None and os.path.isfile(data / INDEX_FILE)
    settings = recipes.read_settings(recipe) if recipe else {}
    settings |= {name: value for name, value in options.items() if value is not None}
    finetune(base, data if prepared else folder.load(data, labels), out=out, recipe=settings)
