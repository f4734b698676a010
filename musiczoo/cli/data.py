"""`musiczoo data`: music to train and to measure on, prepared, checked and labelled."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .stack import training_stack

if TYPE_CHECKING:
    from ..datasets.check import Report

data = typer.Typer(no_args_is_help=True, help="Prepare, check and label music to train on.")

RootOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Your copy of the data set.", show_default=False)]
AudioOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Its audio, if not where the data set's page says.")
]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A data set: see musiczoo data list.", show_default=False)
]
LabelsOption = Annotated[
    Path | None, typer.Option(metavar="CSV", help="folder: the table.", show_default="tags.csv, else names of folders")
]
SubsetOption = Annotated[
    str | None,
    typer.Option(
        help="jamendo: top50tags, all, genre, instrument or moodtheme; fma: small, medium, large or full.",
        show_default="top50tags; small",
    ),
]
TagsOption = Annotated[str | None, typer.Option(help="fma: genre_top, genres or genres_all.", show_default="genre_top")]
FoldOption = Annotated[int | None, typer.Option(help="jamendo: which published split.", show_default="0")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.add_typer(data, name="data")


@data.command(name="list", epilog="Example: musiczoo data list")
def list_datasets(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a data set.")] = False,
) -> None:
    """List the data sets that can be read."""
    from ..datasets.catalogue import CATALOGUE

    if as_json:
        for name, entry in CATALOGUE.items():
            typer.echo(json.dumps({"name": name, **asdict(entry)}, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("Name", "Music", "Tags", "Split", caption="What to cite: musiczoo data cite NAME")
    for name, entry in CATALOGUE.items():
        table.add_row(name, entry.music, entry.tags, entry.split)
    Console().print(table)


@data.command(epilog="Example: musiczoo data cite fma >> references.bib")
def cite(name: NameArgument) -> None:
    """Print the BibTeX entries to cite for a data set."""
    from ..datasets import catalogue

    if entries := catalogue.cite(name):
        typer.echo(entries)
    else:
        typer.echo(f"{name} is your own music: there is nothing to cite.", err=True)


@data.command(epilog="Example: musiczoo data prepare folder --root ~/Music --labels tags.csv --out data/mine")
def prepare(
    name: NameArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to fill.", show_default=False)],
    root: RootOption = None,
    audio: AudioOption = None,
    labels: LabelsOption = None,
    subset: SubsetOption = None,
    fold: FoldOption = None,
    tags: TagsOption = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the audio, rather than link to it.")] = False,
    packages_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="open_music: folder with the .deb files, if apt-get is not to fetch them."),
    ] = None,
) -> None:
    """Bring a data set into the form for training; run it again to resume (needs the train extra)."""
    from ..datasets import open_music, sources
    from ..datasets.prepare import prepare as prepare_dataset
    from ..errors import InputError, UnknownNameError

    options = {"audio": audio, "labels": labels, "subset": subset, "fold": fold, "tags": tags}
    if name == open_music.NAME:
        if root is not None or copy or any(value is not None for value in options.values()):
            raise InputError(f"{name} takes --out and --packages-dir alone: its packages are fetched.")
        with training_stack("musiczoo data prepare"):
            store = open_music.prepare(out, packages_dir)
    else:
        if name not in sources.TAGGED:
            raise UnknownNameError.of("data set", name, (open_music.NAME, *sources.TAGGED))
        if root is None or packages_dir is not None:
            raise InputError(f"{name} takes --root DIR, your copy of it, and no --packages-dir.")
        dataset = sources.load(name, root, **options)
        with training_stack("musiczoo data prepare"):
            store = prepare_dataset(dataset, out, copy)
    if not store.tracks:
        raise typer.Exit(1)


@data.command(epilog="Example: musiczoo data check magnatagatune --root ~/magnatagatune")
def check(
    name: NameArgument,
    root: Annotated[Path, typer.Option(metavar="DIR", help="Your copy of the data set.", show_default=False)],
    audio: AudioOption = None,
    labels: LabelsOption = None,
    subset: SubsetOption = None,
    fold: FoldOption = None,
    tags: TagsOption = None,
    version: Annotated[str | None, typer.Option(help="dim_sim: clean or raw.", show_default="clean")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look whether the audio is there, not whether it can be decoded.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Tell what is missing or damaged in your copy of a data set; exit code 1 if anything is."""
    from ..datasets import sources

    options = {"audio": audio, "labels": labels, "subset": subset, "fold": fold, "tags": tags, "version": version}
    report = sources.check(name, root, quick=quick, **options)
    if as_json:
        typer.echo(json.dumps(report.plain(), ensure_ascii=False))
    else:
        _print(report)
    if not report.good:
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


def _print(report: "Report") -> None:
    counts = ", ".join(f"{count:,} {what}" for what, count in report.counts.items())
    typer.echo(f"{report.dataset} in {report.root}: {counts or 'could not be read'}")
    for problem in report.problems:
        typer.echo(f"\nexpected {problem.what}; {problem.count:,} {'case' if problem.count == 1 else 'cases'} not so:")
        for example in problem.examples:
            typer.echo(f"  {example}")
        if problem.count > len(problem.examples):
            typer.echo(f"  ... and {problem.count - len(problem.examples):,} more")
        typer.echo(f"  {problem.remedy}")
    if report.good:
        typer.echo("Nothing is missing, nothing is damaged.")
