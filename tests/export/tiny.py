"""A small waveform model of the shape that `build_waveform` gives, and an export of it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from toy import CARD, music

from musiczoo.card import EMBEDDING_NAME, TAGS_NAME
from musiczoo.export.onnx import export_onnx, fold_batch_normalization, round_weights
from musiczoo.export.saved_model import export_saved_model
from musiczoo.models.architectures import build_waveform
from musiczoo.models.frontend import EXCERPT_FRAMES
from musiczoo.models.heads import Calibration, Centroids, NormalizeSpaces
from musiczoo.taxonomy import SPACES, TAGS, dimension_of

TINY_CARD = dataclasses.replace(CARD, name="tiny", summary="Für Tests.")
WIDTH = 8


@dataclass(frozen=True)
class Exported:
    """An export and the Keras model it was made of."""

    model: keras.Model
    onnx: Path
    saved_model: Path


def tiny_model() -> keras.Model:
    """Two convolutions with batch normalisation that has seen data, and the paper's head, around `LogMel`."""
    keras.utils.set_random_seed(3)
    log_mel = keras.Input((EXCERPT_FRAMES, CARD.front_end.n_mels))
    x = keras.layers.Reshape((EXCERPT_FRAMES, CARD.front_end.n_mels, 1))(log_mel)
    for i, strides in enumerate((4, 2)):
        x = keras.layers.Conv2D(WIDTH, 5, strides, padding="same", use_bias=False, name=f"convolution{i}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{i}")(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    embedding = NormalizeSpaces(SPACES)(keras.layers.Dense(CARD.embedding_size, activation="relu")(x))
    logits = Calibration()(Centroids(SPACES, tuple(dimension_of(tag) for tag in TAGS))(embedding))
    tags = keras.layers.Activation("sigmoid")(logits)
    model = keras.Model(log_mel, {EMBEDDING_NAME: embedding, TAGS_NAME: tags})
    random = np.random.default_rng(4)
    for i in range(2):
        norm = model.get_layer(f"norm{i}")
        norm.set_weights([random.uniform(0.5, 2, WIDTH) for _ in norm.weights])
    return build_waveform(model)


def excerpts(count: int = 3) -> NDArray[np.float32]:
    """Different excerpts of made music, and one of silence: ``[count, 66150]``."""
    parts = [music(CARD.excerpt_seconds, seed=seed) * (seed + 1) / count for seed in range(count - 1)]
    return np.stack([*parts, np.zeros_like(parts[0])])


def export_tiny(folder: Path) -> Exported:
    """What `musiczoo.export.run.export_run` does to a model, without the gate."""
    model = tiny_model()
    fold_batch_normalization(model)
    round_weights(model)
    result = Exported(model, folder / "model.onnx", folder / "saved_model")
    export_onnx(model, TINY_CARD, result.onnx)
    export_saved_model(model, TINY_CARD, result.saved_model)
    return result
