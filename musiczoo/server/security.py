"""The guard before all routes: who may ask, how much, and the headers of every answer.

Conventions
-----------
For each request, in this order:

1. *Host*: the Host header has to name this server, or the answer is 400. A page of another site that lets its own name
   point to this machine (DNS rebinding) is refused here.
2. *Site*: a request that a browser sends for a page of another site is refused with 403, unless it only opens a public
   page. CORS is off: no answer has a header that would let another site read it.
3. *Token*: if the server has one, the answer is 401 without it, except for `PUBLIC` paths. It comes in the header
   ``Authorization: Bearer TOKEN``; or, for GET and HEAD only, as the cookie that ``POST /api/v1/session`` sets, for
   audio elements, which send no headers. The cookie holds a hash keyed by the token, not the token. Both are compared
   in constant time.
4. *Body*: one of more than `LARGEST_BODY` bytes is refused with 413, one that does not arrive within `PATIENCE_S`
   with 408. The routes get it only when it is complete.
"""

import asyncio
import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import RequestError, answer
from .settings import Settings

LARGEST_BODY = 1 << 18
"""Bytes of a request's body: a playlist of 10,000 tracks has a third of it."""

PATIENCE_S = 20.0
"""Seconds in which a request's body has to arrive."""

PUBLIC = ("/api/v1/health", "/api/health", "/page/", "/favicon.ico")
"""Paths, or beginnings of paths, that need no token: health, and the page that asks for the token. So is ``/``."""

COOKIE = "musiczoo"

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every answer."""

_SAFE = ("GET", "HEAD")


def cookie_value(token: str) -> str:
    """Return what the cookie of a session holds: a hash keyed by the token."""
    return hmac.new(token.encode(), b"musiczoo session", "sha256").hexdigest()


def is_public(path: str) -> bool:
    """Return whether a path needs no token."""
    return path == "/" or any(path.startswith(start) if start.endswith("/") else path == start for start in PUBLIC)


class Guard:
    """ASGI middleware that enforces the conventions above."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Keep the application and what it allows."""
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        path = scope["path"]

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store" if path.startswith("/api/") else "no-cache")
            await send(message)

        try:
            check(scope["method"], path, Headers(scope=scope), self.settings)
            body = await asyncio.wait_for(_body(Headers(scope=scope), receive), PATIENCE_S)
        except RequestError as error:
            await answer(path, error)(scope, receive, guarded)
            return
        except TimeoutError:
            late = RequestError(408, "Timeout", f"The request's body did not arrive within {PATIENCE_S:.0f} s.")
            await answer(path, late)(scope, receive, guarded)
            return
        if body is None:  # the client has gone
            return
        await self.app(scope, _replay(body, receive), guarded)


def check(method: str, path: str, headers: Headers, settings: Settings) -> None:
    """Check host, site and token of a request.

    Raises:
        RequestError: If the request is refused.
    """
    host = headers.get("host", "")
    if not settings.is_called(host):
        raise RequestError(
            400, "UnknownHost", "This server is not called by that name. Start it with --allow-host NAME."
        )
    opens_page = method in _SAFE and headers.get("sec-fetch-mode") == "navigate" and is_public(path)
    if _is_of_another_site(host, headers) and not opens_page:
        raise RequestError(403, "OtherSite", "Pages of other sites may not use this server.")
    if settings.token is not None and not is_public(path) and not _has_token(method, headers, settings.token):
        hint = {"www-authenticate": 'Bearer realm="musiczoo"'}
        raise RequestError(401, "Unauthorized", "Send the token in the header Authorization: Bearer TOKEN.", hint)


def _is_of_another_site(host: str, headers: Headers) -> bool:
    """Return whether a browser sent the request for a page of another site."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        return True
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def _has_token(method: str, headers: Headers, token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and _equal(given.strip(), token):
        return True
    return method in _SAFE and any(_equal(value, cookie_value(token)) for value in _cookies(headers.getlist("cookie")))


def _cookies(lines: Iterable[str]) -> list[str]:
    """Return the values of our cookie in Cookie headers."""
    found = []
    for line in lines:
        try:
            cookie = SimpleCookie(line).get(COOKIE)
        except CookieError:
            continue
        if cookie is not None:
            found.append(cookie.value)
    return found


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """Return the body of a request; None if the client has gone.

    Raises:
        RequestError: If it is too large.
    """
    large = RequestError(413, "TooLarge", f"The request's body has more than {LARGEST_BODY:,} bytes.")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or int(length[:20]) > LARGEST_BODY:
        raise large
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > LARGEST_BODY:
            raise large
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives the body once, and then what the client does."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
