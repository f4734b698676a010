"""Export a training run as SavedModel and ONNX, both checked by the parity gate."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from musiczoo import audio
from musiczoo._files import atomic_folder
from musiczoo.card import CARD_FILE, MODEL_FILE, POINTS_FILE, ModelCard
from musiczoo.errors import DatasetError, InputError
from musiczoo.export.graft import graft
from musiczoo.export.head import Head
from musiczoo.export.onnx import export_onnx, fold_batch_normalization, head, round_weights
from musiczoo.export.parity import check_front_end, check_parity, compare, run_keras
from musiczoo.export.saved_model import export_saved_model
from musiczoo.models.frozen_encoder import Encoder
from musiczoo.models.run import encoder, load_run, read_data, read_settings

SAVED_MODEL_FOLDER = "saved_model"
PARITY_FILE = "parity.json"

ROUNDING_TOLERANCE = 2e-2
"""Largest change of embeddings and tags by rounding the weights to float16. 2e-3 is usual; 1e-2 was seen where ReLU
left almost only zeros in a sub-space, whose direction then changes easily."""

EXCERPTS = 32
"""Excerpts of the validation split that the gate compares, each of another track where there are enough."""


def export_run(
    run: Path,
    out: Path,
    excerpts: NDArray[np.float32] | None = None,
    name: str | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """Write the folder `out` with saved_model/, model.onnx, tag_points.npy, card.json and parity.json, atomically.

    Args:
        run: Folder of a finished training run.
        out: Folder to write. An earlier export there is replaced.
        excerpts: Real audio ``[N, excerpt_samples]`` float32 for the gate; from the run's validation split by default.
        name: Name of the model; that of its architecture by default. With another name it can be published beside the
            model of the same architecture.
        version: Version of the weights, on the card and in the graph; that of musiczoo by default.

    Returns:
        The content of parity.json: the largest absolute differences between the formats (``"formats"``), between the
        log-mel and librosa's (``"log_mel"``), and by rounding the weights to float16 (``"float16"``). For a head on a
        frozen encoder, which has no SavedModel and is not rounded: by joining the two (``"graft-parts"``).

    Raises:
        ParityError: If the formats differ, or the rounding changes too much. Nothing is written.
        InputError: If `out` is another folder, or the excerpts have another shape.
        TrainingError: If the run cannot be read.
        DatasetError: If the run's data cannot be read.

    Example:
        >>> report = export_run(Path("runs/mine"), Path("exports/mine"))
        >>> sorted(report), max(report["formats"]["keras-onnx"].values()) <= 1e-4
        (['excerpts', 'float16', 'formats', 'log_mel'], True)
        >>> sorted(path.name for path in Path("exports/mine").iterdir())
        ['card.json', 'model.onnx', 'parity.json', 'saved_model', 'tag_points.npy']
    """
    if out.exists() and not (out / PARITY_FILE).is_file():
        raise InputError(f"Cannot write {str(out)!r}: it is not an earlier export. Choose a new folder.")
    model, card = load_run(run)
    card = dataclasses.replace(card, name=name or card.name, version=version or card.version)
    excerpts = validation_excerpts(run, card) if excerpts is None else np.asarray(excerpts, np.float32)
    if excerpts.ndim != 2 or excerpts.shape[1] != card.excerpt_samples:
        raise InputError(f"Expected excerpts [N, {card.excerpt_samples}], got shape {excerpts.shape}.")
    if card.recipe.get("encoder"):
        return _export_head(model, encoder(run, read_settings(run)[0]), card, excerpts, out)
    trained = run_keras(model, excerpts)
    fold_batch_normalization(model)
    round_weights(model)
    float16 = compare({"trained": trained, "rounded": run_keras(model, excerpts)}, ROUNDING_TOLERANCE)
    with atomic_folder(out) as new:
        export_saved_model(model, card, new / SAVED_MODEL_FOLDER)
        export_onnx(model, card, new / MODEL_FILE)
        report: dict[str, Any] = {
            "excerpts": len(excerpts),
            "formats": check_parity(model, new / MODEL_FILE, new / SAVED_MODEL_FOLDER, excerpts),
            "log_mel": check_front_end(new / MODEL_FILE, card, excerpts),
            "float16": float16,
        }
        np.save(new / POINTS_FILE, head(model).points().astype(np.float16))
        (new / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        (new / PARITY_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def _export_head(
    model: keras.Model, frozen: Encoder, card: ModelCard, excerpts: NDArray[np.float32], out: Path
) -> dict[str, Any]:
    """Join encoder and head, as `export_run` does. There is no SavedModel: the encoder exists as ONNX only."""
    with atomic_folder(out) as new:
        report = graft(frozen, Head.of(model), card, excerpts, new, lambda features: model(features, training=False))
        (new / PARITY_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def validation_excerpts(run: Path, card: ModelCard, count: int = EXCERPTS) -> NDArray[np.float32]:
    """Read excerpts from the middles of tracks spread over the validation split of a run.

    Args:
        run: Folder of a training run.
        card: Sample rate and length of the excerpts.
        count: Maximum number of excerpts.

    Returns:
        ``[N, excerpt_samples]`` float32.

    Raises:
        TrainingError: If run.json cannot be read.
        DatasetError: If the data cannot be read.
    """
    store = read_data(run)
    tracks = store.split("validation")
    if not tracks:
        raise DatasetError(f"Expected validation tracks in {store.root}, got none.")
    chosen = [tracks[i * len(tracks) // count] for i in range(count)] if len(tracks) > count else tracks
    parts = [samples for track in chosen for _, samples in audio.excerpts(store.audio(track.id), card, count=1)]
    return np.stack(parts)
