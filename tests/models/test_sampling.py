"""Where the excerpts of a batch are, held against naive checks."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.errors import DatasetError
from musiczoo.models.sampling import Grid, Positions, excerpts, pairs, triplets

DIMENSIONS = ("genre", "genre", "mood", "era", "mood")


def grid(rows: tuple[int, ...] = (5, 1, 3, 7, 2, 4), density: float = 0.4, seed: int = 0) -> Grid:
    """Tracks with these numbers of excerpts, and random tags."""
    tags = np.random.default_rng(seed).uniform(size=(len(rows), len(DIMENSIONS))) < density
    return Grid(np.array(rows), tags, DIMENSIONS)


def same(a: Positions, b: Positions) -> bool:
    return np.array_equal(a.tracks, b.tracks) and np.array_equal(a.starts, b.starts)


grids = st.builds(
    grid,
    st.lists(st.integers(1, 9), min_size=2, max_size=8).map(tuple),
    st.floats(0, 1),
    st.integers(0, 1000),
)
seeds, steps = st.integers(0, 2**31), st.integers(0, 10**6)


@pytest.fixture
def tagged() -> Grid:
    """Six tracks whose tags differ."""
    tags = np.array(
        [[1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 1, 1, 1], [1, 1, 0, 0, 1]]
    )
    return Grid(np.array([5, 1, 3, 7, 2, 4]), tags > 0, DIMENSIONS)


# === Excerpts ===


def test_a_step_is_a_function_of_seed_and_number(tagged: Grid) -> None:
    """In any order of steps."""
    forward = [excerpts(tagged, step, 4, seed=7) for step in range(12)]
    for step in reversed(range(12)):
        assert same(excerpts(tagged, step, 4, seed=7), forward[step])
        assert not same(excerpts(tagged, step, 4, seed=8), forward[step])
    assert not any(same(a, b) for a, b in itertools.pairwise(forward))


def test_pairs_and_triplets_are_so_too(tagged: Grid) -> None:
    for step in (5, 0, 11):
        assert same(pairs(tagged, step, 4, 7), pairs(tagged, step, 4, 7))
        assert not same(pairs(tagged, step, 4, 7), pairs(tagged, step, 4, 8))
        (positions, targets), (again, targets_again) = (triplets(tagged, step, 4, 7, True) for _ in range(2))
        assert same(positions, again)
        assert np.array_equal(targets, targets_again)
        assert not same(positions, triplets(tagged, step, 4, 8, True)[0])


@given(grids, st.integers(1, 10), seeds, st.integers(0, 50))
def test_an_epoch_visits_each_excerpt_once(grid: Grid, size: int, seed: int, epoch: int) -> None:
    """Save those that do not fill a batch; each is moved by half its length at most."""
    total = int(grid.rows.sum())
    if size > total:
        return
    number = total // size
    assert grid.steps(size) == number
    visited: Counter[tuple[int, int]] = Counter()
    for step in range(epoch * number, (epoch + 1) * number):
        positions = excerpts(grid, step, size, seed)
        assert positions.tracks.shape == positions.starts.shape == (size,)
        for track, position in zip(positions.tracks, positions.starts, strict=True):
            row = min(max(round(position), 0), grid.rows[track] - 1)
            assert abs(position - row) <= 0.5
            visited[int(track), row] += 1
    assert set(visited.values()) == {1}
    assert len(visited) == number * size


def test_epochs_differ_in_order_and_in_place(tagged: Grid) -> None:
    first, second = excerpts(tagged, 0, 22, seed=0), excerpts(tagged, 1, 22, seed=0)
    assert not np.array_equal(first.tracks, second.tracks)
    assert not set(first.starts) & set(second.starts)


def test_places_move_by_all_that_they_may(tagged: Grid) -> None:
    shifts = np.concatenate([(excerpts(tagged, step, 22, 0).starts + 0.5) % 1 for step in range(100)])
    assert np.histogram(shifts, bins=10, range=(0, 1))[0].min() > 150  # of 2,200


def test_less_than_a_batch_is_refused(tagged: Grid) -> None:
    assert tagged.steps(22) == 1
    with pytest.raises(DatasetError, match=r"one batch of 23 excerpts, found 22\. Use a smaller batch"):
        tagged.steps(23)
    with pytest.raises(DatasetError, match="one batch of 23"):
        excerpts(tagged, 0, 23, 0)


# === Pairs ===


def inside(position: float, rows: int) -> float:
    """Where the excerpt is cut that is said to start here: not before the track, nor behind its last whole one."""
    return min(max(position, 0.0), rows - 1.0)


@given(grids, st.integers(1, 4), seeds, steps)
def test_pairs_are_of_one_track_and_overlap_by_half_at_most(grid: Grid, half: int, seed: int, step: int) -> None:
    if half > grid.rows.sum():
        return
    positions = pairs(grid, step, 2 * half, seed)
    assert positions.tracks.shape == positions.starts.shape == (2 * half,)
    for i in range(0, 2 * half, 2):
        first, second = positions.tracks[i : i + 2]
        assert first == second
        rows = int(grid.rows[first])
        assert 0 <= positions.starts[i + 1] <= rows - 1
        if rows > 1:
            assert abs(inside(positions.starts[i], rows) - positions.starts[i + 1]) >= 0.5 - 1e-9
        else:
            assert positions.starts[i + 1] == 0


@pytest.mark.parametrize("size", [1, 5, 7])
def test_an_odd_batch_ends_with_a_single_excerpt(size: int, tagged: Grid) -> None:
    positions = pairs(tagged, 3, size, seed=2)
    assert positions.tracks.shape == positions.starts.shape == (size,)
    assert np.array_equal(positions.tracks[0 : size - 1 : 2], positions.tracks[1:size:2])


def test_pairs_visit_each_excerpt_once_in_two_epochs(tagged: Grid) -> None:
    """22 excerpts in 11 batches of 4, of which 2 are visited."""
    batches = [pairs(tagged, step, 4, seed=3) for step in range(11)]
    tracks = np.concatenate([positions.tracks[::2] for positions in batches])
    assert Counter(tracks.tolist()) == dict(enumerate(tagged.rows.tolist()))


def test_the_other_of_a_pair_may_be_anywhere_else() -> None:
    """Ten excerpts: all of the track is reached, save what overlaps too much."""
    long = Grid(np.array([10]), np.zeros((1, 5), bool), DIMENSIONS)
    drawn = [pairs(long, step, 2, seed=0).starts for step in range(1500)]
    others = np.array([second for first, second in drawn if 4 < first < 6])
    counts = np.histogram(others, bins=9, range=(0, 9))[0]
    assert counts[[0, 1, 2, 6, 7, 8]].min() > 10
    before = np.mean([second < first for first, second in drawn if 4 < first < 5])
    assert 0.35 < before < 0.65


# === Explicit triplets ===


def check(grid: Grid, positions: Positions, targets: np.ndarray, size: int, with_tracks: bool) -> None:
    """Check every sample."""
    rows = 5 if with_tracks else 3
    assert positions.tracks.shape == positions.starts.shape == (rows * size,)
    count = len(grid.tag_dimensions)
    assert (targets.shape, targets.dtype) == ((rows * size, count), np.float32)
    for first in range(0, rows * size, rows):
        tracks, starts = positions.tracks[first : first + rows], positions.starts[first : first + rows]
        target = targets[first]
        assert sorted(target) == [0] * (count - 1) + [1]
        assert np.array_equal(targets[first : first + rows], np.tile(target, (rows, 1)))
        tag = int(np.argmax(target))
        a, p, n = tracks[:3]
        assert [grid.tags[track, tag] for track in (a, p, n)] == [True, True, False]
        for track, position in zip(tracks[1:], starts[1:], strict=True):
            assert 0 <= position <= grid.rows[track] - 1
        assert -0.5 <= starts[0] <= grid.rows[a] - 0.5
        if with_tracks:
            assert (tracks[3], tracks[4] != a) == (a, True)
            if grid.rows[a] > 1:
                assert abs(inside(starts[0], grid.rows[a]) - starts[3]) >= 0.5 - 1e-9


@given(grids, st.integers(1, 5), seeds, steps, st.booleans())
def test_samples_are_triplets(grid: Grid, size: int, seed: int, step: int, with_tracks: bool) -> None:
    counts = grid.tags.sum(axis=0)
    if size > grid.rows.sum():
        return
    if not any(0 < count < len(grid.rows) for count in counts):
        with pytest.raises(DatasetError, match="Expected a tag that some tracks have and others lack, found none"):
            triplets(grid, step, size, seed, with_tracks)
        return
    check(grid, *triplets(grid, step, size, seed, with_tracks), size, with_tracks)


def test_anchors_are_the_excerpts_of_the_step(tagged: Grid) -> None:
    """Each track has a tag that others lack, so that none is replaced."""
    for step in range(5):
        expected = excerpts(tagged, step, 6, seed=1)
        for rows, with_tracks in ((3, False), (5, True)):
            positions, _ = triplets(tagged, step, 6, 1, with_tracks)
            assert same(Positions(positions.tracks[::rows], positions.starts[::rows]), expected)


def test_the_targets_name_the_tag() -> None:
    """Two tracks, which have the era tag and no other."""
    tags = np.zeros((3, 5), bool)
    tags[:2, 3] = True
    _, targets = triplets(Grid(np.array([2, 2, 2]), tags, DIMENSIONS), 0, 6, 0)
    assert DIMENSIONS.index("era") == 3
    assert np.array_equal(targets, np.tile([0, 0, 0, 1, 0], (18, 1)))


def test_dimensions_are_drawn_before_tags() -> None:
    """The anchor has nine genres and one mood: half of its triplets are of moods."""
    tags = np.zeros((4, 10), bool)
    tags[:3] = True
    _, targets = triplets(Grid(np.array([200] * 4), tags, ["genre"] * 9 + ["mood"]), 0, 600, 0)
    assert 0.4 < targets[::3, 9].mean() < 0.6


def test_all_that_fit_are_drawn() -> None:
    """Tag 0 is of tracks 0, 1 and 2: each is the others' positive, 3 and 4 are negatives."""
    tags = np.zeros((5, 5), bool)
    tags[:3, 0] = True
    positions, _ = triplets(Grid(np.array([50] * 5), tags, DIMENSIONS), 0, 250, 0)
    drawn = {tuple(sample) for sample in positions.tracks.reshape(-1, 3).tolist()}
    assert drawn == {(a, p, n) for a in range(3) for p in range(3) if a != p for n in (3, 4)}


def test_a_tag_of_one_track_takes_the_positive_from_there() -> None:
    tags = np.zeros((3, 5), bool)
    tags[1, 0] = True
    positions, _ = triplets(Grid(np.array([4, 4, 4]), tags, DIMENSIONS), 0, 8, 0)
    samples = positions.tracks.reshape(-1, 3)
    assert np.array_equal(samples[:, :2], np.ones((8, 2)))
    assert set(samples[:, 2]) == {0, 2}
    assert np.all(positions.starts[::3] != positions.starts[1::3])


def test_tracks_that_cannot_be_anchors_are_replaced() -> None:
    """Track 0 has no tag, track 1 only the one that all but it have in common with nobody lacking it."""
    tags = np.array([[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0]], bool)
    positions, targets = triplets(Grid(np.array([6] * 4), tags, DIMENSIONS), 0, 24, 0)
    samples = positions.tracks.reshape(-1, 3)
    assert {tuple(sample[:2]) for sample in samples.tolist()} == {(2, 3), (3, 2)}
    assert set(samples[:, 2]) == {0, 1}
    assert np.all(targets[:, 0] == 1)


@pytest.mark.parametrize("having", [0, 3])
@pytest.mark.parametrize("with_tracks", [False, True])
def test_tags_that_distinguish_no_tracks_are_refused(having: int, with_tracks: bool) -> None:
    tags = np.zeros((3, 5), bool)
    tags[:having] = True
    with pytest.raises(DatasetError, match=r"some tracks have and others lack, found none\. Are there labels"):
        triplets(Grid(np.array([4, 4, 4]), tags, DIMENSIONS), 0, 4, 0, with_tracks)


def test_tracks_of_one_excerpt() -> None:
    """There is but one place in each."""
    tags = np.array([[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    single = Grid(np.array([1, 1, 1]), tags, DIMENSIONS)
    positions, targets = triplets(single, 0, 3, 0, with_tracks=True)
    check(single, positions, targets, 3, with_tracks=True)
    assert not positions.starts.reshape(3, 5)[:, 1:].any()
