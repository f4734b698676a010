"""Fingerprints: their contents, and when two agree."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from musiczoo.library.fingerprint import LEAST, MOST, RECORD, SHIFT_S, agreement, fingerprint

TIMES = np.arange(10) * 20.0


def excerpts(seed: int, count: int = 10, size: int = 256) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((count, size))


def test_a_few_hundred_bytes() -> None:
    assert len(fingerprint(TIMES, excerpts(1))) == 10 * (4 + 32)


def test_a_recording_agrees_with_itself_and_with_no_other() -> None:
    one = fingerprint(TIMES, excerpts(1))
    assert agreement(one, one) == pytest.approx(1)
    others = [agreement(one, fingerprint(TIMES, excerpts(seed))) for seed in range(2, 30)]
    assert all(other is not None and other < 0.2 for other in others)


def test_what_all_excerpts_have_in_common_is_no_evidence() -> None:
    """One voice, one band, one synthesiser."""
    common = 50 * np.random.default_rng(0).standard_normal(256)
    one, other = (fingerprint(TIMES, common + excerpts(seed)) for seed in (1, 2))
    agreed = agreement(one, other)
    assert agreed is not None
    assert agreed < 0.2


def test_a_common_beginning_and_end_are_no_evidence() -> None:
    jingle = 20 * np.random.default_rng(0).standard_normal(256)
    episodes = [excerpts(seed) for seed in (1, 2)]
    for episode in episodes:
        episode[[0, 1, 8, 9]] = jingle
    agreed = agreement(*(fingerprint(TIMES, episode) for episode in episodes))
    assert agreed is not None
    assert agreed < 0.5  # the medians are drawn towards the jingle


@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_noise_and_scale_do_little(noise: float) -> None:
    one = fingerprint(TIMES, excerpts(1))
    agreed = agreement(one, fingerprint(TIMES + 0.05, 3 * (excerpts(1) + noise * excerpts(2)) - 7))
    assert agreed == pytest.approx(1 / np.hypot(1, noise), abs=0.1)


def test_only_excerpts_at_the_same_time_are_compared() -> None:
    one = fingerprint(TIMES, excerpts(1))
    for shift, known in ((SHIFT_S - 0.01, True), (SHIFT_S + 0.01, False)):
        assert (agreement(one, fingerprint(TIMES + shift, excerpts(1))) is not None) == known
    half = fingerprint(TIMES[::2], excerpts(1)[::2])
    assert agreement(one, half) == agreement(half, one) == pytest.approx(1, abs=0.01)
    assert agreement(one, fingerprint(TIMES[:4], excerpts(1)[:4])) is None


@pytest.mark.parametrize(("count", "kept"), [(4, 0), (5, 5), (16, 16), (17, 9), (32, 16), (33, 9), (1000, 16)])
def test_of_many_excerpts_every_second_fourth_and_so_on(count: int, kept: int) -> None:
    made = fingerprint(np.arange(count) * 3.0, excerpts(1, count))
    assert len(made) == kept * RECORD.itemsize
    assert kept in (0, *range(LEAST, MOST + 1))
    starts = np.frombuffer(made, RECORD)["start_s"]
    if kept:
        steps = set(np.diff(starts / 3.0).tolist())
        assert steps in [{2.0**i} for i in range(8)]


def test_whole_songs_whose_lengths_differ_by_one_excerpt_share_enough() -> None:
    whole = excerpts(1, 129)
    times = np.arange(129) * 3.0
    assert agreement(fingerprint(times, whole), fingerprint(times[:128], whole[:128])) == pytest.approx(1, abs=0.01)


def test_silent_excerpts_are_left_out() -> None:
    """A hidden track after minutes of silence; in one encoding, an excerpt of noise is not quite silent."""
    song = excerpts(1)
    song[6:] = 0
    other = song.copy()
    other[6] = 0.01
    one, two = fingerprint(TIMES, song), fingerprint(TIMES, other)
    assert (len(one), len(two)) == (6 * RECORD.itemsize, 7 * RECORD.itemsize)
    assert agreement(one, two) == pytest.approx(1, abs=0.01)
    song[4:] = 0
    assert fingerprint(TIMES, song) == b""


def test_a_track_that_never_changes_is_no_evidence() -> None:
    still = fingerprint(TIMES, np.ones((10, 256)))
    assert agreement(still, still) == 0


def test_the_directions_never_change() -> None:
    """Written down when format 2 was made: libraries hold such numbers."""
    made = np.frombuffer(fingerprint(np.arange(5.0), np.eye(5)), RECORD)
    assert made["change"][:, :8].tolist() == EXPECTED


EXPECTED = [
    [-127, -127, -127, 0, 0, 0, 0, 0],
    [-127, 0, -127, 0, 0, -127, 0, 0],
    [0, -127, 0, 127, 127, -127, 0, 0],
    [0, 0, 0, 127, 127, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, -127, 0],
]


def test_the_directions_are_the_documented_bits() -> None:
    """In plain Python: the signs are the bits of SHAKE256 of a name, row by row, the highest bit of a byte first."""
    size, made = 7, np.frombuffer(fingerprint(TIMES[:5], excerpts(3, 5, 7)), RECORD)
    stream = hashlib.shake_256(b"musiczoo fingerprint").digest(size * 32 // 8)
    signs = [1 if byte >> bit & 1 else -1 for byte in stream for bit in range(7, -1, -1)]
    rows = [
        [sum(row[i] * signs[32 * i + j] for i in range(size)) for j in range(32)] for row in excerpts(3, 5, 7).tolist()
    ]
    middle = [sorted(row[j] for row in rows)[2] for j in range(32)]
    changes = [[row[j] - middle[j] for j in range(32)] for row in rows]
    largest = max(abs(value) for row in changes for value in row)
    expected = [[value * 127 / largest for value in row] for row in changes]
    np.testing.assert_allclose(made["change"], expected, atol=0.5001)
    assert made["start_s"].tolist() == TIMES[:5].tolist()


@given(st.binary(max_size=16 * 36), st.binary(max_size=16 * 36))
def test_malformed_fingerprints_do_no_harm(one: bytes, other: bytes) -> None:
    for a, b in ((one, other), (one, fingerprint(TIMES, excerpts(1)))):
        agreed = agreement(a, b)
        assert agreed is None or -1.001 <= agreed <= 1.001
