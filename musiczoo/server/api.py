"""The native API, version 1: search, tracks, tags, audio, paths, statistics.

The routes are thin: they turn ids into tracks, call the library, and return its records as JSON.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.responses import FileResponse, Response

from .._paths import as_text
from ..errors import MusicZooError
from ..library import Filters
from ..library import Query as Asked
from ..library.history import History, Play
from ..library.map.content import WHOLE
from ..library.query import tag_names
from ..library.records import Entry, LibraryConfig
from . import media, playlists
from .errors import as_request_error
from .schemas import (
    LONGEST_TEXT,
    MOST_HITS,
    ErrorAnswer,
    FiltersRequest,
    HealthAnswer,
    HitsAnswer,
    LibraryAnswer,
    MapAnswer,
    PathAnswer,
    PathRequest,
    PlaylistAnswer,
    PlaylistRequest,
    PlaylistsAnswer,
    SavedPlaylistAnswer,
    SearchRequest,
    SimilarAlbumsAnswer,
    SimilarArtistsAnswer,
    TaggedTrackAnswer,
    TagsOverTimeAnswer,
    TrackId,
    TracksAnswer,
    Weights,
)
from .security import COOKIE, cookie_value
from .state import Shared, State

_DIGITS = 6
"""Digits after the point of numbers in JSON, as on the command line."""

_DAY_S = 86400

_CHECKED: TypeAdapter[dict[str, float]] = TypeAdapter(Weights)
_WEIGHT = r"[^=,]+=[0-9]+(\.[0-9]+)?"
_WEIGHTS = rf"^{_WEIGHT}(,{_WEIGHT})*$"


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route, for the OpenAPI document."""
    return {status: {"model": ErrorAnswer} for status in statuses}


router = APIRouter(
    prefix="/api/v1",
    responses=_errors(400, 401, 403, 422, 503),
    generate_unique_id_function=lambda route: route.name,
)

Number = Annotated[TrackId, Path(description="Id of a track.")]
Artist = Annotated[str | None, Query(max_length=LONGEST_TEXT, description="Name of an artist, in any case.")]
Album = Annotated[str | None, Query(max_length=LONGEST_TEXT, description="Title of an album, in any case.")]
Hits = Annotated[int, Query(ge=1, le=MOST_HITS, description="Number of results.")]
LeastTracks = Annotated[int, Query(ge=1, le=1 << 40, description="Least number of tracks of a result.")]
WeightsText = Annotated[
    str | None,
    Query(
        pattern=_WEIGHTS,
        max_length=LONGEST_TEXT,
        description="Weights of the dimensions.",
        examples=["genre=1,mood=2"],
    ),
]
PlaylistName = Annotated[str, Path(max_length=LONGEST_TEXT, description="Name of a playlist, without ending.")]


@router.get("/health", tags=["server"])
def health(state: Shared) -> HealthAnswer:
    """Tell that the server runs and can read its library. Needs no token."""
    state.library.database.revision()
    return HealthAnswer()


@router.get("/library", tags=["server"], response_model=LibraryAnswer)
def library(state: Shared) -> dict[str, Any]:
    """Return counts, the model, its tags and dimensions, and the search engine."""
    return state.library.stats() | {"tags": _tags(state.library.config)}


@router.get("/tracks", tags=["tracks"], response_model=TracksAnswer)
def tracks(
    state: Shared,
    q: Annotated[
        str | None, Query(max_length=LONGEST_TEXT, description="Words in title, artists, album or file name.")
    ] = None,
    artist: Artist = None,
    album: Album = None,
    tag: Annotated[list[str], Query(max_length=20, description="Predicted tags; may be repeated.")] = [],  # noqa: B006
    limit: Annotated[int, Query(ge=1, le=MOST_HITS, description="Most tracks of the page.")] = 50,
    offset: Annotated[int, Query(ge=0, le=1 << 40, description="Tracks before the page.")] = 0,
) -> dict[str, Any]:
    """List tracks, by id; all of them, or those that meet all conditions."""
    filters = Filters(artist=artist, album=album, having=dict.fromkeys(tag))
    if q is None or filters:
        with _errors_of():
            ids = state.library.database.select_ids(*filters.where(state.library.config))
    if q is not None:
        found = state.catalog.find(q)
        ids = found[np.isin(found, ids, assume_unique=True)] if filters else found
    page = state.library.entries(ids[offset : offset + limit].tolist())
    return {"total": len(ids), "tracks": [track_record(entry) for entry in page]}


@router.get("/tracks/{id}", tags=["tracks"], response_model=TaggedTrackAnswer, responses=_errors(404))
def track(state: Shared, id: Number) -> dict[str, Any]:
    """Return a track with its tags."""
    return tagged_record(state.track(id), state.library.config)


@router.get(
    "/tracks/{id}/tags-over-time", tags=["tracks"], response_model=TagsOverTimeAnswer, responses=_errors(404, 429)
)
def tags_over_time(state: Shared, id: Number) -> dict[str, Any]:
    """Return the tags of a track over time. Its file is analyzed, unless it was before: that takes seconds."""
    entry = state.track(id)
    key = "tags over time", entry.path, entry.size, entry.mtime_ns
    with _errors_of(entry):
        return state.computed.get(key, lambda: media.tags_over_time(state.library, entry))


@router.head("/tracks/{id}/audio", include_in_schema=False)
@router.get(
    "/tracks/{id}/audio",
    tags=["tracks"],
    response_class=FileResponse,
    responses=_errors(404) | {200: {"content": {"audio/*": {}}}, 206: {"content": {"audio/*": {}}}, 416: {}},
)
def audio(state: Shared, id: Number) -> FileResponse:
    """Return a track's file, or ranges of it (`Range`)."""
    return media.audio(state.track(id))


@router.get("/tracks/{id}/similar", tags=["search"], response_model=HitsAnswer, responses=_errors(404))
def similar(state: Shared, id: Number, k: Hits = 20, weights: WeightsText = None) -> dict[str, Any]:
    """Find the tracks most similar to a track: a shorthand of `POST /search`."""
    return search(state, SearchRequest(seeds=[id], k=k, weights=_weights(weights)))


@router.post("/search", tags=["search"], response_model=HitsAnswer, responses=_errors(404, 413))
def search(state: Shared, asked: SearchRequest) -> dict[str, Any]:
    """Find the tracks most similar to tracks or tags."""
    seeds, unlike, excluded = (state.tracks(ids) for ids in (asked.seeds, asked.unlike, asked.exclude))
    mix = dict(zip(asked.mix, state.tracks(asked.mix.values()), strict=True))
    with _errors_of(*seeds, *unlike, *mix.values()):
        hits = state.library.search(
            Asked(
                songs=_paths(seeds),
                tags=asked.tags,
                of={dimension: entry.path for dimension, entry in mix.items()},
                unlike=_paths(unlike),
                combine=asked.combine,
            ),
            asked.k,
            asked.weights,
            _filters(asked.filters),
            per_artist=asked.per_artist,
            per_album=asked.per_album,
            fold_duplicates=asked.fold_duplicates,
            exclude=_paths(excluded),
            variety=asked.variety,
            seed=asked.seed,
            history=_history(state, asked),
        )
    found = {entry.id: entry for entry in state.library.entries([hit.id for hit in hits])}
    records = [(hit.as_dict(rank), found.get(hit.id)) for rank, hit in enumerate(hits, 1)]
    return {"hits": [_with_track(record, entry) for record, entry in records if entry is not None]}


@router.post("/path", tags=["search"], response_model=PathAnswer, responses=_errors(404, 413))
def path(state: Shared, asked: PathRequest) -> dict[str, Any]:
    """Find tracks that lead from one track to another in small steps."""
    start, end, *through = state.tracks([asked.start, asked.end, *asked.through])
    excluded = state.tracks(asked.exclude)
    with _errors_of(start, end, *through):
        steps = state.library.path_between(
            start.path,
            end.path,
            asked.k,
            _paths(through),
            asked.weights,
            _filters(asked.filters),
            exclude=_paths(excluded),
        )
    records = [(step.as_dict(position), state.library.find(step.path)) for position, step in enumerate(steps, 1)]
    return {"tracks": [_with_track(record, entry) for record, entry in records if entry is not None]}


@router.get("/artists/similar", tags=["search"], response_model=SimilarArtistsAnswer)
def similar_artists(
    state: Shared,
    artist: Annotated[str, Query(max_length=LONGEST_TEXT, description="Name of an artist, in any case.")],
    k: Hits = 10,
    weights: WeightsText = None,
    min_tracks: LeastTracks = 1,
) -> dict[str, Any]:
    """Find the artists most similar to one, by the means of their tracks."""
    with _errors_of():
        found = state.library.similar_artists(artist, k, _weights(weights), min_tracks)
    return {"artists": [other.as_dict(rank) for rank, other in enumerate(found, 1)]}


@router.get("/albums/similar", tags=["search"], response_model=SimilarAlbumsAnswer)
def similar_albums(
    state: Shared,
    album: Annotated[str, Query(max_length=LONGEST_TEXT, description="Title of an album, in any case.")],
    artist: Annotated[
        str | None, Query(max_length=LONGEST_TEXT, description="An artist of the album, if several have that title.")
    ] = None,
    k: Hits = 10,
    weights: WeightsText = None,
    min_tracks: LeastTracks = 1,
) -> dict[str, Any]:
    """Find the albums most similar to one, by the means of their tracks."""
    with _errors_of():
        found = state.library.similar_albums(album, artist, k, _weights(weights), min_tracks)
    return {"albums": [other.as_dict(rank) for rank, other in enumerate(found, 1)]}


@router.get("/map", tags=["search"], response_model=MapAnswer, responses=_errors(429))
def points(
    state: Shared,
    space: Annotated[str, Query(max_length=LONGEST_TEXT, description="A dimension, or all.")] = WHOLE,
    method: Annotated[Literal["pca", "umap", "tsne"], Query(description="pca takes least time.")] = "pca",
) -> dict[str, Any]:
    """Return the tracks as points on a map: similar ones lie near each other."""
    snapshot = state.library.vectors.current()
    key = "map", space, method, snapshot.revision
    with _errors_of():
        return state.computed.get(key, lambda: media.points(state.library, space, method, snapshot))


# === Playlists ===


@router.get("/playlists", tags=["playlists"], response_model=PlaylistsAnswer)
def list_playlists(state: Shared) -> dict[str, Any]:
    """List the playlists of the server's folder."""
    return {"playlists": playlists.listed(state.settings.playlists)}


@router.get(
    "/playlists/{name}.m3u8",
    tags=["playlists"],
    response_class=Response,
    responses=_errors(404) | {200: {"content": {playlists.MEDIA_TYPE: {}}}},
)
def playlist_file(state: Shared, name: PlaylistName) -> Response:
    """Return a playlist as a file for players on this machine: M3U8 with absolute paths."""
    tracks, _ = playlists.read(state.settings.playlists, name, state.library)
    headers = {"content-disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}.m3u8"}
    return Response(playlists.text(tracks), headers=headers, media_type=playlists.MEDIA_TYPE)


@router.get("/playlists/{name}", tags=["playlists"], response_model=PlaylistAnswer, responses=_errors(404))
def playlist(state: Shared, name: PlaylistName) -> dict[str, Any]:
    """Return the tracks of a playlist."""
    tracks, missing = playlists.read(state.settings.playlists, name, state.library)
    return {"name": name, "tracks": [track_record(entry) for entry in tracks], "missing": missing}


@router.post(
    "/playlists",
    tags=["playlists"],
    status_code=201,
    response_model=SavedPlaylistAnswer,
    responses=_errors(404, 409, 413, 502),
)
def save_playlist(state: Shared, asked: PlaylistRequest) -> dict[str, Any]:
    """Save a playlist in the server's folder, as NAME.m3u8, and on the media server, if there is one."""
    tracks = state.tracks(asked.tracks)
    record: dict[str, Any] = {"name": asked.name, "tracks": len(tracks)}
    if state.settings.playlists is not None or state.settings.media_server is None:
        record["tracks"] = playlists.save(state.settings.playlists, asked.name, tracks, asked.replace)
    if state.settings.media_server is not None:
        _, record["on_media_server"] = state.synced.push(asked.name, asked.tracks, asked.replace)
    return record


@router.post("/session", tags=["server"], status_code=204, response_class=Response)
def start_session(state: Shared) -> Response:
    """Set a cookie that opens audio to a page's audio elements, which cannot send the token. Needs the token."""
    response = Response(status_code=204)
    if state.settings.token is not None:
        response.set_cookie(COOKIE, cookie_value(state.settings.token), path="/api/", httponly=True, samesite="strict")
    return response


# === Records ===


def track_record(entry: Entry) -> dict[str, Any]:
    """Return a track as JSON: `schemas.TrackAnswer`."""
    return {
        "id": entry.id,
        "path": as_text(entry.path),
        "title": entry.title,
        "artist": entry.artist,
        "album": entry.album,
        "genre": entry.genre,
        "year": entry.year,
        "duration_s": round(entry.duration_s, 3),
    }


def tagged_record(entry: Entry, config: LibraryConfig) -> dict[str, Any]:
    """Return a track with its tags as JSON: `schemas.TaggedTrackAnswer`."""
    p = {tag: round(value, _DIGITS) for tag, value in zip(config.tags, entry.tags.tolist(), strict=True)}
    return track_record(entry) | {
        "model": config.model,
        "tags": p,
        "above_threshold": tag_names(config, entry.tags),
        "dimensions": {name: {tag: p[tag] for tag in tags} for name, tags in config.dimensions.items()},
        "warnings": [as_text(line) for line in entry.warnings],
    }


def _with_track(record: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """Return a hit or step of the command line with all fields of its track."""
    others = {"duplicates": [as_text(other) for other in record.get("duplicates", ())]}
    return {"similarity_percentile": {}} | record | others | track_record(entry)


def _tags(config: LibraryConfig) -> list[dict[str, Any]]:
    return [
        {"name": tag, "dimension": dimension, "threshold": config.thresholds[tag]}
        for dimension, tags in config.dimensions.items()
        for tag in tags
    ]


# === Requests ===


@contextmanager
def _errors_of(*named: Entry) -> Iterator[None]:
    """Raise errors of the library as `RequestError`, whose messages name tracks by id."""
    try:
        yield
    except MusicZooError as error:
        raise as_request_error(error, named) from error


def _filters(asked: FiltersRequest) -> Filters:
    years, durations = (None if bounds is None else (bounds[0], bounds[1]) for bounds in (asked.years, asked.durations))
    return Filters(asked.path, asked.artist, asked.album, years, durations, asked.having)


def _weights(text: str | None) -> dict[str, float] | None:
    """Parse ``genre=1,mood=2``: dimension -> weight.

    Raises:
        RequestValidationError: If a weight is too large, or there are too many.
    """
    if text is None:
        return None
    pairs = (part.partition("=") for part in text.split(","))
    try:
        return _CHECKED.validate_python({name.strip(): float(number) for name, _, number in pairs})
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("query", "weights")} for one in error.errors()]) from error


def _history(state: State, asked: SearchRequest) -> History | None:
    if not asked.plays:
        return None
    now, tracks = time.time(), state.tracks(play.id for play in asked.plays)
    plays = [
        Play(now - _DAY_S * play.days_ago, entry.path, count=play.count)
        for play, entry in zip(asked.plays, tracks, strict=True)
    ]
    return History(plays, asked.half_life_days, now)


def _paths(entries: Iterable[Entry]) -> list[str]:
    return [entry.path for entry in entries]
