"""The songs that a library and a media server both have, and playlists of them."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._paths import AnyPath, as_text
from ..library import Filters, Library
from ..library.engines import Rows
from ..library.metadata import normalize_name, split_names
from ..library.records import Entry, LibraryConfig, decode_path
from ..library.vectors import Doubles, Snapshot
from ..model import Model
from .errors import RequestError
from .subsonic import MediaServerError, Subsonic
from .sync import IdsOnDisk, ServerIds

_BLOCK = 8192
"""Rows compared at a time."""

_COLUMNS = "id, path, title, artist, album, album_artist, artists"


@dataclass(frozen=True, slots=True)
class Song:
    """A song that library and media server both have.

    Attributes:
        id: Its id on the server.
        track: Its id in the library.
        path: Path of its file.
        title: Title; without one, the name of its file.
        artist: Artists, as the file names them.
        album: Title of the album.
        album_artist: Artist of the album.
        artists: Normalized name -> name of each artist, as `musiczoo.library.artists` has them.
    """

    id: str
    track: int
    path: str
    title: str
    artist: str | None
    album: str | None
    album_artist: str | None
    artists: Mapping[str, str]

    def item(self) -> dict[str, Any]:
        """Return the song as the plugins read it."""
        names = {"title": self.title, "author": self.artist or "", "album": self.album or "unknown"}
        return {"item_id": self.id, **names, "album_artist": self.album_artist or ""}


@dataclass(frozen=True, eq=False)
class Songs:
    """The songs that library and media server both have, in one state of both.

    Attributes:
        by_id: Id on the server, as it is and without dashes -> song.
        by_track: Id in the library -> song.
        by_artist: Normalized name -> songs.
        artist_ids: Normalized name -> id on the server.
        artists_by_id: Id on the server -> normalized name.
        artist_names: Normalized name -> the name itself.
        tracks: Ids in the library, ascending.
    """

    by_id: Mapping[str, Song]
    by_track: Mapping[int, Song]
    by_artist: Mapping[str, Sequence[Song]]
    artist_ids: Mapping[str, str]
    artists_by_id: Mapping[str, str]
    artist_names: Mapping[str, str]
    tracks: Rows

    def find(self, number: str) -> Song | None:
        """Return the song of an id on the server."""
        return self.by_id.get(number) or self.by_id.get(_compact(number))

    @classmethod
    def of(cls, library: Library, ids: ServerIds, known: Mapping[int, Song] | None = None, since: int = -1) -> "Songs":
        """Read the songs.

        Args:
            library: The library.
            ids: The ids of the server.
            known: Songs that were read before with the same ids, by their ids in the library.
            since: Revision of the library when they were read: only what has changed since is read again.
        """
        numbers = {path: number for number, path in ids.songs.items()}
        rows = library.database.rows(f"SELECT {_COLUMNS} FROM tracks WHERE revision > ?", (since,))
        changed = {row[0]: _song(row, numbers) for row in rows}
        merged = {**(known or {}), **changed}
        present = library.database.ids().tolist()
        by_track = {number: song for number in present if (song := merged.get(number)) is not None}
        by_artist: dict[str, list[Song]] = {}
        artist_names: dict[str, str] = {}
        for song in by_track.values():
            for key, name in song.artists.items():
                artist_names.setdefault(key, name)
                by_artist.setdefault(key, []).append(song)
        by_number = {number: normalize_name(name) for number, name in ids.artists.items()}
        return cls(
            by_id={_compact(song.id): song for song in by_track.values()} | {s.id: s for s in by_track.values()},
            by_track=by_track,
            by_artist=by_artist,
            artist_ids={key: number for number, key in reversed(by_number.items())},
            artists_by_id=by_number,
            artist_names=artist_names | {normalize_name(name): name for name in ids.artists.values()},
            tracks=np.array(list(by_track), np.int64),
        )


class Synced:
    """The songs that library and media server both have, as they are now; safe to use from several threads."""

    def __init__(self, library: Library, server: Subsonic | None = None) -> None:
        """Keep the library, and the server that gets playlists.

        Without a server, there are no playlists, and the ids are those of the server that was synced last.
        """
        self._library, self._server = library, server
        self._ids = IdsOnDisk(library.path, server.url if server else None)
        self._known: tuple[int, ServerIds, Songs] | None = None
        self._turn = threading.Lock()

    def songs(self) -> Songs:
        """Return the songs.

        Raises:
            RequestError: If the library was never synced (503).
        """
        ids = self._ids.current()
        if ids is None:
            message = "The library has no ids of a media server yet. Run musiczoo library sync."
            raise RequestError(503, "NotSynced", message)
        with self._turn:
            revision = self._library.database.revision()
            if self._known is None or self._known[1] is not ids:
                self._known = revision, ids, Songs.of(self._library, ids)
            elif self._known[0] != revision:
                before = self._known
                self._known = revision, ids, Songs.of(self._library, ids, before[2].by_track, before[0])
            return self._known[2]

    def push(self, name: str, tracks: Iterable[int], replace: bool = False) -> tuple[str, int]:
        """Create a playlist on the media server, without the tracks that it does not have.

        Args:
            name: Its name.
            tracks: Ids of tracks in the library, in order.
            replace: Replace the songs of a playlist of that name, if there is one.

        Returns:
            The id of the playlist on the server, and the number of its songs.

        Raises:
            RequestError: If there is no server, or it refuses (502); if it has none of the tracks (422); or if the
                library was never synced (503).
        """
        if self._server is None:
            message = "This server writes no playlists to a media server. Start it with musiczoo serve --sync."
            raise RequestError(502, "NoMediaServer", message)
        songs = self.songs()
        ids = [songs.by_track[number].id for number in tracks if number in songs.by_track]
        if not ids:
            raise RequestError(422, "UnknownSong", "The media server has none of these tracks.")
        try:
            return self._server.create_playlist(name, ids, replace), len(ids)
        except MediaServerError as error:
            raise RequestError(502, "MediaServerError", str(error)) from error


@dataclass(frozen=True, eq=False)
class SyncedTracks:
    """The tracks of a library that a media server has: what `search` and `path_between` search."""

    library: Library
    songs: Songs

    @property
    def config(self) -> LibraryConfig:
        """The configuration of the library."""
        return self.library.config

    def model(self) -> Model:
        """Return the model of the library."""
        return self.library.model()

    def find(self, path: AnyPath) -> Entry | None:
        """Return the track of a file, or None."""
        return self.library.find(path)

    def entries(self, ids: Sequence[int]) -> Iterator[Entry]:
        """Yield tracks by id."""
        return self.library.entries(ids)

    def candidates(self, filters: Filters | None = None) -> tuple[Snapshot, Rows | None]:
        """Return the embeddings, and the rows of the synced tracks that pass filters (None for all)."""
        snapshot, rows = self.library.candidates(filters)
        synced = snapshot.rows(self.songs.tracks)
        if rows is not None:
            return snapshot, np.intersect1d(rows, synced)
        return snapshot, None if len(synced) == len(snapshot.ids) else synced

    def lowest(self, vector: Doubles, most: int | None = None) -> tuple[int, float]:
        """Return the id and the score of the synced track with the lowest inner product with a vector.

        Args:
            vector: ``[E]``, see `musiczoo.library.query.QueryVector.vector`.
            most: Compare this many tracks, evenly spaced; None for all.
        """
        snapshot, rows = self.candidates()
        rows = np.arange(len(snapshot.ids)) if rows is None else rows
        if most is not None:
            rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int))]
        found = 0, np.inf
        for i in range(0, len(rows), _BLOCK):
            part = rows[i : i + _BLOCK]
            matrix = snapshot.matrix[part].astype(np.float64)
            scores = np.where(matrix.any(axis=1), matrix @ vector, np.inf)  # silent tracks are similar to nothing
            lowest = int(scores.argmin())
            if scores[lowest] < found[1]:
                found = int(snapshot.ids[part[lowest]]), float(scores[lowest])
        return found


def _song(row: Sequence[Any], ids: Mapping[str, str]) -> Song | None:
    """Return the song of a row with the columns `_COLUMNS`; None if the server does not have it."""
    number, stored, *texts = row
    path = decode_path(stored)
    if path not in ids:
        return None
    title, artist, album, album_artist, artists = (text if isinstance(text, str) else None for text in texts)
    several = (artists or "").splitlines()
    names = split_names(None if several else artist, several)
    return Song(
        id=ids[path],
        track=number,
        path=path,
        title=title or as_text(Path(path).stem),
        artist=artist,
        album=album,
        album_artist=album_artist,
        artists={normalize_name(name): name for name in names},
    )


def _compact(number: str) -> str:
    return number.replace("-", "").lower()
