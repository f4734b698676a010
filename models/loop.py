"""The training loop: one for one device, several, or several processes.

Keras' own `fit` fails with several processes; on one device this loop computes the same bits. With several replicas
it differs where `fit` depends on their number: here gradients are clipped, or left out for not being finite, as a
whole.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from musiczoo.card import EMBEDDING_NAME


class Loop:
    """Steps of a model over batches.

    Args:
        model: Compiled, made in the scope of the strategy.
        strategy: What shares the work: see `musiczoo.models.distributed`.
        judge: The loss of the embedding that `evaluate` gives, if not the one that is trained.
    """

    def __init__(
        self, model: keras.Model, strategy: tf.distribute.Strategy, judge: keras.losses.Loss | None = None
    ) -> None:
        self.model, self.strategy, self.judge = model, strategy, judge
        with strategy.scope():
            self.mean = keras.metrics.Mean()
        self._training, self._validation = (
            tf.function(partial(self._run, step), reduce_retracing=True, autograph=False)
            for step in (self._train, self._validate)
        )

    def train(self, batches: Iterator[Any], steps: int, after: Callable[[Any], None] = lambda loss: None) -> float:
        """So many steps.

        Args:
            batches: Of `distribute`.
            steps: How many.
            after: Called after each with the loss of this process's first replica, a tensor.

        Returns:
            The mean loss of all replicas.
        """
        self.mean.reset_state()
        for _ in range(steps):
            losses = self._training(next(batches))
            after(self.strategy.experimental_local_results(losses)[0])
        return float(self.mean.result())

    def evaluate(self, batches: Iterator[Any]) -> float:
        """The mean loss over all batches, without training."""
        self.mean.reset_state()
        for batch in batches:
            self._validation(batch)
        return float(self.mean.result())

    def _run(self, step: Callable[[Any], Any], batch: Any) -> Any:
        return self.strategy.run(step, (batch,))

    def _train(self, batch: Any) -> Any:
        log_mels, targets = batch
        optimizer, weights = self.model.optimizer, self.model.trainable_variables
        with tf.GradientTape() as tape:
            # Keras divides the loss by the number of replicas, whose gradients the optimiser adds up.
            loss = self.model.compute_loss(log_mels, targets, self.model(log_mels, training=True))
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(self._whole(tape.gradient(scaled, weights)), weights)
        return self._count(loss, log_mels)

    def _validate(self, batch: Any) -> Any:
        log_mels, targets = batch
        outputs = self.model(log_mels, training=False)
        if self.judge:
            return self._count(self.judge(targets[EMBEDDING_NAME], outputs[EMBEDDING_NAME]), log_mels)
        return self._count(self.model.compute_loss(log_mels, targets, outputs), log_mels)

    def _count(self, loss: Any, log_mels: Any) -> Any:
        replicas = self.strategy.num_replicas_in_sync
        loss = loss * float(replicas) if replicas > 1 else loss
        self.mean.update_state(loss, sample_weight=tf.shape(log_mels)[0])
        return loss

    def _whole(self, gradients: list[Any]) -> list[Any]:
        """Where the optimiser looks at gradients before adding them up: as many equal parts of their sum."""
        optimizer, replicas = self.model.optimizer, self.strategy.num_replicas_in_sync
        looks = isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.global_clipnorm
        if replicas == 1 or not looks:
            return gradients
        total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        return [gradient / replicas for gradient in total]


def distribute(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Iterator[Any]:
    """The batches of a data set, each divided among the replicas.

    Args:
        dataset: The same in all processes, of whole batches, which divide by the number of replicas.
        strategy: What shares the work.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return iter(dataset)

    def part(tensor: Any) -> Any:
        share = None if tensor.shape[0] is None else tensor.shape[0] // replicas
        parts = tf.reshape(tensor, (replicas, -1, *tensor.shape[1:]))
        return tf.ensure_shape(parts, (replicas, share, *tensor.shape[1:]))

    def shares(context: tf.distribute.InputContext) -> tf.data.Dataset:
        divided = dataset.map(lambda *batch: tf.nest.map_structure(part, batch)).unbatch()
        return divided.shard(context.num_input_pipelines, context.input_pipeline_id).prefetch(replicas)

    return iter(strategy.distribute_datasets_from_function(shares))
