"""The training loop, for one device, several devices, or several processes.

Keras' own `fit` fails with several processes. On one device this loop computes the same bits as `fit`. With several
replicas it differs where the result of `fit` depends on their number: here gradients are clipped, or skipped because
they are not finite, as a whole.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

Loss = Callable[[Any, Any], Any]
"""Targets and outputs of a batch -> its loss."""


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Give a model the moving average of its weights for a while, if its optimizer keeps one."""
    if not getattr(model.optimizer, "use_ema", False):
        yield
        return
    weights = model.trainable_variables
    latest = [weight.numpy() for weight in weights]
    model.optimizer.finalize_variable_values(weights)
    try:
        yield
    finally:
        for weight, value in zip(weights, latest, strict=True):
            weight.assign(value)


class Loop:
    """Training and validation steps of a model.

    Args:
        model: A compiled model, made in the scope of the strategy.
        strategy: A distribution strategy: see `musiczoo.models.distributed`.
        loss: ``(targets, outputs) -> loss`` of a batch: a Keras loss, or a function that calls one.
        validation_loss: The loss that `evaluate` returns; `loss` by default.
        batch_statistics: Whether normalisations use the statistics of the batch in training.
    """

    def __init__(
        self,
        model: keras.Model,
        strategy: tf.distribute.Strategy,
        loss: Loss,
        validation_loss: Loss | None = None,
        batch_statistics: bool = True,
    ) -> None:
        self.model, self.strategy, self.loss = model, strategy, loss
        self.batch_statistics = batch_statistics
        self.validation_loss = validation_loss or loss
        with strategy.scope():
            self.mean = keras.metrics.Mean()
        self._training, self._validation = (
            tf.function(partial(self._run, step), reduce_retracing=True, autograph=False)
            for step in (self._train, self._validate)
        )

    def train(self, batches: Iterator[Any], steps: int, after: Callable[[Any], None] = lambda loss: None) -> float:
        """Train for a number of steps.

        Args:
            batches: Batches of `distribute`.
            steps: Number of steps.
            after: Called after each step with the loss of this process's first replica, a tensor.

        Returns:
            The mean loss over steps and replicas.
        """
        self.mean.reset_state()
        for _ in range(steps):
            losses = self._training(next(batches))
            after(self.strategy.experimental_local_results(losses)[0])
        return float(self.mean.result())

    def evaluate(self, batches: Iterator[Any]) -> float:
        """Return the mean validation loss over all batches."""
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
            # Keras divides the loss by the number of replicas, and the optimiser adds up their gradients.
            loss = self.loss(targets, self.model(log_mels, training=self.batch_statistics))
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(self._combined(tape.gradient(scaled, weights)), weights)
        return self._count(loss, log_mels)

    def _validate(self, batch: Any) -> Any:
        log_mels, targets = batch
        return self._count(self.validation_loss(targets, self.model(log_mels, training=False)), log_mels)

    def _count(self, loss: Any, log_mels: Any) -> Any:
        replicas = self.strategy.num_replicas_in_sync
        loss = loss * float(replicas) if replicas > 1 else loss
        self.mean.update_state(loss, sample_weight=tf.shape(log_mels)[0])
        return loss

    def _combined(self, gradients: list[Any]) -> list[Any]:
        """Give each replica an equal part of the sum if the optimiser inspects gradients before it adds them up."""
        optimizer, replicas = self.model.optimizer, self.strategy.num_replicas_in_sync
        inspects = isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.global_clipnorm
        if replicas == 1 or not inspects:
            return gradients
        total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        return [gradient / replicas for gradient in total]


def distribute(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Iterator[Any]:
    """Iterate over the batches of a data set, each divided among the replicas.

    Args:
        dataset: The same in all processes. The size of each batch must divide by the number of replicas.
        strategy: A distribution strategy.
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
