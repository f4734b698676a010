"""Match the songs of a media server with the tracks of a library, and keep the ids beside the library.

Rules
-----
In this order; what a rule has matched is left out of the next ones:

1. ``path``: the server's path, with the prefix mapping applied, is the track's path.
2. ``relative path``: the server's path has no root, and the track's path ends with it, folder by folder; the durations
   agree. A name without a folder counts only if the sizes are equal, too.
3. ``size and duration``: the sizes are equal, and the durations agree. If both have a title or a recording's
   MusicBrainz id, these are the same; of several titles of a file, one is.
4. ``MusicBrainz id``: the ids of the recording are equal.
5. ``ISRC``: they have one in common, and the durations agree.
6. ``names``: title and album are equal, they have an artist in common, and the durations agree.

- Durations *agree* if they differ by `DURATION_S` at most: servers give whole seconds. If the server gives none, they
  agree in rule 2, and in no other.
- A rule matches a song with a track only if neither fits another one by that rule. So no guess is made, a track gets at
  most one id, and the order of the songs does not matter. A song that fits several tracks, or shares its track with
  another song, is left to the next rules. If none of them matches it, it is *ambiguous*: nothing but the tracks that
  are left over could be its own.
- A property that more than `MOST_SHARED` songs or tracks share, such as one size, is ignored.
- Paths and names are compared in Unicode's NFC, names without case (`musiczoo.library.metadata.normalize_name`).

File
----
The library's file takes no other tables, so the ids are in a file beside it, ``music.db.servers.json``::

    {"format": 1, "servers": {URL: {"user": null or text, "synced_at": ISO 8601,
      "songs": [{"id": text, "path": text, "rule": text}], "artists": [{"id": text, "name": text}]}}}

Paths are those of the library; a byte that is not UTF-8 is a lone surrogate (``\\udcXX``). A track that moves is
matched again at the next sync. The file holds no password.
"""

import csv
import json
import os
import threading
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .._files import UNREADABLE, atomic_file, read_json
from .._paths import AnyPath, expanded
from ..errors import InputError, LibraryError
from ..library.metadata import normalize_name, split_names
from ..library.records import Entry
from .subsonic import ServerSong

DURATION_S = 2.0
"""Largest difference of two durations that agree: servers round or truncate, and estimate those of some mp3 files."""

MOST_SHARED = 50
"""Songs or tracks that may share a property by which they are matched."""

SUFFIX = ".servers.json"
"""Ending of the file of ids, after the library's name."""

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Match:
    """A song of the server that is a track of the library.

    Attributes:
        song: The song.
        path: Path of the track.
        rule: Name of the rule that matched them.
    """

    song: ServerSong
    path: str
    rule: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A song that fits several tracks, or fits one that other songs fit as well.

    Attributes:
        song: The song.
        rule: Name of the last rule by which it fits.
        paths: Paths of the tracks that it fits by that rule and that no other song got, sorted.
    """

    song: ServerSong
    rule: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class SyncReport:
    """The result of a comparison, each list in the order of the server or of the library.

    Attributes:
        matches: Songs that are tracks.
        ambiguous: Songs that may be one of several tracks.
        unmatched: Songs that no track fits.
        missing: Paths of the tracks that no song fits and that are not candidates of an ambiguous one.
    """

    matches: tuple[Match, ...]
    ambiguous: tuple[Ambiguous, ...]
    unmatched: tuple[ServerSong, ...]
    missing: tuple[str, ...]


def match(
    songs: Iterable[ServerSong], tracks: Iterable[Entry], prefixes: Mapping[str, str] | None = None
) -> SyncReport:
    """Match songs of a server with tracks of a library by the rules above.

    Args:
        songs: The songs; their ids differ.
        tracks: The tracks; their paths differ.
        prefixes: Folder as the server sees it -> the same folder as the library has it.

    Returns:
        What was matched, and what was not.

    Raises:
        InputError: If two songs have one id.

    Example:
        >>> import numpy as np
        >>> from musiczoo.library.records import Entry
        >>> from musiczoo.server.subsonic import ServerSong
        >>> from musiczoo.server.sync import match
        >>> vector = np.zeros(4, np.float32)
        >>> track = Entry("/home/anna/Music/One.mp3", 5000, 0, "", 60.2, 1, vector, vector)
        >>> song = ServerSong("7", path="/music/One.mp3")
        >>> report = match([song], [track], {"/music": "/home/anna/Music"})
        >>> [(found.song.id, found.path, found.rule) for found in report.matches]
        [('7', '/home/anna/Music/One.mp3', 'path')]
    """
    all_songs, all_tracks = list(songs), list(tracks)
    if len({song.id for song in all_songs}) < len(all_songs):
        raise InputError("Two songs of the server have one id. Update the server, or report it as a bug.")
    mapped = {song.id: _mapped(song.path, prefixes or {}) for song in all_songs if song.path}
    open_songs = {song.id: song for song in all_songs}
    open_tracks = {track.path: track for track in all_tracks}
    matches: dict[str, Match] = {}
    fitting: dict[str, tuple[str, set[str]]] = {}  # id of a song -> the last rule, and the paths that fit by it
    for rule in _rules(mapped):
        fits = _fits(rule, open_songs.values(), open_tracks.values())
        counts: dict[str, int] = defaultdict(int)
        for paths in fits.values():
            for path in paths:
                counts[path] += 1
        for number, paths in fits.items():
            path = next(iter(paths))
            if len(paths) == 1 and counts[path] == 1:
                matches[number] = Match(open_songs.pop(number), path, rule.name)
                del open_tracks[path]
            else:
                fitting[number] = rule.name, paths
    ambiguous, unmatched = [], []
    for number, song in open_songs.items():
        rule_name, paths = fitting.get(number, ("", set()))
        if left := sorted(path for path in paths if path in open_tracks):
            ambiguous.append(Ambiguous(song, rule_name, tuple(left)))
        else:
            unmatched.append(song)
    candidates = {path for found in ambiguous for path in found.paths}
    return SyncReport(
        matches=tuple(matches[song.id] for song in all_songs if song.id in matches),
        ambiguous=tuple(ambiguous),
        unmatched=tuple(unmatched),
        missing=tuple(path for path in open_tracks if path not in candidates),
    )


# === Rules ===

Key = tuple[Any, ...] | str | int


@dataclass(frozen=True)
class _Rule:
    """A song and a track fit by a rule if they share a key and agree."""

    name: str
    song_keys: Callable[[ServerSong], Iterable[Key]]
    track_keys: Callable[[Entry], Iterable[Key]]
    agree: Callable[[ServerSong, Entry], bool]


def _rules(mapped: Mapping[str, str]) -> Iterator[_Rule]:
    """Yield the rules, given the id and the mapped path of each song that has a path."""
    yield _Rule("path", lambda s: [mapped[s.id]] if s.id in mapped else [], lambda t: [_nfc(t.path)], lambda s, t: True)
    relative = {number: _parts(path) for number, path in mapped.items() if not _is_absolute(path)}
    lengths = sorted({len(parts) for parts in relative.values() if parts})

    def endings(track: Entry) -> Iterator[Key]:
        parts = _parts(_nfc(track.path))
        return (parts[-length:] for length in lengths if length <= len(parts))

    def same_ending(song: ServerSong, track: Entry) -> bool:
        if song.duration_s is not None and not _agree(song, track):
            return False
        return len(relative[song.id]) > 1 or song.size == track.size

    yield _Rule("relative path", lambda s: [relative[s.id]] if relative.get(s.id) else [], endings, same_ending)
    yield _Rule(
        "size and duration",
        lambda s: [s.size] if s.size else [],
        lambda t: [t.size] if t.size else [],
        lambda s, t: (
            _agree(s, t)
            and _no_contradiction(_spellings(s.title), _spellings(t.title))
            and _no_contradiction({s.recording_mbid} - {None}, {t.recording_mbid} - {None})
        ),
    )
    yield _Rule(
        "MusicBrainz id",
        lambda s: [s.recording_mbid] if s.recording_mbid else [],
        lambda t: [t.recording_mbid] if t.recording_mbid else [],
        lambda s, t: True,
    )
    yield _Rule("ISRC", lambda s: s.isrcs, lambda t: t.isrcs, _agree)
    yield _Rule(
        "names",
        lambda s: _names(s.title, s.album, split_names(s.artist, [s.artist or "", *(name for _, name in s.artists)])),
        lambda t: _names(t.title, t.album, split_names(t.artist, [t.artist or "", *t.artists])),
        _agree,
    )


def _fits(rule: _Rule, songs: Iterable[ServerSong], tracks: Iterable[Entry]) -> dict[str, set[str]]:
    """Return id of each song that fits any track -> the paths of those tracks."""
    by_key: dict[Key, tuple[list[ServerSong], list[Entry]]] = defaultdict(lambda: ([], []))
    for song in songs:
        for key in set(rule.song_keys(song)):
            by_key[key][0].append(song)
    for track in tracks:
        for key in set(rule.track_keys(track)):
            if key in by_key:
                by_key[key][1].append(track)
    found: dict[str, set[str]] = defaultdict(set)
    for sharing_songs, sharing_tracks in by_key.values():
        if max(len(sharing_songs), len(sharing_tracks)) > MOST_SHARED:
            continue
        for song in sharing_songs:
            for track in sharing_tracks:
                if rule.agree(song, track):
                    found[song.id].add(track.path)
    return found


def _agree(song: ServerSong, track: Entry) -> bool:
    return song.duration_s is not None and abs(song.duration_s - track.duration_s) <= DURATION_S


def _no_contradiction(one: Set[Any], other: Set[Any]) -> bool:
    return not one or not other or bool(one & other)


def _names(title: str | None, album: str | None, artists: Iterable[str]) -> Iterator[Key]:
    return product(_spellings(title), _spellings(album) or {""}, {normalize_name(artist) for artist in artists} - {""})


def _spellings(text: str | None) -> set[str]:
    """Return a title, and its parts: a file may have several titles, which are joined by "; "."""
    return {normalize_name(part) for part in (text or "", *split_names(text))} - {""}


# === Songs in a table ===

TABLE_COLUMNS = ("id", "path", "title", "artist", "album", "size", "duration", "musicBrainzId", "isrc", "artistId")
"""Columns of a table of songs: the names of the protocol. Only ``id`` is needed; others are ignored."""


def read_table(file: AnyPath) -> list[ServerSong]:
    """Return the songs in a CSV table, for servers that do not speak Subsonic.

    Args:
        file: The table, in UTF-8, with a header: see `TABLE_COLUMNS`. Durations are in seconds.

    Raises:
        InputError: If the file cannot be read, has no column ``id``, or a row without one.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from musiczoo.server.sync import read_table
        >>> file = Path(tempfile.mkdtemp()) / "songs.csv"
        >>> _ = file.write_text("id,path,duration\\n7,/music/One.mp3,61.5\\n")
        >>> [(song.id, song.path, song.duration_s) for song in read_table(file)]
        [('7', '/music/One.mp3', 61.5)]
    """
    source = expanded(file)
    try:
        with source.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened)
            if "id" not in (rows.fieldnames or ()):
                raise InputError(f"{str(source)!r} has no column 'id'. Columns: {', '.join(TABLE_COLUMNS)}.")
            found = [_from_row(row, rows.line_num, source) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Cannot read the table {str(source)!r}: {error}.") from error
    return found


def _from_row(row: Mapping[str | None, Any], line: int, file: Path) -> ServerSong:
    child: dict[str, Any] = {name: text for name in TABLE_COLUMNS if (text := row.get(name))}
    if "id" not in child:
        raise InputError(f"{str(file)!r}, line {line}: there is no id. Write one, or remove the line.")
    if child.get("path", "").startswith("file:///"):
        child["path"] = unquote(child["path"].removeprefix("file://"))
    for name in ("size", "duration"):
        with suppress(ValueError):
            child[name] = float(child.get(name, ""))
    return ServerSong.from_child(child)


# === Paths ===


def parse_prefixes(texts: Iterable[str]) -> dict[str, str]:
    """Return the mapping in texts of the form SERVER=LOCAL.

    Raises:
        InputError: If a text has another form, or a folder is mapped twice.

    Example:
        >>> from musiczoo.server.sync import parse_prefixes
        >>> parse_prefixes(["/music=/home/anna/Music"])
        {'/music': '/home/anna/Music'}
    """
    found: dict[str, str] = {}
    for text in texts:
        server, equals, local = text.partition("=")
        if not (server and equals and local):
            raise InputError(f"Expected SERVER=LOCAL, such as /music=/home/anna/Music, got {text!r}.")
        if server in found:
            raise InputError(f"The folder {server!r} is mapped twice. Leave one out.")
        found[server] = os.path.abspath(os.path.expanduser(local))
    return found


def _mapped(path: str, prefixes: Mapping[str, str]) -> str:
    """Return a server's path with the longest prefix replaced that is one of its folders."""
    for server in sorted(prefixes, key=lambda prefix: -len(prefix)):
        folder = server.rstrip("/")
        if path.startswith(f"{folder}/"):
            return _nfc(f"{prefixes[server].rstrip('/')}/{path[len(folder) :].lstrip('/')}")
    return _nfc(path)


def _nfc(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _is_absolute(path: str) -> bool:
    return path.startswith(("/", "\\")) or path[1:3] in (":\\", ":/")


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.replace(os.sep, "/").split("/") if part)


# === The file of ids ===


@dataclass(frozen=True)
class ServerIds:
    """The ids that a server has for the tracks of a library.

    Attributes:
        url: Address of the server.
        user: User by whom they were read; None with an API key.
        synced_at: Time of the sync, in UTC, as ISO 8601.
        songs: Id -> path of the track.
        artists: Id -> name of the artist.
        rules: Id -> name of the rule that matched the song.
    """

    url: str
    user: str | None
    synced_at: str
    songs: Mapping[str, str]
    artists: Mapping[str, str]
    rules: Mapping[str, str]

    @classmethod
    def of(cls, report: SyncReport, url: str, user: str | None) -> "ServerIds":
        """Return the ids in a report, as of now."""
        artists = {number: name for found in report.matches for number, name in found.song.artists}
        return cls(
            url=url,
            user=user,
            synced_at=datetime.now(UTC).isoformat(timespec="seconds"),
            songs={found.song.id: found.path for found in report.matches},
            artists=dict(sorted(artists.items())),
            rules={found.song.id: found.rule for found in report.matches},
        )


def ids_file(library: str | os.PathLike[str]) -> Path:
    """Return the file with the ids of servers for a library.

    Example:
        >>> from musiczoo.server.sync import ids_file
        >>> ids_file("music.db").name
        'music.db.servers.json'
    """
    path = Path(library)
    return path.with_name(path.name + SUFFIX)


def read_ids(library: str | os.PathLike[str]) -> dict[str, ServerIds]:
    """Return address of each server -> its ids, the server synced last at the end; empty without a file.

    Raises:
        LibraryError: If the file is damaged, or has a newer format.
    """
    file = ids_file(library)
    if not file.exists():
        return {}
    try:
        content = read_json(file)
        if content["format"] > FORMAT:
            raise LibraryError(f"Cannot read {file}: its format is newer. Update musiczoo: pip install -U musiczoo")
        found = [_server(url, values) for url, values in content["servers"].items()]
    except LibraryError:
        raise
    except UNREADABLE as error:
        raise LibraryError(f"Cannot read {file}: {error!r}. Run musiczoo library sync again.") from error
    return {server.url: server for server in sorted(found, key=lambda server: server.synced_at)}


def write_ids(library: str | os.PathLike[str], ids: ServerIds) -> Path:
    """Write the ids of a server in place of its earlier ones, and keep those of other servers.

    Returns:
        The file.

    Raises:
        WriteError: If the file cannot be written. It is then unchanged.
        LibraryError: If it cannot be read.
    """
    file = ids_file(library)
    servers = read_ids(library) | {ids.url: ids}
    content = {
        "format": FORMAT,
        "servers": {
            url: {
                "user": server.user,
                "synced_at": server.synced_at,
                "songs": [
                    {"id": number, "path": path, "rule": server.rules.get(number, "")}
                    for number, path in server.songs.items()
                ],
                "artists": [{"id": number, "name": name} for number, name in server.artists.items()],
            }
            for url, server in sorted(servers.items())
        },
    }
    with atomic_file(file) as out:  # ASCII: a path may hold lone surrogates
        out.write((json.dumps(content, indent=0) + "\n").encode("ascii"))
    return file


def _server(url: str, values: Any) -> ServerIds:
    songs = [(_str(song["id"]), _str(song["path"]), _str(song["rule"])) for song in values["songs"]]
    user = values["user"]
    return ServerIds(
        url=url,
        user=None if user is None else _str(user),
        synced_at=_str(values["synced_at"]),
        songs={number: path for number, path, _ in songs},
        artists={_str(artist["id"]): _str(artist["name"]) for artist in values["artists"]},
        rules={number: rule for number, _, rule in songs},
    )


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


class IdsOnDisk:
    """The ids of one server, read again when the file has changed; safe to use from several threads."""

    def __init__(self, library: Path, url: str | None = None) -> None:
        """Keep the library's file, and the address of the server; None for the one synced last."""
        self._library, self._url = library, url
        self._state: tuple[int, int, int] | None = None
        self._ids: ServerIds | None = None
        self._turn = threading.Lock()

    def current(self) -> ServerIds | None:
        """Return the ids as they are now; None if the library was never synced with the server.

        Raises:
            LibraryError: If the file is damaged.
        """
        with self._turn:
            try:
                status = os.stat(ids_file(self._library))
                state = (status.st_mtime_ns, status.st_size, status.st_ino)
            except OSError:
                self._state, self._ids = None, None
                return None
            if state != self._state:
                servers: Sequence[ServerIds] = list(read_ids(self._library).values())
                named = [server for server in servers if self._url in (None, server.url)]
                self._ids, self._state = (named[-1] if named else None), state
            return self._ids
