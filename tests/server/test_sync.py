"""Which song of a server is which track: each rule by hand, and all of them against the definition, applied naively."""

import dataclasses
import itertools
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiczoo.errors import InputError, LibraryError
from musiczoo.library.metadata import normalize_name
from musiczoo.library.records import Entry
from musiczoo.server import sync
from musiczoo.server.subsonic import ServerSong
from musiczoo.server.sync import IdsOnDisk, ServerIds, ids_file, match, parse_prefixes, read_ids, write_ids

NOTHING = np.zeros(0, np.float32)
MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"


def track(path: str, size: int = 0, duration_s: float = 0, **values: Any) -> Entry:
    return Entry(path, size, 0, "", duration_s, 1, NOTHING, NOTHING, **values)


def matched(songs: list[ServerSong], tracks: list[Entry], **prefixes: str) -> dict[str, tuple[str, str]]:
    mapping = {f"/{name}": local for name, local in prefixes.items()}
    return {found.song.id: (found.path, found.rule) for found in match(songs, tracks, mapping).matches}


# === Each rule ===


def test_the_path_of_the_server() -> None:
    tracks = [track("/music/a/1.mp3", duration_s=100), track("/music/b/1.mp3", duration_s=200)]
    songs = [ServerSong("x", path="/music/b/1.mp3", duration_s=999)]  # the path decides
    assert matched(songs, tracks) == {"x": ("/music/b/1.mp3", "path")}


def test_paths_of_a_container() -> None:
    tracks = [track("/home/anna/Music/a/1.mp3"), track("/home/anna/Music2/a/1.mp3"), track("/mnt/cd/a/1.mp3")]
    songs = [ServerSong("x", path="/music/a/1.mp3"), ServerSong("y", path="/music/cd/a/1.mp3")]
    prefixes = {"/music": "/home/anna/Music", "/music/cd": "/mnt/cd"}  # the longest one counts
    report = match(songs, tracks, prefixes)
    assert {found.song.id: found.path for found in report.matches} == {"x": tracks[0].path, "y": tracks[2].path}
    assert report.missing == (tracks[1].path,)
    assert match([ServerSong("x", path="/music2/a/1.mp3")], tracks, prefixes).matches == ()  # not a folder /music


@pytest.mark.parametrize("prefix", ["/music=/home/anna", "/music/=/home/anna/", "/=/"])
def test_prefixes_are_parsed(prefix: str) -> None:
    path = "/home/anna/a.mp3" if "home" in prefix else "/music/a.mp3"
    report = match([ServerSong("x", path="/music/a.mp3")], [track(path)], parse_prefixes([prefix]))
    assert [found.rule for found in report.matches] == ["path"]


@pytest.mark.parametrize("texts", [["/music"], ["=/a"], ["/a="], [""], ["/a=/b", "/a=/c"]])
def test_malformed_prefixes_are_refused(texts: list[str]) -> None:
    with pytest.raises(InputError):
        parse_prefixes(texts)


def test_relative_paths() -> None:
    tracks = [track("/m/Anna/First/1.mp3", 10, 60.4), track("/m/Anna/Second/1.mp3", 11, 70.0)]
    songs = [
        ServerSong("x", path="First/1.mp3", duration_s=60),
        ServerSong("y", path="Anna/Second/1.mp3"),  # the server gives no duration
        ServerSong("z", path="irst/1.mp3"),  # not a folder
    ]
    expected = {"x": (tracks[0].path, "relative path"), "y": (tracks[1].path, "relative path")}
    assert matched(songs, tracks) == expected
    assert matched([ServerSong("x", path="First/1.mp3", duration_s=63)], tracks) == {}


def test_a_name_without_a_folder_needs_the_size_too() -> None:
    tracks = [track("/m/Anna/1.mp3", 10, 60)]
    assert matched([ServerSong("x", path="1.mp3", duration_s=60)], tracks) == {}
    assert matched([ServerSong("x", path="1.mp3", duration_s=60, size=11)], tracks) == {}
    found = matched([ServerSong("x", path="1.mp3", duration_s=60, size=10)], tracks)
    assert found == {"x": ("/m/Anna/1.mp3", "relative path")}


def test_names_in_either_composition_of_unicode_are_the_same() -> None:
    decomposed = "/m/Bo\u0308hm/1.mp3"
    assert matched([ServerSong("x", path="/m/Böhm/1.mp3")], [track(decomposed)]) == {"x": (decomposed, "path")}


def test_paths_that_the_server_makes_up() -> None:
    """Navidrome's: album artist, album, number and title, whatever the file is called."""
    tracks = [track("/m/box/cd1_03.mp3", 5_000_123, 181.3, title="One"), track("/m/box/cd1_04.mp3", 4_000_000, 181.3)]
    songs = [ServerSong("x", "One", "Anna", "First", "Anna/First/01-03 - One.mp3", 5_000_123, 181)]
    assert matched(songs, tracks) == {"x": (tracks[0].path, "size and duration")}


@pytest.mark.parametrize(
    ("song", "entry", "expected"),
    [
        ({"size": 10, "duration_s": 60}, {"size": 10, "duration_s": 61.9}, True),
        ({"size": 10, "duration_s": 60}, {"size": 10, "duration_s": 62.1}, False),
        ({"size": 10, "duration_s": 60}, {"size": 11, "duration_s": 60}, False),
        ({"size": 10}, {"size": 10, "duration_s": 60}, False),
        ({"size": 10, "duration_s": 60, "title": "One"}, {"size": 10, "duration_s": 60, "title": "ONE "}, True),
        ({"size": 10, "duration_s": 60, "title": "One"}, {"size": 10, "duration_s": 60, "title": "Two"}, False),
        (
            {"size": 10, "duration_s": 60, "recording_mbid": MBID},
            {"size": 10, "duration_s": 60, "recording_mbid": MBID[::-1]},
            False,
        ),
    ],
)
def test_size_and_duration(song: dict[str, Any], entry: dict[str, Any], expected: bool) -> None:
    assert bool(matched([ServerSong("x", **song)], [track("/a", **entry)])) == expected


def test_ids_of_the_recording() -> None:
    tracks = [track("/a", 1, 100, recording_mbid=MBID), track("/b", 2, 200, isrcs=("DEA123456789", "DEA000000001"))]
    songs = [
        ServerSong("x", recording_mbid=MBID),
        ServerSong("y", isrcs=("USA000000001", "DEA123456789"), duration_s=201),
    ]
    assert matched(songs, tracks) == {"x": ("/a", "MusicBrainz id"), "y": ("/b", "ISRC")}
    assert matched([dataclasses.replace(songs[1], duration_s=300)], tracks) == {}


def test_names() -> None:
    known = track("/a", 1, 100.0, title="Größe", artist="Anna feat. Böhm", artists=("Anna", "Böhm"), album="First")
    same = ServerSong("x", "GRÖSSE", "Anna & Böhm", "first", duration_s=101, artists=(("1", "anna"), ("2", "böhm")))
    assert matched([same], [known]) == {"x": ("/a", "names")}
    for change in ({"title": "Other"}, {"album": "Second"}, {"duration_s": 110}, {"duration_s": None}, {"title": None}):
        assert matched([dataclasses.replace(same, **change)], [known]) == {}
    assert matched([dataclasses.replace(same, artists=(("1", "Čapek"),))], [known]) == {}


def test_a_file_with_several_titles() -> None:
    """The library joins them; a server shows the first."""
    known = track("/a", 10, 60, title="The Beast; Beast", artist="Anna", album="First; First (Remaster)")
    song = ServerSong("x", "The Beast", "Anna", "First", size=10, duration_s=60)
    assert matched([song], [known]) == {"x": ("/a", "size and duration")}
    assert matched([dataclasses.replace(song, size=None)], [known]) == {"x": ("/a", "names")}
    assert matched([dataclasses.replace(song, title="The")], [known]) == {}


def test_an_earlier_rule_comes_first() -> None:
    tracks = [track("/a/1.mp3", 10, 60), track("/b/2.mp3", 10, 60)]
    songs = [ServerSong("x", path="/b/2.mp3", size=10, duration_s=60), ServerSong("y", size=10, duration_s=60)]
    assert matched(songs, tracks) == {"x": ("/b/2.mp3", "path"), "y": ("/a/1.mp3", "size and duration")}


# === What is not guessed ===


def test_two_tracks_for_one_song() -> None:
    tracks = [track("/b", 10, 60), track("/a", 10, 60)]
    report = match([ServerSong("x", size=10, duration_s=60)], tracks)
    assert report.matches == report.unmatched == report.missing == ()
    assert [(found.song.id, found.rule, found.paths) for found in report.ambiguous] == [
        ("x", "size and duration", ("/a", "/b"))
    ]


def test_two_songs_for_one_track() -> None:
    songs = [ServerSong("x", size=10, duration_s=60), ServerSong("y", size=10, duration_s=61)]
    report = match(songs, [track("/a", 10, 60)])
    assert [found.song.id for found in report.ambiguous] == ["x", "y"]
    later = [dataclasses.replace(songs[0], recording_mbid=MBID), songs[1]]
    report = match(later, [track("/a", 10, 60, recording_mbid=MBID)])
    assert [(found.song.id, found.rule) for found in report.matches] == [("x", "MusicBrainz id")]
    assert [song.id for song in report.unmatched] == ["y"]  # nothing is left that it could be


def test_what_many_share_tells_nothing() -> None:
    tracks = [track(f"/{i}", 10, i * 100) for i in range(sync.MOST_SHARED + 1)]
    song = ServerSong("x", size=10, duration_s=100)
    assert matched([song], tracks[:-1]) == {"x": ("/1", "size and duration")}
    assert matched([song], tracks) == {}


def test_songs_of_one_id_are_refused() -> None:
    with pytest.raises(InputError, match="one id"):
        match([ServerSong("x"), ServerSong("x")], [])


# === All rules, against the definition ===

TITLES, ARTISTS, SIZES = (None, "One", "one", "Two"), (None, "Anna", "Böhm"), (0, 10, 11)
SECONDS = (0.0, 60.0, 61.0, 63.0)
MBIDS, ISRCS = (None, MBID, MBID.replace("8", "9")), ((), ("DEA123456789",), ("DEA123456789", "DEA000000001"))
PATHS = ("/m/a/1.mp3", "/m/b/1.mp3", "/n/a/1.mp3", "/m/a/2.mp3", "/n/b/2.mp3", "/m/1.mp3")

songs_of = st.builds(
    lambda **values: {**values, "artists": (("1", values["artist"]),) if values["artist"] else ()},
    title=st.sampled_from(TITLES),
    artist=st.sampled_from(ARTISTS),
    album=st.sampled_from((None, "First")),
    path=st.sampled_from((None, *PATHS, "a/1.mp3", "1.mp3", "b/2.mp3", "c/9.mp3", "/x/a/2.mp3")),
    size=st.sampled_from((None, 10, 11)),
    duration_s=st.sampled_from((None, 60.0, 61.0, 63.0)),
    recording_mbid=st.sampled_from(MBIDS),
    isrcs=st.sampled_from(ISRCS),
)
tracks_of = st.builds(
    lambda **values: values,
    title=st.sampled_from(TITLES),
    artist=st.sampled_from(ARTISTS),
    album=st.sampled_from((None, "First")),
    size=st.sampled_from(SIZES),
    duration_s=st.sampled_from(SECONDS),
    recording_mbid=st.sampled_from(MBIDS),
    isrcs=st.sampled_from(ISRCS),
)
collections = st.tuples(
    st.lists(songs_of, max_size=6).map(lambda all: [ServerSong(f"s{i}", **values) for i, values in enumerate(all)]),
    st.lists(tracks_of, max_size=6).map(lambda all: [track(PATHS[i], **values) for i, values in enumerate(all)]),
)
PREFIXES = {"/x": "/n"}


def agree(song: ServerSong, entry: Entry) -> bool:
    return song.duration_s is not None and -2 <= song.duration_s - entry.duration_s <= 2


def same(one: str | None, other: str | None) -> bool:
    return normalize_name(one or "") == normalize_name(other or "")


def relative(song: ServerSong, entry: Entry) -> bool:
    if not song.path or song.path.startswith("/") or not entry.path.endswith(f"/{song.path}"):
        return False
    return (song.duration_s is None or agree(song, entry)) and ("/" in song.path or song.size == entry.size)


DEFINITION: list[Callable[[ServerSong, Entry], bool]] = [
    lambda s, t: s.path is not None and (s.path == t.path or (s.path == "/x/a/2.mp3" and t.path == "/n/a/2.mp3")),
    relative,
    lambda s, t: (
        bool(s.size)
        and s.size == t.size
        and agree(s, t)
        and (not s.title or not t.title or same(s.title, t.title))
        and (not s.recording_mbid or not t.recording_mbid or s.recording_mbid == t.recording_mbid)
    ),
    lambda s, t: s.recording_mbid is not None and s.recording_mbid == t.recording_mbid,
    lambda s, t: bool(set(s.isrcs) & set(t.isrcs)) and agree(s, t),
    lambda s, t: (
        bool(s.title and s.artist and t.artist)
        and same(s.title, t.title)
        and same(s.album, t.album)
        and same(s.artist, t.artist)
        and agree(s, t)
    ),
]


def naive(songs: list[ServerSong], tracks: list[Entry]) -> dict[str, str]:
    """The definition, word by word: for each rule, all pairs; a pair of which neither fits another one is matched."""
    found: dict[str, str] = {}
    for fits in DEFINITION:
        left = [song for song in songs if song.id not in found]
        free = [entry for entry in tracks if entry.path not in found.values()]
        pairs = [(song.id, entry.path) for song, entry in itertools.product(left, free) if fits(song, entry)]
        found |= {
            song: path
            for song, path in pairs
            if sum(pair[0] == song for pair in pairs) == sum(pair[1] == path for pair in pairs) == 1
        }
    return found


@settings(max_examples=400)
@given(collections)
def test_matches_are_those_of_the_definition(both: tuple[list[ServerSong], list[Entry]]) -> None:
    found = match(*both, PREFIXES)
    assert {one.song.id: one.path for one in found.matches} == naive(*both)


@settings(max_examples=200)
@given(collections, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(both: tuple[list[ServerSong], list[Entry]], dice: random.Random) -> None:
    shuffled = [dice.sample(items, len(items)) for items in both]
    one, other = match(*both, PREFIXES), match(shuffled[0], shuffled[1], PREFIXES)
    for name in ("matches", "ambiguous", "unmatched"):
        key = (lambda item: item.id) if name == "unmatched" else (lambda item: item.song.id)
        assert sorted(getattr(one, name), key=key) == sorted(getattr(other, name), key=key)
    assert sorted(one.missing) == sorted(other.missing)


@settings(max_examples=200)
@given(collections)
def test_every_song_and_track_is_told_about_once(both: tuple[list[ServerSong], list[Entry]]) -> None:
    songs, tracks = both
    report = match(songs, tracks, PREFIXES)
    paths = [found.path for found in report.matches]
    assert len(set(paths)) == len(paths)  # no two songs share a track
    told = [found.song.id for found in (*report.matches, *report.ambiguous)] + [song.id for song in report.unmatched]
    assert sorted(told) == sorted(song.id for song in songs)
    candidates = {path for found in report.ambiguous for path in found.paths}
    assert not candidates & set(paths)
    assert sorted([*paths, *candidates, *report.missing]) == sorted(entry.path for entry in tracks)


# === Tables ===


def test_songs_of_a_table(tmp_path: Path) -> None:
    file = tmp_path / "songs.csv"
    file.write_text(
        "\ufeffpath,id,title,size,duration,artist,artistId,isrc,extra\n"
        '"/music/a, b.mp3",7,One,5000,61.5,Anna,r1,DEA123456789,x\n'
        "file:///music/Bo%CC%88hm%20%26.mp3,8,,,,,,,\n"
        ",9,,none,-1,,,,\n",
        encoding="utf-8",
    )
    assert sync.read_table(file) == [
        ServerSong("7", "One", "Anna", None, "/music/a, b.mp3", 5000, 61.5, None, ("DEA123456789",), (("r1", "Anna"),)),
        ServerSong("8", path="/music/Bo\u0308hm &.mp3"),
        ServerSong("9"),
    ]


@pytest.mark.parametrize("content", [b"", b"path,title\na,b\n", b"id,path\n,a\n", b"id\n\xff\n"])
def test_tables_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "songs.csv").write_bytes(content)
    with pytest.raises(InputError, match="songs"):
        sync.read_table(tmp_path / "songs.csv")
    with pytest.raises(InputError, match="no"):
        sync.read_table(tmp_path / "no.csv")


# === The file of ids ===


def ids_of(url: str, *songs: tuple[str, str], at: str = "2025-01-01T00:00:00+00:00") -> ServerIds:
    return ServerIds(url, "anna", at, dict(songs), {"r1": "Anna"}, {number: "path" for number, _ in songs})


def test_ids_are_kept_beside_the_library(tmp_path: Path) -> None:
    library = tmp_path / "music.db"
    assert read_ids(library) == {}
    odd = os.fsdecode(b"/music/\xff.mp3")
    first = ids_of("http://a", ("1", "/music/Böhm.mp3"), ("2", odd))
    assert write_ids(library, first) == tmp_path / "music.db.servers.json"
    assert read_ids(library) == {"http://a": first}
    second = ids_of("http://b", ("9", odd), at="2024-01-01T00:00:00+00:00")
    write_ids(library, second)
    assert list(read_ids(library).items()) == [("http://b", second), ("http://a", first)]  # the last sync last
    changed = ids_of("http://b", at="2026-01-01T00:00:00+00:00")
    write_ids(library, changed)
    assert list(read_ids(library).values()) == [first, changed]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["music.db.servers.json"]


def test_the_ids_of_a_report() -> None:
    songs = [ServerSong("x", path="/a", artists=(("r1", "Anna"), ("r2", "Böhm"))), ServerSong("y", path="/b")]
    ids = ServerIds.of(match(songs, [track("/a"), track("/c")]), "http://a", None)
    assert (ids.songs, ids.artists, ids.rules) == ({"x": "/a"}, {"r1": "Anna", "r2": "Böhm"}, {"x": "path"})


def test_a_file_that_cannot_be_written_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "music.db"
    write_ids(library, ids_of("http://a", ("1", "/a")))
    before = ids_file(library).read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_ids(library, ids_of("http://a", ("2", "/b")))
    assert ids_file(library).read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"format": "1", "servers": {}}', '{"format": 1, "servers": []}',
        '{"format": 1, "servers": {"http://a": {}}}',
        '{"format": 1, "servers": {"http://a": {"user": 1, "synced_at": "", "songs": [], "artists": []}}}',
        '{"format": 1, "servers": {"http://a": {"user": null, "synced_at": "", "songs": [{"id": 1}], "artists": []}}}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_reported(tmp_path: Path, content: str) -> None:
    ids_file(tmp_path / "music.db").write_text(content)
    with pytest.raises(LibraryError, match="library sync again"):
        read_ids(tmp_path / "music.db")


def test_a_file_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    ids_file(tmp_path / "music.db").write_text(json.dumps({"format": 2}))
    with pytest.raises(LibraryError, match="Update musiczoo"):
        write_ids(tmp_path / "music.db", ids_of("http://a"))


def test_ids_are_read_again_after_a_sync(tmp_path: Path) -> None:
    library = tmp_path / "music.db"
    latest, of_a = IdsOnDisk(library), IdsOnDisk(library, "http://a")
    assert latest.current() is None
    first = ids_of("http://a", ("1", "/a"))
    write_ids(library, first)
    known = latest.current()
    assert known == first
    assert latest.current() is known
    second = ids_of("http://b", ("9", "/a"), at="2026-01-01T00:00:00+00:00")
    write_ids(library, second)
    assert (latest.current(), of_a.current()) == (second, first)
    ids_file(library).unlink()
    assert latest.current() is None
