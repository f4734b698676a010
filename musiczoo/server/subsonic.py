"""A client of media servers that speak the Subsonic protocol, such as Navidrome, Gonic and supysonic.

Conventions
-----------
- The login is a *token*: the MD5 of the password and a new random salt for each request, so that the password itself is
  not sent. A server that refuses tokens (error 41 or 42, or error 10 from servers that do not know them) gets the
  password, in hexadecimal. An API key (OpenSubsonic) is sent without a user name.
- Requests are GET, which all servers take, and answers JSON. Every request has the same client name and user agent:
  servers keep settings for each client, such as Navidrome's "Report Real Path".
- Texts, numbers and lists of an answer are checked; values of another type count as missing.
- Source: the API reference of the OpenSubsonic project, and the answers of supysonic 0.7.9.
"""

import hashlib
import ipaddress
import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..errors import InputError, MusicZooError
from ..library.metadata import isrcs_of, mbids_of

CLIENT = "musiczoo"
PROTOCOL = "1.16.1"

TIMEOUT_S = 60.0
"""Seconds that a server may take for one answer."""

PAGE = 500
"""Songs of one answer."""

BATCH = 40
"""Songs that one request adds to a playlist: some servers accept URLs of 4,096 bytes only."""

LARGEST_ANSWER = 1 << 26
"""Bytes of an answer: far more than `PAGE` songs."""

_LARGEST_NUMBER = 1 << 53

_WITHOUT_TOKENS = (10, 41, 42)
"""Errors of a login with a token by which servers say that they do not know tokens."""

Json = Mapping[str, Any]


class MediaServerError(MusicZooError, ConnectionError):
    """A media server that cannot be reached, refuses the login, or reports an error.

    Attributes:
        code: Subsonic's error code; None if the server did not answer as a Subsonic server does.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        """Keep message and code."""
        super().__init__(message)
        self.code = code


class UnencryptedLoginWarning(UserWarning):
    """A password or API key is sent to another machine without encryption."""


@dataclass(frozen=True, slots=True)
class ServerSong:
    """A song as a media server describes it; None or empty where it says nothing.

    Attributes:
        id: Its id on the server.
        title: Title.
        artist: Artists, as the server shows them.
        album: Title of the album.
        path: Path of the file as the server sees it: absolute, relative to one of its folders, or made up.
        size: Bytes of the file.
        duration_s: Length in whole seconds.
        recording_mbid: MusicBrainz id of the recording.
        isrcs: Its ISRCs.
        artists: Id and name of each artist.

    Example:
        >>> from musiczoo.server.subsonic import ServerSong
        >>> song = ServerSong.from_child({"id": "7", "title": "One", "duration": 61, "artistId": "3", "artist": "Anna"})
        >>> song.title, song.duration_s, song.artists
        ('One', 61.0, (('3', 'Anna'),))
    """

    id: str
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    path: str | None = None
    size: int | None = None
    duration_s: float | None = None
    recording_mbid: str | None = None
    isrcs: tuple[str, ...] = ()
    artists: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_child(cls, child: Json) -> "ServerSong":
        """Return a song, given the protocol's object ``Child``.

        Raises:
            MediaServerError: If it has no id.
        """
        number = _text(child.get("id"))
        if number is None:
            raise MediaServerError("The server sent a song without an id. Update the server, or report it as a bug.")
        size, duration_s = _number(child.get("size")), _number(child.get("duration"))
        said = child.get("isrc")
        isrcs = [text for text in (said if isinstance(said, list) else [said]) if isinstance(text, str)]
        several = child.get("artists")
        artists = [artist for artist in several if isinstance(artist, dict)] if isinstance(several, list) else []
        named = [(_text(artist.get("id")), _text(artist.get("name"))) for artist in artists]
        named = named or [(_text(child.get("artistId")), _text(child.get("artist")))]
        return cls(
            id=number,
            title=_text(child.get("title")),
            artist=_text(child.get("artist")),
            album=_text(child.get("album")),
            path=_text(child.get("path")),
            size=int(size) if size else None,
            duration_s=duration_s or None,
            recording_mbid=next(iter(mbids_of([_text(child.get("musicBrainzId")) or ""])), None),
            isrcs=isrcs_of(isrcs),
            artists=tuple((key, name) for key, name in named if key and name),
        )


class Subsonic:
    """A connection to a Subsonic server.

    Attributes:
        url: Address of the server, without ``/rest``.
        user: Name of the user; None with an API key.
        info: What the server says about itself: ``version`` of the protocol and, from OpenSubsonic servers, ``type``,
            ``serverVersion`` and ``openSubsonic``.

    Example:
        ::

            server = Subsonic("http://127.0.0.1:4533", "anna", password)
            songs = list(server.songs())
            server.create_playlist("Evening", [song.id for song in songs[:20]])
    """

    def __init__(
        self, url: str, user: str | None = None, password: str | None = None, *, api_key: str | None = None
    ) -> None:
        """Log in.

        Args:
            url: Address of the server, such as ``http://127.0.0.1:4533``.
            user: Name of the user.
            password: The user's password.
            api_key: API key in place of user and password.

        Raises:
            InputError: If the address is none, or there is neither a user with a password nor an API key.
            MediaServerError: If the server cannot be reached or refuses the login.

        Warns:
            UnencryptedLoginWarning: If password or key are sent to another machine without encryption.
        """
        self.url, remote = checked_url(url)
        self.user = user if api_key is None else None
        if api_key is None and not (user and password):
            raise InputError("A login needs a user and a password, or an API key.")
        self._exposed = remote and self.url.startswith("http:")
        self._secret = api_key or password or ""
        self._login = "apiKey" if api_key is not None else "token"
        if self._login == "token":
            try:
                self.info = self.call("ping")
            except MediaServerError as error:
                if error.code not in _WITHOUT_TOKENS:
                    raise
                self._login = "password"
        if self._login != "token":
            if self._exposed:
                what = "API key" if api_key is not None else "password (the server does not accept tokens)"
                warnings.warn(
                    f"The {what} is sent to {self.url} without encryption. Use https, or the same machine.",
                    UnencryptedLoginWarning,
                    stacklevel=2,
                )
            self.info = self.call("ping")

    def call(self, method: str, parameters: Sequence[tuple[str, str]] = ()) -> Json:
        """Call a method of the server.

        Args:
            method: Name of the method, such as ``search3``.
            parameters: Names and values; a name may repeat.

        Returns:
            The object ``subsonic-response``.

        Raises:
            MediaServerError: If the server cannot be reached or reports an error.
        """
        query = urllib.parse.urlencode([*self._common(), *parameters])
        request = urllib.request.Request(
            f"{self.url}/rest/{method}?{query}", headers={"User-Agent": f"{CLIENT}/{__version__}"}
        )
        where = f"{self.url}/rest/{method}"  # not the query, which holds the login
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as response:
                content = response.read(LARGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            content = error.read(LARGEST_ANSWER)  # some servers report errors of the protocol with another status
            if not content.lstrip().startswith(b"{"):
                raise MediaServerError(
                    f"{where} answered with status {error.code}. Check the address: it is that of the server's web "
                    "page, without /rest."
                ) from None
        except (OSError, ValueError) as error:  # ValueError: a malformed answer
            reason = getattr(error, "reason", error)
            raise MediaServerError(
                f"Cannot reach {where}: {reason}. Check that the server runs, and its address."
            ) from None
        return _response(where, content)

    def songs(self) -> Iterator[ServerSong]:
        """Yield all songs of the server, each once.

        Raises:
            MediaServerError: If the server fails.
        """
        seen: set[str] = set()
        for offset in range(0, 1 << 31, PAGE):
            counts = (("songCount", PAGE), ("songOffset", offset), ("albumCount", 0), ("artistCount", 0))
            answer = self.call("search3", [("query", ""), *((name, str(value)) for name, value in counts)])
            page = _objects(_object(answer.get("searchResult3")).get("song"))
            new = [song for song in map(ServerSong.from_child, page) if song.id not in seen]
            for song in new:
                if song.id not in seen:
                    seen.add(song.id)
                    yield song
            if len(page) < PAGE or not new:  # not new: a server that ignores the offset
                return

    def playlists(self) -> dict[str, str]:
        """Return id -> name of the user's playlists.

        Raises:
            MediaServerError: If the server fails.
        """
        found = _objects(_object(self.call("getPlaylists").get("playlists")).get("playlist"))
        names = [(_text(playlist.get("id")), _text(playlist.get("name"))) for playlist in found]
        return {number: name or "" for number, name in names if number}

    def create_playlist(self, name: str, songs: Sequence[str], replace: bool = False) -> str:
        """Create a playlist. If it cannot be made complete, what was made is deleted again.

        Args:
            name: Its name. Servers may have several of one name.
            songs: Ids of the songs, in order.
            replace: Replace the songs of a playlist of that name, if the user has exactly one. It is not deleted.

        Returns:
            The id of the playlist.

        Raises:
            MediaServerError: If the server fails.
        """
        first, rest = songs[:BATCH], songs[BATCH:]
        before = self.playlists()
        old = [key for key, called in before.items() if called == name] if replace else []
        what = ("playlistId", old[0]) if len(old) == 1 else ("name", name)
        answer = self.call("createPlaylist", [what, *(("songId", song) for song in first)])
        number = what[1] if what[0] == "playlistId" else _text(_object(answer.get("playlist")).get("id"))
        if number is None:  # servers before 1.14 return nothing
            new = [key for key, called in self.playlists().items() if key not in before and called == name]
            if len(new) != 1:
                raise MediaServerError(f"The server did not say whether it made the playlist {name!r}. Look there.")
            number = new[0]
        try:
            for i in range(0, len(rest), BATCH):
                added = [("songIdToAdd", song) for song in rest[i : i + BATCH]]
                self.call("updatePlaylist", [("playlistId", number), *added])
        except MediaServerError:
            if number not in before:
                self.call("deletePlaylist", [("id", number)])
            raise
        return number

    def _common(self) -> list[tuple[str, str]]:
        """Return the parameters that each request has."""
        shared = [("v", PROTOCOL), ("c", CLIENT), ("f", "json")]
        if self._login == "apiKey":
            return [("apiKey", self._secret), *shared]
        named = [("u", self.user or ""), *shared]
        if self._login == "password":
            return [("p", f"enc:{self._secret.encode().hex()}"), *named]
        salt = secrets.token_hex(8)
        token = hashlib.md5(f"{self._secret}{salt}".encode(), usedforsecurity=False).hexdigest()
        return [("t", token), ("s", salt), *named]


def checked_url(url: str) -> tuple[str, bool]:
    """Return an address without a final slash or ``/rest``, and whether it is that of another machine.

    Raises:
        InputError: If it is not an http or https address, or holds a password.

    Example:
        >>> from musiczoo.server.subsonic import checked_url
        >>> checked_url("http://127.0.0.1:4533/"), checked_url("https://music.example/navidrome/rest")
        (('http://127.0.0.1:4533', False), ('https://music.example/navidrome', True))
    """
    try:
        parts = urllib.parse.urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urllib.parse.urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or port == 0:
        raise InputError(f"Expected the address of a server, such as http://127.0.0.1:4533, got {url!r}.")
    if parts.username is not None or parts.password is not None:
        raise InputError("The address must not hold a user or a password. Pass the user with --user.")
    path = parts.path.rstrip("/").removesuffix("/rest").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}", not _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Redirects to another server are refused: the login is in the address."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = (urllib.parse.urlsplit(address) for address in (req.full_url, newurl))
        if (new.hostname, new.scheme) not in ((old.hostname, old.scheme), (old.hostname, "https")):
            raise urllib.error.URLError(f"it redirects to {new.scheme}://{new.netloc}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SameServer)


def _response(where: str, content: bytes) -> Json:
    """Return the object ``subsonic-response`` of an answer, if it reports no error."""
    if len(content) > LARGEST_ANSWER:
        raise MediaServerError(f"{where} sent more than {LARGEST_ANSWER:,} bytes. Is it a Subsonic server?")
    try:
        found = _object(_object(json.loads(content)).get("subsonic-response"))
    except (ValueError, RecursionError):
        found = {}
    if found.get("status") not in ("ok", "failed"):
        raise MediaServerError(
            f"{where} is not a Subsonic server: it did not answer with subsonic-response. Check the address."
        )
    if found["status"] == "failed":
        error = _object(found.get("error"))
        said = error.get("code")
        code = said if isinstance(said, int) else 0
        message = (_text(error.get("message")) or "it failed").rstrip(".")
        raise MediaServerError(
            f"{where}: {message} (error {code}). {_ADVICE.get(code, 'See the log of the server.')}", code
        )
    return found


_ADVICE = {
    20: "Update musiczoo.",
    30: "Update the server.",
    40: "Check user and password.",
    43: "Pass either a user or an API key.",
    44: "Check the API key.",
    50: "Allow the user to do this in the server's settings.",
    70: "Run musiczoo library sync again: the server's ids have changed.",
}
"""Subsonic's error code -> the next step."""


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Json]:
    """Return a list of objects; some servers send a single object in place of a list of one."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def _text(value: Any) -> str | None:
    """Return text that is not empty, also of a whole number, as some servers' ids are."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def _number(value: Any) -> float | None:
    """Return a number from 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _LARGEST_NUMBER else None  # False for NaN
