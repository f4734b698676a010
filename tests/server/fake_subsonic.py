"""A Subsonic server of our own: what supysonic lacks, and what real servers do wrong. The facts are OpenSubsonic's.

It has logins with tokens and API keys, MusicBrainz ids, ISRCs, and paths that it makes up as Navidrome does.
"""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

USER, PASSWORD, API_KEY = "anna", "sésame & co", "0123456789abcdef"

Parameters = dict[str, list[str]]


@dataclass
class FakeServer:
    """A running server: ``with FakeServer(songs) as server:``.

    Attributes:
        songs: The objects ``Child`` that it has.
        token_error: Error code with which it refuses tokens; None if it takes them.
        returns_playlists: Whether ``createPlaylist`` returns the playlist, as since 1.14.
        fails: Methods that answer with error 0.
        pages: Path -> (status, headers, body) of answers that no Subsonic server gives.
        requests: Method and parameters of each request.
        playlists: Id -> name and ids of songs.
    """

    songs: list[Any] = field(default_factory=list)
    token_error: int | None = None
    returns_playlists: bool = True
    ignores_offset: bool = False
    fails: set[str] = field(default_factory=set)
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    requests: list[tuple[str, Parameters]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    playlists: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                fake.agents.add(self.headers["User-Agent"])
                status, headers, body = fake.pages.get(parts.path) or fake.answer(
                    parts.path.removeprefix("/rest/"), parse_qs(parts.query, keep_blank_values=True)
                )
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method: str, given: Parameters) -> tuple[int, dict[str, str], bytes]:
        """Answer a request."""
        self.requests.append((method, given))
        content = self._refused(given) or self._called(method, given)
        shared = {"status": "failed" if "error" in content else "ok", "version": "1.16.1"}
        about = {"type": "fake", "serverVersion": "1", "openSubsonic": True}
        body = json.dumps({"subsonic-response": {**shared, **about, **content}}).encode()
        return 200, {"Content-Type": "application/json"}, body

    def _refused(self, given: Parameters) -> dict[str, Any] | None:
        one = {name: values[0] for name, values in given.items()}
        assert {"v", "c", "f"} <= one.keys()
        assert one["f"] == "json"
        if "apiKey" in one:
            assert not {"u", "p", "t", "s"} & one.keys()  # error 43 of real servers
            return None if one["apiKey"] == API_KEY else _error(44, "Invalid API key")
        if "t" in one:
            if self.token_error is not None:
                return _error(self.token_error, "Tokens? No.")
            assert len(one["s"]) >= 6
            expected = hashlib.md5(f"{PASSWORD}{one['s']}".encode()).hexdigest()
            right = one["t"] == expected
        else:
            right = one["p"] == f"enc:{PASSWORD.encode().hex()}"
        return None if right and one["u"] == USER else _error(40, "Wrong username or password")

    def _called(self, method: str, given: Parameters) -> dict[str, Any]:
        if method in self.fails:
            return _error(0, "It failed.")
        if method == "search3":
            assert given["query"] == [""]
            assert (given["albumCount"], given["artistCount"]) == (["0"], ["0"])
            start, count = (int(given[name][0]) for name in ("songOffset", "songCount"))
            page = self.songs[0 if self.ignores_offset else start :][:count]
            return {"searchResult3": {"song": page} if page else {}}
        if method == "getPlaylists":
            listed = [{"id": number, "name": name} for number, (name, _) in self.playlists.items()]
            return {"playlists": {"playlist": listed} if listed else {}}
        if method == "createPlaylist":
            number = given.get("playlistId", [str(100 + len(self.playlists))])[0]
            name = given["name"][0] if "name" in given else self.playlists[number][0]
            self.playlists[number] = (name, list(given.get("songId", [])))
            return {"playlist": {"id": number, "name": name}} if self.returns_playlists else {}
        if method == "updatePlaylist":
            self.playlists[given["playlistId"][0]][1].extend(given["songIdToAdd"])
            return {}
        if method == "deletePlaylist":
            del self.playlists[given["id"][0]]
            return {}
        return {} if method == "ping" else _error(70, "Not found")


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
