"""The requests and answers of the native API: they validate the requests, and the OpenAPI document is made of them.

Conventions
-----------
- The names and units of fields are those of the command line's ``--json``: see docs/reference/json.md.
- A track is named by its ``id``, the number of its row in the library. Paths are in answers only, as text: a byte that
  is not UTF-8 becomes a replacement character.
- Requests with unknown fields, or values of other types, are refused.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_HITS = 500
"""Most hits, tracks of a page or tracks of a path."""

MOST_SEEDS = 100
MOST_EXCLUDED = 1000
MOST_IN_PLAYLIST = 10_000
LONGEST_TEXT = 1000
"""Characters of a text in a request."""

TrackId = Annotated[int, Field(ge=1, le=(1 << 63) - 1, description="Id of a track.", examples=[1])]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Count = Annotated[int, Field(ge=1, le=MOST_HITS)]
Limit = Annotated[int, Field(ge=1, le=MOST_HITS)]
Seed = Annotated[int, Field(ge=0, le=(1 << 63) - 1)]
Weight = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Weights = Annotated[dict[str, Weight], Field(max_length=64, description="Dimension -> weight, 0 or more.")]
Number = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
Bounds = Annotated[
    list[Number | None], Field(min_length=2, max_length=2, description="First and last, inclusive; null is no bound.")
]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class FiltersRequest(_Request):
    """Conditions on tracks; by default none. See `musiczoo.library.Filters`."""

    path: Text | None = Field(default=None, description="Glob that the path matches, such as `Jazz/*.flac`.")
    artist: Text | None = None
    album: Text | None = None
    years: Bounds | None = None
    durations: Bounds | None = Field(default=None, description="Shortest and longest duration, in seconds.")
    having: dict[str, Probability | None] = Field(
        default_factory=dict, max_length=64, description="Tag -> its least probability; null for its own threshold."
    )


class PlayRequest(_Request):
    """A track that was played: it ranks lower, see `musiczoo.library.history`."""

    id: TrackId
    days_ago: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0
    count: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 1


class SearchRequest(_Request):
    """A query: tracks, tags, a mixture of tracks, or tracks to avoid; at least one of them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"seeds": [1], "weights": {"genre": 1, "mood": 2}, "k": 10}]}
    )

    seeds: list[TrackId] = Field(default_factory=list, max_length=MOST_SEEDS, description="Tracks to be similar to.")
    tags: list[Name] = Field(default_factory=list, max_length=MOST_SEEDS, description="Tags to be similar to.")
    mix: dict[str, TrackId] = Field(
        default_factory=dict, max_length=64, description="Dimension -> the track to be similar to in that dimension."
    )
    unlike: list[TrackId] = Field(default_factory=list, max_length=MOST_SEEDS, description="Tracks to avoid.")
    combine: Literal["mean", "each"] = Field(
        default="mean", description="Similar to what the seeds have in common, or to any one of them."
    )
    weights: Weights | None = Field(default=None, description="Dimension -> weight; those left out have weight 0.")
    k: Count = Field(default=20, description="Number of hits.")
    filters: FiltersRequest = Field(default_factory=FiltersRequest)
    per_artist: Limit | None = Field(default=None, description="Most hits of one artist.")
    per_album: Limit | None = Field(default=None, description="Most hits of one album.")
    fold_duplicates: bool = Field(default=True, description="Whether to return each recording once.")
    exclude: list[TrackId] = Field(
        default_factory=list, max_length=MOST_EXCLUDED, description="Tracks that are not hits."
    )
    variety: Probability = Field(default=0, description="How much the hits differ from seed to seed; 0: the nearest.")
    seed: Seed | None = Field(default=None, description="Seed of the draw; null for another draw each time.")
    plays: list[PlayRequest] = Field(
        default_factory=list, max_length=MOST_EXCLUDED, description="What was played lately, to rank lower."
    )
    half_life_days: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = Field(
        default=7, description="Age at which a play counts half."
    )


class PathRequest(_Request):
    """A path from one track to another in small steps."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"start": 1, "end": 2, "k": 10}]})

    start: TrackId
    end: TrackId
    through: list[TrackId] = Field(default_factory=list, max_length=MOST_SEEDS, description="Waypoints, in order.")
    k: Annotated[int, Field(ge=2, le=MOST_HITS)] = Field(default=10, description="Number of tracks, with these.")
    weights: Weights | None = None
    filters: FiltersRequest = Field(default_factory=FiltersRequest, description="Conditions on the other tracks.")
    exclude: list[TrackId] = Field(default_factory=list, max_length=MOST_EXCLUDED)


class PlaylistRequest(_Request):
    """A playlist to save."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Evening", "tracks": [1, 2]}]})

    name: Annotated[str, Field(min_length=1, max_length=100)] = Field(description="Name of the file, without ending.")
    tracks: list[TrackId] = Field(min_length=1, max_length=MOST_IN_PLAYLIST)
    replace: bool = Field(default=False, description="Whether to replace a playlist of the same name.")


# === Answers ===


class TrackAnswer(BaseModel):
    """A track and its file's metadata."""

    id: TrackId
    path: str
    title: str | None
    artist: str | None
    album: str | None
    genre: str | None = Field(description="Genre in the file's metadata, not predicted.")
    year: int | None
    duration_s: float


class TracksAnswer(BaseModel):
    """A page of tracks."""

    total: int = Field(description="Number of tracks on all pages.")
    tracks: list[TrackAnswer]


class TaggedTrackAnswer(TrackAnswer):
    """A track with its tags."""

    model: str
    tags: dict[str, float] = Field(description="Tag -> probability, in the order of the model.")
    above_threshold: list[str] = Field(description="Predicted tags, most probable first.")
    dimensions: dict[str, dict[str, float]] = Field(description="Dimension -> tag -> probability.")
    warnings: list[str] = Field(description="Warnings about the audio.")


class TagsOverTimeAnswer(BaseModel):
    """The tags of a track over time."""

    times_s: list[float] = Field(description="Start of each excerpt.")
    excerpt_s: float = Field(description="Length of an excerpt.")
    tags: dict[str, list[float]] = Field(description="Tag -> its probability in each excerpt.")


class HitAnswer(TrackAnswer):
    """A track that a search found, and why."""

    rank: int = Field(description="1 for the best hit.")
    score: float = Field(description="Weighted mean of the cosines, -1 to 1.")
    dimensions: dict[str, float] = Field(description="Dimension -> cosine.")
    shared_tags: list[str] = Field(description="Predicted tags that query and hit share.")
    similarity_percentile: dict[str, float] = Field(
        description="Dimension -> percentage of the library's tracks that are less similar to the query, 0 to 100."
    )
    duplicates: list[str] = Field(description="Paths of other files of the same recording.")


class HitsAnswer(BaseModel):
    """The result of a search."""

    hits: list[HitAnswer]


class StepAnswer(TrackAnswer):
    """A track of a path."""

    position: int = Field(description="1 for the first track.")
    progress: float = Field(description="Position from the first track (0) to the last (1).")
    score: float | None = Field(description="Similarity to the track before; null for the first.")
    dimensions: dict[str, float] = Field(description="Dimension -> cosine with the track before.")
    named: bool = Field(description="Whether you named the track.")
    duplicates: list[str] = Field(description="Paths of other files of the same recording.")


class PathAnswer(BaseModel):
    """The tracks of a path, from start to end."""

    tracks: list[StepAnswer]


class SimilarArtistAnswer(BaseModel):
    """An artist similar to another."""

    rank: int = Field(description="1 for the most similar.")
    artist: str
    score: float = Field(description="Weighted mean of the cosines of the artists' mean tracks, -1 to 1.")
    dimensions: dict[str, float] = Field(description="Dimension -> cosine.")
    tracks: int = Field(description="Number of tracks of the artist.")


class SimilarArtistsAnswer(BaseModel):
    """Artists, most similar first."""

    artists: list[SimilarArtistAnswer]


class SimilarAlbumAnswer(BaseModel):
    """An album similar to another."""

    rank: int = Field(description="1 for the most similar.")
    album: str
    artist: str | None = Field(description="Its album artist, or the artist of all its tracks.")
    score: float = Field(description="Weighted mean of the cosines of the albums' mean tracks, -1 to 1.")
    dimensions: dict[str, float] = Field(description="Dimension -> cosine.")
    tracks: int = Field(description="Number of tracks of the album.")


class SimilarAlbumsAnswer(BaseModel):
    """Albums, most similar first."""

    albums: list[SimilarAlbumAnswer]


class PointAnswer(BaseModel):
    """A track on the map."""

    id: TrackId
    x: float = Field(description="0 to 1.")
    y: float = Field(description="0 to 1, upwards.")
    path: str
    title: str | None
    artist: str | None
    album: str | None
    duration_s: float
    strongest: dict[str, str] = Field(description="Dimension -> its most probable tag.")


class MapAnswer(BaseModel):
    """The tracks as points; of a large library, an even sample."""

    method: str
    space: str
    revision: int = Field(description="Revision of the library that was drawn.")
    of: int = Field(description="Number of tracks in the library.")
    points: list[PointAnswer]


class PlaylistRow(BaseModel):
    """A playlist and its number of tracks."""

    name: str
    tracks: int


class SavedPlaylistAnswer(PlaylistRow):
    """A playlist that was saved."""

    on_media_server: int | None = Field(None, description="Songs of it on the media server; null without a server.")


class PlaylistsAnswer(BaseModel):
    """The playlists of the server's folder."""

    playlists: list[PlaylistRow]


class PlaylistAnswer(BaseModel):
    """A playlist."""

    name: str
    tracks: list[TrackAnswer]
    missing: int = Field(description="Number of its tracks that are not in the library.")


class HealthAnswer(BaseModel):
    """The server runs and can read its library."""

    status: Literal["ok"] = "ok"


class TagAnswer(BaseModel):
    """A tag of the model."""

    name: str
    dimension: str
    threshold: float = Field(description="Lowest probability at which it is predicted.")


class LibraryAnswer(BaseModel):
    """Counts, the model, and the search engine: `musiczoo library stats --json`, without the path."""

    tracks: int
    hours: float
    artists: int
    albums: int
    failures: int
    with_warnings: int
    excerpts: int | None
    excerpts_heard: int
    bytes: int
    revision: int = Field(description="Rises with every change of the tracks.")
    model: str
    version: str
    space_id: str
    dimensions: list[str]
    tags: list[TagAnswer]
    search: dict[str, str | int | bool]


class ErrorBody(BaseModel):
    """What is wrong."""

    type: str
    message: str


class ErrorAnswer(BaseModel):
    """An error."""

    error: ErrorBody
