"""`musiczoo data`: prepare, check and label data sets for training and evaluation."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._console import Command, Group, plural, training_stack

if TYPE_CHECKING:
    from ..datasets.check import Report
    from ..datasets.prepare import FrontEnd

data = typer.Typer(cls=Group, no_args_is_help=True, help="Prepare, check and label data sets.")

RootOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of your copy of the data set.", show_default=False)
]
AudioOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of its audio.", show_default="where the publisher puts it")
]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a data set: see musiczoo data list.", show_default=False)
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="folder: table of tags.", show_default="tags.csv, else names of folders"),
]
SubsetOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="jamendo: top50tags, all, genre, instrument or moodtheme; fma: small, medium, large or full.",
        show_default="top50tags; small",
    ),
]
TagsOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="fma: genre_top, genres or genres_all.", show_default="genre_top")
]
FoldOption = Annotated[
    int | None, typer.Option(metavar="N", help="jamendo: number of the published split.", show_default="0")
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.add_typer(data, name="data")


@data.command(name="list", cls=Command, epilog="Example: musiczoo data list")
def list_datasets(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each data set.")] = False,
) -> None:
    """List the supported data sets."""
    from ..datasets.catalogue import CATALOGUE

    if as_json:
        for name, entry in CATALOGUE.items():
            typer.echo(json.dumps({"name": name, **asdict(entry)}, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("Name", "Music", "Tags", "Split", caption="To cite one: musiczoo data cite NAME")
    for name, entry in CATALOGUE.items():
        table.add_row(name, entry.music, entry.tags, entry.split)
    Console().print(table)


@data.command(cls=Command, epilog="Example: musiczoo data cite fma >> references.bib")
def cite(name: NameArgument) -> None:
    """Print the BibTeX entries to cite for a data set."""
    from ..datasets import catalogue

    if entries := catalogue.cite(name):
        typer.echo(entries)
    else:
        typer.echo(f"Nothing to cite: {name} is your own music.", err=True)


@data.command(
    cls=Command, epilog="Example: musiczoo data prepare folder --root ~/Music --labels tags.csv --out data/mine"
)
def prepare(
    name: NameArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to fill.", show_default=False)],
    root: RootOption = None,
    audio: AudioOption = None,
    labels: LabelsOption = None,
    subset: SubsetOption = None,
    fold: FoldOption = None,
    tags: TagsOption = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the audio instead of linking to it.")] = False,
    packages_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="open_music, rendered_music: folder of the .deb files.",
            show_default="downloaded by apt-get",
        ),
    ] = None,
) -> None:
    """Convert a data set to the form that training reads (needs the train extra). Run it again to resume."""
    from ..datasets import catalogue, open_music, rendered_music
    from ..datasets.prepare import prepare as prepare_dataset
    from ..errors import InputError, UnknownNameError

    options = {"audio": audio, "labels": labels, "subset": subset, "fold": fold, "tags": tags}
    made = (open_music.NAME, rendered_music.NAME)
    if name in made:
        if root is not None or copy or any(value is not None for value in options.values()):
            raise InputError(f"{name} takes only --out and --packages-dir: its music is downloaded.")
        make = open_music.prepare if name == open_music.NAME else rendered_music.prepare
        store = make(out, _front_end(), packages_dir)
    else:
        if name not in catalogue.TAGGED:
            raise UnknownNameError.of("data set", name, (*made, *catalogue.TAGGED))
        if root is None or packages_dir is not None:
            raise InputError(f"{name} needs --root DIR, the folder of your copy, and takes no --packages-dir.")
        dataset = catalogue.load(name, root, **options)
        store = prepare_dataset(dataset, out, _front_end(), copy)
    if not store.tracks:
        raise typer.Exit(1)


def _front_end() -> "FrontEnd":
    """Return the front end of the models, which needs TensorFlow."""
    with training_stack("musiczoo data prepare"):
        from ..models.frontend import data_front_end

        return data_front_end()


@data.command(cls=Command, epilog="Example: musiczoo data check magnatagatune --root ~/magnatagatune")
def check(
    name: NameArgument,
    root: Annotated[Path, typer.Option(metavar="DIR", help="Folder of your copy of the data set.", show_default=False)],
    audio: AudioOption = None,
    labels: LabelsOption = None,
    subset: SubsetOption = None,
    fold: FoldOption = None,
    tags: TagsOption = None,
    version: Annotated[
        str | None, typer.Option(metavar="NAME", help="dim_sim: clean or raw.", show_default="clean")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Check that the audio exists, not that it can be decoded.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what is missing or damaged in your copy of a data set (exit code 1 if anything is)."""
    from ..datasets import catalogue

    options = {"audio": audio, "labels": labels, "subset": subset, "fold": fold, "tags": tags, "version": version}
    report = catalogue.check(name, root, quick=quick, **options)
    if as_json:
        typer.echo(json.dumps(report.plain(), ensure_ascii=False))
    else:
        _print(report)
    if not report.good:
        raise typer.Exit(1)


@data.command(
    cls=Command, epilog="Example: musiczoo data label data/open_music --teacher musicnn-msd --teacher vgg-msd"
)
def label(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Prepared data set.")],
    teacher: Annotated[
        list[str],
        typer.Option(
            metavar="NAME", help="Name or folder of the model that tags; may be repeated.", show_default=False
        ),
    ],
    train_every: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Tag every Nth excerpt of training tracks; interpolate the others."),
    ] = 1,
    hidden: Annotated[
        bool,
        typer.Option("--hidden", help="Store the teachers' hidden layers too, for a student to learn (train extra)."),
    ] = False,
) -> None:
    """Tag every excerpt of a data set with teacher models. Run it again to resume."""
    from ..datasets.label import label as label_store

    network = None
    if hidden:
        with training_stack("musiczoo data label --hidden"):
            from ..models.features import Teacher
        network = Teacher.open
    if label_store(folder, teacher, train_every, network=network):
        raise typer.Exit(1)


def _print(report: "Report") -> None:
    counts = ", ".join(f"{count:,} {what}" for what, count in report.counts.items())
    typer.echo(f"{report.dataset} in {report.root}: {counts or 'could not be read'}")
    for problem in report.problems:
        typer.echo(f"\nexpected {problem.what}; {problem.count:,} {plural('exception', problem.count)}:")
        for example in problem.examples:
            typer.echo(f"  {example}")
        if problem.count > len(problem.examples):
            typer.echo(f"  ... and {problem.count - len(problem.examples):,} more")
        typer.echo(f"  {problem.remedy}")
    if report.good:
        typer.echo("Nothing is missing or damaged.")
