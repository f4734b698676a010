"""`musiczoo serve`: answer over HTTP, for a browser, players and programs."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ._console import Command, extra

LOOPBACK, PORT = "127.0.0.1", 8000

GRACE_S = 5
"""Seconds that requests in progress have to end when the server is stopped."""


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    epilog = "Example: musiczoo serve music.db --watch ~/Music --playlists ~/Music/Playlists"
    app.command(cls=Command, epilog=epilog)(serve)


def serve(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="Library file made by musiczoo index.")],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0: any free one.")] = PORT,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the token that requests need.", show_default="none"),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Name by which the server is called, such as music.home; may be repeated."),
    ] = None,
    playlists: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of playlists to list and save.", show_default="none"),
    ] = None,
) -> None:
    """Serve a library to browsers, players and programs on this machine.

    The page is at http://127.0.0.1:8000/, and the API at http://127.0.0.1:8000/api/v1/.
    """
    with extra("musiczoo serve", "serve"):
        import uvicorn

        from ..server.app import create_app
        from ..server.settings import Settings, is_loopback, read_token
    from ..library import Library

    if token_file is None and not is_loopback(host):
        raise InputError(
            f"Other machines can reach {host!r}, so a token is needed. Make one: openssl rand -hex 32 > token; "
            "and add: --token-file token"
        )
    settings = Settings(
        token=None if token_file is None else read_token(token_file),
        hosts=frozenset(name.lower() for name in (allow_host or ())),
        playlists=playlists,
    )
    with Library.open(library) as opened:
        config = uvicorn.Config(
            create_app(opened, settings),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):  # uvicorn ends in order, and then sends itself the signal again
            server.run()
    if not server.started:
        raise typer.Exit(1)
