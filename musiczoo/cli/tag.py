"""`musiczoo tag` and `musiczoo demo`: songs in, tags out."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MusicZooError
from .defaults import DEFAULT_MODEL
from .printable import printable

if TYPE_CHECKING:
    from ..track import Track

ModelOption = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME", help="Model name or folder: see musiczoo models.")
]
TopOption = Annotated[int, typer.Option("--top", "-k", min=1, help="Tags shown per dimension.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command(epilog="Example: musiczoo tag ~/Music/*.mp3 --json > tags.jsonl")(tag)
    app.command(epilog="Example: musiczoo demo --top 3")(demo)


def tag(
    songs: Annotated[list[str], typer.Argument(metavar="SONG", help="Audio files.", show_default=False)],
    model: ModelOption = DEFAULT_MODEL,
    top: TopOption = 5,
    excerpts: Annotated[
        int | None,
        typer.Option(min=1, help="Listen to this many excerpts, spread over the song, instead of all of it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all tags.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Draw the tags over time into this file (one song; needs the plot extra)."),
    ] = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Also write the tags above their thresholds into the files, in MUSICZOO_ fields."),
    ] = False,
    unwrite: Annotated[
        bool, typer.Option("--unwrite", help="Only take the fields of --write out of the files again.")
    ] = False,
) -> None:
    """Tag songs: what a model hears in them, per dimension."""
    if plot and len(songs) > 1:
        raise typer.BadParameter(f"--plot draws one song, received {len(songs)}. Call it once a song.")
    if unwrite and (write or plot):
        raise typer.BadParameter("--unwrite listens to nothing: call it without --write and --plot.")
    if unwrite:
        _unwrite(songs, as_json)
        return
    draw = _taggram() if plot else None
    store = _writer() if write else None
    from ..model import load  # here, so that `musiczoo --help` does not wait for onnxruntime

    loaded = load(model)
    failed = 0
    with _progress(len(songs)) as step, closing(loaded.analyze_many(songs, excerpts=excerpts)) as results:
        for song, result in zip(songs, results, strict=True):
            written, remarks = None, () if isinstance(result, MusicZooError) else result.warnings
            if store and not isinstance(result, MusicZooError):
                result, written = _written(store, song, result)
            with step():
                for remark in remarks:
                    text = remark if song in remark else f"{song}: {remark}"
                    typer.echo(printable(f"warning: {text}"), err=True)
                if isinstance(result, MusicZooError):
                    failed += 1
                    _tell_failure(song, result, as_json)
                else:
                    _tell(song, result, top, as_json, written)
                    if draw and plot:
                        draw(result, plot)
    if failed:
        raise typer.Exit(1)


def demo(model: ModelOption = DEFAULT_MODEL, top: TopOption = 5) -> None:
    """Tag the bundled piece: 30 s of orchestral music (CC0)."""
    from .. import demo as piece

    tag([str(piece.PATH)], model=model, top=top)


def record(track: "Track", path: str) -> dict[str, Any]:
    """The JSON object of a song."""
    p = {tag.name: round(tag.probability, 6) for tag in track.tags}
    return {
        "path": path,
        "model": track.model,
        "duration_s": round(track.duration_s, 3),
        "tags": p,
        "above_threshold": [tag.name for tag in track.tags.above_threshold()],
        "dimensions": {name: {tag: p[tag] for tag in tags} for name, tags in track.card.dimensions.items()},
        "warnings": list(track.warnings),
    }


def _written(
    store: Callable[[str, "Track"], bool], song: str, track: "Track"
) -> tuple["Track | MusicZooError", bool | None]:
    """The track and whether its file was changed; or why its tags could not be written."""
    try:
        return track, store(song, track)
    except MusicZooError as error:
        return error, None


def _unwrite(songs: list[str], as_json: bool) -> None:
    from ..file_tags import remove

    failed = 0
    for song in songs:
        try:
            removed = remove(song)
        except MusicZooError as error:
            failed += 1
            _tell_failure(song, error, as_json)
            continue
        if as_json:
            typer.echo(json.dumps({"path": song, "removed": removed}))
        else:
            typer.echo(f"{'Removed our tags from' if removed else 'None of our tags in'} {printable(song)}")
    if failed:
        raise typer.Exit(1)


def _tell(song: str, track: "Track", top: int, as_json: bool, written: bool | None) -> None:
    if as_json:
        result = record(track, song) | ({} if written is None else {"written": written})
        typer.echo(json.dumps(result, allow_nan=False))
        return
    from .tables import print_tags

    print_tags(track, song, top)
    if written is not None:
        count = len(track.tags.above_threshold())
        done = f"Wrote {count} tag{'s' * (count != 1)} into" if written else "These tags were already in"
        typer.echo(f"{done} {printable(song)}")


def _tell_failure(song: str, error: MusicZooError, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"path": song, "error": str(error)}))
    else:
        typer.echo(printable(f"error: {error}" if song in str(error) else f"error: {song}: {error}"), err=True)


def _taggram() -> Callable[..., None]:
    """The drawing function, fetched before the work so that a missing package costs none."""
    from ..plots import save_taggram

    return save_taggram


def _writer() -> Callable[[str, "Track"], bool]:
    """The writing function, fetched before the work for the same reason."""
    from ..file_tags import write

    return write


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """A bar on stderr while there is more than one song and somebody to see it.

    Yields:
        A function for ``with step():``, around what is printed for a song. The bar makes room for it and
        then counts the song: stdout may be a file while stderr is a terminal, or both the same terminal.
    """
    if total < 2 or sys.stderr is None or not sys.stderr.isatty():
        yield nullcontext
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("Tagging", total=total)

        @contextmanager
        def step() -> Iterator[None]:
            bar.stop()
            yield
            bar.advance(task)
            bar.start()

        yield step
