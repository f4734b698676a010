"""The copies of data sets that other tests train on: in the published formats, and read as they are meant."""

from pathlib import Path

import copies
import numpy as np

from musiczoo.datasets import jamendo, magnatagatune, msd
from musiczoo.datasets.pickles import read_pickle
from musiczoo.taxonomy import PLAIN_SPACE, TAGS

SMALL = (3, 2, 2)


def test_pickles_are_python_2s() -> None:
    """Byte for byte what ``pickle.dumps({'a': ['b', 'c']}, 0)`` gives in Python 2.7."""
    assert copies.python2_pickle({"a": ["b", "c"]}) == b"(dp0\nS'a'\np1\n(lp2\nS'b'\np3\naS'c'\np4\nas."
    content = copies.python2_pickle({"TRA": np.zeros((50, 1))})
    assert content.startswith(b"(dp0\nS'TRA'\np1\ncnumpy.core.multiarray\n_reconstruct\n")
    assert b"(I50\nI1\ntp" in content
    assert b"S'\\x00\\x00" in content


def test_msd(tmp_path: Path) -> None:
    root = copies.write_msd(tmp_path, SMALL, seconds=1)
    vectors = read_pickle(root / msd.TAG_VECTORS)
    assert {vector.shape for vector in vectors.values()} == {(50, 1)}
    music = msd.load(root)
    assert [len(music.split(split)) for split in copies.SPLITS] == list(SMALL)
    for item in music.items:
        assert item.audio.is_file()
        assert item.tags == tuple(TAGS[i] for i in np.flatnonzero(vectors[item.id]))


def test_magnatagatune(tmp_path: Path) -> None:
    root = copies.write_magnatagatune(tmp_path, SMALL, seconds=1)
    lines = (root / magnatagatune.ANNOTATIONS_FILE).read_bytes().split(b"\r\n")
    assert lines[-1] == b""
    assert all(cell[:1] == cell[-1:] == b'"' for line in lines[:-1] for cell in line.split(b"\t"))
    music = magnatagatune.load(root)
    assert [len(music.split(split)) for split in copies.SPLITS] == list(SMALL)
    assert all(item.audio.is_file() for item in music.items)
    assert music.items[0].tags == ()
    assert music.items[1].artist == 'The "Artist" 3'


def test_jamendo(tmp_path: Path) -> None:
    music = jamendo.load(copies.write_jamendo(tmp_path, SMALL, seconds=1))
    assert [len(music.split(split)) for split in copies.SPLITS] == list(SMALL)
    assert all(item.tags and item.audio.is_file() for item in music.items)
    assert set(music.dimensions) <= {"genre", "instrument", "mood/theme"}


def test_magnatagatunes_tags_are_grouped_where_all_are_known() -> None:
    groups = magnatagatune.grouped(copies.MAGNATAGATUNE_TAGS)
    assert {name: len(tags) for name, tags in groups.items()} == {"genre": 13, "instrument": 14, "voice": 17, "mood": 6}
    assert sorted(tag for tags in groups.values() for tag in tags) == sorted(copies.MAGNATAGATUNE_TAGS)
    assert magnatagatune.grouped(("rock", "flute")) == {"genre": ("rock",), "instrument": ("flute",)}
    assert magnatagatune.grouped(("rock", "foreign")) == {PLAIN_SPACE: ("rock", "foreign")}
