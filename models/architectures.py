"""The eight models of the paper: name -> configuration -> keras.Model.

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
from musiczoo.models.heads import Calibration, Centroids, NormalizeSpaces, Prototypes, Proxies, Standardize
from musiczoo.models.losses import TRACK_WEIGHT
from musiczoo.taxonomy import EMBEDDING_SIZE, LASTFM_50, PLAIN_SPACE, PLAIN_SPACES, Vocabulary

CALIBRATION_LAYER = "calibration"
LOGITS_LAYER = "logits"
STANDARDIZE_LAYER = "standardize"
UNITS_LAYER = "embedding_units"
"""The dense layer before the normalisation of the embedding."""

MIN_WIDTH = 16
"""oneDNN, which TensorFlow uses on Intel and AMD processors, writes past its buffers in the weight gradient of a
strided 1x1 convolution with fewer channels: training crashes or is silently wrong
(https://github.com/uxlfoundation/oneDNN/issues/6035)."""

HEADS = {"triplet": Prototypes, "proxy": Proxies, "classification": Centroids}


@dataclass(frozen=True)
class Architecture:
    """Configuration of one model of the paper.

    Attributes:
        name: Name to build it by.
        gist: One line for the model card, where ``{spaces}`` stands for the sub-spaces.
        head: One of `HEADS`: the objective of the training, and how tags are predicted.
        disentangled: Whether the embedding has a sub-space for each dimension of the tags.
        normalized: Whether the embedding is a unit vector.
        track_weight: Weight of the triplets of tracks beside those of tags: the paper's lambda.

    Example:
        >>> ARCHITECTURES["disentangled-triplet-track"].track_weight
        0.5
    """

    name: str
    gist: str
    head: str
    disentangled: bool = False
    normalized: bool = True
    track_weight: float = 0.0

    def spaces(self, vocabulary: Vocabulary) -> dict[str, tuple[int, int]]:
        """Return the columns of each space: space -> (start, stop).

        A disentangled model has one space for each dimension of the tags. The 256 columns are divided as equally as
        possible: 4 x 64 for the paper's four dimensions, 85 + 85 + 86 for the three of MTG-Jamendo.

        Raises:
            InputError: If the model is disentangled and the number of dimensions is below 2 or above 256.

        Example:
            >>> ARCHITECTURES["disentangled-proxy"].spaces(LASTFM_50)["genre"]
            (0, 64)
        """
        if not self.disentangled:
            return PLAIN_SPACES
        if vocabulary.layout is None and not 2 <= len(vocabulary.dimensions) <= EMBEDDING_SIZE:
            plain = next(
                v.name for v in ARCHITECTURES.values() if v.head == self.head and v.normalized and not v.disentangled
            )
            names = ", ".join(vocabulary.dimensions)
            raise InputError(
                f"{self.name!r} has a sub-space for each dimension of the tags: expected tags in 2 to {EMBEDDING_SIZE} "
                f"dimensions, got {len(vocabulary.dimensions)} ({names[:60]}). Train {plain!r}, which needs no "
                "dimensions, or group the tags (see docs/guides/data.md)."
            )
        return vocabulary.spaces

    def summary(self, vocabulary: Vocabulary) -> str:
        """Return one line for the model card."""
        spaces = self.spaces(vocabulary)
        sizes = [stop - start for start, stop in spaces.values()]
        number = _NUMBERS[len(sizes)] if len(sizes) < len(_NUMBERS) else str(len(sizes))
        each = f"{sizes[0]}-d" if len(set(sizes)) == 1 else f"{min(sizes)}- to {max(sizes)}-d"
        return self.gist.format(spaces=f"{number} {each} unit embeddings ({', '.join(spaces)})")


_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

ARCHITECTURES: dict[str, Architecture] = {
    config.name: config
    for config in (
        Architecture("triplet", "Triplets of tags in one 256-d unit embedding.", "triplet"),
        Architecture("disentangled-triplet", "Triplets of tags in {spaces}.", "triplet", disentangled=True),
        Architecture(
            "disentangled-triplet-track",
            "Triplets of tags in {spaces}, regularised by triplets of tracks.",
            "triplet",
            disentangled=True,
            track_weight=TRACK_WEIGHT,
        ),
        Architecture("proxy", "A proxy for each tag in one 256-d unit embedding.", "proxy"),
        Architecture("disentangled-proxy", "A proxy for each tag in {spaces}.", "proxy", disentangled=True),
        Architecture(
            "classification-unnormalized",
            "The vanilla baseline: tags from a 256-d embedding of free length.",
            "classification",
            normalized=False,
        ),
        Architecture(
            "classification",
            "Normalised classification: tags from one 256-d unit embedding.",
            "classification",
        ),
        Architecture(
            "disentangled-classification",
            "Disentangled classification: tags from {spaces}.",
            "classification",
            disentangled=True,
        ),
    )
}


def architecture(name: str) -> Architecture:
    """Return the configuration of a model.

    Raises:
        UnknownNameError: If there is no such model; the message suggests the nearest name.

    Example:
        >>> architecture("proxy").head
        'proxy'
    """
    if name not in ARCHITECTURES:
        raise UnknownNameError.of("model to build", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def build(name: str, width: int = 64, vocabulary: Vocabulary = LASTFM_50) -> keras.Model:
    """Build an untrained model.

    | name | objective | embedding |
    |---|---|---|
    | ``triplet`` | hinge on triplets of tags, eq. 1 | one unit vector |
    | ``disentangled-triplet`` | the same in the sub-space of each tag's dimension, eq. 2 | unit sub-vectors |
    | ``disentangled-triplet-track`` | the same, and triplets of tracks (ICASSP 2020) | unit sub-vectors |
    | ``proxy`` | a proxy for each tag, eq. 5 | one unit vector |
    | ``disentangled-proxy`` | a proxy in the sub-space of its dimension, eq. 7 | unit sub-vectors |
    | ``classification-unnormalized`` | classification without normalisation: the baseline | of free length |
    | ``classification`` | a centroid for each tag, eq. 8 | one unit vector |
    | ``disentangled-classification`` | a centroid in the sub-space of its dimension, eq. 11 | unit sub-vectors |

    Args:
        name: One of `ARCHITECTURES`.
        width: Channels of an encoder branch, at least 16: 64 in the paper, 32 in the published models.
        vocabulary: The T tags, and their dimensions, for which a disentangled model has sub-spaces.

    Returns:
        A model ``[N, 129, 128]`` standardised log-mel -> ``{"embedding": [N, 256], "tags": [N, T]}``, float32. The
        embedding has unit length (except for ``classification-unnormalized``); tags are probabilities. Triplet models
        predict tags by prototypes, which are computed after the training: until then each tag has probability 0.5.

    Raises:
        UnknownNameError: If there is no such model.
        InputError: If the width is not a whole number of at least `MIN_WIDTH`, or the tags of a disentangled model have
            fewer than two dimensions.

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), sections 3 and 4.2.

    Example:
        >>> import numpy as np
        >>> model = build("disentangled-classification", width=16)
        >>> outputs = model(np.zeros((2, 129, 128), np.float32))
        >>> outputs["embedding"].shape, outputs["tags"].shape
        (TensorShape([2, 256]), TensorShape([2, 50]))
        >>> np.linalg.norm(outputs["embedding"], axis=1).round(3)
        array([1., 1.], dtype=float32)
    """
    config = architecture(name)
    if not isinstance(width, int) or width < MIN_WIDTH:
        raise InputError(
            f"width must be a whole number of {MIN_WIDTH} or more, got {width!r}. "
            "TensorFlow does not train narrower models correctly on every CPU."
        )
    config.spaces(vocabulary)  # before the encoder is built: tags that do not fit are the shorter story

    # === Log-mel and encoder ===
    log_mel = keras.Input((EXCERPT_FRAMES, FRONT_END.n_mels), name="log_mel")
    features = encode(log_mel, width)

    return _with_head(log_mel, features, config, vocabulary)


def build_head(name: str, size: int, vocabulary: Vocabulary = LASTFM_50) -> keras.Model:
    """A head that has not been trained, for the features of a frozen encoder.

    Args:
        name: One of `ARCHITECTURES`: the same head as that of the whole model.
        size: Columns of the features.
        vocabulary: The tags, and the dimensions that a disentangled model has sub-spaces for.

    Returns:
        ``[N, size]`` features, of any scale -> what the model of `build` returns.

    Raises:
        UnknownNameError: If there is no such model.
        InputError: If a disentangled model is asked for and the tags are not in two dimensions or more.
    """
    features = keras.Input((size,), name="features")
    standard = Standardize(name=STANDARDIZE_LAYER)(features)
    return _with_head(features, standard, architecture(name), vocabulary)


def _with_head(source: Any, features: Any, config: Architecture, vocabulary: Vocabulary) -> keras.Model:
    """The model from an input to embedding and tags, by way of features ``[N, F]``."""
    spaces = config.spaces(vocabulary)
    tag_spaces = vocabulary.tag_dimensions if config.disentangled else (PLAIN_SPACE,) * len(vocabulary.tags)

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
    return keras.Model(source, {EMBEDDING_NAME: embedding, TAGS_NAME: tags}, name=config.name.replace("-", "_"))


def build_waveform(model: keras.Model) -> keras.Model:
    """Put the front end before a model: the form in which models are exported.

    Args:
        model: A model of `build`, trained or not. Its layers are shared, not copied.

    Returns:
        A model ``[N, 66150]`` float32 mono waveform at 22,050 Hz in [-1, 1] -> the outputs of `model`.

    Example:
        >>> import numpy as np
        >>> model = build_waveform(build("proxy", width=16))
        >>> model(np.zeros((1, 66_150), np.float32))["tags"].shape
        TensorShape([1, 50])
    """
    waveform = keras.Input((EXCERPT_SAMPLES,), name=INPUT_NAME)
    outputs: dict[str, Any] = model(LogMel(FRONT_END, name="front_end")(waveform))
    return keras.Model(waveform, outputs, name=f"{model.name}_waveform")
