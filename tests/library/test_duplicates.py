"""Filtering of results: duplicates, limits per artist or album, and what is kept."""

import numpy as np
import pytest
from searched import SPACES, Floats, clustered, cosines, rows

from musiczoo.library.duplicates import CLOSE, LENGTH, SAME, Candidate, ResultFilter
from musiczoo.library.fingerprint import fingerprint

VECTORS = clustered(8, seed=4)
TIMES = np.arange(10) * 10.0


def course(seed: int, noise: float = 0.0) -> bytes:
    """The fingerprint of a recording: ten excerpts; `noise` is what its encoding adds."""
    excerpts = np.random.default_rng(seed).standard_normal((10, 256))
    return fingerprint(TIMES, excerpts + noise * np.random.default_rng(99).standard_normal((10, 256)))


def tilted(vector: Floats, cosine: float, space: str | None = None) -> Floats:
    """The vector with its parts (or one space's) turned, so that the cosine to what they were is this."""
    turned = vector.astype(np.float64)
    for name, (start, stop) in SPACES.items():
        if space in (None, name):
            old = turned[start:stop].copy()
            side = np.roll(old, 1) - (np.roll(old, 1) @ old) / (old @ old) * old
            side *= np.linalg.norm(old) / np.linalg.norm(side)
            turned[start:stop] = cosine * old + np.sqrt(1 - cosine**2) * side
    return turned.astype(np.float32)


def candidates(vectors: list[Floats], **columns: list[object]) -> list[Candidate]:
    """In this order."""
    entries = rows(np.array(vectors), **columns)
    return [Candidate(entry, 2.0 * entry.embedding, 1 - i / 100, 0) for i, entry in enumerate(entries)]


def kept(filtering: ResultFilter, found: list[Candidate], k: int = 10, named: tuple[str, ...] = ()) -> list[object]:
    """Numbers of the files that stay; with those of their duplicates, if any."""
    result: list[object] = []
    for candidate, paths in filtering.apply(found, named, k):
        number, *others = (int(path[-7:-4]) for path in (candidate.entry.path, *paths))
        result.append((number, *others) if others else number)
    return result


def test_the_same_recording_is_folded_into_the_better_hit() -> None:
    a, b = VECTORS[:2]
    vectors = [a, b, tilted(a, 0.998), tilted(b, 0.999), tilted(a, 0.985)]
    prints = [course(1), course(2), course(1, 0.2), course(2, 0.3), course(1, 0.1)]
    found = candidates(vectors, duration_s=[100.0, 60.0, 101.9, 60.0, 98.1], fingerprint=prints)
    assert cosines(a, vectors[2]) == pytest.approx(dict.fromkeys(SPACES, 0.998), abs=1e-6)
    assert kept(ResultFilter(SPACES), found) == [(0, 2, 4), (1, 3)]
    assert kept(ResultFilter(SPACES, fold=False), found) == [0, 1, 2, 3, 4]


def test_the_same_sound_is_not_the_same_recording() -> None:
    """Eight chapters by one voice: equal embeddings and lengths, different fingerprints, any names."""
    eight = [VECTORS[0]] * 8
    same = {"duration_s": [100.0] * 8, "fingerprint": [course(i) for i in range(8)]}
    assert kept(ResultFilter(SPACES), candidates(eight, **same)) == list(range(8))
    named = {"title": ["The Book"] * 8, "artist": ["A Voice"] * 8}
    assert kept(ResultFilter(SPACES), candidates(eight, **same, **named)) == list(range(8))
    assert kept(ResultFilter(SPACES), candidates(eight, duration_s=[100.0] * 8)) == list(range(8))  # no evidence at all


@pytest.mark.parametrize("space", list(SPACES))
def test_one_dimension_that_differs_is_enough(space: str) -> None:
    a = VECTORS[0]
    evidence = ((CLOSE, {"fingerprint": [course(1)] * 2}), (SAME, {"title": ["T", "t"], "artist": ["A", "a"]}))
    for least, columns in evidence:
        same, other = (
            candidates([a, tilted(a, least + d, space)], duration_s=[100.0] * 2, **columns) for d in (1e-4, -1e-4)
        )
        assert kept(ResultFilter(SPACES), same) == [(0, 1)]
        assert kept(ResultFilter(SPACES), other) == [0, 1]


def test_another_length_is_another_recording() -> None:
    a = VECTORS[0]
    evidence = ({"fingerprint": [course(1)] * 2}, {"title": ["T"] * 2, "artist": ["A"] * 2})
    for columns in evidence:
        for share, expected in ((LENGTH - 1e-6, [(0, 1)]), (LENGTH + 1e-6, [0, 1])):
            for lengths in ([100.0, 100.0 * (1 - share)], [100.0 * (1 - share), 100.0]):
                assert kept(ResultFilter(SPACES), candidates([a, a], duration_s=lengths, **columns)) == expected


@pytest.mark.parametrize(
    ("titles", "artists", "expected"),
    [
        (["Für Elise", "FU\u0308R  ELISE"], ["Beethoven", "beethoven"], [(0, 1)]),
        (["Für Elise", "Für Elise"], ["Beethoven", "Else"], [0, 1]),
        (["Für Elise", "Für Alina"], ["Beethoven", "Beethoven"], [0, 1]),
        ([None, None], ["Beethoven", "Beethoven"], [0, 1]),
        (["Für Elise", "Für Elise"], [None, None], [0, 1]),
    ],
)
def test_title_and_artist_are_evidence_where_there_is_no_fingerprint(
    titles: list[str | None], artists: list[str | None], expected: list[object]
) -> None:
    columns = {"duration_s": [100.0] * 2, "title": titles, "artist": artists}
    for prints in ([b"", b""], [course(1), b""]):
        found = candidates([VECTORS[0]] * 2, fingerprint=prints, **columns)
        assert kept(ResultFilter(SPACES), found) == expected


def test_the_same_contents_are_folded_whatever_the_records() -> None:
    """Also if another decoder gave a different embedding."""
    found = candidates([VECTORS[0], VECTORS[1], VECTORS[2]], hash=["a", "b", "a"], duration_s=[10.0, 20.0, 30.0])
    assert kept(ResultFilter(SPACES), found) == [(0, 2), 1]


def test_only_copies_of_the_query_are_left_out() -> None:
    columns = {"duration_s": [100.0] * 3, "fingerprint": [course(1)] * 3}
    found = candidates([VECTORS[0], VECTORS[0], VECTORS[1]], hash=["query", "other", "third"], **columns)
    assert kept(ResultFilter(SPACES), found, named=("query",)) == [1, 2]
    assert kept(ResultFilter(SPACES, fold=False), found, named=("query",)) == [0, 1, 2]


def test_silent_tracks_are_never_hits() -> None:
    found = candidates([VECTORS[0], np.zeros_like(VECTORS[0]), VECTORS[1]])
    for filtering in (ResultFilter(SPACES), ResultFilter(SPACES, fold=False)):
        assert kept(filtering, found) == [0, 2]


def test_duplicates_beyond_the_last_hit_are_listed() -> None:
    found = candidates([VECTORS[0], VECTORS[1], VECTORS[0]], hash=["a", "b", "a"])
    assert kept(ResultFilter(SPACES), found, k=1) == [(0, 2)]


def test_limits_of_an_artist_ignore_case() -> None:
    found = candidates(list(VECTORS), artist=["A", "a", "B", None, None, "B", "b", "C"])
    assert kept(ResultFilter(SPACES, per_artist=1), found) == [0, 2, 3, 4, 7]
    assert kept(ResultFilter(SPACES, per_artist=2), found) == [0, 1, 2, 3, 4, 5, 7]


def test_each_of_several_artists_counts() -> None:
    artists = [("Anna", "Bo\u0308hm"), (), (), ()]
    found = candidates(list(VECTORS[:4]), artist=["Anna feat. Böhm", "BÖHM", "Čapek; anna", "Čapek"], artists=artists)
    assert kept(ResultFilter(SPACES, per_artist=1), found) == [0, 3]
    assert kept(ResultFilter(SPACES, per_artist=2), found) == [0, 1, 2, 3]


def test_a_name_with_a_comma_or_a_slash_is_one_artist() -> None:
    found = candidates(list(VECTORS[:3]), artist=["Crosby, Stills & Nash", "Nash", "AC/DC"])
    assert kept(ResultFilter(SPACES, per_artist=1), found) == [0, 1, 2]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("Box", None, "/m/Box/CD1"), ("Box", None, "/m/Box/CD2"), True),
        (("Box", None, "/m/Box CD1"), ("Box", None, "/m/Box CD2"), True),
        (("Box", None, "/m/Box [Disc 1]"), ("Box", None, "/m/Box [Disc 2]"), True),
        (("Box", None, "/m/Box/Disc 1 - Early"), ("Box", None, "/m/Box/Disc 2 - Late"), True),
        (("Box (Disc 1)", None, "/m/Box/CD1"), ("Box (disc 2: Late)", None, "/m/Box/CD2"), True),
        (("Box, CD 1 of 2", "Anna", "/m/1"), ("BOX CD II", "ANNA", "/m/2"), True),
        (("Best", "Anna", "/m"), ("Best", "Böhm", "/m"), False),
        (("Best", "Anna", "/m/flac"), ("Best", "Anna", "/m/mp3"), True),
        (("Best", None, "/m/Anna"), ("Best", None, "/m/Böhm"), False),
        (("Best", None, "/m/Hits"), ("BEST", None, "/m/Hits"), True),
        (("Discovery", None, "/m/x"), ("Disco", None, "/m/x"), False),
        (("Volume 1", None, "/m/x"), ("Volume 2", None, "/m/x"), False),
    ],
)
def test_discs_of_one_box_are_one_album(one: tuple[str, ...], other: tuple[str, ...], same: bool) -> None:
    albums, owners, folders = zip(one, other, strict=True)
    paths = [f"{folder}/{i:03d}.wav" for i, folder in enumerate(folders)]
    found = candidates(list(VECTORS[:2]), path=paths, album=albums, album_artist=owners)
    assert kept(ResultFilter(SPACES, per_album=1), found) == ([0] if same else [0, 1])


def test_a_hostile_title_takes_no_time() -> None:
    found = candidates(list(VECTORS[:2]), album=["." * 1_000_000 + "x", "(disc" * 200_000])
    assert kept(ResultFilter(SPACES, per_album=1), found) == [0, 1]


def test_an_album_is_a_title_in_a_folder() -> None:
    paths = [f"/{folder}/{i:03d}.wav" for i, folder in enumerate("xxxyyyxx")]
    album = ["Hits", "hits", None, "Hits", "Hits", None, "Else", "Else"]
    found = candidates(list(VECTORS), path=paths, album=album)
    assert kept(ResultFilter(SPACES, per_album=1), found) == [0, 2, 3, 5, 6]


def test_a_folded_file_counts_for_no_limit() -> None:
    found = candidates([VECTORS[0], VECTORS[0], VECTORS[1]], hash=["a", "a", "b"], artist=["A", "B", "B"])
    assert kept(ResultFilter(SPACES, per_artist=1), found) == [(0, 1), 2]


def test_a_filter_without_conditions_keeps_all() -> None:
    assert ResultFilter(SPACES, fold=False).keeps_all
    assert not any(
        h.keeps_all
        for h in (ResultFilter(SPACES), ResultFilter(SPACES, 1, fold=False), ResultFilter(SPACES, None, 1, False))
    )
