"""`musiczoo tag` and `musiczoo demo`: predict the tags of songs."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MusicZooError, UnknownNameError
from ..tag_map import FIELDS as STANDARD
from ._console import DEFAULT_MODEL, Command, names, plural, printable, warn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..card import ModelCard
    from ..tag_map import TagMap
    from ..track import Track

TAGS = "tags"
"""The choice of ``--fields`` beside the standard fields: those of musiczoo."""

_FILES = "Tags in the files"

ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="NAME", help="Model name (see musiczoo models), folder, or hf://user/model@revision."
    ),
]
TopOption = Annotated[int, typer.Option("--top", "-k", min=1, metavar="N", help="Tags shown per dimension.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command(cls=Command, epilog="Example: musiczoo tag ~/Music/*.mp3 --json > tags.jsonl")(tag)
    app.command(cls=Command, epilog="Example: musiczoo demo --top 3")(demo)


def tag(
    songs: Annotated[list[str] | None, typer.Argument(metavar="SONG", help="Audio files.", show_default=False)] = None,
    model: ModelOption = DEFAULT_MODEL,
    top: TopOption = 5,
    excerpts: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Analyze N excerpts, spread over the song, instead of all of it."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each song, with all tags.")
    ] = False,
    embedding: Annotated[
        bool, typer.Option("--embedding", help="With --json: add the embedding and its sub-spaces.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Plot the tags over time to this file (one song; needs the plot extra)."),
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Write predicted tags into the files (needs the library extra).", rich_help_panel=_FILES
        ),
    ] = False,
    fields: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD,...",
            help="What to write or to undo: tags (into fields of musiczoo's own), mood and genre (that players show).",
            show_default="tags; with --unwrite all",
            rich_help_panel=_FILES,
        ),
    ] = None,
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="TOML",
            help="Your words for mood and genre, in a file made by --print-map.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    print_map: Annotated[
        bool,
        typer.Option(
            "--print-map",
            help="Print the words that the model's tags get without --map, to edit; and exit.",
            rich_help_panel=_FILES,
        ),
    ] = False,
    unwrite: Annotated[
        bool,
        typer.Option(
            "--unwrite",
            help="Undo --write: remove what it wrote, and restore the old mood and genre.",
            rich_help_panel=_FILES,
        ),
    ] = False,
) -> None:
    """Predict the tags of songs: genre, mood, instrument and era."""
    if print_map:
        _print_map(model)
        return
    if not songs:
        raise typer.BadParameter("Expected the path of a song.", param_hint="SONG")
    if plot and len(songs) > 1:
        raise typer.BadParameter(f"--plot takes one song, got {len(songs)}. Run the command once for each song.")
    if unwrite and (write or plot or map_file):
        raise typer.BadParameter("--unwrite analyzes nothing: use it without --write, --map and --plot.")
    if embedding and not as_json:
        raise typer.BadParameter("--embedding needs --json.")
    if fields is not None and not (write or unwrite):
        raise typer.BadParameter("--fields needs --write or --unwrite.")
    if unwrite:
        _unwrite(songs, _chosen(fields, (TAGS, *STANDARD)), as_json)
        return
    chosen = _chosen(fields, (TAGS,))
    if map_file and not (write and set(chosen) & set(STANDARD)):
        raise typer.BadParameter("--map needs --write with --fields mood, genre or both.")
    draw = _taggram() if plot else None
    store = _writer() if write else None
    from ..model import load  # here, so that `musiczoo --help` does not wait for onnxruntime

    loaded = load(model)
    tag_map = _tag_map(loaded.card, map_file, chosen)
    failed = 0
    with _progress(len(songs)) as step, closing(loaded.analyze_many(songs, excerpts=excerpts)) as results:
        for song, result in zip(songs, results, strict=True):
            written, notes = None, () if isinstance(result, MusicZooError) else result.warnings
            if store and not isinstance(result, MusicZooError):
                result, written = _written(store, song, result, TAGS in chosen, tag_map)
            with step():
                for note in notes:
                    warn(note if song in note else f"{song}: {note}")
                if isinstance(result, MusicZooError):
                    failed += 1
                    _print_failure(song, result, as_json)
                else:
                    if as_json:
                        entry = record(result, song, embedding) | ({} if written is None else written.as_dict())
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


@dataclass(frozen=True)
class _Written:
    """What was written into a file.

    Attributes:
        changed: Whether the file changed.
        tags: Number of tags in the MUSICZOO_ fields; None if these were not written.
        words: Standard field -> its words.
    """

    changed: bool
    tags: int | None
    words: dict[str, list[str]]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of the song's JSON object."""
        return {"written": self.changed} | ({"words": self.words} if self.words else {})

    def __str__(self) -> str:
        """Return a description such as ``3 tags, mood Happy; Chill``."""
        parts = [] if self.tags is None else [f"{self.tags} {plural('tag', self.tags)}"]
        parts += [f"{field} {'; '.join(words) or '(none)'}" for field, words in self.words.items()]
        return ", ".join(parts)


def _written(
    store: Callable[..., bool], song: str, track: "Track", own: bool, tag_map: "TagMap"
) -> tuple["Track | MusicZooError", _Written | None]:
    """Write the tags, if `own` into the MUSICZOO_ fields; return the track and what was written, or the error."""
    from ..tag_map import words_of

    words = words_of(tag_map, track.tags, track.card.thresholds)
    try:
        changed = store(song, track if own else None, words)
    except MusicZooError as error:
        return error, None
    return track, _Written(changed, len(track.tags.above_threshold()) if own else None, words)


def _chosen(fields: str | None, default: Sequence[str]) -> Sequence[str]:
    """Return the choices of ``--fields``."""
    chosen = default if fields is None else names(fields)
    for name in chosen:
        if name not in (TAGS, *STANDARD):
            raise UnknownNameError.of("field", name, (TAGS, *STANDARD))
    if not chosen:
        raise typer.BadParameter("Expected FIELD,..., such as mood,genre, got none.", param_hint="--fields")
    return chosen


def _tag_map(card: "ModelCard", file: Path | None, fields: Sequence[str]) -> "TagMap":
    """Return the words of the chosen standard fields."""
    from .. import tag_map

    found = tag_map.default(card.dimensions) if file is None else tag_map.read(file, card.tags)
    return {field: found.get(field, {}) for field in fields if field in STANDARD}


def _print_map(model: str) -> None:
    from .. import tag_map
    from ..card import read_card
    from ..registry import find

    card = read_card(find(model))
    typer.echo(tag_map.as_toml(tag_map.default(card.dimensions), card.thresholds), nl=False)


def _unwrite(songs: list[str], fields: Sequence[str], as_json: bool) -> None:
    from ..file_tags import remove

    failed = 0
    for song in songs:
        try:
            removed = remove(song, fields)
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


def _print(song: str, track: "Track", top: int, written: _Written | None) -> None:
    from .tables import print_tags

    print_tags(track, song, top)
    if written is not None:
        text = f"Wrote {written} to {song}" if written.changed else f"These tags were already in {song}"
        typer.echo(printable(text))


def _print_failure(song: str, error: MusicZooError, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"path": song, "error": str(error)}))
    else:
        typer.echo(printable(f"error: {error}" if song in str(error) else f"error: {song}: {error}"), err=True)


def _taggram() -> Callable[..., None]:
    """Import the plotting function before the analysis, so that a missing package is reported at once."""
    from ..plots import save_taggram

    return save_taggram


def _writer() -> Callable[..., bool]:
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
