"""`musiczoo quantize`: a model's int8 version."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .evaluate import labelled_by
from .stack import training_stack


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command(epilog="Example: musiczoo quantize disentangled-classification --data data/open_music")(quantize)


def quantize(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model's name or folder.")],
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Prepared data set that calibrates and judges.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write.", show_default="the model's folder")
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="Whose labels count; may be repeated.", show_default="annotations, else all"),
    ] = None,
) -> None:
    """Give a published model an int8 version if that is nearly as good, and print figures (needs the train extra)."""
    from ..datasets.prepared import Store

    with training_stack("musiczoo quantize"):
        from ..export import quantize as int8
    store = Store.open(data)
    figures = int8.quantize(name, store, teacher or labelled_by(store), out)
    typer.echo(json.dumps(figures))
