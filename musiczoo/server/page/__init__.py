"""The page at ``/``: the library in a browser.

``index.html``, ``page.css`` and the ES modules here are served as they are, with those that all pages share
(`musiczoo.web`): there is no build step. ``page.js`` connects ``rows.js`` (songs in lists), ``similar.js`` (what is
like a song, and paths), ``playlist.js``, ``map.js``, ``bar.js`` (the player), ``picker.js`` (a dialog) and ``api.js``.
"""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ... import web

TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
"""Ending of a file -> its media type."""

INDEX = "index.html"


def routes(_: Any) -> list[Route]:
    """Return the routes of the page: one for each file, so that no other can be asked for."""
    found = [Route("/", _endpoint(INDEX, _page_files()[INDEX]))]
    shared = {f"{web.FOLDER}/{name}": contents for name, contents in web.shared_files().items()}
    for name, contents in (_page_files() | shared).items():
        if name != INDEX:
            found.append(Route(f"/page/{name}", _endpoint(name, contents)))
    return found


def _page_files() -> dict[str, bytes]:
    return dict(_read())


def _read() -> Iterator[tuple[str, bytes]]:
    for file in files(__package__).iterdir():
        if PurePosixPath(file.name).suffix in TYPES:
            yield file.name, file.read_bytes()


def _endpoint(name: str, contents: bytes) -> Any:
    async def send(request: Request) -> Response:
        return Response(contents, media_type=TYPES[PurePosixPath(name).suffix])

    return send
