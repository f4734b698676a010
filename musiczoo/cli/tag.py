"""`musiczoo tag` and `musiczoo demo`: predict the tags of songs."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MusicZooError
from ._console import DEFAULT_MODEL, Command, plural, printable, warn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..track import Track

ModelOption = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME", help="Model name (see musiczoo models) or folder.")
]
TopOption = Annotated[int, typer.Option("--top", "-k", min=1, metavar="N", help="Tags shown per dimension.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command(cls=Command, epilog="Example: musiczoo tag ~/Music/*.mp3 --json > tags.jsonl")(tag)
    app.command(cls=Command, epilog="Example: musiczoo demo --top 3")(demo)


def tag(
    songs: Annotated[list[str], typer.Argument(metavar="SONG", help="Audio files.", show_default=False)],
    model: ModelOption = DEFAULT_MODEL,
    top: TopOption = 5,
    excerpts: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Analyze N excerpts, spread over the song, instead of all of it."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each song, with all tags.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Plot the tags over time to this file (one song; needs the plot extra)."),
    ] = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Write the tags above their thresholds into the files, in MUSICZOO_ fields."),
    ] = False,
    embedding: Annotated[
        bool, typer.Option("--embedding", help="With --json: add the embedding and its sub-spaces.")
    ] = False,
    unwrite: Annotated[
        bool, typer.Option("--unwrite", help="Remove the fields of --write from the files; nothing is analyzed.")
    ] = False,
) -> None:
    """Predict the tags of songs: genre, mood, instrument and era."""
    if plot and len(songs) > 1:
        raise typer.BadParameter(f"--plot takes one song, got {len(songs)}. Run the command once for each song.")
    if unwrite and (write or plot):
        raise typer.BadParameter("--unwrite analyzes nothing: use it without --write and --plot.")
    if embedding and not as_json:
        raise typer.BadParameter("--embedding needs --json.")
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
            written, notes = None, () if isinstance(result, MusicZooError) else result.warnings
            if store and not isinstance(result, MusicZooError):
                result, written = _written(store, song, result)
            with step():
                for note in notes:
                    warn(note if song in note else f"{song}: {note}")
                if isinstance(result, MusicZooError):
                    failed += 1
                    _print_failure(song, result, as_json)
                else:
                    if as_json:
                        entry = record(result, song, embedding) | ({} if written is None else {"written": written})
                        typer.echo(json.dumps(entry, allow_nan=False))
                    else:
                        _print(song, result, top, written)
                    if draw and plot:
                        draw(result, plot)
    if failed:
        raise typer.Exit(1)


def demo(model: ModelOption = DEFAULT_MODEL, top: TopOption = 5) -> None:
    """Predict the tags of the bundled recording: 30 s of orchestral music (CC0)."""
    from ..demo import PATH

    tag([str(PATH)], model=model, top=top)


def record(track: "Track", path: str, embedding: bool = False) -> dict[str, Any]:
    """Return the JSON object of a song."""
    vectors: dict[str, Any] = {}
    if embedding:
        spaces = {name: _numbers(track.space(name)) for name in track.card.spaces}
        vectors = {"space_id": track.card.space_id, "embedding": _numbers(track.embedding), "spaces": spaces}
    p = {name: round(probability, 6) for name, probability in track.tags.items()}
    return {
        "path": path,
        "model": track.model,
        "duration_s": round(track.duration_s, 3),
        "tags": p,
        "above_threshold": [tag.name for tag in track.tags.above_threshold()],
        "dimensions": {name: {tag: p[tag] for tag in tags} for name, tags in track.card.dimensions.items()},
        "warnings": list(track.warnings),
        **vectors,
    }


def _numbers(vector: "NDArray[np.float32]") -> list[float]:
    """Return a vector as numbers that give the same float32 values when they are read."""
    return [float(str(value)) for value in vector]


def _written(
    store: Callable[[str, "Track"], bool], song: str, track: "Track"
) -> tuple["Track | MusicZooError", bool | None]:
    """Write the tags; return the track and whether the file changed, or the error."""
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
            _print_failure(song, error, as_json)
            continue
        if as_json:
            typer.echo(json.dumps({"path": song, "removed": removed}))
        else:
            typer.echo(f"{'Removed the tags from' if removed else 'No tags of musiczoo in'} {printable(song)}")
    if failed:
        raise typer.Exit(1)


def _print(song: str, track: "Track", top: int, written: bool | None) -> None:
    from .tables import print_tags

    print_tags(track, song, top)
    if written is not None:
        count = len(track.tags.above_threshold())
        done = f"Wrote {count} {plural('tag', count)} to" if written else "These tags were already in"
        typer.echo(f"{done} {printable(song)}")


def _print_failure(song: str, error: MusicZooError, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"path": song, "error": str(error)}))
    else:
        typer.echo(printable(f"error: {error}" if song in str(error) else f"error: {song}: {error}"), err=True)


def _taggram() -> Callable[..., None]:
    """Import the plotting function before the analysis, so that a missing package is reported at once."""
    from ..plots import save_taggram

    return save_taggram


def _writer() -> Callable[[str, "Track"], bool]:
    """Import the writing function before the analysis, for the same reason."""
    from ..file_tags import write

    return write


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """Show a progress bar on stderr for two songs or more, if stderr is a terminal.

    Yields:
        A function for ``with step():`` around what is printed for a song. The bar disappears meanwhile and then
        counts the song: stdout may be a file while stderr is a terminal, or both the same terminal.
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
