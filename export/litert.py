"""Export a training run as LiteRT (TensorFlow Lite), for phones and small computers.

The file has the signature ``serving_default``: ``waveform [N, excerpt_samples]`` -> ``embedding``, ``tags``, float32,
with LiteRT's built-in operations only. The parity gate compares it with the ONNX file, run by the package
ai-edge-litert.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python.convert_phase import ConverterError

from musiczoo._files import atomic_folder
from musiczoo._paths import scratch_folder
from musiczoo.card import CARD_FILE, INPUT_NAME, MODEL_FILE, read_card
from musiczoo.errors import InputError, MissingDependencyError, ModelFileError
from musiczoo.export.parity import TOLERANCE, compare, run_onnx
from musiczoo.export.run import PARITY_FILE, SAVED_MODEL_FOLDER, export_run, validation_excerpts
from musiczoo.models.run import read_settings

LITERT_FILE = "model.tflite"
SIGNATURE = "serving_default"


def export_litert(run: Path, out: Path, name: str | None = None, version: str | None = None) -> dict[str, Any]:
    """Write the folder `out` with model.tflite, card.json and parity.json, atomically.

    Args:
        run: Folder of a finished training run; its data are needed for the gate.
        out: Folder to write. An earlier export there is replaced.
        name: Name of the model; that of its architecture by default.
        version: Version of the weights; that of musiczoo by default.

    Returns:
        The content of parity.json: ``{"onnx-litert": {output: largest absolute difference}}``.

    Raises:
        ParityError: If the formats differ. Nothing is written.
        MissingDependencyError: If ai-edge-litert is not installed.
        InputError: If `out` is another folder.
        TrainingError: If the run cannot be read.
        DatasetError: If the run's data cannot be read.

    Example:
        >>> report = export_litert(Path("runs/mine"), Path("exports/mine-litert"))
        >>> sorted(report["onnx-litert"]), max(report["onnx-litert"].values()) <= 1e-4
        (['embedding', 'tags'], True)
        >>> sorted(path.name for path in Path("exports/mine-litert").iterdir())
        ['card.json', 'model.tflite', 'parity.json']
    """
    if out.exists() and not (out / PARITY_FILE).is_file():
        raise InputError(f"Cannot write {str(out)!r}: it is not an earlier export. Choose a new folder.")
    if read_settings(run)[0].encoder:
        raise InputError(f"Cannot export {str(run)!r} to LiteRT: its encoder exists as ONNX only. Leave out --target.")
    _interpreter()  # before the work
    with scratch_folder("litert") as scratch, atomic_folder(out) as new:
        exported = scratch / "exported"
        export_run(run, exported, name=name, version=version)
        convert(exported / SAVED_MODEL_FOLDER, new / LITERT_FILE)
        card = read_card(exported)
        excerpts = validation_excerpts(run, card)
        report = check_litert(new / LITERT_FILE, exported / MODEL_FILE, excerpts)
        (new / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        (new / PARITY_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def convert(saved_model: Path, path: Path) -> None:
    """Convert a SavedModel with TensorFlow's converter.

    Raises:
        ModelFileError: If the model has operations that LiteRT lacks.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[SIGNATURE])
    try:
        path.write_bytes(converter.convert())
    except ConverterError as error:
        raise ModelFileError(f"Cannot convert {str(saved_model)!r} to LiteRT: {error}") from error


def check_litert(path: Path, onnx_path: Path, excerpts: NDArray[np.float32]) -> dict[str, dict[str, float]]:
    """Compare a LiteRT file with the ONNX file of the same model.

    Args:
        path: The .tflite file.
        onnx_path: The .onnx file.
        excerpts: Real audio ``[N, excerpt_samples]`` float32.

    Returns:
        ``{"onnx-litert": {output: largest absolute difference}}``.

    Raises:
        ParityError: If an output differs by more than the tolerance.
        MissingDependencyError: If ai-edge-litert is not installed.
    """
    return compare({"onnx": run_onnx(onnx_path, excerpts), "litert": run_litert(path, excerpts)}, TOLERANCE)


def run_litert(path: Path, excerpts: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Run a LiteRT file, one excerpt at a time, and return its outputs by name.

    Raises:
        MissingDependencyError: If ai-edge-litert is not installed.
    """
    runner = _interpreter()(str(path), num_threads=1).get_signature_runner(SIGNATURE)
    rows = [runner(**{INPUT_NAME: excerpt[np.newaxis]}) for excerpt in excerpts]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _interpreter() -> Any:
    try:
        return import_module("ai_edge_litert.interpreter").Interpreter
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "Checking a LiteRT export needs the package ai-edge-litert, which is not installed. Install the extra "
            "with: pip install 'musiczoo[litert]'"
        ) from error
