"""Make a trained Keras model's weights exact in float16, before any export.

Rounding in the ONNX file alone would move its tags further (1e-3) than parity with Keras allows (1e-4). So
the Keras model is rounded, and Keras, SavedModel and ONNX hold the same numbers. Batch normalisation comes
first: converters fold it into the convolution before it, and what they multiply is no longer rounded.
"""

from collections.abc import Iterator

import keras
import numpy as np

from musiczoo.models.frontend import LogMel
from musiczoo.models.heads import Centroids, Proxies

LARGE = 256
"""Arrays of up to this many numbers (biases, batch normalisation) are not worth rounding."""


def fold_batch_normalization(model: keras.Model) -> None:
    """Move, in place, each batch normalisation's scale and mean into the convolution before it.

    With ``s = gamma / sqrt(variance + epsilon)`` the kernel becomes ``s * kernel`` and beta becomes
    ``beta - s * mean``; what stays of the normalisation adds beta. The model's outputs stay the same in
    inference; it is no longer fit for training.

    Args:
        model: Whose batch normalisations each follow a `keras.layers.Conv2D` without bias or activation that
            feeds nothing else. Others are left as they are.
    """
    for norm in leaves(model):
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        convolution = norm.input._keras_history.operation
        if not isinstance(convolution, keras.layers.Conv2D) or len(convolution._outbound_nodes) != 1:
            continue
        if convolution.use_bias or convolution.activation is not keras.activations.linear:
            continue
        gamma, beta, mean, variance = (
            np.asarray(weight, np.float64) for weight in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        )
        scale = gamma / np.sqrt(variance + norm.epsilon)
        convolution.kernel.assign(np.asarray(convolution.kernel) * scale)
        norm.gamma.assign(np.ones_like(gamma))
        norm.beta.assign(beta - scale * mean)
        norm.moving_mean.assign(np.zeros_like(mean))
        norm.moving_variance.assign(np.full_like(variance, 1 - norm.epsilon))


def round_weights(model: keras.Model) -> None:
    """Round, in place, all large weights to the nearest float16.

    Except the front end's matrices: a rounded DFT is not a DFT.
    """
    for layer in leaves(model):
        for weight in [] if isinstance(layer, LogMel) else layer.weights:
            if np.prod(weight.shape) > LARGE:
                weight.assign(np.asarray(weight).astype(np.float16).astype(np.float32))


def head(model: keras.Model) -> Centroids | Proxies:
    """The layer that makes tags of embeddings."""
    return next(layer for layer in leaves(model) if isinstance(layer, Centroids | Proxies))


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model and of the models inside it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer
