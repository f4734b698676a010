"""Milvus gives the results of a library: with milvus-lite, the same client on a local file."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy as toys
from catalogue import CONFIG, entry, same
from clusters import clustered, entries
from numpy.typing import NDArray

import musiczoo
from musiczoo.errors import AudioNotFoundError, InputError, LibraryError, SpaceMismatchError, UnknownNameError
from musiczoo.library.database import Database
from musiczoo.library.filters import Filters
from musiczoo.library.library import Library
from musiczoo.library.query import Query, compile_query
from musiczoo.library.records import Entry
from musiczoo.scale import parquet

pytestmark = pytest.mark.scale
pytest.importorskip("milvus_lite")

from musiczoo.scale import milvus  # noqa: E402  (needs pymilvus)
from musiczoo.scale.milvus import MilvusStore  # noqa: E402
from musiczoo.scale.milvus_records import track_id  # noqa: E402

SONGS = entries(clustered(400, styles=20, places=8, spread=1.0))


@pytest.fixture(autouse=True)
def _shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first search fetches only some of the songs, as in a catalogue of millions."""
    monkeypatch.setattr(milvus, "FIRST_DEPTH", 25)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, toy: musiczoo.Model) -> Iterator[Library]:
    """The songs in SQLite: the reference."""
    path = tmp_path_factory.mktemp("library") / "library.db"
    with Database.create(path, CONFIG) as database, database.transaction():
        for song in SONGS:
            database.add(song)
    with Library.open(path, toy) as opened:
        yield opened


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, toy: musiczoo.Model) -> Iterator[MilvusStore]:
    """The same songs in Milvus."""
    with MilvusStore.create(tmp_path_factory.mktemp("milvus") / "catalogue.db", CONFIG, model=toy) as made:
        assert made.add(SONGS) == len(SONGS)
        yield made


WEIGHTS: list[dict[str, float] | None] = [
    None,
    {"genre": 1, "mood": 2},
    {"era": 1},
    {"genre": 5, "mood": 1, "era": 0.5},
]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(
    "query",
    [
        SONGS[3].path,
        Query(songs=(SONGS[5].path, SONGS[300].path)),
        Query(songs=(SONGS[5].path, SONGS[300].path), combine="each"),
        Query(songs=(SONGS[9].path,), unlike=(SONGS[10].path,)),
    ],
)
def test_hits_are_those_of_a_library(library: Library, store: MilvusStore, query: Any, weights: Any) -> None:
    for options in ({}, {"per_artist": 1, "per_album": 2}):
        assert_same(store.search(query, 10, weights, **options), library.search(query, 10, weights, **options))


def test_mix_and_match(library: Library, store: MilvusStore) -> None:
    query = Query(of={"genre": SONGS[1].path, "mood": SONGS[2].path})
    assert_same(store.search(query, 10), library.search(query, 10))


@pytest.mark.parametrize(
    "filters",
    [
        Filters(path="7 albums/*"),
        Filters(path="/music/1? albums/*.mp3"),
        Filters(artist="ARTIST 12"),
        Filters(album="album 3", years=(1960, None)),
        Filters(years=(1990, 1999), durations=(100, 3000.5)),
        Filters(having={"jazz": 0.5, "ROCK": None}),
        Filters(artist='No "such" \\ artist'),
    ],
)
def test_filters_are_those_of_a_library(library: Library, store: MilvusStore, filters: Filters) -> None:
    expected = library.search(SONGS[3].path, 10, filters=filters)
    assert bool(expected) == (filters.artist != 'No "such" \\ artist')
    assert_same(store.search(SONGS[3].path, 10, filters=filters), expected)


def test_a_song_that_is_not_in_it_is_analyzed(
    library: Library, store: MilvusStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = toys.write_audio(tmp_path / "new.wav", toys.music(4))
    assert_same(store.search(song, 5), library.search(song, 5))
    assert_same(store.search(store.model().analyze(song, hop=None), 5), library.search(song, 5))
    analyzed: list[Any] = []
    analyze = musiczoo.Model.analyze
    monkeypatch.setattr(musiczoo.Model, "analyze", lambda *a, **k: analyzed.append(a) or analyze(*a, **k))
    assert_same(store.search(song, 5), library.search(song, 5))
    assert len(analyzed) == 2  # once each, however deep the search goes


def test_malformed_queries_are_refused(store: MilvusStore) -> None:
    for wrong, error, message in (
        ({"query": SONGS[0].path, "k": 0}, InputError, "whole number from 1"),
        ({"query": "/no/such/song.mp3"}, AudioNotFoundError, "no/such/song"),
        ({"query": SONGS[0].path, "weights": {"tempo": 1}}, UnknownNameError, "tempo"),
        ({"query": SONGS[0].path, "weights": {"era": -1}}, InputError, "must be 0 or more"),
        ({"query": SONGS[0].path, "filters": Filters(path="[ab]*")}, InputError, "Milvus"),
        ({"query": SONGS[0].path, "filters": Filters(having={"polka metal": 0.5})}, UnknownNameError, "polka metal"),
    ):
        with pytest.raises(error, match=message):
            store.search(**wrong)


def test_writing_again_replaces_and_removes(tmp_path: Path) -> None:
    said = {"artists": ('A "B" \\ C', "Bo\u0308hm"), "warnings": ("It ends early.",), "fingerprint": bytes(range(36))}
    odd = entry("/music/100%_\udcff.mp3", 1, title="é" * 3000, artist='A "B" \\ C', album_artist="Various", **said)
    with MilvusStore.create(tmp_path / "a.db", CONFIG) as made:
        made.add([odd, *SONGS[:3]])
        changed = dataclasses.replace(SONGS[0], title="New")
        made.add([changed])
        assert len(made) == 4
        assert made.find(changed.path).title == "New"
        made.remove([SONGS[1].path])
        assert (len(made), made.find(SONGS[1].path)) == (3, None)
    with MilvusStore.open(tmp_path / "a.db") as again:  # it is on disk
        assert again.config == CONFIG
        assert len(again) == 3
        found = again.find(odd.path)
        assert same(found, dataclasses.replace(odd, title="é" * 512), 1e-6)
        for artist in ('a "b" \\ c', "BÖHM"):
            hits = again.search(SONGS[0].path, filters=Filters(path="100%_*", artist=artist))
            assert [hit.path for hit in hits] == [odd.path]
        assert not again.search(SONGS[0].path, filters=Filters(path="100_%*"))


def test_parts_are_imported(tmp_path: Path) -> None:
    rows = [*SONGS[:4], parquet.Failure("/bad.mp3", 1, 2, "AudioError", "bad", "")]
    (tmp_path / "a.parquet").write_bytes(parquet.encode(rows, CONFIG, "digest"))
    other = dataclasses.replace(CONFIG, space_id="toy-2")
    with MilvusStore.create(tmp_path / "a.db", CONFIG) as made:
        assert made.import_parts([tmp_path / "a.parquet"]) == made.import_parts([tmp_path]) == 4
        assert len(made) == 4
        (tmp_path / "b.parquet").write_bytes(parquet.encode(SONGS[4:6], other, "digest"))
        with pytest.raises(SpaceMismatchError, match=r"b\.parquet"):
            made.import_parts([tmp_path])
        assert len(made) == 4


def test_other_collections_are_refused(tmp_path: Path, toy: musiczoo.Model) -> None:
    path = tmp_path / "a.db"
    with pytest.raises(LibraryError, match="No collection 'tracks'"):
        MilvusStore.open(path)
    MilvusStore.create(path, dataclasses.replace(CONFIG, space_id="toy-2")).close()
    with pytest.raises(LibraryError, match="has a collection 'tracks' already"):
        MilvusStore.create(path, CONFIG)
    with pytest.raises(SpaceMismatchError, match="toy-1"):
        MilvusStore.open(path, model=toy)


def test_recall_of_the_candidates(tmp_path: Path) -> None:
    """One look at 200 a field: what part of the exact top 10 is among them, for equal, mixed and single weights.

    Hard on purpose: a song's place in one space says nothing of its place in another, and noise hides the clusters.
    """
    songs = entries(clustered(3000, styles=0, places=50, spread=2.0, seed=1))
    vectors = np.stack([song.embedding for song in songs]).astype(np.float64)
    queries = np.random.default_rng(2).choice(len(songs), 5, replace=False)
    with MilvusStore.create(tmp_path / "a.db", CONFIG) as made:
        made.add(songs)
        for weights, least in ((dict.fromkeys(CONFIG.spaces, 1), 0.8), ({"genre": 2, "mood": 1}, 0.9), ({"era": 1}, 1)):
            found = [recall(made, songs, vectors, i, weights, 200) for i in queries]
            print(f"recall@10 of 200 candidates a field, {weights}: {np.mean(found):.3f}")
            assert np.mean(found) >= least


def recall(
    store: MilvusStore, songs: list[Entry], vectors: NDArray[np.float64], i: int, weights: dict[str, int], depth: int
) -> float:
    """Of one song's exact top 10 (itself left out), the part among the candidates of one look."""
    share = np.zeros(vectors.shape[1])
    for name, weight in weights.items():
        start, stop = CONFIG.spaces[name]
        share[start:stop] = len(CONFIG.spaces) * weight / sum(weights.values())
    scores = vectors @ (vectors[i] * share)
    order = np.argsort(-scores, kind="stable")
    top = {track_id(songs[j].path) for j in order[order != i][:10]}
    [question] = compile_query(Query(songs=(songs[i].path,)), milvus._FetchedCandidates(store), weights).vectors
    named = milvus.fetch_candidates(store, [question], depth)
    others = ~np.isin([track_id(song.path) for song in songs], named.ids)
    assert scores[others].max() <= named.bound + 1e-6  # what is promised of those that no field named
    return len(top & set(named.ids.tolist())) / 10


def assert_same(found: list[Any], expected: list[Any]) -> None:
    """Equal hits, numbers to float32's rounding."""
    assert [hit.path for hit in found] == [hit.path for hit in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert one.dimensions == pytest.approx(other.dimensions, abs=1e-5)
        rest = dict(score=0.0, dimensions={})
        assert dataclasses.replace(one, **rest) == dataclasses.replace(other, **rest)
