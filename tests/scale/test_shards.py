"""Shards depend only on the set of paths; sources are found in folders and object stores."""

import dataclasses
import random
from pathlib import Path

import pytest
from catalogue import CONFIG, write_songs
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.errors import InputError
from musiczoo.scale import remote_files
from musiczoo.scale.shards import Shard, find_audio, shards

NAMES = st.sets(st.text(min_size=1, max_size=5), max_size=40)


@given(NAMES, st.integers(1, 7), st.randoms(use_true_random=False))
def test_shards_do_not_depend_on_the_order(names: set[str], size: int, chance: random.Random) -> None:
    shuffled = list(names) * 2
    chance.shuffle(shuffled)
    cut = shards(shuffled, size)
    assert cut == shards(sorted(names), size)
    assert [path for shard in cut for path in shard.paths] == sorted(names)
    assert [shard.number for shard in cut] == list(range(len(cut)))
    assert all(len(shard.paths) == size for shard in cut[:-1])
    assert all(1 <= len(shard.paths) <= size for shard in cut)


def test_names_of_parts_change_with_what_changes_the_numbers() -> None:
    shard = Shard(3, ("/a", "/b"))
    others = [
        (Shard(3, ("/a", "/c")), CONFIG),
        (Shard(3, ("/a/b",)), CONFIG),
        (shard, dataclasses.replace(CONFIG, excerpts=5)),
        (shard, dataclasses.replace(CONFIG, version="2")),
        (shard, dataclasses.replace(CONFIG, space_id="toy-2")),
        (shard, dataclasses.replace(CONFIG, hop_s=1.5)),
    ]
    names = {other.part_name(config) for other, config in others}
    assert len(names) == len(others)
    assert shard.part_name(CONFIG) not in names
    assert shard.part_name(CONFIG).startswith("part-000003-")
    assert shard.part_name(CONFIG) == Shard(3, ("/a", "/b")).part_name(CONFIG)  # in any process


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_a_malformed_size_is_refused(size: object) -> None:
    with pytest.raises(InputError, match="1 or more tracks"):
        shards(["a"], size)  # type: ignore[arg-type]


def test_music_is_found_in_folders_files_and_urls(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "music", 3)
    (tmp_path / "music" / "cover.jpg").touch()
    odd = tmp_path / "song.without.suffix"
    odd.touch()
    local = sorted(map(str, songs))
    assert find_audio([tmp_path / "music"]) == local
    assert find_audio([tmp_path / "music", songs[0]]) == local  # each once
    assert find_audio([f"file://{tmp_path}/music"]) == local
    assert find_audio([odd]) == [str(odd)]  # named itself
    assert find_audio([f"bucket://{tmp_path}/music"]) == [f"bucket://{path}" for path in local]


def test_names_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a::b.mp3").touch()  # fsspec chains its protocols with this
    assert find_audio(["a::b.mp3"]) == [str(tmp_path / "a::b.mp3")]
    assert remote_files.absolute("parts") == str(tmp_path / "parts")
    assert remote_files.absolute("memory://parts") == "memory:///parts"


@pytest.mark.parametrize("place", ["missing", "bucket:///missing", "no-such-protocol://music"])
def test_a_missing_place_is_reported(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=place):
        find_audio([place])
