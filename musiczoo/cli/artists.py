"""`musiczoo artists` and `musiczoo albums`: artists and albums that are similar to one."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._console import Command
from .search import LibraryArgument, WeightsOption, parse_weights

if TYPE_CHECKING:
    from ..library import SimilarAlbum, SimilarArtist

MinTracksOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Least number of tracks that a result has in the library.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object for each result.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    epilog = 'Example: musiczoo artists library.db "Nina Simone" --weights mood=1 --min-tracks 3'
    app.command(cls=Command, epilog=epilog)(artists)
    epilog = 'Example: musiczoo albums library.db "Pastel Blues" --by "Nina Simone" --json'
    app.command(cls=Command, epilog=epilog)(albums)


def artists(
    library: LibraryArgument,
    artist: Annotated[str, typer.Argument(metavar="ARTIST", help="Artist, as in the files' metadata.")],
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Number of artists to find.")] = 10,
    weights: WeightsOption = None,
    min_tracks: MinTracksOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Find the artists of a library that are similar to one, by the means of their tracks."""
    from ..library import Library

    with Library.open(library) as opened:
        found = opened.similar_artists(artist, k, parse_weights(weights), min_tracks)
    _print(found, {"Artist": [each.artist for each in found]}, as_json)


def albums(
    library: LibraryArgument,
    album: Annotated[str, typer.Argument(metavar="ALBUM", help="Title of the album, as in the files' metadata.")],
    by: Annotated[str | None, typer.Option(metavar="ARTIST", help="Artist of the album.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Number of albums to find.")] = 10,
    weights: WeightsOption = None,
    min_tracks: MinTracksOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Find the albums of a library that are similar to one, by the means of their tracks."""
    from ..library import Library

    with Library.open(library) as opened:
        found = opened.similar_albums(album, by, k, parse_weights(weights), min_tracks)
    names = {"Album": [each.album for each in found], "Artist": [each.artist or "" for each in found]}
    _print(found, names, as_json)


def _print(found: "Sequence[SimilarArtist | SimilarAlbum]", names: Mapping[str, Sequence[Any]], as_json: bool) -> None:
    if as_json:
        for rank, each in enumerate(found, 1):
            typer.echo(json.dumps(each.as_dict(rank), allow_nan=False))
    elif found:
        from .tables import print_similar

        print_similar(found, names)
    else:
        typer.echo("No other has that many tracks. Lower --min-tracks.", err=True)
