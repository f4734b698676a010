"""The routes that plugins of players call: those of AudioMuse-AI's server, with the ids of the media server.

Conventions
-----------
- The plugins of Navidrome, Jellyfin and Lyrion work with them unchanged: set musiczoo's address in place of
  AudioMuse-AI's. Only songs that `musiczoo library sync` has matched are found or returned.
- An id of a song may be written with or without dashes, as Jellyfin's plugin sends it. ``artist`` may be the id of an
  artist (Navidrome's plugin sends that) or a name.
- *Distance*: with s the score of a hit (see `musiczoo.library.search`) and l the lowest score of the synced songs for
  the same query (of a sample of `SAMPLE` of them, evenly spaced), it is (1 - s) / (1 - l), at most 1. So 0 is the same
  embedding and 1 the least similar song. Cosines themselves would not do: those of all music are high, so that
  1 - distance, which the plugins compute, would hardly differ from song to song.
- The weights of the dimensions are a setting of the server, and hold for songs, paths and artists.
- ``eliminate_duplicates=true`` returns each recording once and `PER_ARTIST` songs of an artist at most.
  ``radius_similarity``, ``mood_similarity``, ``mood_pct``, ``path_fix_size``, ``count`` and ``server`` are ignored.
- ``/api/clap/search`` takes the model's tags that a text names, and no other text; the weights do not hold for them.
  ``temperature`` of ``/api/alchemy`` is ignored.
- A path has ``max_steps`` songs, ends included; fewer if fewer lie between the ends.
- Status 200 (201 for a new playlist) or an error with ``{"error": message}``: 400 for what is missing or malformed, 404
  for what is unknown, 502 if the media server refuses, 503 before the first sync. No number is NaN.
- Source: docs/guides/players.md lists the requests of each plugin.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from ..errors import AudioNotFoundError, InputError, UnknownNameError
from ..library.engines import Floats
from ..library.metadata import normalize_name
from ..library.path import Step, path_between
from ..library.query import Query, QueryVector, check_dimensions, compile_query, tag_names, weight_shares
from ..library.records import Entry
from ..library.search import search
from ..library.vectors import Doubles, units
from .errors import RequestError
from .state import State
from .synced import Song, Songs, SyncedTracks

SAMPLE = 1000
"""Songs of which the least similar one has the distance 1."""

PER_ARTIST = 3
"""Most songs of an artist with ``eliminate_duplicates``."""

MOST = 500
"""Most songs or artists of an answer; a larger number counts as this one."""

MOST_STEPS = 100
"""Most songs of a path."""

REPRESENTATIVES = 5
"""Songs that stand for an artist who is similar to another."""

Steps = list[Step]

_DIGITS = 6


class Players:
    """The answers to the plugins' requests.

    Attributes:
        state: What the routes of the server share.
    """

    def __init__(self, state: State) -> None:
        """Keep the state; nothing is read yet."""
        self.state = state

    @property
    def _weights(self) -> Mapping[str, float] | None:
        return self.state.settings.weights

    # === Songs ===

    def similar_tracks(self, request: Request) -> list[dict[str, Any]]:
        """Return the songs most similar to one."""
        songs = self.state.synced.songs()
        seed = self._seed(songs, request)
        count = _count(request, "n", 10, 1, MOST)
        once = _flag(request, "eliminate_duplicates")
        with _unsearchable():
            return self._similar(songs, Query(songs=(seed.path,)), count, once, self._weights)

    def alchemy(self, asked: Any) -> dict[str, Any]:
        """Return the songs most similar to some and unlike others.

        Args:
            asked: The JSON of the request.
        """
        items = asked.get("items") if isinstance(asked, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise RequestError(400, "InvalidRequest", "Expected items, a list of objects with id and op.")
        songs = self.state.synced.songs()
        paths: dict[str, list[str]] = {"ADD": [], "SUBTRACT": []}
        for item in items:
            if item.get("type", "song") != "song" or item.get("op", "ADD") not in list(paths):
                raise RequestError(400, "InvalidRequest", "An item is a song with the op ADD or SUBTRACT.")
            paths[item.get("op", "ADD")].append(_known(songs, str(item.get("id"))).path)
        if not paths["ADD"]:
            raise RequestError(400, "NoSong", "Add one song or more.")
        query = Query(songs=paths["ADD"], unlike=paths["SUBTRACT"])
        with _unsearchable():
            found = self._similar(songs, query, _limit(asked, "n", 100), True, self._weights)
        return {"results": found, "filtered_out": []}

    def search_by_text(self, asked: Any) -> dict[str, Any]:
        """Return the songs most similar to the tags that a text names; none if it names none.

        Args:
            asked: The JSON of the request.
        """
        text = asked.get("query") if isinstance(asked, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise RequestError(400, "InvalidRequest", "Expected a query, a text with names of tags.")
        songs = self.state.synced.songs()
        words = " ".join(["", *re.split(r"[\s,.;:!?]+", normalize_name(text)), ""])
        tags = [tag for tag in self.state.library.config.tags if f" {normalize_name(tag)} " in words]
        found: list[dict[str, Any]] = []
        if tags:
            try:
                found = self._similar(songs, Query(tags=tags), _limit(asked, "limit", 100), True, None)
            except InputError as error:
                raise RequestError(503, "NoTags", "The library's model cannot search by tags.") from error
        names = ("item_id", "title", "author")
        results = [{name: song[name] for name in names} | {"similarity": 1 - song["distance"]} for song in found]
        return {"query": text, "count": len(results), "results": results}

    def find_path(self, request: Request) -> dict[str, Any]:
        """Return a path from one song to another."""
        songs = self.state.synced.songs()
        start, end = (_known(songs, _needed(request, name)) for name in ("start_song_id", "end_song_id"))
        if start.path == end.path:
            raise RequestError(400, "SameSong", "A path needs two songs, got the same one twice.")
        most = _count(request, "max_steps", 25, 2, MOST_STEPS)
        source = SyncedTracks(self.state.library, songs)
        with _unsearchable():
            distance = self._distances(source, Query(songs=(start.path,)), self._weights)
            steps = _longest(lambda k: path_between(source, start.path, end.path, k, weights=self._weights), most)
        entries = [self.state.library.find(step.path) for step in steps]
        if any(entry is None for entry in entries):
            raise RequestError(404, "UnknownSong", "A song of the path was removed meanwhile. Try again.")
        path = [
            songs.by_track[entry.id].item() | {"embedding_vector": _rounded(entry.embedding)} | self._tags(entry)
            for entry in entries
            if entry is not None
        ]
        steps_between = [distance(step.score) for step in steps if step.score is not None]
        return {"path": path, "total_distance": round(sum(steps_between), _DIGITS)}

    def max_distance(self, request: Request) -> dict[str, Any]:
        """Return the song least similar to one."""
        songs = self.state.synced.songs()
        seed = _known(songs, _needed(request, "item_id"))
        source = SyncedTracks(self.state.library, songs)
        with _unsearchable():
            query = Query(songs=(seed.path,))
            number, score = source.lowest(self._vector(source, query, self._weights))
            distance = self._distances(source, query, self._weights)
        return {"max_distance": distance(score), "farthest_item_id": songs.by_track[number].id}

    def track(self, request: Request) -> dict[str, Any]:
        """Return a song."""
        return _known(self.state.synced.songs(), _needed(request, "item_id")).item()

    def search_tracks(self, request: Request) -> list[dict[str, Any]]:
        """Return the songs with all words of a query in title, artists, album or file name."""
        songs = self.state.synced.songs()
        asked = {name: request.query_params.get(name, "").strip() for name in ("search_query", "title", "artist")}
        if not any(asked.values()):
            return []
        start = _count(request, "start", 0, 0, 1 << 31)
        end = _count(request, "end", start + 20, 0, 1 << 31)
        found = [
            song
            for number in self.state.catalog.find(" ".join(asked.values())).tolist()
            if (song := songs.by_track.get(number)) is not None
            and normalize_name(asked["title"]) in normalize_name(song.title)
            and normalize_name(asked["artist"]) in normalize_name(song.artist or "")
        ]
        return [song.item() for song in found[start : min(end, start + MOST)]]

    # === Artists ===

    def similar_artists(self, request: Request) -> list[dict[str, Any]]:
        """Return the artists most similar to one, and songs that stand for both."""
        songs = self.state.synced.songs()
        key = self._artist(songs, request)
        count = _count(request, "n", 10, 1, MOST)
        with_songs = _flag(request, "include_component_matches")
        library, weights, asked = self.state.library, self._weights, count
        with _unsearchable():
            while True:
                found = library.similar_artists(songs.artist_names[key], asked, weights)
                named = [(artist, normalize_name(artist.artist)) for artist in found]
                known = [(artist, other) for artist, other in named if other in songs.by_artist]
                if len(known) >= count or len(found) < asked:
                    break
                asked *= 4
        answer = []
        for artist, other in known[:count]:
            record: dict[str, Any] = {
                "artist": songs.artist_names[other],
                "artist_id": songs.artist_ids.get(other, ""),
                "divergence": round(1 - artist.score, _DIGITS),
                "track_count": len(songs.by_artist[other]),
            }
            if with_songs:
                record["component_matches"] = [self._component(songs, key, other)]
            answer.append(record)
        return answer

    def artist_tracks(self, request: Request) -> list[dict[str, Any]]:
        """Return the songs of an artist."""
        songs = self.state.synced.songs()
        return [_short(song) for song in songs.by_artist[self._artist(songs, request)]]

    def search_artists(self, request: Request) -> list[dict[str, Any]]:
        """Return the artists with a text in their names."""
        songs = self.state.synced.songs()
        wanted = normalize_name(request.query_params.get("query", ""))
        if not wanted:
            return []
        found = [key for key in songs.by_artist if wanted in key]
        return [
            {
                "artist": songs.artist_names[key],
                "artist_id": songs.artist_ids.get(key, ""),
                "track_count": len(songs.by_artist[key]),
            }
            for key in sorted(found)[:MOST]
        ]

    # === Playlists ===

    def create_playlist(self, asked: Any) -> dict[str, Any]:
        """Create a playlist on the media server.

        Args:
            asked: The JSON of the request.
        """
        name, listed = (asked.get("playlist_name"), asked.get("track_ids")) if isinstance(asked, dict) else (None, None)
        if not isinstance(name, str) or not name.strip() or not isinstance(listed, list) or not listed:
            raise RequestError(400, "InvalidRequest", "Expected a playlist_name and track_ids, a list of ids.")
        ids = [item.get("item_id") if isinstance(item, dict) else item for item in listed]
        songs = self.state.synced.songs()
        # Lyrion's ids are numbers.
        known = [song for number in ids if isinstance(number, str | int) and (song := songs.find(str(number)))]
        if not known:
            raise RequestError(400, "UnknownSong", "None of the track_ids is known. Run musiczoo library sync.")
        number, _ = self.state.synced.push(name.strip(), [song.track for song in known])
        created = f"Created the playlist {name.strip()!r} with {len(known):,} songs."
        return {"message": created, "playlist_id": number, "mapped": len(known), "skipped": len(ids) - len(known)}

    # === Parts ===

    def _seed(self, songs: Songs, request: Request) -> Song:
        """Return the song that a request names by id, or by title and artist."""
        if number := request.query_params.get("item_id"):
            return _known(songs, number)
        title, artist = (normalize_name(request.query_params.get(name, "")) for name in ("title", "artist"))
        if not title or not artist:
            raise RequestError(400, "NoSong", "Which song? Pass item_id, or title and artist.")
        for song in songs.by_artist.get(artist, ()):
            if normalize_name(song.title) == title:
                return song
        raise RequestError(404, "UnknownSong", "There is no song of that title and artist.")

    def _artist(self, songs: Songs, request: Request) -> str:
        """Return the normalized name of the artist that a request names by id or name."""
        asked = [request.query_params.get(name) for name in ("artist_id", "artist")]
        if not any(asked):
            raise RequestError(400, "NoArtist", "Which artist? Pass artist, an id or a name, or artist_id.")
        for text in filter(None, asked):
            for key in (songs.artists_by_id.get(text), normalize_name(text)):
                if key is not None and key in songs.by_artist:
                    return key
        raise RequestError(404, "UnknownArtist", "There is no such artist among the synced songs.")

    def _similar(
        self, songs: Songs, query: Query, count: int, once: bool, weights: Mapping[str, float] | None
    ) -> list[dict[str, Any]]:
        """Return the songs most similar to a query, with distance and tags."""
        source = SyncedTracks(self.state.library, songs)
        per_artist = PER_ARTIST if once else None
        distance = self._distances(source, query, weights)
        hits = search(source, query, count, weights, per_artist=per_artist, fold_duplicates=once)
        entries = {entry.id: entry for entry in self.state.library.entries([hit.id for hit in hits])}
        return [
            songs.by_track[hit.id].item() | {"distance": distance(hit.score)} | self._tags(entries[hit.id])
            for hit in hits
            if hit.id in entries  # not removed meanwhile
        ]

    def _vector(self, source: SyncedTracks, query: Query, weights: Mapping[str, float] | None) -> Doubles:
        return compile_query(query, source, weights).vectors[0].vector(source.config.spaces)

    def _distances(
        self, source: SyncedTracks, query: Query, weights: Mapping[str, float] | None
    ) -> Callable[[float], float]:
        """Return the function from the score of a hit to its distance: see the conventions."""
        vector = self._vector(source, query, weights)
        _, lowest = source.lowest(vector, SAMPLE)
        span = 1 - lowest
        return lambda score: round(min(max((1 - score) / span, 0.0), 1.0), _DIGITS) if span > 1e-6 else 0.0

    def _tags(self, entry: Entry) -> dict[str, Any]:
        """Return the predicted tags of a track, as AudioMuse-AI writes them."""
        config = self.state.library.config
        probability = dict(zip(config.tags, entry.tags.tolist(), strict=True))
        predicted = tag_names(config, entry.tags)
        tops = {
            f"top_{name}": max(tags, key=lambda tag: probability[tag]) if tags else ""
            for name, tags in ((name, config.dimensions.get(name, ())) for name in ("genre", "mood"))
        }
        vector = ",".join(f"{tag}:{probability[tag]:.3f}" for tag in predicted)
        return {"mood_vector": vector, "other_features": "", **tops}

    def _component(self, songs: Songs, one: str, other: str) -> dict[str, Any]:
        """Return songs of two artists: of each, those nearest to the mean of the other."""
        config, weights = self.state.library.config, self._weights
        snapshot = self.state.library.vectors.current()
        rows = [snapshot.rows(np.array([song.track for song in songs.by_artist[key]])) for key in (one, other)]
        nearest = []
        for own, others in (rows, reversed(rows)):
            mean = snapshot.matrix[others].mean(axis=0, dtype=np.float64)
            directions = {name: units(mean[slice(*columns)]) for name, columns in config.spaces.items()}
            shares = weight_shares(dict.fromkeys(config.spaces, 1.0) if weights is None else weights, directions)
            vector = QueryVector(directions, shares, frozenset()).vector(config.spaces)
            order = np.argsort(-(snapshot.matrix[own] @ vector), kind="stable")[:REPRESENTATIVES]
            nearest.append([_short(songs.by_track[int(number)]) for number in snapshot.ids[own[order]]])
        return {"artist1_representative_songs": nearest[0], "artist2_representative_songs": nearest[1]}


# === Routes ===


def routes(state: State) -> list[BaseRoute]:
    """Return the routes for players' plugins.

    Args:
        state: What the routes of the server share.

    Raises:
        UnknownNameError: If a weight of the settings is of a dimension that the model does not have.
        InputError: If a weight is malformed.
    """
    config, weights = state.library.config, state.settings.weights
    if weights is not None:
        check_dimensions(weights, config.spaces)
        weight_shares(weights, dict.fromkeys(config.spaces, np.ones(1)))
    players = Players(state)

    answers: dict[str, Callable[[Request], Any]] = {
        "health": lambda request: {"status": "ok"},
        "active_tasks": lambda request: {},
        "search_tracks": players.search_tracks,
        "similar_tracks": players.similar_tracks,
        "find_path": players.find_path,
        "track": players.track,
        "max_distance": players.max_distance,
        "similar_artists": players.similar_artists,
        "artist_tracks": players.artist_tracks,
        "search_artists": players.search_artists,
    }
    return [
        *(Route(f"/api/{name}", _endpoint(answer)) for name, answer in answers.items()),
        Route("/api/alchemy", _posted(players.alchemy), methods=["POST"]),
        Route("/api/clap/search", _posted(players.search_by_text), methods=["POST"]),
        Route("/api/create_playlist", _posted(players.create_playlist, 201), methods=["POST"]),
    ]


def _posted(answer: Callable[[Any], Any], status: int = 200) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Return an endpoint for JSON that is sent."""

    async def endpoint(request: Request) -> JSONResponse:
        try:
            asked = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise RequestError(400, "InvalidRequest", "The request is not JSON.") from error
        return JSONResponse(await run_in_threadpool(answer, asked), status)

    return endpoint


def _endpoint(answer: Callable[[Request], Any]) -> Callable[[Request], JSONResponse]:
    """Return an endpoint, which Starlette runs in a thread."""

    def endpoint(request: Request) -> JSONResponse:
        return JSONResponse(answer(request))

    return endpoint


# === Requests ===


def _needed(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise RequestError(400, "MissingParameter", f"The parameter {name} is missing.")
    return value


def _count(request: Request, name: str, default: int, least: int, most: int) -> int:
    """Return a whole number; one that is too small or too large counts as the nearest."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
        raise RequestError(400, "InvalidParameter", f"{name} must be a whole number, got {text[:40]!r}.")
    return min(max(int(text), least), most)


def _limit(asked: Mapping[str, Any], name: str, default: int) -> int:
    """Return a whole number of a request's JSON, as `_count` does."""
    number = asked.get(name, default)
    if isinstance(number, bool) or not isinstance(number, int):
        raise RequestError(400, "InvalidRequest", f"{name} must be a whole number.")
    return min(max(number, 1), MOST)


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("true", "1", "yes", "on")


@contextmanager
def _unsearchable() -> Iterator[None]:
    """Turn errors about a song that cannot be searched by into status 404; their messages name files."""
    try:
        yield
    except (InputError, UnknownNameError, AudioNotFoundError) as error:
        raise RequestError(404, "NothingFound", "Nothing is similar to it: is it silent, or alone?") from error


def _longest(path_of: Callable[[int], Steps], most: int) -> Steps:
    """Return a path with as many songs as there are, up to a number.

    Raises:
        InputError: If there is no path at all.
    """
    try:
        return path_of(most)
    except InputError:
        found = path_of(2)
    enough = 2
    while most - enough > 1:
        middle = (enough + most) // 2
        try:
            found, enough = path_of(middle), middle
        except InputError:
            most = middle
    return found


def _known(songs: Songs, number: str) -> Song:
    """Return the song of an id.

    Raises:
        RequestError: If there is none (404).
    """
    song = songs.find(number)
    if song is None:
        message = "No synced song has this id. Run musiczoo index, then musiczoo library sync."
        raise RequestError(404, "UnknownSong", message)
    return song


def _short(song: Song) -> dict[str, str]:
    return {"item_id": song.id, "title": song.title, "author": song.artist or ""}


def _rounded(vector: Floats) -> list[float]:
    return [round(value, _DIGITS) for value in vector.tolist()]
