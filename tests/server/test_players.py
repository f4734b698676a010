"""The routes for players' plugins, asked as the plugins ask; the answers are computed from the vectors of the shelf."""

import dataclasses
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shelf
from asking import BEARER, TOKEN, Client, client
from fake_subsonic import PASSWORD, USER, FakeServer

import musiczoo
from musiczoo.errors import UnknownNameError
from musiczoo.library import Library
from musiczoo.library.database import Database
from musiczoo.server.subsonic import Subsonic
from musiczoo.server.sync import IdsOnDisk, ServerIds, write_ids
from musiczoo.server.synced import Songs, Synced

SERVER = "http://127.0.0.1:4533"
IDS = [f"{i:08x}-0000-4000-8000-{i:012x}" for i in range(12)]
"""Ids of the twelve on the server, as Jellyfin and supysonic write them. It does not have the last one."""
ARTISTS = {"ar-1": "Anna", "ar-2": "Böhm", "ar-3": "Čapek & Sons"}
VECTORS = shelf.vectors().astype(np.float64)
HERE = slice(0, 11)


def ids_of(folder: Path, count: int = 11, url: str = SERVER) -> ServerIds:
    paths = [str(path) for path in shelf.paths(folder / "music")]
    songs = dict(zip(IDS[:count], paths, strict=False))
    return ServerIds(url, "anna", "2025-01-01T00:00:00+00:00", songs, ARTISTS, dict.fromkeys(songs, "path"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of twelve, and the ids of eleven."""
    made = tmp_path_factory.mktemp("players")
    shelf.write_library(made / "music.db", made / "music")
    write_ids(made / "music.db", ids_of(made))
    return made


@pytest.fixture(scope="module")
def opened(folder: Path, toy: musiczoo.Model) -> Iterator[Library]:
    with Library.open(folder / "music.db", toy) as library:
        yield library


@pytest.fixture(scope="module")
def plugin(opened: Library) -> Client:
    """A plugin's connection to a server without a token."""
    return client(opened)


def get(ask: Client, path: str, status: int = 200, **headers: str) -> Any:
    answer = ask.get(path, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert "NaN" not in answer.text
    assert "Infinity" not in answer.text
    return answer.json()


def error(ask: Client, path: str, status: int) -> str:
    found = get(ask, path, status)
    assert found.keys() == {"error"}
    assert "/" not in found["error"].replace("/api", "")  # no path of a file
    return str(found["error"])


def scores(seed: int, weights: dict[str, float] | None = None) -> np.ndarray:
    """The weighted mean of the cosines of the eleven with one."""
    shares = weights or dict.fromkeys(shelf.CONFIG.spaces, 1.0)
    total = sum(
        weight
        * 4
        * (VECTORS[HERE, slice(*shelf.CONFIG.spaces[name])] @ VECTORS[seed, slice(*shelf.CONFIG.spaces[name])])
        for name, weight in shares.items()
    )
    return np.asarray(total / sum(shares.values()))


# === Similar songs ===


def test_navidrome_asks_for_similar_songs(plugin: Client) -> None:
    path = f"/api/similar_tracks?item_id={IDS[4]}&n=5&eliminate_duplicates=true&radius_similarity=true"
    found = get(plugin, path)
    expected = scores(4)
    order = [i for i in np.argsort(-expected) if i != 4]
    limited: list[int] = []
    for i in order:
        if sum(shelf.SONGS[j][0] == shelf.SONGS[i][0] for j in limited) < 3:
            limited.append(int(i))
    assert [song["item_id"] for song in found] == [IDS[i] for i in limited[:5]]
    lowest = expected.min()
    for song, i in zip(found, limited, strict=False):
        artist, album, _, title = shelf.SONGS[i]
        assert (song["title"], song["author"], song["album"]) == (title, artist, album)
        assert song["distance"] == pytest.approx((1 - expected[i]) / (1 - lowest), abs=1e-5)
        assert isinstance(song["distance"], float)
        assert 0 <= song["distance"] <= 1


def test_without_eliminating_duplicates_all_songs_are_there(plugin: Client) -> None:
    found = get(plugin, f"/api/similar_tracks?item_id={IDS[4]}&n=100")
    order = [i for i in np.argsort(-scores(4)) if i != 4]
    assert [song["item_id"] for song in found] == [IDS[i] for i in order]  # neither the seed nor the twelfth
    assert found[-1]["distance"] == 1.0
    distances = [song["distance"] for song in found]
    assert distances == sorted(distances)


def test_tags_are_those_of_the_library(plugin: Client) -> None:
    (song,) = get(plugin, f"/api/similar_tracks?item_id={IDS[0]}&n=1")
    probabilities = dict(zip(shelf.CONFIG.tags, shelf.probabilities()[IDS.index(song["item_id"])], strict=True))
    listed = dict(part.split(":") for part in song["mood_vector"].split(","))
    assert listed.keys() == {tag for tag, probability in probabilities.items() if probability >= 0.5}
    assert song["top_genre"] == max(shelf.CONFIG.dimensions["genre"], key=probabilities.__getitem__)
    assert song["top_mood"] == max(shelf.CONFIG.dimensions["mood"], key=probabilities.__getitem__)


def test_jellyfin_sends_ids_without_dashes_and_gets_guids(plugin: Client) -> None:
    found = get(plugin, f"/api/similar_tracks?n=3&item_id={IDS[2].replace('-', '')}")
    assert {song["item_id"] for song in found} <= set(IDS)
    assert found == get(plugin, f"/api/similar_tracks?n=3&item_id={IDS[2]}")


def test_a_song_by_title_and_artist(plugin: Client) -> None:
    found = get(plugin, "/api/similar_tracks?title=song%203&artist=ANNA&n=2")
    assert found == get(plugin, f"/api/similar_tracks?item_id={IDS[2]}&n=2")


def test_numbers_out_of_range_count_as_the_nearest(plugin: Client) -> None:
    assert len(get(plugin, f"/api/similar_tracks?item_id={IDS[0]}&n=0")) == 1
    assert len(get(plugin, f"/api/similar_tracks?item_id={IDS[0]}&n=-5")) == 1
    assert len(get(plugin, f"/api/similar_tracks?item_id={IDS[0]}&n=999999999")) == 10


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("n=5", 400),
        ("title=Song%203", 400),
        ("title=Song%203&artist=Nobody", 404),
        ("item_id=", 400),
        ("item_id=no-such-id", 404),
        (f"item_id={IDS[11]}", 404),
        (f"item_id={IDS[0]}&n=many", 400),
        (f"item_id={IDS[0]}&n=1e9", 400),
        ("item_id=%00", 404),
        ("item_id=%ff", 404),
    ],
)
def test_songs_that_cannot_be_searched_by(plugin: Client, query: str, status: int) -> None:
    assert error(plugin, f"/api/similar_tracks?{query}", status)


def test_weights_are_a_setting_of_the_server(opened: Library) -> None:
    weights = {"genre": 1.0, "mood": 3.0}
    found = get(client(opened, weights=weights), f"/api/similar_tracks?item_id={IDS[4]}&n=100")
    expected = scores(4, weights)
    assert [song["item_id"] for song in found] == [IDS[i] for i in np.argsort(-expected) if i != 4]
    assert found[0]["distance"] == pytest.approx((1 - np.sort(expected)[-2]) / (1 - expected.min()), abs=1e-5)
    with pytest.raises(UnknownNameError, match="tempo"):
        client(opened, weights={"tempo": 1.0})


def test_the_farthest_song(plugin: Client) -> None:
    found = get(plugin, f"/api/max_distance?item_id={IDS[4]}")
    assert found == {"max_distance": 1.0, "farthest_item_id": IDS[int(scores(4).argmin())]}


# === Several songs, and tags ===


def test_songs_are_added_and_subtracted(plugin: Client) -> None:
    items = [{"id": IDS[1], "op": "ADD", "type": "song"}, {"id": IDS[7]}, {"id": IDS[3], "op": "SUBTRACT"}]
    answer = plugin.post("/api/alchemy", json={"items": items, "n": 4, "temperature": 1})
    assert answer.status_code == 200, answer.text
    expected = np.zeros(11)
    for start, stop in shelf.CONFIG.spaces.values():
        units = 2 * VECTORS[:, start:stop]
        wanted = (units[1] + units[7]) / np.linalg.norm(units[1] + units[7]) - 0.5 * units[3]
        expected += units[HERE] @ wanted / np.linalg.norm(wanted) / 4
    order = [int(i) for i in np.argsort(-expected) if i not in (1, 3, 7)]
    found = answer.json()["results"]
    artists = [shelf.SONGS[i][0] for i in order]
    limited = [i for n, i in enumerate(order) if artists[:n].count(artists[n]) < 3]
    assert [song["item_id"] for song in found] == [IDS[i] for i in limited[:4]]
    assert [song["distance"] for song in found] == pytest.approx(
        [(1 - expected[i]) / (1 - expected.min()) for i in limited[:4]], abs=1e-5
    )


def test_tags_that_a_text_names(opened: Library, plugin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"query": "some Rock, and jazz!", "limit": 3}
    assert plugin.post("/api/clap/search", json=asked).status_code == 503  # the toy model has no points for tags
    points = np.zeros((50, 256), np.float32)
    start, stop = shelf.CONFIG.spaces["genre"]
    for seed, tag in enumerate(("rock", "jazz")):
        point = np.random.default_rng(seed).standard_normal(stop - start)
        points[shelf.CONFIG.tags.index(tag), start:stop] = point / np.linalg.norm(point)
    model = type("Model", (), {"tag_points": lambda self: points})()
    monkeypatch.setattr(Library, "model", lambda self: model)
    answer = plugin.post("/api/clap/search", json=asked)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    wanted = points.sum(axis=0)[start:stop].astype(np.float64)
    expected = 2 * VECTORS[HERE, start:stop] @ wanted / np.linalg.norm(wanted)
    order = np.argsort(-expected)[:3]
    assert (found["query"], found["count"]) == (asked["query"], 3)
    assert [song["item_id"] for song in found["results"]] == [IDS[i] for i in order]
    for song, i in zip(found["results"], order, strict=True):
        assert song["similarity"] == pytest.approx(1 - (1 - expected[i]) / (1 - expected.min()), abs=1e-5)
    nothing = plugin.post("/api/clap/search", json={"query": "rocky whispers"}).json()
    assert nothing == {"query": "rocky whispers", "count": 0, "results": []}


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("alchemy", [], 400), ("alchemy", {}, 400), ("alchemy", {"items": []}, 400), ("alchemy", {"items": ["x"]}, 400),
        ("alchemy", {"items": [{"id": IDS[0], "op": "SUBTRACT"}]}, 400),
        ("alchemy", {"items": [{"id": IDS[0], "op": "MULTIPLY"}]}, 400),
        ("alchemy", {"items": [{"id": IDS[0], "type": "artist"}]}, 400),
        ("alchemy", {"items": [{"id": IDS[0], "op": []}]}, 400),
        ("alchemy", {"items": [{"id": IDS[0]}], "n": "5"}, 400),
        ("alchemy", {"items": [{"id": "x"}]}, 404), ("alchemy", {"items": [{}]}, 404),
        ("clap/search", [], 400), ("clap/search", {"query": " "}, 400), ("clap/search", {"query": 5}, 400),
        ("clap/search", {"query": "rock", "limit": None}, 400),
    ],
)  # fmt: skip
def test_malformed_requests_that_are_sent(plugin: Client, path: str, asked: Any, status: int) -> None:
    answer = plugin.post(f"/api/{path}", json=asked)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}


# === Paths ===


def test_navidrome_asks_for_a_path(plugin: Client, opened: Library) -> None:
    ends = f"start_song_id={IDS[0]}&end_song_id={IDS[9]}"
    found = get(plugin, f"/api/find_path?{ends}&count=4&max_steps=4&path_fix_size=false&mood_pct=100")
    songs = found["path"]
    assert (songs[0]["item_id"], songs[-1]["item_id"]) == (IDS[0], IDS[9])
    assert 2 <= len(songs) <= 4
    assert len({song["item_id"] for song in songs}) == len(songs)
    assert all(song.keys() >= {"item_id", "title", "author", "album", "embedding_vector"} for song in songs)
    np.testing.assert_allclose(songs[0]["embedding_vector"], VECTORS[0], atol=1e-6)
    numbers = [IDS.index(song["item_id"]) for song in songs]
    span = 1 - scores(0).min()
    steps = [min((1 - float(VECTORS[a] @ VECTORS[b])) / span, 1) for a, b in pairwise(numbers)]
    assert found["total_distance"] == pytest.approx(sum(steps), abs=1e-4)


def test_a_path_is_as_long_as_the_library_allows(plugin: Client) -> None:
    found = get(plugin, f"/api/find_path?start_song_id={IDS[0]}&end_song_id={IDS[9]}&max_steps=25")
    longer = len(found["path"])
    assert 3 <= longer <= 11
    again = get(plugin, f"/api/find_path?start_song_id={IDS[0]}&end_song_id={IDS[9]}&max_steps={longer}")
    assert again == found
    shortest = get(plugin, f"/api/find_path?start_song_id={IDS[0]}&end_song_id={IDS[9]}&max_steps=1")
    assert [song["item_id"] for song in shortest["path"]] == [IDS[0], IDS[9]]


@pytest.mark.parametrize(
    ("start", "end", "status"), [(IDS[0], "", 400), ("", IDS[0], 400), (IDS[0], IDS[0], 400), (IDS[0], "x", 404)]
)
def test_paths_that_cannot_be(plugin: Client, start: str, end: str, status: int) -> None:
    assert error(plugin, f"/api/find_path?start_song_id={start}&end_song_id={end}&max_steps=5", status)


# === Artists ===


def means() -> dict[str, np.ndarray]:
    """The mean of each artist's tracks in the library, rescaled in each space."""
    found = {}
    for artist in ARTISTS.values():
        mean = np.mean([VECTORS[i] for i in range(12) if shelf.SONGS[i][0] == artist], axis=0)
        for start, stop in shelf.CONFIG.spaces.values():
            mean[start:stop] /= 2 * np.linalg.norm(mean[start:stop])
        found[artist] = mean
    return found


@pytest.mark.parametrize("asked", ["artist=ar-1", "artist_id=ar-1", "artist=Anna", "artist=ANNA"])
def test_similar_artists_by_id_or_name(plugin: Client, asked: str) -> None:
    """Navidrome's plugin sends the artist's id as ``artist``."""
    found = get(plugin, f"/api/similar_artists?{asked}&n=10&include_component_matches=false")
    expected = {name: float(means()["Anna"] @ mean) for name, mean in means().items() if name != "Anna"}
    order = sorted(expected, key=expected.__getitem__, reverse=True)
    numbers = {name: number for number, name in ARTISTS.items()}
    assert [(artist["artist"], artist["artist_id"]) for artist in found] == [(name, numbers[name]) for name in order]
    for artist in found:
        assert artist["divergence"] == pytest.approx(1 - expected[artist["artist"]], abs=1e-5)
        assert artist["track_count"] == (3 if artist["artist"].startswith("Č") else 4)
        assert "component_matches" not in artist


def test_artist_radio_gets_songs_of_both_artists(plugin: Client) -> None:
    found = get(plugin, "/api/similar_artists?artist=ar-2&n=1&include_component_matches=true")
    ((artist, (component,)),) = [(found[0]["artist"], found[0]["component_matches"])]
    for key, own, other in (
        ("artist1_representative_songs", "Böhm", artist),
        ("artist2_representative_songs", artist, "Böhm"),
    ):
        members = {name: [i for i in range(11) if shelf.SONGS[i][0] == name] for name in (own, other)}
        mean = VECTORS[members[other]].mean(axis=0)
        for start, stop in shelf.CONFIG.spaces.values():
            mean[start:stop] /= np.linalg.norm(mean[start:stop])
        order = sorted(members[own], key=lambda i: -float(VECTORS[i] @ mean))
        assert [song["item_id"] for song in component[key]] == [IDS[i] for i in order[:5]]
        assert all(song["title"] == shelf.SONGS[IDS.index(song["item_id"])][3] for song in component[key])


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("artist=", 400), ("artist=Nobody", 404), ("artist_id=9", 404)]
)
def test_artists_that_do_not_exist(plugin: Client, query: str, status: int) -> None:
    assert error(plugin, f"/api/similar_artists?{query}", status)
    assert error(plugin, f"/api/artist_tracks?{query}", status)


def test_songs_of_an_artist(plugin: Client) -> None:
    found = get(plugin, "/api/artist_tracks?artist=ar-3")
    assert found == [{"item_id": IDS[i], "title": shelf.SONGS[i][3], "author": "Čapek & Sons"} for i in range(8, 11)]


def test_artists_are_searched_by_name(plugin: Client) -> None:
    assert get(plugin, "/api/search_artists?query=nn") == [{"artist": "Anna", "artist_id": "ar-1", "track_count": 4}]
    assert get(plugin, "/api/search_artists?query=") == get(plugin, "/api/search_artists?query=zz") == []


# === Looking up, health ===


def test_songs_are_searched_by_words(plugin: Client) -> None:
    (found,) = get(plugin, "/api/search_tracks?search_query=anna%20song%203")
    assert found == {
        "item_id": IDS[2],
        "title": "Song 3",
        "author": "Anna",
        "album": "Anna's second",
        "album_artist": "",
    }
    assert get(plugin, "/api/search_tracks?search_query=") == get(plugin, "/api/search_tracks") == []
    every = get(plugin, "/api/search_tracks?search_query=song&end=500")
    assert [song["item_id"] for song in every] == IDS[:11]
    assert get(plugin, "/api/search_tracks?search_query=song&start=3&end=5") == every[3:5]
    assert get(plugin, "/api/search_tracks?artist=Anna") == every[:4]  # as Lyrion's plugin asks
    assert get(plugin, "/api/search_tracks?title=song%201&artist=anna") == every[:1]
    assert get(plugin, "/api/track?item_id=" + IDS[2]) == found
    assert error(plugin, "/api/track?item_id=x", 404)


def test_health_needs_no_token_and_the_rest_does(opened: Library) -> None:
    guarded = client(opened, token=TOKEN)
    assert get(guarded, "/api/health") == {"status": "ok"}
    assert guarded.get("/").status_code == 200  # Jellyfin's plugin asks for the page
    for path in ("/api/active_tasks", f"/api/similar_tracks?item_id={IDS[0]}", "/api/search_artists?query=a"):
        assert error(guarded, path, 401)
        get(guarded, path, 200, **BEARER)
        get(guarded, path, 401, authorization="Bearer wrong")
    assert guarded.post("/api/create_playlist", json={}).status_code == 401


def test_before_the_first_sync(toy: musiczoo.Model, tmp_path: Path) -> None:
    """And a sync is noticed without a restart, as is a track that is removed."""
    shelf.write_library(tmp_path / "music.db", tmp_path / "music")
    with Library.open(tmp_path / "music.db", toy) as library:
        plugin = client(library)
        assert "musiczoo library sync" in error(plugin, f"/api/similar_tracks?item_id={IDS[0]}", 503)
        write_ids(library.path, ids_of(tmp_path))
        assert len(get(plugin, f"/api/similar_tracks?item_id={IDS[0]}&n=100")) == 10
        with Database.open(library.path, write=True) as database:
            database.remove(2)
        assert IDS[1] not in [song["item_id"] for song in get(plugin, f"/api/similar_tracks?item_id={IDS[0]}&n=100")]
        assert error(plugin, f"/api/similar_tracks?item_id={IDS[1]}", 404)
        write_ids(library.path, ids_of(tmp_path, 1))
        assert get(plugin, f"/api/similar_tracks?item_id={IDS[0]}") == []


def test_changes_of_the_library_give_what_reading_it_anew_gives(toy: musiczoo.Model, tmp_path: Path) -> None:
    shelf.write_library(tmp_path / "music.db", tmp_path / "music")
    write_ids(tmp_path / "music.db", ids_of(tmp_path))
    entries = shelf.entries(tmp_path / "music")
    with Library.open(tmp_path / "music.db", toy) as library, Database.open(library.path, write=True) as database:
        synced = Synced(library)
        changes = (
            lambda: database.add(
                dataclasses.replace(entries[3], title="New", artist="New; Anna", artists=("New", "Anna"))
            ),
            lambda: database.remove(1),
            lambda: database.add(entries[0]),  # its id is another one now
            lambda: database.move(5, "/elsewhere.flac"),
            lambda: database.move(5, entries[4].path),
            lambda: write_ids(library.path, ids_of(tmp_path, 7)),
            lambda: database.add(dataclasses.replace(entries[6], album="Other")),
        )
        for change in changes:
            synced.songs()
            change()
            ids = IdsOnDisk(library.path).current()
            assert ids is not None
            found, anew = synced.songs(), Songs.of(library, ids)
            for name in ("by_id", "by_track", "by_artist", "artist_ids", "artists_by_id", "artist_names"):
                assert getattr(found, name) == getattr(anew, name)
            assert found.tracks.tolist() == anew.tracks.tolist() == sorted(found.by_track)


def test_a_silent_song_is_similar_to_nothing(toy: musiczoo.Model, tmp_path: Path) -> None:
    shelf.write_library(tmp_path / "music.db", tmp_path / "music")
    with Database.open(tmp_path / "music.db", write=True) as database:
        first = shelf.entries(tmp_path / "music")[0]
        database.add(dataclasses.replace(first, embedding=np.zeros_like(first.embedding)))
    write_ids(tmp_path / "music.db", ids_of(tmp_path))
    with Library.open(tmp_path / "music.db", toy) as library:
        plugin = client(library)
        for path in (
            f"similar_tracks?item_id={IDS[0]}",
            f"max_distance?item_id={IDS[0]}",
            f"find_path?start_song_id={IDS[0]}&end_song_id={IDS[1]}",
        ):
            assert error(plugin, f"/api/{path}", 404)
        others = get(plugin, f"/api/similar_tracks?item_id={IDS[1]}&n=100")
        assert IDS[0] not in [song["item_id"] for song in others]
        assert all(math.isfinite(song["distance"]) for song in others)


# === Playlists ===


def test_playlists_are_made_on_the_media_server(opened: Library, folder: Path, tmp_path: Path) -> None:
    with FakeServer() as media:
        shelf.write_library(tmp_path / "music.db", tmp_path / "music")
        write_ids(tmp_path / "music.db", ids_of(tmp_path, 11, media.url))
        with Library.open(tmp_path / "music.db") as library:
            server = Subsonic(media.url, USER, PASSWORD)
            plugin = client(library, media_server=server, playlists=tmp_path)
            asked = {"playlist_name": " Evening ", "track_ids": [IDS[3], {"item_id": IDS[1]}, "x", IDS[11], None]}
            answer = plugin.post("/api/create_playlist", json=asked)
            assert answer.status_code == 201
            found = answer.json()
            assert {name: found[name] for name in ("mapped", "skipped")} == {"mapped": 2, "skipped": 3}
            assert media.playlists == {found["playlist_id"]: ("Evening", [IDS[3], IDS[1]])}

            # A playlist of the page is saved and pushed; saving it again replaces it on the server, too.
            answer = plugin.post("/api/v1/playlists", json={"name": "Mine", "tracks": [5, 12, 1]})
            assert (answer.status_code, answer.json()) == (201, {"name": "Mine", "tracks": 3, "on_media_server": 2})
            assert (tmp_path / "Mine.m3u8").exists()
            assert ("Mine", [IDS[4], IDS[0]]) in media.playlists.values()
            answer = plugin.post("/api/v1/playlists", json={"name": "Mine", "tracks": [2], "replace": True})
            assert answer.json()["on_media_server"] == 1
            assert sorted(media.playlists.values()) == [("Evening", [IDS[3], IDS[1]]), ("Mine", [IDS[1]])]

            media.fails.add("createPlaylist")
            answer = plugin.post("/api/create_playlist", json={"playlist_name": "B", "track_ids": [IDS[0]]})
            assert answer.status_code == 502
            assert "It failed" in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400), (b"[]", 400), (b"{", 400), (b"null", 400), (b"[" * 100_000, 400),
        (json.dumps({"playlist_name": "", "track_ids": [IDS[0]]}).encode(), 400),
        (json.dumps({"playlist_name": "A", "track_ids": []}).encode(), 400),
        (json.dumps({"playlist_name": "A", "track_ids": "x"}).encode(), 400),
        (json.dumps({"playlist_name": "A", "track_ids": [1, None, [], {}, "x"]}).encode(), 400),
        (json.dumps({"playlist_name": "A", "track_ids": [IDS[0]]}).encode(), 502),  # no --sync
    ],
)  # fmt: skip
def test_playlists_that_cannot_be_made(plugin: Client, content: bytes, status: int) -> None:
    answer = plugin.post("/api/create_playlist", content=content)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
