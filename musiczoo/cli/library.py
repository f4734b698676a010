"""`musiczoo index`, `musiczoo library` and `musiczoo map`: make, update, inspect and draw a library."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .._paths import expanded
from ..errors import InputError, MissingDependencyError
from ._console import DEFAULT_MODEL, Command, Group, left_out, names, plural, printable, show_warnings, warn

library = typer.Typer(cls=Group, no_args_is_help=True, help="Inspect and maintain a library made by musiczoo index.")

_LABELS = {"excerpts_heard": "excerpts_analyzed"}
"""Key of the JSON of `stats` -> its label for people, where it differs."""

_COUNTS = ("added", "changed", "moved", "removed", "failed", "unchanged")

DEFAULT_LIBRARY = Path("library.db")
LOCAL, DASK = "local", "dask"

LibraryOption = Annotated[Path, typer.Option("--library", "-l", metavar="FILE", help="Library file.")]
LibraryArgument = Annotated[Path, typer.Argument(metavar="[LIBRARY]", help="Library file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait until another process has finished writing to the library.")
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command(cls=Command, epilog="Example: musiczoo index ~/Music --library music.db")(index)
    app.command("map", cls=Command, epilog="Example: musiczoo map music.db --out map.html --method umap")(draw)
    app.add_typer(library, name="library")


def index(
    folders: Annotated[list[str], typer.Argument(metavar="FOLDER", help="Folders of music.", show_default=False)],
    library: LibraryOption = DEFAULT_LIBRARY,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Model name, folder, or hf://user/model@revision.",
            show_default=f"the library's, or {DEFAULT_MODEL}",
        ),
    ] = None,
    excerpts: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Excerpts to analyze of each track; 0: the whole track.",
            show_default="the library's, or 10",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tracks analyzed in parallel.", show_default="one per core")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove the tracks of folders that are missing or empty.")
    ] = False,
    rescan: Annotated[bool, typer.Option("--rescan", help="Read the metadata of unchanged files again, too.")] = False,
    wait: WaitOption = False,
    as_json: JsonOption = False,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="local, or dask: a cluster that writes part files.")
    ] = LOCAL,
    parts: Annotated[
        str | None, typer.Option(metavar="DIR", help="dask: folder or URL to write the parts to.", show_default=False)
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="dask: address of the cluster's scheduler.", show_default="a local cluster"
        ),
    ] = None,
) -> None:
    """Analyze folders of music into a library, or update it. Run it again to resume an interrupted run.

    Only new and changed files are decoded. Files that cannot be decoded are listed by musiczoo library failures.
    """
    if engine == DASK:
        _index_with_dask(folders, parts, model or DEFAULT_MODEL, excerpts, workers, scheduler, as_json)
        return
    if engine != LOCAL or parts is not None or scheduler is not None:
        raise InputError(f"Expected --engine dask with --parts and --scheduler, or none of them, got {engine!r}.")
    from ..library.library import Library
    from ..library.scan import check_folder

    for folder in () if forget else folders:
        check_folder(folder)
    chosen = model if model is not None or os.path.lexists(expanded(library)) else DEFAULT_MODEL
    with show_warnings(), Library.open_or_create(library, chosen, excerpts, wait) as opened:
        report = opened.index(*folders, workers=workers, forget=forget, wait=wait, rescan=rescan)
        tracks = len(opened)
        missing = sum(failure.kind == MissingDependencyError.__name__ for failure in opened.failures())
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report) | {"tracks": tracks}))
        return
    counts = {what: getattr(report, what) for what in _COUNTS}
    changes = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    seconds = f"{report.seconds:.1f} s"
    typer.echo(f"{changes or 'no audio found'} in {seconds}; {library}: {tracks:,} {plural('track', tracks)}")
    if report.failed:
        typer.echo(f"To list the files that failed: musiczoo library failures {library}", err=True)
    if report.failed and missing:
        typer.echo(f'To decode {missing:,} of them: pip install "musiczoo[av]"', err=True)
    if report.warned:
        what = plural("track", report.warned)
        typer.echo(f"Warnings about the audio of {report.warned:,} {what}: musiczoo library verify {library}", err=True)
    for line in _unsupported(report.passed_over):
        typer.echo(line, err=True)


def draw(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="Library file made by musiczoo index.")],
    out: Annotated[Path, typer.Option(metavar="HTML", help="Page to write.")],
    method: Annotated[
        str,
        typer.Option(metavar="NAME", help="pca (fast), umap or tsne (slower; need the umap or the report extra)."),
    ] = "pca",
    limit: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Maximum number of tracks drawn; a larger library is sampled evenly."),
    ] = 20_000,
) -> None:
    """Draw a library as a map: one HTML page with a point for each track, similar tracks near each other."""
    from ..library.map import write

    drawn = write(library, out, method, limit, lambda step: typer.echo(step, err=True))
    if drawn.tracks < drawn.of:
        warn(f"{drawn.tracks:,} of {drawn.of:,} tracks are drawn; use --limit to draw more")
    typer.echo(f"{drawn.path}: {drawn.tracks:,} tracks, {drawn.path.stat().st_size / 1e6:.1f} MB")


@library.command(cls=Command, epilog="Example: musiczoo library stats music.db --json")
def stats(library: LibraryArgument = DEFAULT_LIBRARY, as_json: JsonOption = False) -> None:
    """Show the contents of a library and how it is searched."""
    from ..library.library import Library

    with Library.open(library) as opened:
        found = opened.stats()
    if as_json:
        typer.echo(json.dumps(found))
        return
    flat = {
        **{_LABELS.get(k, k): v for k, v in found.items() if k != "search"},
        **{f"search {k}": v for k, v in found["search"].items()},
    }
    width = max(map(len, flat))
    for name, value in flat.items():
        typer.echo(printable(f"{name.replace('_', ' '):{width}}  {_formatted(value)}"))


@library.command(cls=Command, epilog="Example: musiczoo library failures music.db")
def failures(library: LibraryArgument = DEFAULT_LIBRARY, as_json: JsonOption = False) -> None:
    """List the files that could not be decoded, and why. They are tried again when they have changed."""
    from ..library.library import Library

    with Library.open(library) as opened:
        for failure in opened.failures():
            if as_json:
                record = dataclasses.asdict(failure)
                typer.echo(json.dumps(record))
            else:
                path, reason = printable(failure.path), printable(failure.reason)
                typer.echo(reason if path in reason else f"{path}: {reason}")


@library.command(cls=Command, epilog="Example: musiczoo library vacuum music.db")
def vacuum(library: LibraryArgument = DEFAULT_LIBRARY) -> None:
    """Free the disk space of removed tracks."""
    from ..library.library import Library

    with Library.open(library) as opened:
        typer.echo(f"{library}: {opened.vacuum():,} bytes freed")


@library.command(cls=Command, epilog="Example: musiczoo library verify music.db")
def verify(library: LibraryArgument = DEFAULT_LIBRARY, as_json: JsonOption = False) -> None:
    """Check a library for problems (exit code 1 if there are any), and list warnings about its tracks' audio."""
    from ..library.library import Library

    with Library.open(library) as opened:
        problems = [printable(problem) for problem in opened.verify()]
        warnings = [(printable(path), printable(message)) for path, message in opened.warnings()]
        tracks = len(opened)
    if as_json:
        listed = [{"path": path, "warning": message} for path, message in warnings]
        typer.echo(json.dumps({"tracks": tracks, "problems": problems, "warnings": listed}))
    else:
        for path, message in warnings:
            typer.echo(f"warning: {path}: {message}")
        for problem in problems or [f"{library}: {tracks:,} {plural('track', tracks)}, no problems"]:
            typer.echo(problem)
    if problems:
        raise typer.Exit(1)


@library.command(name="import", cls=Command, epilog="Example: musiczoo library import parts/ --library music.db")
def import_(
    parts: Annotated[
        list[str],
        typer.Argument(metavar="PARQUET", help="Part files, or folders or URLs of part files.", show_default=False),
    ],
    library: LibraryOption = DEFAULT_LIBRARY,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import the part files of a cluster into a library; make the library if it does not exist."""
    from ..scale.parquet import import_parts

    report = dataclasses.asdict(import_parts(expanded(library), parts, wait))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        typer.echo(f"{', '.join(f'{count:,} {what}' for what, count in report.items())}; {library}")


@library.command(cls=Command, epilog="Example: musiczoo library export music.db --to parquet --out music.parquet")
def export(
    library: LibraryArgument = DEFAULT_LIBRARY,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="parquet (needs the parquet extra), npz or csv.",
            show_default="the ending of --out, or parquet",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write.", show_default="the library's name with the ending of --to"),
    ] = None,
) -> None:
    """Write the embeddings, tag probabilities, paths and metadata of all tracks to a file for other programs."""
    from ..library.export import PARQUET
    from ..library.library import Library

    path = library.with_suffix(f".{to or PARQUET}") if out is None else out
    with Library.open(library) as opened:
        count = opened.export(path, to)
    typer.echo(f"{path}: {count:,} {plural('track', count)}, {expanded(path).stat().st_size / 1e6:.1f} MB")


@library.command(
    cls=Command,
    epilog="Example: musiczoo library evaluate music.db --models disentangled-classification,musicnn-msd --plot a.png",
)
def evaluate(
    library: LibraryArgument = DEFAULT_LIBRARY,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Names or folders of models, separated by commas.", show_default="the library's model"
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Plot the results to this file (needs the plot extra).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how well models find tracks of the same artist and album in your music.

    Each track is a query; its nearest tracks count as correct if they have the same artist or album.
    Models other than the library's analyze the files first.
    """
    from ..evaluation import own_music
    from ..evaluation.metrics.artist_retrieval import TASKS
    from ..library.duplicates import album_key, artist_key, unique_files
    from ..library.library import Library
    from ..model import load

    save = _drawing() if plot else None
    with Library.open(library) as opened:
        config = opened.config
        entries = unique_files(list(opened.entries()))
    songs = [
        own_music.LibraryTrack(
            entry.path,
            artist_key(entry),
            " ".join(album_key(entry)) if entry.album else None,
            {config.space_id: entry.embedding},
        )
        for entry in entries
    ]
    chosen = names(models or config.model)
    with show_warnings():
        report = own_music.evaluate(songs, [load(name) for name in chosen], config.excerpts, config.hop_s)
    reasons = [why if path in why else f"{path}: {why}" for path, why in report["left_out"].items()]
    for line in left_out(reasons, "--json"):
        warn(line)
    if plot and save:
        save(report, plot)
    if as_json:
        typer.echo(json.dumps(report))
        return
    from .tables import print_own_music

    print_own_music(report, TASKS)


def _drawing() -> Callable[[Mapping[str, Any], Path], None]:
    """Import the plotting function before the analysis, so that a missing package is reported at once."""
    from ..plots import save_own_music

    return save_own_music


def _index_with_dask(
    folders: list[str],
    parts: str | None,
    model: str,
    excerpts: int | None,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    if parts is None:
        raise InputError("--engine dask needs --parts DIR: the folder or URL that the workers write to.")
    from ..library.records import excerpts_of
    from ..scale.dask import index as index_with_dask

    report = index_with_dask(
        folders, parts, model, excerpts=excerpts_of(excerpts), scheduler=scheduler, workers=workers
    )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report)))
        return
    done = f"{report.tracks:,} {plural('track', report.tracks)}, {report.failed:,} failed in {report.seconds:.1f} s"
    typer.echo(f"{done}; {len(report.parts):,} parts, {report.skipped:,} of them already there")
    typer.echo(f"Now run: musiczoo library import {parts}")


def _unsupported(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence about audio files in formats that cannot be decoded, and one about CUE sheets."""
    from ..library.scan import SHEET

    others = {suffix: count for suffix, count in counts.items() if suffix != SHEET}
    if others:
        files = ", ".join(f"{count:,} {suffix}" for suffix, count in others.items())
        yield f"Skipped audio files: {files}. musiczoo cannot decode them; convert them, for example to FLAC."
    if sheets := counts.get(SHEET):
        yield f"Ignored {sheets:,} CUE {plural('sheet', sheets)}: an audio file with a CUE sheet is one track."


def _formatted(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
