"""`musiczoo search` and `musiczoo path`: find the tracks that are similar to songs or tags, or lie between songs."""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, UnknownNameError
from ._console import Command, names, show_warnings, warn

if TYPE_CHECKING:
    from ..library import Library
    from ..library.path import Step
    from ..library.search import Hit

_QUERY, _FILTERS = "Query", "Filters"

Range = tuple[float | None, float | None]
"""First and last; None is open."""

LibraryArgument = Annotated[Path, typer.Argument(metavar="LIBRARY", help="Library file made by musiczoo index.")]
SongsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="SONG", help="Songs to find similar tracks for; they need not be in the library."),
]
LikeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="SONG", help="Another song to be similar to; may be repeated.", rich_help_panel=_QUERY),
]
LikePlaylistOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE", help="Playlist (M3U8) of songs to be similar to; may be repeated.", rich_help_panel=_QUERY
    ),
]
UnlikeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="SONG", help="Song to be dissimilar to; may be repeated.", rich_help_panel=_QUERY),
]
TagsOption = Annotated[
    str | None,
    typer.Option(metavar="TAG,...", help="Tags to be similar to, such as jazz,Mellow.", rich_help_panel=_QUERY),
]
GenreOfOption = Annotated[
    str | None, typer.Option(metavar="SONG", help="Song to take the genre from.", rich_help_panel=_QUERY)
]
MoodOfOption = Annotated[
    str | None, typer.Option(metavar="SONG", help="Song to take the mood from.", rich_help_panel=_QUERY)
]
InstrumentOfOption = Annotated[
    str | None, typer.Option(metavar="SONG", help="Song to take the instruments from.", rich_help_panel=_QUERY)
]
EraOfOption = Annotated[
    str | None, typer.Option(metavar="SONG", help="Song to take the era from.", rich_help_panel=_QUERY)
]
AnyOfOption = Annotated[
    list[str] | None,
    typer.Option(
        "--of",
        metavar="DIMENSION=SONG",
        help="Song to take any dimension from, such as mood=a.mp3; may be repeated.",
        rich_help_panel=_QUERY,
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIMENSION=W,...",
        help="Weights of the dimensions, such as genre=1,mood=2; those left out do not count.",
        show_default="all the same",
        rich_help_panel=_QUERY,
    ),
]
EachOption = Annotated[
    bool,
    typer.Option(
        "--each",
        help="With several songs: be similar to any one of them, instead of to their mean.",
        rich_help_panel=_QUERY,
    ),
]
PathOption = Annotated[
    str | None,
    typer.Option("--path", metavar="GLOB", help="Only these paths, such as 'Jazz/*.flac'.", rich_help_panel=_FILTERS),
]
ArtistOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only tracks of this artist.", rich_help_panel=_FILTERS)
]
AlbumOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only tracks of this album.", rich_help_panel=_FILTERS)
]
YearOption = Annotated[
    str | None,
    typer.Option(
        metavar="FROM-TO", help="Only these years: 1990-1999, 1990-, -1999 or 1995.", rich_help_panel=_FILTERS
    ),
]
DurationOption = Annotated[
    str | None,
    typer.Option(
        metavar="FROM-TO", help="Only this length in seconds: 120-300, 120-, -300 or 180.", rich_help_panel=_FILTERS
    ),
]
HavingOption = Annotated[
    str | None,
    typer.Option(
        metavar="TAG[>P],...",
        help="Only tracks with these tags: above their thresholds, or a probability, such as rock>0.5.",
        rich_help_panel=_FILTERS,
    ),
]
PerArtistOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Most tracks of one artist.", rich_help_panel=_FILTERS)
]
PerAlbumOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Most tracks of one album.", rich_help_panel=_FILTERS)
]
NotInOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE", help="Playlist (M3U8) whose tracks to leave out; may be repeated.", rich_help_panel=_FILTERS
    ),
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="What was played: tracks that were played a lot lately rank lower. Columns path (or title and artist), "
        "played_at and count.",
        rich_help_panel=_FILTERS,
    ),
]
UnfoldedOption = Annotated[
    bool,
    typer.Option(
        "--unfolded", help="List every file; by default, files of one recording are one hit.", rich_help_panel=_FILTERS
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Model name, folder, or hf://user/model@revision.",
        show_default="the library's",
    ),
]
PlaylistOption = Annotated[
    Path | None, typer.Option("--m3u", metavar="FILE", help="Also write a playlist (M3U8), with paths relative to it.")
]


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    epilog = 'Example: musiczoo search library.db song.mp3 --weights genre=1,mood=2 --of "era=other.mp3" --m3u mix.m3u8'
    app.command(cls=Command, epilog=epilog)(search)
    epilog = "Example: musiczoo path library.db a.mp3 b.mp3 -k 12 --through c.mp3 --weights genre=1 --m3u mix.m3u8"
    app.command("path", cls=Command, epilog=epilog)(path_between)


def search(
    library: LibraryArgument,
    songs: SongsArgument = None,
    like: LikeOption = None,
    like_m3u: LikePlaylistOption = None,
    unlike: UnlikeOption = None,
    tags: TagsOption = None,
    of: AnyOfOption = None,
    genre_of: GenreOfOption = None,
    mood_of: MoodOfOption = None,
    instrument_of: InstrumentOfOption = None,
    era_of: EraOfOption = None,
    weights: WeightsOption = None,
    each: EachOption = False,
    path: PathOption = None,
    artist: ArtistOption = None,
    album: AlbumOption = None,
    year: YearOption = None,
    duration: DurationOption = None,
    having: HavingOption = None,
    per_artist: PerArtistOption = None,
    per_album: PerAlbumOption = None,
    not_in: NotInOption = None,
    unfolded: UnfoldedOption = False,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Number of tracks to find.")] = 20,
    variety: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="V", help="Draw from more than the nearest: 0 finds the nearest, 1 differs most."
        ),
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Number that decides what --variety draws, such as the date.",
            show_default="another each time",
        ),
    ] = None,
    history: HistoryOption = None,
    half_life: Annotated[
        float,
        typer.Option(metavar="DAYS", help="Age at which a play of --history counts half.", rich_help_panel=_FILTERS),
    ] = 7,
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each hit.")] = False,
    m3u: PlaylistOption = None,
) -> None:
    """Find the tracks of a library that are similar to songs or tags, in all dimensions or in some."""
    from ..library import Filters, History, Library, Query
    from ..library.query import EACH, MEAN

    shortcuts = {"genre": genre_of, "mood": mood_of, "instrument": instrument_of, "era": era_of}
    filters = Filters(
        path,
        artist,
        album,
        _span("--year", year),
        _span("--duration", duration),
        _having(having or ""),
    )
    with show_warnings(), Library.open(library, model) as opened:
        opened.vectors.once = True  # one query does not pay for building a search index
        query = Query(
            songs=songs or (),
            like=[*(like or ()), *_songs_of(like_m3u or (), opened)],
            tags=names(tags or ""),
            of=_of(of or (), shortcuts, opened.config.spaces),
            unlike=unlike or (),
            combine=EACH if each else MEAN,
        )
        hits = opened.search(
            query,
            k,
            parse_weights(weights),
            filters,
            per_artist=per_artist,
            per_album=per_album,
            fold_duplicates=not unfolded,
            exclude=_paths_of(not_in or ()),
            variety=variety,
            seed=seed,
            history=None if history is None else History.read(history, half_life),
        )
    _print(hits, as_json)
    if m3u is not None:
        _write(m3u, hits)


def path_between(
    library: LibraryArgument,
    start: Annotated[str, typer.Argument(metavar="START", help="First song; it need not be in the library.")],
    end: Annotated[str, typer.Argument(metavar="END", help="Last song; it need not be in the library.")],
    k: Annotated[int, typer.Option("-k", min=2, metavar="N", help="Number of tracks, START and END included.")] = 10,
    through: Annotated[
        list[str] | None, typer.Option(metavar="SONG", help="Song on the way; may be repeated, in order.")
    ] = None,
    weights: WeightsOption = None,
    path: PathOption = None,
    artist: ArtistOption = None,
    album: AlbumOption = None,
    year: YearOption = None,
    duration: DurationOption = None,
    having: HavingOption = None,
    not_in: NotInOption = None,
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each track.")] = False,
    m3u: PlaylistOption = None,
) -> None:
    """Find tracks that lead from one song to another in small steps."""
    from ..library import Filters, Library

    filters = Filters(path, artist, album, _span("--year", year), _span("--duration", duration), _having(having or ""))
    with show_warnings(), Library.open(library, model) as opened:
        opened.vectors.once = True  # a few queries do not pay for building a search index
        steps = opened.path_between(
            start, end, k, through or (), parse_weights(weights), filters, exclude=_paths_of(not_in or ())
        )
    if as_json:
        for position, step in enumerate(steps, 1):
            typer.echo(json.dumps(step.as_dict(position), allow_nan=False))
    else:
        from .tables import print_steps

        print_steps(steps)
    if m3u is not None:
        _write(m3u, steps)


def _print(hits: "Sequence[Hit]", as_json: bool) -> None:
    if as_json:
        for rank, hit in enumerate(hits, 1):
            typer.echo(json.dumps(hit.as_dict(rank), allow_nan=False))
    elif hits:
        from .tables import print_hits

        print_hits(hits)
    else:
        typer.echo("No track matches.", err=True)


def _write(file: Path, hits: "Sequence[Hit] | Sequence[Step]") -> None:
    from ..library import playlist
    from .tables import name

    for path in playlist.write(file, [(hit.path, name(hit) if hit.title else None) for hit in hits]):
        warn(f"left out of {file}, since a playlist cannot hold the name: {path!r}")


def _paths_of(playlists: Iterable[Path]) -> list[str]:
    """Return the paths of the tracks of playlists, each once."""
    from ..library import playlist

    return list(dict.fromkeys(path for file in playlists for path in playlist.read(file)))


def _songs_of(playlists: Sequence[Path], library: "Library") -> list[str]:
    """Return the tracks of playlists that can be searched by; warn of the others.

    Raises:
        InputError: If there is none.
    """
    paths = _paths_of(playlists)
    found = [path for path in paths if library.find(path) or os.path.exists(path)]
    if playlists and not found:
        files = ", ".join(map(str, playlists))
        raise InputError(f"No track of {files} is in the library or a file. Check the paths in the playlist.")
    for path in paths:
        if path not in found:
            warn(f"left out, since it is neither in the library nor a file: {path!r}")
    return found


def parse_weights(text: str | None) -> dict[str, float] | None:
    """Parse ``genre=1,mood=2``: dimension -> weight."""
    if text is None:
        return None
    found = {}
    for part in names(text):
        name, sign, number = part.partition("=")
        if not sign:
            raise _bad("--weights", "DIMENSION=WEIGHT,..., such as genre=1,mood=2", text)
        found[name.strip()] = _number("--weights", number)
    return found


def _of(texts: Iterable[str], shortcuts: Mapping[str, str | None], dimensions: Collection[str]) -> dict[str, str]:
    """Parse ``mood/theme=song.mp3``: dimension -> song. The first ``=`` that follows a dimension separates the two.

    Args:
        texts: Values of ``--of``.
        shortcuts: Dimension -> song: values of ``--genre-of`` and the like.
        dimensions: Names of the library's dimensions.

    Raises:
        UnknownNameError: If a text does not begin with a dimension of the library.
    """
    found = {dimension: song for dimension, song in shortcuts.items() if song is not None}
    for text in texts:
        ends = [at for at, sign in enumerate(text) if sign == "="]
        if not ends:
            raise _bad("--of", "DIMENSION=SONG, such as mood=song.mp3", text)
        known = [at for at in ends if text[:at].strip() in dimensions]
        if not known:
            raise UnknownNameError.of("dimension", text[: ends[0]].strip(), dimensions)
        name, song = text[: known[0]].strip(), text[known[0] + 1 :]
        if not song.strip():
            raise _bad("--of", "a song after the dimension", text)
        if name in found:
            raise typer.BadParameter(
                f"Expected one song for {name}, got {found[name]!r} and {song!r}.", param_hint="--of"
            )
        found[name] = song
    return found


def _span(option: str, text: str | None) -> Range | None:
    """Parse ``1990-1999``, ``1990-``, ``-1999`` or ``1995``: first and last."""
    if text is None:
        return None
    low, sign, high = text.partition("-")
    first, last = (_number(option, part) if part.strip() else None for part in (low, high))
    if first is last is None:
        raise _bad(option, "FROM-TO, FROM-, -TO or one number", text)
    return (first, last) if sign else (first, first)


def _having(text: str) -> dict[str, float | None]:
    """Parse ``jazz>0.4,rock``: tag -> minimum probability; None stands for the tag's own threshold."""
    pairs = (part.partition(">") for part in names(text))
    return {
        name.strip(): _number("--having", number.removeprefix("=")) if sign else None for name, sign, number in pairs
    }


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _bad(option, "a number", text.strip()) from None


def _bad(option: str, expected: str, got: str) -> typer.BadParameter:
    return typer.BadParameter(f"Expected {expected}, got {got!r}.", param_hint=option)
