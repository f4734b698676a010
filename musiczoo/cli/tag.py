"""`musiczoo tag` and `musiczoo demo`: songs in, tags out."""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MusicZooError
from .defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from ..model import Model
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
) -> None:
    """Tag songs: what a model hears in them, per dimension."""
    if plot and len(songs) > 1:
        raise typer.BadParameter(f"--plot draws one song, received {len(songs)}. Call it once a song.")
    draw = _taggram() if plot else None
    from ..model import load  # here, so that `musiczoo --help` does not wait for onnxruntime

    loaded = load(model)
    failed = 0
    with _progress(len(songs)) as step:
        for song in songs:
            result, remarks = _analyze(loaded, song, excerpts)
            with step():
                for remark in remarks:
                    typer.echo(f"warning: {remark}", err=True)
                if isinstance(result, MusicZooError):
                    failed += 1
                    _tell_failure(song, result, as_json)
                else:
                    _tell(song, result, top, as_json)
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
    }


def _analyze(model: "Model", song: str, excerpts: int | None) -> tuple["Track | MusicZooError", list[str]]:
    """The song's track, or why there is none; and what was remarkable about it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            result: Track | MusicZooError = model.analyze(song, excerpts=excerpts)
        except MusicZooError as error:
            result = error
    messages = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    return result, [message if song in message else f"{song}: {message}" for message in messages]


def _tell(song: str, track: "Track", top: int, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(record(track, song), allow_nan=False))
        return
    from .tables import print_tags

    print_tags(track, song, top)


def _tell_failure(song: str, error: MusicZooError, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"path": song, "error": str(error)}))
    else:
        typer.echo(f"error: {error}" if song in str(error) else f"error: {song}: {error}", err=True)


def _taggram() -> Callable[..., None]:
    """The drawing function, fetched before the work so that a missing package costs none."""
    from ..plots import save_taggram

    return save_taggram


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """A bar on stderr while there is more than one song and somebody to see it.

    Yields:
        A function for ``with step():``, around what is printed for a song. The bar makes room for it and
        then counts the song: stdout may be a file while stderr is a terminal, or both the same terminal.
    """
    if total < 2 or not sys.stderr.isatty():
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
