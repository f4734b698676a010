"""Import the four networks of the musicnn wheel as zoo models, without TensorFlow.

The wheel's code does not run with a current numpy, and its networks are TensorFlow 1 checkpoints. Only their weights
are read. The two architectures are defined below; with the front end they give one ONNX file from waveform to tags.

musicnn computes its log-mel in float16, which overflows above an energy of 6.5 and turns the tags of most loud music
into NaN. This module uses float32.

Conventions
-----------
- The embedding is the input of the last dense layer, scaled to unit length: 200 values in musicnn, 256 in vgg.
- TensorFlow's kernels are [height, width, in, out] and its images [N, time, bands, channels]; ONNX has
  [out, in, height, width] and [N, channels, time, bands].

Source: Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
ISMIR 2019 late-breaking demo (arXiv:1909.06654).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musiczoo._paths import scratch_folder
from musiczoo.card import CARD_FILE, EMBEDDING_NAME, INPUT_NAME, MODEL_FILE, TAGS_NAME, FrontEnd, ModelCard
from musiczoo.export import published_heads
from musiczoo.export.musicnn_wheel import NETWORKS, Network, Pool, open_wheel, read_checkpoint, read_tags, wrong_wheel
from musiczoo.export.onnx_graph import Graph
from musiczoo.export.publish import publish
from musiczoo.export.published_heads import HEADS
from musiczoo.export.tensor_bundle import BundleError, read_tensors
from musiczoo.models.frozen_encoder import FEATURES_NAME
from musiczoo.taxonomy import PLAIN_SPACE

__all__ = ["NETWORKS", "import_musicnn"]

SAMPLE_RATE = 16_000
EXCERPT_SAMPLES = 3 * SAMPLE_RATE
FRONT_END = FrontEnd(n_fft=512, n_mels=96, gain=10_000.0)

THRESHOLD = 0.2
"""Threshold of all tags, without labels to choose one for each. Far below 1/2: the best threshold for F1 is half the
F1 that can be reached (Lipton et al., 2014), which is low for rare tags."""

MUSICNN_SIZE, VGG_SIZE = 200, 256
"""Sizes of the last hidden layers."""

_EPSILON = 1e-3
"""Added to variances in batch normalization: the default of TensorFlow 1."""

_TRAINED = ("kernel", "bias", "gamma", "beta")
_STATISTICS = ("moving_mean", "moving_variance")

_UNLIMITED = np.finfo(np.float32).max

Array = NDArray[np.float32]
Sizes = tuple[int, ...]


def import_musicnn(wheel: Path | None = None, zoo: Path | None = None) -> list[Path]:
    """Import ``musicnn-msd``, ``vgg-msd``, ``musicnn-mtt`` and ``vgg-mtt`` from the wheel of musicnn 0.1.0.

    Make ``musicnn-disentangled`` and ``vgg-disentangled`` of the first two (see `musiczoo.export.published_heads`).

    Args:
        wheel: The .whl file; by default pip downloads it. Its sha256 is verified.
        zoo: Folder of models; the user's zoo by default.

    Returns:
        The folders of the models, in this order.

    Raises:
        ModelFileError: If the file is another one, or pip cannot download it.
        WriteError: If the zoo cannot be written.

    Example:
        This downloads the wheel:

        >>> import_musicnn()  # doctest: +SKIP

        Another file is refused:

        >>> import_musicnn(Path("song.ogg"))
        Traceback (most recent call last):
        musiczoo.errors.ModelFileError: Expected the wheel of musicnn 0.1.0 at song.ogg, got another file, ...
    """
    with scratch_folder("musicnn") as scratch, open_wheel(wheel) as archive:
        exports = [scratch / network.name for network in NETWORKS]
        for network, out in zip(NETWORKS, exports, strict=True):
            tags = read_tags(archive, network)
            try:
                weights = Weights(read_tensors(*read_checkpoint(archive, network), _is_weight))
                card = _card(network, tags, weights.parameters)
                graph = waveform_graph(network, weights, card)
            except BundleError as error:
                raise wrong_wheel(archive.filename, f"another checkpoint in {network.folder}: {error}") from error
            out.mkdir()
            graph.save(card, out / MODEL_FILE)
            (out / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        folders = {network.name: publish(out, zoo) for network, out in zip(NETWORKS, exports, strict=True)}
    return [*folders.values(), *(published_heads.make(head, folders[head.network], zoo) for head in HEADS)]


@dataclass(frozen=True)
class Weights:
    """The variables of a checkpoint, by name.

    Attributes:
        arrays: Name -> values.
    """

    arrays: Mapping[str, NDArray[np.generic]]

    def __call__(self, name: str, *shape: int) -> Array:
        """Return a variable of a known shape.

        Raises:
            BundleError: If it is missing or has another shape or type.
        """
        array = self.arrays.get(name)
        if array is None or array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            got = "none" if array is None else f"{array.dtype} {list(array.shape)}, or values that are not finite"
            raise BundleError(f"Expected {name} as float32 {list(shape)}, got {got}.")
        return array.astype(np.float32)

    def normalization(self, number: int, size: int) -> tuple[Array, Array]:
        """Return the scale and the offset, ``[size]``, of the batch normalization with this number, in inference."""
        layer = f"batch_normalization_{number}" if number else "batch_normalization"
        gamma, beta, mean, variance = (
            self(f"{layer}/{name}", size).astype(np.float64) for name in ("gamma", "beta", *_STATISTICS)
        )
        scale = gamma / np.sqrt(variance + _EPSILON)
        return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)

    @property
    def parameters(self) -> int:
        """Number of trained parameters, without moving statistics."""
        return sum(array.size for name, array in self.arrays.items() if name.endswith(_TRAINED))


def waveform_graph(network: Network, weights: Weights, card: ModelCard) -> Graph:
    """Return the graph ``[N, 48000]`` waveform -> embedding (unit length) and tags.

    Args:
        network: The network.
        weights: Its variables, by their names in the checkpoint.
        card: Gives the settings of the front end and the sizes.

    Raises:
        BundleError: If a variable is missing or has another shape.
    """
    graph = Graph()
    layers = _Layers(graph, weights)
    log_mel = graph.log_mel(INPUT_NAME, card)
    image = layers.normalized(graph.expand(log_mel, 1), 0, 1, rank=4)  # [N, 1, time, bands]
    if network.pools:
        hidden, last = _vgg(layers, image, network.pools), "dense"
    else:
        hidden, last = _musicnn(layers, image, card.front_end.n_mels), "dense_1"
    hidden = graph.add("Identity", hidden, name=FEATURES_NAME)
    # As in tf.math.l2_normalize: zeros stay zeros.
    energy = graph.add("ReduceSum", graph.add("Mul", hidden, hidden), graph.constant("last_axis", [1]), keepdims=1)
    length = graph.add("Sqrt", graph.add("Max", energy, graph.constant("least_energy", 1e-12)))
    graph.add("Div", hidden, length, name=EMBEDDING_NAME)
    logits = layers.dense(last, hidden, card.embedding_size, len(card.tags))
    graph.add("Sigmoid", logits, name=TAGS_NAME)
    return graph


class _Layers:
    """Layers of TensorFlow 1, by their names in a checkpoint."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self.graph = graph
        self.weights = weights

    def normalized(self, value: str, number: int, channels: int, rank: int) -> str:
        """Batch normalization over axis 1 of `rank`."""
        shape = (1, channels, *[1] * (rank - 2))
        scale, offset = (part.reshape(shape) for part in self.weights.normalization(number, channels))
        scaled = self.graph.add("Mul", value, self.graph.constant(f"norm_{number}/scale", scale))
        return self.graph.add("Add", scaled, self.graph.constant(f"norm_{number}/offset", offset))

    def convolution(self, name: str, number: int, value: str, kernel: Array, pads: Sizes, **pool: Any) -> str:
        """Convolution, ReLU, batch normalization and, if it is given, a max-pool; `kernel` is ``[out, in, ...]``.

        The scale s of the normalization is part of the kernel, and the pool comes first:
        ``max(s * relu(x))`` is ``max(0, max(s * x))``, or ``min(0, max(s * x))`` for a negative s. So everything but
        the convolution works on pooled values, and all filters have outputs of about the same size, as int8 needs.
        """
        filters = kernel.shape[0]
        scale, offset = self.weights.normalization(number, filters)
        bias = self.weights(f"{name}/bias", filters) * scale
        weights = (
            self.graph.constant(f"{name}/kernel", kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))),
            self.graph.constant(f"{name}/bias", bias),
        )
        result = self.graph.add("Conv", value, *weights, pads=pads)
        if pool:
            result = self.graph.add("MaxPool", result, **pool)
        limits = {
            "Max": ("least", np.where(scale < 0, -_UNLIMITED, 0)),
            "Min": ("most", np.where(scale < 0, 0, _UNLIMITED)),
            "Add": ("offset", offset),
        }
        for operation, (what, values) in limits.items():
            constant = self.graph.constant(f"norm_{number}/{what}", values.reshape(1, -1, *[1] * (kernel.ndim - 2)))
            result = self.graph.add(operation, result, constant)
        return result

    def image_convolution(
        self, name: str, number: int, value: str, shape: tuple[int, int, int, int], pads: Sizes, **pool: Any
    ) -> str:
        """`convolution` over time and bands; `shape` is TensorFlow's: time, bands, in, out."""
        kernel = self.weights(f"{name}/kernel", *shape).transpose(3, 2, 0, 1)
        return self.convolution(name, number, value, kernel, pads, **pool)

    def dense(self, name: str, value: str, size: int, units: int) -> str:
        """A dense layer without activation."""
        kernel = self.graph.constant(f"{name}/kernel", self.weights(f"{name}/kernel", size, units))
        bias = self.graph.constant(f"{name}/bias", self.weights(f"{name}/bias", units))
        return self.graph.add("Gemm", value, kernel, bias)


def _musicnn(layers: _Layers, image: str, bands: int) -> str:
    """Timbral and temporal filters, three convolutions over time, pooling over time, a dense layer: ``[N, 200]``."""
    graph = layers.graph
    timbral, temporal, filters = 204, 51, 64
    features = []
    # Tall filters cover 40 and 70 % of the bands in seven frames; long filters one band in up to 128 frames.
    shapes = [(7, int(share * bands), 1, timbral) for share in (0.4, 0.7)]
    shapes += [(frames, 1, 1, temporal) for frames in (128, 64, 32)]
    for i, shape in enumerate(shapes):
        before = (shape[0] - 1) // 2  # padding that keeps the number of frames
        name, pads = f"conv2d_{i}" if i else "conv2d", (before, 0, shape[0] - 1 - before, 0)
        all_bands = (1, bands - shape[1] + 1)
        filtered = layers.image_convolution(name, i + 1, image, shape, pads, kernel_shape=all_bands)
        features.append(graph.reshape(filtered, 0, shape[3], -1))  # [N, channels, time]
    channels = 2 * timbral + 3 * temporal
    outputs = [graph.add("Concat", *features, axis=1)]
    for i in range(3):
        name, size = f"conv2d_{5 + i}", channels if i == 0 else filters
        kernel = layers.weights(f"{name}/kernel", 7, size, 1, filters)[:, :, 0].transpose(2, 1, 0)
        convolved = layers.convolution(name, 6 + i, outputs[-1], kernel, (3, 3))
        outputs.append(graph.add("Add", convolved, outputs[-1]) if i else convolved)
    stacked = graph.add("Concat", *outputs, axis=1)
    # Maximum and mean of each channel, side by side.
    pooled = [graph.add(f"Reduce{kind}", stacked, axes=[2], keepdims=1) for kind in ("Max", "Mean")]
    size = 2 * (channels + 3 * filters)
    flat = layers.normalized(graph.reshape(graph.add("Concat", *pooled, axis=2), 0, size), 9, size, rank=2)
    dense = graph.add("Relu", layers.dense("dense", flat, size, MUSICNN_SIZE))
    return layers.normalized(dense, 10, MUSICNN_SIZE, rank=2)


def _vgg(layers: _Layers, image: str, pools: tuple[Pool, ...]) -> str:
    """Five 3 x 3 convolutions, each with a pool: ``[N, 256]``."""
    graph, filters = layers.graph, 128
    for i, (window, stride) in enumerate(pools, 1):
        shape = (3, 3, 1 if i == 1 else filters, filters)
        pool = {"kernel_shape": window, "strides": stride}
        image = layers.image_convolution(f"{i}CNN", i, image, shape, (1, 1, 1, 1), **pool)
    return graph.reshape(graph.add("Transpose", image, perm=(0, 2, 3, 1)), 0, VGG_SIZE)


def _is_weight(name: str) -> bool:
    """Whether a variable belongs to a layer, and not to the optimizer."""
    return name.rpartition("/")[2] in (*_TRAINED, *_STATISTICS)


def _card(network: Network, tags: tuple[str, ...], parameters: int) -> ModelCard:
    size = VGG_SIZE if network.pools else MUSICNN_SIZE
    return ModelCard(
        name=network.name,
        version="0.1.0",
        summary=network.summary,
        licence="ISC",
        sample_rate=SAMPLE_RATE,
        excerpt_samples=EXCERPT_SAMPLES,
        embedding_size=size,
        spaces={PLAIN_SPACE: (0, size)},
        space_id=f"{network.name}-0.1.0",
        tags=tags,
        dimensions=network.dimensions,
        thresholds=dict.fromkeys(tags, THRESHOLD),
        front_end=FRONT_END,
        parameters=parameters,
        data=network.data,
        labels=network.label_source,
        metrics={"published": network.published},
        recipe={"trained by": "Jordi Pons", "checkpoint": f"{network.folder} in musicnn 0.1.0"},
        limits=(
            "Probabilities are not calibrated; one threshold serves all tags.",
            "Tags are those of people who tagged mostly Western music.",
        ),
        intended_use="Tagging, and a teacher for models on music that nobody has tagged.",
        sources=(
            "Jordi Pons, Xavier Serra: musicnn: pre-trained convolutional neural networks for music audio "
            "tagging. ISMIR 2019 late-breaking demo (arXiv:1909.06654). Copyright Music Technology Group, "
            "Universitat Pompeu Fabra 2019. https://github.com/jordipons/musicnn",
        ),
    )
