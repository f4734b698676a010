"""`musiczoo models`, `import`, `export` and `publish`: models in, models out."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import MusicZooError
from .printable import printable
from .stack import extra, training_stack

ZooOption = Annotated[
    Path | None,
    typer.Option("--zoo", metavar="DIR", help="Folder of models.", show_default="the user's zoo"),
]


class Target(StrEnum):
    """What `musiczoo export` writes."""

    ONNX = "onnx"
    WEB = "web"
    LITERT = "litert"


imports = typer.Typer(no_args_is_help=True, help="Make models out of other projects' files.")


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command(epilog="Example: musiczoo models --json")(models)
    app.command(epilog="Example: musiczoo export disentangled-classification --target web --out page")(export)
    app.command(epilog="Example: musiczoo publish exports/first --zoo musiczoo/zoo")(publish)
    app.add_typer(imports, name="import")


def models(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the models that can be loaded by name."""
    from ..card import read_card
    from ..registry import find, list_models
    from .tables import key_metric, print_models

    failed = False
    for name in list_models():
        try:
            folder = find(name)
            card = read_card(folder)
        except MusicZooError as error:
            failed = True
            typer.echo(
                json.dumps({"name": name, "error": str(error)}) if as_json else printable(f"error: {error}"),
                err=not as_json,
            )
            continue
        if not as_json:
            print_models([(card, folder)])
            continue
        metric = key_metric(card)
        entry = {
            "name": card.name,
            "version": card.version,
            "licence": card.licence,
            "parameters": card.parameters,
            "spaces": list(card.spaces),
            "metric": {metric[0]: metric[1]} if metric else {},
            "path": str(folder),
        }
        typer.echo(json.dumps(entry))
    if failed:
        raise typer.Exit(1)


@imports.command("musicnn", epilog="Example: musiczoo import musicnn")
def import_musicnn(
    wheel: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The wheel of musicnn 0.1.0, for machines without a network. Get it elsewhere with: "
            "pip download --no-deps musicnn==0.1.0",
            show_default="downloaded by pip, 29 MB",
        ),
    ] = None,
    zoo: ZooOption = None,
) -> None:
    """Make musicnn-msd, vgg-msd, musicnn-mtt and vgg-mtt out of the musicnn wheel (needs the import extra)."""
    from rich.console import Console

    with extra("musiczoo import musicnn", "import"):
        from ..export.musicnn import import_musicnn as make
    console = Console(stderr=True)
    with console.status("Importing musicnn" if wheel else "Downloading and importing musicnn (29 MB)"):
        folders = make(wheel, zoo)
    for folder in folders:
        typer.echo(str(folder))


def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="onnx, litert: folder that musiczoo train wrote. web: a model's name or folder."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.", show_default=False)],
    target: Annotated[
        Target,
        typer.Option(
            help="onnx: a trained model as SavedModel and ONNX, checked against Keras (needs the train extra). "
            "litert: a trained model for LiteRT, likewise (needs the litert extra too). "
            "web: a published model as a page that runs it in the browser, from any file server."
        ),
    ] = Target.ONNX,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="onnx, litert: what to call the model.", show_default="as it was trained"),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="web: the npm package onnxruntime-web, its .tgz or unpacked.",
            show_default="fetched by npm",
        ),
    ] = None,
) -> None:
    """Write a trained model as SavedModel and ONNX, or a published one as a web page."""
    if target is Target.WEB:
        if name is not None:
            raise typer.BadParameter("--name goes with a trained model only: the page shows the name on the card.")
        from ..export.web import export_web

        export_web(source, out, runtime)
    else:
        if runtime is not None:
            raise typer.BadParameter("--runtime goes with --target web only.")
        with training_stack("musiczoo export"):
            from ..export.export import export as export_run
            from ..export.litert import export_litert
        write = export_litert if target is Target.LITERT else export_run
        write(Path(source), out, name=name)
    typer.echo(str(out))


def publish(
    export_dir: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that musiczoo export wrote.")],
    zoo: ZooOption = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="report.json of musiczoo evaluate --out: figures for the card."),
    ] = None,
) -> None:
    """Put an exported model into a zoo, so that it loads by name."""
    from ..export.publish import publish as publish_export

    typer.echo(str(publish_export(export_dir, zoo, report)))
