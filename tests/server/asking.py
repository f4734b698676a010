"""A client of a server in this process."""

from typing import Any
from urllib.parse import unquote_to_bytes

import anyio
from starlette.testclient import TestClient

from musiczoo.library import Library
from musiczoo.server.app import create_app
from musiczoo.server.settings import Settings

Client = TestClient

TOKEN = "correct-horse-battery-staple"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def client(library: Library, **settings: Any) -> Client:
    """A client that calls the server localhost. Errors of the server are answers, as they are for real clients."""
    app = create_app(library, Settings(**settings))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def raw(app: Any, path: str, method: str = "GET", host: str = "localhost") -> tuple[int, bytes]:
    """Ask for a path exactly as it is spelled: `Client` removes ``..`` itself. Return status and body."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    spelled = path.encode()
    decoded = unquote_to_bytes(spelled).decode("utf-8", "replace")  # as uvicorn does
    scope = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http", "server": ("localhost", 80),
             "path": decoded, "raw_path": spelled, "query_string": b"", "root_path": "",
             "headers": [(b"host", host.encode())], "client": ("127.0.0.1", 9)}  # fmt: skip
    anyio.run(app, scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
