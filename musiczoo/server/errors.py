"""Errors of requests as JSON: what a client may know, and nothing of this machine.

Conventions
-----------
- The native API answers ``{"error": {"type": ..., "message": ...}}``; the routes for players' plugins, which have no
  version in their path, answer ``{"error": message}``, as the plugins expect.
- No message names a file or shows a traceback. The server prints both to its own standard error.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import JSONResponse

from ..errors import (
    AudioError,
    AudioNotFoundError,
    InputError,
    LibraryError,
    MissingDependencyError,
    MusicZooError,
    UnknownNameError,
    WriteError,
)
from ..library.records import Entry

NATIVE = "/api/v1/"
"""Beginning of the paths of the native API."""

_HIDDEN: tuple[tuple[type[MusicZooError], int, str], ...] = (
    (AudioNotFoundError, 404, "The track or its file does not exist any more. Run musiczoo index."),
    (AudioError, 422, "The track's audio cannot be decoded."),
    (MissingDependencyError, 422, "The server lacks a package for this. Install it, or ask for something else."),
    (WriteError, 503, "The server cannot write the file: its log says why."),
    (LibraryError, 503, "The library cannot be read now: the server's log says why. Try again later."),
)
"""Errors whose messages name files -> status and message for clients."""


class RequestError(Exception):
    """An error to be answered.

    Attributes:
        status: HTTP status.
        kind: Name of the error in the answer.
        message: What is wrong, the value, the next step.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep the fields."""
        super().__init__(message)
        self.status, self.kind, self.message, self.headers = status, kind, message, headers


def no_such_track(number: int) -> RequestError:
    """Return the error for an id that no track has."""
    return RequestError(404, "UnknownTrack", f"No such track: {number}. Its file may have been removed.")


def as_request_error(error: MusicZooError, named: Iterable[Entry] = ()) -> RequestError:
    """Return an error of the library as one to be answered.

    Args:
        error: The error.
        named: Tracks of the request: messages name them by id instead of by path.
    """
    if isinstance(error, InputError | UnknownNameError):
        message = str(error)
        for entry in sorted(named, key=lambda entry: -len(entry.path)):
            message = message.replace(entry.path, f"track {entry.id}")
        return RequestError(422, type(error).__name__, message)
    for kind, status, message in _HIDDEN:
        if isinstance(error, kind):
            return RequestError(status, kind.__name__, message)
    return RequestError(500, "InternalError", "The server failed: its log says why.")


def answer(path: str, error: RequestError) -> JSONResponse:
    """Return the response to a request for a path."""
    text: Any = error.message
    if path.startswith(NATIVE):
        text = {"type": error.kind, "message": error.message}
    return JSONResponse({"error": text}, error.status, dict(error.headers or {}))
