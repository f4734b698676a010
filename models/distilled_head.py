"""A disentangled head that keeps the tags of the network whose features it is trained on.

The last layer of a tagger is affine in its features: ``logits = features @ W + b``. So the network itself labels any
feature vector, one that no music gave too, and a head can be taught far beyond the music at hand: real vectors are
mixed, scaled, masked and noised, and moved so that single tags change. That is what keeps the tags on other music.

Why unit vectors can hold the tags
----------------------------------
Unit length loses the length of a vector, and with it how sure the network is. It is kept by one unit of each sub-space
that starts as a constant: ``(v, c) / ||(v, c)||`` is v but for a factor that hardly varies while c is larger than v.
The other units start as the network's own logits of the dimension's tags, less their mean: a pair of ReLUs for each,
``relu(v)`` and ``relu(-v)``. The training then makes an embedding of them in which excerpts that share a tag are near
to each other, too.

The loss
--------
Cross-entropy with the network's probabilities, `LOGITS_WEIGHT` times the mean square of the logits' differences, and
`TRIPLETS_WEIGHT` times the triplet loss of one tag, drawn anew in each step, in the sub-space of its dimension and on
real vectors. So a dimension counts as much as it has tags.

Source: the head is that of Lee et al., ISMIR 2020 (arXiv:2008.03729), eq. 11, the triplet loss its eq. 2; the sum of
both losses and the rest are ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import onnx
import tensorflow as tf
from numpy.typing import NDArray
from onnx import numpy_helper

from musiczoo.card import EMBEDDING_NAME, TAGS_NAME
from musiczoo.datasets.hard_tags import hard_tags
from musiczoo.errors import InputError
from musiczoo.models.architectures import LOGITS_LAYER, STANDARDIZE_LAYER, UNITS_LAYER, build_head
from musiczoo.models.frozen_encoder import FEATURES_NAME
from musiczoo.models.losses import TripletLoss
from musiczoo.taxonomy import Vocabulary

MODEL = "disentangled-classification"

CONSTANT = 2.0
"""Start of a sub-space's constant unit, in root mean squares of its other units."""

ABSENT = 0.6
"""Scale of ``relu(-v)`` beside ``relu(v)``: of many tags, those that two excerpts share say more than the others."""

FEW_TAGS = 6
"""Dimensions of so few tags are not scaled: there, what is absent (a voice, say) says as much as what is present."""

EVENNESS = 0.75
"""Power of its standard deviation by which a tag's logit is divided at the start: with 1, all tags count alike."""

LOGITS_WEIGHT, TRIPLETS_WEIGHT = 0.05, 0.15
SPARE = 0.02
"""Scale of the units that no logit needs, which start as random projections, beside the others."""

TRIPLET_ROWS = 64
"""Rows of a batch among which triplets are taken."""

POOL = 6000
"""Made vectors that are drawn at a time."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LastLayer:
    """What makes a network's logits of its features.

    Attributes:
        kernel: ``[F, T]``.
        bias: ``[T]``.
    """

    kernel: Array
    bias: Array

    def __call__(self, features: NDArray[np.floating]) -> Array:
        """``[N, F] -> [N, T]``."""
        return np.asarray(features, np.float64) @ self.kernel + self.bias

    @classmethod
    def of(cls, proto: onnx.ModelProto) -> "LastLayer":
        """The last layer of a graph in which a dense layer and a sigmoid follow the tensor `FEATURES_NAME`.

        Raises:
            InputError: If the graph is another.
        """
        made_by = {output: node for node in proto.graph.node for output in node.output}
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
        sigmoid = made_by.get(TAGS_NAME)
        dense = made_by.get(sigmoid.input[0]) if sigmoid is not None and sigmoid.op_type == "Sigmoid" else None
        if dense is None or dense.op_type != "Gemm" or dense.input[0] != FEATURES_NAME or len(dense.input) != 3:
            raise InputError(
                f"The tags of {proto.graph.name!r} are not a dense layer and a sigmoid behind the tensor "
                f"{FEATURES_NAME!r}, as those of musicnn-msd and vgg-msd are. Train a head on labels instead."
            )
        return cls(*(constants[name].astype(np.float64) for name in dense.input[1:]))


def distil(
    features: NDArray[np.floating],
    last: LastLayer,
    vocabulary: Vocabulary,
    steps: int = 2000,
    batch: int = 256,
    learning_rate: float = 0.002,
    seed: int = 0,
    report: Callable[[int, float, float, float], None] = lambda *_: None,
) -> keras.Model:
    """Train a head that keeps a network's tags.

    Args:
        features: Real ones ``[N, F]``, of music of any kind.
        last: The network's last layer.
        vocabulary: Its tags, and the dimensions to have sub-spaces for.
        steps: Of the training.
        batch: Vectors in a step, a quarter of them real.
        learning_rate: At the start; it falls to a hundredth along a cosine.
        seed: Of weights and vectors.
        report: Called every hundredth of the steps with the step and the three losses, unweighted.

    Returns:
        ``[N, F]`` features -> ``{"embedding", "tags"}`` (see `musiczoo.models.architectures.build_head`).
    """
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    real = np.asarray(features, np.float64)
    prior = _sigmoid(last(real)).mean(axis=0)
    head = build_head(MODEL, real.shape[1], vocabulary)
    _start(head, real, last, vocabulary, random)
    spaces, dimensions = head.get_layer(EMBEDDING_NAME).spaces, vocabulary.tag_dimensions
    triplets = TripletLoss(spaces, dimensions)
    tagger = keras.Model(head.input, [head.get_layer(EMBEDDING_NAME).output, head.get_layer(LOGITS_LAYER).output])
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps, 0.01))
    weights = tagger.trainable_variables

    @tf.function  # type: ignore[untyped-decorator]
    def step(vectors: tf.Tensor, wanted: tf.Tensor, tags: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            embedding, logits = tagger(vectors, training=True)
            entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.sigmoid(wanted), logits))
            squares = tf.reduce_mean(tf.square(logits - wanted))
            order = triplets(tags, embedding[: tf.shape(tags)[0]])
            loss = entropy + LOGITS_WEIGHT * squares + TRIPLETS_WEIGHT * order
        optimizer.apply(tape.gradient(loss, weights), weights)
        return entropy, squares, order

    made = _Vectors(real, last, vocabulary, random)
    for number in range(steps):
        vectors = made.batch(batch)
        wanted = last(vectors)
        tags = hard_tags(_sigmoid(wanted[:TRIPLET_ROWS]), prior)
        tags &= np.arange(tags.shape[1]) == random.integers(tags.shape[1])
        losses = step(
            tf.constant(vectors, tf.float32),
            tf.constant(wanted, tf.float32),
            tf.constant(tags, tf.float32),
        )
        if number % max(1, steps // 100) == 0 or number == steps - 1:
            report(number, *map(float, losses))
    return head


class _Vectors:
    """Batches of real feature vectors, which come first, and of made ones.

    Args:
        real: ``[N, F]``.
        last: The network's last layer.
        vocabulary: Its tags.
        random: Where all is drawn from.
    """

    def __init__(self, real: Array, last: LastLayer, vocabulary: Vocabulary, random: np.random.Generator) -> None:
        self.real, self.random = real, random
        self.mean, self.deviation = real.mean(axis=0), real.std(axis=0)
        self.spread = last(real).std(axis=0)
        # The least change of the features that changes the logits by a given amount.
        self.inverse = np.linalg.pinv(last.kernel)
        self.opposites = opposites(vocabulary.tags)
        self.pool, self.used = self._make(POOL), 0

    def batch(self, size: int) -> Array:
        """``[size, F]``: a quarter real, then made ones."""
        count = size // 4
        if self.used + size - count > len(self.pool):
            self.pool, self.used = self._make(POOL), 0
        made = self.pool[self.used : self.used + size - count]
        self.used += size - count
        real = self.real[self.random.integers(0, len(self.real), count)]
        return np.concatenate([real, made])

    def _make(self, count: int) -> Array:
        random, real = self.random, self.real
        first, second = real[random.integers(0, len(real), (2, count))]
        share = random.beta(0.6, 0.6, (count, 1))
        mixed = share * first + (1 - share) * second
        scaled = self.mean + (mixed - self.mean) * random.uniform(0.6, 2.2, (count, 1))
        noise = random.normal(size=scaled.shape) * self.deviation
        noised = scaled + noise * random.choice([0, 0.1, 0.3, 0.6], (count, 1))
        swapped = random.random(scaled.shape) < random.choice([0, 0, 0.05, 0.2], (count, 1))
        vectors = np.where(swapped, real[random.integers(0, len(real), count)], noised)
        return np.asarray(vectors + self._shifts(count) @ self.inverse)

    def _shifts(self, count: int) -> Array:
        """Changes of the logits ``[count, T]``: of some tags, and of opposite tags in opposite directions."""
        random, tags = self.random, len(self.spread)
        size = self.spread * random.choice([0, 0.5, 1.0, 1.5], (count, 1))
        chosen = random.random((count, tags)) < random.choice([0.1, 0.3, 1.0], (count, 1))
        shifts = random.normal(size=(count, tags)) * size * chosen
        for signs in self.opposites:
            moved = 2 * random.normal(size=(count, 1)) * (random.random((count, 1)) < 0.4)
            shifts += moved * signs * random.uniform(0.5, 1.2, (count, tags))
        return np.asarray(shifts)


def opposites(tags: Sequence[str]) -> list[Array]:
    """Tags that a singer changes together: ``[T]`` of +1 for those of a voice, -1 for those of none, else 0."""
    signs = np.array([1.0 if tag in VOICES else -1.0 if tag in VOICELESS else 0.0 for tag in tags])
    return [signs] if signs.any() else []


VOICES = ("female vocalists", "male vocalists", "female vocalist")
VOICELESS = ("instrumental",)


def _start(
    head: keras.Model, real: Array, last: LastLayer, vocabulary: Vocabulary, random: np.random.Generator
) -> None:
    """Give a head its first weights: see the top of the file."""
    standard = head.get_layer(STANDARDIZE_LAYER)
    standard.set_statistics(real)
    mean, scale = (np.asarray(weight, np.float64) for weight in (standard.mean, standard.scale))
    inputs = (real - mean) * scale
    safe = np.where(scale > 0, scale, 1)
    logits, dimensions = last(real), np.array(vocabulary.tag_dimensions)
    size = head.get_layer(UNITS_LAYER).units
    kernel, bias, centroids = np.zeros((real.shape[1], size)), np.zeros(size), np.zeros((size, len(dimensions)))
    for name, (start, stop) in vocabulary.spaces.items():
        columns = np.flatnonzero(dimensions == name)
        count = len(columns)
        absent = ABSENT if count > FEW_TAGS else 1.0
        directions = last.kernel[:, columns] / safe[:, np.newaxis] / logits[:, columns].std(axis=0) ** EVENNESS
        values = inputs @ directions
        offset = values.mean(axis=0)
        pairs = np.concatenate([np.maximum(values - offset, 0), absent * np.maximum(offset - values, 0)], axis=1)
        power = float(np.square(pairs).sum(axis=1).mean())
        spare = random.normal(size=(real.shape[1], stop - start - 2 * count - 1))
        spare *= SPARE * np.sqrt(power / count) / (inputs @ spare).std(axis=0)
        constant = np.zeros((len(directions), 1))
        kernel[:, start:stop] = np.concatenate([directions, -absent * directions, constant, spare], axis=1)
        bias[start:stop] = np.concatenate(
            [-offset, absent * offset, [CONSTANT * np.sqrt(power)], np.zeros(spare.shape[1])]
        )
        units = np.maximum(inputs @ kernel[:, start:stop] + bias[start:stop], 0)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        ridge = 1e-4 * len(units) / units.shape[1] * np.eye(units.shape[1])
        centroids[start:stop, columns] = np.linalg.solve(units.T @ units + ridge, units.T @ logits[:, columns])
    head.get_layer(UNITS_LAYER).set_weights([kernel, bias])
    head.get_layer(LOGITS_LAYER).centroids.assign(centroids)


def _sigmoid(logits: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logits)))
