"""The triplet loss as loops: one triplet after the other, in float64."""

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Spaces = Mapping[str, tuple[int, int]]

DIMENSIONS = ("genre", "mood", "genre", "era", "mood", "genre")
"""The dimension of each tag of a batch."""


def naive_hinge(a: NDArray[np.float64], p: NDArray[np.float64], n: NDArray[np.float64], margin: float) -> float:
    """Eq. 1 for one triplet."""

    def cosine(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float(x @ y / np.sqrt((x @ x) * (y @ y)))

    return max(0.0, cosine(a, n) - cosine(a, p) + margin)


def naive_mined(
    x: NDArray[np.float64], triplets: list[tuple[int, int, int]], mining: str, margin: float
) -> float | None:
    """The mean cost of the triplets that the mining chooses; None if there are none."""
    cost = {triplet: naive_hinge(*(x[i] for i in triplet), margin) for triplet in triplets}
    unit = [row / np.sqrt(row @ row) for row in x]
    if mining == "all":
        costs = list(cost.values())
    elif mining == "order":
        costs = [0.5 + 0.5 * np.sign(unit[a] @ unit[n] - unit[a] @ unit[p]) for a, p, n in triplets]
    elif mining == "hardest":
        costs = [max(cost[t] for t in triplets if t[0] == a) for a in sorted({t[0] for t in triplets})]
    else:
        costs = []
        for a, p in sorted({t[:2] for t in triplets}):
            negatives = sorted((unit[a] @ unit[n], n) for b, q, n in triplets if (b, q) == (a, p))
            behind = [n for similarity, n in negatives if similarity < unit[a] @ unit[p]]
            costs.append(cost[a, p, behind[-1] if behind else negatives[0][1]])
    return float(np.mean(costs)) if costs else None


def naive_in_batch(
    x: NDArray[np.float64],
    targets: Mapping[str, NDArray[np.float64]],
    spaces: Spaces,
    mining: str,
    margin: float,
    track_weight: float,
) -> float:
    """The loss of a batch, one triplet after the other."""
    n, losses = len(x), []
    y, tracks = targets["tags"], targets["tracks"]
    for dimension in sorted(set(DIMENSIONS)):
        tags = [z for z, name in enumerate(DIMENSIONS) if name == dimension]
        triplets = [
            (a, p, b)
            for a, p, b in itertools.product(range(n), repeat=3)
            if a != p and any(y[a, z] == y[p, z] == 1 and y[b, z] == 0 for z in tags)
        ]
        part = x[:, slice(*spaces[dimension])] if dimension in spaces else x
        losses.append(naive_mined(part, triplets, mining, margin))
    counted = [loss for loss in losses if loss is not None]
    total = sum(counted) / len(counted) if counted else 0.0
    of_tracks = [
        (a, p, b)
        for a, p, b in itertools.product(range(n), repeat=3)
        if a != p and tracks[a] == tracks[p] and tracks[a] != tracks[b]
    ]
    return total + track_weight * (naive_mined(x, of_tracks, mining, margin) or 0.0)


def naive_explicit(
    x: NDArray[np.float64],
    targets: Mapping[str, NDArray[np.float64]],
    spaces: Spaces,
    margin: float,
    track_weight: float,
) -> float:
    """The loss of consecutive samples, one after the other."""
    rows, y = 5 if track_weight else 3, targets["tags"]
    of_tags: dict[str, list[float]] = {}
    of_tracks = []
    for first in range(0, len(x), rows):
        sample, name = x[first : first + rows], DIMENSIONS[int(np.argmax(y[first]))]
        start, stop = spaces.get(name, (0, x.shape[1]))
        cost = naive_hinge(*(sample[i, start:stop] for i in range(3)), margin)
        of_tags.setdefault(name, []).append(cost)
        if track_weight:
            of_tracks.append(naive_hinge(sample[0], sample[3], sample[4], margin))
    total = float(np.mean([np.mean(costs) for costs in of_tags.values()]))
    return total + (track_weight * float(np.mean(of_tracks)) if track_weight else 0.0)
