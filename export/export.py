"""A training run -> SavedModel and ONNX, both behind the parity gate."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musiczoo import audio
from musiczoo.card import CARD_FILE, MODEL_FILE, POINTS_FILE, ModelCard
from musiczoo.datasets.prepared import Store
from musiczoo.errors import DatasetError, InputError
from musiczoo.export.onnx import export_onnx
from musiczoo.export.parity import check_front_end, check_parity, compare, run_keras
from musiczoo.export.replacing import replaced
from musiczoo.export.saved_model import export_saved_model
from musiczoo.export.weights import fold_batch_normalization, head, round_weights
from musiczoo.models.run import RUN_FILE, load_run, read_json

SAVED_MODEL_FOLDER = "saved_model"
PARITY_FILE = "parity.json"

ROUNDING_TOLERANCE = 2e-2
"""Largest change of embeddings and tags by rounding the weights to float16; 2e-3 is usual, 1e-2 was seen where ReLU had
left hardly anything in a sub-space, so that little moves its direction far."""

EXCERPTS = 32
"""Excerpts of the validation split that the gate listens to, each of another track where there are enough."""


def export(
    run: Path, out: Path, excerpts: NDArray[np.float32] | None = None, name: str | None = None
) -> dict[str, Any]:
    """Write ``out/`` with saved_model/, model.onnx, tag_points.npy, card.json and parity.json, all or nothing.

    Args:
        run: Folder that the trainer wrote.
        out: Folder to make; one that is there is replaced if it is an earlier export.
        excerpts: Real audio ``[N, excerpt_samples]`` for the gate; of the run's validation split by default.
        name: What the model is to be called; by default what the trainer calls it. A name of its own lets it
            stand beside the published model.

    Returns:
        What parity.json holds: the largest differences between the formats, of the log-mel to librosa's, and
        what rounding the weights to float16 changed.

    Raises:
        ParityError: If the formats differ, or the rounding changes too much. Nothing is written then.
        InputError: If `out` is a folder of something else, or the excerpts have another shape.
        TrainingError: If the run cannot be read.
        DatasetError: If the run's data cannot be read.
    """
    if out.exists() and not (out / PARITY_FILE).is_file():
        raise InputError(f"Expected a new folder or an earlier export at {out}, received something else.")
    model, card = load_run(run)
    card = dataclasses.replace(card, name=name or card.name)
    excerpts = validation_excerpts(run, card) if excerpts is None else np.asarray(excerpts, np.float32)
    if excerpts.ndim != 2 or excerpts.shape[1] != card.excerpt_samples:
        raise InputError(f"Expected excerpts [N, {card.excerpt_samples}], received shape {excerpts.shape}.")
    trained = run_keras(model, excerpts)
    fold_batch_normalization(model)
    round_weights(model)
    float16 = compare({"trained": trained, "rounded": run_keras(model, excerpts)}, ROUNDING_TOLERANCE)
    with replaced(out) as new:
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


def validation_excerpts(run: Path, card: ModelCard, count: int = EXCERPTS) -> NDArray[np.float32]:
    """Real audio for the gate: excerpts from the middles of tracks spread over the validation split.

    Args:
        run: Folder that the trainer wrote; its run.json names the data.
        card: Rate and length of the excerpts.
        count: How many at most.

    Returns:
        ``[N, excerpt_samples]`` float32.

    Raises:
        TrainingError: If run.json cannot be read.
        DatasetError: If the data cannot be read.
    """
    store = Store.open(read_json(run / RUN_FILE)["data"])
    tracks = store.split("validation")
    if not tracks:
        raise DatasetError(f"Expected tracks for validation in {store.root}, received none.")
    chosen = [tracks[i * len(tracks) // count] for i in range(count)] if len(tracks) > count else tracks
    parts = [samples for track in chosen for _, samples in audio.excerpts(store.audio(track.id), card, count=1)]
    return np.stack(parts)
