"""Shards are a function of the set of paths; sources are found wherever they lie."""

import dataclasses
import random
from pathlib import Path

import pytest
from catalogue import FACTS, write_songs
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.errors import InputError
from musiczoo.scale import remote_files
from musiczoo.scale.manifest import Shard, find, shards

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
        (Shard(3, ("/a", "/c")), FACTS),
        (Shard(3, ("/a/b",)), FACTS),
        (shard, dataclasses.replace(FACTS, excerpts=5)),
        (shard, dataclasses.replace(FACTS, version="2")),
        (shard, dataclasses.replace(FACTS, space_id="toy-2")),
        (shard, dataclasses.replace(FACTS, hop_s=1.5)),
    ]
    names = {other.part(facts) for other, facts in others}
    assert len(names) == len(others)
    assert shard.part(FACTS) not in names
    assert shard.part(FACTS).startswith("part-000003-")
    assert shard.part(FACTS) == Shard(3, ("/a", "/b")).part(FACTS)  # whoever computes it, in whatever process


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_a_malformed_size_is_refused(size: object) -> None:
    with pytest.raises(InputError, match="1 or more songs"):
        shards(["a"], size)  # type: ignore[arg-type]


def test_music_is_found_in_folders_files_and_urls(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "music", 3)
    (tmp_path / "music" / "cover.jpg").touch()
    odd = tmp_path / "song.without.suffix"
    odd.touch()
    local = sorted(map(str, songs))
    assert find([tmp_path / "music"]) == local
    assert find([tmp_path / "music", songs[0]]) == local  # each once
    assert find([f"file://{tmp_path}/music"]) == local
    assert find([odd]) == [str(odd)]  # named itself
    assert find([f"bucket://{tmp_path}/music"]) == [f"bucket://{path}" for path in local]


def test_names_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a::b.mp3").touch()  # fsspec chains its protocols with this
    assert find(["a::b.mp3"]) == [str(tmp_path / "a::b.mp3")]
    assert remote_files.absolute("parts") == str(tmp_path / "parts")
    assert remote_files.absolute("memory://parts") == "memory:///parts"


@pytest.mark.parametrize("place", ["missing", "bucket:///missing", "no-such-protocol://music"])
def test_a_place_that_is_not_there_is_told(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=place):
        find([place])
