"""Losses: hinge on triplets of excerpts, and distillation. Other models train on binary cross-entropy.

Conventions
-----------
- The similarity s of two embeddings is their cosine. A triplet of an anchor a, a positive p and a negative n costs
  ``max(0, s(a, n) - s(a, p) + margin)`` (eq. 1).
- *Spaces* map a name to (start, stop) columns of the embedding: the masks m_s of eq. 2. A dimension without a
  space of its own is compared in the whole embedding, so eq. 1 is the case of one space.
- The loss is the mean over dimensions of the mean over their triplets. A dimension without triplets does not count.
- A miner (`musiczoo.models.miners`) chooses the triplets. Loss, miner and similarity compose: each can be replaced by
  your own.

This file needs TensorFlow alone, of any version from 2.15 on.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), eqs. 1 and 2; track regularisation: Lee et al., ICASSP 2020
(arXiv:2008.03720).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from musiczoo.models.miners import AllTriplets, Miner

Spaces = Mapping[str, tuple[int, int]]

MARGIN = 0.1
"""The margin of both papers."""

TRACK_WEIGHT = 0.5
"""The papers' lambda: the weight of the triplets of tracks beside those of tags."""

TAGS, TRACKS = "tags", "tracks"
"""Names of the targets of a `TripletLoss`."""

VOICES = "voices"
"""The target that says which excerpts have a voice (see `Distillation`)."""

VOICES_SPACE = "instrument"
"""The space in which a student compares voices with what has none: that of the tags of voices."""

LOGITS, HIDDEN, EMBEDDING = "logits", "hidden", "embedding"
"""Outputs of a student besides its tags (see `Distillation`)."""

LEAST = 1e-5
"""Probabilities of teachers are limited to this and one minus this before logits are made of them."""


@tf.keras.utils.register_keras_serializable(package="musiczoo")  # type: ignore[untyped-decorator]
def cosine_similarity(embedding: Any) -> Any:
    """Return the cosine of each pair of rows: ``[N, E] -> [N, N]``.

    Example:
        >>> cosine_similarity(tf.constant([[1.0, 0.0], [3.0, 4.0]])).numpy().round(2)
        array([[1. , 0.6],
               [0.6, 1. ]], dtype=float32)
    """
    unit = tf.math.l2_normalize(embedding, axis=1)
    return tf.matmul(unit, unit, transpose_b=True)


@tf.keras.utils.register_keras_serializable(package="musiczoo")
class TripletLoss(tf.keras.losses.Loss):  # type: ignore[misc]
    """Hinge loss on triplets of tags, in the space of each tag's dimension, and of tracks, in the whole embedding.

    $$L = \\frac{1}{D} \\sum_{d} \\frac{1}{|T_d|} \\sum_{(a, p, n) \\in T_d}
    \\max(0, s(a \\circ m_d, n \\circ m_d) - s(a \\circ m_d, p \\circ m_d) + \\Delta) + \\lambda L_{track}$$

    ``y_pred`` is the embedding ``[N, E]``, of any length. ``y_true`` is the tags of each excerpt, 0 or 1: ``[N, T]``.
    With triplets of tracks it is a mapping, ``{"tags": [N, T], "tracks": [N]}``, where tracks are numbers.

    Args:
        spaces: Space -> (start, stop). Plain models have one space, which no dimension is named after.
        tag_dimensions: The dimension of each tag, in the order of the columns of ``y_true``.
        miner: Chooses the triplets of each dimension.
        margin: Difference of similarities from which on a triplet costs nothing.
        track_weight: Lambda; 0 for no triplets of tracks.
        track_miner: Chooses the triplets of tracks; `miner` by default.
        similarity: ``[N, E] -> [N, N]``; the more alike two rows, the greater.

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), eqs. 1 and 2.

    Example:
        Row 2 lacks the tag of rows 0 and 1. The triplets (0, 1, 2) and (1, 0, 2) cost 0.8 - 0.6 + 0.1 and
        0.96 - 0.6 + 0.1:

        >>> embedding = tf.constant([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
        >>> loss = TripletLoss({"genre": (0, 2)}, ["genre"])
        >>> round(float(loss([[1], [1], [0]], embedding)), 4)
        0.38

        Another miner, and a similarity of your own:

        >>> from musiczoo.models.miners import HardTriplets
        >>> def negative_distance(x):
        ...     return -tf.norm(x[:, None] - x[None] + 1e-9, axis=2)
        >>> loss = TripletLoss({}, ["genre"], miner=HardTriplets(), similarity=negative_distance)
        >>> round(float(loss([[1], [1], [0]], embedding)), 4)
        0.5368
    """

    def __init__(
        self,
        spaces: Spaces,
        tag_dimensions: Sequence[str],
        miner: Miner | None = None,
        margin: float = MARGIN,
        track_weight: float = 0.0,
        track_miner: Miner | None = None,
        similarity: Callable[[Any], Any] = cosine_similarity,
        **kwargs: Any,
    ) -> None:
        # The value is that of the whole batch: there is nothing to average over its rows.
        super().__init__(**{"name": "triplet_loss", "reduction": "sum_over_batch_size", **kwargs})
        self.spaces = {name: (int(start), int(stop)) for name, (start, stop) in spaces.items()}
        self.tag_dimensions = tuple(tag_dimensions)
        self.miner = AllTriplets() if miner is None else miner
        self.track_miner = self.miner if track_miner is None else track_miner
        self.margin, self.track_weight, self.similarity = margin, track_weight, similarity

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of a batch as ``[1]``: Keras does not divide a scalar by the number of replicas."""
        embedding = tf.cast(y_pred, tf.float32)
        tags = tf.cast(y_true[TAGS] if isinstance(y_true, Mapping) else y_true, tf.float32)
        total = self._of_tags(tags, embedding)
        if self.track_weight:
            tracks = tf.cast(y_true[TRACKS], tf.float32)
            # Excerpts of one track have one label in common: the row of each excerpt serves as a label.
            labels = tf.cast(tracks[:, None] == tracks[None], tf.float32)
            total += self.track_weight * _mean(*self._costs(self.track_miner, embedding, labels))
        return total[tf.newaxis]

    def cost(self, difference: Any) -> Any:
        """Return the cost of triplets with this difference ``s(a, n) - s(a, p)``: the hinge of eq. 1."""
        return tf.nn.relu(difference + self.margin)

    def _of_tags(self, tags: Any, embedding: Any) -> Any:
        sums, counts = [], []
        for dimension in dict.fromkeys(self.tag_dimensions):
            columns = [i for i, name in enumerate(self.tag_dimensions) if name == dimension]
            start, stop = self.spaces.get(dimension, (0, embedding.shape[-1]))
            costs, mask = self._costs(self.miner, embedding[:, start:stop], tf.gather(tags, columns, axis=1))
            sums.append(tf.reduce_sum(tf.where(mask, costs, 0.0)))
            counts.append(tf.reduce_sum(tf.cast(mask, tf.float32)))
        count, replicas = tf.stack(counts), 1
        if self.miner.independent:
            count, replicas = _of_all_replicas(count)
        # The share of this replica in the mean over the whole batch, times the replicas, by whose number Keras divides.
        return _mean(tf.math.divide_no_nan(tf.stack(sums), count), count > 0) * float(replicas)

    def _costs(self, miner: Miner, embedding: Any, labels: Any) -> tuple[Any, Any]:
        difference, mask = miner(self.similarity(embedding), labels)
        return self.cost(difference), mask

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal loss."""
        plain = {name: getattr(self, name) for name in ("spaces", "tag_dimensions", "margin", "track_weight")}
        serialize = tf.keras.utils.serialize_keras_object
        objects = {name: serialize(getattr(self, name)) for name in ("miner", "track_miner", "similarity")}
        return {**super().get_config(), **plain, **objects}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TripletLoss":
        """Make the loss that `get_config` describes."""
        names = ("miner", "track_miner", "similarity")
        objects = {name: tf.keras.utils.deserialize_keras_object(config[name]) for name in names}
        return cls(**{**config, **objects})


class Distillation:
    """What a student learns from its teachers: their probabilities, their logits, and their hidden layers; and facts.

    $$L = H(p, \\sigma(z)) + \\frac{\\alpha}{T} \\sum_t w_t (z_t - \\log \\tfrac{p_t}{1 - p_t})^2
    + \\frac{\\beta}{F} \\sum_f \\left(\\frac{g_f - h_f}{s_f}\\right)^2$$

    with the cross-entropy H of the teachers' mean probabilities p, the student's logits z, the teachers' hidden units h
    of deviation s, and the student's prediction g of them. The cross-entropy hardly sees rare tags, whose probabilities
    are small for all music; the logits of all tags vary alike.

    Call with targets ``{"tags": [N, T] probabilities, "hidden": [N, F], "voices": [N]}`` and outputs
    ``{"logits": [N, T], "hidden": [N, F], "embedding": [N, E]}``; returns a number. What no term needs may be missing.

    Args:
        logits_weight: Alpha.
        tag_weights: ``[T]``: the weight w of each tag's logit.
        hidden_weight: Beta.
        deviations: ``[F]``: the standard deviation s of each hidden unit; a tenth of their mean at least, so that units
            that hardly ever are active do not rule.
        triplets: A loss on the embedding, which is added; None for none. It makes excerpts that share a tag neighbours
            in the sub-space of its dimension.
        triplets_weight: Its weight.
        least: ``[T]``: the probability from which on an excerpt has a tag, for the triplets.
        voices: A loss on the embedding with the labels *voice* and *no voice*, which is added; None for none. Its
            excerpts are those whose target is 1 (a voice) or 0 (none); -1 means that it is not known.
        voices_weight: Its weight.

    Source: Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015 (arXiv:1503.02531), section
    2.1, whose limit of a high temperature is the difference of logits; hidden layers: Romero et al., FitNets, ICLR 2015
    (arXiv:1412.6550).

    Example:
        The teacher's logit is 0, and the student's 2: log(1 + e^2) - 2 / 2 + 0.5 * 4.

        >>> loss = Distillation(0.5, [1.0])
        >>> round(float(loss({"tags": tf.constant([[0.5]])}, {"logits": tf.constant([[2.0]])})), 4)
        3.1269
    """

    def __init__(
        self,
        logits_weight: float,
        tag_weights: Sequence[float],
        hidden_weight: float = 0.0,
        deviations: Sequence[float] = (),
        triplets: TripletLoss | None = None,
        triplets_weight: float = 0.0,
        least: Sequence[float] = (),
        voices: TripletLoss | None = None,
        voices_weight: float = 0.0,
    ) -> None:
        self.logits_weight, self.hidden_weight = logits_weight, hidden_weight
        self.voices, self.voices_weight = voices, voices_weight
        self.triplets, self.triplets_weight, self.least = triplets, triplets_weight, tuple(map(float, least))
        self.tag_weights = tuple(map(float, tag_weights))
        least_deviation = 0.1 * sum(map(float, deviations)) / max(1, len(deviations))
        self.scale = tuple(1 / max(float(deviation), least_deviation, 1e-9) for deviation in deviations)

    def __call__(self, targets: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
        """Return the loss of a batch."""
        wanted, logits = targets[TAGS], outputs[LOGITS]
        limited = tf.clip_by_value(wanted, LEAST, 1 - LEAST)
        difference = logits - (tf.math.log(limited) - tf.math.log1p(-limited))
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits))
        loss += self.logits_weight * tf.reduce_mean(tf.square(difference) * tf.constant(self.tag_weights))
        if self.hidden_weight:
            errors = (outputs[HIDDEN] - targets[HIDDEN]) * tf.constant(self.scale)
            loss += self.hidden_weight * tf.reduce_mean(tf.square(errors))
        if self.triplets is not None:
            tags = tf.cast(wanted >= tf.constant(self.least), tf.float32)
            loss += self.triplets_weight * self.triplets(tags, outputs[EMBEDDING])
        if self.voices is not None:
            known = targets[VOICES] >= 0
            voice = tf.boolean_mask(targets[VOICES], known)
            labels = tf.stack([voice, 1 - voice], axis=1)
            loss += self.voices_weight * self.voices(labels, tf.boolean_mask(outputs[EMBEDDING], known))
        return loss


@tf.keras.utils.register_keras_serializable(package="musiczoo")
class TripletError(TripletLoss):
    """The share of triplets in the wrong order, ties as halves: compares epochs and has no useful gradient.

    Which triplets are hard changes with the embedding, so that their loss may rise while the embedding improves.

    Example:
        >>> embedding = tf.constant([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
        >>> float(TripletError({}, ["genre"])([[1], [1], [0]], embedding))
        1.0
    """

    def cost(self, difference: Any) -> Any:
        """0, 1/2 or 1."""
        return (1 + tf.sign(difference)) / 2


def _of_all_replicas(counts: Any) -> tuple[Any, int]:
    """Return the sum over the replicas that share a batch, and their number."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return counts, 1
    return context.all_reduce(tf.distribute.ReduceOp.SUM, counts), context.num_replicas_in_sync


def _mean(values: Any, mask: Any) -> Any:
    """Return the mean of the values under a mask; 0 if there are none."""
    weights = tf.cast(mask, values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(tf.where(mask, values, 0.0)), tf.reduce_sum(weights))
