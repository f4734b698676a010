"""Round the weights of convolutions for int8 so that their outputs change least.

To the nearest value is not best: neighbouring values of a log-mel are alike, so errors of neighbouring weights that
cancel out do no harm.

Method
------
1. `balanced`: the channels of an input are scaled to similar ranges, and the weights inversely, so that one scale for
   all channels wastes little. Xiao et al., "SmoothQuant", ICML 2023 (arXiv:2211.10438).
2. `rounded`: the weights of a filter are rounded one after the other; those that follow make up for the error of each,
   as far as the covariance of the inputs allows. Frantar et al., "GPTQ", ICLR 2023 (arXiv:2210.17323).
3. `Rounded.bias`: the mean of the error that is left. Nagel et al., "Data-free quantization through weight equalization
   and bias correction", ICCV 2019 (arXiv:1906.04721).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 64
"""Largest integer of a weight: 7 bits, see `musiczoo.export.quantize`."""

DAMPING = 0.01
"""Share of the mean variance that is added to each variance: few patches leave some directions without any."""

BALANCE = 0.65
"""How far ranges are made alike: with 1, those of the input only, with 0, those of the weights only."""

COVERED = 0.999
"""Share of the values of a channel that its range covers, at either end."""

_NOTHING = 1e-4
"""A channel of smaller values is never active."""

PATCHES = 200
"""Patches drawn of each excerpt."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rounded:
    """A rounded kernel.

    Attributes:
        kernel: The shape of the original: ``scale`` times whole numbers up to `LARGEST`.
        scale: ``[out]``.
        bias: ``[out]``: what to add to the bias.
    """

    kernel: NDArray[np.float32]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]


def balanced(
    values: NDArray[np.floating], kernel: NDArray[np.floating]
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Return a factor for each channel of an input that makes its range and that of its weights more alike.

    Channels whose values are negative for the most part are turned over, so that the common range need not reach as far
    down as up. The few values beyond `COVERED` of a channel are clipped.

    Args:
        values: ``[N, in]``: values of the input.
        kernel: ``[out, in, ...]``.

    Returns:
        ``[in]``, not 0: multiply the input with it, and divide the weights by it; and the range of the product.

    Example:
        >>> factor, limits = balanced(np.array([[8.0, -0.5]]), np.array([[[2.0], [2.0]]]))
        >>> factor.round(1), np.round(limits, 1)
        (array([ 0.3, -2. ], dtype=float32), array([0. , 2.6]))
    """
    weights = np.abs(kernel).max(axis=(0, *range(2, kernel.ndim)))
    least, most = (np.quantile(values, share, axis=0) for share in (1 - COVERED, COVERED))
    largest = np.maximum(most, -least)
    used = (largest > _NOTHING) & (weights > 0)
    size = np.where(used, weights, 1) ** (1 - BALANCE) / np.where(used, largest, 1) ** BALANCE
    factor = np.where(used, np.where(-least > most, -size, size), 1)
    ends = np.where(used, factor * [least, most], 0)
    return factor.astype(np.float32), (min(0.0, float(ends.min())), max(0.0, float(ends.max())))


def patches(
    values: NDArray[np.float32], kernel: tuple[int, ...], pads: tuple[int, ...], random: np.random.Generator
) -> NDArray[np.float32]:
    """Draw what a filter of stride 1 sees at `PATCHES` places: ``[1, in, ...] -> [PATCHES, in * height * width]``.

    Args:
        values: The input of a convolution for one excerpt.
        kernel: Height and width of the filter, or its length alone.
        pads: Zeros before each axis, then after each.
        random: Draws the places.

    Example:
        >>> patches(np.ones((1, 2, 5), np.float32), (3,), (1, 1), np.random.default_rng(0)).shape
        (200, 6)
    """
    axes = len(kernel)
    padded = np.pad(values[0], [(0, 0), *zip(pads[:axes], pads[axes:], strict=True)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, tuple(range(1, axes + 1)))
    places: Any = [random.integers(size, size=PATCHES) for size in windows.shape[1 : axes + 1]]
    return np.moveaxis(windows[(slice(None), *places)], 0, 1).reshape(PATCHES, -1)


def rounded(kernel: NDArray[np.floating], seen: NDArray[np.floating]) -> Rounded:
    """Round a kernel.

    Args:
        kernel: ``[out, in, ...]``.
        seen: ``[patches, in * ...]``: parts of the input that the filters see.

    Example:
        The inputs are equal, so only the sum of the weights counts; the nearest values, 64, 27 and 27, miss it:

        >>> same = np.random.default_rng(0).normal(size=(100, 1)) * np.ones(3)
        >>> result = rounded(np.array([[64.0, 27.3, 27.3]]), same)
        >>> float(result.kernel.sum())
        119.0
    """
    weights = kernel.reshape(len(kernel), -1).astype(np.float64)
    scale = np.abs(weights).max(axis=1) / LARGEST
    scale = np.where(scale > 0, scale, 1).astype(np.float32).astype(np.float64)
    mean = seen.mean(axis=0, dtype=np.float64)
    centred = seen.astype(np.float64) - mean
    covariance = centred.T @ centred / len(seen)
    variance = np.diag(covariance).copy()
    np.fill_diagonal(covariance, variance + max(DAMPING * variance.mean(), 1e-12))
    order = np.argsort(-variance, kind="stable")
    # Row j of the factor says how the weights after j make up for an error of weight j.
    factor = np.linalg.cholesky(np.linalg.inv(covariance[np.ix_(order, order)])).T
    left, result = weights[:, order], np.empty_like(weights)
    for j, place in enumerate(order):
        result[:, place] = np.clip(np.rint(left[:, j] / scale), -LARGEST, LARGEST) * scale
        error = (left[:, j] - result[:, place]) / factor[j, j]
        left[:, j + 1 :] -= error[:, np.newaxis] * factor[j, j + 1 :]
    return Rounded(
        result.reshape(kernel.shape).astype(np.float32),
        scale.astype(np.float32),
        ((weights - result) @ mean).astype(np.float32),
    )
