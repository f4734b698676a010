"""The models of the paper: name -> frozen configuration -> keras.Model.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), table 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME
from musiczoo.errors import InputError, UnknownNameError
from musiczoo.models.encoder import encode
from musiczoo.models.frontend import EXCERPT_FRAMES, EXCERPT_SAMPLES, FRONT_END, LogMel
from musiczoo.models.heads import Calibration, Centroids, NormalizeSpaces
from musiczoo.taxonomy import EMBEDDING_SIZE, PLAIN_SPACE, PLAIN_SPACES, SPACES, TAGS, dimension_of

CALIBRATION_LAYER = "calibration"
LOGITS_LAYER = "logits"

MIN_WIDTH = 16
"""oneDNN, with which TensorFlow computes on Intel and AMD, writes past its buffers in the weight gradient of a
strided 1x1 convolution of fewer channels: crashes, or silently wrong training
(https://github.com/uxlfoundation/oneDNN/issues/6035)."""


@dataclass(frozen=True)
class Variant:
    """What distinguishes one model of the paper from the others.

    Attributes:
        name: Name in the registry.
        summary: One line for the model card.
        spaces: Space -> (start, stop) columns of the embedding.
    """

    name: str
    summary: str
    spaces: Mapping[str, tuple[int, int]]

    @property
    def disentangled(self) -> bool:
        """Whether the embedding has a sub-space for each dimension."""
        return PLAIN_SPACE not in self.spaces


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("classification", "Normalised classification: tags from one 256-d unit embedding.", PLAIN_SPACES),
        Variant(
            "disentangled-classification",
            "Disentangled classification: tags from four 64-d unit embeddings (genre, mood, instrument, era).",
            SPACES,
        ),
    )
}


def variant(name: str) -> Variant:
    """The configuration of a model.

    Raises:
        UnknownNameError: Suggesting the nearest name.
    """
    if name not in VARIANTS:
        raise UnknownNameError.of("model to build", name, VARIANTS)
    return VARIANTS[name]


def build(name: str, width: int = 64) -> keras.Model:
    """A model that has not been trained.

    Args:
        name: One of `VARIANTS`.
        width: Channels of an encoder branch: 64 in the paper, 32 in the published models.

    Returns:
        ``[N, 129, 128]`` standardised log-mel -> ``{"embedding": [N, 256], "tags": [N, 50]}``: float32, the
        embedding of unit length, the tags in [0, 1].

    Raises:
        UnknownNameError: If there is no such model.
        InputError: If the width is not a whole number of at least `MIN_WIDTH`.
    """
    config = variant(name)
    if not isinstance(width, int) or width < MIN_WIDTH:
        raise InputError(
            f"Expected a whole number of {MIN_WIDTH} or more as width, received {width!r}. "
            "TensorFlow cannot be trusted to train narrower ones on a CPU."
        )
    tag_spaces = tuple(dimension_of(tag) if config.disentangled else PLAIN_SPACE for tag in TAGS)

    # === Log-mel and encoder ===
    log_mel = keras.Input((EXCERPT_FRAMES, FRONT_END.n_mels), name="log_mel")
    features = encode(log_mel, width)

    # === Embedding ===
    # The paper's four sub-dense layers of 64 units are one layer of 256: each unit sees all the features.
    units = layers.Dense(EMBEDDING_SIZE, activation="relu", name="embedding_units")(features)
    embedding = NormalizeSpaces(config.spaces, name=EMBEDDING_NAME)(units)

    # === Tags ===
    logits = Centroids(config.spaces, tag_spaces, name=LOGITS_LAYER)(embedding)
    calibrated = Calibration(name=CALIBRATION_LAYER)(logits)
    tags = layers.Activation("sigmoid", dtype="float32", name=TAGS_NAME)(calibrated)
    return keras.Model(log_mel, {EMBEDDING_NAME: embedding, TAGS_NAME: tags}, name=name.replace("-", "_"))


def build_waveform(model: keras.Model) -> keras.Model:
    """The model with its front end: what is exported.

    Args:
        model: As returned by `build`, trained or not; its layers are shared, not copied.

    Returns:
        ``[N, 66150]`` float32 mono waveform at 22,050 Hz in [-1, 1] -> the outputs of `model`.
    """
    waveform = keras.Input((EXCERPT_SAMPLES,), name=INPUT_NAME)
    outputs: dict[str, Any] = model(LogMel(FRONT_END, name="front_end")(waveform))
    return keras.Model(waveform, outputs, name=f"{model.name}_waveform")
