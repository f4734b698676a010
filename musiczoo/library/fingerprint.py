"""Fingerprints: how a recording changes over time, in a few hundred bytes.

Equal embeddings show that two files sound the same, not that they are the same recording: chapters of an audiobook read
by one voice have cosines of 0.993 and more. But they change at different times.

Conventions
-----------
- A fingerprint has one record an excerpt (see `RECORD`): its start, and its embedding, projected onto `SIZE` fixed
  directions of random signs (which keeps inner products: Johnson and Lindenstrauss 1984, Achlioptas 2003), minus the
  track's median excerpt, as int8 with one scale for the whole track.
- Of more than `MOST` excerpts, every second, fourth and so on is kept, so that files whose lengths differ a little keep
  excerpts of the same times.
- The agreement of two fingerprints is the lower quartile of the cosines between paired excerpts: excerpts that start at
  the same time (within `SHIFT_S`), after each track's median over the pairs is subtracted. It is 1 for the same course
  and about -0.2 for unrelated ones. The mean would not do: a common jingle at the start and at the end does not make
  two files one recording.
"""

import hashlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 32
"""Numbers stored for an excerpt."""

LEAST, MOST = 5, 16
"""Number of excerpts: with fewer there is no fingerprint, of more some are left out."""

SHIFT_S = 1.5
"""Largest distance of the starts of two paired excerpts: half an excerpt, so that the other half is common."""

RECORD = np.dtype([("start_s", "<f4"), ("change", "i1", (SIZE,))])

_FULL = 127
_QUANTILE = 0.25


def fingerprint(times: NDArray[np.floating], embeddings: NDArray[np.floating]) -> bytes:
    """Return the fingerprint of a track; empty if it has fewer than `LEAST` excerpts that are not silent.

    Args:
        times: ``[excerpts]``, the start of each in seconds.
        embeddings: ``[excerpts, E]``; rows of zeros for silent excerpts.
    """
    step = 1
    while len(times) > MOST * step:
        step *= 2
    times, embeddings = times[::step], embeddings[::step]
    sounding = embeddings.any(axis=1)
    if sounding.sum() < LEAST:
        return b""
    change = _changes(embeddings[sounding].astype(np.float64) @ _directions(embeddings.shape[1]))
    largest = np.abs(change).max()
    records = np.zeros(len(change), RECORD)
    records["start_s"] = times[sounding]
    records["change"] = np.rint(change * (_FULL / largest if largest else 0))
    return records.tobytes()


def agreement(one: bytes, other: bytes) -> float | None:
    """Return the agreement of two fingerprints, -1 to 1; None if they have too few excerpts at the same times."""
    a, b = _records(one), _records(other)
    if a is None or b is None:
        return None
    apart = np.abs(a["start_s"][:, None] - b["start_s"][None, :])
    nearest = apart.argmin(axis=1)
    paired = np.flatnonzero(apart[np.arange(len(a)), nearest] <= SHIFT_S)
    if len(paired) < LEAST:
        return None
    x, y = (_changes(part["change"].astype(np.float64)) for part in (a[paired], b[nearest[paired]]))
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    cosines = np.divide((x * y).sum(axis=1), lengths, out=np.zeros(len(x)), where=lengths > 0)
    return float(np.quantile(cosines, _QUANTILE))


def _changes(excerpts: NDArray[np.float64]) -> NDArray[np.float64]:
    changes: NDArray[np.float64] = excerpts - np.median(excerpts, axis=0)
    return changes


@cache
def _directions(size: int) -> NDArray[np.float64]:
    """Return ``[size, SIZE]`` of 1 and -1, always the same: from a hash, not from a generator that may change."""
    digest = hashlib.shake_256(b"musiczoo fingerprint").digest(size * SIZE // 8)
    bits = np.unpackbits(np.frombuffer(digest, np.uint8)).reshape(size, SIZE)
    return np.where(bits == 1, 1.0, -1.0)


def _records(data: bytes) -> NDArray[Any] | None:
    """Return the records; None if there are too few, or they are malformed."""
    if len(data) % RECORD.itemsize or not LEAST <= len(data) // RECORD.itemsize <= MOST:
        return None
    records = np.frombuffer(data, RECORD)
    return records if np.isfinite(records["start_s"]).all() else None
