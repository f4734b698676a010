"""The models of the paper: name -> frozen configuration -> keras.Model.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), table 1.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME
from musiczoo.errors import InputError, UnknownNameError
from musiczoo.models.encoder import encode
from musiczoo.models.frontend import EXCERPT_FRAMES, EXCERPT_SAMPLES, FRONT_END, LogMel
from musiczoo.models.heads import Calibration, Centroids, NormalizeSpaces, Prototypes, Proxies
from musiczoo.models.losses import TRACK_WEIGHT
from musiczoo.taxonomy import EMBEDDING_SIZE, LASTFM_50, PLAIN_SPACE, PLAIN_SPACES, Vocabulary

CALIBRATION_LAYER = "calibration"
LOGITS_LAYER = "logits"
UNITS_LAYER = "embedding_units"
"""The layer that makes the embedding, before it is normalised."""

MIN_WIDTH = 16
"""oneDNN, with which TensorFlow computes on Intel and AMD, writes past its buffers in the weight gradient of a
strided 1x1 convolution of fewer channels: crashes, or silently wrong training
(https://github.com/uxlfoundation/oneDNN/issues/6035)."""


HEADS = {"triplet": Prototypes, "proxy": Proxies, "classification": Centroids}


@dataclass(frozen=True)
class Variant:
    """What distinguishes one model of the paper from the others.

    Attributes:
        name: Name in the registry.
        gist: One line for the model card, where ``{spaces}`` stands for the sub-spaces.
        head: One of `HEADS`: what it is trained on, and how it tags.
        disentangled: Whether the embedding has a sub-space for each dimension.
        normalized: Whether the embedding is a unit vector.
        track_weight: What triplets of tracks count beside those of tags: the paper's lambda.
    """

    name: str
    gist: str
    head: str
    disentangled: bool = False
    normalized: bool = True
    track_weight: float = 0.0

    def spaces(self, vocabulary: Vocabulary) -> dict[str, tuple[int, int]]:
        """Space -> (start, stop) columns of the embedding.

        A disentangled model has one for each dimension of the tags, whatever their number: 256 columns cut as equally
        as can be, 4 x 64 for the paper's four dimensions, 85 + 85 + 86 for the three of MTG-Jamendo.

        Raises:
            InputError: If the model is disentangled and the tags are in fewer than two dimensions, or in more than
                there are columns.
        """
        if not self.disentangled:
            return PLAIN_SPACES
        if vocabulary.layout is None and not 2 <= len(vocabulary.dimensions) <= EMBEDDING_SIZE:
            plain = next(
                v.name for v in VARIANTS.values() if v.head == self.head and v.normalized and not v.disentangled
            )
            names = ", ".join(vocabulary.dimensions)
            raise InputError(
                f"{self.name!r} has a sub-space for each dimension of the tags: expected tags in 2 to {EMBEDDING_SIZE} "
                f"dimensions, got {len(vocabulary.dimensions)} ({names[:60]}). Train {plain!r}, which needs no "
                "dimensions, or group the tags (see docs/data.md)."
            )
        return vocabulary.spaces

    def summary(self, vocabulary: Vocabulary) -> str:
        """One line for the model card."""
        spaces = self.spaces(vocabulary)
        sizes = [stop - start for start, stop in spaces.values()]
        number = _NUMBERS[len(sizes)] if len(sizes) < len(_NUMBERS) else str(len(sizes))
        each = f"{sizes[0]}-d" if len(set(sizes)) == 1 else f"{min(sizes)}- to {max(sizes)}-d"
        return self.gist.format(spaces=f"{number} {each} unit embeddings ({', '.join(spaces)})")


_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("triplet", "Triplets of tags in one 256-d unit embedding.", "triplet"),
        Variant("disentangled-triplet", "Triplets of tags in {spaces}.", "triplet", disentangled=True),
        Variant(
            "disentangled-triplet-track",
            "Triplets of tags in {spaces}, regularised by triplets of tracks.",
            "triplet",
            disentangled=True,
            track_weight=TRACK_WEIGHT,
        ),
        Variant("proxy", "A proxy for each tag in one 256-d unit embedding.", "proxy"),
        Variant("disentangled-proxy", "A proxy for each tag in {spaces}.", "proxy", disentangled=True),
        Variant(
            "classification-unnormalized",
            "The vanilla baseline: tags from a 256-d embedding of free length.",
            "classification",
            normalized=False,
        ),
        Variant(
            "classification",
            "Normalised classification: tags from one 256-d unit embedding.",
            "classification",
        ),
        Variant(
            "disentangled-classification",
            "Disentangled classification: tags from {spaces}.",
            "classification",
            disentangled=True,
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


def build(name: str, width: int = 64, vocabulary: Vocabulary = LASTFM_50) -> keras.Model:
    """A model that has not been trained.

    Args:
        name: One of `VARIANTS`.
        width: Channels of an encoder branch: 64 in the paper, 32 in the published models.
        vocabulary: The tags, and the dimensions that a disentangled model has sub-spaces for.

    Returns:
        ``[N, 129, 128]`` standardised log-mel -> ``{"embedding": [N, 256], "tags": [N, T]}``: float32, the
        embedding of unit length (but for ``classification-unnormalized``), the tags in [0, 1]. Triplet models tag
        once they have their prototypes: before, every tag is at 0.5.

    Raises:
        UnknownNameError: If there is no such model.
        InputError: If the width is not a whole number of at least `MIN_WIDTH`, or a disentangled model is asked for and
            the tags are not in two dimensions or more.
    """
    config = variant(name)
    if not isinstance(width, int) or width < MIN_WIDTH:
        raise InputError(
            f"Expected a whole number of {MIN_WIDTH} or more as width, received {width!r}. "
            "TensorFlow cannot be trusted to train narrower ones on a CPU."
        )
    spaces = config.spaces(vocabulary)
    tag_spaces = vocabulary.tag_dimensions if config.disentangled else (PLAIN_SPACE,) * len(vocabulary.tags)

    # === Log-mel and encoder ===
    log_mel = keras.Input((EXCERPT_FRAMES, FRONT_END.n_mels), name="log_mel")
    features = encode(log_mel, width)

    # === Embedding ===
    # The paper's four sub-dense layers of 64 units are one layer of 256: each unit sees all the features.
    units = layers.Dense(EMBEDDING_SIZE, activation="relu", name=UNITS_LAYER)(features)
    if config.normalized:
        embedding = NormalizeSpaces(spaces, name=EMBEDDING_NAME)(units)
    else:
        embedding = layers.Activation("linear", dtype="float32", name=EMBEDDING_NAME)(units)

    # === Tags ===
    logits = HEADS[config.head](spaces, tag_spaces, name=LOGITS_LAYER)(embedding)
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
