"""Search: hits, scores and explanations, against loops; and against the evaluation's retrieval."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shelf
from hypothesis import given, settings
from hypothesis import strategies as st
from searched import NAMES, SPACES, Analyzer, Shelf, clustered, cosines, filled, mean, naive, rows, track
from toy import CARD

from musiczoo.errors import InputError
from musiczoo.evaluation.metrics import retrieval
from musiczoo.library.engines import EXACT, FLAT, PQ
from musiczoo.library.filters import Filters
from musiczoo.library.query import Query
from musiczoo.library.search import POOL, Hit, _drawn, search

COUNT = 80
VECTORS = clustered(COUNT, seed=6, clusters=10)
TAGS = np.random.default_rng(2).random((COUNT, len(CARD.tags)), np.float32)
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 10), min_size=1)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    path = tmp_path_factory.mktemp("search") / "library.db"
    artists = [f"Artist {i % 7}" for i in range(COUNT)]
    with filled(path, rows(VECTORS, tags=TAGS, artist=artists)) as database:
        yield Shelf(database)


def song(i: int) -> str:
    return f"/music/{i:03d}.wav"


def numbers(hits: list[Hit]) -> list[int]:
    return [int(hit.path[-7:-4]) for hit in hits]


@given(st.integers(0, COUNT - 1), WEIGHTS, st.integers(1, 90))
@settings(max_examples=25)
def test_hits_are_those_of_a_loop(library: Shelf, row: int, weights: dict[str, float], k: int) -> None:
    hits = search(library, song(row), k, weights)
    expected = naive(VECTORS[row], VECTORS, weights, k, skip=[row])
    assert numbers(hits) == [i for i, _ in expected]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected], abs=1e-6)


@given(st.integers(0, COUNT - 1))
@settings(max_examples=10)
def test_the_similarity_percentile_is_counted(library: Shelf, row: int) -> None:
    everywhere = [cosines(VECTORS[row], vector) for vector in VECTORS]
    for hit in search(library, song(row), 5, {"mood": 1}):
        for name, percentile in hit.similarity_percentile.items():
            assert percentile == 100 * sum(near[name] < hit.dimensions[name] - 1e-6 for near in everywhere) / COUNT
    assert search(library, song(row), 1, {"mood": 1})[0].similarity_percentile["mood"] == 100 * (COUNT - 2) / COUNT


@given(st.integers(0, COUNT - 1), WEIGHTS)
@settings(max_examples=25)
def test_a_score_is_the_weighted_mean_of_its_dimensions(library: Shelf, row: int, weights: dict[str, float]) -> None:
    for hit in search(library, song(row), 5, weights):
        assert hit.score == pytest.approx(mean(hit.dimensions, weights), abs=1e-6)
        (number,) = numbers([hit])
        assert hit.dimensions == pytest.approx(cosines(VECTORS[row], VECTORS[number]), abs=1e-6)


@pytest.mark.parametrize("engine", [FLAT, PQ])
def test_other_engines_find_the_same(library: Shelf, engine: str) -> None:
    pytest.importorskip("faiss")
    other = Shelf(library.database, engine=engine)
    for weights in (None, {"mood": 1.0}, {"genre": 1.0, "era": 2.0}):
        for filters in (None, Filters(artist="artist 3"), Filters(durations=(1000, None))):
            assert search(other, song(3), 10, weights, filters) == search(library, song(3), 10, weights, filters)
    assert other.vectors.current().engine.name == engine


def test_recall_equals_the_evaluations(library: Shelf) -> None:
    """R@K by searching for each song = R@K of musiczoo.evaluation.metrics.retrieval, which multiplies matrices."""
    positives = np.random.default_rng(0).random((COUNT, 12)) < 0.2
    expected = retrieval.evaluate(retrieval.nearest(VECTORS, 8), positives)
    found = np.array([numbers(search(library, song(i), 8, fold_duplicates=False)) for i in range(COUNT)])
    shares = [
        [len(np.flatnonzero(own & positives[near[:k]].any(axis=0))) / own.sum() for k in retrieval.KS]
        for own, near in zip(positives, found, strict=True)
        if own.any()
    ]
    assert np.mean(shares, axis=0) == pytest.approx([expected["recall"][str(k)]["value"] for k in retrieval.KS])


def test_the_query_is_left_out_wherever_it_is_named(library: Shelf) -> None:
    query = Query([song(1)], like=[song(2)], of={"mood": song(3)}, unlike=[song(4)])
    assert set(numbers(search(library, query, COUNT, fold_duplicates=False))) == set(range(COUNT)) - {1, 2, 3, 4}
    analyzed = track(VECTORS[5], path=song(5))
    assert 5 not in numbers(search(library, analyzed, COUNT))


def test_a_song_from_outside_leaves_nothing_out(library: Shelf) -> None:
    hits = search(library, track(VECTORS[5], path="/elsewhere/005.wav"), COUNT, fold_duplicates=False)
    assert numbers(hits)[0] == 5
    assert len(hits) == COUNT
    folded = search(library, track(VECTORS[5], duration_s=500.0), COUNT)
    assert numbers(folded)[0] == 5  # it sounds the same, but is another file


def test_each_song_in_turn_gives_the_best_of_their_scores(library: Shelf) -> None:
    songs = [3, 44, 70]
    hits = search(library, Query([song(i) for i in songs], combine="each"), 12, {"genre": 1.0, "mood": 2.0})
    scores = {
        i: max(mean(cosines(VECTORS[s], VECTORS[i]), {"genre": 1.0, "mood": 2.0}) for s in songs)
        for i in set(range(COUNT)) - set(songs)
    }
    assert numbers(hits) == sorted(scores, key=lambda i: -scores[i])[:12]
    assert [hit.score for hit in hits] == pytest.approx([scores[i] for i in numbers(hits)], abs=1e-6)
    for hit in hits:
        near = [cosines(VECTORS[s], VECTORS[numbers([hit])[0]]) for s in songs]
        assert any(hit.dimensions == pytest.approx(cosine, abs=1e-6) for cosine in near)


def test_a_mean_is_near_to_what_the_songs_share(library: Shelf) -> None:
    (hit,) = search(library, [song(3), song(44)], 1)
    expected = {}
    for name, (start, stop) in SPACES.items():
        both = VECTORS[3, start:stop].astype(float) + VECTORS[44, start:stop]
        expected[name] = float(both @ VECTORS[numbers([hit])[0], start:stop] / np.linalg.norm(both) * 2)
    assert hit.dimensions == pytest.approx(expected, abs=1e-6)


def test_what_is_rejected_falls(library: Shelf) -> None:
    order = numbers(search(library, song(0), COUNT, fold_duplicates=False))
    second = order[1]
    other = numbers(search(library, Query([song(0)], unlike=[song(order[0])]), COUNT, fold_duplicates=False))
    assert order[0] not in other
    twin = max(set(other), key=lambda i: float(VECTORS[i] @ VECTORS[order[0]]))
    assert other.index(twin) >= order.index(twin) - 1
    assert second in other


def test_dimensions_are_those_of_the_query(library: Shelf) -> None:
    (hit,) = search(library, Query(of={"genre": song(1), "era": song(2)}), 1)
    assert list(hit.dimensions) == ["genre", "era"]
    (hit,) = search(library, song(1), 1, {"mood": 1})
    assert list(hit.dimensions) == list(NAMES)


def test_shared_tags_are_predicted_for_both_the_most_probable_first(library: Shelf) -> None:
    for hit in search(library, song(9), 5):
        (number,) = numbers([hit])
        both = [i for i in range(50) if TAGS[9, i] >= 0.5 and TAGS[number, i] >= 0.5]
        assert list(hit.shared_tags) == [CARD.tags[i] for i in sorted(both, key=lambda i: -TAGS[number, i])]


def test_tags_of_the_query_that_a_hit_has(library: Shelf) -> None:
    points = np.zeros((50, 256), np.float32)
    points[CARD.tags.index("jazz"), 0] = points[CARD.tags.index("rock"), 1] = 1
    tagged = Shelf(library.database, Analyzer(points=points))
    for hit in search(tagged, Query(tags=["jazz", "Rock"]), 20):
        (number,) = numbers([hit])
        assert set(hit.shared_tags) == {t for t in ("jazz", "rock") if TAGS[number, CARD.tags.index(t)] >= 0.5}
        part = VECTORS[number, :64] * 2
        assert hit.score == pytest.approx((part[0] + part[1]) / np.sqrt(2), abs=1e-6)


def test_filters_keep_the_best_that_pass(library: Shelf) -> None:
    hits = search(library, song(3), 5, filters=Filters(artist="artist 3"))
    skip = [i for i in range(COUNT) if i % 7 != 3 or i == 3]
    assert numbers(hits) == [i for i, _ in naive(VECTORS[3], VECTORS, dict.fromkeys(NAMES, 1), 5, skip)]
    assert search(library, song(3), 5, filters=Filters(artist="nobody")) == []


def test_limits_reach_further_down(library: Shelf) -> None:
    hits = search(library, song(0), 7, per_artist=1)
    assert sorted(hit.artist or "" for hit in hits) == [f"Artist {i}" for i in range(7)]
    order = numbers(search(library, song(0), COUNT))
    assert numbers(hits) == [next(i for i in order if i % 7 == a) for a in dict.fromkeys(i % 7 for i in order)]
    assert len(search(library, song(0), 30, per_artist=1)) == 7


def test_files_of_one_recording_are_one_hit(tmp_path: Path) -> None:
    """Rows 2 to 5 are the same; row 1 is a copy of row 0, byte for byte, row 6 another encoding of it."""
    vectors = np.concatenate([VECTORS[[0, 0, 1, 1, 1, 1, 0]], VECTORS[2:10]])
    seconds = [100.0, 100.0, *[50.0, 50.0, 51.0, 50.0], 100.5, *(200.0 + 10 * i for i in range(8))]
    hashes = ["query", "query", *(str(i) for i in range(13))]
    titles = ["Q", "Q", *["T"] * 4, "Q", *(f"U{i}" for i in range(8))]
    columns = {"duration_s": seconds, "hash": hashes, "title": titles, "artist": ["A"] * 15}
    with filled(tmp_path / "library.db", rows(vectors, **columns)) as database:
        library = Shelf(database)
        hits = search(library, song(0), 20)
        assert len(hits) == 10
        assert hits[0].path == song(6)
        (hit,) = (hit for hit in hits if hit.path == song(2))
        assert hit.duplicates == (song(3), song(4), song(5))
        assert len(search(library, song(0), 20, fold_duplicates=False)) == 14
        assert search(library, song(0), 20, fold_duplicates=False)[0].path == song(1)


def test_a_copy_of_a_file_from_outside_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "query.wav").write_bytes(b"the same bytes")
    digests = [hashlib.blake2b(data, digest_size=16).hexdigest() for data in (b"the same bytes", b"others")]
    with filled(tmp_path / "library.db", rows(VECTORS[[0, 0]], hash=digests)) as database:
        path = str(tmp_path / "query.wav")
        library = Shelf(database, Analyzer({path: track(VECTORS[0])}))
        assert numbers(search(library, path)) == numbers(search(library, track(VECTORS[0], path=path))) == [1]
        assert numbers(search(library, track(VECTORS[0]))) == [0, 1]  # samples are no file


def test_silence_is_similar_to_nothing(tmp_path: Path) -> None:
    vectors = np.concatenate([np.zeros((3, 256), np.float32), VECTORS[:4]])
    with filled(tmp_path / "library.db", rows(vectors)) as database:
        library = Shelf(database)
        for folding in (True, False):
            hits = search(library, song(4), 20, fold_duplicates=folding)
            assert sorted(numbers(hits)) == [3, 5, 6]
            assert all(0 <= share <= 100 for hit in hits for share in hit.similarity_percentile.values())
        for query in (song(0), Query(songs=[song(4), song(1)]), Query(unlike=[song(2)])):
            with pytest.raises(InputError, match=r"Cannot search by /music/00[012]\.wav.*silent"):
                search(library, query)
        with pytest.raises(InputError, match="silent"):
            search(library, track(vectors[0]))


def test_equal_scores_are_ordered_by_path(tmp_path: Path) -> None:
    vectors = np.concatenate([VECTORS[:1], np.repeat(VECTORS[1:2], 9, axis=0)])
    paths = ["/q.wav", *(f"/{name}.wav" for name in "gbdaichfe")]
    with filled(tmp_path / "library.db", rows(vectors, path=paths)) as database:
        hits = search(Shelf(database), "/q.wav", 3, fold_duplicates=False)
    assert [hit.path for hit in hits] == ["/a.wav", "/b.wav", "/c.wav"]


def test_a_changed_library_is_searched_as_it_is_now(tmp_path: Path) -> None:
    with filled(tmp_path / "library.db", rows(VECTORS[:20])) as database:
        library = Shelf(database)
        first = search(library, song(0), 1)[0]
        database.remove(numbers([first])[0] + 1)
        assert first.path not in [hit.path for hit in search(library, song(0), 30)]
        database.add(dataclasses.replace(rows(VECTORS[:1])[0], path="/new.wav", hash="new"))
        assert search(library, song(0), 1)[0].path == "/new.wav"


@pytest.mark.parametrize("engine", [EXACT, FLAT, PQ])
def test_small_and_empty_libraries_answer(tmp_path: Path, engine: str) -> None:
    if engine != EXACT:
        pytest.importorskip("faiss")
    with filled(tmp_path / "library.db", []) as database:
        library = Shelf(database, engine=engine)
        assert search(library, track(VECTORS[0])) == []
        database.add(rows(VECTORS[:1])[0])
        assert search(library, song(0)) == []
        database.add(rows(VECTORS[:2])[1])
        assert numbers(search(library, song(0))) == [1]


def test_unnormalized_models_are_compared_by_cosine(tmp_path: Path) -> None:
    config = dataclasses.replace(shelf.CONFIG, spaces={"all": (0, 256)}, normalized=False)
    raw = np.random.default_rng(3).normal(size=(30, 256)).astype(np.float32)
    raw *= np.linspace(0.1, 50, 30, dtype=np.float32)[:, np.newaxis]
    with filled(tmp_path / "library.db", rows(raw), config) as database:
        hits = search(Shelf(database), song(4), 29)
    cosine = raw @ raw[4] / np.linalg.norm(raw, axis=1) / np.linalg.norm(raw[4])
    assert numbers(hits) == [i for i in np.argsort(-cosine).tolist() if i != 4]
    assert [hit.dimensions for hit in hits] == [{"all": hit.score} for hit in hits]
    assert [hit.score for hit in hits] == pytest.approx(sorted(np.delete(cosine, 4), reverse=True), abs=1e-6)


@pytest.mark.parametrize("limits", [{"k": 0}, {"k": 2.0}, {"k": True}, {"per_artist": 0}, {"per_album": -1}])
def test_malformed_limits_are_refused(library: Shelf, limits: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(limits))):
        search(library, song(0), **limits)


def test_a_hit_as_json() -> None:
    hit = Hit("/a\udce9.wav", 0.12345678, {"genre": 0.5, "mood": -1 / 3}, ("jazz",), "T", "A", "B")
    record = {"rank": 3, "path": "/a\udce9.wav", "score": 0.123457, "dimensions": {"genre": 0.5, "mood": -0.333333}}
    assert hit.as_dict(3) == record | {"shared_tags": ["jazz"]}
    copied = dataclasses.replace(hit, duplicates=("/b.wav",)).as_dict(3)
    assert list(copied) == ["rank", "path", "score", "dimensions", "shared_tags", "duplicates"]
    assert json.loads(json.dumps(copied)) == copied


@given(st.integers(0, COUNT - 1), st.integers(1, 40), st.integers(0, 2**40))
@settings(max_examples=10, deadline=None)
def test_without_variety_the_seed_does_not_count(library: Shelf, row: int, k: int, seed: int) -> None:
    assert search(library, song(row), k, variety=0, seed=seed) == search(library, song(row), k)


@given(st.integers(0, COUNT - 1), st.integers(1, 20), st.floats(0.01, 1), st.integers(0, 2**40))
@settings(max_examples=10, deadline=None)
def test_variety_draws_from_the_nearest(library: Shelf, row: int, k: int, variety: float, seed: int) -> None:
    """The same seed gives the same hits, in the order of a search five times as deep; limits hold."""
    hits = search(library, song(row), k, variety=variety, seed=seed)
    pool = search(library, song(row), POOL * k)
    assert len(hits) == min(k, len(pool))
    assert [hit for hit in pool if hit in hits] == hits
    assert hits == search(library, song(row), k, variety=variety, seed=seed)
    limited = search(library, song(row), k, per_artist=1, variety=variety, seed=seed)
    assert len({hit.artist for hit in limited}) == len(limited) == min(k, 7)


def test_more_variety_reaches_farther(library: Shelf) -> None:
    rank = {i: place for place, i in enumerate(numbers(search(library, song(5), 50)))}

    def mean_rank(variety: float) -> float:
        found = [numbers(search(library, song(5), 10, variety=variety, seed=seed)) for seed in range(30)]
        return float(np.mean([[rank[i] for i in hits] for hits in found]))

    means = [mean_rank(variety) for variety in (0, 0.1, 0.3, 0.6, 1)]
    assert means[0] == 4.5
    assert all(one < other for one, other in itertools.pairwise(means))
    assert means[-1] == pytest.approx(24.5, abs=3)  # that of any ten of fifty; four standard errors


def test_the_draw_follows_the_rule() -> None:
    """One of three, with probabilities proportional to rank^(-(1 - v) / v)."""
    for variety, exponent in ((1 / 3, 2), (0.5, 1), (1.0, 0)):
        weights = 1 / np.array([1, 2, 3]) ** exponent
        drawn = [_drawn(3, 1, variety, seed)[0] for seed in range(4000)]
        shares = np.bincount(drawn, minlength=3) / 4000
        assert shares == pytest.approx(weights / weights.sum(), abs=0.03)  # four standard errors


def test_excluded_tracks_and_their_copies_are_no_hits(library: Shelf, tmp_path: Path) -> None:
    nearest = numbers(search(library, song(5), 10))
    without = numbers(search(library, song(5), 8, exclude=[song(nearest[0]), song(nearest[3]), "/not/there.mp3"]))
    assert without == [i for i in nearest if i not in (nearest[0], nearest[3])]
    with filled(tmp_path / "library.db", rows(VECTORS[:4], hash=["0" * 32, "1" * 32, "1" * 32, "2" * 32])) as database:
        assert numbers(search(Shelf(database), song(0), exclude=[song(1)])) == [3]
        assert set(numbers(search(Shelf(database), song(0), exclude=[song(1)], fold_duplicates=False))) == {2, 3}


@pytest.mark.parametrize("variety", [-0.1, 1.1, float("nan"), True])
def test_a_wrong_variety(library: Shelf, variety: float) -> None:
    with pytest.raises(InputError, match="variety must be a number from 0 to 1"):
        search(library, song(0), variety=variety)
    with pytest.raises(InputError, match=r"seed must be a whole number from 0, got -1."):
        search(library, song(0), variety=0.5, seed=-1)
