"""`musiczoo search`: songs, tags or both in, the songs of a library that answer best out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import searching
from .remarks import remarks

if TYPE_CHECKING:
    from ..library.search import Hit

_QUERY, _FILTERS = "Query", "Filters"

LibraryArgument = Annotated[Path, typer.Argument(metavar="LIBRARY", help="A library: see musiczoo index.")]
SongsArgument = Annotated[list[str] | None, typer.Argument(metavar="SONG", help="Songs, in the library or not.")]
LikeOption = Annotated[
    list[str] | None, typer.Option(metavar="SONG", help="Another song; may be repeated.", rich_help_panel=_QUERY)
]
UnlikeOption = Annotated[
    list[str] | None, typer.Option(metavar="SONG", help="Stay away from it; may be repeated.", rich_help_panel=_QUERY)
]
TagsOption = Annotated[
    str | None,
    typer.Option(metavar="TAG,...", help="What it should sound like.", rich_help_panel=_QUERY),
]
OfOption = Annotated[
    str | None, typer.Option(metavar="SONG", help="Take this dimension from that song.", rich_help_panel=_QUERY)
]
AnyOfOption = Annotated[
    list[str] | None,
    typer.Option(
        "--of",
        metavar="DIMENSION=SONG",
        help="Take any dimension of the library from that song; may be repeated.",
        rich_help_panel=_QUERY,
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(metavar="DIMENSION=W,...", help="What counts, how much.", rich_help_panel=_QUERY),
]
EachOption = Annotated[
    bool, typer.Option("--each", help="Near to any of the songs, not to what they share.", rich_help_panel=_QUERY)
]
PathOption = Annotated[
    str | None, typer.Option("--path", metavar="GLOB", help="Such as 'Jazz/*.flac'.", rich_help_panel=_FILTERS)
]
NameOption = Annotated[str | None, typer.Option(metavar="NAME", help="Of this one alone.", rich_help_panel=_FILTERS)]
YearOption = Annotated[
    str | None,
    typer.Option(metavar="FROM-TO", help="1990-1999, 1990-, -1999, 1995.", rich_help_panel=_FILTERS),
]
DurationOption = Annotated[
    str | None, typer.Option(metavar="FROM-TO", help="Seconds, likewise.", rich_help_panel=_FILTERS)
]
HavingOption = Annotated[
    str | None,
    typer.Option(metavar="TAG[>P],...", help="Tags that apply, or their least.", rich_help_panel=_FILTERS),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="At most so many of one.", rich_help_panel=_FILTERS)
]
UnfoldedOption = Annotated[
    bool,
    typer.Option("--unfolded", help="Show each file of one recording by itself.", rich_help_panel=_FILTERS),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", help="Name or folder of the model.", show_default="the library's"),
]


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    epilog = 'Example: musiczoo search library.db song.mp3 --weights genre=1,mood=2 --of "era=other.mp3" --m3u mix.m3u8'
    app.command(epilog=epilog)(search)


def search(
    library: LibraryArgument,
    songs: SongsArgument = None,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    tags: TagsOption = None,
    of: AnyOfOption = None,
    genre_of: OfOption = None,
    mood_of: OfOption = None,
    instrument_of: OfOption = None,
    era_of: OfOption = None,
    weights: WeightsOption = None,
    each: EachOption = False,
    path: PathOption = None,
    artist: NameOption = None,
    album: NameOption = None,
    year: YearOption = None,
    duration: DurationOption = None,
    having: HavingOption = None,
    per_artist: LimitOption = None,
    per_album: LimitOption = None,
    unfolded: UnfoldedOption = False,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Songs wanted.")] = 20,
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a hit.")] = False,
    m3u: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a playlist, with paths relative to it.")
    ] = None,
) -> None:
    """Find the songs of a library that sound like songs, like tags, or like one in this and another in that."""
    from ..library import Filters, Library, Query
    from ..library.query import EACH, MEAN

    shortcuts = {"genre": genre_of, "mood": mood_of, "instrument": instrument_of, "era": era_of}
    filters = Filters(
        path,
        artist,
        album,
        searching.span("--year", year),
        searching.span("--duration", duration),
        searching.having(having or ""),
    )
    with remarks(), Library.open(library, model) as opened:
        opened.vectors.once = True  # there will be no second query to make an index for
        query = Query(
            songs=songs or (),
            like=like or (),
            tags=searching.names(tags or ""),
            of=searching.of(of or (), shortcuts, opened.facts.spaces),
            unlike=unlike or (),
            combine=EACH if each else MEAN,
        )
        hits = opened.search(
            query,
            k,
            searching.weights(weights),
            filters,
            per_artist=per_artist,
            per_album=per_album,
            fold_duplicates=not unfolded,
        )
    _tell(hits, as_json)
    if m3u is not None:
        _write(m3u, hits)


def _tell(hits: "Sequence[Hit]", as_json: bool) -> None:
    if as_json:
        for rank, hit in enumerate(hits, 1):
            typer.echo(json.dumps(hit.as_dict(rank), allow_nan=False))
    elif hits:
        from .hits import print_hits

        print_hits(hits)
    else:
        typer.echo("Nothing found.", err=True)


def _write(file: Path, hits: "Sequence[Hit]") -> None:
    from ..library import playlist
    from .hits import name

    for left_out in playlist.write(file, [(hit.path, name(hit) if hit.title else None) for hit in hits]):
        typer.echo(f"warning: left out of {file}, for a playlist cannot hold its name: {left_out!r}", err=True)
