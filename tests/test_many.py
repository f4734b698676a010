"""Many songs in parallel: the same results as one after another, in order, for files of any kind."""

import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import RATE, music, write_audio

import musiczoo
from musiczoo import MusicZooError, Track, load
from musiczoo._parallel import AHEAD
from musiczoo.errors import AudioError, AudioNotFoundError, InputError

Song = Callable[..., Path]


def same(one: Track, other: Track) -> bool:
    """Whether two tracks are equal, to the bit."""
    arrays = "embedding", "taggram", "embeddings", "times"
    values = "path", "duration_s", "model", "space_id", "padded", "warnings"
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and np.array_equal(one.tags.probabilities, other.tags.probabilities)
        and all(getattr(one, name) == getattr(other, name) for name in values)
    )


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Songs of several lengths and formats."""
    folder = tmp_path_factory.mktemp("songs")
    made = []
    for i, suffix in enumerate([".wav", ".flac", ".ogg", ".mp3"] * 2):
        path = folder / f"{i}{suffix}"
        made.append(write_audio(path, music(5 + 7 * (i % 3), 44_100, 2, seed=i), 44_100))
    return made


@pytest.mark.parametrize("workers", [None, 1, 2, 5])
@pytest.mark.parametrize("options", [{}, {"excerpts": 2}, {"hop": 1.5}, {"hop": None}])
def test_the_same_as_one_after_another(
    toy_folder: Path, songs: list[Path], workers: int | None, options: dict[str, Any]
) -> None:
    expected = [load(toy_folder, threads=1).analyze(path, **options) for path in songs]
    found = list(load(toy_folder, threads=3).analyze_many(songs, workers, **options))
    assert len(found) == len(songs)
    for track, other in zip(found, expected, strict=True):
        assert isinstance(track, Track)
        assert same(track, other)


def test_the_default_model_gives_the_same_bits(songs: list[Path]) -> None:
    model = load("disentangled-classification", threads=2)
    expected = [model.analyze(path) for path in songs[:3]]
    assert all(map(same, model.analyze_many(songs[:3], workers=2), expected))


def test_samples_and_paths_may_be_mixed(toy: musiczoo.Model, songs: list[Path]) -> None:
    samples = music(7, 44_100, 2)
    first, second, third = toy.analyze_many([samples, songs[0], samples.tolist()], sample_rate=44_100)
    assert isinstance(first, Track)
    assert isinstance(second, Track)
    assert isinstance(third, Track)
    assert same(first, toy.analyze(samples, 44_100))
    assert same(second, toy.analyze(songs[0]))
    np.testing.assert_allclose(third.embedding, first.embedding, atol=1e-6)


def test_errors_are_values_in_their_places(toy: musiczoo.Model, songs: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("not music")
    sources: list[Any] = [tmp_path / "gone.wav", songs[0], text, np.zeros((3, 4, 5)), songs[1], np.full(RATE, np.nan)]
    found = list(toy.analyze_many(sources, workers=2, sample_rate=RATE))
    kinds = [AudioNotFoundError, Track, AudioError, InputError, Track, AudioError]
    assert [type(result) for result in found] == kinds
    for source, result in zip(sources, found, strict=True):
        if isinstance(result, MusicZooError):
            with pytest.raises(type(result)) as raised:
                toy.analyze(source, None if isinstance(source, Path) else RATE)
            assert str(raised.value) == str(result)
            assert result.__traceback__ is None  # it would keep the samples alive


def test_sources_are_taken_lazily_and_without_end(toy: musiczoo.Model) -> None:
    taken = 0

    def sources() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield music(3, seed=taken)

    results = toy.analyze_many(sources(), workers=2, sample_rate=RATE)
    assert taken == 0
    for asked in range(1, 20):
        assert isinstance(next(results), Track)
        assert taken <= asked + AHEAD * 2
    before = threading.active_count()
    results.close()
    assert threading.active_count() < before


def test_what_the_sources_raise_comes_after_the_tracks_before(toy: musiczoo.Model, songs: list[Path]) -> None:
    def sources() -> Iterator[Path]:
        yield from songs[:3]
        raise ZeroDivisionError("the caller's")

    results = toy.analyze_many(sources(), workers=4)
    assert [next(results).path for _ in range(3)] == [str(path) for path in songs[:3]]  # type: ignore[union-attr]
    with pytest.raises(ZeroDivisionError, match="the caller's"):
        next(results)


def test_a_bug_is_raised_in_its_place(toy: musiczoo.Model, songs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    analyze = musiczoo.Model._analyze

    def broken(self: musiczoo.Model, source: Any, *args: Any) -> Any:
        if source == songs[1]:
            raise KeyError("a bug")
        return analyze(self, source, *args)

    monkeypatch.setattr(musiczoo.Model, "_analyze", broken)
    results = toy.analyze_many(songs, workers=3)
    assert isinstance(next(results), Track)
    with pytest.raises(KeyError, match="a bug"):
        next(results)


def test_warnings_are_with_their_tracks_and_nowhere_else(toy: musiczoo.Model, song: Song, songs: list[Path]) -> None:
    short = song("short.wav", seconds=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = toy.analyze_many([short, songs[0]])
    with pytest.warns(musiczoo.ShortAudioWarning) as shown:
        toy.analyze(short)
    assert isinstance(first, Track)
    assert isinstance(second, Track)
    assert first.warnings == (str(shown[0].message),)
    assert second.warnings == ()


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ("song.mp3", {}, "one path 'song.mp3'"),
        (Path("song.mp3"), {}, "one path 'song.mp3'"),
        (np.zeros(RATE), {}, "one array"),
        ([], {"workers": 0}, "whole number of workers from 1"),
        ([], {"excerpts": 0}, "whole number of excerpts from 1"),
        ([], {"hop": 0}, "hop"),
    ],
)
def test_malformed_arguments_are_refused_at_once(
    toy: musiczoo.Model, sources: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        toy.analyze_many(sources, **options)
