"""Matrices of the front end: a two-stage DFT and mel bands, with numpy alone.

`musiczoo.models.frontend.LogMel` multiplies by them in Keras, `musiczoo.export.onnx_graph` in ONNX.

The DFT is two stages of small matrix products (Cooley and Tukey, 1965). With ``n = N2*n1 + n2`` and
``k = k1 + N1*k2``::

    X[k] = sum_n2 exp(-2 pi i n2 k2 / N2) * exp(-2 pi i n2 k1 / N) * sum_n1 exp(-2 pi i n1 k1 / N1) x[n]

The input is real, so only k1 = 0 .. N1/2 is computed; the other bins are read at their mirror N - k,
which the mel matrix does by having its rows in (k1, k2) order.
"""

import numpy as np
from numpy.typing import NDArray

from musiczoo.card import FrontEnd

STAGE = 32
"""N1, the number of points of the first stage."""


def dft_matrices(front_end: FrontEnd, sample_rate: int) -> dict[str, NDArray[np.float32]]:
    """Return the matrices of the two-stage DFT and of the mel bands.

    Args:
        front_end: Its ``n_fft`` must be a multiple of `STAGE`.
        sample_rate: Sample rate in Hz.

    Returns:
        ``window`` [n_fft], ``first_stage`` [2*(N1/2+1), N1] (real rows, then imaginary), ``cosine`` and
        ``sine`` [N1/2+1, N2], ``second_stage`` [2*N2, 2*N2] (real, then imaginary, on both axes) and
        ``mel`` [(N1/2+1)*N2, n_mels], float32.

    Example:
        >>> dft_matrices(FrontEnd(n_fft=1024, n_mels=128, gain=10.0), 22_050)["mel"].shape
        (544, 128)
    """
    n_fft, half, second = front_end.n_fft, STAGE // 2 + 1, front_end.n_fft // STAGE
    k1, n2 = np.arange(half), np.arange(second)
    first = 2 * np.pi * np.outer(k1, np.arange(STAGE)) / STAGE
    twiddle = 2 * np.pi * np.outer(k1, n2) / n_fft
    last = 2 * np.pi * np.outer(n2, n2) / second
    matrices = {
        "window": np.hanning(n_fft + 1)[:-1],
        "first_stage": np.concatenate([np.cos(first), -np.sin(first)]),
        "cosine": np.cos(twiddle),
        "sine": np.sin(twiddle),
        "second_stage": np.block([[np.cos(last), -np.sin(last)], [np.sin(last), np.cos(last)]]),
        "mel": _permuted_mel(front_end, sample_rate),
    }
    return {name: value.astype(np.float32) for name, value in matrices.items()}


def _permuted_mel(front_end: FrontEnd, sample_rate: int) -> NDArray[np.float64]:
    """Return `mel_bands`, transposed, with a row for each (k1, k2) in place of each bin k."""
    n_fft, second = front_end.n_fft, front_end.n_fft // STAGE
    bank = mel_bands(sample_rate, n_fft, front_end.n_mels)
    rows = np.zeros((STAGE // 2 + 1, second, front_end.n_mels))
    for k in range(n_fft // 2 + 1):
        bin_or_mirror = k if k % STAGE <= STAGE // 2 else n_fft - k
        rows[bin_or_mirror % STAGE, bin_or_mirror // STAGE] = bank[:, k]
    return rows.reshape(-1, front_end.n_mels)


def mel_bands(sample_rate: int, n_fft: int, n_mels: int) -> NDArray[np.float64]:
    """Return triangular bands of equal area, equally spaced in mel from 0 Hz to half the sample rate.

    The scale is that of Slaney's Auditory Toolbox (Apple, 1998): linear below 1 kHz, 15 mel, and logarithmic above,
    27 mel for a factor of 6.4. The bands are those of ``librosa.filters.mel`` with its defaults.

    Args:
        sample_rate: Sample rate in Hz.
        n_fft: Samples of the DFT.
        n_mels: Number of bands.

    Returns:
        ``[n_mels, n_fft // 2 + 1]``: the weight of each bin's power in each band, in 1 / Hz.

    Example:
        >>> mel_bands(22_050, 1024, 128).shape
        (128, 513)
    """
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    edges = _hz(np.linspace(0, _mel(sample_rate / 2), n_mels + 2))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return triangles * 2 / (edges[2:] - edges[:-2])


_HZ_PER_MEL = 200 / 3
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27


def _mel(hz: float) -> float:
    return hz / _HZ_PER_MEL if hz < _KNEE_HZ else float(_KNEE_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.maximum(mel - _KNEE_MEL, 0)
    return np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, _KNEE_HZ * np.exp(above * _LOG_STEP))
