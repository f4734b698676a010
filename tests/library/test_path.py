"""Paths: their definition, against brute force and loops over small and larger libraries."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from searched import NAMES, SPACES, Floats, Shelf, clustered, cosines, filled, mean, rows, track

from musiczoo.errors import AudioNotFoundError, InputError, UnknownNameError
from musiczoo.library import path as module
from musiczoo.library.filters import Filters
from musiczoo.library.path import Step, best_sequence, divided, great_circle, path_between

COUNT = 150
VECTORS = clustered(COUNT, seed=8, clusters=12)
ARTISTS = [f"Artist {i % 5}" for i in range(COUNT)]
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 10), min_size=1)
SEEDS = st.integers(0, 2**32 - 1)
Make = Callable[..., Shelf]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with filled(tmp_path_factory.mktemp("path") / "library.db", rows(VECTORS, artist=ARTISTS)) as database:
        yield Shelf(database)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes libraries of given embeddings."""
    opened = []

    def new(vectors: Floats, **columns: Any) -> Shelf:
        opened.append(filled(tmp_path_factory.mktemp("path") / "library.db", rows(vectors, **columns)))
        return Shelf(opened[-1])

    yield new
    for database in opened:
        database.close()


def song(i: int) -> str:
    return f"/music/{i:03d}.wav"


def numbers(steps: list[Step]) -> list[int]:
    return [int(step.path[-7:-4]) for step in steps]


def similarity(a: NDArray[Any], b: NDArray[Any], weights: dict[str, float]) -> float:
    return mean(cosines(a, b), weights)


def progress(x: NDArray[Any], a: NDArray[Any], b: NDArray[Any], weights: dict[str, float]) -> float:
    """From the similarities alone: 0 at a, 1 at b."""
    near, far = similarity(x, b, weights), similarity(x, a, weights)
    return 0.5 + (near - far) / (2 * (1 - similarity(a, b, weights)))


def curve(count: int, seed: int, noise: float = 0.15) -> Floats:
    """``[count, 256]``: in each space, points beside a quarter of a circle, in random order."""
    random = np.random.default_rng(seed)
    parts = []
    for start, stop in SPACES.values():
        angles = random.permutation(np.linspace(0, np.pi / 2, count))
        raw = noise / (stop - start) ** 0.5 * random.standard_normal((count, stop - start))
        raw[:, 0] += np.cos(angles)
        raw[:, 1] += np.sin(angles)
        parts.append(raw / np.linalg.norm(raw, axis=1, keepdims=True) / len(SPACES) ** 0.5)
    return np.concatenate(parts, axis=1).astype(np.float32)


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_properties(library: Shelf, data: st.DataObject) -> None:
    """Endpoints and waypoints are kept, nothing repeats, progress rises, scores and cosines are those of loops."""
    named = data.draw(st.lists(st.integers(0, COUNT - 1), min_size=2, max_size=4, unique=True))
    weights = data.draw(WEIGHTS)
    k = data.draw(st.integers(len(named), 16))
    steps = path_between(library, song(named[0]), song(named[-1]), k, [song(i) for i in named[1:-1]], weights)
    found = numbers(steps)
    assert len(found) == len(set(found)) == k
    assert (found[0], found[-1]) == (named[0], named[-1])
    assert [i for i in found if i in named] == named
    assert [step.named for step in steps] == [i in named for i in found]
    values = [step.progress for step in steps]
    assert (values[0], values[-1]) == (0, 1)
    assert all(one < other for one, other in itertools.pairwise(values))
    assert (steps[0].score, steps[0].dimensions) == (None, {})
    for (i, _), (j, step) in itertools.pairwise(zip(found, steps, strict=True)):
        assert step.dimensions == pytest.approx(cosines(VECTORS[i], VECTORS[j]), abs=1e-6)
        assert step.score == pytest.approx(similarity(VECTORS[i], VECTORS[j], weights), abs=1e-6)


@given(st.lists(st.integers(0, COUNT - 1), min_size=2, max_size=2, unique=True), WEIGHTS, st.integers(3, 16))
@settings(max_examples=8, deadline=None)
def test_no_step_is_larger_than_on_a_path_of_nearest_tracks(
    library: Shelf, ends: list[int], weights: dict[str, float], k: int
) -> None:
    """The simple choice, where it is one: for each target, the nearest track whose progress rises."""
    a, b = (VECTORS[i] for i in ends)
    steps = path_between(library, song(ends[0]), song(ends[1]), k, weights=weights)
    at = {i: progress(VECTORS[i], a, b, weights) for i in range(COUNT) if i not in ends}
    chosen, last = [a], 0.0
    for j in range(1, k - 1):
        target = np.concatenate([slerp(a[p:q], b[p:q], j / (k - 1)) for p, q in SPACES.values()])
        near = sorted(at, key=lambda i: -similarity(target, VECTORS[i], weights))[: module.NEAR]
        ahead = [i for i in near if last + 1e-6 < at[i] < 1 - 1e-6]
        if not ahead:
            return
        chosen.append(VECTORS[ahead[0]])
        last = at[ahead[0]]
    largest = min(similarity(x, y, weights) for x, y in itertools.pairwise([*chosen, b]))
    assert min(step.score or 0 for step in steps[1:]) >= largest - 1e-6


def slerp(a: NDArray[Any], b: NDArray[Any], t: float) -> NDArray[np.float64]:
    """By rotation in the plane of both, instead of the formula with sines of both parts."""
    a, b = a.astype(np.float64) / np.linalg.norm(a), b.astype(np.float64) / np.linalg.norm(b)
    normal = b - (a @ b) * a
    angle = t * np.arctan2(np.linalg.norm(normal), a @ b)
    found: NDArray[np.float64] = np.cos(angle) * a + np.sin(angle) * normal / np.linalg.norm(normal)
    return found


@given(SEEDS, st.integers(1, 4), WEIGHTS)
@settings(max_examples=12, deadline=None)
def test_the_path_is_the_optimum(make: Make, seed: int, between: int, weights: dict[str, float]) -> None:
    """All sequences of a library of nine, in which every track is near every target."""
    vectors = curve(9, seed)
    library = make(vectors)
    at = {i: progress(vectors[i], vectors[0], vectors[1], weights) for i in range(2, 9)}
    best: tuple[float, float] | None = None
    for middle in itertools.permutations(range(2, 9), between):
        values = [0.0, *(at[i] for i in middle), 1.0]
        if all(one < other for one, other in itertools.pairwise(values)):
            scores = [similarity(vectors[i], vectors[j], weights) for i, j in itertools.pairwise([0, *middle, 1])]
            best = max(best or (-9.0, -9.0), (min(scores), sum(scores)))
    if best is None:
        with pytest.raises(InputError, match=f"Too few tracks between .*: {between} needed, [0-3] in the library"):
            path_between(library, song(0), song(1), between + 2, weights=weights)
        return
    scores = [step.score or 0 for step in path_between(library, song(0), song(1), between + 2, weights=weights)[1:]]
    assert (min(scores), sum(scores)) == pytest.approx(best, abs=1e-6)


@given(SEEDS, st.integers(1, 5), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_best_sequence_by_brute_force(seed: int, targets: int, width: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((8, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    start, end = vectors[:2]
    order = random.integers(1, 6, 8) / 6  # some are equal
    layers = [np.sort(random.choice(8, width, replace=False)) for _ in range(targets)]
    best = None
    for chosen in itertools.product(*(layer.tolist() for layer in layers)):
        if all(order[i] < order[j] for i, j in itertools.pairwise(chosen)):
            points = [start, *(vectors[i] for i in chosen), end]
            scores = [float(a @ b) for a, b in itertools.pairwise(points)]
            best = max(best or (-9.0, -9.0), (min(scores), sum(scores)))
    found = best_sequence(vectors, order, layers, start, end)
    if best is None:
        assert found is None
        return
    assert found is not None
    points = [start, *(vectors[i] for i in found), end]
    scores = [float(a @ b) for a, b in itertools.pairwise(points)]
    assert (min(scores), sum(scores)) == pytest.approx(best, abs=1e-7)


@given(SEEDS, st.floats(0, 1))
def test_great_circle(seed: int, t: float) -> None:
    a, b = np.random.default_rng(seed).standard_normal((2, 5))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    assert great_circle(a, b, t) == pytest.approx(slerp(a, b, t))
    assert great_circle(a, a, t) == pytest.approx(a)
    assert great_circle(a, 0 * a, t) == pytest.approx((1 - t) * a)
    assert great_circle(a, -a, t) == pytest.approx(a if t <= 0.5 else -a)


@given(st.integers(0, 50), st.lists(st.floats(0.01, 2), min_size=1, max_size=6))
def test_tracks_are_divided_in_proportion(count: int, distances: list[float]) -> None:
    found = divided(count, distances)
    assert sum(found) == count
    for number, distance in zip(found, distances, strict=True):
        assert abs(number - count * distance / sum(distances)) < 1


def test_a_far_track_is_not_near_a_target(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one track a target, other tracks are no candidates; if that gives no path, more are tried."""
    angles = np.radians([0, 90, 28, 30, 60, 62])
    vectors = np.zeros((6, 256), np.float32)
    for start, _ in SPACES.values():
        vectors[:, start], vectors[:, start + 1] = np.cos(angles) / 2, np.sin(angles) / 2
    library = make(vectors)
    monkeypatch.setattr(module, "NEAR", 1)
    assert numbers(path_between(library, song(0), song(1), 4)) == [0, 3, 4, 1]
    assert numbers(path_between(library, song(0), song(1), 6)) == [0, 2, 3, 4, 5, 1]


def test_one_file_of_a_recording(make: Make) -> None:
    """Copies by contents, also of the named tracks, and by title and artist."""
    angles = np.radians([0, 90, 0.1, 44, 45, 46, 60, 20])
    vectors = np.zeros((8, 256), np.float32)
    for start, _ in SPACES.values():
        vectors[:, start], vectors[:, start + 1] = np.cos(angles) / 2, np.sin(angles) / 2
    named = {"title": ["a", "b", "a", "c", "c", "c", "d", "e"], "artist": ["x"] * 8, "duration_s": [100.0] * 8}
    library = make(vectors, **named)
    steps = path_between(library, song(0), song(1), 5)
    assert numbers(steps) == [0, 7, 3, 6, 1]
    assert steps[2].duplicates == (song(4), song(5))
    with pytest.raises(InputError, match=r"Too few tracks between .*: 4 needed, 3 in"):
        path_between(library, song(0), song(1), 6)
    same = make(vectors, hash=[f"{i:032}" for i in (0, 1, 0, 2, 2, 3, 1, 4)])
    assert numbers(path_between(same, song(0), song(1), 5)) == [0, 7, 3, 5, 1]
    # A waypoint is kept, and no copy of it is used before or after it.
    assert numbers(path_between(library, song(0), song(1), 5, [song(4)])) == [0, 7, 4, 6, 1]


def test_filters_and_excluded_tracks(library: Shelf) -> None:
    plain = numbers(path_between(library, song(3), song(40), 8))
    without = numbers(path_between(library, song(3), song(40), 8, exclude=[song(plain[2]), "/not/there.mp3"]))
    assert plain[2] not in without
    filtered = numbers(path_between(library, song(3), song(40), 8, filters=Filters(artist="Artist 2")))
    assert {i % 5 for i in filtered[1:-1]} == {2}
    assert (filtered[0], filtered[-1]) == (3, 40)


def test_the_same_request_gives_the_same_path(library: Shelf) -> None:
    assert path_between(library, song(3), song(40), 12) == path_between(library, song(3), song(40), 12)


def test_a_track_from_outside(library: Shelf, tmp_path: Path) -> None:
    new = str(tmp_path / "new.wav")
    steps = path_between(library, track(clustered(1, seed=77)[0], path=new), song(5), 4)
    assert steps[0].path == new
    assert steps[0].title is None
    assert len(steps) == 4


def test_errors(library: Shelf, make: Make) -> None:
    for k in (1, 2, True, 2.5):
        with pytest.raises(InputError, match="k must be a whole number from 3, the number of tracks that you name"):
            path_between(library, song(0), song(1), k, [song(2)])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"names each track once, but /music/000.wav is there twice"):
        path_between(library, song(0), song(0))
    with pytest.raises(InputError, match=r"Expected a list of waypoints, got '/music/002.wav'"):
        path_between(library, song(0), song(1), through=song(2))
    with pytest.raises(UnknownNameError, match="Unknown dimension 'gener'"):
        path_between(library, song(0), song(1), weights={"gener": 1})
    with pytest.raises(InputError, match="At least one weight must be above 0"):
        path_between(library, song(0), song(1), weights={"genre": 0})
    with pytest.raises(AudioNotFoundError, match="no such track in the library"):
        path_between(library, song(0), "/music/none.wav")
    with pytest.raises(InputError, match="needs a file, got a Track without a path"):
        path_between(library, song(0), track(VECTORS[3]))
    equal = make(np.stack([VECTORS[0], VECTORS[0], VECTORS[1]]))
    with pytest.raises(InputError, match="their embeddings are the same in genre"):
        path_between(equal, song(0), song(1), weights={"genre": 1})
    with pytest.raises(InputError, match=r"Too few tracks between .*: 8 needed, [01] in"):
        path_between(equal, song(0), song(2), 10)


def test_a_step_as_json() -> None:
    step = Step("b.mp3", 1 / 3, 0.91234567, {"genre": 0.91234567}, duplicates=("c.mp3",))
    assert step.as_dict(2) == {
        "position": 2,
        "path": "b.mp3",
        "progress": 0.333333,
        "score": 0.912346,
        "dimensions": {"genre": 0.912346},
        "named": False,
        "duplicates": ["c.mp3"],
    }
