"""Rounding of weights for int8, by hand and by naive loops."""

import numpy as np
import pytest
from scipy.linalg import hadamard

from musiczoo.export import rounding


def test_weights_are_whole_numbers_of_seven_bits() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(5, 2, 3, 4))
    kernel[3] = 0  # a filter that does nothing
    result = rounding.rounded(kernel, random.normal(size=(400, 24)))
    assert result.kernel.shape == kernel.shape
    numbers = result.kernel / result.scale[:, None, None, None]
    np.testing.assert_allclose(numbers, np.rint(numbers), atol=1e-4)
    assert np.abs(numbers).max() <= 64 + 1e-4
    assert not result.kernel[3].any()


def test_independent_inputs_round_to_the_nearest() -> None:
    """The columns of a Hadamard matrix but the first have mean 0 and no covariance."""
    seen = hadamard(16)[:, 1:].astype(float)
    kernel = np.random.default_rng(1).normal(size=(4, 15))
    scale = np.abs(kernel).max(axis=1, keepdims=True) / 64
    result = rounding.rounded(kernel, seen)
    np.testing.assert_allclose(result.kernel, np.rint(kernel / scale) * scale, atol=1e-6)
    np.testing.assert_allclose(result.bias, 0, atol=1e-6)


def test_outputs_change_less_than_with_the_nearest() -> None:
    """Neighbouring inputs are alike, as in a log-mel: a random walk, of a mean of 3."""
    random = np.random.default_rng(2)
    seen = 3 + np.cumsum(random.normal(size=(2000, 40)), axis=1) / 5
    kernel = random.normal(size=(6, 40))
    result = rounding.rounded(kernel, seen)
    scale = np.abs(kernel).max(axis=1, keepdims=True) / 64
    nearest = np.rint(kernel / scale) * scale
    before = seen @ kernel.T
    errors = [np.sqrt(np.mean((seen @ part.T + bias - before) ** 2)) for part, bias in (
        (nearest, ((kernel - nearest) @ seen.mean(axis=0))), (result.kernel, result.bias),
    )]  # fmt: skip
    assert errors[1] < errors[0] / 3


def test_the_bias_makes_up_for_the_mean() -> None:
    seen = np.full((10, 3), [1.0, 2.0, 5.0])
    kernel = np.array([[0.61, -0.3, 0.123], [1.0, 0.111, 0.222]])
    result = rounding.rounded(kernel, seen)
    np.testing.assert_allclose(result.kernel @ seen[0] + result.bias, kernel @ seen[0], rtol=1e-6)


@pytest.mark.parametrize(("shape", "pads"), [((3,), (1, 1)), ((2, 3), (0, 1, 1, 1))])
def test_patches_are_what_a_filter_sees(shape: tuple[int, ...], pads: tuple[int, ...]) -> None:
    random = np.random.default_rng(3)
    axes = len(shape)
    values = random.normal(size=(1, 2, *(5, 6)[:axes])).astype(np.float32)
    padded = np.pad(values[0], [(0, 0), *zip(pads[:axes], pads[axes:], strict=True)])
    every = set()
    for place in np.ndindex(*(n - k + 1 for n, k in zip(padded.shape[1:], shape, strict=True))):
        part = padded[(slice(None), *(slice(i, i + k) for i, k in zip(place, shape, strict=True)))]
        every.add(part.astype(np.float32).tobytes())
    found = {row.tobytes() for row in np.ascontiguousarray(rounding.patches(values, shape, pads, random))}
    assert found <= every
    assert len(found) > len(every) / 2


def test_balanced_channels() -> None:
    """Channel 0 reaches up to 100, 1 down to -4, 2 is never active, 3 has no weights."""
    values = np.zeros((2, 4))
    values[0] = [100, -4, 1e-6, 7]
    values[1] = [-1, 1, 0, 0]
    kernel = np.ones((3, 4, 1))
    kernel[:, 3] = 0
    factor, (least, most) = rounding.balanced(np.repeat(values, 2000, axis=0), kernel)
    np.testing.assert_allclose(factor, [100**-0.65, -(4**-0.65), 1, 1], rtol=1e-6)
    assert most == pytest.approx(100**0.35)
    assert least == pytest.approx(-(4**-0.65))
