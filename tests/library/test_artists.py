"""Similar artists and albums: answers derived by hand, and a loop over a random library."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from searched import NAMES, SPACES, Floats, clustered, cosines, filled, mean, rows

from musiczoo.errors import InputError, UnknownNameError
from musiczoo.library.artists import Groups, SimilarAlbum, SimilarArtist, close_names
from musiczoo.library.database import Database
from musiczoo.library.vectors import Vectors

COUNT = 60
VECTORS = clustered(COUNT, seed=11, clusters=9)
RANDOM = np.random.default_rng(5)
OWN = [sorted({f"Artist {n}" for n in RANDOM.integers(12, size=RANDOM.integers(1, 3))}) for _ in range(COUNT)]
"""The artists of each track: one or two."""
ALBUMS = [f"Album {n}" for n in RANDOM.integers(8, size=COUNT)]
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 10), min_size=1)
Make = Callable[..., Groups]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes the groups of a library of given embeddings."""
    opened: list[Database] = []

    def new(vectors: Floats, **columns: Any) -> Groups:
        opened.append(filled(tmp_path_factory.mktemp("artists") / "library.db", rows(vectors, **columns)))
        return Groups(Vectors(opened[-1]))

    yield new
    for database in opened:
        database.close()


@pytest.fixture(scope="module")
def library(make: Make) -> Groups:
    columns = {"artist": ["; ".join(own) for own in OWN], "album": ALBUMS, "album_artist": ["Various"] * COUNT}
    return make(VECTORS, **columns)


def directions(*angles: float) -> Floats:
    """``[tracks, E]``: in each space, a unit vector of length 1/2 at an angle, in degrees, in one plane."""
    vectors = np.zeros((len(angles), max(stop for _, stop in SPACES.values())), np.float32)
    for start, _ in SPACES.values():
        vectors[:, start], vectors[:, start + 1] = np.cos(np.radians(angles)) / 2, np.sin(np.radians(angles)) / 2
    return vectors


def loop(
    members: Mapping[str, NDArray[Any]], name: str, weights: Mapping[str, float], least: int
) -> list[tuple[str, float]]:
    """All others and their scores by the definition, one space and one artist at a time."""

    def middle(tracks: NDArray[Any]) -> NDArray[np.float64]:
        found = np.zeros(tracks.shape[1])
        for start, stop in SPACES.values():
            parts = tracks[:, start:stop].astype(np.float64)
            total = sum(part / np.linalg.norm(part) for part in parts)
            found[start:stop] = total / np.linalg.norm(total)
        return found

    own = middle(members[name])
    scores = {
        other: mean(cosines(own, middle(tracks)), weights)
        for other, tracks in members.items()
        if other != name and len(tracks) >= least
    }
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


@given(st.integers(0, 11), WEIGHTS, st.integers(1, 8), st.integers(1, 15))
@settings(max_examples=25, deadline=None)
def test_artists_are_those_of_a_loop(
    library: Groups, number: int, weights: dict[str, float], least: int, k: int
) -> None:
    """A track of two artists counts for both."""
    names = sorted({name for own in OWN for name in own})
    members = {name: VECTORS[[name in own for own in OWN]] for name in names}
    name = names[number % len(names)]
    found = library.similar_artists(name, k, weights, least)
    expected = loop(members, name, weights, least)[:k]
    assert [artist.artist for artist in found] == [other for other, _ in expected]
    assert [artist.score for artist in found] == pytest.approx([score for _, score in expected], abs=1e-6)
    assert [artist.distance for artist in found] == pytest.approx([1 - score for _, score in expected], abs=1e-6)
    for artist in found:
        assert artist.tracks == len(members[artist.artist]) >= least
        assert mean(artist.dimensions, weights) == pytest.approx(artist.score, abs=1e-6)


@given(st.integers(0, 7), WEIGHTS, st.integers(1, 10))
@settings(max_examples=15, deadline=None)
def test_albums_are_those_of_a_loop(library: Groups, number: int, weights: dict[str, float], least: int) -> None:
    names = sorted(set(ALBUMS))
    members = {name: VECTORS[[name == other for other in ALBUMS]] for name in names}
    name = names[number % len(names)]
    found = library.similar_albums(name, "various", 20, weights, least)
    expected = loop(members, name, weights, least)
    assert [(album.album, album.artist) for album in found] == [(other, "Various") for other, _ in expected]
    assert [album.score for album in found] == pytest.approx([score for _, score in expected], abs=1e-6)


def test_a_mean_lies_in_the_middle(make: Make) -> None:
    """A has tracks at 0 and 60 degrees, so its mean is at 30. B at 30 has the cosine 1, C at 90 1/2, D at 120 0."""
    groups = make(directions(0, 60, 30, 90, 120), artist=["A", "A", "B", "C", "D"])
    found = groups.similar_artists("A")
    assert [(artist.artist, artist.tracks) for artist in found] == [("B", 1), ("C", 1), ("D", 1)]
    assert [artist.score for artist in found] == pytest.approx([1, 0.5, 0], abs=1e-6)
    assert [artist.distance for artist in found] == pytest.approx([0, 0.5, 1], abs=1e-6)


def test_weights_decide(make: Make) -> None:
    """B equals A in mood only, C in genre only."""
    vectors = directions(0, 90, 90)
    for row, space in ((1, "mood"), (2, "genre")):
        start, stop = SPACES[space]
        vectors[row, start:stop] = vectors[0, start:stop]
    groups = make(vectors, artist=["A", "B", "C"])
    assert [a.artist for a in groups.similar_artists("A", weights={"mood": 1})] == ["B", "C"]
    assert [a.artist for a in groups.similar_artists("A", weights={"mood": 1, "genre": 2})] == ["C", "B"]
    (best, *_) = groups.similar_artists("A", weights={"mood": 1, "genre": 3})
    assert (best.artist, best.score) == ("C", pytest.approx(0.75, abs=1e-6))


def test_equal_artists_come_by_name(make: Make) -> None:
    groups = make(directions(0, 45, 45, 45), artist=["A", "d", "B", "C"])
    assert [artist.artist for artist in groups.similar_artists("A", 2)] == ["B", "C"]
    assert [artist.artist for artist in groups.similar_artists("A")] == ["B", "C", "d"]


def test_few_tracks(make: Make) -> None:
    """`min_tracks` is for the results; the artist that is named may have fewer."""
    groups = make(directions(0, 10, 20, 20), artist=["A", "B", "C", "C"])
    assert [(a.artist, a.tracks) for a in groups.similar_artists("A", min_tracks=2)] == [("C", 2)]
    assert groups.similar_artists("A", min_tracks=3) == []


def test_copies_count_once(make: Make) -> None:
    """Two files of one content at 0 degrees and a third track at 90: the mean is at 45, not nearer to the copies."""
    groups = make(directions(45, 0, 0, 90), artist=["A", "B", "B", "B"], hash=["0", "1", "1", "2"])
    (found,) = groups.similar_artists("A")
    assert (found.tracks, found.score) == (2, pytest.approx(1, abs=1e-6))


def test_spellings_are_one_artist(make: Make) -> None:
    """The most frequent spelling is shown, and any spelling finds it."""
    artists = ["Dvořák", "DVOŘÁK", "Dvořák", "dvor\u030ca\u0301k", "Anna"]
    groups = make(directions(0, 10, 20, 30, 40), artist=artists)
    (found,) = groups.similar_artists("anna")
    assert (found.artist, found.tracks) == ("Dvořák", 4)
    assert [artist.artist for artist in groups.similar_artists("  dvoŘÁk ")] == ["Anna"]


def test_guests_are_artists_and_the_joint_name_is_not(make: Make) -> None:
    columns = {"artist": ["A feat. B", "C", "A feat. D"], "artists": [("A", "B"), (), ()]}
    groups = make(directions(0, 10, 20), **columns)
    assert {artist.artist for artist in groups.similar_artists("C")} == {"A", "B", "A feat. D"}


def test_silent_artists(make: Make) -> None:
    vectors = directions(0, 10, 20)
    vectors[2] = 0
    groups = make(vectors, artist=["A", "B", "Silence"])
    assert [artist.artist for artist in groups.similar_artists("A")] == ["B"]
    with pytest.raises(InputError, match="Cannot search by 'Silence': its tracks are silent"):
        groups.similar_artists("Silence")


def test_unknown_names_suggest_close_ones(make: Make) -> None:
    groups = make(directions(0, 10, 20), artist=["Radiohead", "Portishead", "ABBA"], album=["One", "Two", "Three"])
    with pytest.raises(UnknownNameError, match=r"Unknown artist 'radiohed'. Did you mean 'Radiohead'\?"):
        groups.similar_artists("radiohed")
    with pytest.raises(UnknownNameError, match=r"Unknown artist 'xyz'. Names are those of the files' metadata"):
        groups.similar_artists("xyz")
    with pytest.raises(UnknownNameError, match=r"Unknown album 'Thre'. Did you mean 'Three'\?"):
        groups.similar_albums("Thre")
    with pytest.raises(UnknownNameError, match=r"Unknown dimension 'moods'. Did you mean 'mood'"):
        groups.similar_artists("ABBA", weights={"moods": 1})
    nothing = make(directions(0))
    with pytest.raises(UnknownNameError, match="no file of the library names an artist"):
        nothing.similar_artists("ABBA")


def test_close_names_among_many() -> None:
    """The name with the fewest changes is first, also behind a thousand others."""
    names = [f"Artist {i}" for i in range(3000)] + ["Sigur Rós", "Sigrid"]
    assert close_names("sigur ros", names)[0] == "Sigur Rós"
    assert close_names("", names) == close_names("0", []) == []


@pytest.mark.parametrize("name", ["k", "min_tracks"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_numbers_out_of_range(library: Groups, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{name} must be a whole number from 1, got {value!r}"):
        library.similar_artists("Artist 0", **{name: value})


def test_albums_of_one_title(make: Make) -> None:
    """Several artists' Greatest Hits are distinguished; discs of one box are one album."""
    columns = {
        "album": ["Greatest Hits", "Greatest Hits", "Box [Disc 1]", "Box [Disc 2]", "Mix", "Mix"],
        "album_artist": ["ABBA", "Queen", "Nina", "Nina", None, None],
        "artist": ["ABBA", "Queen", "Nina", "Nina", "Sam", "Tom"],
    }
    groups = make(directions(0, 90, 10, 30, 80, 80), **columns)
    with pytest.raises(InputError, match=r"There are 2 albums 'greatest hits': by ABBA, by Queen. Name the artist"):
        groups.similar_albums("greatest hits")
    (first, second, *_) = groups.similar_albums("greatest hits", "abba")
    assert (first.album, first.artist, first.tracks) == ("Box [Disc 1]", "Nina", 2)
    assert first.score == pytest.approx(np.cos(np.radians(20)), abs=1e-6)
    assert (second.album, second.artist, second.tracks) == ("Mix", None, 2)
    assert groups.similar_albums("box")[0] == groups.similar_albums("Box [Disc 1]", "Nina")[0]
    with pytest.raises(UnknownNameError, match=r"Unknown album 'Mix' by 'ABBA'. There is one by several artists"):
        groups.similar_albums("Mix", "ABBA")
    assert groups.similar_albums("Mix", "Tom") == groups.similar_albums("Mix")


def test_the_means_follow_the_library(tmp_path: Path) -> None:
    """Tracks that another process adds, changes or removes count at the next query."""
    a, b, c = rows(directions(0, 40, 20), artist=["A", "B", "C"])
    with filled(tmp_path / "library.db", [a, b]) as database, Database.open(tmp_path / "library.db") as reader:
        groups = Groups(Vectors(reader))
        assert [artist.artist for artist in groups.similar_artists("A")] == ["B"]
        database.add(c)
        assert [artist.artist for artist in groups.similar_artists("A")] == ["C", "B"]
        database.remove(3)
        assert [artist.artist for artist in groups.similar_artists("A")] == ["B"]


def test_as_json() -> None:
    artist = SimilarArtist("A", 1 / 3, {"genre": 1 / 3}, 2).as_dict(1)
    assert artist == {"rank": 1, "artist": "A", "score": 0.333333, "dimensions": {"genre": 0.333333}, "tracks": 2}
    album = SimilarAlbum("One", None, 0.5, {"genre": 0.5}, 2).as_dict(3)
    assert album == {"rank": 3, "album": "One", "artist": None, "score": 0.5, "dimensions": {"genre": 0.5}, "tracks": 2}
