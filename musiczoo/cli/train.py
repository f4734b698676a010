"""`musiczoo train`: train a model on a prepared data set, or fine-tune a published one to your own tags."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..hub import is_address, source_of
from ..registry import find
from ._console import DEFAULT_MODEL, Command, training_stack

RECIPES = "the recipe's"


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command(
        cls=Command,
        epilog="Example: musiczoo train --data data/msd --recipe paper-classification --out runs/classification",
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
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            metavar="DIR",
            help="Prepared data set (see musiczoo data); may be repeated. With --from also a folder of music.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="RUN", help="Run folder. An interrupted run resumes.", show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME", help="Model to train, such as triplet.", show_default=DEFAULT_MODEL
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Training settings: a name (see --list-recipes) or a TOML file.",
            show_default="paper-MODEL",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="Fine-tune this published model to your own tags."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Train a head on the features of this model (name, folder, or hf://user/model@revision) or imported "
            "encoder, without changing its weights.",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="TENSOR",
            help="With --encoder: tensor of its graph to take as features.",
            show_default="features, else embedding",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Labels to learn: annotations or teachers. With --from: a CSV table of your tags.",
            show_default="annotations if the data set has them; DIR/tags.csv",
        ),
    ] = None,
    drop_untagged: Annotated[bool, typer.Option("--drop-untagged", help="Leave out tracks without tags.")] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Maximum number of epochs.", show_default=RECIPES)
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Channels of an encoder branch.", show_default=RECIPES)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Batch size in excerpts.", show_default=RECIPES)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Random seed of weights, order and crops.", show_default=RECIPES),
    ] = None,
    mining: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Triplet mining: explicit, all, semihard or hardest.", show_default=RECIPES),
    ] = None,
    clip_norm: Annotated[
        float | None,
        typer.Option(min=0, metavar="X", help="Maximum norm of the gradients; 0: no limit.", show_default=RECIPES),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE", help="Precision of the layers: float32, bfloat16 or float16.", show_default=RECIPES
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Devices: auto (all GPUs), mirrored, cpu:N, or multiworker (see TF_CONFIG).",
        ),
    ] = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write logs for TensorBoard to RUN/tensorboard.")
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Finish a run early: calibrate its best weights so far.")
    ] = False,
    list_recipes: Annotated[
        bool, typer.Option("--list-recipes", callback=_list_recipes, is_eager=True, help="List the recipes and exit.")
    ] = False,
) -> None:
    """Train a model, or fine-tune a published one (needs the train extra)."""
    with training_stack("musiczoo train"):
        from ..datasets import label_source
        from ..models import recipe as recipes
        from ..models.calibration import finish_run
        from ..models.trainer import train as train_model
    if finish:
        finish_run(out)
        typer.echo(str(out))
        return
    if base is not None:
        other = {
            "--encoder": encoder,
            "--layer": layer,
            "--model": model,
            "--width": width,
            "--mining": mining,
            "--precision": precision,
        }
        _refuse("--from", {**other, "--strategy": strategy != "auto" or None, "--tensorboard": tensorboard or None})
        if drop_untagged:
            raise InputError("--from takes no --drop-untagged. Remove the tracks from the table instead.")
        changes = {"epochs": epochs, "batch": batch, "seed": seed, "clip_norm": clip_norm}
        if len(data) > 1:
            raise InputError(f"--from takes one --data, got {len(data)}. Put all the music into one folder.")
        _finetune(base, data[0], labels, out, recipe, changes)
        typer.echo(str(out))
        return
    if labels is not None and labels not in label_source.KINDS:
        raise InputError(
            f"--labels must be {' or '.join(label_source.KINDS)} without --from, got {labels!r}. To train on your own "
            f"tags, use --from MODEL, or first: musiczoo data prepare folder --root DIR --labels {labels}"
        )
    name = model or DEFAULT_MODEL
    if encoder is None and layer is not None:
        raise InputError("--layer goes with --encoder. Name the model whose tensor it is.")
    default = recipes.paper(name) if encoder is None else recipes.head(name)
    chosen = recipe or (default if default in recipes.names() else None)
    settings = recipes.read(chosen) if chosen else recipes.Recipe(name)
    options: dict[str, object] = {"model": model, "epochs": epochs, "width": width, "batch": batch, "seed": seed}
    if encoder is not None and is_address(encoder):
        encoder = source_of(find(encoder))  # pinned: the recipe says which revision the features are of
    options |= {"encoder": encoder, "encoder_layer": layer}
    options |= {"mining": mining, "clip_norm": clip_norm, "precision": precision}
    options["drop_untagged"] = drop_untagged or None
    given = {key: value for key, value in options.items() if value is not None}
    chosen_recipe = recipes.Recipe.of(settings.plain() | given)
    one_or_all = data[0] if len(data) == 1 else data
    train_model(chosen_recipe, one_or_all, out, devices=strategy, tensorboard=tensorboard, labels=labels)
    typer.echo(str(out))


def _refuse(what: str, options: dict[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InputError(f"{what} cannot be combined with {', '.join(given)}. Remove one of them.")


def _finetune(
    base: str, data: Path, labels: str | None, out: Path, recipe: str | None, options: dict[str, Any]
) -> None:
    with training_stack("musiczoo train --from"):
        from ..datasets import folder, label_source
        from ..datasets.prepared import INDEX_FILE
        from ..models import recipe as recipes
        from ..models.finetuning import finetune
    find(base)  # reports an unknown name before the table is read
    if labels in label_source.KINDS and not os.path.exists(labels) and not os.path.exists(data / labels):
        raise InputError(
            f"--labels must be a table of your tags with --from, got {labels!r}. Omit it to use DIR/tags.csv, or the "
            "annotations of a prepared data set."
        )
    prepared = labels is None and os.path.isfile(data / INDEX_FILE)
    settings = recipes.read_settings(recipe) if recipe else {}
    settings |= {name: value for name, value in options.items() if value is not None}
    finetune(base, data if prepared else folder.load(data, labels), out=out, recipe=settings)
