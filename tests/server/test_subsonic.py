"""The client of Subsonic servers, against a server of our own; supysonic is in test_supysonic.py."""

import warnings
from typing import Any

import pytest
from fake_subsonic import API_KEY, PASSWORD, USER, FakeServer
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.errors import InputError, MusicZooError
from musiczoo.server import subsonic
from musiczoo.server.subsonic import MediaServerError, ServerSong, Subsonic, UnencryptedLoginWarning, checked_url

MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"


def children(count: int) -> list[dict[str, Any]]:
    return [{"id": f"s{i}", "title": f"Song {i}", "isDir": False} for i in range(count)]


def secrets_of(server: FakeServer) -> str:
    return repr(server.requests)


# === Login ===


def test_a_token_is_sent_in_place_of_the_password() -> None:
    with FakeServer() as server:
        client = Subsonic(server.url, USER, PASSWORD)
        client.playlists()
    assert [method for method, _ in server.requests] == ["ping", "getPlaylists"]
    salts = [given["s"][0] for _, given in server.requests]
    assert len(set(salts)) == 2
    assert all("p" not in given for _, given in server.requests)
    assert PASSWORD not in secrets_of(server)
    assert PASSWORD.encode().hex() not in secrets_of(server)
    assert {given["c"][0] for _, given in server.requests} == {"musiczoo"}
    assert len(server.agents) == 1  # Navidrome keeps settings for each client and user agent
    assert client.info["openSubsonic"] is True


@pytest.mark.parametrize("code", [10, 41, 42])
def test_a_server_that_refuses_tokens_gets_the_password(code: int) -> None:
    with FakeServer(token_error=code) as server:
        client = Subsonic(server.url, USER, PASSWORD)
        client.playlists()
    assert ["t" in given for _, given in server.requests] == [True, False, False]


def test_an_api_key_is_sent_without_a_user() -> None:
    with FakeServer() as server:
        Subsonic(server.url, api_key=API_KEY).playlists()
        with pytest.raises(MediaServerError, match="Invalid API key"):
            Subsonic(server.url, api_key="no")


def test_a_wrong_password_is_not_tried_in_clear() -> None:
    with FakeServer() as server:
        with pytest.raises(MediaServerError, match=r"Wrong username or password.*Check user and password") as caught:
            Subsonic(server.url, USER, "wrong")
        assert caught.value.code == 40
        assert len(server.requests) == 1
    assert "wrong" not in secrets_of(server)


def test_a_login_needs_a_user_and_a_password() -> None:
    for user, password in ((None, None), (USER, None), (None, PASSWORD), (USER, "")):
        with pytest.raises(InputError, match="API key"):
            Subsonic("http://127.0.0.1:1", user, password)


@pytest.mark.parametrize("url", ["http://music.example", "http://192.168.1.2:4533", "https://music.example"])
@pytest.mark.parametrize("error", [None, 41])
def test_a_password_that_leaves_the_machine_unencrypted_is_warned_about(
    url: str, error: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(self: Subsonic, method: str, parameters: Any = ()) -> Any:
        if error is not None and any(name == "t" for name, _ in self._common()):
            raise MediaServerError("no", error)
        return {}

    monkeypatch.setattr(Subsonic, "call", call)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Subsonic(url, USER, PASSWORD)
    expected = [UnencryptedLoginWarning] if error and url.startswith("http:") else []
    assert [warning.category for warning in caught] == expected


# === Addresses, and what is not a Subsonic server ===


@pytest.mark.parametrize(
    "url",
    [
        "",
        "music",
        "ftp://a",
        "http://",
        "http://a:b:c",
        "http://a?x=1",
        "http://a#b",
        "http://u@a",
        "http://u:p@a",
        "//a",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        checked_url(url)


def test_a_password_in_the_address_is_not_printed() -> None:
    with pytest.raises(InputError) as caught:
        checked_url("http://anna:sesame@music.example")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>Welcome</html>", "not a Subsonic server"),
        (200, b"{}", "not a Subsonic server"),
        (200, b'{"subsonic-response": []}', "not a Subsonic server"),
        (200, b"[" * 100_000, "not a Subsonic server"),
        (404, b"<html>Nothing here</html>", "status 404"),
        (502, b"", "status 502"),
        (404, b'{"subsonic-response": {"status": "failed", "error": {"code": 0, "message": "Gone."}}}', "Gone"),
        (200, b'{"subsonic-response": {"status": "failed"}}', "failed"),
    ],
)
def test_other_answers_are_errors_with_the_next_step(status: int, body: bytes, message: str) -> None:
    with FakeServer(pages={"/rest/ping": (status, {}, body)}) as server:
        with pytest.raises(MediaServerError, match=message) as caught:
            Subsonic(server.url, USER, PASSWORD)
        assert server.url in str(caught.value)
        assert "t=" not in str(caught.value)


def test_an_endless_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsonic, "LARGEST_ANSWER", 1000)
    with (
        FakeServer(pages={"/rest/ping": (200, {}, b"{" + b" " * 5000)}) as server,
        pytest.raises(MediaServerError, match="more than 1,000 bytes"),
    ):
        Subsonic(server.url, USER, PASSWORD)


def test_nobody_listens() -> None:
    with FakeServer() as server:
        url = server.url
    with pytest.raises(MediaServerError, match="Check that the server runs"):
        Subsonic(url, USER, PASSWORD)


def test_the_login_follows_no_redirect_to_another_server() -> None:
    with FakeServer() as other, FakeServer() as server:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        server.pages["/rest/ping"] = (302, {"Location": f"{elsewhere}/rest/ping"}, b"")
        with pytest.raises(MediaServerError, match="redirects"):
            Subsonic(server.url, USER, PASSWORD)
        assert other.requests == []


# === Songs ===


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 20])
def test_all_pages_are_read(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsonic, "PAGE", 8)
    with FakeServer(children(count)) as server:
        found = list(Subsonic(server.url, USER, PASSWORD).songs())
    assert [song.id for song in found] == [f"s{i}" for i in range(count)]


def test_a_server_that_ignores_the_offset_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsonic, "PAGE", 8)
    with FakeServer(children(20), ignores_offset=True) as server:
        assert len(list(Subsonic(server.url, USER, PASSWORD).songs())) == 8


def test_a_song_of_opensubsonic() -> None:
    song = ServerSong.from_child(
        {
            "id": "a1", "title": "One", "artist": "Anna • Böhm", "album": "First", "path": "Anna/First/01 - One.mp3",
            "size": 5_000_000, "duration": 247, "musicBrainzId": MBID.upper(), "isrc": ["DE-A12-34-56789", "x"],
            "artistId": "r1", "artists": [{"id": "r1", "name": "Anna"}, {"id": "r2", "name": "Böhm"}],
        }
    )  # fmt: skip
    assert song == ServerSong(
        "a1", "One", "Anna • Böhm", "First", "Anna/First/01 - One.mp3", 5_000_000, 247.0, MBID, ("DEA123456789",),
        (("r1", "Anna"), ("r2", "Böhm")),
    )  # fmt: skip


def test_a_song_of_which_little_is_known() -> None:
    assert ServerSong.from_child({"id": 7, "title": ""}) == ServerSong("7")
    with pytest.raises(MediaServerError, match="without an id"):
        ServerSong.from_child({"title": "One"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "name"]), inner, max_size=2),
    max_leaves=4,
)
FIELDS = ["id", "title", "artist", "album", "path", "size", "duration", "musicBrainzId", "isrc", "artists", "artistId"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_value_of_a_song_raises_anything_else(child: dict[str, Any]) -> None:
    try:
        song = ServerSong.from_child(child)
    except MusicZooError:
        return
    assert song.id
    assert song.size is None or song.size > 0
    assert song.duration_s is None or song.duration_s > 0


# === Playlists ===


@pytest.mark.parametrize("returns", [True, False])
@pytest.mark.parametrize("count", [1, 40, 41, 100])
def test_playlists_are_created_in_order(count: int, returns: bool) -> None:
    ids = [f"s{i % 30}" for i in range(count)]
    with FakeServer(returns_playlists=returns) as server:
        client = Subsonic(server.url, USER, PASSWORD)
        number = client.create_playlist("Evening", ids)
        assert server.playlists == {number: ("Evening", ids)}
        again = client.create_playlist("Evening", ids[:1])
        assert server.playlists == {number: ("Evening", ids), again: ("Evening", ids[:1])}
    assert max(len(given.get("songId", given.get("songIdToAdd", []))) for _, given in server.requests) <= 40


def test_a_playlist_is_replaced_if_there_is_one_of_that_name() -> None:
    with FakeServer() as server:
        client = Subsonic(server.url, USER, PASSWORD)
        first = client.create_playlist("Evening", ["s1", "s2"], replace=True)
        other = client.create_playlist("Morning", ["s1"])
        assert client.create_playlist("Evening", ["s3"] * 50, replace=True) == first
        assert server.playlists == {first: ("Evening", ["s3"] * 50), other: ("Morning", ["s1"])}
        second = client.create_playlist("Evening", ["s4"])
        third = client.create_playlist("Evening", ["s5"], replace=True)  # which of the two?
        assert len({first, other, second, third}) == 4


def test_half_a_playlist_is_deleted() -> None:
    with FakeServer(fails={"updatePlaylist"}) as server:
        client = Subsonic(server.url, USER, PASSWORD)
        with pytest.raises(MediaServerError, match="It failed"):
            client.create_playlist("Evening", ["s1"] * 41)
        assert server.playlists == {}
