"""HTTP requests to `musiczoo serve`, as bytes: parsed as uvicorn parses them, and answered by the whole application."""

import asyncio
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio.to_thread
import h11
import havoc
import numpy as np
import soundfile

from musiczoo.errors import InputError
from musiczoo.library import Library
from musiczoo.library.database import Database
from musiczoo.library.records import Entry, LibraryConfig
from musiczoo.server.app import create_app, document
from musiczoo.server.settings import Settings

from .card import CARD

TOKEN = "0123456789abcdef"
SECRET = b"what lies beside the playlists"
LISTS = Path("lists")
"""The folder of playlists, in the current folder, beside a file ``secret``."""

FINE = {200, 201, 204, 206}
REFUSED = {400, 401, 403, 404, 405, 408, 409, 413, 416, 422, 429, 503}

PATHS = (
    *("/", "/api/v1/health", "/api/v1/library", "/api/v1/tracks", "/api/v1/tracks/1", "/api/v1/tracks/2/audio"),
    *("/api/v1/tracks/1/similar", "/api/v1/tracks/1/tags-over-time", "/api/v1/map", "/api/v1/playlists"),
    *("/api/v1/playlists/mix", "/api/v1/playlists/mix.m3u8", "/api/v1/openapi.json", "/api/v1/search", "/page/page.js"),
    *("/api/v1/path", "/api/v1/session", "/api/similar_tracks", "/api/search_tracks", "/api/find_path", "/api/track"),
    *("/api/v1/artists/similar", "/api/v1/albums/similar", "/api/create_playlist", "/api/similar_artists"),
)
PARTS = (
    *("..", "%2e%2e", "%2f", "%5c", "%00", "%ff", "secret", "secret.m3u8", "lists", "/etc/passwd", "é", "%C3%A9", "1"),
    *("0", "-1", "99999999999999999999", "9223372036854775807", "x" * 3000, "//", ";", "?", "#", "%", "%2", "mix", "."),
)
VALUES: tuple[Any, ...] = (
    *(None, True, [], {}, 0, 1, 2, 3, -1, 0.5, 1e308, 2**63 - 1, 2**63, 10**30, [1], [1, 2], ["x"], "", "x"),
    *(
        "\ud800",
        "\0",
        "é",
        "../secret",
        "a" * 2000,
        {"a": 1},
        {"a": 1e308},
        {"x": None},
        [None, 5],
        [5, 1],
        "mix",
        "each",
    ),
)
HEADERS = (
    *("Host: localhost", "Host: evil.example", "Host: [::1", "Host: 1.2.3.4:99999", f"Authorization: Bearer {TOKEN}"),
    *(
        "Authorization: Bearer x",
        "Cookie: musiczoo=x; a",
        'Cookie: musiczoo="\\',
        "Range: bytes=0-9",
        "Range: bytes=-0",
    ),
    *(
        "Range: bytes=" + ",".join(f"{i}-{i}" for i in range(200)),
        "Range: bytes=9999999999999999999999-",
        "Range: x=1-2",
    ),
    *(
        'If-Range: "x"',
        "Origin: null",
        "Origin: http://localhost",
        "Sec-Fetch-Site: cross-site",
        "Expect: 100-continue",
    ),
    *("Content-Type: text/plain", "Content-Type: application/json; charset=utf-7", "Transfer-Encoding: chunked"),
    *("Content-Length: 99999999", "Connection: close", "If-None-Match: *", "X-Forwarded-For: 1.2.3.4"),
)


def _fields() -> tuple[str, ...]:
    schemas = document()["components"]["schemas"].values()
    return tuple(sorted({name for schema in schemas for name in schema.get("properties", ())}))


FIELDS = _fields()


def _library(folder: Path) -> Library:
    """Three tracks by two artists; the second is a file."""
    sound = folder / "2.wav"
    soundfile.write(sound, np.sin(np.arange(800) / 5), 8000)
    config = LibraryConfig.from_card(CARD, excerpts=2)
    with Database.create(folder / "l.db", config) as database:
        for i in range(1, 4):
            unit = np.array([1, 0, 0, 1] if i > 1 else [0, 1, 1, 0], np.float32) / np.float32(2**0.5)
            analyzed = f"{i:032x}", 60.0 + i, 2, unit, np.array([0.9, 0.1], np.float32)
            path = str(sound.resolve()) if i == 2 else f"/m/{i}.mp3"
            database.add(Entry(path, 10, 20, *analyzed, title=f"T{i}", artist="A" if i > 1 else "B", album="C"))
    library = Library.open(folder / "l.db")
    library.vectors.current()
    return library


FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-requests-")
LIBRARY = _library(Path(FOLDER.name))
APP = create_app(LIBRARY, Settings(token=TOKEN, hosts=frozenset({"music.home"}), playlists=LISTS))
LOOP = asyncio.new_event_loop()


async def _here(function: Any, *args: Any, **_: Any) -> Any:
    """Run what a route gives to a thread at once: no input waits for a thread's turn on a busy machine."""
    return function(*args)


anyio.to_thread.run_sync = _here  # type: ignore[assignment]


def request(method: str, path: str, content: Any = None, *headers: str) -> bytes:
    """A well-formed request."""
    body = b"" if content is None else json.dumps(content).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}", *headers]
    lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def seeds() -> list[bytes]:
    """A request to each route."""
    LOOP.run_until_complete(_ask(_scope(request("GET", "/api/v1/health")), b""))  # its imports and threads
    return [
        *(request("GET", path) for path in PATHS),
        request("POST", "/api/v1/search", {"seeds": [1], "mix": {"a": 2}, "weights": {"a": 1}, "k": 2, "exclude": [3]}),
        request(
            "POST", "/api/v1/search", {"seeds": [1], "filters": {"artist": "a", "years": [1, None], "having": {"x": 0}}}
        ),
        request("POST", "/api/v1/path", {"start": 1, "end": 2, "k": 3, "through": [3]}),
        request("POST", "/api/v1/playlists", {"name": "new", "tracks": [1, 2], "replace": True}),
        request("POST", "/api/create_playlist", {"playlist_name": "new", "track_ids": ["1"]}),
        request("POST", "/api/v1/session"),
        request("GET", "/api/v1/tracks?q=t1&artist=a&tag=x&limit=2&offset=1"),
        request("GET", "/api/v1/tracks/1/similar?k=2&weights=a=1,b=2"),
        request("GET", "/api/v1/tracks/2/audio", None, "Range: bytes=1-5"),
    ]


def run(data: bytes) -> None:
    """Answer it; what the parser refuses is refused."""
    LISTS.mkdir()
    (LISTS / "mix.m3u8").write_text("/m/1.mp3\n/m/gone.mp3\n")
    Path("secret").write_bytes(SECRET)
    Path("secret.m3u8").write_bytes(SECRET)
    os.symlink(os.path.abspath("secret"), LISTS / "link.m3u8")
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 16)
    scope, parts = None, []
    try:
        connection.receive_data(data)
        connection.receive_data(b"")
        while type(event := connection.next_event()) not in (h11.EndOfMessage, h11.PAUSED, h11.ConnectionClosed):
            if isinstance(event, h11.Request):
                scope = _scope_of(event)
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
    except h11.RemoteProtocolError as error:
        if scope is None:
            raise InputError(f"This is no HTTP request: {error}.") from error
    if scope is not None:
        status, body = LOOP.run_until_complete(_ask(scope, b"".join(parts)))
        assert status in FINE | REFUSED, status
        assert not [text for text in (SECRET, b"root:", b"Traceback") if text in body]
        assert status in FINE or FOLDER.name.encode() not in body


def _scope(data: bytes) -> dict[str, Any]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return _scope_of(event)


def _scope_of(event: h11.Request) -> dict[str, Any]:
    """As uvicorn makes it."""
    path, _, query = event.target.partition(b"?")
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": event.http_version.decode("ascii"),
        "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 9), "scheme": "http", "root_path": "",
        "method": event.method.decode("ascii"), "path": unquote(path.decode("ascii", "replace")), "raw_path": path,
        "query_string": query, "headers": [(name.lower(), value) for name, value in event.headers], "state": {},
    }  # fmt: skip


async def _ask(scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:
    given, sent = False, []

    async def receive() -> Any:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await APP(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Another path, parameter, header or field of the body; or other bytes."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    kind = dice.randrange(6)
    if kind == 0:
        return havoc.mutate(data, dice)
    if kind == 1:
        lines.insert(dice.randint(1, len(lines)), dice.choice(HEADERS).encode())
    elif kind < 4:
        body = _field(body, dice)
        lines = [line for line in lines if not line.startswith(b"Content-Length")]
        lines.append(f"Content-Length: {len(body)}".encode())
    else:
        words = lines[0].split(b" ")
        if len(words) > 1:
            words[1] = (_path if kind == 4 else _parameter)(words[1], dice)
        lines[0] = b" ".join(words)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _path(target: bytes, dice: random.Random) -> bytes:
    path, sign, query = target.partition(b"?")
    parts = dice.choice(PATHS).encode().split(b"/") if dice.random() < 0.3 else path.split(b"/")
    at = dice.randrange(len(parts))
    part = dice.choice(PARTS).encode()
    parts[at : at + dice.randint(0, 1)] = [part if dice.random() < 0.7 else parts[at] + part]
    return b"/".join(parts) + sign + query


def _parameter(target: bytes, dice: random.Random) -> bytes:
    path, _, query = target.partition(b"?")
    pairs = query.split(b"&") if query else []
    names = (*FIELDS, "q", "limit", "offset", "tag", "weights", "space", "method", "n", "item_id", "query", "artist")
    value = dice.choice([*PARTS, *map(str, VALUES), "a=1,b=2", "a=1e9", "pca", "tsne"])
    value = value.encode("utf-8", "replace").decode("latin-1")
    pairs.insert(dice.randint(0, len(pairs)), f"{dice.choice(names)}={value}".encode("latin-1", "replace"))
    return path + b"?" + b"&".join(pairs).translate(None, b" \r\n\t")


def _field(body: bytes, dice: random.Random) -> bytes:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = {}
    if not isinstance(content, dict):
        content = {}
    inner = [value for value in content.values() if isinstance(value, dict)]
    where = dice.choice([content, *inner])
    name = dice.choice([*where, *FIELDS]) if where else dice.choice(FIELDS)
    where[name] = dice.choice(VALUES)
    return json.dumps(content).encode()
