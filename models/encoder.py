"""The Inception encoder of both papers: log-mel -> feature vector.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.2: a 5x5 convolution, a strided max-pool, six
Inception blocks. Each block is a *naive* module, whose last layers have stride 2 so that the map halves, then
a *dimension reduction* module (Szegedy et al., CVPR 2015, figure 2), after which the map has four branches
of ``width`` channels. Batch normalisation, synchronised over replicas, follows each convolution. The papers do not
mention it; without it, training at their learning rate is unstable.
"""

from typing import Any

import keras
from keras import layers

BLOCKS = 6
BRANCHES = 4
FEATURES_LAYER = "features"


def encode(log_mel: Any, width: int) -> Any:
    """Apply the encoder: log-mel -> features.

    Args:
        log_mel: Keras tensor ``[N, frames, mels]``, standardised; 129 x 128 in the papers.
        width: Channels of each branch: 64 in the papers, 32 in the published models.

    Returns:
        Keras tensor ``[N, 4 * width]``.

    Example:
        >>> encode(keras.Input((129, 128)), width=16).shape
        (None, 64)
    """
    x = layers.Reshape((*log_mel.shape[1:], 1), name="image")(log_mel)
    x = layers.Conv2D(width, 5, padding="same", use_bias=False, name="stem")(x)
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    # Normalised after the pool, which leaves a quarter of the values.
    x = _normalised(x, name="stem")
    for block in range(1, BLOCKS + 1):
        x = _naive(x, width, name=f"block{block}_naive")
        x = _dimension_reduction(x, width, name=f"block{block}_reduced")
    return layers.GlobalAveragePooling2D(name=FEATURES_LAYER)(x)


def trunk(model: keras.Model) -> list[keras.Layer]:
    """Return the layers of a model that `encode` made, in order.

    Example:
        >>> from musiczoo.models.architectures import build
        >>> [layer.name for layer in trunk(build("proxy", width=16))][:3]
        ['log_mel', 'image', 'stem']
    """
    names = [layer.name for layer in model.layers]
    return list(model.layers[: names.index(FEATURES_LAYER) + 1])


def freeze(model: keras.Model, blocks: int) -> None:
    """Freeze the stem and the first `blocks` blocks of a model, batch statistics included; with 0, nothing.

    Example:
        >>> from musiczoo.models.architectures import build
        >>> model = build("proxy", width=16)
        >>> freeze(model, blocks=2)
        >>> [model.get_layer(name).trainable for name in ("stem", "block2_naive_3x3", "block3_naive_3x3")]
        [False, False, True]
    """
    kept = ("stem", *(f"block{block}_" for block in range(1, blocks + 1)))
    for layer in trunk(model) if blocks else ():
        if layer.name.startswith(kept):
            layer.trainable = False


def _naive(x: Any, width: int, name: str) -> Any:
    """``[N, H, W, C] -> [N, H/2, W/2, 3 * width + C]``."""
    branches = [_convolution(x, width, size, strides=2, name=f"{name}_{size}x{size}") for size in (1, 3, 5)]
    branches.append(layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x))
    return layers.Concatenate(name=name)(branches)


def _dimension_reduction(x: Any, width: int, name: str) -> Any:
    """``[N, H, W, C] -> [N, H, W, 4 * width]``."""
    pooled = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    branches = [_convolution(x, width, 1, name=f"{name}_1x1")]
    for size in (3, 5):
        squeezed = _convolution(x, width, 1, name=f"{name}_{size}x{size}_squeeze")
        branches.append(_convolution(squeezed, width, size, name=f"{name}_{size}x{size}"))
    branches.append(_convolution(pooled, width, 1, name=f"{name}_pool_1x1"))
    return layers.Concatenate(name=name)(branches)


def _convolution(x: Any, filters: int, size: int, name: str, strides: int = 1) -> Any:
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=name)(x)
    return _normalised(x, name)


def _normalised(x: Any, name: str) -> Any:
    # The default momentum, 0.99, averages over more steps than a short epoch has.
    x = layers.BatchNormalization(momentum=0.95, synchronized=True, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
