"""Hygiene: what is folded, what is over a limit, and what is left alone."""

import numpy as np
import pytest
from searched import SPACES, Floats, clustered, cosines, rows

from musiczoo.library.duplicates import SAME, SECONDS, Candidate, Hygiene
from musiczoo.library.songs import Heard

VECTORS = clustered(8, seed=4)
NO_TAGS = np.zeros(50, np.float32)


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


def kept(hygiene: Hygiene, found: list[Candidate], k: int = 10, named: tuple[Heard, ...] = ()) -> list[object]:
    """Numbers of the files that stay; with those of their duplicates, if any."""
    result: list[object] = []
    for candidate, paths in hygiene.apply(found, named, k):
        number, *others = (int(path[-7:-4]) for path in (candidate.entry.path, *paths))
        result.append((number, *others) if others else number)
    return result


def test_the_same_recording_is_folded_into_the_better_hit() -> None:
    a, b = VECTORS[:2]
    vectors = [a, b, tilted(a, 0.998), tilted(b, 0.999), tilted(a, 0.997)]
    found = candidates(vectors, duration_s=[100.0, 60.0, 101.9, 60.0, 98.1])
    assert cosines(a, vectors[2]) == pytest.approx(dict.fromkeys(SPACES, 0.998), abs=1e-6)
    assert kept(Hygiene(SPACES), found) == [(0, 2, 4), (1, 3)]
    assert kept(Hygiene(SPACES, fold=False), found) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("space", list(SPACES))
def test_one_dimension_that_differs_is_enough(space: str) -> None:
    a = VECTORS[0]
    same, other = (candidates([a, tilted(a, SAME + d, space)], duration_s=[100.0, 100.0]) for d in (1e-4, -1e-4))
    assert kept(Hygiene(SPACES), same) == [(0, 1)]
    assert kept(Hygiene(SPACES), other) == [0, 1]


def test_another_length_is_another_recording() -> None:
    a = VECTORS[0]
    for seconds, expected in ((SECONDS, [(0, 1)]), (SECONDS + 0.1, [0, 1])):
        for sign in (1, -1):
            found = candidates([a, a], duration_s=[100.0, 100.0 + sign * seconds])
            assert kept(Hygiene(SPACES), found) == expected


def test_copies_of_the_query_are_left_out() -> None:
    found = candidates([VECTORS[0], VECTORS[1]], duration_s=[100.0, 100.0])
    query = Heard(None, 2.0 * VECTORS[0].astype(np.float64), NO_TAGS, 101.0)
    assert kept(Hygiene(SPACES), found, named=(query,)) == [1]
    assert kept(Hygiene(SPACES, fold=False), found, named=(query,)) == [0, 1]


def test_duplicates_beyond_the_last_hit_are_listed() -> None:
    found = candidates([VECTORS[0], VECTORS[1], VECTORS[0]], duration_s=[100.0, 100.0, 100.0])
    assert kept(Hygiene(SPACES), found, k=1) == [(0, 2)]


def test_an_artist_is_limited_whatever_the_case() -> None:
    found = candidates(list(VECTORS), artist=["A", "a", "B", None, None, "B", "b", "C"])
    assert kept(Hygiene(SPACES, per_artist=1), found) == [0, 2, 3, 4, 7]
    assert kept(Hygiene(SPACES, per_artist=2), found) == [0, 1, 2, 3, 4, 5, 7]


def test_an_album_is_a_title_in_a_folder() -> None:
    paths = [f"/{folder}/{i:03d}.wav" for i, folder in enumerate("xxxyyyxx")]
    album = ["Hits", "hits", None, "Hits", "Hits", None, "Else", "Else"]
    found = candidates(list(VECTORS), path=paths, album=album)
    assert kept(Hygiene(SPACES, per_album=1), found) == [0, 2, 3, 5, 6]


def test_a_folded_file_counts_for_no_limit() -> None:
    found = candidates([VECTORS[0], VECTORS[0], VECTORS[1]], duration_s=[100.0, 100.0, 100.0], artist=["A", "B", "B"])
    assert kept(Hygiene(SPACES, per_artist=1), found) == [(0, 1), 2]


def test_only_what_does_nothing_is_idle() -> None:
    assert Hygiene(SPACES, fold=False).idle
    assert not any(h.idle for h in (Hygiene(SPACES), Hygiene(SPACES, 1, fold=False), Hygiene(SPACES, None, 1, False)))
