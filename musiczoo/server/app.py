"""The application: its routes, its errors, and what starts and ends with the server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from .. import __version__
from ..errors import MusicZooError
from ..library import Library
from . import api, page, players
from .errors import RequestError, answer, as_request_error
from .security import HEADERS, Guard
from .settings import Settings
from .state import State
from .watch import keep_indexed

_log = logging.getLogger("uvicorn.error")

OPENAPI = "/api/v1/openapi.json"

OTHERS: tuple[Callable[[State], Sequence[BaseRoute]], ...] = (page.routes, players.routes)
"""Functions that return further routes, which are not in the OpenAPI document: for players' plugins, and the page."""

_DESCRIPTION = """
A track is named by its id, the number of its row in the library: it stays the same while the file stays. Fields have
the names and units of the command line's `--json`. With a token (`--token-file`), every request but
`GET /api/v1/health` needs the header `Authorization: Bearer TOKEN`.
"""

_MOST_SHOWN = 3
"""Invalid fields that an error names."""

_LONGEST_SHOWN = 80
"""Characters of a value that an error shows."""


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document of the native API.

    Example:
        >>> from musiczoo.server.app import document
        >>> sorted(document()["paths"]["/api/v1/playlists"])
        ['get', 'post']
    """
    found = get_openapi(
        title="musiczoo",
        version=__version__,
        summary="Search a library of music by genre, mood, instrument and era.",
        description=_DESCRIPTION,
        routes=api.router.routes,
        separate_input_output_schemas=False,
    )
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"token": []}, {}]
    return found


def create_app(library: Library, settings: Settings | None = None) -> FastAPI:
    """Return the application that serves a library.

    Args:
        library: The library, open; the caller closes it.
        settings: What the server allows; by default everything that needs no token and writes no file.

    Returns:
        An ASGI application, for uvicorn or for a test client.

    Example:
        >>> import tempfile
        >>> import musiczoo
        >>> from musiczoo.server.app import create_app
        >>> library = musiczoo.Library.open_or_create(tempfile.mkdtemp() + "/music.db", "disentangled-classification")
        >>> app = create_app(library)  # for example for: uvicorn.run(app)
        >>> app.state.musiczoo.library is library
        True
        >>> library.close()
    """
    settings = settings or Settings()
    app = FastAPI(
        openapi_url=OPENAPI,
        docs_url=None,  # these pages load scripts of other sites
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.openapi = document  # type: ignore[method-assign]
    state = app.state.musiczoo = State.of(library, settings)
    app.include_router(api.router)
    for routes in OTHERS:
        app.router.routes.extend(routes(state))
    app.add_middleware(Guard, settings=settings)
    app.add_exception_handler(RequestError, _answered)
    app.add_exception_handler(MusicZooError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(Exception, _failed)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: State = app.state.musiczoo
    if not state.settings.watch:
        yield
        return
    watching = asyncio.create_task(keep_indexed(state.library.path, state.settings))
    try:
        yield
    finally:
        watching.cancel()
        (error,) = await asyncio.gather(watching, return_exceptions=True)
        if not isinstance(error, asyncio.CancelledError):
            _log.error("Watching failed: what arrived was not indexed.", exc_info=error)


def _answered(request: Request, error: Any) -> Response:
    return answer(request.url.path, error)


def _refused(request: Request, error: Any) -> Response:
    return answer(request.url.path, as_request_error(error))


def _invalid(request: Request, error: Any) -> Response:
    """Answer a request that the declarations refuse: name the first fields, their problems and values."""
    found = []
    for problem in error.errors()[:_MOST_SHOWN]:
        name = ".".join(str(part) for part in problem["loc"][1:]) or "body"
        value = problem.get("input")
        shown = f", got {value!r}"[:_LONGEST_SHOWN] if isinstance(value, str | int | float | bool | None) else ""
        found.append(f"{name}: {problem['msg']}{shown}")
    return answer(request.url.path, RequestError(422, "InvalidRequest", "; ".join(found)))


def _unrouted(request: Request, error: Any) -> Response:
    kind = {404: "NotFound", 405: "MethodNotAllowed"}.get(error.status_code, "BadRequest")
    message = {404: "There is nothing at this address."}.get(error.status_code, str(error.detail))
    return answer(request.url.path, RequestError(error.status_code, kind, message, error.headers))


def _failed(request: Request, error: Any) -> Response:
    """Answer after a bug, outside of the guard. The traceback goes to the server's standard error."""
    failed = RequestError(500, "InternalError", "The server failed: its log says why.", HEADERS)
    return answer(request.url.path, failed)
