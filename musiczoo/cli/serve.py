"""`musiczoo serve`: answer over HTTP, for a browser, players and programs."""

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._paths import expanded
from ..errors import InputError
from ._console import Command, extra, flush_streams, show_warnings
from .search import parse_weights
from .sync import log_in

if TYPE_CHECKING:
    from ..server.subsonic import Subsonic

LOOPBACK, PORT = "127.0.0.1", 8000

GRACE_S = 5
"""Seconds that requests in progress have to end when the server is stopped."""

MOST_CONNECTIONS = 500
"""Connections at a time; further ones are answered with 503."""

_WORKER = "AnyIO worker thread"
"""Name of the threads in which Starlette runs routes; those that are idle end with the server."""

_ACCESS = "Access from other machines"
_PLAYERS = "Players and their servers"


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    epilog = "Example: musiczoo serve music.db --watch ~/Music --playlists ~/Music/Playlists"
    app.command(cls=Command, epilog=epilog)(serve)


def serve(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="Library file made by musiczoo index.")],
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0: any free one.")] = PORT,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Model name, folder, or hf://user/model@revision.",
            show_default="the library's",
        ),
    ] = None,
    watch: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER", help="Folder to index now and whenever it changes; may be repeated.", show_default=False
        ),
    ] = None,
    playlists: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of playlists to list and save.", show_default=False),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Weights of the dimensions for players' plugins, such as genre=1,mood=2.",
            show_default="all 1",
            rich_help_panel=_PLAYERS,
        ),
    ] = None,
    sync: Annotated[
        bool,
        typer.Option(
            "--sync",
            help="Create playlists on the media server of musiczoo library sync, too.",
            rich_help_panel=_PLAYERS,
        ),
    ] = False,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the password for --sync.",
            show_default="$MUSICZOO_SUBSONIC_PASSWORD, or asked for",
            rich_help_panel=_PLAYERS,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to bind to.", rich_help_panel=_ACCESS)
    ] = LOOPBACK,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with the token that requests need.", show_default=False, rich_help_panel=_ACCESS
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name by which the server is called, such as music.home; may be repeated.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
) -> None:
    """Serve a library to the browser, players and programs of this machine.

    The page is at http://127.0.0.1:8000/, and the API at http://127.0.0.1:8000/api/v1/. End it with Ctrl-C.
    """
    with extra("musiczoo serve", "serve"):
        import uvicorn

        from ..server.app import create_app
        from ..server.settings import Settings, is_loopback, read_token
    from ..library import Library
    from ..library.scan import check_folder

    if token_file is None and not is_loopback(host):
        raise InputError(
            f"Other machines can reach the address {host!r}, so requests need a token. Make one: "
            "openssl rand -hex 32 > token; and add --token-file token"
        )
    for folder in watch or ():
        check_folder(folder)
    if playlists is not None and not playlists.is_dir():
        raise InputError(f"No such folder: {str(playlists)!r}. Create it, or choose another.")
    settings = Settings(
        token=None if token_file is None else read_token(token_file),
        hosts=frozenset(name.lower() for name in (allow_host or ())),
        playlists=playlists,
        watch=tuple(watch or ()),
        model=model,
        weights=parse_weights(weights),
        media_server=_media_server(library, password_file) if sync else None,
    )
    with Library.open(library, model) as opened, _listen(host, port) as listener:
        config = uvicorn.Config(
            create_app(opened, settings),
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )
        server = uvicorn.Server(config)
        typer.echo(f"Serving {library} at {_address(listener)}")
        with suppress(KeyboardInterrupt):  # uvicorn ends in order, and then sends itself the signal again
            server.run(sockets=[listener])
    if not server.started:
        raise typer.Exit(1)
    if any(thread.name == _WORKER for thread in threading.enumerate()):
        # An analysis that nobody waits for any more: Python would wait for its thread. All files are closed.
        flush_streams()
        os._exit(0)


def _media_server(library: Path, password_file: Path | None) -> "Subsonic":
    """Log in to the media server that the library was synced with last.

    Raises:
        InputError: If there is none.
        MediaServerError: If it refuses.
    """
    from ..server.sync import read_ids

    servers = list(read_ids(expanded(library)).values())
    if not servers:
        raise InputError(
            f"{library} was not synced with a media server yet. Run: musiczoo library sync {library} --subsonic URL "
            "--user NAME"
        )
    if servers[-1].url.startswith("file:"):
        raise InputError(f"{library} was synced with a table. For playlists, sync it with --subsonic URL.")
    with show_warnings():
        return log_in(servers[-1].url, servers[-1].user, password_file)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        InputError: If the address or the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
        # Connections inherit it. Otherwise the body of an answer waits 40 ms until the client confirms its headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except socket.gaierror as error:
        raise InputError(f"Cannot listen on {host!r}: {error.strerror}. Choose another --host.") from error
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise InputError(f"Cannot listen on {host!r}, port {port}: {reason}. Choose another --port.") from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
