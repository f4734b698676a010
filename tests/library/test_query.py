"""Queries: the vectors of songs, tags, mixtures and rejections, by the documented formulas."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shelf
from numpy.typing import NDArray
from searched import NAMES, SPACES, Analyzer, Floats, Shelf, clustered, filled, query_vector, rows, track
from toy import CARD

from musiczoo.errors import AudioNotFoundError, InputError, SpaceMismatchError, UnknownNameError
from musiczoo.library.query import UNLIKE, Query, QueryVector, compile_query

VECTORS = shelf.vectors()
TAGS = shelf.probabilities()


def unit(vector: NDArray[np.floating]) -> NDArray[np.float64]:
    return vector.astype(np.float64) / np.linalg.norm(vector)


def points() -> Floats:
    """A unit vector in the space of each tag."""
    array = np.zeros((len(CARD.tags), 256), np.float32)
    random = np.random.default_rng(8)
    for name, tags in CARD.dimensions.items():
        start, stop = SPACES[name]
        for tag in tags:
            array[CARD.tags.index(tag), start:stop] = unit(random.standard_normal(stop - start))
    return array


POINTS = points()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Shelf]:
    with filled(tmp_path / "library.db", rows(VECTORS, tags=TAGS)) as database:
        yield Shelf(database, Analyzer(points=POINTS))


def part(vector: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """A unit vector of one space."""
    return unit(vector[slice(*SPACES[name])])


def point(tag: str) -> NDArray[np.float64]:
    return POINTS[CARD.tags.index(tag)].astype(np.float64)


def song(i: int) -> str:
    return f"/music/{i:03d}.wav"


def one(query: Query, library: Shelf, weights: dict[str, float] | None = None) -> QueryVector:
    (asked,) = compile_query(query, library, weights).vectors
    return asked


def close(value: NDArray[np.floating]) -> object:
    return pytest.approx(value, abs=1e-7)


def test_a_song_is_its_own_vector_with_equal_weights(library: Shelf) -> None:
    asked = one(Query([song(4)]), library)
    assert asked.weights == dict.fromkeys(NAMES, 0.25)
    assert asked.vector(SPACES) == close(query_vector(VECTORS[4], dict.fromkeys(NAMES, 1.0)))
    assert asked.vector(SPACES) @ VECTORS[4] == pytest.approx(1)


def test_weights_are_divided_by_their_sum_and_those_left_out_weigh_nothing(library: Shelf) -> None:
    asked = one(Query([song(4)]), library, {"genre": 1, "mood": 3, "era": 0})
    assert asked.weights == {"genre": 0.25, "mood": 0.75}
    assert asked.vector(SPACES) == close(query_vector(VECTORS[4], {"genre": 1, "mood": 3}))
    assert set(asked.directions) == set(NAMES)


def test_several_songs_are_their_mean_per_space(library: Shelf) -> None:
    asked = one(Query([song(1)], like=[song(2)]), library)
    for name in NAMES:
        assert asked.directions[name] == close(unit(part(VECTORS[1], name) + part(VECTORS[2], name)))


def test_each_song_is_a_query_of_its_own(library: Shelf) -> None:
    compiled = compile_query(Query([song(1)], like=[song(2)], tags=["jazz"], combine="each"), library)
    assert [asked.directions["mood"] for asked in compiled.vectors] == [
        close(part(VECTORS[1], "mood")),
        close(part(VECTORS[2], "mood")),
    ]
    assert [track.id for track in compiled.tracks] == [2, 3]


def test_tags_weigh_the_dimensions_that_they_name(library: Shelf) -> None:
    asked = one(Query(tags=["jazz", "MELLOW", "happy"]), library)
    assert asked.weights == {"genre": 0.5, "mood": 0.5}
    genre, mood = SPACES["genre"], SPACES["mood"]
    assert asked.directions["genre"] == close(point("jazz")[slice(*genre)])
    assert asked.directions["mood"] == close(unit((point("Mellow") + point("happy"))[slice(*mood)]))
    assert asked.tags == {"jazz", "Mellow", "happy"}
    assert "era" not in asked.directions


def test_a_song_with_a_tag_is_the_sum_of_both(library: Shelf) -> None:
    asked = one(Query([song(1), song(2)], tags=["jazz"]), library)
    songs = unit(part(VECTORS[1], "genre") + part(VECTORS[2], "genre"))
    assert asked.directions["genre"] == close(unit(songs + point("jazz")[slice(*SPACES["genre"])]))
    assert asked.directions["era"] == close(unit(part(VECTORS[1], "era") + part(VECTORS[2], "era")))
    assert asked.weights == dict.fromkeys(NAMES, 0.25)
    assert "jazz" in asked.tags


def test_mix_and_match_takes_each_dimension_from_another_song(library: Shelf) -> None:
    asked = one(Query(of={"genre": song(1), "mood": song(2)}), library)
    assert asked.weights == {"genre": 0.5, "mood": 0.5}
    assert asked.directions["genre"] == close(part(VECTORS[1], "genre"))
    assert asked.directions["mood"] == close(part(VECTORS[2], "mood"))
    assert set(asked.directions) == {"genre", "mood"}


def test_mix_and_match_with_a_song_replaces_its_dimension(library: Shelf) -> None:
    asked = one(Query([song(0)], of={"mood": song(2)}), library)
    assert asked.weights == dict.fromkeys(NAMES, 0.25)
    assert asked.directions["mood"] == close(part(VECTORS[2], "mood"))
    assert asked.directions["genre"] == close(part(VECTORS[0], "genre"))


def test_unlike_subtracts_half_of_what_is_rejected(library: Shelf) -> None:
    asked = one(Query([song(0)], unlike=[song(1), song(2)]), library)
    for name in NAMES:
        away = unit(part(VECTORS[1], name) + part(VECTORS[2], name))
        assert asked.directions[name] == close(unit(part(VECTORS[0], name) - UNLIKE * away))
        assert asked.directions[name] @ away < part(VECTORS[0], name) @ away


def test_unlike_alone_looks_for_the_opposite(library: Shelf) -> None:
    asked = one(Query(unlike=[song(1)]), library)
    assert asked.weights == dict.fromkeys(NAMES, 0.25)
    assert asked.vector(SPACES) @ VECTORS[1] == pytest.approx(-1)


def test_unlike_does_not_open_dimensions(library: Shelf) -> None:
    query = Query(of={"mood": song(2)}, unlike=[song(1)])
    assert one(query, library).weights == {"mood": 1}
    asked = one(query, library, {"mood": 1, "era": 1})
    assert asked.directions["era"] == close(-part(VECTORS[1], "era"))


def test_a_song_like_and_unlike_stays_where_it_is(library: Shelf) -> None:
    asked = one(Query([song(3)], unlike=[song(3)]), library)
    assert asked.vector(SPACES) @ VECTORS[3] == pytest.approx(1)


def test_shared_tags_are_predicted_tags(library: Shelf) -> None:
    assert one(Query([song(3)]), library).tags == {t for t, p in zip(CARD.tags, TAGS[3], strict=True) if p >= 0.5}
    both = one(Query([song(3), song(4)]), library).tags
    assert both == {t for t, p, q in zip(CARD.tags, TAGS[3], TAGS[4], strict=True) if (p + q) / 2 >= 0.5}
    mixed = one(Query([song(3)], of={"mood": song(4)}), library).tags
    source = {t: TAGS[4] if t in CARD.dimensions["mood"] else TAGS[3] for t in CARD.tags}
    assert mixed == {t for i, t in enumerate(CARD.tags) if source[t][i] >= 0.5}


def test_songs_of_the_library_are_not_analyzed_again(library: Shelf) -> None:
    library.analyzer = None
    compiled = compile_query(Query([song(1), Path(song(2))], unlike=[song(3)]), library)
    assert [track.id for track in compiled.tracks] == [2, 3, 4]


def test_songs_of_an_object_store_are_known_by_their_url(tmp_path: Path) -> None:
    name = "s3://bucket/a.mp3"
    with filled(tmp_path / "library.db", [dataclasses.replace(rows(VECTORS)[0], path=name)]) as database:
        assert one(Query(songs=(name,)), Shelf(database, Analyzer())).vector(SPACES) == pytest.approx(
            VECTORS[0], abs=1e-6
        )


def test_other_songs_are_analyzed_with_the_librarys_settings(library: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "new.wav"
    path.touch()
    vector = clustered(1, seed=5)[0]
    library.analyzer = Analyzer({str(path): track(vector, TAGS[0], str(path))})
    compiled = compile_query(Query([path]), library)
    assert library.analyzer.calls == [(str(path), 10, None)]
    assert compiled.vectors[0].vector(SPACES) == close(query_vector(vector, dict.fromkeys(NAMES, 1.0)))
    assert compiled.tracks[0].id is None


def test_a_track_is_not_analyzed_again(library: Shelf) -> None:
    vector = clustered(1, seed=5)[0]
    library.analyzer = None
    (known,), (new,) = (compile_query(Query([track(vector, path=p)]), library).tracks for p in (song(5), "/new.wav"))
    assert (known.id, new.id) == (6, None)
    assert known.units == close(2 * vector)


def test_tracks_of_other_models_are_refused(library: Shelf) -> None:
    other = dataclasses.replace(track(VECTORS[0]), space_id="other")
    with pytest.raises(SpaceMismatchError, match="other"):
        compile_query(Query([other]), library)


def test_plain_models_have_the_dimension_all(tmp_path: Path) -> None:
    config = dataclasses.replace(shelf.CONFIG, spaces={"all": (0, 256)}, normalized=False)
    anywhere = np.random.default_rng(1).standard_normal((50, 256)).astype(np.float32)
    with filled(tmp_path / "plain.db", rows(3 * VECTORS, tags=TAGS), config) as database:
        library = Shelf(database, Analyzer(points=anywhere / np.linalg.norm(anywhere, axis=1, keepdims=True)))
        asked = one(Query([song(1)]), library)
        assert asked.vector(config.spaces) == close(unit(VECTORS[1]))
        assert one(Query(of={"all": song(2)}), library).directions["all"] == close(unit(VECTORS[2]))
        assert one(Query(of={"all": song(2)}), library).tags == one(Query([song(2)]), library).tags
        tags = one(Query(tags=["jazz", "happy"]), library)
        assert tags.weights == {"all": 1}
        expected = unit(unit(anywhere[CARD.tags.index("jazz")]) + unit(anywhere[CARD.tags.index("happy")]))
        assert tags.directions["all"] == pytest.approx(expected, abs=1e-6)
        with pytest.raises(UnknownNameError, match=r"'genre'.*all"):
            compile_query(Query([song(1)]), library, {"genre": 1})


@pytest.mark.parametrize(
    ("weights", "error", "said"),
    [
        ({"genre": -1, "mood": 2}, InputError, "'genre'.*-1"),
        ({"genre": float("nan")}, InputError, "'genre'.*nan"),
        ({"genre": float("inf")}, InputError, "'genre'.*inf"),
        ({"genre": 0, "mood": 0}, InputError, "above 0"),
        ({}, InputError, "above 0"),
        ({"moods": 1}, UnknownNameError, "Did you mean 'mood'"),
    ],
)
def test_bad_weights_are_refused(library: Shelf, weights: dict[str, float], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        compile_query(Query([song(1)]), library, weights)


def test_weights_of_dimensions_without_a_query_are_refused(library: Shelf) -> None:
    with pytest.raises(InputError, match=r"'mood'.*\(genre\)"):
        compile_query(Query(tags=["jazz"]), library, {"genre": 1, "mood": 1})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"combine": "max", "songs": ["a"]},
        {"songs": "a.wav"},
        {"tags": "jazz"},
        {"like": Path("a")},
        {"unlike": "a"},
    ],
)
def test_malformed_queries_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"Expected|empty"):
        Query(**arguments)  # type: ignore[arg-type]


def test_other_types_are_refused() -> None:
    with pytest.raises(InputError, match="int"):
        Query.of_value([1])  # type: ignore[list-item]
    with pytest.raises(InputError, match="empty"):
        Query.of_value([])
    query = Query(tags=["jazz"])
    assert Query.of_value(query) is query
    assert Query.of_value("a.wav") == Query.of_value(["a.wav"]) == Query(("a.wav",))


def test_unknown_names_are_refused(library: Shelf) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'jazz'"):
        compile_query(Query(tags=["jaz"]), library)
    with pytest.raises(UnknownNameError, match="Did you mean 'mood'"):
        compile_query(Query(of={"moot": song(1)}), library)
    with pytest.raises(AudioNotFoundError, match=r"No such file.*nowhere\.wav"):
        compile_query(Query(["nowhere.wav"]), library)


def test_a_model_without_points_says_what_to_do(library: Shelf) -> None:
    library.analyzer = Analyzer()
    with pytest.raises(InputError, match="--having 'jazz'"):
        compile_query(Query(tags=["jazz"]), library)
    library.analyzer = Analyzer(points=np.zeros_like(POINTS))
    with pytest.raises(InputError, match="'jazz': the model has no point"):
        compile_query(Query(tags=["jazz"]), library)


def test_a_silent_query_is_refused(library: Shelf) -> None:
    silent = VECTORS[0].copy()
    silent[slice(*SPACES["mood"])] = 0
    assert one(Query([track(silent)]), library).vector(SPACES) @ VECTORS[0] == pytest.approx(0.75)
    with pytest.raises(InputError, match="silence"):
        compile_query(Query([track(silent)]), library, {"mood": 1})
