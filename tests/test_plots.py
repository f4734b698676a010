"""The taggram: what is drawn where."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from toy import music

import musiczoo
from musiczoo import taxonomy
from musiczoo.errors import InputError
from musiczoo.plots import column_edges, save_taggram, taggram


def test_each_dimension_is_a_block_with_its_likeliest_tag_first(toy: musiczoo.Model) -> None:
    track = toy.analyze(music(10), 22050)
    figure = taggram(track, top=4)
    blocks = figure.axes[: len(taxonomy.DIMENSIONS)]
    for ax, (dimension, tags) in zip(blocks, taxonomy.DIMENSION_TAGS.items(), strict=True):
        assert ax.get_ylabel() == dimension
        shown = [label.get_text() for label in ax.get_yticklabels()]
        mean = {tag: float(track.taggram[:, taxonomy.TAGS.index(tag)].mean()) for tag in tags}
        assert shown == sorted(tags, key=lambda tag: -mean[tag])[:4]
        drawn = ax.collections[0].get_array().reshape(4, 3)
        expected = np.stack([track.taggram[:, taxonomy.TAGS.index(tag)] for tag in shown])
        np.testing.assert_array_equal(drawn, expected)
        assert ax.yaxis_inverted()  # so that the first row is at the top


def test_colours_mean_the_same_in_every_block(toy: musiczoo.Model) -> None:
    figure = taggram(toy.analyze(music(10), 22050))
    assert {ax.collections[0].get_clim() for ax in figure.axes[:4]} == {(0, 1)}


def test_column_edges() -> None:
    """Excerpts of 3 s at 0, 3 and 8 s: the second lasts until the third begins, the last one 3 s."""
    np.testing.assert_array_equal(column_edges(np.array([0.0, 3.0, 8.0]), 3.0), [0, 3, 8, 11])


def test_one_short_excerpt_is_drawn(toy: musiczoo.Model, song: Callable[..., Path]) -> None:
    with pytest.warns(musiczoo.ShortAudioWarning):
        track = toy.analyze(song("$100 of song.wav", seconds=1))
    assert "$100 of song.wav" in taggram(track).get_suptitle()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_suffix_sets_the_format(toy: musiczoo.Model, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"taggram.{ending}"
    save_taggram(toy.analyze(music(4), 22050), path)
    head = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(head)


@pytest.mark.parametrize("name", ["missing/taggram.png", "taggram.mp3"])
def test_files_that_cannot_be_written(toy: musiczoo.Model, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=name.rpartition("/")[2]):
        save_taggram(toy.analyze(music(4), 22050), tmp_path / name)
