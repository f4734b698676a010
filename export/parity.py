"""The parity gate: an export must give the numbers that Keras gives.

Converters do not fail on operations that they cannot convert, and one wrong rounding, padding or axis gives plausible
tags. So every export runs on real excerpts before it is published.
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import keras
import librosa
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from numpy.typing import NDArray
from onnx import TensorProto, helper

from musiczoo.card import INPUT_NAME, ModelCard
from musiczoo.errors import InputError, ParityError
from musiczoo.export.onnx_graph import LOG_MEL, OUTPUTS

TOLERANCE = 1e-4
"""Largest absolute difference between two formats of a model, in embeddings and tags."""

FRONT_END_TOLERANCE = 1e-5
"""Largest absolute difference between the log-mel in the graph and librosa's, before the standardisation."""

_BATCH = 8

Array = NDArray[Any]


def check_parity(
    keras_model: keras.Model,
    onnx_path: Path,
    saved_model_path: Path,
    excerpts: Array,
    tolerance: float = TOLERANCE,
) -> dict[str, dict[str, float]]:
    """Compare Keras, SavedModel and ONNX with each other.

    Args:
        keras_model: The waveform model that was exported.
        onnx_path: Its .onnx file.
        saved_model_path: Its SavedModel.
        excerpts: Real audio ``[N, excerpt_samples]`` float32.
        tolerance: Largest absolute difference that passes.

    Returns:
        Pair, such as ``"keras-onnx"`` -> output -> largest absolute difference.

    Raises:
        ParityError: If an output differs by more than the tolerance, or is not a number.
        InputError: If there are no excerpts.

    Example:
        >>> from musiczoo.card import read_card
        >>> from musiczoo.export.onnx import export_onnx, fold_batch_normalization, round_weights
        >>> from musiczoo.export.saved_model import export_saved_model
        >>> from musiczoo.models.architectures import build, build_waveform
        >>> from musiczoo.registry import find
        >>> model = build_waveform(build("disentangled-classification", width=16))
        >>> fold_batch_normalization(model)
        >>> round_weights(model)
        >>> card = read_card(find("disentangled-classification"))
        >>> export_onnx(model, card, Path("small.onnx"))
        >>> export_saved_model(model, card, Path("small"))
        >>> noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 66_150)).astype(np.float32)
        >>> sorted(check_parity(model, Path("small.onnx"), Path("small"), noise))
        ['keras-onnx', 'keras-saved_model', 'saved_model-onnx']
    """
    if excerpts.ndim != 2 or not len(excerpts):
        raise InputError(f"Expected one or more excerpts [N, samples], got shape {excerpts.shape}.")
    saved_model = tf.saved_model.load(str(saved_model_path))
    outputs = {
        "keras": run_keras(keras_model, excerpts),
        "saved_model": _run(saved_model.serve, excerpts),
        "onnx": run_onnx(onnx_path, excerpts),
    }
    return compare(outputs, tolerance)


def compare(outputs: Mapping[str, Mapping[str, Any]], tolerance: float) -> dict[str, dict[str, float]]:
    """Compare the embeddings and tags of several formats with each other.

    Args:
        outputs: Format -> output -> values.
        tolerance: Largest absolute difference that passes.

    Returns:
        Pair, such as ``"keras-onnx"`` -> output -> largest absolute difference.

    Raises:
        ParityError: If an output differs by more than the tolerance, or is not a number.

    Example:
        >>> keras_outputs = {"embedding": [[0.5, 0.5]], "tags": [[0.25]]}
        >>> compare({"keras": keras_outputs, "onnx": {**keras_outputs, "tags": [[0.375]]}}, tolerance=0.2)
        {'keras-onnx': {'embedding': 0.0, 'tags': 0.125}}
    """
    errors = {
        f"{first}-{second}": {name: _difference(outputs[first][name], outputs[second][name]) for name in OUTPUTS}
        for first, second in combinations(outputs, 2)
    }
    for pair, by_name in errors.items():
        for name, error in by_name.items():
            if not error <= tolerance:  # also if it is not a number
                raise ParityError(
                    f"Expected equal {name} from {pair.replace('-', ' and ')} within {tolerance:g}, got "
                    f"a difference of {error:g}. Do not publish this export: look for an operation that "
                    "the converter changed."
                )
    return errors


def run_keras(model: keras.Model, excerpts: Array) -> dict[str, Array]:
    """Run a Keras model on excerpts ``[N, samples]`` and return its outputs by name.

    Example:
        >>> from musiczoo.models.architectures import build, build_waveform
        >>> run_keras(build_waveform(build("proxy", width=16)), np.zeros((2, 66_150), np.float32))["tags"].shape
        (2, 50)
    """
    return _run(lambda batch: model(batch, training=False), excerpts)


def run_onnx(path: Path, excerpts: Array) -> dict[str, Array]:
    """Run an ONNX file on excerpts ``[N, samples]`` and return its outputs by name.

    Example:
        >>> from musiczoo.registry import find
        >>> path = find("disentangled-classification") / "model.onnx"
        >>> run_onnx(path, np.zeros((2, 66_150), np.float32))["tags"].shape
        (2, 50)
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return _run(lambda batch: dict(zip(OUTPUTS, session.run(OUTPUTS, {INPUT_NAME: batch}), strict=True)), excerpts)


def check_front_end(onnx_path: Path, card: ModelCard, excerpts: Array, tolerance: float = FRONT_END_TOLERANCE) -> float:
    """Compare the log-mel inside an ONNX file with librosa's.

    Args:
        onnx_path: File of `musiczoo.export.onnx`, whose graph holds the tensor `LOG_MEL`.
        card: Gives the settings of the front end.
        excerpts: Real audio ``[N, excerpt_samples]`` float32.
        tolerance: Largest absolute difference of log10(1 + gain * S) that passes.

    Returns:
        The largest absolute difference.

    Raises:
        ParityError: If it exceeds the tolerance.

    Example:
        >>> from musiczoo.card import read_card
        >>> from musiczoo.registry import find
        >>> folder = find("disentangled-classification")
        >>> noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 66_150)).astype(np.float32)
        >>> check_front_end(folder / "model.onnx", read_card(folder), noise) < 1e-5
        True
    """
    proto = onnx.load_model(str(onnx_path))
    proto.graph.output.append(helper.make_tensor_value_info(LOG_MEL, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    got = np.concatenate([session.run([LOG_MEL], {INPUT_NAME: batch})[0] for batch in _batches(excerpts)])
    error = _difference(got, reference_log_mel(card, excerpts)) * card.front_end.std
    if not error <= tolerance:
        raise ParityError(
            f"Expected the log-mel of librosa within {tolerance:g} in {onnx_path}, got a difference of "
            f"{error:g} on {len(excerpts)} excerpts. Do not publish this export: its front end is wrong."
        )
    return error


def reference_log_mel(card: ModelCard, excerpts: Array) -> Array:
    """Return librosa's log-mel of excerpts, standardised, in float64: ``[N, frames, n_mels]``.

    Example:
        >>> from musiczoo.card import read_card
        >>> from musiczoo.registry import find
        >>> reference_log_mel(read_card(find("disentangled-classification")), np.zeros((2, 66_150))).shape
        (2, 129, 128)
    """
    settings = card.front_end
    hop = settings.n_fft // 2
    power = librosa.feature.melspectrogram(
        y=excerpts.astype(np.float64), sr=card.sample_rate, n_fft=settings.n_fft, hop_length=hop,
        n_mels=settings.n_mels, center=True, pad_mode="constant", power=2.0,
    )  # fmt: skip
    frames = excerpts.shape[1] // hop
    log_mel: Array = np.log10(1 + settings.gain * power.transpose(0, 2, 1)[:, :frames])
    return (log_mel - settings.mean) / settings.std


def _run(model: Callable[[Array], Mapping[str, Any]], excerpts: Array) -> dict[str, Array]:
    """Return the outputs by name, computed in batches."""
    parts = [{name: np.asarray(value) for name, value in model(batch).items()} for batch in _batches(excerpts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _batches(excerpts: Array) -> list[Array]:
    return [excerpts[i : i + _BATCH] for i in range(0, len(excerpts), _BATCH)]


def _difference(first: Any, second: Any) -> float:
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape:
        return float("inf")
    return float(np.abs(first - second).max())
