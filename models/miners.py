"""Miners: which triplets of a batch a `musiczoo.models.losses.TripletLoss` counts.

Conventions
-----------
- A triplet is three excerpts of a batch: an anchor a, a positive p and a negative n. Anchor and positive share a label
  (a tag, or the track) that the negative lacks.
- A miner maps the similarities of a batch, ``[N, N]``, and the labels of its excerpts, ``[N, L]`` of 0 and 1, to the
  differences ``s(a, n) - s(a, p)`` of the triplets it chooses, and a mask of the same shape: False where there is no
  such triplet.
- In-batch miners form triplets of all excerpts of a batch. `ExplicitTriplets` reads triplets that were drawn before:
  a batch holds their excerpts in consecutive rows.

| miner | recipe | triplets | source |
|---|---|---|---|
| `AllTriplets` | ``all`` | every valid triplet | |
| `SemiHardTriplets` | ``semihard`` | one for each anchor and positive | Schroff et al., CVPR 2015 (arXiv:1503.03832) |
| `HardTriplets` | ``hardest`` | for each anchor, the most expensive triplet | Hermans et al., 2017 (arXiv:1703.07737) |
| `ExplicitTriplets` | ``explicit`` | drawn triplets | Lee et al., ISMIR 2020 (arXiv:2008.03729), section 3.1 |

This file needs TensorFlow alone, of any version from 2.15 on.

Example:
    A miner of your own is a subclass of `Miner` that implements ``select``:

    >>> class FirstPositive(Miner):
    ...     '''For each anchor, its first positive and its most similar negative.'''
    ...     def select(self, similarity, valid):
    ...         positive = tf.argmax(tf.cast(tf.reduce_any(valid, axis=2), tf.int32), axis=1)
    ...         negative = tf.reduce_max(tf.where(tf.reduce_any(valid, axis=1), similarity, -1.0), axis=1)
    ...         difference = negative - tf.gather(similarity, positive, batch_dims=1)
    ...         return difference, tf.reduce_any(valid, axis=(1, 2))
    >>> similarity = tf.constant([[1.0, 0.6, 0.8], [0.6, 1.0, 0.9], [0.8, 0.9, 1.0]])
    >>> difference, mask = FirstPositive()(similarity, tf.constant([[1.0], [1.0], [0.0]]))
    >>> difference[mask].numpy().round(2)
    array([0.2, 0.3], dtype=float32)
"""

from typing import Any

import tensorflow as tf

_FAR = 4.0
"""More than any difference of two cosines."""


def valid_triplets(labels: Any) -> Any:
    """Return which triplets of a batch are valid.

    Args:
        labels: ``[N, L]`` float32, 0 or 1.

    Returns:
        ``[N, N, N]`` bool, anchor x positive x negative: anchor and positive are two excerpts that share a label which
        the negative lacks.

    Example:
        >>> tf.where(valid_triplets(tf.constant([[1.0], [1.0], [0.0]]))).numpy().tolist()
        [[0, 1, 2], [1, 0, 2]]
    """
    shared = labels[:, None] * labels[None] * (1 - tf.eye(tf.shape(labels)[0]))[..., None]
    return tf.einsum("apz,nz->apn", shared, 1 - labels) > 0


class Miner:
    """Base of the miners. A miner is called with similarities ``[N, N]`` and labels ``[N, L]``.

    Example:
        >>> class AllPositives(Miner):
        ...     def select(self, similarity, valid):  # all triplets of each anchor and positive with the first negative
        ...         first = tf.argmax(tf.cast(valid, tf.int32), axis=2)
        ...         difference = tf.gather(similarity, first, batch_dims=1) - similarity
        ...         return difference, tf.reduce_any(valid, axis=2)
        >>> similarity = tf.constant([[1.0, 0.6, 0.8], [0.6, 1.0, 0.9], [0.8, 0.9, 1.0]])
        >>> difference, mask = AllPositives()(similarity, tf.constant([[1.0], [1.0], [0.0]]))
        >>> difference[mask].numpy().round(2)
        array([0.2, 0.3], dtype=float32)
    """

    independent = False
    """Whether each triplet is chosen without a look at the rest of the batch. Replicas that share a batch then take the
    mean over the triplets of all of them."""

    def __call__(self, similarity: Any, labels: Any) -> tuple[Any, Any]:
        """Return the differences of the chosen triplets, and which of them count."""
        return self.select(similarity, valid_triplets(labels))

    def select(self, similarity: Any, valid: Any) -> tuple[Any, Any]:
        """Choose among the valid triplets of a batch.

        Args:
            similarity: ``[N, N]`` float32.
            valid: ``[N, N, N]`` bool, anchor x positive x negative: see `valid_triplets`.

        Returns:
            ``s(a, n) - s(a, p)``, of any shape, and a mask of the same shape.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal miner."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Miner":
        """Make the miner that `get_config` describes."""
        return cls(**config)


@tf.keras.utils.register_keras_serializable(package="musiczoo")
class AllTriplets(Miner):
    """Every valid triplet: the differences $s(a, n) - s(a, p)$ of all (a, p, n).

    Example:
        >>> similarity = tf.constant([[1.0, 0.6, 0.8], [0.6, 1.0, 0.9], [0.8, 0.9, 1.0]])
        >>> difference, mask = AllTriplets()(similarity, tf.constant([[1.0], [1.0], [0.0]]))
        >>> difference[mask].numpy().round(2)
        array([0.2, 0.3], dtype=float32)
    """

    def select(self, similarity: Any, valid: Any) -> tuple[Any, Any]:
        """``[N, N, N]``: see `Miner.select`."""
        return similarity[:, None, :] - similarity[:, :, None], valid


@tf.keras.utils.register_keras_serializable(package="musiczoo")
class SemiHardTriplets(Miner):
    """For each pair of anchor and positive, the most similar negative that is less similar than the positive.

    $$\\max_{n: s(a, n) < s(a, p)} s(a, n) - s(a, p)$$

    If there is none, the least similar negative.

    Source: Schroff et al., CVPR 2015 (arXiv:1503.03832).

    Example:
        Both negatives of the pair (0, 1) are less similar than the positive; row 2 is the harder one:

        >>> similarity = tf.constant([[1, 0.9, 0.8, 0.1], [0.9, 1, 0, 0], [0.8, 0, 1, 0], [0.1, 0, 0, 1]])
        >>> difference, mask = SemiHardTriplets()(similarity, tf.constant([[1.0], [1.0], [0.0], [0.0]]))
        >>> difference[0, 1].numpy().round(2)
        np.float32(-0.1)
    """

    def select(self, similarity: Any, valid: Any) -> tuple[Any, Any]:
        """``[N, N]``, anchor x positive: see `Miner.select`."""
        positive, negative = similarity[:, :, None], similarity[:, None, :]
        easier = tf.logical_and(valid, negative < positive)
        nearest = tf.reduce_max(tf.where(easier, negative, -_FAR), axis=2)
        easiest = tf.reduce_min(tf.where(valid, negative, _FAR), axis=2)
        chosen = tf.where(tf.reduce_any(easier, axis=2), nearest, easiest)
        return chosen - similarity, tf.reduce_any(valid, axis=2)


@tf.keras.utils.register_keras_serializable(package="musiczoo")
class HardTriplets(Miner):
    """For each anchor, the valid triplet that costs most.

    $$\\max_{p, n} s(a, n) - s(a, p)$$

    Source: Hermans et al., 2017 (arXiv:1703.07737).

    Example:
        >>> similarity = tf.constant([[1.0, 0.6, 0.8], [0.6, 1.0, 0.9], [0.8, 0.9, 1.0]])
        >>> difference, mask = HardTriplets()(similarity, tf.constant([[1.0], [1.0], [0.0]]))
        >>> difference[mask].numpy().round(2)
        array([0.2, 0.3], dtype=float32)
    """

    def select(self, similarity: Any, valid: Any) -> tuple[Any, Any]:
        """``[N]``, one for each anchor: see `Miner.select`."""
        difference = similarity[:, None, :] - similarity[:, :, None]
        return tf.reduce_max(tf.where(valid, difference, -_FAR), axis=(1, 2)), tf.reduce_any(valid, axis=(1, 2))


@tf.keras.utils.register_keras_serializable(package="musiczoo")
class ExplicitTriplets(Miner):
    """Triplets that were drawn before: samples of consecutive rows, the first of which is the anchor.

    The labels of the anchor's row belong to the whole sample: the triplet counts if one of them is 1.

    Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 3.1.

    Args:
        rows: Rows of a sample.
        positive: Row of the positive in its sample.
        negative: Row of the negative in its sample.

    Example:
        >>> similarity = tf.constant([[1.0, 0.6, 0.8], [0.6, 1.0, 0.9], [0.8, 0.9, 1.0]])
        >>> difference, mask = ExplicitTriplets()(similarity, tf.ones((3, 1)))
        >>> difference.numpy().round(2), mask.numpy()
        (array([0.2], dtype=float32), array([ True]))
    """

    independent = True

    def __init__(self, rows: int = 3, positive: int = 1, negative: int = 2) -> None:
        self.rows, self.positive, self.negative = rows, positive, negative

    def __call__(self, similarity: Any, labels: Any) -> tuple[Any, Any]:
        """``[N / rows]``, one for each sample."""
        anchors = tf.range(0, tf.shape(similarity)[0], self.rows)
        of_anchors = tf.gather(similarity, anchors)
        positive, negative = (
            tf.gather(of_anchors, anchors + row, axis=1, batch_dims=1) for row in (self.positive, self.negative)
        )
        return negative - positive, tf.reduce_any(labels[:: self.rows] > 0, axis=1)


MINERS: dict[str, type[Miner]] = {
    "explicit": ExplicitTriplets,
    "all": AllTriplets,
    "semihard": SemiHardTriplets,
    "hardest": HardTriplets,
}
"""A recipe's ``mining`` -> the miner."""
