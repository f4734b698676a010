"""Playlists that players can read from any folder, and those of players."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.errors import AudioNotFoundError, InputError, WriteError
from musiczoo.library import playlist

NAMES = st.text(st.characters(blacklist_characters="/\0\n\r", blacklist_categories=["Cs"]), min_size=1, max_size=20)
PARTS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4)


def read(file: Path) -> list[str]:
    """The paths, as a player resolves them."""
    lines = file.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == ""
    return [os.path.normpath(file.parent / line) for line in lines[1:-1] if not line.startswith("#")]


def test_paths_are_relative_to_the_playlist(tmp_path: Path) -> None:
    file = tmp_path / "lists" / "mine.m3u8"
    file.parent.mkdir()
    songs = [(str(tmp_path / "lists" / "a.mp3"), "A - B"), (str(tmp_path / "Björk" / "c d.flac"), None)]
    assert playlist.write(file, songs) == []
    assert file.read_text(encoding="utf-8") == "#EXTM3U\n#EXTINF:-1,A - B\na.mp3\n../Björk/c d.flac\n"
    assert os.listdir(file.parent) == ["mine.m3u8"]


@given(st.lists(PARTS, max_size=5), PARTS)
def test_a_player_finds_the_files(
    tmp_path_factory: pytest.TempPathFactory, songs: list[list[str]], folder: list[str]
) -> None:
    root = tmp_path_factory.mktemp("m3u")
    file = root / "list.m3u8"
    paths = [os.path.normpath("/".join(["", *parts])) for parts in songs]
    assert playlist.write(file, [(path, None) for path in paths]) == []
    assert read(file) == paths


def test_names_that_look_like_comments_are_read(tmp_path: Path) -> None:
    paths = [str(tmp_path / "#1 hit.mp3")]
    playlist.write(tmp_path / "list.m3u8", [(path, None) for path in paths])
    assert read(tmp_path / "list.m3u8") == paths


def test_names_that_are_not_utf8_keep_their_bytes(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp3")
    playlist.write(tmp_path / "list.m3u8", [(path, None)])
    assert (tmp_path / "list.m3u8").read_bytes() == b"#EXTM3U\ncaf\xe9.mp3\n"


def test_line_breaks_cannot_be_written(tmp_path: Path) -> None:
    bad, good = str(tmp_path / "a\nb.mp3"), str(tmp_path / "c.mp3")
    assert playlist.write(tmp_path / "list.m3u8", [(bad, "x"), (good, "two\nlines")]) == [bad]
    assert (tmp_path / "list.m3u8").read_text() == "#EXTM3U\n#EXTINF:-1,two lines\nc.mp3\n"


def test_a_playlist_in_a_linked_folder(tmp_path: Path) -> None:
    """The system resolves .. from the target of a link, and so must the paths."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    song = tmp_path / "song.mp3"
    song.touch()
    playlist.write(tmp_path / "link" / "list.m3u8", [(str(song), None)])
    line = (tmp_path / "link" / "list.m3u8").read_text().splitlines()[1]
    assert (tmp_path / "link" / line).samefile(song)


def test_an_old_playlist_is_replaced_and_a_bad_place_refused(tmp_path: Path) -> None:
    file = tmp_path / "list.m3u8"
    file.write_text("old")
    playlist.write(file, [])
    assert file.read_text() == "#EXTM3U\n"
    with pytest.raises(InputError, match="nowhere"):
        playlist.write(tmp_path / "nowhere" / "list.m3u8", [])
    with pytest.raises(WriteError, match="Is a directory"):
        playlist.write(tmp_path, [])
    assert not list(tmp_path.parent.glob("*.partial"))


@given(st.lists(PARTS, max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, songs: list[list[str]]) -> None:
    root = tmp_path_factory.mktemp("m3u")
    paths = ["/".join([str(root), "music", *names]) for names in songs]
    playlist.write(root / "list.m3u8", [(path, "title") for path in paths])
    assert playlist.read(root / "list.m3u8") == paths


def test_playlists_of_players_are_read(tmp_path: Path) -> None:
    """A byte order mark, line ends of Windows, comments, absolute paths, addresses, and names that are not UTF-8."""
    (tmp_path / "list.m3u8").write_bytes(
        b"\xef\xbb\xbf#EXTM3U\r\n#EXTINF:12,A - B\r\na.mp3\r\n\r\n../b c.mp3\r\n/music/#1.mp3\r\n"
        b"file:///music/c%20d%C3%A9.mp3\r\nfile://localhost/e.mp3\nhttp://radio.example/live\n\xe9.mp3"
    )
    assert playlist.read(tmp_path / "list.m3u8") == [
        str(tmp_path / "a.mp3"),
        str(tmp_path.parent / "b c.mp3"),
        "/music/#1.mp3",
        "/music/c dé.mp3",
        "/e.mp3",
        "http://radio.example/live",
        str(tmp_path / "\udce9.mp3"),
    ]


def test_what_is_no_playlist(tmp_path: Path) -> None:
    with pytest.raises(AudioNotFoundError, match=r"No such playlist: '/.*none.m3u8'"):
        playlist.read(tmp_path / "none.m3u8")
    with pytest.raises(InputError, match="Is a directory"):
        playlist.read(tmp_path)
    (tmp_path / "song.mp3").write_bytes(b"ID3\0\1")
    with pytest.raises(InputError, match="it is not text"):
        playlist.read(tmp_path / "song.mp3")
