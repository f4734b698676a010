"""`musiczoo models`, `import`, `export`, `publish` and `quantize`: list, import and ship models."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import MusicZooError
from ._console import Command, Group, extra, printable, training_stack
from .evaluate import labelled_by

ZooOption = Annotated[
    Path | None,
    typer.Option("--zoo", metavar="DIR", help="Folder of models.", show_default="your own, see musiczoo models"),
]


class Target(StrEnum):
    """What `musiczoo export` writes."""

    ONNX = "onnx"
    WEB = "web"
    LITERT = "litert"


WHICH_MODEL = """
disentangled-classification is the fastest to run; it learned from game music and rendered songs.
musicnn-disentangled and vgg-disentangled know more of pop and singing; get them with: musiczoo import musicnn"""
"""What `musiczoo models` says after the list."""

imports = typer.Typer(cls=Group, no_args_is_help=True, help="Import models of other projects.")


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command(cls=Command, epilog="Example: musiczoo models --json")(models)
    app.command(cls=Command, epilog="Example: musiczoo export disentangled-classification --target web --out page")(
        export
    )
    app.command(cls=Command, epilog="Example: musiczoo publish exports/first --zoo models")(publish)
    app.command(cls=Command, epilog="Example: musiczoo quantize disentangled-classification --data data/open_music")(
        quantize
    )
    app.add_typer(imports, name="import")


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each model.")] = False,
    pull_: Annotated[
        str | None,
        typer.Option(
            "--pull",
            metavar="ADDRESS",
            help="Copy this model of the Hugging Face Hub to your own, so that it loads by name without a network: "
            "hf://user/model or hf://user/model@revision (needs the hub extra).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the models that can be loaded by name, or get one from the Hugging Face Hub."""
    from ..card import read_card
    from ..registry import find, list_models, pull
    from .tables import key_metric, print_models

    if pull_ is not None:
        typer.echo(str(pull(pull_)))
        return
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
    if not as_json:
        typer.echo(WHICH_MODEL)
    if failed:
        raise typer.Exit(1)


@imports.command("musicnn", cls=Command, epilog="Example: musiczoo import musicnn")
def import_musicnn(
    wheel: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Wheel of musicnn 0.1.0, for computers without a network. Download it elsewhere with: "
            "pip download --no-deps musicnn==0.1.0",
            show_default="downloaded by pip, 29 MB",
        ),
    ] = None,
    zoo: ZooOption = None,
) -> None:
    """Import the networks of the musicnn wheel, which know pop and singing (needs the import extra).

    These are musicnn-msd, vgg-msd, musicnn-mtt and vgg-mtt, and of the first two musicnn-disentangled and
    vgg-disentangled, with embeddings for genre, mood, instrument and era.
    """
    from rich.console import Console

    with extra("musiczoo import musicnn", "import"):
        from ..export.musicnn import import_musicnn as make
    console = Console(stderr=True)
    with console.status("Importing musicnn" if wheel else "Downloading and importing musicnn (29 MB)"):
        folders = make(wheel, zoo)
    for folder in folders:
        typer.echo(str(folder))


@imports.command(
    "onnx",
    cls=Command,
    epilog="Example: musiczoo import onnx mine.onnx --sample-rate 16000 --excerpt 3 --embedding hidden",
)
def import_onnx(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="ONNX file that takes waveforms [N, samples].")],
    sample_rate: Annotated[
        int, typer.Option(min=1, metavar="HZ", help="Sample rate of the waveforms.", show_default=False)
    ],
    excerpt: Annotated[
        float, typer.Option(metavar="SECONDS", help="Length of the excerpts that it takes.", show_default=False)
    ],
    embedding: Annotated[
        str, typer.Option(metavar="TENSOR", help="Tensor [N, F] of its graph to train heads on.", show_default=False)
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the encoder.", show_default="that of the file")
    ] = None,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Licence of its weights.")] = "unspecified",
) -> None:
    """Import an ONNX file as an encoder for musiczoo train --encoder (needs the import extra)."""
    with extra("musiczoo import onnx", "import"):
        from ..export.foreign import import_onnx as make
    typer.echo(str(make(file, sample_rate, excerpt, embedding, name, licence)))


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="onnx, litert: run folder of musiczoo train. web: model name or folder."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write.", show_default=False)],
    target: Annotated[
        Target,
        typer.Option(
            help="onnx: SavedModel and ONNX, checked against Keras (needs the train extra). "
            "litert: LiteRT, checked against Keras (needs the train and the litert extra). "
            "web: a page that runs a published model in the browser, for any web server."
        ),
    ] = Target.ONNX,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="onnx, litert: name of the exported model.", show_default="the run's"),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="onnx, litert: version of its weights.", show_default="musiczoo's"),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="web: npm package onnxruntime-web, as .tgz or unpacked.",
            show_default="downloaded by npm",
        ),
    ] = None,
) -> None:
    """Export a trained model as SavedModel and ONNX or for LiteRT, or a published one as a web page."""
    if target is Target.WEB:
        for option, value in (("--name", name), ("--version", version)):
            if value is not None:
                raise typer.BadParameter(f"--target web takes no {option}: the page shows the one on the card.")
        from ..export.web import export_web

        export_web(source, out, runtime)
    else:
        if runtime is not None:
            raise typer.BadParameter("--runtime needs --target web.")
        with training_stack("musiczoo export"):
            from ..export.litert import export_litert
            from ..export.run import export_run
        write = export_litert if target is Target.LITERT else export_run
        write(Path(source), out, name=name, version=version)
    typer.echo(str(out))


def publish(
    export_dir: Annotated[Path, typer.Argument(metavar="DIR", help="Folder written by musiczoo export.")],
    zoo: ZooOption = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="report.json of musiczoo evaluate --out: metrics for the card."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Upload it to the Hugging Face Hub instead: hf://user/model (needs the hub extra). Log in first: "
            "hf auth login",
            show_default=False,
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="With --to: make a new repository private.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --to: only print what would be uploaded, without a network.")
    ] = False,
) -> None:
    """Add an exported model to a folder of models, so that it loads by name, or upload it to the Hugging Face Hub."""
    from ..export.publish import publish as publish_export
    from ..export.publish import publish_to_hub

    if to is None:
        if private or dry_run:
            raise typer.BadParameter("--private and --dry-run need --to.")
        typer.echo(str(publish_export(export_dir, zoo, report)))
        return
    if zoo is not None:
        raise typer.BadParameter("--to uploads the model: use it without --zoo.")
    uploaded = publish_to_hub(export_dir, to, report, private=private or None, dry_run=dry_run)
    for name, (size, digest) in uploaded.files.items():
        typer.echo(f"{name}  {size:,} bytes  sha256 {digest}")
    typer.echo(f"Would be uploaded to {to}" if dry_run else uploaded.address)


def quantize(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model name or folder.")],
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Prepared data set for calibration and evaluation.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write.", show_default="the model's folder")
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Source of the labels; may be repeated.", show_default="annotations, else all teachers"
        ),
    ] = None,
) -> None:
    """Add an int8 version to a published model if it passes the accuracy checks (needs the train extra)."""
    from ..datasets.prepared import Store

    with training_stack("musiczoo quantize"):
        from ..export import quantize as int8
    store = Store.open(data)
    metrics = int8.quantize(name, store, teacher or labelled_by(store), out)
    typer.echo(json.dumps(metrics))
