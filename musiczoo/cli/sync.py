"""`musiczoo library sync`: learn the ids that a media server has for the tracks of a library."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._paths import absolute, as_text, expanded
from ..errors import InputError
from ._console import Command, printable, show_warnings
from .library import DEFAULT_LIBRARY, JsonOption, LibraryArgument, library

if TYPE_CHECKING:
    from ..server.subsonic import ServerSong, Subsonic
    from ..server.sync import SyncReport

PASSWORD, API_KEY = "MUSICZOO_SUBSONIC_PASSWORD", "MUSICZOO_SUBSONIC_API_KEY"
"""Environment variables with the password, and with the API key in place of user and password."""

_SHOWN = 20
"""Songs of a kind that are listed without --json."""


def register(app: typer.Typer) -> None:
    """Add this file's command, to the group of `library`."""
    epilog = "Example: musiczoo library sync music.db --subsonic http://127.0.0.1:4533 --user anna"
    library.command(cls=Command, epilog=epilog)(sync)


def sync(
    library: LibraryArgument = DEFAULT_LIBRARY,
    subsonic: Annotated[
        str, typer.Option(metavar="URL", help="Address of the server, such as http://127.0.0.1:4533.")
    ] = "",
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Table of the songs, for servers that do not speak Subsonic.", show_default=False
        ),
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="User of the server.", show_default=False)] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the password.", show_default=f"${PASSWORD}, or asked for"),
    ] = None,
    path_prefix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERVER=LOCAL", help="A folder as the server sees it, and as the library has it; may be repeated."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Match the songs of a media server, such as Navidrome, with the tracks of a library.

    The server's ids are kept in a file beside the library, for the plugins of players and for playlists. Songs that
    match several tracks, or none, are listed. Run it again when the library or the server has changed.
    """
    from ..library import Library
    from ..server.sync import ServerIds, match, parse_prefixes, read_table, write_ids

    if bool(subsonic) == bool(table):
        raise InputError("Which songs? Pass either --subsonic URL, such as http://127.0.0.1:4533, or --table CSV.")
    prefixes = parse_prefixes(path_prefix or ())
    with show_warnings(), Library.open(library) as opened:
        if table is None:
            server = log_in(subsonic, user, password_file)
            songs, url, login = server.songs(), server.url, server.user
        else:
            songs, url, login = iter(read_table(table)), absolute(expanded(table)).as_uri(), None
        report = match(songs, opened.entries(), prefixes)
        tracks = len(opened)
        file = write_ids(opened.path, ServerIds.of(report, url, login))
    rules = dict(Counter(found.rule for found in report.matches))
    if as_json:
        typer.echo(json.dumps(_record(report, url, tracks, rules, file)))
        return
    count = len(report.matches) + len(report.ambiguous) + len(report.unmatched)
    how = ", ".join(f"{count:,} by {rule}" for rule, count in rules.items())
    typer.echo(
        printable(f"{len(report.matches):,} of {count:,} songs matched{f' ({how})' if how else ''}; {tracks:,} tracks")
    )
    _list(report)
    typer.echo(printable(f"ids: {file}"))


def log_in(url: str, user: str | None, password_file: Path | None = None) -> "Subsonic":
    """Log in to a server, with the API key or the password of the environment, of a file, or of a prompt.

    Raises:
        InputError: If there is no user, or no way to get the password.
        MediaServerError: If the server refuses.
    """
    from ..server.subsonic import Subsonic, checked_url

    checked_url(url)  # before the password is asked for
    if user is None:
        if key := os.environ.get(API_KEY):
            return Subsonic(url, api_key=key)
        raise InputError(f"Which user? Pass --user NAME, or set {API_KEY} to an API key.")
    return Subsonic(url, user, _password(url, user, password_file))


def _password(url: str, user: str, file: Path | None) -> str:
    if file is not None:
        try:
            found = expanded(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"Cannot read the password file {str(file)!r}: {error}.") from error
        if not found or not found[0]:
            raise InputError(f"The password file {str(file)!r} is empty. Write the password into its first line.")
        return found[0]
    if password := os.environ.get(PASSWORD):
        return password
    if not sys.stdin.isatty():
        raise InputError(f"No password: set {PASSWORD}, or pass --password-file FILE.")
    return str(typer.prompt(f"Password of {user} at {url}", hide_input=True, err=True))


def _record(report: "SyncReport", url: str, tracks: int, rules: dict[str, int], file: Path) -> dict[str, Any]:
    return {
        "server": url,
        "songs": len(report.matches) + len(report.ambiguous) + len(report.unmatched),
        "tracks": tracks,
        "matched": len(report.matches),
        "rules": rules,
        "ambiguous": [
            _song(found.song) | {"rule": found.rule, "candidates": [as_text(path) for path in found.paths]}
            for found in report.ambiguous
        ],
        "unmatched": [_song(song) for song in report.unmatched],
        "missing": [as_text(path) for path in report.missing],
        "file": str(file),
    }


def _song(song: "ServerSong") -> dict[str, Any]:
    names = ("id", "title", "artist", "album", "path")
    return {name: None if (text := getattr(song, name)) is None else as_text(text) for name in names}


def _list(report: "SyncReport") -> None:
    """Print a table of the songs without a track, and of the tracks without a song."""
    rows = [
        ("ambiguous", _name(found.song), f"{found.rule}: {', '.join(found.paths[:3])}{', …' * (len(found.paths) > 3)}")
        for found in report.ambiguous
    ]
    rows += [("not in the library", _name(song), song.path or "") for song in report.unmatched]
    rows += [("not on the server", "", path) for path in report.missing]
    if not rows:
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for title in ("", "Song", "Path"):
        table.add_column(title, overflow="fold")
    counts: Counter[str] = Counter(kind for kind, *_ in rows)
    for kind, song, path in _first(rows):
        table.add_row(*(Text(printable(text)) for text in (kind, song, path)))
    Console().print(table)
    for kind, count in counts.items():
        if count > _SHOWN:
            typer.echo(f"{count - _SHOWN:,} more {kind}: see --json")


def _first(rows: list[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    seen: Counter[str] = Counter()
    for row in rows:
        seen[row[0]] += 1
        if seen[row[0]] <= _SHOWN:
            yield row


def _name(song: "ServerSong") -> str:
    return " – ".join(part for part in (song.artist, song.title) if part) or song.id
