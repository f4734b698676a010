"""`musiczoo index` and `musiczoo library`: make a library, keep it up to date, and look after it."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .._paths import expanded
from ..errors import InputError, MissingDependencyError
from .defaults import DEFAULT_MODEL
from .printable import printable
from .remarks import left_out, remarks

library = typer.Typer(no_args_is_help=True, help="Look after a library: see musiczoo index.")

_COUNTS = ("added", "changed", "moved", "removed", "failed", "unchanged")

DEFAULT_LIBRARY = Path("library.db")
LOCAL, DASK = "local", "dask"

LibraryOption = Annotated[Path, typer.Option("--library", "-l", metavar="FILE", help="File of the library.")]
LibraryArgument = Annotated[Path, typer.Argument(metavar="[LIBRARY]", help="File of the library.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait for another writer of the library to end.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command(epilog="Example: musiczoo index ~/Music --library music.db")(index)
    app.add_typer(library, name="library")


def index(
    folders: Annotated[list[str], typer.Argument(metavar="FOLDER", help="Where the music is.", show_default=False)],
    library: LibraryOption = DEFAULT_LIBRARY,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Model name or folder.",
            show_default=f"the library's, or {DEFAULT_MODEL}",
        ),
    ] = None,
    excerpts: Annotated[
        int | None,
        typer.Option(min=0, help="Excerpts to hear of each song; 0: all of it.", show_default="the library's, or 10"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Songs heard at a time.", show_default="one a core")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Folders that are missing or empty were deleted or emptied: forget them.")
    ] = False,
    rescan: Annotated[
        bool, typer.Option("--rescan", help="Read files again whose size and time are unchanged, for new metadata.")
    ] = False,
    wait: WaitOption = False,
    as_json: JsonOption = False,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="local, or dask: a cluster that writes --parts (see docs/scale.md).")
    ] = LOCAL,
    parts: Annotated[
        str | None, typer.Option(metavar="DIR", help="dask: folder or URL for the parts to import.", show_default=False)
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="dask: of a cluster.", show_default="one started here")
    ] = None,
) -> None:
    """Make folders of music searchable, or bring their library up to date; if it was stopped, run it again.

    Files that cannot be heard do not stop it: see musiczoo library failures.
    """
    if engine == DASK:
        _index_with_dask(folders, parts, model or DEFAULT_MODEL, excerpts, workers, scheduler, as_json)
        return
    if engine != LOCAL or parts is not None or scheduler is not None:
        raise InputError(f"Expected --engine dask with --parts and --scheduler, or none of them, received {engine!r}.")
    from ..library.library import Library
    from ..library.scan import check_folder

    for folder in () if forget else folders:
        check_folder(folder)
    chosen = model if model is not None or os.path.lexists(expanded(library)) else DEFAULT_MODEL
    with remarks(), Library.begin(library, chosen, excerpts, wait) as opened:
        report = opened.index(*folders, workers=workers, forget=forget, wait=wait, rescan=rescan)
        tracks = len(opened)
        missing = sum(failure.kind == MissingDependencyError.__name__ for failure in opened.failures())
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report) | {"tracks": tracks}))
        return
    counts = {what: getattr(report, what) for what in _COUNTS}
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    seconds = f"{report.seconds:.1f} s"
    typer.echo(f"{said or 'nothing found'} in {seconds}; {library}: {tracks:,} {_plural('track', tracks)}")
    if report.failed:
        typer.echo(f"Why files failed: musiczoo library failures {library}", err=True)
    if report.failed and missing:
        typer.echo(f'{missing:,} of them can be read after: pip install "musiczoo[av]"', err=True)
    if report.warned:
        what = _plural("track", report.warned)
        typer.echo(f"Warnings about the audio of {report.warned:,} {what}: musiczoo library verify {library}", err=True)
    for line in _passed_over(report.passed_over):
        typer.echo(line, err=True)


@library.command(epilog="Example: musiczoo library stats music.db --json")
def stats(library: LibraryArgument = DEFAULT_LIBRARY, as_json: JsonOption = False) -> None:
    """What a library holds, and how it is searched."""
    from ..library.library import Library

    with Library.open(library) as opened:
        found = opened.stats()
    if as_json:
        typer.echo(json.dumps(found))
        return
    flat = {
        **{k: v for k, v in found.items() if k != "search"},
        **{f"search {k}": v for k, v in found["search"].items()},
    }
    width = max(map(len, flat))
    for name, value in flat.items():
        typer.echo(printable(f"{name.replace('_', ' '):{width}}  {_said(value)}"))


@library.command(epilog="Example: musiczoo library failures music.db")
def failures(library: LibraryArgument = DEFAULT_LIBRARY, as_json: JsonOption = False) -> None:
    """Files that could not be heard, and why; they are tried again when they have changed."""
    from ..library.library import Library

    with Library.open(library) as opened:
        for failure in opened.failures():
            if as_json:
                record = dataclasses.asdict(failure)
                typer.echo(json.dumps(record))
            else:
                path, reason = printable(failure.path), printable(failure.reason)
                typer.echo(reason if path in reason else f"{path}: {reason}")


@library.command(epilog="Example: musiczoo library vacuum music.db")
def vacuum(library: LibraryArgument = DEFAULT_LIBRARY) -> None:
    """Give the room of tracks that were removed back to the disk."""
    from ..library.library import Library

    with Library.open(library) as opened:
        typer.echo(f"{library}: {opened.vacuum():,} bytes given back")


@library.command(epilog="Example: musiczoo library verify music.db")
def verify(library: LibraryArgument = DEFAULT_LIBRARY, as_json: JsonOption = False) -> None:
    """Tell what is wrong with a library (exit code 1 if anything is), and list the warnings about its tracks' audio."""
    from ..library.library import Library

    with Library.open(library) as opened:
        problems = [printable(problem) for problem in opened.verify()]
        warnings = [(printable(path), printable(message)) for path, message in opened.warnings()]
        tracks = len(opened)
    if as_json:
        told = [{"path": path, "warning": message} for path, message in warnings]
        typer.echo(json.dumps({"tracks": tracks, "problems": problems, "warnings": told}))
    else:
        for path, message in warnings:
            typer.echo(f"warning: {path}: {message}")
        for problem in problems or [f"{library}: {tracks:,} {_plural('track', tracks)}, nothing wrong"]:
            typer.echo(problem)
    if problems:
        raise typer.Exit(1)


@library.command(name="import", epilog="Example: musiczoo library import parts/ --library music.db")
def import_(
    parts: Annotated[
        list[str], typer.Argument(metavar="PARQUET", help="Parts, or folders or URLs of parts.", show_default=False)
    ],
    library: LibraryOption = DEFAULT_LIBRARY,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring parts that a cluster has made into a library, which is made if there is none."""
    from ..scale.parquet import import_parts

    report = dataclasses.asdict(import_parts(expanded(library), parts, wait))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        typer.echo(f"{', '.join(f'{count:,} {what}' for what, count in report.items())}; {library}")


@library.command(
    epilog="Example: musiczoo library evaluate music.db --models disentangled-classification,musicnn-msd --plot a.png"
)
def evaluate(
    library: LibraryArgument = DEFAULT_LIBRARY,
    models: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Models, separated by commas.", show_default="the library's model"),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the results into this file (needs the plot extra).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure which model finds the artists and albums of your music.

    Each track is searched by; counted is how many of the nearest tracks are by the same artist, or of the same album.
    Models other than the library's analyze its files first.
    """
    from ..evaluation import own_music
    from ..library.duplicates import album_key
    from ..library.library import Library
    from ..library.names import folded, names_of
    from ..model import load

    save = _drawing() if plot else None
    with Library.open(library) as opened:
        facts = opened.facts
        entries = list(opened.database.entries())
    first = {entry.hash: entry for entry in reversed(entries)}  # of files with the same bytes
    songs = []
    for entry in (entry for entry in entries if entry is first[entry.hash]):
        artist = next(iter(names_of(entry.artist, entry.artists)), None)
        album = " ".join(album_key(entry)) if entry.album else None
        embeddings = {facts.space_id: entry.embedding}
        songs.append(own_music.Song(entry.path, folded(artist) if artist else None, album, embeddings))
    chosen = [name.strip() for name in (models or facts.model).split(",")]
    with remarks():
        report = own_music.evaluate(songs, [load(name) for name in chosen], facts.excerpts, facts.hop_s)
    reasons = [why if path in why else f"{path}: {why}" for path, why in report["left_out"].items()]
    for line in left_out(reasons, "--json"):
        typer.echo(printable(f"warning: {line}"), err=True)
    if plot and save:
        save(report, plot)
    if as_json:
        typer.echo(json.dumps(report))
        return
    from .tables import print_own_music

    print_own_music(report, own_music.TASKS)


def _drawing() -> Callable[[Mapping[str, Any], Path], None]:
    """The drawing function, imported before the work so that a missing package costs none."""
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
        raise InputError("Expected --parts DIR with --engine dask: where the workers write. Name a folder or URL.")
    from ..library.library import EXCERPTS
    from ..scale.dask import index as index_with_dask

    count = EXCERPTS if excerpts is None else excerpts or None
    report = index_with_dask(folders, parts, model, excerpts=count, scheduler=scheduler, workers=workers)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report)))
        return
    done = f"{report.tracks:,} {_plural('track', report.tracks)}, {report.failed:,} failed in {report.seconds:.1f} s"
    typer.echo(f"{done}; {len(report.parts):,} parts, {report.skipped:,} of them there before")
    typer.echo(f"Now run: musiczoo library import {parts}")


def _passed_over(counts: Mapping[str, int]) -> Iterator[str]:
    """A sentence each about CUE sheets and about audio that was not looked at."""
    from ..library.scan import SHEET

    others = {suffix: count for suffix, count in counts.items() if suffix != SHEET}
    if others:
        said = ", ".join(f"{count:,} {suffix}" for suffix, count in others.items())
        yield f"Audio files passed over: {said}. No extra of musiczoo decodes them: convert them to FLAC, say."
    if sheets := counts.get(SHEET):
        yield f"{sheets:,} CUE {_plural('sheet', sheets)} not used: a file with a sheet beside it is one track."


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
