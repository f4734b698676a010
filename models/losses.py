"""Losses: hinge on triplets of excerpts. Proxy and classification models train on binary cross-entropy.

Conventions
-----------
- A similarity is the cosine, so an anchor a, a positive p and a negative n cost
  ``max(0, cos(a, n) - cos(a, p) + margin)``.
- *Spaces* map a name to (start, stop) columns of the embedding: the masks m_s. A dimension that has no
  space of its own is compared in the whole embedding, so eq. 1 is the case of one space.
- *In-batch*: each excerpt is embedded once, and all triplets among a batch count, or the hard ones.
  *Explicit*: a batch holds samples of consecutive rows, anchor, positive, negative, and with track
  regularisation two more, the track's positive and negative.
- A loss is a mean over dimensions, each the mean over its triplets; dimensions without any do not count.

This file needs TensorFlow alone, of any version from 2.15 on.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), eqs. 1 and 2; track regularisation: Lee et al., ICASSP 2020
(arXiv:2008.03720); semi-hard negatives: Schroff et al., CVPR 2015 (arXiv:1503.03832); hardest: Hermans et al.,
2017 (arXiv:1703.07737).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Spaces = Mapping[str, tuple[int, int]]

MARGIN = 0.1
"""Of the papers."""

TRACK_WEIGHT = 0.5
"""The papers' lambda: what the triplets of tracks count beside those of tags."""

MININGS = ("explicit", "all", "semihard", "hardest")

ORDER = "order"
"""Not a loss but what epochs are compared by: the share of triplets in the wrong order, ties as halves."""


@dataclass(frozen=True)
class Objective:
    """What a model is trained on.

    Attributes:
        mining: Which triplets count, one of `MININGS`; empty for binary cross-entropy on soft tags.
        track_weight: What triplets of tracks count beside those of tags.
    """

    mining: str = ""
    track_weight: float = 0.0


@tf.keras.utils.register_keras_serializable(package="musiczoo")
class TripletLoss(tf.keras.losses.Loss):  # type: ignore[misc]
    """Triplets of tags, in the space of each tag's dimension, and of tracks, in the whole space.

    ``y_pred`` is the embedding ``[N, E]``, of any length: cosines ignore it. ``y_true`` is, float32,

    - in-batch, ``[N, T + 1]``: the tags of each excerpt, 0 or 1, then the number of its track;
    - explicit, ``[N, D]``: 1 in the column of the sample's dimension, the same in all rows of a sample.

    Args:
        spaces: Space -> (start, stop). Plain models have one that bears no dimension's name.
        tag_dimensions: For each tag, in order, the dimension it belongs to.
        mining: One of `MININGS`.
        margin: By how much the positive must be nearer.
        track_weight: Lambda; 0 for no triplets of tracks.
    """

    def __init__(
        self,
        spaces: Spaces,
        tag_dimensions: Sequence[str],
        mining: str = "all",
        margin: float = MARGIN,
        track_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        # The value is the whole batch's: there is nothing to average over its rows.
        super().__init__(**{"name": "triplet_loss", "reduction": "sum_over_batch_size", **kwargs})
        self.spaces = {name: (int(start), int(stop)) for name, (start, stop) in spaces.items()}
        self.tag_dimensions, self.mining = tuple(tag_dimensions), mining
        self.margin, self.track_weight = margin, track_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of a batch: ``[1]``, since Keras divides no plain number by the number of replicas."""
        y_true, y_pred = tf.cast(y_true, tf.float32), tf.cast(y_pred, tf.float32)
        return (self._explicit if self.mining == "explicit" else self._in_batch)(y_true, y_pred)[tf.newaxis]

    def _in_batch(self, y_true: Any, embedding: Any) -> Any:
        tags, tracks = y_true[:, :-1], y_true[:, -1]
        losses, counts = [], []
        for dimension in dict.fromkeys(self.tag_dimensions):
            columns = [i for i, name in enumerate(self.tag_dimensions) if name == dimension]
            valid = tag_triplets(tf.gather(tags, columns, axis=1))
            losses.append(mined_loss(self._part(embedding, dimension), valid, self.mining, self.margin))
            counts.append(tf.reduce_any(valid))
        total = _mean(tf.stack(losses), tf.stack(counts))
        if self.track_weight:
            total += self.track_weight * mined_loss(embedding, track_triplets(tracks), self.mining, self.margin)
        return total

    def _explicit(self, y_true: Any, embedding: Any) -> Any:
        rows = 5 if self.track_weight else 3
        samples = tf.reshape(embedding, (-1, rows, embedding.shape[1]))
        chosen = tf.reshape(y_true, (-1, rows, y_true.shape[1]))[:, 0]
        counts, replicas = _of_all_replicas(tf.reduce_sum(chosen, axis=0))
        sums = []
        for i, dimension in enumerate(dict.fromkeys(self.tag_dimensions)):
            part = self._part(samples, dimension)
            hinges = hinge(part[:, 0], part[:, 1], part[:, 2], self.margin)
            sums.append(tf.reduce_sum(tf.where(chosen[:, i] > 0, hinges, 0.0)))
        # This replica's share of the whole batch's mean, times their number, by which Keras divides.
        total = _mean(tf.math.divide_no_nan(tf.stack(sums), counts), counts > 0) * float(replicas)
        if self.track_weight:
            anchor, _, _, positive, negative = tf.unstack(samples, axis=1)
            total += self.track_weight * tf.reduce_mean(hinge(anchor, positive, negative, self.margin))
        return total

    def _part(self, embedding: Any, dimension: str) -> Any:
        start, stop = self.spaces.get(dimension, (0, embedding.shape[-1]))
        return embedding[..., start:stop]

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal loss."""
        arguments = ("spaces", "tag_dimensions", "mining", "margin", "track_weight")
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}


def hinge(anchor: Any, positive: Any, negative: Any, margin: float = MARGIN) -> Any:
    """Eq. 1 for each triplet: three times ``[N, E]`` -> ``[N]``."""
    a, p, n = (tf.math.l2_normalize(x, axis=-1) for x in (anchor, positive, negative))
    return tf.nn.relu(tf.reduce_sum(a * n, axis=-1) - tf.reduce_sum(a * p, axis=-1) + margin)


def tag_triplets(tags: Any) -> Any:
    """Which triplets of a batch count: ``[N, T]`` of 0 and 1 -> ``[N, N, N]`` bool, anchor x positive x negative.

    Anchor and positive are two excerpts that share a tag which the negative lacks.
    """
    shared = tags[:, None] * tags[None] * (1 - tf.eye(tf.shape(tags)[0]))[..., None]
    return tf.einsum("apz,nz->apn", shared, 1 - tags) > 0


def track_triplets(tracks: Any) -> Any:
    """The same for tracks, each its own tag: ``[N]`` numbers -> ``[N, N, N]`` bool."""
    same = tracks[:, None] == tracks[None]
    other_excerpt = tf.logical_and(same, tf.logical_not(tf.eye(tf.shape(tracks)[0], dtype=tf.bool)))
    return tf.logical_and(other_excerpt[:, :, None], tf.logical_not(same)[:, None, :])


def mined_loss(embedding: Any, valid: Any, mining: str, margin: float = MARGIN) -> Any:
    """The mean hinge over a batch's triplets; 0 if no triplet is valid.

    - ``all``: over every valid triplet.
    - ``semihard``: over pairs of anchor and positive, each with its most similar valid negative that is less
      similar than the positive; if there is none, with its least similar one.
    - ``hardest``: over anchors, each with the valid triplet that costs most.

    Args:
        embedding: ``[N, E]``.
        valid: ``[N, N, N]`` bool, see `tag_triplets`.
        mining: One of `MININGS` but ``explicit``, or `ORDER`.
        margin: By how much the positive must be nearer.

    Raises:
        ValueError: If the mining is unknown.
    """
    unit = tf.math.l2_normalize(embedding, axis=1)
    similarity = tf.matmul(unit, unit, transpose_b=True)
    positive, negative = similarity[:, :, None], similarity[:, None, :]
    far = tf.constant(4.0)  # beyond any difference of cosines
    if mining == "all":
        costs, used = tf.nn.relu(negative - positive + margin), valid
    elif mining == ORDER:
        costs, used = (1 + tf.sign(negative - positive)) / 2, valid
    elif mining == "hardest":
        worst = tf.reduce_max(tf.where(valid, negative - positive, -far), axis=(1, 2))
        costs, used = tf.nn.relu(worst + margin), tf.reduce_any(valid, axis=(1, 2))
    elif mining == "semihard":
        behind = tf.logical_and(valid, negative < positive)
        nearest = tf.reduce_max(tf.where(behind, negative, -far), axis=2)
        easiest = tf.reduce_min(tf.where(valid, negative, far), axis=2)
        chosen = tf.where(tf.reduce_any(behind, axis=2), nearest, easiest)
        costs, used = tf.nn.relu(chosen - similarity + margin), tf.reduce_any(valid, axis=2)
    else:
        raise ValueError(f"Expected mining to be one of {', '.join(MININGS[1:])}, received {mining!r}.")
    return _mean(costs, used)


def _of_all_replicas(counts: Any) -> tuple[Any, int]:
    """The sum over replicas that share a batch, and how many they are."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return counts, 1
    return context.all_reduce(tf.distribute.ReduceOp.SUM, counts), context.num_replicas_in_sync


def _mean(values: Any, used: Any) -> Any:
    """The mean of those that are used; 0 if none is."""
    weights = tf.cast(used, values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(tf.where(used, values, 0.0)), tf.reduce_sum(weights))
