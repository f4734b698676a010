"""Who may ask, how much, and what is never sent: tables of requests that a server refuses."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shelf
from asking import BEARER, TOKEN, Client, client, raw
from starlette.websockets import WebSocketDisconnect

import musiczoo
from musiczoo.errors import InputError
from musiczoo.library import Library
from musiczoo.library.database import Database
from musiczoo.server import security
from musiczoo.server.settings import Settings, is_loopback, read_token

SECRET = b"A secret that is in no track."


@pytest.fixture
def guarded(library: Library, tmp_path: Path) -> Client:
    """A client of a server with a token, and with a folder of playlists."""
    return client(library, token=TOKEN, playlists=tmp_path)


# === Token ===

WITHOUT_TOKEN = ["/", "/page/page.js", "/favicon.ico", "/api/v1/health", "/api/health"]


@pytest.mark.parametrize("path", WITHOUT_TOKEN)
def test_what_needs_no_token(guarded: Client, path: str) -> None:
    assert guarded.get(path).status_code in (200, 404)


def test_everything_else_needs_it(guarded: Client) -> None:
    document = guarded.get("/api/v1/openapi.json", headers=BEARER).json()
    paths = [(method, path) for path, methods in document["paths"].items() for method in methods]
    assert len(paths) > 12
    paths += [("get", "/api/v1/openapi.json"), ("get", "/api/v1/nothing"), ("get", "/docs"), ("get", "/api/v1/healthy")]
    paths += [("get", "/pages"), ("get", "/api/similar_tracks"), ("options", "/api/v1/search")]
    for method, path in paths:
        status = 200 if path == "/api/v1/health" else 401
        assert guarded.request(method, re.sub(r"\{.+?\}", "1", path)).status_code == status, path


@pytest.mark.parametrize(
    "path",
    ["//", "/page", "//page/x", "/./", "/page/../api/v1/tracks", "/page/%2e%2e/api/v1/tracks", "/api/v1/health/"],
)
def test_no_spelling_makes_a_path_public(guarded: Client, path: str) -> None:
    status, body = raw(guarded.app, path)
    assert status in (401, 404)
    assert b"title" not in body


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN}, Bearer x",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xff\xfe",
    ],
)
def test_wrong_tokens(guarded: Client, header: str) -> None:
    answer = guarded.get("/api/v1/tracks", headers={"authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="musiczoo"'
    assert answer.json()["error"]["type"] == "Unauthorized"


def test_the_token_is_compared_in_constant_time(guarded: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return False

    monkeypatch.setattr(security.hmac, "compare_digest", compare)
    assert guarded.get("/api/v1/tracks", headers=BEARER).status_code == 401
    assert compared == [(TOKEN.encode(), TOKEN.encode())]


def test_a_session_opens_audio_and_changes_nothing(guarded: Client) -> None:
    assert guarded.post("/api/v1/session").status_code == 401
    started = guarded.post("/api/v1/session", headers=BEARER)
    assert started.status_code == 204
    cookie = started.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/api/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert guarded.get("/api/v1/tracks/1/audio").status_code == 200
    assert guarded.post("/api/v1/playlists", json={"name": "mix", "tracks": [1]}).status_code == 401
    guarded.cookies.set("musiczoo", "0" * 64)
    guarded.cookies.delete("musiczoo", domain="localhost.local", path="/api/")
    assert guarded.get("/api/v1/tracks/1/audio").status_code == 401


def test_a_server_without_a_token_sets_no_cookie(ask: Client) -> None:
    answer = ask.post("/api/v1/session")
    assert (answer.status_code, answer.headers.get("set-cookie")) == (204, None)


@pytest.mark.parametrize("content", [b"", b"short", b"\n", b"with spaces in it, long enough", b"\xff" * 20, "ä" * 20])
def test_tokens_that_are_refused(tmp_path: Path, content: bytes | str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match="token"):
        read_token(file)


def test_a_missing_token_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read the token file .*: No such file or directory\."):
        read_token(tmp_path / "token")


# === Names of the server, and other sites ===


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        *[(host, True) for host in ("localhost", "localhost:8000", "LOCALHOST", "127.0.0.1:8000", "192.168.1.2")],
        *[(host, True) for host in ("[::1]:8000", "[::1]", "music.home", "music.home:80", "Music.Home.:80")],
        *[
            (host, False)
            for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "music.homes")
        ],
        *[(host, False) for host in ("", "evil.example:127.0.0.1", "evil@localhost", "localhost@evil", "2130706433")],
        *[(host, False) for host in ("0x7f.1", "[evil.example]", "localhost, evil.example", "127.1", "music.homes")],
    ],
)
def test_hosts(library: Library, host: str, accepted: bool) -> None:
    ask = client(library, hosts=frozenset({"music.home"}))
    answer = ask.get("/api/v1/health", headers={"host": host})
    assert answer.status_code == (200 if accepted else 400)


HOME = "http://localhost"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": HOME}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ({"origin": HOME, "sec-fetch-site": "cross-site"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_other_sites(ask: Client, headers: dict[str, str], status: int, method: str) -> None:
    path = "/api/v1/tracks" if method == "GET" else "/api/v1/search"
    answer = ask.request(method, path, headers=headers, json={"seeds": [1]} if method == "POST" else None)
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_link_of_another_site_may_open_the_page(ask: Client) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert ask.get("/", headers=headers).status_code in (200, 404)
    assert ask.post("/", headers=headers).status_code == 403


def test_there_are_no_web_sockets(ask: Client) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, ask.websocket_connect("/api/v1/health"):
        pass
    assert refused.value.code == 1008


# === Headers and limits ===


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api/v1/health"),
        ("GET", "/api/v1/tracks/1/audio"),
        ("GET", "/nothing"),
        ("PUT", "/api/v1/x"),
    ],
)
def test_every_answer_has_the_headers(guarded: Client, method: str, path: str) -> None:
    for headers in ({}, BEARER, {"host": "evil.example"}):
        answer = guarded.request(method, path, headers=headers)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


def test_a_bug_shows_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = client(library)
    state: Any = ask.app.state.musiczoo  # type: ignore[attr-defined]

    def broken(_: str) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(state.catalog, "find", broken)
    answer = ask.get("/api/v1/tracks?q=x")
    assert answer.status_code == 500
    assert answer.json() == {"error": {"type": "InternalError", "message": "The server failed: its log says why."}}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_answers_of_the_api_are_not_stored(ask: Client) -> None:
    assert ask.get("/api/v1/tracks").headers["cache-control"] == "no-store"


def test_large_bodies(ask: Client) -> None:
    body = b'{"seeds": [1], "tags": ["' + b"x" * security.LARGEST_BODY + b'"]}'
    assert ask.post("/api/v1/search", content=body).status_code == 413

    def parts() -> Iterator[bytes]:
        for i in range(0, len(body), 10_000):
            yield body[i : i + 10_000]

    assert ask.post("/api/v1/search", content=parts()).status_code == 413  # without Content-Length
    for length in ("999999999", "9" * 5000, "-1", "x"):
        answer = ask.post("/api/v1/search", content=b"{}", headers={"content-length": length})
        assert answer.status_code == 413, length


def test_slow_bodies(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    import anyio

    monkeypatch.setattr(security, "PATIENCE_S", 0.05)
    answers: list[Any] = []

    async def app(*_: object) -> None:
        raise AssertionError("a request without its body reached the routes")

    async def never() -> Any:
        await anyio.sleep_forever()

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/v1/search", "headers": [(b"host", b"localhost")]}
    anyio.run(security.Guard(app, Settings()), scope, never, send)
    assert answers[0]["status"] == 408


def test_analyses_wait_for_each_other_and_are_kept(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one in progress and four that wait, the sixth is refused; what was computed is not computed again."""
    import threading

    from musiczoo.server import media

    started, go_on, computed = threading.Event(), threading.Event(), []

    def slow(_: Library, entry: Any) -> dict[str, Any]:
        computed.append(entry.id)
        started.set()
        assert go_on.wait(60)
        return {"times_s": [0.0], "excerpt_s": 3.0, "tags": {"rock": [0.5]}}

    monkeypatch.setattr(media, "tags_over_time", slow)
    ask = client(library)
    statuses: list[int] = []

    def request(number: int) -> None:
        statuses.append(ask.get(f"/api/v1/tracks/{number}/tags-over-time").status_code)

    threads = [threading.Thread(target=request, args=(number,)) for number in (1, 1, 2, 3, 4)]
    state = ask.app.state.musiczoo  # type: ignore[attr-defined]
    with ask:  # one event loop for all threads
        threads[0].start()
        assert started.wait(60)
        for thread in threads[1:]:
            thread.start()
        while state.computed._admitted._value:
            assert not statuses
        refused = ask.get("/api/v1/tracks/5/tags-over-time")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        go_on.set()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 5
        assert sorted(computed) == [1, 2, 3, 4]
        assert ask.get("/api/v1/tracks/1/tags-over-time").status_code == 200
        assert len(computed) == 4


# === Files ===

UP = [
    "..",
    "%2e%2e",
    "..%2f..",
    "%2e%2e%2f",
    "..%5c..",
    "..\\..",
    "....//",
    "..;/",
    "..%00/",
    "%c0%ae%c0%ae/",
    "..%252f",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "C:%5csecret",
    "file:///etc/passwd",
    "~",
    "secret",
    "secret.m3u8",
    "%00",
    "secret%00.m3u8",
    ".secret",
    "link",
    "playlist/../../secret",
    "nul",
    "x" * 300,
    "\u202e3u8",
]

WHERE = [
    "/api/v1/playlists/{}",
    "/api/v1/playlists/{}.m3u8",
    "/api/v1/playlists/{}/secret",
    "/api/v1/playlists/{}/secret.m3u8",
    "/api/v1/tracks/{}",
    "/api/v1/tracks/{}/audio",
    "/api/v1/tracks/1/{}",
    "/api/v1/{}",
    "/page/{}",
    "/page/{}/secret",
    "/{}",
    "/{}/secret",
]


@pytest.fixture
def beside_a_secret(library: Library, tmp_path: Path) -> Client:
    """A server whose playlists lie beside a secret, with links to it and to the folder above."""
    folder = tmp_path / "playlists"
    folder.mkdir()
    for name in ("secret", "secret.m3u8", ".secret.m3u8"):
        (tmp_path / name).write_bytes(SECRET)
    (folder / ".secret.m3u8").write_bytes(SECRET)
    (folder / "secret.txt").write_bytes(SECRET)
    (folder / "link.m3u8").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    (folder / "folder.m3u8").mkdir()
    return client(library, playlists=folder)


@pytest.mark.parametrize("where", WHERE)
def test_no_spelling_leads_to_another_file(beside_a_secret: Client, where: str) -> None:
    for up in [*UP, *("/".join([part] * 8) + "/etc/passwd" for part in UP[:6]), "up", "folder"]:
        status, body = raw(beside_a_secret.app, where.format(up))
        assert status in (400, 404, 405, 422), (up, body)
        assert not [text for text in (SECRET, b"root:", b"Traceback") if text in body]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../mix",
            "..",
            ".",
            "",
            " ",
            "a/b",
            "a\\b",
            "/mix",
            "C:mix",
            ".mix",
            "mix.",
            " mix",
            "a\nb",
            "a\0b",
            "a\u2028b",
        ),
        *("x" * 101, "č" * 100 + "č", "\U0001d11e" * 60, "a*b", 'a"b', "a<b"),
    ],
)
def test_no_playlist_is_saved_elsewhere(library: Library, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "playlists"
    folder.mkdir()
    answer = client(library, playlists=folder).post("/api/v1/playlists", json={"name": name, "tracks": [1]})
    assert answer.status_code == 422
    assert list(tmp_path.rglob("*")) == [folder]


def test_another_kind_of_file_is_no_playlist(library: Library, tmp_path: Path) -> None:
    (tmp_path / "video.m3u8").write_bytes(b"\0\1\2")
    ask = client(library, playlists=tmp_path)
    assert ask.get("/api/v1/playlists").json() == {"playlists": []}
    for name in ("video", "video.m3u8"):
        answer = ask.get(f"/api/v1/playlists/{name}")
        assert answer.status_code == 404
        assert str(tmp_path) not in answer.text


def test_the_folder_of_playlists_may_vanish(library: Library, tmp_path: Path) -> None:
    ask = client(library, playlists=tmp_path / "gone")
    assert ask.get("/api/v1/playlists").json() == {"playlists": []}
    answer = ask.post("/api/v1/playlists", json={"name": "mix", "tracks": [1]})
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_a_link_is_no_playlist(beside_a_secret: Client, tmp_path: Path) -> None:
    assert beside_a_secret.get("/api/v1/playlists").json() == {"playlists": []}
    answer = beside_a_secret.post("/api/v1/playlists", json={"name": "link", "tracks": [1]})
    assert answer.status_code == 409
    answer = beside_a_secret.post("/api/v1/playlists", json={"name": "link", "tracks": [1], "replace": True})
    assert answer.status_code == 201
    assert (tmp_path / "secret").read_bytes() == SECRET  # the link was replaced, not what it leads to


@pytest.mark.parametrize(
    "kind", ["secret", "link.mp3", "through a link", "folder.mp3", "fifo.mp3", "relative", "url", "nul"]
)
def test_a_library_of_others_cannot_send_other_files(
    library: Library, shelves: Path, toy: musiczoo.Model, tmp_path: Path, kind: str
) -> None:
    """A track's path may be anything in a library that somebody else made."""
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "secret.mp3").write_bytes(SECRET)
    (tmp_path / "link.mp3").symlink_to(tmp_path / "secret")
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "folder.mp3").mkdir()
    os.mkfifo(tmp_path / "fifo.mp3")
    paths = {
        "through a link": f"{tmp_path}/folder/secret.mp3",
        "relative": "secret.mp3",
        "url": "https://example.org/secret.mp3",
        "nul": f"{tmp_path}/secret.mp3\0.mp3",
    }
    copy = tmp_path / "music.db"
    copy.write_bytes((shelves / "music.db").read_bytes())
    with Database.open(copy, write=True) as database:
        database.write("UPDATE tracks SET path = CAST(? AS TEXT) WHERE id = 1", [paths.get(kind, str(tmp_path / kind))])
    with Library.open(copy, toy) as opened:
        ask = client(opened)
        for route in ("audio", "tags-over-time"):
            answer = ask.get(f"/api/v1/tracks/1/{route}")
            assert (answer.status_code, answer.json()["error"]["type"]) == (404, "NoFile")


# === Audio ===


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        (None, 200, slice(None)),
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=5-5", 206, slice(5, 6)),
        ("bytes=10-999999999", 206, slice(10, None)),
        ("bytes=999999999-", 416, None),
        ("bytes=9-5", 400, None),
        ("bytes=x-", 400, None),
    ],
)
def test_ranges(ask: Client, shelves: Path, asked: str | None, status: int, part: slice | None) -> None:
    path = shelf.paths(shelves / "music")[1]
    answer = ask.get("/api/v1/tracks/2/audio", headers={"range": asked} if asked else {})
    assert answer.status_code == status
    if part is not None:
        whole = path.read_bytes()
        assert answer.content == whole[part]
        assert answer.headers["content-type"] == "audio/flac"
        assert answer.headers["accept-ranges"] == "bytes"
        assert int(answer.headers["content-length"]) == len(whole[part])


def test_audio_that_has_changed_is_sent_whole(ask: Client, shelves: Path) -> None:
    whole = shelf.paths(shelves / "music")[1].read_bytes()
    tag = ask.get("/api/v1/tracks/2/audio").headers["etag"]
    for given, content in ((tag, whole[:3]), ('"old"', whole)):
        answer = ask.get("/api/v1/tracks/2/audio", headers={"range": "bytes=0-2", "if-range": given})
        assert answer.content == content


def test_only_the_headers_of_audio(ask: Client, shelves: Path) -> None:
    answer = ask.head("/api/v1/tracks/2/audio")
    size = shelf.paths(shelves / "music")[1].stat().st_size
    assert (answer.status_code, answer.content, int(answer.headers["content-length"])) == (200, b"", size)


@pytest.mark.parametrize(("number", "kind"), [(1, "wav"), (2, "flac"), (3, "ogg"), (4, "mpeg"), (5, "ogg")])
def test_types_of_audio(ask: Client, number: int, kind: str) -> None:
    assert ask.get(f"/api/v1/tracks/{number}/audio").headers["content-type"] == f"audio/{kind}"


# === Where it listens ===


def test_which_addresses_are_of_this_machine_only() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", socket.gethostname(), "", "localhost.example")))
