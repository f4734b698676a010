"""The native API: each answer against the library itself, or against what the shelf says of the twelve."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shelf
from asking import Client, client
from toy import CARD, RATE, SIZE, toy_answer

import musiczoo
from musiczoo import audio
from musiczoo.library import Filters, Library, Query
from musiczoo.library.database import Database
from musiczoo.library.records import LibraryConfig


def get(ask: Client, path: str, **parameters: Any) -> Any:
    answer = ask.get(f"/api/v1/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(ask: Client, path: str, content: Any, status: int = 200) -> Any:
    answer = ask.post(f"/api/v1/{path}", json=content)
    assert answer.status_code == status, answer.text
    return answer.json()


def error(answer: Any, status: int) -> tuple[str, str]:
    assert answer.status_code == status, answer.text
    found = answer.json()["error"]
    assert set(found) == {"type", "message"}
    return found["type"], found["message"]


# === Server and library ===


def test_health(ask: Client) -> None:
    assert get(ask, "health") == {"status": "ok"}


def test_statistics_are_those_of_the_command_line(ask: Client, library: Library) -> None:
    found = get(ask, "library")
    tags = {tag["name"]: tag for tag in found.pop("tags")}
    expected = json.loads(json.dumps(library.stats()))
    assert found | {"path": expected["path"], "search": expected["search"]} == expected
    assert set(tags) == set(CARD.tags)
    assert tags["rock"] == {"name": "rock", "dimension": "genre", "threshold": 0.5}


# === Tracks ===


def test_a_track_has_the_metadata_of_the_shelf(ask: Client, shelves: Path) -> None:
    artist, album, year, title = shelf.SONGS[8]
    expected = {"id": 9, "path": str(shelf.paths(shelves / "music")[8]), "title": title, "artist": artist}
    expected |= {"album": album, "genre": shelf.GENRES[2], "year": year, "duration_s": 180.0}
    found = get(ask, "tracks/9")
    assert {name: found[name] for name in expected} == expected
    p = dict(zip(CARD.tags, shelf.probabilities()[8].tolist(), strict=True))
    assert found["tags"] == {tag: pytest.approx(value, abs=1e-6) for tag, value in p.items()}
    assert found["above_threshold"] == sorted((tag for tag in p if p[tag] >= 0.5), key=lambda tag: -p[tag])
    assert found["dimensions"]["mood"] == {tag: found["tags"][tag] for tag in CARD.dimensions["mood"]}


@pytest.mark.parametrize(
    ("parameters", "ids"),
    [
        ({}, range(1, 13)),
        ({"limit": 5, "offset": 3}, range(4, 9)),
        ({"offset": 12}, []),
        ({"q": "cap"}, [9, 10, 11, 12]),  # Čapek
        ({"q": "BOHM second"}, [7, 8]),  # Böhm's second
        ({"q": "song 1"}, [1, 5, 9]),
        ({"q": "1 song"}, [1, 5, 9]),
        ({"q": "no such words"}, []),
        ({"q": "ogg"}, []),  # the ending is no word of it
        ({"q": ""}, range(1, 13)),
        ({"artist": "böhm"}, [5, 6, 7, 8]),
        ({"artist": "Boh"}, []),
        ({"album": "Anna's first"}, [1, 2]),
        ({"artist": "Anna", "q": "song 4"}, [4]),
        ({"artist": "Anna", "q": "bohm"}, []),
    ],
)
def test_tracks_are_listed(ask: Client, parameters: dict[str, Any], ids: Any) -> None:
    found = get(ask, "tracks", **parameters)
    assert [track["id"] for track in found["tracks"]] == list(ids)
    assert found["total"] == (12 if {"limit", "offset"} & set(parameters) else len(list(ids)))


def test_tracks_are_listed_by_predicted_tags(ask: Client) -> None:
    p = shelf.probabilities()
    rock, jazz = (p[:, CARD.tags.index(tag)] >= 0.5 for tag in ("rock", "jazz"))
    found = get(ask, "tracks", tag=["rock", "JAZZ"])
    assert [track["id"] for track in found["tracks"]] == [i + 1 for i in range(12) if rock[i] and jazz[i]]


def test_tags_over_time_are_those_of_the_model(ask: Client, shelves: Path) -> None:
    found = get(ask, "tracks/1/tags-over-time")
    samples = audio.read(shelf.paths(shelves / "music")[0], RATE)
    excerpt = np.zeros((1, SIZE), np.float32)  # a short file is padded
    excerpt[0, : len(samples)] = samples
    expected = toy_answer(excerpt)[1][0]
    assert (found["times_s"], found["excerpt_s"]) == ([0.0], SIZE / RATE)
    assert [found["tags"][tag][0] for tag in CARD.tags] == pytest.approx(expected, abs=1e-3)


# === Search ===


def test_scores_follow_from_the_embeddings(ask: Client) -> None:
    """The score is the weighted mean of cosines; each space of an embedding has length 1/2."""
    found = get(ask, "tracks/1/similar", k=11, weights="genre=1,mood=3")["hits"]
    vectors = shelf.vectors().astype(np.float64)
    cosine = {name: 4 * vectors[:, a:b] @ vectors[0, a:b] for name, (a, b) in CARD.spaces.items()}
    score = (cosine["genre"] + 3 * cosine["mood"]) / 4
    assert [hit["id"] for hit in found] == [i + 1 for i in np.argsort(-score) if i != 0]
    for rank, hit in enumerate(found, 1):
        i = hit["id"] - 1
        assert hit["rank"] == rank
        assert hit["score"] == pytest.approx(score[i], abs=1e-5)
        assert hit["dimensions"] == {name: pytest.approx(values[i], abs=1e-5) for name, values in cosine.items()}
        below = 100 * sum(cosine["mood"] < cosine["mood"][i] - 1e-9) / 12
        assert hit["similarity_percentile"]["mood"] == pytest.approx(below, abs=1e-5)


SEARCHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"seeds": [1]}, {}),
    ({"seeds": [1, 2], "k": 3, "combine": "each"}, {"k": 3}),
    ({"seeds": [1], "unlike": [5, 6], "weights": {"genre": 1, "mood": 0}}, {"weights": {"genre": 1, "mood": 0}}),
    ({"mix": {"genre": 1, "mood": 9}, "k": 5}, {"k": 5}),
    ({"seeds": [3], "mix": {"era": 4}}, {}),
    ({"seeds": [1], "variety": 0.7, "seed": 3, "k": 2}, {"variety": 0.7, "seed": 3, "k": 2}),
    ({"seeds": [1], "per_artist": 1, "per_album": 1}, {"per_artist": 1, "per_album": 1}),
    ({"seeds": [1], "exclude": [2, 3, 4, 5], "fold_duplicates": False}, {"fold_duplicates": False}),
    ({"seeds": [1], "filters": {"artist": "Böhm"}}, {"filters": Filters(artist="Böhm")}),
    ({"seeds": [1], "filters": {"path": "*.flac"}}, {"filters": Filters(path="*.flac")}),
    (
        {"seeds": [1], "filters": {"years": [1980, None], "durations": [None, 180.5]}},
        {"filters": Filters(years=(1980, None), durations=(None, 180.5))},
    ),
    (
        {"seeds": [1], "filters": {"album": "Anna's second", "having": {"Rock": 0.1, "jazz": None}}},
        {"filters": Filters(album="Anna's second", having={"Rock": 0.1, "jazz": None})},
    ),
]


@pytest.mark.parametrize(("asked", "arguments"), SEARCHES, ids=[json.dumps(asked) for asked, _ in SEARCHES])
def test_a_search_is_that_of_the_library(
    ask: Client, library: Library, shelves: Path, asked: dict[str, Any], arguments: dict[str, Any]
) -> None:
    paths = dict(enumerate(map(str, shelf.paths(shelves / "music")), 1))
    query = Query(
        songs=[paths[i] for i in asked.get("seeds", ())],
        of={dimension: paths[i] for dimension, i in asked.get("mix", {}).items()},
        unlike=[paths[i] for i in asked.get("unlike", ())],
        combine=asked.get("combine", "mean"),
    )
    hits = library.search(query, exclude=[paths[i] for i in asked.get("exclude", ())], **arguments)
    found = post(ask, "search", asked)["hits"]
    assert [hit["path"] for hit in found] == [hit.path for hit in hits]
    for hit, expected in zip(found, hits, strict=True):
        record = {"duplicates": []} | expected.as_dict(hit["rank"])
        assert {name: hit[name] for name in record} == record
        assert paths[hit["id"]] == hit["path"]
        assert hit["title"] == expected.title


def test_a_search_by_tags(tmp_path: Path) -> None:
    """With a model of the zoo, which has points for its tags, and the vectors of the shelf."""
    model = musiczoo.load("disentangled-classification")
    config = LibraryConfig.from_card(model.card, 10)
    with Library.open(shelf.write_library(tmp_path / "music.db", tmp_path, config), model) as library:
        hits = library.search(Query(songs=[str(shelf.paths(tmp_path)[0])], tags=["rock", "Mellow"]))
        found = post(client(library), "search", {"seeds": [1], "tags": ["ROCK", "mellow"]})["hits"]
    assert [(hit["path"], hit["score"]) for hit in found] == [(hit.path, round(hit.score, 6)) for hit in hits]
    assert len(found) == 11


def test_a_search_by_tags_that_have_no_points(ask: Client) -> None:
    kind, message = error(ask.post("/api/v1/search", json={"tags": ["rock"]}), 422)
    assert (kind, message[:22]) == ("InputError", "Cannot search by tags:")  # the toy model has no points for tags


def test_a_path_is_that_of_the_library(ask: Client, library: Library, shelves: Path) -> None:
    paths = dict(enumerate(map(str, shelf.paths(shelves / "music")), 1))
    weights = {"mood": 1.0}
    steps = library.path_between(paths[1], paths[12], 5, [paths[6]], weights, exclude=[paths[7]])
    asked = {"start": 1, "end": 12, "through": [6], "k": 5, "weights": weights, "exclude": [7]}
    found = post(ask, "path", asked)["tracks"]
    assert [(step["path"], step["named"]) for step in found] == [(step.path, step.named) for step in steps]
    assert [step["position"] for step in found] == [1, 2, 3, 4, 5]
    for step, expected in zip(found, steps, strict=True):
        record = expected.as_dict(step["position"])
        assert {name: step[name] for name in record} == record
        assert paths[step["id"]] == step["path"]


def test_plays_lower_the_rank(ask: Client) -> None:
    """A track with p recent plays moves from rank r to r (1 + p); a play that is a half-life old counts half."""
    asked = {"seeds": [1], "k": 6}
    first = [hit["id"] for hit in post(ask, "search", asked)["hits"]]
    plays = [{"id": first[0], "count": 2.5}, {"id": first[2], "days_ago": 3, "count": 0.4}]
    found = post(ask, "search", {**asked, "plays": plays, "half_life_days": 3})["hits"]
    # The first moves to 1 x 3.5, between the third and the fourth; the third to 3 x 1.2 = 3.6, behind it.
    assert [hit["id"] for hit in found] == [first[1], first[0], first[2], *first[3:]]


def test_similar_artists_and_albums(ask: Client, library: Library) -> None:
    weights = {"mood": 1.0, "era": 2.0}
    found = get(ask, "artists/similar", artist="ANNA", weights="mood=1,era=2", min_tracks=4)["artists"]
    artists = library.similar_artists("Anna", weights=weights, min_tracks=4)
    assert found == [artist.as_dict(rank) for rank, artist in enumerate(artists, 1)]
    assert {artist["artist"] for artist in found} == {"Böhm", "Čapek & Sons"}
    found = get(ask, "albums/similar", album="Anna's first", artist="Anna", k=3)["albums"]
    albums = library.similar_albums("Anna's first", "Anna", 3)
    assert found == [album.as_dict(rank) for rank, album in enumerate(albums, 1)]
    assert len(found) == 3


def test_the_map_keeps_the_distances_of_the_principal_components(ask: Client) -> None:
    found = get(ask, "map", space="genre")
    assert (found["method"], found["of"], [point["id"] for point in found["points"]]) == ("PCA", 12, [*range(1, 13)])
    genre = shelf.vectors()[:, slice(*CARD.spaces["genre"])].astype(np.float64)
    genre /= np.linalg.norm(genre, axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(genre - genre.mean(axis=0))
    plane = (genre - genre.mean(axis=0)) @ axes[:2].T
    xy = np.array([(point["x"], point["y"]) for point in found["points"]])
    assert xy.min() >= 0
    assert xy.max() <= 1
    expected = np.linalg.norm(plane[:, None] - plane, axis=2) / np.ptp(plane, axis=0).max()
    assert np.linalg.norm(xy[:, None] - xy, axis=2) == pytest.approx(expected, abs=1e-3)


# === Playlists ===


def test_a_playlist_is_saved_listed_and_read(library: Library, shelves: Path, tmp_path: Path) -> None:
    ask = client(library, playlists=tmp_path)
    assert get(ask, "playlists") == {"playlists": []}
    saved = post(ask, "playlists", {"name": "Čerstvé & new", "tracks": [9, 1, 9]}, 201)
    assert saved.pop("on_media_server") is None
    assert saved == {"name": "Čerstvé & new", "tracks": 3}
    lines = (tmp_path / "Čerstvé & new.m3u8").read_text(encoding="utf-8").splitlines()
    paths = shelf.paths(shelves / "music")
    assert lines[0] == "#EXTM3U"
    assert [(tmp_path / line).resolve() for line in lines[2::2]] == [paths[8], paths[0], paths[8]]
    assert lines[1] == "#EXTINF:-1,Čapek & Sons - Song 1"
    assert get(ask, "playlists") == {"playlists": [saved]}
    found = get(ask, "playlists/Čerstvé & new")
    assert ([track["id"] for track in found["tracks"]], found["missing"]) == ([9, 1, 9], 0)


def test_a_playlist_for_players_has_absolute_paths(library: Library, shelves: Path, tmp_path: Path) -> None:
    ask = client(library, playlists=tmp_path)
    post(ask, "playlists", {"name": "mix", "tracks": [2]}, 201)
    answer = ask.get("/api/v1/playlists/mix.m3u8")
    path = shelf.paths(shelves / "music")[1]
    assert answer.content.decode() == f"#EXTM3U\n#EXTINF:110,Anna - Song 2\n{path}\n"
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"


def test_a_playlist_of_others_is_read(library: Library, shelves: Path, tmp_path: Path) -> None:
    path = shelf.paths(shelves / "music")[4]
    (tmp_path / "theirs.m3u8").write_text(f"{path}\nhttp://radio.example/stream\nelsewhere.mp3\n", encoding="utf-8")
    found = get(client(library, playlists=tmp_path), "playlists/theirs")
    assert ([track["id"] for track in found["tracks"]], found["missing"]) == ([5], 2)


def test_a_playlist_is_replaced_only_if_asked(library: Library, tmp_path: Path) -> None:
    ask = client(library, playlists=tmp_path)
    post(ask, "playlists", {"name": "mix", "tracks": [1]}, 201)
    kind, _ = error(ask.post("/api/v1/playlists", json={"name": "mix", "tracks": [2]}), 409)
    assert kind == "PlaylistExists"
    assert [track["id"] for track in get(ask, "playlists/mix")["tracks"]] == [1]
    post(ask, "playlists", {"name": "mix", "tracks": [2], "replace": True}, 201)
    assert [track["id"] for track in get(ask, "playlists/mix")["tracks"]] == [2]


def test_without_a_folder_there_are_no_playlists(ask: Client) -> None:
    assert get(ask, "playlists") == {"playlists": []}
    assert error(ask.post("/api/v1/playlists", json={"name": "mix", "tracks": [1]}), 403)[0] == "NoPlaylists"
    assert error(ask.get("/api/v1/playlists/mix"), 404)[0] == "UnknownPlaylist"


# === Errors ===


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ({}, 422, "The query is empty. Name tracks or tags."),
        ({"seeds": [99]}, 404, "No such track: 99. Its file may have been removed."),
        ({"seeds": ["1"]}, 422, "seeds.0: Input should be a valid integer, got '1'"),
        ({"seeds": [1], "k": 0}, 422, "k: Input should be greater than or equal to 1, got 0"),
        ({"seeds": [1], "k": 501}, 422, "k: Input should be less than or equal to 500, got 501"),
        ({"seeds": [1], "kk": 1}, 422, "kk: Extra inputs are not permitted, got 1"),
        ({"seeds": [2**63]}, 422, "seeds.0: Input should be less than or equal to 9223372036854775807, got "),
        ({"seeds": [1], "weights": {"mood": -1}}, 422, "weights.mood: Input should be greater than or equal to 0"),
        ({"seeds": [1], "weights": {"modd": 1}}, 422, "Unknown dimension 'modd'. Did you mean 'mood'?"),
        ({"seeds": [1], "weights": {"mood": 0}}, 422, "At least one weight must be above 0."),
        ({"seeds": [1], "filters": {"years": [2000, 1990]}}, 422, "years must be from the lowest to the highest"),
        ({"seeds": [1], "filters": {"having": {"rokc": None}}}, 422, "Unknown tag 'rokc'. Did you mean 'rock'?"),
        ({"seeds": [1], "combine": "all"}, 422, "combine: Input should be 'mean' or 'each', got 'all'"),
        ([], 422, "body: Input should be a valid dictionary"),
    ],
)
def test_bad_searches(ask: Client, content: Any, status: int, message: str) -> None:
    _, found = error(ask.post("/api/v1/search", json=content), status)
    assert found.startswith(message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"seeds": [NaN]}',
        b'{"seeds": [1], "variety": NaN}',
        b'{"seeds": [1], "weights": {"mood": Infinity}}',
        b'{"seeds": [1], "weights": {"mood": 1e999}}',
        b'{"seeds": [1], "filters": {"artist": "\\ud800"}}',
        b"[" * 100_000,
        b'{"seeds":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_bad_bodies(ask: Client, body: bytes) -> None:
    answer = ask.post("/api/v1/search", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert set(answer.json()["error"]) == {"type", "message"}
    assert len(answer.text) < 1000


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/api/v1/tracks/99", 404, "UnknownTrack"),
        ("/api/v1/tracks/0", 422, "InvalidRequest"),
        ("/api/v1/tracks/x", 422, "InvalidRequest"),
        ("/api/v1/tracks/1/similar?weights=mood", 422, "InvalidRequest"),
        ("/api/v1/tracks/1/similar?weights=mood=1.2.3", 422, "InvalidRequest"),
        ("/api/v1/tracks/1/similar?weights=mood=10000000000", 422, "InvalidRequest"),
        ("/api/v1/tracks?tag=rokc", 422, "UnknownNameError"),
        ("/api/v1/map?space=x", 422, "UnknownNameError"),
        ("/api/v1/artists/similar", 422, "InvalidRequest"),
        ("/api/v1/artists/similar?artist=Nobody", 422, "UnknownNameError"),
        ("/api/v1/albums/similar?album=None", 422, "UnknownNameError"),
        ("/api/v1/nothing", 404, "NotFound"),
        ("/api/v1/search", 405, "MethodNotAllowed"),
    ],
)
def test_errors_have_one_form(ask: Client, path: str, status: int, kind: str) -> None:
    assert error(ask.get(path), status)[0] == kind


def test_no_error_names_a_path(library: Library, shelves: Path, tmp_path: Path) -> None:
    """Not even where the library's own error does: a silent track, and a file that is gone or damaged."""
    copy = tmp_path / "music.db"
    copy.write_bytes((shelves / "music.db").read_bytes())
    damaged = tmp_path / "damaged.mp3"
    damaged.write_bytes(b"no music")
    with Database.open(copy, write=True) as database:
        database.write("UPDATE tracks SET embedding = zeroblob(1024) WHERE id = 1")
        database.write("UPDATE tracks SET path = ? WHERE id = 2", [str(tmp_path / "gone.mp3")])
        database.write("UPDATE tracks SET path = ? WHERE id = 3", [str(damaged)])
        database.write("UPDATE tracks SET embedding = x'00' WHERE id = 4")
    with Library.open(copy, library.model()) as opened:
        ask = client(opened)
        silent = ask.post("/api/v1/path", json={"start": 1, "end": 5, "k": 3})
        answers = [
            (silent, 422, "InputError"),
            (ask.get("/api/v1/tracks/2/audio"), 404, "NoFile"),
            (ask.get("/api/v1/tracks/2/tags-over-time"), 404, "NoFile"),
            (ask.get("/api/v1/tracks/3/tags-over-time"), 422, "AudioError"),
            (ask.get("/api/v1/tracks/4"), 503, "LibraryError"),
            (ask.get("/api/v1/tracks"), 503, "LibraryError"),
        ]
    for answer, status, kind in answers:
        found, message = error(answer, status)
        assert found == kind
        assert str(tmp_path) not in message
        assert str(shelves) not in message
        assert "Traceback" not in message
    assert "track 1" in silent.json()["error"]["message"]


# === While others write ===


def test_what_another_process_writes_is_found_at_once(
    library: Library, shelves: Path, tmp_path: Path, toy: musiczoo.Model
) -> None:
    copy = tmp_path / "music.db"
    copy.write_bytes((shelves / "music.db").read_bytes())
    new = dataclasses.replace(shelf.entries(tmp_path / "new")[0], hash="f" * 32, embedding=shelf.vectors(seed=9)[0])
    with Library.open(copy, toy) as opened:
        ask = client(opened)
        assert get(ask, "tracks", q="song")["total"] == 12
        assert len(get(ask, "tracks/1/similar", k=50)["hits"]) == 11
        with Database.open(copy, write=True) as writer:
            writer.add(new)
            writer.remove(12)
            assert get(ask, "tracks", q="song")["total"] == 12
            assert [track["id"] for track in get(ask, "tracks", offset=11)["tracks"]] == [13]
            hits = get(ask, "tracks/2/similar", k=50)["hits"]
            assert {hit["id"] for hit in hits} == {1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13}
        assert ask.get("/api/v1/tracks/12").status_code == 404
        assert get(ask, "library")["tracks"] == 12
