"""LogMel: waveform -> log-mel inside the graph, by operations that every runtime has.

Conventions
-----------
- Frames are centred as in librosa (zeros before the first sample). The hop is half the window. The last frame, which
  is mostly empty, is left out: ``frames = samples // hop``, 129 for 3 s at 22,050 Hz.
- Slaney mel bands over a power spectrogram with a periodic Hann window: librosa's defaults.

The DFT is two stages of small matrix products, since neither ``tf.signal`` nor ``keras.ops.stft`` converts to ONNX and
a plain DFT matrix costs three times as much: see `musiczoo.models.dft`, which makes the matrices.
"""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from musiczoo.card import FrontEnd
from musiczoo.datasets import prepare
from musiczoo.errors import AudioError
from musiczoo.models.dft import STAGE, dft_matrices

SAMPLE_RATE = 22_050
EXCERPT_SAMPLES = 3 * SAMPLE_RATE
FRONT_END = FrontEnd(n_fft=1024, n_mels=128, gain=10.0, mean=0.2, std=0.25)
"""The log-mel of both papers (Lee et al., ISMIR 2020, section 4.2): 129 x 128 for 3 s."""

EXCERPT_FRAMES = EXCERPT_SAMPLES // (FRONT_END.n_fft // 2)

STORED = {
    "sample_rate": SAMPLE_RATE, "hop": FRONT_END.n_fft // 2, "n_fft": FRONT_END.n_fft, "n_mels": FRONT_END.n_mels,
    "gain": FRONT_END.gain,
}  # fmt: skip
"""Settings of the log-mels in a prepared data set, which are not standardised."""

_BLOCK_FRAMES = 2048
"""Frames of log-mel computed together: limits the memory, without effect on the result."""


@keras.saving.register_keras_serializable(package="musiczoo")
class LogMel(keras.layers.Layer):  # type: ignore[misc]
    """Log-mel spectrogram ``(log10(1 + gain * S) - mean) / std`` of a waveform, S being the mel power spectrogram.

    Call with ``[N, samples]`` float32 in [-1, 1]; returns ``[N, samples // hop, n_mels]`` float32. Equals librosa's
    mel spectrogram (centred, zero padding, power 2) within 1e-5.

    Args:
        front_end: Window, bands, compression and standardisation.
        sample_rate: Sample rate of the waveform in Hz.

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.2.

    Example:
        >>> LogMel()(np.zeros((1, 66_150), np.float32)).shape
        TensorShape([1, 129, 128])
    """

    def __init__(self, front_end: FrontEnd = FRONT_END, sample_rate: int = SAMPLE_RATE, **kwargs: Any) -> None:
        # float32 under any mixed-precision policy: bfloat16 loses the quiet bands.
        super().__init__(**{"trainable": False, "dtype": "float32", **kwargs})
        self.front_end = FrontEnd(**front_end) if isinstance(front_end, dict) else front_end
        self.sample_rate = sample_rate
        self.hop = self.front_end.n_fft // 2

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Store the constant matrices as weights: a SavedModel copies constants for each endpoint."""
        for name, value in dft_matrices(self.front_end, self.sample_rate).items():
            setattr(self, name, self.add_weight(name=name, shape=value.shape, trainable=False))
            getattr(self, name).assign(value)

    def call(self, waveform: Any) -> Any:
        """``[N, samples] -> [N, samples // hop, n_mels]``."""
        hop, second = self.hop, self.front_end.n_fft // STAGE
        half = STAGE // 2 + 1
        frames = ops.shape(waveform)[1] // hop
        padded = ops.pad(waveform[:, : frames * hop], [[0, 0], [hop, 0]])
        blocks = ops.reshape(padded, (-1, frames + 1, hop))
        framed = ops.concatenate([blocks[:, :-1], blocks[:, 1:]], axis=2) * self.window
        columns = ops.matmul(self.first_stage, ops.reshape(framed, (-1, frames, STAGE, second)))
        re, im = columns[:, :, :half], columns[:, :, half:]
        turned = ops.concatenate([re * self.cosine + im * self.sine, im * self.cosine - re * self.sine], axis=3)
        # As one matrix: TensorFlow 2.21 may write past the end in a batched product of single rows.
        spectrum = ops.matmul(ops.reshape(turned, (-1, 2 * second)), self.second_stage)
        power = ops.square(spectrum[:, :second]) + ops.square(spectrum[:, second:])
        mel = ops.matmul(ops.reshape(power, (-1, frames, half * second)), self.mel)
        compressed = ops.log(1.0 + self.front_end.gain * mel) * float(1 / np.log(10))
        return (compressed - self.front_end.mean) / self.front_end.std

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the log-mel for a shape of the waveform."""
        samples = input_shape[1]
        return input_shape[0], None if samples is None else samples // self.hop, self.front_end.n_mels

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal layer."""
        front_end = dict(vars(self.front_end))
        return {**super().get_config(), "front_end": front_end, "sample_rate": self.sample_rate}


def data_front_end() -> prepare.FrontEnd:
    """Return the front end for prepared data sets: the layer of the models, without standardisation.

    Example:
        >>> front_end = data_front_end()
        >>> front_end.log_mel(np.zeros(22050, np.float32)).shape  # one second, hop 512
        (43, 128)
    """
    layer = LogMel(replace(FRONT_END, mean=0.0, std=1.0), SAMPLE_RATE)
    hop: int = layer.hop

    def log_mel(waveform: NDArray[np.float32]) -> NDArray[np.float16]:
        """Compute ``[samples] -> [samples // hop, n_mels]``, block by block."""
        frames = len(waveform) // hop
        if frames == 0:
            raise AudioError(f"Expected {hop} samples or more, got {len(waveform)}.")
        result = np.empty((frames, FRONT_END.n_mels), np.float16)
        # A frame starts one hop before its centre: each block starts one hop early and drops its first frame.
        padded = np.zeros((1 + -(-frames // _BLOCK_FRAMES) * _BLOCK_FRAMES) * hop, np.float32)
        padded[hop : hop + frames * hop] = waveform[: frames * hop]
        for start in range(0, frames, _BLOCK_FRAMES):
            block = padded[start * hop : (start + _BLOCK_FRAMES + 1) * hop]
            values = np.asarray(layer(block[None]))[0, 1:]
            result[start : start + _BLOCK_FRAMES] = values[: frames - start]
        return result

    return prepare.FrontEnd(STORED, log_mel)
